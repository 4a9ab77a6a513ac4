"""The language server as a process: it speaks the protocol over its streams, and no failure ends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from editor.client import Client
from editor.documents import BRANCHES

from graphspec.editor.analysis import Analysis

FIXED = BRANCHES.replace("Flaten", "Flatten").replace("kernel_size: 3, inputs", "kernel_size: 3, padding: same, inputs")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    started = Client()
    yield started
    assert started.end() == 0, started.errors
    assert started.errors == ""


@pytest.mark.slow
def test_capabilities(client: Client) -> None:
    assert client.capabilities["textDocumentSync"] == {"openClose": True, "change": 1, "save": True}
    assert client.capabilities["codeActionProvider"] == {"codeActionKinds": ["quickfix"]}
    assert client.capabilities["renameProvider"] == {"prepareProvider": True}
    assert [key for key in ("hoverProvider", "inlayHintProvider") if not client.capabilities[key]] == []


@pytest.mark.slow
def test_a_document_from_opening_to_closing(client: Client, tmp_path: Path) -> None:
    uri = client.open(tmp_path / "a b.yaml", BRANCHES)
    first, second = client.problems(uri)
    assert (first["code"], first["severity"], first["source"]) == ("GS302", 1, "graphspec")
    assert first["range"] == {"start": {"line": 7, "character": 5}, "end": {"line": 7, "character": 14}}
    assert first["message"].splitlines()[-1] == "help: set `padding: same` on 'b2' (line 7)"
    assert [one["location"]["range"]["start"]["line"] for one in first["relatedInformation"]] == [5, 6]
    actions = client.ask(
        "textDocument/codeAction", textDocument={"uri": uri}, range=second["range"], context={"diagnostics": [second]}
    )
    assert [(action["title"], action["kind"]) for action in actions] == [("replace it by 'Flatten'", "quickfix")]
    assert actions[0]["edit"]["changes"][uri] == [{"range": second["range"], "newText": "Flatten"}]
    client.change(uri, 2, FIXED)
    assert client.problems(uri, 2) == []
    client.tell("textDocument/didClose", textDocument={"uri": uri})
    assert client.problems(uri, None) == []


def test_answers_about_places(client: Client, tmp_path: Path) -> None:
    uri = client.open(tmp_path / "places.yaml", FIXED.replace("activation: softmax}", "activation: softmax, }"))
    assert client.problems(uri) == []
    hover = client.at("hover", uri, 5, 12)
    assert "output `(N, 28, 28, 64)` float32" in hover["contents"]["value"]
    items = client.at("completion", uri, 9, 62)["items"]
    assert {"use_bias", "kernel_initializer"} <= {item["label"] for item in items}
    assert "units" not in {item["label"] for item in items}
    hints = client.ask(
        "textDocument/inlayHint",
        textDocument={"uri": uri},
        range={"start": {"line": 5, "character": 0}, "end": {"line": 7, "character": 9}},
    )
    assert [(hint["position"]["line"], hint["label"]) for hint in hints] == [
        (5, "(N, 28, 28, 64)"),
        (6, "(N, 28, 28, 64)"),
        (7, "(N, 28, 28, 128)"),
    ]
    definition = client.at("definition", uri, 7, FIXED.splitlines()[7].index("b1"))
    assert (definition["uri"], definition["range"]["start"]) == (uri, {"line": 5, "character": 11})
    assert len(client.at("references", uri, 5, 12, context={"includeDeclaration": True})) == 2
    assert len(client.at("documentHighlight", uri, 5, 12)) == 2
    assert client.at("prepareRename", uri, 5, 12)["placeholder"] == "b1"
    edits = client.at("rename", uri, 5, 12, newName="left")["changes"][uri]
    assert [(edit["range"]["start"]["line"], edit["newText"]) for edit in edits] == [(5, "left"), (7, "left")]
    assert client.at("hover", uri, 5, 2) is None
    whole = {"start": {"line": 0, "character": 0}, "end": {"line": 9, "character": 0}}
    asked = {"textDocument": {"uri": uri}, "range": whole, "context": {"diagnostics": [], "only": ["refactor"]}}
    assert client.ask("textDocument/codeAction", **asked) is None
    assert client.ask("textDocument/codeAction", **asked | {"context": {"diagnostics": []}}) == []
    assert "already" in client.at("rename", uri, 5, 12, newName="b2")["message"]
    symbols = client.ask("textDocument/documentSymbol", textDocument={"uri": uri})
    assert [symbol["name"] for symbol in symbols] == ["graphspec", "name", "inputs", "layers", "outputs"]


def test_two_documents_are_independent(client: Client, tmp_path: Path) -> None:
    one, two = client.open(tmp_path / "one.yaml", BRANCHES), client.open(tmp_path / "two.yaml", FIXED)
    assert (len(client.problems(one)), client.problems(two)) == (2, [])
    client.change(two, 2, FIXED.replace("Dense", "Dnse"))
    assert [problem["code"] for problem in client.problems(two, 2)] == ["GS111"]
    assert "(N, 26, 26, 64)" in client.at("hover", one, 6, 12)["contents"]["value"]


def test_columns_count_utf16(client: Client, tmp_path: Path) -> None:
    text = FIXED.replace("{name: flat, type: Flatten}", '{type: Activation, activation: "😀😀", name: flat}')
    uri = client.open(tmp_path / "emoji.yaml", text)
    (problem,) = client.problems(uri)
    assert problem["range"] == {"start": {"line": 8, "character": 35}, "end": {"line": 8, "character": 41}}
    assert client.at("prepareRename", uri, 8, 51)["placeholder"] == "flat"


def test_files_are_found_beside_the_document(client: Client, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\nb\n", encoding="utf-8")
    text = (
        "graphspec: 1\nname: n\ninputs: {w: {shape: [1], dtype: string}}\nlayers:\n"
        "  - {type: StringLookup, vocabulary: words.txt, output_mode: multi_hot}\n  - {name: y, type: Dense, units: 1}\n"
        "outputs: {y: {loss: mse}}\n"
    )
    assert client.problems(client.open(tmp_path / "words.yaml", text)) == []
    (problem,) = client.problems(client.open(tmp_path / "other.yaml", text.replace("words", "werds")))
    assert "werds.txt" in problem["message"]


def test_other_documents_are_left_alone(client: Client, tmp_path: Path) -> None:
    uri = client.open(tmp_path / "ci.yml", "on: push\njobs: {test: {}}\n")
    assert client.problems(uri) == []
    assert client.at("hover", uri, 0, 1) is None
    for name in ("never_opened.yaml", "there.yaml"):  # no file is read for the second, either
        (tmp_path / "there.yaml").write_text(FIXED, encoding="utf-8")
        unknown = (tmp_path / name).as_uri()
        assert client.at("hover", unknown, 0, 1) is None
        assert client.ask("textDocument/documentSymbol", textDocument={"uri": unknown}) in (None, [])


@pytest.mark.slow
def test_options_of_the_editor(tmp_path: Path) -> None:
    client = Client("--stdio", initialization={"shapes": False})
    uri = client.open(tmp_path / "a.yaml", FIXED)
    whole = {"start": {"line": 0, "character": 0}, "end": {"line": 20, "character": 0}}
    assert client.ask("textDocument/inlayHint", textDocument={"uri": uri}, range=whole) is None
    assert client.end() == 0


@pytest.mark.slow
def test_data_are_checked_when_a_document_is_opened(tmp_path: Path) -> None:
    text = FIXED + "data:\n  train: {file: missing.npz}\n"
    client = Client("--data")
    uri = client.open(tmp_path / "a.yaml", text)
    assert client.problems(uri) == []
    (problem,) = client.problems(uri)
    assert problem["code"] == "GS501"
    assert client.end() == 0


@pytest.mark.slow
def test_an_editor_that_goes_away_ends_the_server(tmp_path: Path) -> None:
    client = Client()
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert client.process.wait(60) == 1
    client.end()


def test_a_failure_is_written_to_stderr_and_the_server_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from graphspec.editor import server as module

    sent: list[Any] = []
    server = module.make_server()
    source = SimpleNamespace(source=BRANCHES, version=1)
    monkeypatch.setattr(
        type(server),
        "workspace",
        SimpleNamespace(text_documents={"file:///a.yaml": source}, position_encoding="utf-16"),
    )
    monkeypatch.setattr(type(server), "text_document_publish_diagnostics", lambda self, params: sent.append(params))
    hover = server.protocol.fm.features["textDocument/hover"]
    params = SimpleNamespace(
        text_document=SimpleNamespace(uri="file:///a.yaml"), position=SimpleNamespace(line=5, character=12)
    )
    with monkeypatch.context() as broken:
        broken.setattr(Analysis, "root", property(lambda self: 1 / 0))
        assert hover(params) is None
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert "Conv2D" in hover(params).contents.value
