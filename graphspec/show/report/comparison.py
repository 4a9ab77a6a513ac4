"""Several runs on one page: their results side by side, the keys in which their specs differ, their curves together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graphspec.base.document import Section
from graphspec.base.files import write_atomic
from graphspec.base.text import count
from graphspec.show.html import Opening, page
from graphspec.show.report.compared import Compared, compared, names_of
from graphspec.show.report.findings import find
from graphspec.show.report.sections.compared import compared_curves, differing, origins_of, results
from graphspec.show.report.task import listed

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session

MOST = 20
"""Runs on one page."""


def write_comparison(
    runs: Sequence[Path], load: Callable[[Path], Session], path: Path, part: str | None = None
) -> list[str]:
    """Write a page that compares runs; return what could not be found out about some of them, as sentences.

    One run after the other is loaded, so that only one is in the memory.

    Args:
        load: returns the model of a run directory.
        part: the rows to judge by; by default the first that each spec has.

    Raises:
        GraphspecError: as for a report of each run.
    """
    names = names_of(runs)
    found = [compared(find(load(run), run, part), name) for run, name in zip(runs, names, strict=True)]
    write_atomic(path, comparison_html(found))
    return [f"{run.name}: {run.missing[:1].lower()}{run.missing[1:].rstrip('.')}" for run in found if run.missing]


def comparison_html(runs: Sequence[Compared]) -> str:
    """Return the page."""
    made: Iterable[Section | None] = (results(runs), compared_curves(runs), differing(runs), origins_of(runs))
    sections = [section for section in made if section is not None]
    specs = dict.fromkeys(run.spec_name for run in runs)
    title = next(iter(specs)) if len(specs) == 1 else "Comparison of runs"
    kinds = listed([*dict.fromkeys(run.kind for run in runs)]).capitalize()
    return page(Opening(title, f"{kinds} · {count(len(runs), 'run')} compared"), sections)
