"""Build the report of a run and write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from graphspec.base.arrays.blas import computing
from graphspec.base.document import Section
from graphspec.base.files import write_atomic
from graphspec.data.batches import Dataset
from graphspec.engine.runtime.session import Session
from graphspec.engine.training.reporting import Fitted
from graphspec.show.html import Opening, page
from graphspec.show.report.about import about, headline, origins, sentence
from graphspec.show.report.columns import columns
from graphspec.show.report.curves import curves
from graphspec.show.report.findings import Findings, find, judge, judged_by_spec, of_model
from graphspec.show.report.heads import heads
from graphspec.show.report.importance import importance
from graphspec.show.report.network import network
from graphspec.show.report.worst import worst

REPORT, PAGE = "report.html", "page.html"
# the sections in their order on the page; one that returns None is left out
SECTIONS: tuple[Callable[[Findings], Section | None], ...]
SECTIONS = (headline, curves, heads, worst, columns, importance, network, origins)


class Written(NamedTuple):
    """A written report: its path, and why it lacks results by rows, if it does."""

    path: Path
    missing: str


def report_html(found: Findings) -> str:
    """Return the page of a run."""
    sections = [section for make in SECTIONS if (section := make(found)) is not None]
    spec = found.model.spec
    has_page = found.directory is not None and (found.directory / PAGE).is_file()
    opening = Opening(spec.name, about(found), (spec.description, sentence(found.model)))
    return page(opening, sections, {"Try it": PAGE} if has_page else {})


@computing()
def write_model_report(model: Session, path: Path, fitted: Fitted, rows: Dataset | None = None) -> Written:
    """Write the report of a model in the memory, judged by checked raw rows, by default those of the spec."""
    found = of_model(model, fitted)
    return write_found(judged_by_spec(found) if rows is None else judge(found, rows, "given"), path)


def write_report(model: Session, directory: Path, path: Path | None = None, part: str | None = None) -> Written:
    """Write the report of a run, by default into its directory; more: :func:`graphspec.show.report.findings.find`."""
    return write_found(find(model, directory, part), path or directory / REPORT)


def write_found(found: Findings, path: Path) -> Written:
    """Write what was found out about a run."""
    write_atomic(path, report_html(found))
    return Written(path, found.missing)
