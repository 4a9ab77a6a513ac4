"""Whether the probabilities of a head can be believed: a reliability diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphspec.base.document import Figure, Text
from graphspec.base.text import count
from graphspec.show.drawing.curves import linear
from graphspec.show.report.charts import Plot, share
from graphspec.show.report.scores import BINS, FEW, calibration_error, reliability

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array


@dataclass(frozen=True)
class Wording:
    """What a reliability diagram shows: what the probabilities are of, and what the share of positions is that are so."""

    of: str
    share: str


TOP = Wording("the predicted class", "Share predicted right")


def reliability_chart(probabilities: Array, right: Array, words: Wording, noun: str) -> Figure:
    """Return the chart of how often something is so against its probability, with the expected calibration error.

    Args:
        probabilities: from 0 to 1, ``(n,)``, n at least 1.
        right: bool, ``(n,)``.
        noun: what a position is called.
    """
    bins = reliability(probabilities, right)
    error = calibration_error(bins)
    mean, hits = float(probabilities.mean()), float(right.mean())
    gap = (
        f" is {share(abs(mean - hits))} too {'high' if mean > hits else 'low'}"
        if abs(mean - hits) >= 0.0005
        else " fits"
    )
    verdict = f"The mean probability, {share(mean)},{gap}: the {words.share.lower()} is {share(hits)}."
    measured = f"expected calibration error {share(error)} in {BINS} equal bins"
    summary = f"Reliability of the probability of {words.of}: {measured}. {verdict}"
    plot = Plot(linear([0, 1]), linear([0, 1]), f"Probability of {words.of}", words.share, summary)
    plot.line([(0, 0), (1, 1)], "soft")
    sure = [b for b in bins if b.count >= FEW]
    for b in bins:
        tip = f"{b.low:.2f} to {b.high:.2f}: {count(b.count, noun)}, "
        tip += f"mean probability {b.probability:.3f}, {words.share.lower()} {b.share:.3f}"
        if b.count < FEW:
            tip += ", too few to say much"
        strength = 0.3 if b.count >= FEW else 0.1
        plot.cells([(b.low, b.high, 0.0, b.share, strength)], [tip])
    plot.line([(b.probability, b.share) for b in sure], "a")
    plot.dots([(b.probability, b.share) for b in sure], [""] * len(sure), "a")
    few = [b for b in bins if b.count < FEW]
    plot.dots([(b.probability, b.share) for b in few], [""] * len(few), "hollow")
    below = f"{measured[:1].upper()}{measured[1:]}. {verdict}"
    if few:
        which = "A hollow dot is a bin" if len(few) == 1 else f"{len(few)} hollow dots are bins"
        below += f" {which} with fewer than {FEW} {noun}s."
    return Figure(f"Reliability: {words.of}", plot.drawing(), [Text(below, "note")])
