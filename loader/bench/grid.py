"""Which settings of a sweep are worth a run: those that memory holds and no other one repeats."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from loader.bench.records import Setting, Skipped
from loader.planning import ChunkRules, MemoryPlan
from loader.units import MB, size

__all__ = ["Grid", "PlanOf", "all_settings", "choose", "warm_up_setting"]

PlanOf = Callable[[Setting], MemoryPlan | str]
"""Shares out the memory budget for a setting, or says why it cannot be run."""

_UNCERTAIN: Final = 0.05
"""How far the JSON of one orientation may be from that of the other, or from an estimate."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The settings of a sweep.

    Attributes:
        settings: Those to run.
        skipped: The others, and why.
    """

    settings: tuple[Setting, ...]
    skipped: tuple[Skipped, ...]


def all_settings(
    orientations: Sequence[str], chunk_sizes: Sequence[int], concurrencies: Sequence[int]
) -> tuple[Setting, ...]:
    """Returns every combination, the cheapest first; what is named twice is one."""
    return tuple(
        Setting(orientation, chunk_size, concurrency)
        for orientation, chunk_size, concurrency in itertools.product(
            dict.fromkeys(orientations), sorted(set(chunk_sizes)), sorted(set(concurrencies))
        )
    )


def choose(
    settings: Sequence[Setting], plan_of: PlanOf, sizes: Sequence[int] | None = None
) -> Grid:
    """Returns which settings to run.

    A setting is skipped where the memory budget does not hold as many chunks as there are to be
    PUTs at once: the load would quietly have fewer under way, and the figure would be of another
    setting. And it is skipped where an earlier one sends the very same chunks, no more of them at
    once: a source of one chunk has only one setting.

    Args:
        settings: All of them, the cheaper ones first.
        plan_of: Plans the memory of each.
        sizes: JSON bytes of each table; None: not known.
    """
    chosen: dict[tuple[str, int | None, int], Setting] = {}
    skipped = []
    for setting in settings:
        rules = ChunkRules.of(setting.chunk_size)
        most = None if sizes is None else sum(_most_chunks(rules, size) for size in sizes)
        at_once = setting.concurrency if most is None else min(setting.concurrency, most)
        planned = plan_of(setting)
        reason = planned if isinstance(planned, str) else _too_much(setting, planned, at_once)
        if reason is None:
            single = sizes is not None and all(_is_single(rules, size) for size in sizes)
            # What is sent, and how much of it at once: of one chunk a table the size is no matter.
            effect = (setting.orientation, None if single else setting.chunk_size, at_once)
            same = chosen.setdefault(effect, setting)
            reason = None if same is setting else _repeats(setting, same, most)
        if reason is not None:
            skipped.append(Skipped.of(setting, None, reason))
    return Grid(tuple(chosen.values()), tuple(skipped))


def warm_up_setting(settings: Sequence[Setting], plan_of: PlanOf) -> Setting | str:
    """Returns what to begin with, likely one of the fast settings; or why none can be run.

    Nothing is known of the source's size yet, so it is one that memory holds whatever the size is,
    if there is one.
    """
    fitting, possible = [], []
    refused = "there is no setting to run"
    for setting in settings:
        planned = plan_of(setting)
        if isinstance(planned, str):
            refused = planned
            continue
        possible.append(setting)
        if _too_much(setting, planned, setting.concurrency) is None:
            fitting.append(setting)
    usual = ChunkRules().target
    if fitting:
        return max(fitting, key=lambda one: (one.concurrency, -abs(one.chunk_size - usual)))
    return min(possible, key=lambda one: (one.concurrency, one.chunk_size), default=refused)


def _most_chunks(rules: ChunkRules, json_bytes: int) -> int:
    if _is_single(rules, json_bytes):
        return 1
    return max(1, math.ceil((1 + _UNCERTAIN) * json_bytes / rules.target))


def _is_single(rules: ChunkRules, json_bytes: int) -> bool:
    """Whether a table is one chunk for certain: a cut needs so much at hand."""
    return (1 + _UNCERTAIN) * json_bytes < rules.hold


def _too_much(setting: Setting, plan: MemoryPlan, at_once: int) -> str | None:
    """Returns why the memory budget does not keep so many PUTs busy; None: it does."""
    rules = ChunkRules.of(setting.chunk_size)
    # As in the automatic choice of a load: one chunk is held back for the next cut.
    held = max(1, (plan.json - rules.hold) // rules.target)
    if held >= at_once:
        return None
    missing = rules.hold + at_once * rules.target - plan.json
    wanted = -(-(plan.total + missing) // MB)
    return (
        f"the memory holds {held} chunk{'s' if held > 1 else ''} of {size(rules.target)} in flight "
        f"({plan.formula()}); --memory {wanted}MB holds {at_once}"
    )


def _repeats(setting: Setting, same: Setting, chunks: int | None) -> str:
    if same.chunk_size != setting.chunk_size:
        return (
            f"it sends the same chunks as --chunk-size {size(same.chunk_size)}: each table fits "
            "into one"
        )
    return f"it has no more PUTs at once than --concurrency {same.concurrency}: there " + (
        "is only 1 chunk" if chunks == 1 else f"are at most {chunks} chunks"
    )
