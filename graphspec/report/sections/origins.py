"""Where a run comes from: its spec, versions and hashes, and the command that repeats it."""

from __future__ import annotations

import json

from graphspec.report.findings import Findings
from graphspec.report.page import Section, text


def origins(found: Findings) -> Section | None:
    """Return the record of the run."""
    return Section("origins", "Spec and versions", f"<pre>{text(json.dumps(found.record, indent=1))}</pre>")
