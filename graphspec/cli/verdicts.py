"""Whether a network beats simple rules, on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.cli.console import complain, out_wrapped

if TYPE_CHECKING:
    from graphspec.report.findings import Findings

_MOST = 5  # heads


def print_verdicts(found: Findings) -> None:
    """Print how each head compares with the best simple rule: a warning where it is not better."""
    from graphspec.report.verdicts import lines

    for line in lines(found.verdicts)[:_MOST]:
        if line.better is False:
            complain(f"warning: {line.text}")
        else:
            out_wrapped(line.text)
