"""The server of a page: answers as `predict` gives them, several at once, and what it refuses."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from commands import graphspec
from consumers.apps import FIXTURES

from graphspec.cli.predict import answers_in_lines
from graphspec.show.page.build import form_of
from graphspec.show.page.server import Server, openapi

TABLE = FIXTURES / "table" / "model.onnx"
LINES = [json.loads(line) for line in (FIXTURES / "table" / "records.jsonl").read_text(encoding="utf-8").splitlines()]
RECORDS = [record for record in LINES if not isinstance(record["code"], str)]  # an integer beyond 2**53 is a text there
LIMIT = 200_000
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server(
        ("127.0.0.1", 0), "<p>page</p>", openapi(form_of(TABLE)), answers_in_lines(TABLE), limit=LIMIT, threads=2
    )
    with made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server: Server, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    sent = {name: value for name, value in sent.items() if value}
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, answer.headers


def test_answers_are_those_of_predict(server: Server, tmp_path: Path) -> None:
    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(json.dumps(record) + "\n" for record in RECORDS), encoding="utf-8")
    wanted = [json.loads(line) for line in graphspec("predict", TABLE, lines, "--json").stdout.splitlines()]
    status, content, headers = ask(server, "POST", "/predict", json.dumps(RECORDS).encode())
    assert status == 200
    assert json.loads(content) == wanted
    assert headers["Cache-Control"] == "no-store"
    status, content, _ = ask(server, "POST", "/predict", json.dumps(RECORDS[3]).encode())
    assert json.loads(content)["kind_label"] == wanted[3]["kind_label"]


def test_many_ask_at_once(server: Server) -> None:
    body = json.dumps(RECORDS[:2]).encode()
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: ask(server, "POST", "/predict", body)[:2], range(20)))
    assert len(set(found)) == 1
    assert found[0][0] == 200


def test_the_page_and_its_description(server: Server) -> None:
    assert ask(server, "GET", "/")[:2] == (200, b"<p>page</p>")
    described = json.loads(ask(server, "GET", "/openapi.json")[1])
    assert described["openapi"] == "3.1.0"
    row = described["components"]["schemas"]["Row"]
    assert row["required"] == [*RECORDS[0]]
    assert row["properties"]["age"] == {"type": ["number", "null"]}
    assert row["properties"]["code"] == {"type": ["integer", "null"]}
    assert {*described["components"]["schemas"]["Answer"]["properties"]} == {"kind", "kind_label", "price"}
    status, content, _ = ask(server, "POST", "/predict", json.dumps(row["example"]).encode())
    assert status == 200, content  # the example of the description is a row


@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded", "application/json; charset=utf-8"])
def test_programs_need_not_say_that_it_is_json(server: Server, kind: str) -> None:
    status, content, _ = ask(server, "POST", "/predict", json.dumps(RECORDS[1]).encode(), Content_Type=kind)
    assert (status, "kind_label" in json.loads(content)) == (200, True)


def test_its_health(server: Server) -> None:
    status, content, headers = ask(server, "GET", "/health")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(content) == {"status": "ok", "name": form_of(TABLE)["title"]}


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "problem"),
    [
        ("GET", "/other", None, {}, 404, "there are /"),
        ("POST", "/", b"{}", {}, 404, "POST rows to /predict"),
        ("POST", "/predict", b"[", {}, 400, "must be JSON"),
        ("POST", "/predict", b"[" * 100_000, {}, 400, "must be JSON"),
        ("POST", "/predict", b"3", {}, 400, "a row, an object"),
        ("POST", "/predict", b"[]", {}, 400, "a row, an object"),
        ("POST", "/predict", b" " * (LIMIT + 1), {}, 413, "at most 200,000 bytes"),
        ("POST", "/predict", b"{}", {"Content_Type": "text/plain"}, 415, "application/json"),
        ("POST", "/predict", b"{}", {"Content_Type": "multipart/form-data; boundary=x"}, 415, "application/json"),
        ("POST", "/predict", b"town=a&age=3", {"Content_Type": FORM}, 400, "must be JSON"),
        ("POST", "/predict", b"{}", {"Content_Type": FORM, "Origin": "http://evil.example"}, 403, "of this computer"),
        ("POST", "/predict", b"{}", {"Content_Type": FORM, "Origin": "null"}, 403, "of this computer"),
        ("POST", "/predict", b"{}", {"Content_Type": "", "Origin": "http://evil.example"}, 403, "of this computer"),
        ("POST", "/predict", b"{}", {"Content_Type": FORM, "Sec_Fetch_Site": "cross-site"}, 403, "of this computer"),
        ("POST", "/predict", b"{}", {"Content_Type": FORM, "Sec_Fetch_Site": "same-site"}, 403, "of this computer"),
        ("POST", "/predict", b"{}", {"Origin": "http://evil.example"}, 403, "of this computer"),
        ("POST", "/predict", b"{}", {"Host": "evil.example:8000"}, 403, "of this computer"),
        ("GET", "/", None, {"Origin": "null"}, 403, "of this computer"),
        ("POST", "/predict", b"{}", {}, 422, "town"),
        ("POST", "/predict", json.dumps(RECORDS[1] | {"age": "old"}).encode(), {}, 422, "age"),
        ("POST", "/predict", json.dumps(RECORDS[1]).replace("age", "aeg").encode(), {}, 422, "did you mean 'aeg'?"),
        ("POST", "/predict", json.dumps(RECORDS[1]).replace("town", "twon").encode(), {}, 422, "did you mean 'twon'?"),
    ],
)
def test_what_is_refused(
    server: Server, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int, problem: str
) -> None:
    found, content, _ = ask(server, method, path, body, **headers)
    assert found == status, content
    assert problem in " ".join(json.loads(content)["errors"])


def test_its_own_page_may_ask(server: Server) -> None:
    port = server.server_address[1]
    body = json.dumps(RECORDS[1]).encode()
    assert ask(server, "POST", "/predict", body, Origin=f"http://127.0.0.1:{port}")[0] == 200
    assert ask(server, "POST", "/predict", body, Host=f"localhost:{port}")[0] == 200


def test_a_port_that_is_taken_is_said(server: Server) -> None:
    result = graphspec("serve", TABLE, "--port", server.server_address[1])
    assert result.exit_code == 2
    assert "cannot be used" in result.stderr
    assert graphspec("serve", "nowhere.onnx").exit_code == 2
