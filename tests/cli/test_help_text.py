"""The help of commands: names as a user types them, and no markup."""

from __future__ import annotations

import pytest
from commands import graphspec

from graphspec.cli.app import COMMANDS
from graphspec.cli.usage import tables


@pytest.mark.parametrize("command", [command.__name__ for command in COMMANDS])
def test_names_have_no_types(command: str) -> None:
    text = graphspec(command, "--help").stdout
    assert not any(mark in text for mark in ("<bool>", "<path>", "{", "}", "\\[", "╭"))


def test_options_are_named_as_they_are_typed() -> None:
    assert "  --resume [auto]       Continue an interrupted run" in graphspec("train", "--help").stdout


def test_what_rich_took_for_markup_is_there() -> None:
    assert "by default CSV is printed" in graphspec("predict", "--help").stdout


def test_long_choices_are_in_the_text() -> None:
    text = " ".join(graphspec("validate", "--help").stdout.split())
    assert "--format FORMAT How problems are printed. [default: text] One of text, json, github, sarif." in text
    assert "--kind KIND The kind of problem, one of --list" in " ".join(graphspec("init", "--help").stdout.split())


def test_the_list_of_commands_fits_a_screen() -> None:
    """Each command has one line, and all fit below the text and the options."""
    assert len(graphspec("--help").stdout.splitlines()) <= 16 + len(COMMANDS)  # 3 are about completion
    assert {command.__name__ for command in COMMANDS} >= set(tables()["help"])
