"""Completion in shells: the values that a metavar stands for, and answers to bash, zsh and fish.

Typer has the protocol: a script in the shell starts ``graphspec`` with variables of its own instead of words. It answers
PowerShell by itself. Here are answers that end with ``.``, ``=`` or ``/``, after which no space follows.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from graphspec.base.text import printable, shorten_end
from graphspec.cli.console import ASKED, asked

_OPEN = (".", "=", "/")  # how words end that go on
_PLAIN = re.compile(r"[\w./:=~+-]+")  # what every shell takes as it is
_LONGEST = 70  # characters of a meaning
Words = Iterable[tuple[str, str]]  # with their meanings


def completer(metavar: str | None) -> Callable[..., Any] | None:
    """Return what completes the values that a metavar stands for; None for what every shell completes by itself."""
    kinds = (metavar or "").split("|")
    source = _paths if "FILE" not in kinds and {"SPEC", "RUN", "ONNX"} & {*kinds} else _SOURCES.get(metavar or "")
    if source is None:
        return None

    def complete(ctx: typer.Context, incomplete: str) -> Words:
        with suppress(Exception):  # whatever is wrong, no traceback appears in the line that a user writes
            found = [(word, about) for word, about in source(ctx, kinds, incomplete) if word.startswith(incomplete)]
            return found if all(_PLAIN.fullmatch(word) for word, _ in found) else []  # a shell can quote names of files
        return []

    return complete


def _paths(_: typer.Context, kinds: list[str], incomplete: str) -> Iterator[tuple[str, str]]:
    from graphspec.cli.targets import is_onnx, is_run, is_spec

    start = incomplete[: incomplete.rfind("/") + 1]
    for path in sorted(Path(start or ".").expanduser().iterdir()):
        name = f"{start}{path.name}"
        if path.name.startswith(".") and incomplete == start:
            continue
        if "RUN" in kinds and is_run(path):
            yield name, "a run"
        elif path.is_dir():
            yield f"{name}/", "a folder"
        elif ("SPEC" in kinds and is_spec(path)) or ("ONNX" in kinds and is_onnx(path)):
            yield name, ""


def _overrides(ctx: typer.Context, _: list[str], incomplete: str) -> Words:
    from graphspec.editor.set_completion import complete_set

    # an option that still lacks its value, at the cursor, keeps typer from reading what is written before it
    whole = ctx.command.make_context(ctx.info_name, [*asked()[1:], "-"], resilient_parsing=True).params
    given = next(whole[p.name or ""] for p in ctx.command.params if "SPEC" in (p.metavar or "").split("|"))
    path = Path(given[0] if isinstance(given, list | tuple) else given)
    found = complete_set(path.read_text(encoding="utf-8", errors="replace"), str(path), incomplete)
    return [(word, about) for word, about in found if _PLAIN.fullmatch(word)]


def _names(_: typer.Context, kinds: list[str], __: str) -> Words:
    if kinds == ["CODE"]:
        from graphspec.base.codes import Code

        return [(str(code), code.summary) for code in Code]
    if kinds == ["NETWORK"]:
        from graphspec.data.architectures import architectures, purpose

        return [(name, purpose(spec)) for name, spec in architectures().items()]
    from graphspec.export.targets import TARGETS

    return [(name, f"opset {opset}") for name, opset in TARGETS.items()]


_SOURCES: dict[str, Callable[..., Words]] = {"KEY.PATH=VALUE": _overrides}
_SOURCES |= dict.fromkeys(("CODE", "NETWORK", "RUNTIME"), _names)


def answer(command: Any) -> int | None:
    """Print the words that a shell asks for; return the status, or None if typer shall answer."""
    with suppress(ImportError, AttributeError, KeyError):
        from typer import _completion_classes as shells

        asks: dict[str, Any] = {"bash": shells.BashComplete, "zsh": shells.ZshComplete, "fish": shells.FishComplete}
        shell = os.environ[ASKED].removeprefix("complete_")
        request, current = asks[shell](command, {}, "graphspec", ASKED), _joined() if shell == "bash" else ""
        given, incomplete = request.get_completion_args()
        items = [item for item in request.get_completions(given, incomplete) if item.value]
        found = {item.value: shorten_end(printable(" ".join((item.help or "").split())), _LONGEST) for item in items}
        if os.environ.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
            return int(not found)
        before = incomplete.partition("=")[2] if re.match("-.*=", incomplete) else incomplete
        lines = {
            "bash": (word[len(before) - len(current) :] for word in found),
            "fish": (f"{word}\t{about}" for word, about in found.items()),
            "zsh": _for_zsh(found),
        }
        sys.stdout.writelines(f"{line}\n" for line in lines[shell])
        return 0
    return None


def _joined() -> str:
    """Join the words of bash, which separates them at ``=`` and ``:``; return what it takes for the word at the cursor."""
    words, at = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
    joined: list[str] = []
    for word in words[: at + 1]:
        goes_on = bool(joined) and (word in ("=", ":") or joined[-1].endswith(("=", ":")))
        joined[-1:] = [joined[-1] + word] if goes_on else [*joined[-1:], word]
    os.environ.update(COMP_WORDS="\n".join([*joined, *words[at + 1 :]]), COMP_CWORD=str(len(joined) - 1))
    return "" if words[at] in ("=", ":") else words[at]


def _for_zsh(words: dict[str, str]) -> Iterator[str]:
    sets = {"whole": list[str](), "open": list[str]()}
    for word, about in words.items():
        text = word.replace(":", "\\:") + f":{about}"
        sets["open" if word.endswith(_OPEN) else "whole"].append(shlex.quote(text))
    yield from (f"local -a {name}; {name}=({' '.join(quoted)});" for name, quoted in sets.items())
    yield "_describe word whole -- open -S ''" if words else "_files"


def prepare_scripts() -> None:
    """Let the script for bash write no space after a word that goes on."""
    with suppress(ImportError, AttributeError, KeyError):
        from typer._completion_shared import _completion_scripts as scripts

        end = "    return 0"
        no_space = '    case "$COMPREPLY" in *[.=/]) compopt -o nospace;; esac\n'
        scripts["bash"] = scripts["bash"].replace(end, no_space + end)
