"""Write the tables of `docs/diagnostics.md` from :class:`graphspec.codes.Code`: ``python -m tools.make_diagnostics``.

A table stands between ``<!-- GS1 -->``, for the codes that begin so, and ``<!-- end -->``. What is around it is kept.
"""

from __future__ import annotations

import re
from pathlib import Path

from graphspec.codes import Code
from graphspec.files import write_atomic

PAGE = Path(__file__).parent.parent / "docs" / "diagnostics.md"


def page(text: str) -> str:
    """``text`` with its tables written anew."""

    def written(found: re.Match[str]) -> str:
        return f"<!-- {found[1]} -->\n\n{table(found[1])}\n<!-- end -->"

    return re.sub(r"<!-- (GS\d) -->.*?<!-- end -->", written, text, flags=re.DOTALL)


def table(group: str) -> str:
    """The codes that begin with ``group``."""
    rows = ["| code | problem | what to do |", "| --- | --- | --- |"]
    for code in Code:
        if code.startswith(group):
            rows.append(f"| {code} | **{code.summary}.** {code.explanation} | {code.remedy} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    write_atomic(PAGE, page(PAGE.read_text(encoding="utf-8")))
