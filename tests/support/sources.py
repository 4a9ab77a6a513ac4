"""The modules of the package, parsed when a test asks for them, and once: collecting tests parses nothing."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path

import graphspec
from graphspec.base.gc_pause import gc_paused

PACKAGE = Path(graphspec.__file__).parent
FILES = {
    ".".join(["graphspec", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
"""The files by the names of their modules."""


@cache
def trees() -> dict[str, ast.Module]:
    """Return the syntax trees by the names of the modules."""
    with gc_paused():  # a quarter of the time
        found = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in FILES.items()}
        gc.freeze()  # they stay: else each later collection would look at their 1.5 million objects
    return found
