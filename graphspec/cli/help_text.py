"""The text of ``--help``: plain lines that fit the terminal, without the types that typer adds to names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand

from graphspec.cli.options import with_alone

SHORT = {
    "init": "Write a new spec.",
    "import": "Write the spec of a Keras file.",
    "data": "Show what the data files of a spec hold.",
    "validate": "Check specs, and report every problem.",
    "explain": "Explain a code, such as GS302.",
    "summary": "Print shapes, parameters and memory.",
    "plot": "Draw the graph: SVG or Mermaid.",
    "train": "Train a spec on its data.",
    "search": "Search settings: a run for each trial.",
    "evaluate": "Print losses and metrics on test data.",
    "report": "Write an HTML page about runs.",
    "predict": "Predict for new rows.",
    "export": "Write an ONNX file, proved equal.",
    "card": "Write a model card.",
    "inspect": "Show what an ONNX file or a run is.",
    "diff": "Show what differs, by meaning.",
    "schema": "Print the JSON Schema for editors.",
    "lsp": "Serve an editor (language server).",
}
"""One line for a command in the list of commands; others have the first paragraph of their help."""
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


def write_commands(formatter: Any, commands: Iterable[tuple[str, Any]]) -> None:
    """Write the list of commands."""
    rows = []
    for name, command in commands:
        if not command.hidden:
            first = inspect.cleandoc(command.help or "").partition("\n\n")[0]
            rows.append((name, SHORT.get(name) or " ".join(first.split())))
    if rows:
        with formatter.section("Commands"):
            formatter.write_dl(rows)
