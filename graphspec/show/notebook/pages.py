"""What notebooks show of models and trainings, as HTML. It has no script and loads nothing; all text of specs is escaped."""

from __future__ import annotations

import argparse
import html
import keyword
import re
import shlex
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol
from urllib.parse import quote

from graphspec.base.document import Folded, Table
from graphspec.base.errors import GivenText, GraphspecError, SpecError, UsageError
from graphspec.base.files import write_atomic
from graphspec.base.text import count, printable, significant
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.lowered_network import Lowered, cost
from graphspec.engine.runtime.session import Session
from graphspec.graph.ir.dims import Shape
from graphspec.language.declarations import Spec
from graphspec.show.drawing.curves import Best
from graphspec.show.drawing.outline import outline
from graphspec.show.drawing.summary import summary_lines
from graphspec.show.drawing.svg import svg as draw
from graphspec.show.html import html_of
from graphspec.show.html import text as text

MAX_ROWS = 60  # the largest number of metrics in a table
_OPEN_ROWS = 12  # the largest number of metrics in a table that is not folded
MAX_DRAWING = 4_000_000  # characters of the largest drawing that a page contains: notebooks store it in their file


def picture(svg: str) -> str:
    """Return an SVG document as an image: its styles and identifiers cannot meet those of the page."""
    return f'<img alt="" style="max-width: 100%" src="data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}">'


def history_html(svg: str, last: Mapping[str, float], best: Mapping[str, Best | None]) -> str:
    """Return the curves of a training, and a table of the last and the best values."""
    rows: list[list[str]] = []
    for key in list(last)[:MAX_ROWS]:
        found = best.get(key)
        of_best = ("", "") if found is None else (significant(found.value), str(found.epoch))
        rows.append([key, significant(last[key]), *of_best])
    table = Table(["", "last epoch", "best", "in epoch"], rows, label="values of the training")
    return picture(svg) + html_of([table if len(rows) <= _OPEN_ROWS else Folded("values", [table])])


def model_html(name: str, description: str, state: str, table: list[str], svg: str | None) -> str:
    """Return a model: its name and description, its state in a line, its table of nodes, and its drawing, folded."""
    parts = [f"<p><b>{text(name)}</b>{': ' if description else ''}{text(description)}<br>{text(state)}</p>"]
    lines = text("\n".join(table))
    parts.append(f'<pre style="line-height: 1.3; white-space: pre; overflow-x: auto">{lines}</pre>')
    if svg is not None and len(svg) <= MAX_DRAWING:
        parts.append(details("drawing", picture(svg)))
    return "".join(parts)


def details(title: str, content: str) -> str:
    """Return ``content``, which is HTML, folded under ``title``."""
    return f"<details><summary>{title}</summary>{content}</details>"


# What Python and notebooks show of a model.
_NODES = 400  # nodes of the largest network that a notebook draws


def described(model: Session) -> str:
    """Return a line such as ``<graphspec.Model 'housing': 8 inputs -> 1, 1,234 parameters, trained 20 epochs>``."""
    return printable(f"<graphspec.Model '{model.spec.name}': {_state(model)}>")


def _state(model: Session) -> str:
    inputs, outputs = [v.shape for v in model.whole.inputs.values()], [v.shape for v in model.whole.outputs.values()]
    parameters = "parameters to be learnt from the training rows"
    if not model.learns:
        parameters = count(sum(p.size for p in model.graph.params.values()), "parameter")
    trained = f"trained {count(model.epochs_done, 'epoch')}" if model.epochs_done else "not trained"
    return f"{_shapes(inputs, 'input')} -> {_shapes(outputs, 'head')}, {parameters}, {trained}"


def _shapes(shapes: list[Shape], noun: str) -> str:
    if len(shapes) != 1:
        return f"{len(shapes)} {noun}s"
    return "x".join(str(size) for size in shapes[0][1:]) or "1"


def summary(model: Session, rows: int | None = None, *, width: int | None = None, expand: bool = False) -> list[str]:
    """Return the lines of ``graphspec summary``, for batches of ``rows`` rows (default: the spec's)."""
    spec, lowered = _lowered(model)
    rows = rows or spec.training.batch_size
    return list(summary_lines(spec, lowered, rows, width=width, expand=expand, option="`summary(expand=True)`"))


def model_page(model: Session) -> str:
    """Return a model as HTML: its name, its state, its table of nodes and its drawing, folded."""
    spec, lowered = _lowered(model)
    svg = draw(outline(spec, lowered, cost(spec, lowered, 1))) if len(spec.nodes) <= _NODES else None
    return model_html(spec.name, spec.description, _state(model), summary(model)[2:], svg)


if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())  # before Python 3.12, no class but the system's own can be derived from


class PageFile(_Path):
    """The path of a page, which a notebook shows as the page, in a frame that has no access to the notebook."""

    def _repr_html_(self) -> str | None:
        if not self.is_file() or ((large := self.stat().st_size > MAX_DRAWING) and self.is_absolute()):
            return None
        if large:  # too large to be stored in the notebook: by its place beside it
            source = f'src="{text(quote(self.as_posix()))}"'
        else:
            source = f'srcdoc="{html.escape(self.read_text(encoding="utf-8"))}"'
        rights = 'sandbox="allow-scripts allow-downloads"'
        return f'<iframe title="A page to try it" {source} {rights} style="width: 100%; height: 720px; border: 0"></iframe>'


def _lowered(model: Session) -> tuple[Spec, Lowered]:
    """Return the spec and its graph with the nodes' outputs, which a model does not keep."""
    found: tuple[Spec, Lowered] = model.once(
        "lowered", lambda: check(model.spec, allow_outside=True, adapted=model.adapted).require()
    )
    return found


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
