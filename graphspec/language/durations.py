"""Durations: the step of a series, such as ``15min``, ``1month``, or 1 for times that are numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

MICROSECONDS = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
"""Units of a fixed length; a day is one of the calendar, so that it may have 23 hours."""
MONTHS = {"month": 1, "y": 12}
"""Units whose length the calendar gives."""
_FORM = re.compile(r"([1-9]\d{0,3})(" + "|".join([*MICROSECONDS, *MONTHS]) + ")")


@dataclass(frozen=True, slots=True)
class Every:
    """The step of a series: ``count`` units, or for times that are numbers, ``count`` of them and the unit ``""``."""

    count: int
    unit: str = ""

    @classmethod
    def of(cls, value: object) -> Every | None:
        """Return the step that a spec writes; None if it is none."""
        if isinstance(value, str):
            found = _FORM.fullmatch(value)
            return None if found is None else cls(int(found[1]), found[2])
        return cls(value) if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10_000 else None

    @property
    def in_days(self) -> bool:
        """Whether it is a step of the calendar, which clocks that are set back do not change."""
        return self.unit in ("d", "w", *MONTHS)

    @property
    def months(self) -> int:
        """The months of a step of months or years; 0 for others."""
        return self.count * MONTHS.get(self.unit, 0)

    @property
    def size(self) -> int:
        """The microseconds, or the difference of numbers; months have none."""
        return self.count * MICROSECONDS.get(self.unit, 1)

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"

    def ahead(self, steps: int) -> str:
        """Return the words for the time after some steps, such as ``+3h``."""
        return f"+{self.count * steps}{self.unit}"
