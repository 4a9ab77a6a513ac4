"""A client of ``graphspec lsp``: it starts the process and speaks the protocol over its streams."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

WAIT = 60.0


class Client:
    """The process, and the messages that it has sent."""

    def __init__(self, *options: str, initialization: dict[str, Any] | None = None) -> None:
        command = [sys.executable, "-m", "graphspec", "lsp", *options]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._notices: list[dict[str, Any]] = []
        self._count = 0
        self.errors = ""
        self._threads = [threading.Thread(target=self._listen), threading.Thread(target=self._read_errors)]
        for thread in self._threads:
            thread.start()
        capabilities = {"textDocument": {"rename": {"prepareSupport": True}}}
        self.capabilities = self.ask(
            "initialize",
            processId=None,
            rootUri=None,
            capabilities=capabilities,
            initializationOptions=initialization or {},
        )["capabilities"]
        self.tell("initialized")

    def tell(self, method: str, **params: Any) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def ask(self, method: str, **params: Any) -> Any:
        """Send a request; the answer, or the error."""
        self._count += 1
        number = self._count
        self._send({"id": number, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == number and "method" not in message:
                return message["result"] if "error" not in message else message["error"]
            self._notices.append(message)

    def at(self, method: str, uri: str, line: int, character: int, **params: Any) -> Any:
        """Ask about a place, from 0."""
        place = {"line": line, "character": character}
        return self.ask(f"textDocument/{method}", textDocument={"uri": uri}, position=place, **params)

    def open(self, path: Path, text: str) -> str:
        """Open a document with a text; its address."""
        uri = path.as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.tell("textDocument/didOpen", textDocument=document)
        return uri

    def change(self, uri: str, version: int, text: str) -> None:
        """Replace the text of a document."""
        self.tell(
            "textDocument/didChange",
            textDocument={"uri": uri, "version": version},
            contentChanges=[{"text": text}],
        )

    def problems(self, uri: str, version: int | None = 1) -> list[dict[str, Any]]:
        """Wait for the problems of a version of a document."""
        while True:
            for notice in self._notices:
                params = notice.get("params", {})
                is_of = notice.get("method") == "textDocument/publishDiagnostics" and params["uri"] == uri
                if is_of and params.get("version") == version:
                    self._notices.remove(notice)
                    return list(params["diagnostics"])
            self._notices.append(self._next())

    def end(self) -> int:
        """Ask the server to end; its exit status."""
        if self.process.poll() is None:
            assert self.ask("shutdown") is None
            self.tell("exit")
        status = self.process.wait(WAIT)
        for thread in self._threads:
            thread.join(WAIT)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return status

    def _next(self) -> dict[str, Any]:
        message = self._answers.get(timeout=WAIT)
        assert message is not None, self.errors
        return message

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def _listen(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        length = 0
        while line := stream.readline():
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
            elif not line.strip():
                self._answers.put(json.loads(stream.read(length)))
        self._answers.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors = self.process.stderr.read().decode(errors="replace")
