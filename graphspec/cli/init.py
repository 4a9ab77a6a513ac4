"""``graphspec init`` and ``graphspec import``: write a spec for a kind of problem, or of a network of another program."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.base.errors import Code, UsageError
from graphspec.base.files import TABLES, create
from graphspec.base.libraries import missing_library
from graphspec.base.text import count, few, shell
from graphspec.cli.console import complain, out, out_wrapped, saying
from graphspec.cli.options import argument, flag, option, output_file
from graphspec.cli.schema import place
from graphspec.cli.targets import relative

if TYPE_CHECKING:
    from graphspec.data.database import Table
    from graphspec.data.files import Files
    from graphspec.data.suggest import Suggestion, Task
    from graphspec.engine.compiler.lowered_network import Lowered
    from graphspec.language.declarations import Spec

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")  # the kinds of problems for which a table is enough


_ROWS = ("--data", "rows.npz")  # for a spec that names no data
# the kind of problem of a new spec; its template is ``templates/<kind>.yaml``
Kind = StrEnum("Kind", ["binary", "multiclass", "regression", "images", "text", "tags", "sequence", "two-heads"])


def _list(requested: bool) -> None:
    if requested:
        from graphspec.data.architectures import architectures, purpose

        for kind in Kind:
            out(f"{kind.value:<{max(map(len, Kind))}}  {_description(_template(kind))}")
        known = architectures()
        out("", "networks for --like:")
        out(*(f"{name:<{max(map(len, known))}}  {purpose(spec)}" for name, spec in known.items()))
        raise typer.Exit


def init(  # noqa: PLR0913 (the options of the command)
    path: Annotated[Path, argument("PATH", "The spec to write.")],
    kind: Annotated[
        Kind | None,
        option("KIND", "The kind of problem, one of --list; by default multiclass, or what fits the target."),
    ] = None,
    source: Annotated[
        Path | None, option("FILE|DIR", "The table, or the folder of pictures or texts, to fit.", "--from")
    ] = None,
    target: Annotated[str | None, option("COLUMN", "With --from: the column to predict.")] = None,
    horizon: Annotated[
        int | None, option("N", "With --kind sequence: the steps to forecast; by default a season.", min=1)
    ] = None,
    future: Annotated[
        list[str] | None, option("COLUMN", "With --kind sequence: a column known ahead, such as a price; repeat it.")
    ] = None,
    backbone: Annotated[
        Path | None, option("FILE", "With --from a folder of pictures: a trained ONNX file, kept frozen in front.")
    ] = None,
    like: Annotated[
        str | None, option("NETWORK", "A well-known network of --list, such as resnet50, in place of a --kind.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        option("KEY.PATH=VALUE", "With --like: write another value, such as vars.classes=5; repeat it.", "--set"),
    ] = None,
    show_kinds: Annotated[
        bool,
        flag(
            "--list", "Say what each --kind and each network of --like is for, and exit.", callback=_list, is_eager=True
        ),
    ] = False,
) -> None:
    """Write a new, valid spec, and next to it a schema with which an editor completes and checks it."""
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{path}: a new spec is YAML; use a name that ends in .yaml")
    if os.path.lexists(path):
        raise UsageError(f"{path} already exists and is not overwritten")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")
    if (horizon or future) and (source is None or kind is not Kind.sequence):
        raise UsageError("--horizon and --future are for the series of a table: --kind sequence --from FILE")
    if like is None and sets:
        raise UsageError("--set is for the network of --like: edit other specs once they are written")
    with saying(f"making {path}"):
        if like is not None:
            if source is not None and not source.is_dir():
                made = shell("graphspec", "init", str(path), "--from", str(source), "--target", target or "COLUMN")
                do = f"its networks fit no other table, so leave out --like: `{made}`"
                do = do if source.suffix else "name one with a folder for each class"
                raise UsageError(f"--like reads pictures or texts of a folder, which {source} is not; {do}")
            if kind is not None or backbone is not None or target is not None:
                raise UsageError("--like says what the network is: leave out --kind, --backbone and --target")
            _like(path, like, source, sets or ())
        elif source is not None and source.is_dir():
            _from_folder(path, source, target, kind, backbone)
        elif backbone is not None:
            raise UsageError("--backbone is for pictures: name their folder with --from")
        elif source is not None and kind is Kind.sequence:
            _from_series(path, source, target, horizon, future or ())
        elif source is not None:
            _from_table(path, source, target, kind)
        elif target is not None:
            raise UsageError("--target names a column of a table: name the table with --from")
        else:
            template = _template(kind or Kind.multiclass)
            _write(path, template, _description(template), "edit its names and files")


@contextmanager
def naming_source(source: Path) -> Iterator[None]:
    """Let an error of data be one of usage, with the name of the file or folder that cannot be read, and the hint."""
    from graphspec.data.source import DataError

    try:
        yield
    except DataError as error:
        hint = f" ({error.problem.hint})" if error.problem.hint else ""
        raise UsageError(f"{source} {error}{hint}") from None


def _write(path: Path, template: str, found: str, task: str, warnings: Sequence[str] = ()) -> None:
    text = template.replace("NAME", _name(path), 1).replace("SCHEMA", place(path), 1)
    create(path, text)
    out_wrapped(f"{path}: {found}")
    if "{images:" in text and find_spec("PIL") is None:
        out_wrapped(f"pictures need Pillow: {missing_library('pillow')}")
    has_data = "\ndata:" in text
    steps = (("validate", str(path), *["--data"][:has_data]), ("train", str(path), *([] if has_data else _ROWS)))
    out(f"{task}, then:\n  " + "\n  ".join(shell("graphspec", *words) for words in steps))
    for warning in warnings:
        complain(f"warning: {warning}")


def _from_folder(path: Path, source: Path, target: str | None, kind: Kind | None, backbone: Path | None) -> None:
    """Write a spec for the pictures or texts of a folder with a folder for each class."""
    from graphspec.data.fill import folder
    from graphspec.data.pictures import changes
    from graphspec.data.source import DataError

    if target is not None:
        raise UsageError(f"{source} is a folder: the names of its folders are the target, so leave out --target")
    if kind not in (None, Kind.images, Kind.text):
        raise UsageError(f"a spec from a folder is images or text, not --kind {kind.value}")
    if backbone is not None:
        kind = kind or Kind.images
    tried = [(Kind.images, "images"), (Kind.text, "texts")]
    with naming_source(source):
        for chosen, key in tried:
            try:
                if kind in (None, chosen):
                    change = changes(path, backbone) if chosen is Kind.images else None
                    filled = folder(_template(chosen), source, relative(source, path), key, change)
                    return _write(path, filled.text, filled.found, "read its comments", filled.warnings)
            except DataError as error:  # without pictures, it has perhaps texts
                if kind is not None or error.problem.code is not Code.TOO_FEW_ROWS:
                    raise
    raise UsageError(f"{source} has neither pictures nor texts (.txt)")


def _like(path: Path, name: str, source: Path | None, sets: Sequence[str]) -> None:
    """Write the spec of a well-known network: as it is, or for the pictures or texts of a folder."""
    from graphspec.base.errors import GivenText
    from graphspec.data.architectures import FOR_FOLDERS, architectures, behind, meant, purpose, sizes
    from graphspec.data.fill import Filled, folder
    from graphspec.editor.overrides import overridden
    from graphspec.engine.compiler.check import check

    known = architectures()
    spec = known[name := meant(name, known)]
    key = FOR_FOLDERS.get(purpose(spec))
    if source is None:
        filled = Filled(spec, f"{purpose(spec)}, by {name}")
    elif key is None:
        able = ", ".join(each for each, text in known.items() if purpose(text) in FOR_FOLDERS)
        do = f"leave out --from, and name your data in the spec. A folder is enough for {able}"
        raise UsageError(f"--like {name} is for {purpose(spec)}: no file says all that it needs; {do}")
    else:
        template = _template(Kind.images if key == "images" else Kind.text)
        with naming_source(source):
            filled = folder(template, source, relative(source, path), key, partial(behind, spec=spec))
    for text in dict.fromkeys(overridden(each, sets, str(path)) for each in sizes(filled.text, spec)):
        checked = check(GivenText(str(path), text), base=path.parent)
        if not checked.errors:
            break
    declaration, lowered = checked.require()
    task = "read its comments" if declaration.data else _needed(declaration, lowered)
    _write(path, text, filled.found, task, filled.warnings)


def _needed(spec: Spec, lowered: Lowered) -> str:
    """Return which rows a spec without data needs, as lines."""
    from graphspec.data.signature import data_signature

    needed = data_signature(spec, lowered.graph)
    kinds = {**needed.inputs, **needed.targets}
    ids = {name: f", from 0 to {classes - 1}" for name, classes in needed.classes.items()}
    lines = [f"  {name}: {kind}{ids.get(name, '')}" for name, kind in kinds.items()]
    return "\n".join(
        ["it names no data; N rows of an .npz file have:", *lines, "name your data in it, or make the file"]
    )


def _from_series(path: Path, source: Path, target: str | None, horizon: int | None, future: Sequence[str]) -> None:
    from graphspec.data.profile import profile
    from graphspec.data.suggest_series import series

    with naming_source(source):
        table, form = table_of(source)
        target, file = _target(target, source, table), [relative(source, path), *form]
        filled = series(_template(Kind.sequence), profile(table), table, target, file, horizon, future)
    _write(path, filled.text, filled.found, "read its comments", filled.warnings)


def _template(kind: Kind) -> str:
    from importlib.resources import files

    return files("graphspec.cli").joinpath("templates", f"{kind.value}.yaml").read_text(encoding="utf-8")


def _description(template: str) -> str:
    [text] = re.findall(r"^description: (.*)\.$", template, re.M)
    return str(text[0].lower() + text[1:])


def _from_table(path: Path, source: Path, target: str | None, kind: Kind | None) -> None:
    from graphspec.base.errors import GivenText
    from graphspec.data.fill import spec_text
    from graphspec.engine.compiler.check import check

    if kind in (None, Kind.tags) and _from_tags(path, source, target, required=kind is not None):
        return
    task = next((task for task in TASKS if task == kind), None)
    if kind is not None and task is None:
        kinds = f"{', '.join(TASKS)}, {Kind.tags.value} or {Kind.sequence.value}, not --kind {kind.value}"
        do = "for it, write a spec without --from, and name your columns in it"
        raise UsageError(f"a spec from a table is {kinds}; {do}")
    found = _decisions(source, target, task)
    text = spec_text(found, _name(path), relative(source, path), place(path))
    check(GivenText(str(path), text), base=path.parent).require()
    create(path, text)
    for warning in found.warnings:
        complain(f"warning: {warning}")
    used = sum(not column.left_out for column in found.columns)
    read = f"{target} from {count(used, 'column')} of {count(found.rows, 'row')}"
    out_wrapped(f"{path}: a {found.target.task} problem, {read}")
    steps = "\n  ".join(shell("graphspec", command, str(path)) for command in ("data", "train"))
    out(f"read its comments, then:\n  {steps}")


def _from_tags(path: Path, source: Path, target: str | None, *, required: bool) -> bool:
    """Write a spec for the tags of tokens, and return True, if the target has lists or they are ``required``."""
    from graphspec.data.profile import profile
    from graphspec.data.suggest_series import tags

    with naming_source(source):
        table, form = table_of(source)
        target = _target(target, source, table)
        of_lists = target in table.names and table.type_of(target) in ("list", "array")
        if not (of_lists or required):
            return False
        if not of_lists:
            raise UsageError(f"{source}: '{target}' has no lists of tags, one for each token; leave out --kind")
        file = relative(source, path)
        filled = tags(_template(Kind.tags), profile(table), table.relation(), target, [file, *form])
    _write(path, filled.text, filled.found, "read its comments", filled.warnings)
    return True


def _decisions(source: Path, target: str | None, task: Task | None) -> Suggestion:
    """Look at a table, and decide how it becomes a spec."""
    from graphspec.data.odd_values import leaks
    from graphspec.data.profile import profile
    from graphspec.data.suggest import CannotSuggest, suggest, task_of
    from graphspec.data.suggest_series import in_time_order

    try:
        with naming_source(source):
            table, form = table_of(source)
            target = _target(target, source, table)
            found = profile(table)
            task = task_of(found, target, task)
            left_out = leaks(table, found, target, classes=task != "regression")
            return replace(suggest(found, target, task, left_out, in_time_order(found, table)), form=form)
    except CannotSuggest as error:
        raise UsageError(f"{source} {error}") from None


def table_of(source: Path) -> tuple[Table | Files, list[str]]:
    """Open a table of which no spec says how its text is read; return it with the lines of a spec that say it."""
    from graphspec.data.database import Table
    from graphspec.data.files import Files, recognized
    from graphspec.data.fill import form_lines

    table, form, why = recognized(source)
    if not isinstance(table, Table | Files):
        raise UsageError(f"{source} is no table: a spec is made from {', '.join(TABLES)}")
    return table, form_lines(form, why)


def _target(target: str | None, source: Path, table: Table | Files) -> str:
    if target is None:
        raise UsageError(f"name the column to predict with --target; {source} has {few(table.names, 20)}")
    return target


def _name(path: Path) -> str:
    """Return a valid spec name: letters, digits, ``_``, ``-`` and ``.``; quoted if YAML would not read it as text."""
    from graphspec.language.write import flow

    return flow(re.sub(r"[^\w.-]+", "_", path.stem, flags=re.ASCII).strip("_.-") or "network")


# A spec of a network that another program saved.
def import_(
    path: Annotated[Path, argument("FILE", "A file of Keras, .keras, .h5, .json; or .onnx.")],
    output: Annotated[
        Path | None, output_file("The spec to write; by default FILE's name with .yaml, in this folder.", "SPEC")
    ] = None,
    overwrite: Annotated[bool, flag("--overwrite", "Replace files that exist.")] = False,
    sizes: Annotated[
        list[str] | None,
        option("NAME=N", "A size that an ONNX file leaves open, or all of an input; may be repeated.", "--size"),
    ] = None,
) -> None:
    """Write a spec from a network that Keras saved, with its weights, or from an ONNX file. No code of the file runs."""
    from graphspec.foreign.importing.importer import import_file

    given: dict[str, int] = {}
    for text in sizes or ():
        if (match := re.fullmatch(r"(.+)=0*([1-9]\d{0,8})", text, re.ASCII)) is None:
            raise UsageError(f"`--size {text}` is no size: write a name in the file and a number: `--size width=224`")
        given[match[1]] = int(match[2])
    found = import_file(path, output, overwrite=overwrite, sizes=given, schema=place)
    for line in found.lines():
        out_wrapped(line)
    name = str(found.path)
    exported = found.path.with_suffix(".onnx")
    if exported.exists():  # it may be the file of the layer
        exported = found.path.with_name(f"{found.path.stem}_trained.onnx")
    steps = [("validate", name), ("train", name, "--data", "train.npz"), ("export", name, "-o", str(exported))]
    out("next:\n  " + "\n  ".join(shell("graphspec", *words) for words in steps))


import_.__name__ = "import"
