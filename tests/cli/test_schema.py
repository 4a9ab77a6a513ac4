"""``graphspec schema``: on stdout, in a file, and beside a spec that names it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from commands import graphspec

import graphspec.cli.schema as module
from graphspec.base.config import Registry
from graphspec.cli.schema import FILE, stored_schema
from graphspec.cli.schema import schema_text as making

LINE = "# yaml-language-server: $schema=./graphspec.schema.json\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "schema_text", schema_text)


@cache
def schema_text() -> str:
    """Making one takes seconds."""
    return making()


@pytest.mark.slow
def test_stdout_and_file() -> None:
    assert graphspec("schema").stdout == schema_text()
    assert graphspec("schema", "-o", "s.json").exit_code == 0
    assert Path("s.json").read_text(encoding="utf-8") == schema_text()


@pytest.mark.slow
def test_one_definition_per_line() -> None:
    lines = schema_text().splitlines()
    assert len([line for line in lines if line.startswith('"layer.Dense": {')]) == 1
    assert len(lines) > 500


def content(name: str) -> str:
    return Path(name).read_bytes().decode()


@pytest.mark.slow
def test_a_spec_gets_the_line_and_the_file() -> None:
    Path("nets").mkdir()
    Path("nets/a.yaml").write_bytes("graphspec: 1  # ü\n".encode())
    result = graphspec("schema", "--for", "nets/a.yaml")
    assert result.stdout == "nets/a.yaml: editors complete and check it with ./graphspec.schema.json\n"
    assert content("nets/a.yaml") == LINE + "graphspec: 1  # ü\n"
    assert content("nets/graphspec.schema.json") == schema_text()
    graphspec("schema", "--for", "nets/a.yaml")
    assert content("nets/a.yaml") == LINE + "graphspec: 1  # ü\n", "one line, however often"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", LINE),
        ("a: 1\r\n", LINE.replace("\n", "\r\n") + "a: 1\r\n"),
        ("\ufeffa: 1\n", "\ufeff" + LINE + "a: 1\n"),
        ("# my net\na: 1\n", LINE + "# my net\na: 1\n"),
        ("# my net\n\n# yaml-language-server: $schema=gone.json\na: 1\n", "# my net\n\n" + LINE + "a: 1\n"),
        ("# yaml-language-server: $schema=\na: 1\n", LINE + "a: 1\n"),
        (
            "a: 1\n# yaml-language-server: $schema=gone.json\n",
            LINE + "a: 1\n# yaml-language-server: $schema=gone.json\n",
        ),
    ],
)
def test_lines(before: str, after: str) -> None:
    Path("a.yaml").write_bytes(before.encode())
    assert graphspec("schema", "--for", "a.yaml").exit_code == 0
    assert content("a.yaml") == after
    assert content(FILE) == schema_text()


@pytest.mark.parametrize("named", ["mine.json", "https://example.com/s.json", "file:///s.json"])
def test_a_line_that_names_another_schema_is_kept(named: str) -> None:
    Path("mine.json").write_text("{}")
    Path("a.yaml").write_text(f"# yaml-language-server: $schema={named}\na: 1\n")
    assert graphspec("schema", "--for", "a.yaml").stdout == f"a.yaml already names its schema: {named}\n"
    assert content("a.yaml") == f"# yaml-language-server: $schema={named}\na: 1\n"
    assert not Path(FILE).exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", [("schema", "--for", "a.yaml"), ("init", "b.yaml")])
def test_the_schema_of_another_version_is_replaced(command: tuple[str, ...]) -> None:
    Path("a.yaml").write_text("a: 1\n")
    Path(FILE).write_text("{}")
    assert graphspec(*command).exit_code == 0
    assert content(FILE) == schema_text()


def test_the_schema_of_a_project_is_named_and_kept() -> None:
    for name in ("schemas", "specs/more"):
        Path(name).mkdir(parents=True)
    Path("schemas/graphspec.schema.json").write_text("{}")
    Path("specs/more/a.yaml").write_text("a: 1\n")
    graphspec("schema", "--for", "specs/more/a.yaml")
    assert content("specs/more/a.yaml").startswith(
        "# yaml-language-server: $schema=../../schemas/graphspec.schema.json\n"
    )
    assert content("schemas/graphspec.schema.json") == "{}"
    assert not Path("specs/more/graphspec.schema.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--for", "a.json"), "only a YAML file has a line that names its schema"),
        (("--for", "gone.yaml"), "there is no spec gone.yaml"),
        (("--for", "a.yaml", "-o", "s.json"), "leave out --output"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], message: str) -> None:
    Path("a.yaml").write_text("a: 1\n")
    result = graphspec("schema", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["a.yaml"]
    assert content("a.yaml") == "a: 1\n"


def test_the_stored_schema_is_copied_and_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "schema_text", lambda: pytest.fail("it takes seconds"))
    assert graphspec("init", "a.yaml").exit_code == 0
    assert content(FILE) == stored_schema()


@pytest.mark.slow
def test_with_plugins_the_schema_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stored_schema() == schema_text(), "run `graphspec schema -o schemas/graphspec.schema.json`"
    monkeypatch.setattr(Registry, "plugins", lambda self: ["gates"])
    monkeypatch.setattr(module, "schema_text", lambda: "{}")
    assert stored_schema() == "{}"
