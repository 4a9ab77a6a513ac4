"""A client of ``yaml-language-server``, the language server that editors use for YAML, over its standard streams."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
from paths import TESTS

HERE = TESTS / "editor"
PACKAGE = HERE / "node" / "node_modules" / "yaml-language-server"
SECONDS = 60  # until the server counts as hanging


class Server:
    """One process of the language server; it knows no schema but those that documents name."""

    def __init__(self, node: str) -> None:
        command = [node, str(PACKAGE / "bin" / "yaml-language-server"), "--stdio"]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        self._answers: Queue[dict[str, Any] | None] = Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._requests = 0
        self._problems: dict[str, list[dict[str, Any]]] = {}
        self.opened: list[str] = []
        item = {"documentationFormat": ["markdown", "plaintext"], "snippetSupport": True}
        documents = {"completion": {"completionItem": item}, "publishDiagnostics": {}}
        capabilities = {"textDocument": documents, "workspace": {"configuration": True}}
        self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": capabilities})
        self.tell("initialized", {})

    def open(self, path: Path, text: str) -> str:
        """Open a document that need not exist, and return its address."""
        uri = path.as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.opened.append(uri)
        self.tell("textDocument/didOpen", {"textDocument": document})
        return uri

    def complete(self, uri: str, line: int, character: int) -> list[dict[str, Any]]:
        """Return what an editor offers at a place; both numbers count from 0."""
        found = self.ask("textDocument/completion", _place(uri, line, character))
        return list(found["items"] if isinstance(found, dict) else found or [])

    def hover(self, uri: str, line: int, character: int) -> str:
        """Return the text that an editor shows under the mouse, without the line that names the schema's file."""
        found = self.ask("textDocument/hover", _place(uri, line, character))
        text: str = found["contents"]["value"] if found else ""
        return text.partition("\n\nSource: [")[0].strip()

    def problems(self, uri: str) -> list[dict[str, Any]]:
        """Return the problems of a document, as soon as the server has them."""
        while uri not in self._problems:
            self._take()
        return self._problems[uri]

    def ask(self, method: str, params: Any) -> Any:
        """Send a request, and return its result."""
        self._requests += 1
        self._send({"id": self._requests, "method": method, "params": params})
        while (message := self._take()).get("id") != self._requests or "method" in message:
            pass
        return message.get("result")

    def tell(self, method: str, params: Any) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._listener.join(SECONDS)
        self._process.stdin.close()
        self._process.stdout.close()

    def _take(self) -> dict[str, Any]:
        """Return the next message; answer it if it is a question, keep it if it lists problems."""
        try:
            message = self._answers.get(timeout=SECONDS)
        except Empty:
            raise TimeoutError(f"yaml-language-server sent nothing for {SECONDS} s") from None
        if message is None:
            raise EOFError("yaml-language-server has ended")
        if "id" in message and "method" in message:
            self._send({"id": message["id"], "result": self._reply(message)})
        elif message.get("method") == "textDocument/publishDiagnostics":
            self._problems[message["params"]["uri"]] = message["params"]["diagnostics"]
        return message

    def _reply(self, question: dict[str, Any]) -> Any:
        """Return the settings that the server asks for: nothing from the network, flow style allowed."""
        if question["method"] != "workspace/configuration":
            return None
        yaml = {"validate": True, "hover": True, "completion": True, "schemaStore": {"enable": False}}
        return [yaml if item.get("section") == "yaml" else None for item in question["params"]["items"]]

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _listen(self) -> None:
        """Read messages until the stream ends."""
        stream = self._process.stdout
        assert stream is not None
        length = 0
        while line := stream.readline():
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
            elif not line.strip():
                self._answers.put(json.loads(stream.read(length)))
        self._answers.put(None)


def _place(uri: str, line: int, character: int) -> dict[str, Any]:
    return {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}


def start() -> Server:
    """Start the server; skip the test if Node or the server is not installed."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    if not PACKAGE.is_dir():
        pytest.skip("yaml-language-server is not installed: run `npm ci --ignore-scripts` in tests/editor/node")
    return Server(node)
