"""A page and its network on this computer: ``GET /``, ``/health`` and ``/openapi.json``, ``POST /predict``, to try a file.

Python's own server, with limits: of the bytes of a request, of the time that it may take to arrive, of predictions at the
same time, and of who may ask. A page of another site cannot, since its `Origin` or the `Host` that it names is another one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from graphspec.base.errors import GraphspecError, SpecError
from graphspec.base.version import __version__

LOCAL = ("127.0.0.1", "localhost", "[::1]")
_KINDS = ("application/json", "application/x-www-form-urlencoded")  # the second is what `curl -d` says of any body
_SECONDS = 30  # that a request may take to arrive
_WAITING = 64  # requests at the same time


class Server(ThreadingHTTPServer):
    """Answers by ``answer``, JSON Lines to JSON Lines.

    Args:
        place: host and port; port 0 is any free one.
        page, api: what ``GET /`` and ``GET /openapi.json`` return; ``GET /health`` returns the title of ``api``.
        limit: bytes of a request.
        threads: predictions at the same time.
    """

    daemon_threads = True
    request_queue_size = _WAITING

    def __init__(
        self,
        place: tuple[str, int],
        page: str,
        api: dict[str, Any],
        answer: Callable[[bytes], bytes],
        *,
        limit: int,
        threads: int,
    ) -> None:
        health = {"status": "ok", "name": api["info"]["title"]}
        self.files = {path: json.dumps(found).encode() for path, found in (("/health", health), ("/openapi.json", api))}
        self.files["/"], self.answer, self.limit = page.encode(), answer, limit
        self.turns, self.open = threading.BoundedSemaphore(threads), threading.BoundedSemaphore(_WAITING)
        super().__init__(place, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.open.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)  # too many: this one is not even read

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.open.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have gone."""


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _SECONDS
    server_version, sys_version = f"graphspec/{__version__}", ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answered(self._file)

    def do_POST(self) -> None:
        self._answered(self._prediction)

    def _answered(self, answer: Callable[[], tuple[str, bytes]]) -> None:
        status, kind = HTTPStatus.OK, "application/json"
        try:
            self._refuse_others()
            kind, content = answer()
        except _RefusedError as refused:
            status, content = refused.status, _error(str(refused))
            self.close_connection = True  # the body may not have been read
        except SpecError as error:
            said = ("; ".join(filter(None, (d.message, d.hint))) for d in error.diagnostics)
            status, content = HTTPStatus.UNPROCESSABLE_ENTITY, _error(*said)
        except GraphspecError as error:
            status, content = HTTPStatus.UNPROCESSABLE_ENTITY, _error(str(error))
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), "X-Content-Type-Options": "nosniff"}
        for name, value in (headers | {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _refuse_others(self) -> None:
        """Refuse pages of other sites: by `Origin`, and by `Host`, which may be a name of theirs for this computer."""
        port = self.server.server_address[1]
        own = {f"{name}:{port}" for name in (*LOCAL, str(self.server.server_address[0]))}
        origin = self.headers.get("Origin")
        others = self.command == "POST" and self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        named = origin is not None and origin.removeprefix("http://") not in own
        if others or named or self.headers.get("Host") not in own:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "only pages and programs of this computer may ask")

    def _file(self) -> tuple[str, bytes]:
        path, files = self.path.partition("?")[0], self.server.files
        if path not in files:
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"there are {', '.join(sorted(files))} and, to POST to, /predict")
        return "text/html; charset=utf-8" if path == "/" else "application/json", files[path]

    def _prediction(self) -> tuple[str, bytes]:
        if self.path.partition("?")[0] != "/predict":
            raise _RefusedError(HTTPStatus.NOT_FOUND, "POST rows to /predict")
        if "Content-Type" in self.headers and self.headers.get_content_type() not in _KINDS:
            text = "the body is no JSON, says its Content-Type; send -H 'Content-Type: application/json'"
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text)
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "the request must have a Content-Length")
        if int(length) > self.server.limit:
            text = f"a request has at most {self.server.limit:,} bytes"
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
        try:
            given = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError, OSError):
            text = "the body must be JSON: a row, an object, or a list of rows"
            raise _RefusedError(HTTPStatus.BAD_REQUEST, text) from None
        rows = given if isinstance(given, list) else [given]
        if not rows or not all(isinstance(row, dict) for row in rows):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "the body must be a row, an object, or a list of rows")
        with self.server.turns:
            lines = self.server.answer("".join(json.dumps(row) + "\n" for row in rows).encode()).splitlines()
        return "application/json", b"[" + b", ".join(lines) + b"]" if isinstance(given, list) else lines[0]

    def log_message(self, *_: object) -> None:
        """Say nothing: what is asked is nobody's business."""


def _error(*texts: str) -> bytes:
    return json.dumps({"errors": list(texts)}).encode()


def openapi(form: dict[str, Any]) -> dict[str, Any]:
    """Return the description (OpenAPI 3.1) of the endpoint of a network (:func:`graphspec.show.page.build.form_of`)."""
    row = {
        "type": "object",
        "properties": {field["name"]: _schema(field) for field in form["fields"]},
        "required": [field["name"] for field in form["fields"]],
        "example": {field["name"]: field["first"] for field in form["fields"]},
    }
    answers_by_name: dict[str, Any] = {}
    for head in form["heads"]:
        names = {head["name"]: _numbers(head["dims"]), **dict.fromkeys(head["interval"] or (), _numbers(head["dims"]))}
        if head["label"]:
            names[head["label"]] = {"type": ["string", "array"]}
        answers_by_name |= names
    many = [{"$ref": "#/components/schemas/Row"}, {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}]
    answers = [
        {"$ref": "#/components/schemas/Answer"},
        {"type": "array", "items": {"$ref": "#/components/schemas/Answer"}},
    ]
    problem = {"type": "object", "properties": {"errors": {"type": "array", "items": {"type": "string"}}}}
    responses = {
        "200": {
            "description": "An answer for each row",
            "content": {"application/json": {"schema": {"oneOf": answers}}},
        }
    }
    for status, text in (("400", "No JSON of rows"), ("413", "Too large"), ("422", "A row is wrong")):
        responses[status] = {"description": text, "content": {"application/json": {"schema": problem}}}
    operation = {
        "operationId": "predict",
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"oneOf": many}}}},
        "responses": responses,
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": form["title"], "version": "1", "description": form["description"]},
        "paths": {"/predict": {"post": operation}},
        "components": {"schemas": {"Row": row, "Answer": {"type": "object", "properties": answers_by_name}}},
    }


def _schema(field: dict[str, Any]) -> dict[str, Any]:
    said = {"description": field["description"]} if field["description"] else {}
    if field["dims"] not in ([], [1]):
        return {"type": "array", **said}
    kind = "string" if field["dtype"] == "string" else "boolean" if field["dtype"] == "bool" else "number"
    whole = "integer" if field["dtype"].startswith("int") else kind
    return {"type": whole if field["missing"] is None else [whole, "null"], **said}


def _numbers(dims: list[int | None]) -> dict[str, Any]:
    return {"type": ["number", "null"]} if dims == [1] else {"type": "array"}
