"""Some seeds of the soak; ``make soak`` runs many more."""

from __future__ import annotations

import random

import pytest

from loader.emulator.faulttext import parse_rule
from tests.soak.drawing import Scenario
from tests.soak.faults import draw_fault, draw_sure_fault
from tests.soak.scenario import run


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21))
def test_published_exactly_once_whatever_goes_wrong(seed):
    figures = run(seed, scale=0.3)
    assert figures.problem is None, figures.problem


def test_every_fault_that_can_be_drawn_is_a_rule():
    draw = random.Random(0)
    for _ in range(1000):
        for fault in (draw_fault(draw), draw_sure_fault(draw)):
            parse_rule(fault.rule)


def test_the_same_seed_is_the_same_scenario():
    assert Scenario.of(7) == Scenario.of(7)
    assert Scenario.of(7) != Scenario.of(8)
