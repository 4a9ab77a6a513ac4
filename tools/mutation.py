"""Do tests notice small faults? ``python -m tools.mutation [FILES] [--sample N] [--results FILE] [--markdown PAGE]``.

A *mutant* is a module with one fault, such as ``<`` for ``<=``. It is *killed* if a test fails, or if the tests no longer
end. The score is the share of killed mutants among those that are not *equivalent*: no result depends on the fault. The
file ``mutation_equivalent.toml`` has the reasons. Without FILES, N mutants of each of the areas below are drawn.

It stands here because mutmut and cosmic-ray copy or edit the tree and start pytest for each mutant. Here NumPy, ONNX and
pytest are imported once; each mutant is a fork, whose import of one module finds the fault, and the tests nearest to the
fault run first. The tests of ``graphspec/a/b/c.py`` are those in ``tests/a/b``, those of the modules that import from it,
and at last the others in ``tests/a``: all of them without the slow ones.
Commands that tests start do not see the fault. It needs Linux or macOS.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import math
import multiprocessing
import os
import random
import re
import resource
import signal
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
EQUIVALENT = Path(__file__).with_name("mutation_equivalent.toml")
AREAS = {
    "gradients as nodes": "graphspec/graph/derivatives/*.py",
    "shape rules": "graphspec/graph/ops/*.py",
    "kernels and their gradients": "graphspec/graph/ops/*.py",
    "losses": "graphspec/vocabulary/losses/*.py",
    "optimizers": "graphspec/graph/optimizers/*.py",
}
SHAPE_RULE = re.compile(r"\b(Type|Shape|Dim)\b")
"""What the annotation of a result says where a function is a shape rule."""
LIMIT = 10
"""Seconds of a processor that tests with a fault may take, besides twice the time of those without."""
ROUNDS = ("near", "other", "far")
"""Which tests run, as long as none fails."""
IMPORTED_ONCE = ("hypothesis", "numpy", "onnx", "onnxruntime", "pytest")

OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
}  # fmt: skip
COMMUTATIVE = {
    "Add",
    "Mul",
    "Sum",
    "And",
    "Or",
    "Equal",
    "Max",
    "Min",
    "add",
    "multiply",
    "maximum",
    "minimum",
    "max",
    "min",
}
NO_RESULT = {"annotation", "returns", "decorator_list", "type_params", "msg"}
"""Fields of the syntax tree that say nothing about results."""


@dataclass(frozen=True)
class Mutant:
    """One fault: ``before`` became ``after`` in a function of a file. ``copy`` counts the same change there."""

    file: str
    function: str
    kind: str
    before: str
    after: str
    copy: int
    line: int
    area: str

    @property
    def key(self) -> str:
        again = f" [{self.copy}]" if self.copy else ""
        return f"{self.file} {self.function}: {self.before} → {self.after}{again}"


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The faults at one node of a syntax tree: their kinds, and what stands there instead."""

    def changed(**fields: Any) -> Any:
        other = copy.copy(node)
        vars(other).update(fields)
        return other

    match node:
        case ast.Compare(ops=[op, *rest]):
            yield "comparison", changed(ops=[OTHER[type(op)](), *rest])
        case ast.BoolOp(op=op):
            yield "boolean", changed(op=OTHER[type(op)]())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "boolean", operand
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield "sign", operand
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OTHER:
            if not any(is_text(x) or isinstance(x, ast.List | ast.Tuple) for x in (left, right)):  # an error at once
                yield "arithmetic", changed(op=OTHER[type(op)]())
        case ast.Constant(value=bool(value)):
            yield "boolean", changed(value=not value)
        case ast.Constant(value=int(value)):
            yield "constant", changed(value=value + 1 if value < 2 else value - 1)
        case ast.Constant(value=float(value)):
            yield "constant", changed(value=2 * value or 1.0)
        case ast.If(test=test) | ast.IfExp(test=test) if isinstance(test, ast.Name | ast.Attribute | ast.Call):
            yield "boolean", changed(test=ast.UnaryOp(ast.Not(), test))
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise():
            yield "statement", ast.Pass()
        case ast.Call(func=func, args=[first, second, *rest]):
            name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
            refused = any(is_text(x) or isinstance(x, ast.Starred) for x in (first, second))
            if not refused and name not in COMMUTATIVE and ast.dump(first) != ast.dump(second):
                yield "arguments", changed(args=[second, first, *rest])


def places(node: ast.AST, function: str = "", rule: bool = False) -> Iterator[tuple[Any, Any, ast.AST, str, bool]]:
    """Every node that may be changed, where it is held, the function around it, and whether that is a shape rule."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}".lstrip(".")
        returns = getattr(node, "returns", None)
        rule = rule or (returns is not None and SHAPE_RULE.search(ast.unparse(returns)) is not None)
    for name, value in ast.iter_fields(node):
        if name in NO_RESULT:
            continue
        held: Iterable[tuple[Any, Any, Any]] = (
            [(value, k, item) for k, item in enumerate(value)]
            if isinstance(value, list)
            else [(vars(node), name, value)]
        )
        for holder, key, item in held:
            if not isinstance(item, ast.AST):
                continue
            yield holder, key, item, function, rule
            typing_only = isinstance(item, ast.If) and "TYPE_CHECKING" in ast.unparse(item.test)
            if not isinstance(item, ast.JoinedStr | ast.Raise) and not typing_only:
                yield from places(item, function, rule)


def mutants_of(source: str, file: str = "", area: str = "") -> Iterator[tuple[Mutant, ast.Module]]:
    """Every mutant of a module with its syntax tree, which is only valid until the next one is asked for."""
    tree = ast.parse(source)
    seen: Counter[tuple[str, str, str]] = Counter()
    for holder, key, node, function, rule in list(places(tree)):
        for kind, other in changes(node):
            line = getattr(node, "lineno", 0)
            before, after = (shown(x) for x in (node, other))
            repeated = seen[function, before, after]
            seen[function, before, after] += 1
            if area in ("shape rules", "kernels and their gradients") and rule != (area == "shape rules"):
                continue
            holder[key] = ast.copy_location(other, node)
            yield Mutant(file, function, kind, before, after, repeated, line, area), tree
            holder[key] = node


def shown(node: ast.AST) -> str:
    """What a node stands for, without the statements inside it."""
    return f"if {ast.unparse(node.test)}" if isinstance(node, ast.If) else ast.unparse(node)


@cache
def equivalent() -> dict[str, str]:
    """The reasons why mutants are equivalent, by their keys."""
    found: dict[str, str] = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))
    return found


def sample(root: Path, files: Sequence[str], count: int | None, seed: int) -> list[Mutant]:
    """The mutants of some files, or of the areas; ``count`` of each area, where it has more."""
    areas = {file: [file] for file in files} or {
        area: sorted(path.relative_to(root).as_posix() for path in root.glob(files)) for area, files in AREAS.items()
    }
    chosen: list[Mutant] = []
    for area, of_area in areas.items():
        found = [m for file in of_area for m, _ in mutants_of((root / file).read_text(encoding="utf-8"), file, area)]
        numbers = range(len(found))
        if count is not None and count < len(found):
            numbers = sorted(random.Random(f"{seed} {area}").sample(numbers, count))
        chosen += [found[k] for k in numbers]
    return chosen


class Faulty(importlib.machinery.SourceFileLoader):
    """Loads a module with a fault; the file stays as it is."""

    def __init__(self, name: str, path: str, mutant: Mutant) -> None:
        super().__init__(name, path)
        self.mutant = mutant

    def get_code(self, fullname: str) -> Any:
        source = Path(self.path).read_text(encoding="utf-8")
        for mutant, tree in mutants_of(source, self.mutant.file, self.mutant.area):
            if mutant == self.mutant:
                return compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)
        raise LookupError(self.mutant.key)


class Finder(importlib.abc.MetaPathFinder):
    """Finds one module, which has a fault."""

    def __init__(self, root: Path, mutant: Mutant) -> None:
        self.name = mutant.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self.loader = Faulty(self.name, str(root / mutant.file), mutant)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return (
            importlib.util.spec_from_file_location(name, self.loader.path, loader=self.loader)
            if name == self.name
            else None
        )


class Near:
    """A plugin of pytest: only tests whose ids name the function or class of a fault, or its file; or only the others."""

    def __init__(self, mutant: Mutant, others: bool) -> None:
        names = (mutant.function.partition(".")[0], Path(mutant.file).stem)
        self.names = [short for name in names if len(short := name.replace("_", "").lower()) > 3]
        self.others = others

    def far(self, item: Any) -> tuple[bool, ...]:
        text = f"{item.path.stem} {item.name}".replace("_", "").lower()
        return tuple(name not in text for name in self.names)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = sorted((item for item in items if all(self.far(item)) == self.others), key=self.far)


def tests_of(root: Path, file: str) -> Path:
    """The folder of the nearest tests: that of the same name, or of the one above."""
    folder = Path("tests", *Path(file).parent.parts[1:])
    while not any((root / folder).glob("test_*.py")) and folder != Path("tests"):
        folder = folder.parent
    return folder


def tests_of_users(root: Path, file: str) -> list[Path]:
    """The tests of the modules in other folders that import from a file: ``test_c.py`` of ``graphspec/b/c.py``."""
    package, *_ = Path(file).parts
    words = f"from {file.removesuffix('.py').replace('/', '.')} import"
    found = (p.relative_to(root) for p in (root / package).rglob("*.py") if words in p.read_text(encoding="utf-8"))
    tests = [Path("tests", *user.parent.parts[1:], f"test_{user.stem}.py") for user in found]
    return sorted(path for path in tests if (root / path).exists() and path.parent != tests_of(root, file))


def tests_in(root: Path, file: str, which: str) -> list[str]:
    """What pytest is told to run in a round; nothing where it would be the same again."""
    folder, floor = tests_of(root, file), Path("tests", Path(file).parts[1])
    if which == "far":
        return [] if folder == floor else [floor.as_posix(), f"--ignore={folder.as_posix()}"]
    return [folder.as_posix(), *(path.as_posix() for path in tests_of_users(root, file) if which == "other")]


def run_tests(root: Path, file: str, mutant: Mutant | None, which: str, limit: float | None) -> None:
    """Run the tests of a file in a process of their own, and end it: with 0 if they pass, with 5 if there are none."""
    import pytest

    os.chdir(root)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), math.ceil(limit) + 5))
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    sys.path[:0] = [str(root)]
    if mutant:
        sys.meta_path.insert(0, Finder(root, mutant))
    options = ["-x", "-q", "--rootdir", str(root), "--confcutdir", str(root), "--assert=plain"]
    plugins = [Near(mutant, which == "other")] if mutant and which != "far" else []
    os._exit(int(pytest.main([*options, *tests_in(root, file, which)], plugins)))


def verdict_of(
    root: Path, file: str, mutant: Mutant | None, which: str = "near", limit: float | None = None
) -> tuple[str, float]:
    """What the tests of a round say of a mutant, and the seconds of a processor that they took.

    The limit is of such seconds: a machine that is busy with something else kills no mutant.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = multiprocessing.get_context("fork").Process(target=run_tests, args=(root, file, mutant, which, limit))
    process.start()
    process.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    if process.exitcode == -signal.SIGXCPU:
        return "killed by the limit of time", seconds
    return "survived" if process.exitcode in (0, 5) else "killed", seconds


def measure(root: Path, mutants: Sequence[Mutant], results: Path | None) -> dict[str, Any]:
    """What became of each mutant, by its key, and how long the tests of each folder take.

    Each round runs for the mutants that the last one has left. What ``results`` knows as killed does not run again.
    """
    found: dict[str, Any] = json.loads(results.read_text(encoding="utf-8")) if results and results.exists() else {}
    for which, (n, mutant) in product(ROUNDS, enumerate(mutants, 1)):
        if found.get(mutant.key, "").startswith("killed") or mutant.key in equivalent():
            continue
        tests = tests_in(root, mutant.file, which)
        if not tests:
            continue
        if (key := " ".join(tests if which == "far" else tests[:1])) not in found:
            verdict, found[key] = verdict_of(root, mutant.file, None, which)
            if verdict != "survived":
                raise SystemExit(f"{key}: the tests fail without a fault: mend them first")
            print(f"{key}: the tests take {found[key]:.0f} s", flush=True)
        found[mutant.key], seconds = verdict_of(root, mutant.file, mutant, which, 2 * found[key] + LIMIT)
        text = f"{n}/{len(mutants)} {found[mutant.key]} {which} tests in {seconds:.1f} s"
        print(f"{text}: {mutant.kind}, line {mutant.line}, {mutant.key}", flush=True)
        if results:
            results.write_text(json.dumps(found, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    return found


def table(mutants: Sequence[Mutant], verdicts: dict[str, str], by: str) -> list[str]:
    """The lines of a Markdown table by ``area`` or ``kind``."""
    rows = [f"| {by} | mutants | killed | equivalent | survived | score |", "| --- | --: | --: | --: | --: | --: |"]
    groups = [*dict.fromkeys(getattr(m, by) for m in mutants)]
    for group in [*(groups if by == "area" else sorted(groups)), "all"]:
        keys = [m.key for m in mutants if group in (getattr(m, by), "all")]
        same = sum(key in equivalent() for key in keys)
        killed = sum(key not in equivalent() and verdicts[key] != "survived" for key in keys)
        score = f"{100 * killed / (len(keys) - same):.0f} %" if len(keys) > same else ""
        rows.append(f"| {group} | {len(keys)} | {killed} | {same} | {len(keys) - same - killed} | {score} |")
    return rows


def write_tables(page: Path, tables: list[str]) -> None:
    """Replace the tables in the section Mutation of a page."""
    text = page.read_text(encoding="utf-8")
    head, heading, section = text.partition("\n## Mutation\n")
    before, _, rest = section.partition("\n| area |")
    after = rest[rest.rindex("|\n") + 2 :]
    page.write_text(f"{head}{heading}{before}\n" + "\n".join(tables) + f"\n{after}", encoding="utf-8")


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.mutation", description="Do tests notice small faults?")
    parser.add_argument("files", nargs="*", help="files of the package, such as graphspec/graph/ops/reduce.py")
    parser.add_argument("--sample", type=int, help="mutants of each file or area (all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, help="a JSON file; what it knows as killed does not run again")
    parser.add_argument("--markdown", type=Path, help="a page, whose section Mutation gets the tables")
    given = parser.parse_args(arguments)
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    begun = time.monotonic()
    mutants = sample(root, given.files, given.sample, given.seed)
    verdicts = measure(root, mutants, given.results)
    tables = [*table(mutants, verdicts, "area"), "", *table(mutants, verdicts, "kind")]
    print(f"\n{time.monotonic() - begun:.0f} s\n", *tables, sep="\n")
    if given.markdown:
        write_tables(given.markdown, tables)
    return int(any(verdicts.get(m.key) == "survived" and m.key not in equivalent() for m in mutants))


if __name__ == "__main__":
    sys.exit(main())
