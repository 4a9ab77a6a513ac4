"""Tables in Markdown, printed and put into the page of results."""

from __future__ import annotations

import os
import platform
import re
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arrays.cores import usable_cores

PAGE = Path(__file__).with_name("README.md")


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Cells in aligned columns."""
    rows = [head, *lines]
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    texts = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows]
    texts.insert(1, "| " + " | ".join("-" * w for w in widths) + " |")
    return "\n".join(texts)


def milliseconds(seconds: float) -> str:
    ms = seconds * 1e3
    return f"{ms:.3f}" if ms < 1 else f"{ms:.2f}" if ms < 10 else f"{ms:.1f}" if ms < 1000 else f"{ms:.0f}"


def machine() -> dict[str, Any]:
    """Where this was measured."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[index, call-overload]
    return {
        "cpu": model or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def where() -> str:
    """The machine in a line."""
    return ", ".join(f"{key} {value}" for key, value in machine().items() if value is not None)


def add_page(parser: ArgumentParser) -> None:
    """The option ``--markdown``."""
    text = "put the tables into FILE, by default benchmarks/README.md"
    parser.add_argument("--markdown", type=Path, nargs="?", const=PAGE, metavar="FILE", help=text)


def publish(name: str, text: str, page: Path | None) -> None:
    """Print a result, and put it between the marks of that name in ``page``, if there is one.

    Raises:
        ValueError: the page has no such marks.
    """
    print(text, flush=True)
    if page is None:
        return
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    new, count = marked.subn(lambda _: f"{begin}\n{text.strip()}\n{end}", page.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError(f"{page} has no place marked {begin} … {end}")
    page.write_text(new, encoding="utf-8")
