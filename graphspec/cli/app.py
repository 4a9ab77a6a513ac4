"""The command line: one typer command per file, under the file's name."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from graphspec.base.errors import UsageError
from graphspec.cli.console import attempt, complain, guarded, on_stdout, out
from graphspec.cli.data import data
from graphspec.cli.diff import diff
from graphspec.cli.evaluate import evaluate
from graphspec.cli.explain import explain
from graphspec.cli.export import export
from graphspec.cli.help_text import HelpText, write_commands
from graphspec.cli.import_ import import_
from graphspec.cli.init import init
from graphspec.cli.inspect import inspect
from graphspec.cli.lsp import lsp
from graphspec.cli.options import flag
from graphspec.cli.plot import plot
from graphspec.cli.predict import predict
from graphspec.cli.report import card, report
from graphspec.cli.schema import schema
from graphspec.cli.search import search
from graphspec.cli.summary import summary
from graphspec.cli.train import train
from graphspec.cli.validate import validate

COMMANDS = (
    init,
    import_,
    data,
    validate,
    explain,
    summary,
    plot,
    train,
    search,
    evaluate,
    report,
    predict,
    export,
    card,
    inspect,
    diff,
    schema,
    lsp,
)

_ClickException: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


class Commands(TyperGroup):
    """All commands. Typer's own errors, and failures to print them, end like the errors of a command."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        sys.exit(attempt(lambda: self._status(*args, **options | {"standalone_mode": False})))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        write_commands(formatter, ((name, self.commands[name]) for name in self.list_commands(ctx)))

    def _status(self, *args: Any, **options: Any) -> int | None:
        given = args[0] if args else options.get("args")
        words = list(sys.argv[1:] if given is None else given)
        try:
            with on_stdout():  # `guarded` handles write errors inside commands
                status = super().main(*args, **options)
        except _ClickException as error:
            _refuse(error, words)
            return UsageError.status
        except SystemExit as error:  # rich and typer raise this if stdout's reader is gone
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error
        return status if isinstance(status, int) else None


def _refuse(error: Any, words: Sequence[str]) -> None:
    """Print the error of a command line, or the help if there is no command."""
    from graphspec.cli.usage import usage_error

    if type(error).__name__ == "NoArgsIsHelpError":
        out(error.format_message())
        return
    text, hint = usage_error(error, words)
    complain(f"error: {text}", hint)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in COMMANDS:
    app.command(cls=HelpText)(guarded(command))


def _version(requested: bool) -> None:
    if requested:
        from graphspec.base.version import __version__

        out(f"graphspec {__version__}")
        raise typer.Exit


@app.callback()
def graphspec(
    version: Annotated[
        bool, flag("--version", "Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Neural networks as data: check a spec, train it with NumPy, export it to ONNX, proved equal.

    Exit status: 0 fine, 1 the spec or its data is wrong, 2 wrong usage, 3 the run failed, 130 interrupted.
    """
