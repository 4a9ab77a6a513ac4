"""What was trained, on what, and how well it answers."""

from __future__ import annotations

from graphspec.report.findings import Findings
from graphspec.report.page import Section, text
from graphspec.text import number


def headline(found: Findings) -> Section | None:
    """Return the losses and metrics of the judged rows."""
    judged = found.judged
    if judged is None:
        return Section("results", "Results", f"<p>{text(found.missing)}</p>")
    rows = "".join(
        f"<tr><th scope=row>{text(k)}</th><td>{number(value)}</td><td>{text(judged.meanings.get(k, ''))}</td></tr>"
        for k, value in judged.results.items()
    )
    caption = f"{judged.total:,} {judged.part} rows"
    return Section("results", "Results", f"<table><caption>{caption}</caption><tbody>{rows}</tbody></table>")
