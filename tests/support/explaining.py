"""Run the examples of the explanations of codes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from commands import graphspec

from graphspec.base.codes import Code
from graphspec.base.explanations.pages import explanation


def run_example(code: Code, role: str, folder: Path) -> tuple[list[int], str]:
    """Write the files of an example into ``folder``, run its commands there, and return their statuses and output.

    The commands are those of graphspec, ``python -c CODE``, and ``echo TEXT > FILE``.
    """
    statuses, text = [], ""
    inside = folder / "project"
    inside.mkdir(exist_ok=True)
    before = Path.cwd()
    os.chdir(inside)
    try:
        for block in explanation(code).example(role):
            if block.file:
                (inside / block.file).write_text(block.text, encoding="utf-8")
                (inside.parent / block.file).write_text(block.text, encoding="utf-8")  # for a file outside the folder
                continue
            for line in block.text.splitlines():
                program, *words = shlex.split(line)
                if program == "graphspec":
                    result = graphspec(*words)
                    statuses.append(result.exit_code)
                    text += result.output
                elif program == "python":
                    subprocess.run([sys.executable, *words], check=True)
                else:
                    assert (program, words[1]) == ("echo", ">"), line
                    Path(words[2]).write_text(words[0] + "\n", encoding="utf-8")
    finally:
        os.chdir(before)
    return statuses, text


def codes_in(text: str) -> set[str]:
    return set(re.findall(r"(?:error|warning)\[(GS\d{3})\]", text))


def first_answer(text: str) -> str:
    """Return the first diagnostic of an output: from its line to an empty line, or to a line that is not of it."""
    lines = text.splitlines()
    start = next(k for k, line in enumerate(lines) if re.search(r"(?:error|warning)\[GS\d{3}\]", line))
    found = [lines[start]]
    for line in lines[start + 1 :]:
        if not line.startswith(" ") and not re.match(r"\d+ │", line):
            break
        found.append(line)
    return "\n".join(found) + "\n"
