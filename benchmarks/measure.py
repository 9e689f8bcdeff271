"""What is measured: contenders that take their turns side by side, and what each turn took."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.setting import Setting

__all__ = [
    "ROUNDS",
    "Column",
    "Comparison",
    "Contender",
    "Failed",
    "Group",
    "Measured",
    "Results",
    "Sample",
    "take_turns",
]

ROUNDS = 5
"""How many times each contender has its turn."""


class Failed(Exception):
    """A contender did not do what it was to be measured at: there is no figure."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one turn of a contender took.

    Attributes:
        seconds: Wall time.
        rows: Rows that went through; None: there are none.
        json_bytes: Their JSON.
        wire_bytes: What went over the network.
        figures: Anything else, by name; memory in bytes, times in seconds.
    """

    seconds: float
    rows: int | None = None
    json_bytes: int | None = None
    wire_bytes: int | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that is measured once a round.

    Attributes:
        name: Its row in the table, unique in its group.
        run: Does it once.
    """

    name: str
    run: Callable[[], Sample]


@dataclass(frozen=True, slots=True)
class Measured:
    """A contender's turns, the warm-up not among them."""

    name: str
    samples: Sequence[Sample]

    @property
    def seconds(self) -> float:
        """Median seconds."""
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def row_rate(self) -> float | None:
        """Rows a second."""
        return self._rate(self.samples[0].rows)

    @property
    def json_rate(self) -> float | None:
        """Bytes of JSON a second."""
        return self._rate(self.samples[0].json_bytes)

    @property
    def wire_rate(self) -> float | None:
        """Bytes on the network a second."""
        return self._rate(self.samples[0].wire_bytes)

    def figure(self, name: str) -> float:
        """Returns the median of another figure."""
        return statistics.median(sample.figures[name] for sample in self.samples)

    def most(self, name: str) -> float:
        """Returns the largest of another figure: a peak's median would hide the peak."""
        return max(sample.figures[name] for sample in self.samples)

    def has(self, name: str) -> bool:
        """Whether there is such a figure."""
        return all(name in sample.figures for sample in self.samples)

    def as_dict(self) -> dict[str, Any]:
        """Returns the form that is kept in JSON."""
        samples = [
            {key: value for key, value in asdict(sample).items() if value not in (None, {})}
            for sample in self.samples
        ]
        return {"name": self.name, "samples": samples}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Measured:
        """Returns what was kept in JSON."""
        return cls(kept["name"], [Sample(**sample) for sample in kept["samples"]])

    def _rate(self, amount: int | None) -> float | None:
        # All samples of a contender did the same work.
        return amount / self.seconds if amount else None


Results = Mapping[str, Measured]
"""The contenders of one group by name."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a group's table.

    Attributes:
        title: Its header.
        text: What it says of a contender; may look at the others.
    """

    title: str
    text: Callable[[Measured, Results], str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure that the project has set itself a mark for.

    Attributes:
        what: Its row in the table of marks.
        value: Makes it from the group's contenders.
        bar: What it has to reach.
        aim: What is wanted.
        at_most: Whether smaller is better.
        form: How to show it and its marks.
    """

    what: str
    value: Callable[[Results], float]
    bar: float
    aim: float
    at_most: bool = False
    form: str = "{:.2f} x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Contenders that are compared with each other, and therefore measured side by side.

    Attributes:
        name: For ``--only`` and the marks in README.md.
        needs: The fields of ``Files`` that it reads.
        contenders: Gives them, with the servers that they need running meanwhile.
        columns: Of its table.
        comparisons: Its rows in the table of marks.
    """

    name: str
    needs: Sequence[str]
    contenders: Callable[[Setting], AbstractContextManager[Sequence[Contender]]]
    columns: Sequence[Column]
    comparisons: Sequence[Comparison] = ()


def take_turns(
    group: Group, setting: Setting, rounds: int, tell: Callable[[str], None]
) -> list[Measured]:
    """Runs the rounds of a group; a first one warms up and does not count, but in a trial.

    In every round each contender has its turn, so that a machine which slows down slows all.

    Raises:
        Failed: A contender did not do its work.
    """
    with group.contenders(setting) as contenders:
        samples: dict[str, list[Sample]] = {one.name: [] for one in contenders}
        for number in range(1 if setting.trial else 0, rounds + 1):
            for one in contenders:
                sample = one.run()
                if number:
                    samples[one.name].append(sample)
                told = f"round {number}" if number else "warm-up"
                tell(f"{group.name}, {told}: {one.name}: {sample.seconds:.2f} s")
    return [Measured(name, found) for name, found in samples.items()]
