"""Fault rules: their text form, and which requests they are decided for."""

from __future__ import annotations

import math
import pickle
import random
import re
from pathlib import Path

import pytest

from loader.emulator import EmulatorOptions
from loader.emulator.faultrules import (
    Answer,
    Crash,
    DiskFull,
    EndLogin,
    EndSession,
    ErrorBody,
    Moment,
    Outcome,
    Reset,
    Slow,
    Span,
    Spoiled,
    Stall,
    Status,
    Where,
)
from loader.emulator.faults import Facts, FaultPlan
from loader.emulator.faulttext import EFFECTS, parse_rule
from loader.errors import UsageError

PUT = Facts(Where.PUT, has_body=True)


def status(number: int, **more) -> Status:
    values = {
        "at": Moment.BEFORE,
        "body": ErrorBody.API,
        "code": "ERR016",
        "iserver_code": None,
        "message": "An injected fault.",
        "retry_after": None,
        "retry_date": False,
    }
    return Status(status=number, **{**values, **more})


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("put:status=503", status(503)),
        ("any:status=418", status(418, code="ERR001")),
        (
            "publish:status=500,at=after-store,code=ERR002,iserver=-2147206497,message=a%2C%3A b",
            status(
                500,
                at=Moment.AFTER_STORE,
                code="ERR002",
                iserver_code=-2147206497,
                message="a,: b",
            ),
        ),
        ("login:status=503,body=html,retry-after=7", status(503, body="html", retry_after=7.0)),
        ("put:status=503,retry-after=date+7", status(503, retry_after=7.0, retry_date=True)),
        ("put:reset=before", Reset(Moment.BEFORE, 0.5)),
        ("put:reset=mid-body,share=0.25", Reset(Moment.MID_BODY, 0.25)),
        ("put:reset=mid-body,share=0", Reset(Moment.MID_BODY, 0.0)),
        ("status:stall=before", Stall(Moment.BEFORE, 0.5, None)),
        ("put:stall=mid-body,seconds=1.5", Stall(Moment.MID_BODY, 0.5, 1.5)),
        ("put:crash=after-store", Crash(Moment.AFTER_STORE, 0.5)),
        ("put:slow=64k", Slow(64_000.0)),
        ("put:slow=1.5M", Slow(1_500_000.0)),
        ("put:slow=10", Slow(10.0)),
        ("create:answer=half", Answer(Spoiled.HALF)),
        ("put:answer=garbage", Answer(Spoiled.GARBAGE)),
        ("any:end-login", EndLogin(keep_sessions=True)),
        ("put:end-login,sessions=lose", EndLogin(keep_sessions=False)),
        ("put:end-session", EndSession()),
        ("put:disk-full", DiskFull()),
        ("publish:outcome=18", Outcome(18, None, False, "an injected outcome")),
        ("publish:outcome=-1,data=published", Outcome(-1, None, True, "an injected outcome")),
        ("publish:outcome=6,seconds=3,message=slow", Outcome(6, 3.0, False, "slow")),
    ],
)
def test_effects(text, effect):
    assert parse_rule(text).effect == effect
    assert parse_rule(text).text == text


def test_conditions():
    rule = parse_rule(
        "put:table=a%3Ab%2C%3D:index=2-4:after=1:until=2.5:nth=3-:every=2:rate=0.5:times=7:reset=before"
    )
    assert (rule.table, rule.index, rule.after, rule.until) == ("a:b,=", Span(2, 4), 1.0, 2.5)
    assert (rule.nth, rule.every, rule.rate, rule.times) == (Span(3, None), 2, 0.5, 7)
    plain = parse_rule("put:reset=before")
    assert (plain.nth, plain.every, plain.rate, plain.times) == (Span(1, None), 1, 1.0, None)
    assert (plain.table, plain.index, plain.after, plain.until) == (None, None, 0.0, math.inf)


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("", "'' is no endpoint", "any, login"),
        ("post:reset=before", "'post' is no endpoint", "put"),
        ("put", "nowhere what happens", "put:nth=3:reset=after-store"),
        ("put:nth=3", "'nth' is no effect", "reset"),
        ("put:explode", "'explode' is no effect", "stall"),
        ("put:reset", "'reset' is no reset", "reset=…"),
        ("put:reset=", "'reset=' is no reset", "reset=…"),
        ("put:end-session=1", "'end-session=1' is no end-session", "write it as end-session"),
        ("put:reset=later", "reset=later is unknown", "after-store"),
        ("put:reset=before,share=0.5", "share has no meaning before", "mid-body"),
        ("put:reset=mid-body,share=2", "share=2 is above 1", "share=0.5"),
        ("put:reset=before,at=before", "reset takes no at", "share"),
        ("put:disk-full,at=before", "disk-full takes no at", "nothing"),
        ("put:status=200", "status=200 cannot be read", "400 to 599"),
        ("put:status=600", "status=600 cannot be read", "400 to 599"),
        ("put:status=503,at=mid-body", "at=mid-body is unknown", "after-body"),
        ("put:status=503,code=9", "code=9 cannot be read", "ERR001"),
        ("put:status=503,retry-after=soon", "retry-after=soon cannot", "date+2"),
        ("put:status=503,status=500", "status is there twice", "leave"),
        ("put:nth=0:reset=before", "nth=0 holds no number", "nth=3"),
        ("put:nth=5-3:reset=before", "nth=5-3 holds no number", "nth=3-5"),
        ("put:nth=x:reset=before", "nth=x cannot be read", "nth=3"),
        ("put:every=2-3:reset=before", "every is one number", "every=3"),
        ("put:times=-1:reset=before", "times=-1 cannot be read", "times=3"),
        ("put:rate=1.5:reset=before", "rate=1.5 is above 1", "rate=0.5"),
        ("put:rate:reset=before", "'rate' is not NAME=VALUE", "WHERE"),
        ("put:often=3:reset=before", "a condition takes no often", "nth"),
        ("put:after=5:until=5:reset=before", "until=5 is not after", "swap"),
        ("publish:table=t:reset=before", "publish has neither table nor index", "put"),
        ("any:index=1:reset=before", "any has neither table nor index", "put"),
        ("publish:reset=mid-body", "reset at mid-body cannot happen to publish", "put"),
        ("status:slow=1k", "slow cannot happen to status", "put"),
        ("put:slow=0", "slow=0 would never end", "stall"),
        ("put:answer=half", "answer cannot happen to put", "create"),
        ("login:answer=html", "answer cannot happen to login", "create"),
        ("login:end-login", "end-login cannot happen to login", "put"),
        ("create:end-session", "end-session cannot happen to create", "put"),
        ("publish:disk-full", "disk-full cannot happen to publish", "put"),
        ("put:outcome=3", "outcome cannot happen to put", "publish"),
        ("publish:outcome=bad", "outcome=bad cannot be read", "outcome=3"),
        ("publish:outcome=6,seconds=1,data=published", "published anyway", "leave out"),
    ],
)
def test_texts_that_are_no_rules(text, says, hint):
    for make in (parse_rule, lambda bad: EmulatorOptions(faults=("put:disk-full", bad))):
        with pytest.raises(UsageError) as error:
            make(text)
        assert f"Fault {text!r}: " in error.value.message
        assert says in error.value.message
        assert hint in error.value.hint
        assert pickle.loads(pickle.dumps(error.value)).message == error.value.message


def decided(text: str, requests: int, *, seed: int = 0, facts: Facts = PUT) -> list[int]:
    """Which of so many requests a rule fires for."""
    plan = FaultPlan(seed)
    plan.add([text], 0.0)
    fired = []
    for number in range(1, requests + 1):
        for shot in plan.decide(facts, 0.0):
            shot.fire()
            fired.append(number)
    (watched,) = plan.rules
    assert (watched.matched, watched.fired, watched.pending) == (requests, len(fired), 0)
    return fired


@pytest.mark.parametrize(
    ("conditions", "fires"),
    [
        ("", [1, 2, 3, 4, 5, 6]),
        ("nth=3:", [3]),
        ("nth=3-4:", [3, 4]),
        ("nth=3-:", [3, 4, 5, 6]),
        ("every=2:", [2, 4, 6]),
        ("nth=3-:every=2:", [4, 6]),
        ("times=2:", [1, 2]),
        ("nth=2-:times=2:", [2, 3]),
        ("rate=0:", []),
        ("rate=1:", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_when_a_rule_fires(conditions, fires):
    assert decided(f"put:{conditions}reset=before", 6) == fires


def test_a_rate_is_drawn_with_the_seed():
    text = "put:rate=0.1:reset=before"
    first = decided(text, 2000)
    assert 150 < len(first) < 250
    assert decided(text, 2000) == first
    assert decided(text, 2000, seed=1) != first
    assert decided("put:rate=0.1:reset=after-body", 2000) != first  # rules do not fire together


def test_a_rate_does_not_depend_on_other_requests():
    """The k-th PUT meets the same, whatever comes in between and whatever other rules draw."""
    text = "put:rate=0.3:reset=before"
    alone = decided(text, 100)
    plan = FaultPlan()
    plan.add(["any:rate=0.5:status=500", text], 0.0)
    chance = random.Random(5)
    fired, puts = [], 0
    while puts < 100:
        where = chance.choice([Where.PUT, Where.STATUS, Where.LOOK])
        puts += where is Where.PUT
        shots = plan.decide(Facts(where, has_body=where is Where.PUT), 0.0)
        fired += [puts for shot in shots if shot.rule.text == text]
    assert fired == alone


@pytest.mark.parametrize(
    ("text", "facts", "matches"),
    [
        ("any:reset=before", Facts(Where.LOOK), True),
        ("any:reset=mid-body", Facts(Where.LOOK), False),
        ("any:reset=mid-body", PUT, True),
        ("cubes:reset=after-body", Facts(Where.CUBES), False),
        ("cubes:reset=after-body", Facts(Where.CUBES, has_body=True), True),
        ("any:end-login", Facts(Where.LOGIN, has_body=True), False),
        ("any:end-session", Facts(Where.STATUS), True),
        ("any:end-session", Facts(Where.LOOK), False),
        ("any:disk-full", PUT, True),
        ("publish:reset=before", PUT, False),
        ("put:table=t:reset=before", Facts(Where.PUT, True, "t", 1), True),
        ("put:table=t:reset=before", Facts(Where.PUT, True, "u", 1), False),
        ("put:table=t:reset=before", PUT, False),
        ("put:index=2-:reset=before", Facts(Where.PUT, True, "t", 2), True),
        ("put:index=2-:reset=before", Facts(Where.PUT, True, "t", 1), False),
        ("put:index=2-:reset=before", PUT, False),
    ],
)
def test_which_requests_match(text, facts, matches):
    plan = FaultPlan()
    plan.add([text], 0.0)
    assert bool(plan.decide(facts, 0.0)) is matches
    assert plan.report() == [{"rule": text, "matched": int(matches), "fired": 0}]


def test_times_count_from_when_the_rule_was_made():
    plan = FaultPlan()
    plan.add(["put:after=5:until=10:nth=1:reset=before"], 100.0)
    fired = [now for now in (100.0, 104.9, 105.0, 107.0, 110.0) if plan.decide(PUT, now)]
    assert fired == [105.0]  # and it was the first one within that time
    assert plan.rules[0].matched == 2


def test_what_did_not_happen_is_not_counted():
    plan = FaultPlan()
    plan.add(["put:times=1:reset=after-store"], 0.0)
    (missed,) = plan.decide(PUT, 0.0)
    assert plan.decide(PUT, 0.0) == []  # the first may still happen
    missed.miss()
    (shot,) = plan.decide(PUT, 0.0)
    shot.fire()
    shot.fire()
    shot.miss()
    assert plan.decide(PUT, 0.0) == []
    assert plan.report()[0] == {
        "rule": "put:times=1:reset=after-store",
        "matched": 4,
        "fired": 1,
    }
    assert repr(plan) == "<FaultPlan seed=0 rules=1 fired=1>"


def test_all_rules_are_added_or_none():
    plan = FaultPlan()
    with pytest.raises(UsageError, match="no effect"):
        plan.add(["put:reset=before", "put:oops"], 0.0)
    assert not plan
    plan.add(["put:reset=before"], 0.0)
    assert plan
    plan.clear()
    assert not plan


def test_only_a_process_of_its_own_may_be_killed():
    with pytest.raises(UsageError, match="not the server's alone") as error:
        FaultPlan().add(["put:crash=before"], 0.0)
    assert "EmulatorProcess" in error.value.hint
    FaultPlan(may_crash=True).add(["put:crash=before"], 0.0)


def test_the_documentation_shows_rules_that_are_rules():
    text = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text("utf-8")
    section = text.split("## Faults")[1].split("\n## ")[0]
    rules = re.findall(r"--fault ([^-\s`]\S*)", section) + re.findall(r'\["([^"]*)"\]', section)
    rules = [rule for rule in rules if ":" in rule]
    assert len(rules) >= 5
    for rule in rules:
        parse_rule(rule)
    table = section.split("| effect |")[1].split("\n\n")[0]
    shown = re.findall(r"^\| `([a-z-]+)", table, re.MULTILINE)
    assert sorted(shown) == sorted(EFFECTS)
    grammar = section.split("WHERE     =")[1].split("CONDITION")[0]
    assert re.findall(r"[a-z-]+", grammar) == ["any", *Where]
