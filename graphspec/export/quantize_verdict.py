"""What a quantized file loses: losses and metrics before and after, and both sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphspec.export.quantize import Kind
from graphspec.export.quantize_int8 import Conversion

if TYPE_CHECKING:
    from graphspec.vocabulary.metrics.base import Direction


@dataclass(frozen=True)
class Change:
    """A loss or metric before and after.

    Attributes:
        worse: by how much it got worse, negative for better; None if neither direction is.
        relative: whether ``worse`` is a fraction of the value before.
    """

    before: float
    after: float
    worse: float | None
    relative: bool

    def text(self) -> str:
        """Return the change with a sign, as the table shows it."""
        difference = self.after - self.before
        if not self.relative:
            return f"{difference:+.4f}"
        return f"{difference / abs(self.before):+.2%}" if self.before else f"{difference:+.4g}"


@dataclass(frozen=True)
class Verdict:
    """The result of the gate.

    Attributes:
        changes: by key, in the order of ``evaluate``.
        sizes: bytes of the float32 file and of the quantized one.
    """

    kind: Kind
    done: Conversion
    max_loss: float
    origin: str
    count: int
    changes: Mapping[str, Change] = field(default_factory=dict)
    sizes: tuple[int, int] = (0, 0)

    def to_json(self) -> dict[str, Any]:
        """Return the record for the file's metadata."""
        return {
            "kind": self.kind,
            "method": self.done.method,
            "quantized_weights": self.done.weights,
            "calibration_rows": self.done.calibration_rows,
            "rows": f"{self.count} {self.origin}",
            "max_loss": self.max_loss,
            "metrics": {k: {"before": c.before, "after": c.after} for k, c in self.changes.items()},
        }

    def table(self) -> list[tuple[str, str, str, str]]:
        """Return rows of a table: name, float32, quantized, change."""
        before, after = self.sizes
        size = f"{(after - before) / before:+.0%}"
        return [
            ("", "float32", self.kind, "change"),
            *((k, f"{c.before:.6g}", f"{c.after:.6g}", c.text()) for k, c in self.changes.items()),
            ("file (kB)", f"{before / 1000:.1f}", f"{after / 1000:.1f}", size),
        ]

    def __str__(self) -> str:
        lines = [f"quantized to {self.kind}: {self.done.method}; compared on {self.count} {self.origin}"]
        if self.done.calibration_rows:
            lines.append(f"ranges of activations from {self.done.calibration_rows} training rows")
        widths = [max(map(len, column)) for column in zip(*self.table(), strict=True)]
        for name, *values in self.table():
            cells = [v.rjust(w) for v, w in zip(values, widths[1:], strict=True)]
            lines.append("  ".join([name.ljust(widths[0]), *cells]))
        if self.sizes[1] >= self.sizes[0]:
            lines.append("the file has not become smaller: this network is too small to gain")
        return "\n".join(lines)


def change(before: float, after: float, direction: Direction | None) -> Change:
    """Return how a loss or metric has changed."""
    relative = direction != "up" or abs(before) > 1
    if direction is None:
        return Change(before, after, None, relative)
    worse = after - before if direction == "down" else before - after
    if relative and worse:
        worse = worse / abs(before) if before else math.copysign(math.inf, worse)
    return Change(before, after, worse, relative)
