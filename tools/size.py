"""The size of the package against its budget, and what a change adds: ``python -m tools.size [--since COMMIT]``.

The budget is ``lines`` under ``[tool.budget]`` in ``pyproject.toml``: physical lines of Python in ``graphspec/``. The exit
status is 1 above it. Without ``--since`` a change is compared with where it left ``origin/main``, or with the commit before.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = "graphspec"


@dataclass
class Size:
    """Lines and files of Python, by folder of the package."""

    lines: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)

    def add(self, path: str, text: bytes) -> None:
        """Count a file, whose path begins with that of the package."""
        _, first, *rest = path.split("/")
        folder = f"{first}/" if rest else first
        self.lines[folder] += len(text.splitlines())
        self.files[folder] += 1


def size_of_tree(root: Path) -> Size:
    """The size of what lies in a folder now."""
    size = Size()
    for path in (root / PACKAGE).rglob("*.py"):
        size.add(path.relative_to(root).as_posix(), path.read_bytes())
    return size


def size_of_commit(root: Path, commit: str) -> Size:
    """The size of a commit."""
    size = Size()
    names = _git(root, "ls-tree", "-r", "--name-only", commit, PACKAGE).decode().splitlines()
    paths = [name for name in names if name.endswith(".py")]
    asked = "".join(f"{commit}:{path}\n" for path in paths).encode()
    found = subprocess.run(
        ["git", "cat-file", "--batch"], cwd=root, input=asked, capture_output=True, check=True
    ).stdout
    for path in paths:
        head, _, found = found.partition(b"\n")
        length = int(head.split()[2])
        size.add(path, found[:length])
        found = found[length + 1 :]
    return size


def base_of(root: Path) -> str | None:
    """The commit that a change is compared with; None without a history."""
    for words in (("merge-base", "HEAD", "origin/main"), ("rev-parse", "HEAD")):
        try:
            commit = _git(root, *words).decode().strip()
            if commit != _git(root, "rev-parse", "HEAD").decode().strip():
                return commit
        except (subprocess.CalledProcessError, FileNotFoundError):
            continue
    try:
        return _git(root, "rev-parse", "HEAD^").decode().strip()
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None


def budget_of(root: Path) -> int:
    """The budget in lines."""
    return int(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["budget"]["lines"])


def report(now: Size, before: Size | None, budget: int) -> Iterable[str]:
    """The lines of a table: lines and files by folder, what a change adds and removes, and the budget."""
    old = Size() if before is None else before
    for folder in sorted({*now.lines, *old.lines}, key=lambda name: -max(now.lines[name], old.lines[name])):
        yield _row(folder, now.lines[folder], now.files[folder], None if before is None else old.lines[folder])
    total = now.lines.total()
    yield _row("all", total, now.files.total(), None if before is None else old.lines.total())
    left = budget - total
    yield f"budget {budget:,}: " + (f"{left:,} lines are left" if left >= 0 else f"{-left:,} lines too many")


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.size", description=__doc__)
    parser.add_argument("--since", metavar="COMMIT", help="what to compare with")
    since = parser.parse_args(arguments).since or base_of(root)
    now, budget = size_of_tree(root), budget_of(root)
    if since is not None:
        print(f"lines and files of {PACKAGE}/, and what changed since {since[:8]}:")
    print(*report(now, None if since is None else size_of_commit(root, since), budget), sep="\n")
    if now.lines.total() > budget:
        print("shorten something else, or argue in pyproject.toml for a larger budget", file=sys.stderr)
        return 1
    return 0


def _git(root: Path, *words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, check=True).stdout


def _row(folder: str, lines: int, files: int, before: int | None) -> str:
    change = "" if before is None or before == lines else f"{lines - before:+,}"
    return f"  {folder:<18}{lines:>9,}{files:>6}{change:>9}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
