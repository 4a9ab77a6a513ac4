"""Whether a network beats simple rules, on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.cli.console import complain, out_wrapped

if TYPE_CHECKING:
    from graphspec.api import Model
    from graphspec.data.batches import Dataset
    from graphspec.show.report.findings import Findings

_MOST = 5  # heads, or fields


def print_verdicts(found: Findings, *, measures: bool = False) -> None:
    """Print how each head compares with the best simple rule, and what is too good: warnings where something is wrong.

    Args:
        measures: whether to measure for this how important each field is.
    """
    from graphspec.show.report.too_good import too_good
    from graphspec.show.report.verdicts import lines

    for line in lines(found.verdicts)[:_MOST]:
        out_wrapped(f"warning: {line.text}" if line.better is False else line.text, 2)
    names = " and ".join(f"'{name}'" for name in list(found.given)[:_MOST])
    said = f"{names} {'give' if len(found.given) > 1 else 'gives'} away the target, as said at the start"
    for text in [said] if found.given else too_good(found, measures=measures):
        out_wrapped(f"warning: {text}", 2)


def print_given_away(model: Model, train: Dataset) -> None:
    """Warn about fields that alone give away the target."""
    from graphspec.show.report.given_away import ASK, given_away

    found = given_away(model, train)
    for name, why in list(found.items())[:_MOST]:
        complain(f"warning: '{name}' {why}; {ASK}")
