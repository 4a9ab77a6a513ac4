"""How much of the package the tests run, and the least that they must: ``python -m tools.coverage [WORDS FOR PYTEST]``.

Runs pytest with coverage.py (``pip install -e ".[test]"``) in two processes, with the processes that they start, and prints
lines and branches by floor of ``graphspec/`` (docs/architecture.md). The least in percent stands under
``[tool.least-coverage]`` in ``pyproject.toml``. The exit status is 1 if a floor has less, or that of pytest if a test fails.

``--keep`` adds to what earlier runs have measured, so that the suite can be run in parts: it is in ``build/coverage``.
``--floors data export`` shows and checks only these: those whose tests were run.
"""

from __future__ import annotations

import argparse
import json
import math
import operator
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from benchmarks.tables import publish

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "graphspec"
MODULES = "*.py"
"""The row of the modules beside the floors."""
KEYS = ("num_statements", "covered_lines", "num_branches", "covered_branches")
"""The fields of :class:`Count` in coverage.py's summary of a file."""


@dataclass
class Count:
    """Lines that can run, branches that they can take, and how many did."""

    lines: int = 0
    lines_run: int = 0
    branches: int = 0
    branches_taken: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(*map(operator.add, astuple(self), astuple(other)))

    @property
    def percent(self) -> float:
        """Lines and branches together, as coverage.py counts; 100 where there is nothing to run."""
        whole = self.lines + self.branches
        return 100 * (self.lines_run + self.branches_taken) / whole if whole else 100.0


def measure(root: Path, data: Path, words: list[str]) -> int:
    """Run pytest; each process leaves a file beside ``data``. The status of pytest."""
    command = [sys.executable, "-m", "coverage", "run", "-m", "pytest", "-n", "2", *words]
    return subprocess.run(command, cwd=root, env=os.environ | {"COVERAGE_FILE": str(data)}, check=False).returncode


def read(root: Path, data: Path) -> dict[str, Any]:
    """What was measured, as in coverage.py's JSON.

    Raises:
        coverage.exceptions.NoDataError: nothing was measured.
    """
    from coverage import Coverage

    with tempfile.TemporaryDirectory() as folder:
        combined = Coverage(data_file=f"{folder}/{data.name}", config_file=str(root / "pyproject.toml"))
        combined.combine([str(data.parent)], strict=True, keep=True)
        combined.json_report(outfile=f"{folder}/report.json", ignore_errors=True)
        found: dict[str, Any] = json.loads(Path(f"{folder}/report.json").read_text(encoding="utf-8"))
    return found


def count(report: Mapping[str, Any]) -> dict[str, Count]:
    """The floors, by name, from coverage.py's JSON."""
    floors: dict[str, Count] = {}
    for path, file in report["files"].items():
        parts = Path(path).parts
        below = parts[len(parts) - parts[::-1].index(PACKAGE) :]
        name = below[0] if len(below) > 1 else MODULES
        floors[name] = floors.get(name, Count()) + Count(*(file["summary"][key] for key in KEYS))
    return floors


def least_of(root: Path) -> dict[str, int]:
    """The least coverage of each floor, in percent."""
    tables = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    return dict(tables["least-coverage"])


def set_least(root: Path, floors: Mapping[str, Count]) -> None:
    """Write the least of floors into ``pyproject.toml``: what was measured, rounded down, less one percent."""
    least = least_of(root) | {name: max(0, int(floor.percent) - 1) for name, floor in floors.items() if name != MODULES}
    page = root / "pyproject.toml"
    text = re.sub(
        r"(?<=^\[tool\.least-coverage\]\n)(\w+ = \d+\n)*",
        "".join(f"{name} = {least[name]}\n" for name in sorted(least)),
        page.read_text(encoding="utf-8"),
        flags=re.M,
    )
    page.write_text(text, encoding="utf-8", newline="\n")


def below_least(floors: Mapping[str, Count], least: Mapping[str, int]) -> list[str]:
    """A sentence for each floor that has less than it must."""
    return [
        f"{name}: {_rounded(floors.get(name, Count(1)).percent)} % is covered, {percent} % is the least: "
        "add tests, or delete what nothing needs"
        for name, percent in least.items()
        if floors.get(name, Count(1)).percent < percent
    ]


def table(floors: Mapping[str, Count], least: Mapping[str, int]) -> Iterable[str]:
    """The lines of a table in Markdown: the floors, the least covered first, and all."""
    yield "| floor | lines | run | branches | taken | covered | least |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name, floor in sorted(floors.items(), key=lambda item: item[1].percent):
        yield _row(f"`{name}`" if name == MODULES else f"`{name}/`", floor, f"{least[name]} %" if name in least else "")
    yield _row("all", sum(floors.values(), Count()), "")


def worst(report: Mapping[str, Any], files: int) -> Iterable[str]:
    """The files with most lines and branches that were not run, and these lines."""
    missed = {
        path: file["summary"]["missing_lines"] + file["summary"]["missing_branches"]
        for path, file in report["files"].items()
    }
    for path in sorted(missed, key=lambda name: -missed[name])[:files]:
        file = report["files"][path]
        arrows = ", ".join(f"{start}→{'end' if end < 0 else end}" for start, end in file["missing_branches"])
        yield f"{path}: lines {', '.join(map(str, file['missing_lines'])) or 'none'}; branches {arrows or 'none'}"


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.coverage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slow", action="store_true", help="run the slow tests after the quick ones")
    parser.add_argument("--keep", action="store_true", help="add to what was measured before")
    parser.add_argument("--no-run", action="store_true", help="only show what was measured before")
    parser.add_argument("--worst", type=int, default=0, metavar="FILES", help="list what this many files miss")
    parser.add_argument("--floors", nargs="+", default=[], metavar="FLOOR", help="show and check only these")
    parser.add_argument("--set-least", action="store_true", help="let the least be one percent below what is measured")
    parser.add_argument("--markdown", type=Path, metavar="PAGE", help="write the table into a page, between its marks")
    given, words = parser.parse_known_args(arguments)
    data = root / "build" / "coverage" / "data"
    data.parent.mkdir(parents=True, exist_ok=True)
    status = 0
    if not given.no_run:
        for old in () if given.keep else data.parent.iterdir():
            old.unlink()
        status = measure(root, data, words)
        if given.slow:
            status = measure(root, data, [*words, "-m", "slow"]) or status
    report = read(root, data)
    floors = {name: floor for name, floor in count(report).items() if not given.floors or name in given.floors}
    if given.set_least:
        set_least(root, floors)
    least = {name: percent for name, percent in least_of(root).items() if not given.floors or name in given.floors}
    publish("coverage", "\n".join(table(floors, least)), given.markdown)
    print(*worst(report, given.worst), sep="\n")
    problems = below_least(floors, least)
    for problem in problems:
        print(problem, file=sys.stderr)
    return status or int(bool(problems))


def _rounded(percent: float) -> str:
    return f"{math.floor(percent * 10) / 10:.1f}"  # 99.96 % is not all


def _row(name: str, floor: Count, least: str) -> str:
    numbers = f"{floor.lines:,} | {floor.lines_run:,} | {floor.branches:,} | {floor.branches_taken:,}"
    return f"| {name} | {numbers} | {_rounded(floor.percent)} % | {least} |"


if __name__ == "__main__":
    sys.exit(main())
