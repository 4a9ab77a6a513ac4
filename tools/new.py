"""Start a layer, an operator, a loss, a metric, a pass or a command: ``python -m tools.new KIND NAME [--family FILE]``.

Without NAME, print what is to know about the kind, a section of ``tools/guides.md``; without KIND, the kinds.
Writes a small skeleton that works, its test, and the line that registers it; of an operator, its entry for the tables
of tests, too. Then prints what is left to do. With ``--family`` the class goes into the file of that family, and its
test into the family's, otherwise it gets files of its own. For a pass, the family is
the pipeline: ``program`` or ``export``. No file is overwritten.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import json
import keyword
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from string import Template

from graphspec.base.config import with_article
from graphspec.base.files import create, write_atomic
from tools.edit import (
    RefusedError,
    add_imports,
    add_to_dict,
    add_to_table,
    add_to_tuple,
    defined,
    imported,
    names_in,
)
from tools.skeletons import EXPORTED, KINDS, Kind

ROOT = Path(__file__).parent.parent
GUIDES = re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", (ROOT / "tools" / "guides.md").read_text("utf-8"), re.M | re.S)
"""The kinds of additions, and what is to know about each."""
STYLES = {
    "pass": (r"[a-z][a-z0-9]*(_[a-z0-9]+)+", "a verb and its object in snake case, such as `fold_constants`"),
    "command": (r"[a-z][a-z0-9]*", "one lower-case word, such as `summary`"),
}
CLASS = (r"[A-Z][A-Za-z0-9]*", "a class name, such as `LeakyReLU`")
FUTURE = "from __future__ import annotations\n"
MOST_FILES = 45
"""In one folder: `tests/test_architecture.py`."""


def snake_case(name: str) -> str:
    """As Keras does it: ``MeanIoU`` is ``mean_io_u``, ``Conv1D`` is ``conv1d``."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def check_name(kind: str, name: str) -> None:
    pattern, wanted = STYLES.get(kind, CLASS)
    if not re.fullmatch(pattern, name):
        raise RefusedError(f"`{name}` cannot name {with_article(kind)}: write {wanted}")
    if keyword.iskeyword(snake_case(name)) or hasattr(builtins, name):
        raise RefusedError(f"`{name}` is a word of Python itself")


def opset_of(name: str) -> int | None:
    """The opset of ONNX that brought the operator; None if it has no such operator."""
    from onnx import defs

    return min(
        (s.since_version for s in defs.get_all_schemas_with_history() if (s.name, s.domain) == (name, "")), default=None
    )


def of_operator(name: str) -> dict[str, str]:
    """What the texts of an operator say of ONNX."""
    since = opset_of(name)
    decomposed = f"graphspec/graph/decompositions.py: a function with `@decomposes({name!r})`"
    if since is None:
        text = f"if files are to have it: {decomposed}, since ONNX has no operator of this name"
        return {"exported": ", exported=False", "how": "exported=False", "opset": text}
    text = Template("\n".join(EXPORTED)).substitute(Name=name)
    return {
        "exported": "",
        "how": "",
        "opset": text if since <= 17 else f"{text}\n{decomposed}, since it is new in opset {since}",
    }


def compose(target: Path, about: str, body: str, imports: Iterable[str], for_types: Iterable[str] = ()) -> str:
    """The text of a file: a new one, or the present one with ``body`` at its end."""
    source = target.read_text(encoding="utf-8") if target.exists() else f'"""{about}"""\n\n{FUTURE}'
    taken, made = defined(ast.parse(source)), defined(ast.parse(body))
    source = add_imports(source, imports, for_types)
    if used := made & (taken | {name for name, _ in imported(ast.parse(source))}):
        raise RefusedError(f"{target.name} uses the name `{min(used)}` already")
    return f"{source.rstrip()}\n\n\n{body.strip()}\n"


def entered(target: Path, kind: Kind, texts: dict[str, str]) -> str:
    """The text of a family's entries in the tables of tests, with one more."""
    about = f"Entries of the operators in ``{texts['file']}``."
    new = f'"""{about}"""\n\n{FUTURE}\nCASES = {{}}\n'
    source = target.read_text(encoding="utf-8") if target.exists() else new
    return add_to_dict(add_imports(source, kind.entry_imports), "CASES", Template(kind.entry).substitute(texts))


@dataclass(frozen=True)
class Request:
    """What is asked for, and where it goes.

    Attributes:
        registry: the file that lists all of its kind.
        code, test: the files of the skeleton and of its test.
        entry: the file of an operator's entry.
        texts: what the templates are filled with.
    """

    kind: str
    name: str
    family: str | None
    registry: Path
    code: Path
    test: Path
    entry: Path | None
    texts: dict[str, str]


def locate(kind_name: str, name: str, family: str | None, root: Path) -> Request:
    """The request with its files, none of which is in the way.

    Raises:
        RefusedError: a name or a family that cannot be, a file that exists.
    """
    kind = KINDS[kind_name]
    check_name(kind_name, name)
    own = snake_case(name)
    registry, pipelines = kind.tuples
    if pipelines and family is not None and family not in pipelines:
        raise RefusedError(
            f"there is no family {family!r}" + (f": use {' or '.join(pipelines)}" if any(pipelines) else "")
        )
    stem = own if pipelines else family or own
    if not re.fullmatch(r"[a-z][a-z0-9_]*", stem) or keyword.iskeyword(stem):
        raise RefusedError(f"`{stem}` cannot name a file: write snake case")
    code = root / "graphspec" / kind.folder / f"{stem}.py"
    test = root / "tests" / kind.folder / f"test_{stem}.py"
    entry = root / "tests" / kind.folder / "cases" / f"{stem}.py" if kind.entry else None
    listed = root / (registry or f"graphspec/{kind.folder}/names.json")
    source = listed.read_text(encoding="utf-8")
    families = json.loads(source) if kind.table else {}
    names = Template(kind.table).substitute(name=own, Name=name).split()
    if taken := [each for each in names if kind.table and each in names_in(source)]:
        raise RefusedError(f"there is {with_article(kind_name)} `{taken[0]}` already")
    if code.exists() and (family is None or stem not in families):
        hint = f"; `--family {stem}` adds to it" if stem in families else ""
        raise RefusedError(f"there is a file {code.relative_to(root).as_posix()} already{hint}")
    if not code.exists() and len([*code.parent.glob("*.py")]) >= MOST_FILES:
        hint = ": name a family with `--family`" if kind.table else ""
        raise RefusedError(f"{code.relative_to(root).as_posix()} would be file {MOST_FILES + 1} of its folder{hint}")
    for path in (test, entry):
        if path is not None and path.exists() and not code.exists():
            raise RefusedError(f"there is a file {path.relative_to(root).as_posix()} already")
    texts = {"name": own, "Name": name, "family": stem, "file": code.relative_to(root).as_posix()}
    texts["tuple"] = pipelines.get(family or next(iter(pipelines), ""), "")
    texts |= of_operator(name) if kind_name == "operator" else {}
    return Request(kind_name, name, family, listed, code, test, entry, texts)


def registered(request: Request) -> str:
    """The text of the registry with the new name."""
    kind, source = KINDS[request.kind], request.registry.read_text(encoding="utf-8")
    if not kind.table:
        module = f"graphspec.{kind.folder.replace('/', '.')}.{request.name}"
        source = add_imports(source, [f"from {module} import {request.name}"])
        return add_to_tuple(source, request.texts["tuple"], request.name)
    return add_to_table(source, request.code.stem, Template(kind.table).substitute(request.texts))


def generate(kind_name: str, name: str, family: str | None = None, root: Path = ROOT) -> tuple[list[Path], list[str]]:
    """Write the skeleton; the files written and changed, and what is left to do.

    Raises:
        RefusedError: why nothing is written.
    """
    if find_spec("ruff") is None:
        raise RefusedError('ruff formats what is written: pip install -e ".[test]"')
    request, kind = locate(kind_name, name, family, root), KINDS[kind_name]
    texts = request.texts
    body, test, about = (Template(text).substitute(texts) for text in (kind.body, kind.test, kind.about))
    test_imports = [Template(line).substitute(texts) for line in kind.test_imports]
    written = {
        request.registry: registered(request),
        request.code: compose(request.code, f"{name}.", body, kind.imports, kind.for_types),
        request.test: compose(request.test, about, test, test_imports),
    }
    if request.entry is not None:
        written[request.entry] = entered(request.entry, kind, texts)
    changed = {path for path in written if path.exists()}
    code = [path for path in written if path.suffix == ".py"]
    for path in code:
        ast.parse(written[path])
    for path, text in written.items():
        (write_atomic if path in changed else create)(path, text)
    for words in (["check", "--select", "I", "--fix"], ["format"]):
        subprocess.run([sys.executable, "-m", "ruff", *words, "-q", "--no-cache", *code], cwd=root, check=True)
    return [*written], [line for text in kind.left for line in Template(text).substitute(request.texts).splitlines()]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.new", description=__doc__)
    parser.add_argument("kind", nargs="?", choices=[kind for kind, _ in GUIDES])
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the class, the pass or the command")
    parser.add_argument(
        "--family", metavar="FILE", help="the family's file, new or there already; of a pass: program, export"
    )
    options = parser.parse_args(arguments)
    if options.kind is None:
        print(*(f"{kind:<12}{'NAME' if kind in KINDS else ''}".rstrip() for kind, _ in GUIDES), sep="\n")
        return 0
    if options.name is None:
        print(dict(GUIDES)[options.kind].strip())
        return 0
    if options.kind not in KINDS:
        parser.error(
            f"there is no skeleton of {with_article(options.kind)}; `python -m tools.new {options.kind}` says how"
        )
    try:
        files, left = generate(options.kind, options.name, options.family)
    except RefusedError as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    registry, code, test, *entry = (path.relative_to(ROOT).as_posix() for path in files)
    print(f"{code}: a skeleton that works\n{test}: its test\n{registry}: registers it")
    print(*(f"{path}: its entry in the tables of tests\n" for path in entry))
    print(f"It passes:\n      pytest -n 0 {test}\nLeft to do:")
    for line in left:
        print(f"      {line[2:]}" if line.startswith("$ ") else f"  - {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
