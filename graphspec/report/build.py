"""Build the report of a run and write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from graphspec.files import write_atomic
from graphspec.report.findings import Findings, find
from graphspec.report.page import Section, page
from graphspec.report.sections.columns import columns
from graphspec.report.sections.headline import headline
from graphspec.report.sections.importance import importance
from graphspec.report.sections.network import network
from graphspec.report.sections.origins import origins
from graphspec.report.sections.worst import worst

if TYPE_CHECKING:
    from graphspec.runtime.session import Session

REPORT = "report.html"
SECTIONS: tuple[Callable[[Findings], Section | None], ...] = (
    headline,
    worst,
    columns,
    importance,
    network,
    origins,
)
"""The sections in their order on the page; one that returns None is left out."""


def report_html(found: Findings) -> str:
    """Return the page of a run."""
    sections = [section for make in SECTIONS if (section := make(found)) is not None]
    return page(found.model.spec.name, sections)


def write_report(model: Session, directory: Path) -> Path:
    """Write ``report.html`` into a run directory, and return its path."""
    path = directory / REPORT
    write_atomic(path, report_html(find(model, directory)))
    return path
