"""``%%graphspec``: a notebook's cell that is a spec. It has its own diagnostics, and its model is a variable."""

from __future__ import annotations

import argparse
import keyword
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol

from graphspec.base.errors import GivenText, GraphspecError, SpecError, UsageError
from graphspec.base.files import write_atomic

_CELL = "cell"  # the name of a cell in messages
_USAGE = "%%graphspec [NAME] [--set KEY.PATH=VALUE …] [--fit] [--save FILE [--overwrite]]"


class Shell(Protocol):
    """What is needed of IPython's shell."""

    user_ns: dict[str, Any]

    def register_magic_function(self, func: Callable[..., Any], magic_kind: str, magic_name: str) -> None:
        """Add a magic function."""


class CellError(GraphspecError):
    """The cell failed, and a notebook stops here. It prints ``message`` alone, which is empty if all has been shown."""

    def _render_traceback_(self) -> list[str]:
        return self._text(colour=False).split("\n") if str(self) else []


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; write {_USAGE}")


def register(shell: Shell, compile: Callable[..., Any], show: Callable[[Any], None] | None = None) -> None:  # noqa: A002
    """Add ``%%graphspec`` to a shell; ``compile`` builds a model from a source and overrides.

    An object is shown in the notebook by ``show``, by default IPython's ``display``.
    """

    def graphspec(line: str, cell: str) -> None:
        try:
            run(_options(line), cell)
        except SpecError as error:
            display(error.diagnostics)
            raise CellError from None
        except GraphspecError as error:
            raise CellError(str(error)) from None

    def run(options: Any, cell: str) -> None:
        # The magic itself is the first line of the cell, as the notebook counts.
        model = compile(GivenText(_CELL, f"# {_USAGE}\n{cell}"), options.set)
        if options.save is not None:
            _save(Path(options.save), cell, overwrite=options.overwrite)
        name = re.sub(r"\W", "_", model.spec.name)
        name = f"_{name}" if not name.isidentifier() or keyword.iskeyword(name) else name
        shell.user_ns[options.name or name] = model
        display(model)
        if options.fit:
            display(model.fit())

    display = show or _display
    graphspec.__doc__ = f"Compile the cell, a spec in YAML: {_USAGE}"
    vars(graphspec)["_ipython_magic_no_var_expand"] = True  # `{…}` and `$…` of a spec are not Python's
    shell.register_magic_function(graphspec, "cell", "graphspec")


def _options(line: str) -> Any:
    parser = _Arguments(prog="%%graphspec", add_help=False, allow_abbrev=False)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--save")
    parser.add_argument("--overwrite", action="store_true")
    try:
        found = parser.parse_args(shlex.split(line))
    except ValueError as error:  # a quote is not closed
        raise UsageError(f"{str(error).lower()}; write {_USAGE}") from None
    if found.name is not None and (not found.name.isidentifier() or keyword.iskeyword(found.name)):
        raise UsageError(f"'{found.name}' is no name of a variable; write {_USAGE}")
    return found


def _save(path: Path, cell: str, *, overwrite: bool) -> None:
    """Write a cell as a spec, unless the file has another content."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file")
    if path.exists() and not overwrite and path.read_bytes() != cell.encode():
        raise UsageError(f"{path} has another content; add --overwrite to replace it")
    write_atomic(path, cell)


def _display(shown: Any) -> None:
    from importlib import import_module

    display: Mapping[str, Any] = vars(import_module("IPython.display"))
    display["display"](shown)
