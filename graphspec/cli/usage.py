"""The command line but for its commands: how typer is used, its help, and its errors in our words."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache, wraps
from inspect import unwrap
from typing import Annotated, Any, NoReturn, ParamSpec, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from graphspec.base.errors import UsageError, did_you_mean
from graphspec.base.files import TABLES
from graphspec.base.text import shell
from graphspec.cli import options
from graphspec.cli.completion import answer, prepare_scripts
from graphspec.cli.console import ASKED, attempt, complain, on_stdout, out, status_of
from graphspec.cli.options import flag, with_alone

# The text of ``--help``: plain lines that fit the terminal, without the types that typer adds to names.
_LONGEST = 30  # characters of an option with its choices


class HelpText(TyperCommand):
    """A command whose help names arguments as a user types them: ``SPEC``, not ``{SPEC}`` or ``SPEC <path>``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if any("--resume" in param.opts for param in self.params):
            args = with_alone("--resume", ("auto",), args)
        return list(super().parse_args(ctx, args))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [re.sub(r"[{}]", "", piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            found = [p.get_help_record(ctx) for p in self.get_params(ctx) if p.param_type_name == kind]
            rows = [_plain(*row, is_argument=kind == "argument") for row in found if row is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _plain(name: str, text: str, *, is_argument: bool) -> tuple[str, str]:
    """Return a row of the help; that an argument is required is said by the usage."""
    if is_argument:
        return re.sub(r" <.*>$", "", name), re.sub(r"\s*\[required\]$", "", text)
    choices = re.search(r"<([^<>]*)>$", name)
    if choices is not None and len(name) > _LONGEST:
        option = name[: choices.start()]
        return option + option.strip(" -").upper(), f"{text} One of {choices[1].replace('|', ', ')}."
    return name, re.sub(r"\s*\[x>=(\d+)\]$", r" At least \1.", text)


# Errors of a command line in our words: what is wrong, and the option or command that was meant.
@cache
def tables() -> dict[str, dict[str, str]]:
    """Return what others call commands, kinds of problems, keys of a spec and options, with the meaning, by word.

    Of a word that ``words.json`` has twice, the last meaning counts. ``elsewhere`` is what does here for what others have
    commands for; ``{0}`` in a key of a spec is the option. ``help`` is the line about a command in the list of all.
    """
    from importlib.resources import files
    from json import loads

    raw = loads(files("graphspec.cli").joinpath("words.json").read_text(encoding="utf-8")).items()
    return {title: {word: meaning for meaning, words in table.items() for word in words} for title, table in raw}


def usage_error(error: Any, words: Sequence[str]) -> tuple[str, str | None]:
    """Return message and hint for an exception of typer or click about these words after ``graphspec``."""
    context, kind = getattr(error, "ctx", None), type(error).__name__
    command = "graphspec" if context is None or context.parent is None else str(context.info_name)
    path = command if command == "graphspec" else f"graphspec {command}"
    default = f"`{path} --help`" if context is not None else None
    text = str(error.format_message())
    if kind == "NoSuchOption":
        hint = _option_hint(error, words) or f"{default} lists the options"
        return f"{command} has no option {error.option_name}", hint
    if (unknown := re.fullmatch(r"No such command '([^']*)'.*", text, re.DOTALL)) is not None:
        commands = [] if context is None else list(context.command.commands)
        meant = tables()["commands"].get(unknown[1].lower())
        close = f"did you mean '{meant}'?" if meant is not None else did_you_mean(unknown[1], commands)
        hint = tables()["elsewhere"].get(unknown[1].lower()) or close or f"the commands are {', '.join(commands)}"
        return f"there is no command '{unknown[1]}'", hint
    form = "" if context is None else f"{context.get_usage().removeprefix('Usage: ')}; {default} explains it"
    if kind == "MissingParameter" and error.param is not None:
        return f"{command} needs {_parameter(error.param)}", form
    if kind == "BadParameter" and error.param is not None:
        return _bad_value(error, default)
    if (extra := re.match(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", text)) is not None:
        if command == "init" and extra[1].lower().endswith(TABLES):
            return f"init does not take '{extra[1]}'", f"write `--from {shell(extra[1])} --target COLUMN`"
        return f"{command} does not take '{extra[1]}'", form
    if (option := re.match(r"Option '(.*)' requires an argument", text)) is not None:
        return f"{option[1]} needs a value", f"write `{option[1]} VALUE`"
    if (option := re.match(r"Option '(.*)' does not take a value", text)) is not None:
        return f"{option[1]} takes no value", f"write `{option[1]}` alone"
    return text, default


def _option_hint(error: Any, words: Sequence[str]) -> str | None:
    known = [] if error.ctx is None else [option for param in error.ctx.command.params for option in param.opts]
    name = error.option_name.lstrip("-").replace("_", "-")
    value = _value_of(error.option_name, words)
    options = tables()["options"].get(name, "").split(", ")  # the first that the command has is meant
    meant = next((option for option in options if option.partition(" ")[0] in (*known, "--help")), None)
    if meant is not None:
        takes_value = value is not None and meant in ("--out", "--output", "--export", "--set", "--from", "--target")
        return f"write `{meant} {shell(value)}`" if takes_value and value is not None else f"write `{meant}`"
    if (form := tables()["settings"].get(name.lower())) is not None:
        key = form.format(name.replace("-", "_"))
        if "--set" in known:
            return f"write `--set {shell(f'{key}=' + ('VALUE' if value is None else value))}`"
        if error.ctx is not None:
            return f"the spec sets it: `{key}`"
    if len(name) < 3:
        return None
    close = did_you_mean(f"--{name}", [option for option in known if option.startswith("--")])
    return close if close is not None and name[:3] in close else None


def _value_of(option: str, words: Sequence[str]) -> str | None:
    for word, following in zip(words, [*words[1:], "-"], strict=True):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option:
            return None if following.startswith("-") and not re.match(r"-\d|-\.", following) else following
    return None


def _parameter(param: Any) -> str:
    """Return a missing argument or option with its description."""
    metavar = param.metavar or (param.name or "").upper()
    longest = max(param.opts, key=len)
    name = f"{longest} {metavar}" if longest.startswith("-") else metavar
    help_text = re.sub(r"\s*\\?\[default.*", "", getattr(param, "help", None) or "").rstrip(". ")
    return f"{name}: {help_text[0].lower()}{help_text[1:]}" if help_text else name


def _bad_value(error: Any, default: str | None) -> tuple[str, str | None]:
    """Return message and hint for a value that an option does not take."""
    name = max(error.param.opts, key=len)
    name = name if name.startswith("-") else error.param.metavar or name.upper()
    text = error.message.removeprefix("Value error, ").rstrip(".")
    if (choice := re.fullmatch(r"'(.*)' is not one of (.*)", text, re.DOTALL)) is not None:
        choices = re.findall(r"'([^']*)'", choice[2])
        text = f"{name} is one of {', '.join(choices)}, not '{choice[1]}'"
        if name == "--kind":
            default = "`graphspec init --list` explains them"
            if (kind := tables()["kinds"].get(choice[1].lower())) is not None:
                return text, f"write `--kind {kind}`"
        return text, did_you_mean(choice[1], choices) or default
    if (noun := re.search("valid (integer|number)", text)) is not None:
        return f"{name} must be {'an' if noun[1] == 'integer' else 'a'} {noun[1]}", default
    return f"{name}: {text}", default


_ClickException: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


class Commands(TyperGroup):
    """All commands. Typer's own errors, and failures to print them, end like the errors of a command."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        sys.exit(attempt(lambda: self._status(*args, **options | {"standalone_mode": False})))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            lines = {name: command.get_short_help_str() for name, command in self.commands.items()} | tables()["help"]
            formatter.write_dl([(name, lines[name]) for name in self.list_commands(ctx)])

    def _status(self, *args: Any, **options: Any) -> int | None:
        given = args[0] if args else options.get("args")
        words = list(sys.argv[1:] if given is None else given)
        if ASKED in os.environ and (answered := answer(self)) is not None:
            return answered
        if any(word.endswith("-completion") for word in words):
            prepare_scripts()
        try:
            with on_stdout():  # `status_of` handles write errors inside commands
                status = super().main(*args, **options)
        except _ClickException as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                out(str(error.format_message()))  # type: ignore[attr-defined]
            else:
                text, hint = usage_error(error, words)
                complain(f"error: {text}", hint)
            return UsageError.status
        except SystemExit as error:  # rich and typer raise this if stdout's reader is gone, and after a script
            if not error.code:
                return 0
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error
        return status if isinstance(status, int) else None


def _version(requested: bool) -> None:
    if requested:
        from graphspec.base.libraries import other_distribution
        from graphspec.base.version import __version__

        out(f"graphspec {__version__}")
        if (other := other_distribution()) is not None:
            complain(f"warning: {other}")
        raise typer.Exit


def graphspec(
    version: Annotated[
        bool, flag("--version", "Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Neural networks as data: check a spec, train it with NumPy, export it to ONNX, proved equal.

    Exit status: 0 fine, 1 the spec or its data is wrong, 2 wrong usage, 3 the run failed, 130 interrupted.
    """


P = ParamSpec("P")


def _guarded(command: Callable[P, int | None]) -> Callable[P, None]:
    """Wrap a command for typer. Names in its annotations may be those of ``options``, which it then need not import."""
    plain = unwrap(command)
    plain.__annotations__.update(get_type_hints(plain, localns=vars(options), include_extras=True))

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        raise typer.Exit(status_of(lambda: command(*args, **kwargs)))

    run.__annotations__ = plain.__annotations__  # from Python 3.14 on, `wraps` does not take them
    return run


def app_of(commands: Iterable[Callable[..., int | None]]) -> typer.Typer:
    """Return the command line of these commands."""
    app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
    for command in commands:
        app.command(cls=HelpText)(_guarded(command))
    app.callback()(graphspec)
    return app
