"""Walk through a page of the docs as its reader does: write its files, run its commands, compare what they print.

A page is run in an empty folder, block by block:

- ``<!-- data: specs/data/penguins.csv -->`` copies a file of the repository, ``… as own.csv`` under another name.
- ``<!-- browser: index.html -->`` opens a page of the folder in Chromium, where that and Node's packages are installed.
- A block with a title, such as `````yaml title="penguins.yaml"``, is a file. If the file is there, the block shows a part of
  it: its lines, one after the other; a line ``…`` stands for any lines.
- `````bash`` runs in a shell in which ``graphspec`` and ``python`` are these ones, and ``PORT`` is free; installing lines
  are skipped, blocks with ``node`` or ``node_modules`` without Node's packages, and those about keys without
  model-signing. On Linux, ``graphspec`` is a fork of a
  process that has imported it: ``warm.py``. Plain lines ``graphspec init …`` and ``graphspec train …`` at the start of a
  block run once for all pages whose folder has the same files: the others get what the first got.
- `````python`` without a title runs in one interpreter for the page; it is skipped if it imports a library of tables or
  servers that is not installed.
- `````text`` below one of them is what it prints, or what the page shows in the end. Numbers, units of time and curves need
  not be the same, nor where long lines are wrapped; a line ``…`` stands for any lines.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from shutil import ignore_patterns
from tempfile import mkdtemp

import warm
from browsing import chromium, shown
from filelock import FileLock
from paths import ROOT, TESTS

from tools.platforms import LIBRARIES

SECONDS = 300  # until a command counts as hanging
THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
NODE_MODULES = TESTS / "consumers" / "node" / "node_modules"
_INSTALLING = re.compile(
    r"^(python3? -m venv|py -m venv|pip install|\S*pip install|npm (install|init|ci)|dotnet add|cd )"
)
_SHARED = re.compile(r"graphspec (init|train) [^|&;<>#\\]*$")
_BLOCK = re.compile(
    r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$|^<!-- (data|browser): (\S+)(?: as (\S+))? -->$', re.M | re.S
)
_OPTIONAL = re.compile(rf"^import ({'|'.join(LIBRARIES)})\b", re.M)
_NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?")
_TIME = re.compile(r"# (ms|s|min( # s)?)\b")
_CURVE = re.compile(r"[▁-█]+")
_WRAPPED = re.compile(r"\n +(?=[^\s…])")
_STARVED = re.compile(r"^slow: no core .*?CPU\s+quota\n", re.M | re.S)  # a machine with other work
_ELLIPSIS = "…"


@dataclass(frozen=True)
class Block:
    """A fenced block, a file to copy (``language`` is ``data``), or a page to open (``browser``)."""

    language: str
    title: str | None
    text: str
    line: int


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page in order."""
    found = []
    for m in _BLOCK.finditer(page):
        line = page.count("\n", 0, m.start()) + 1
        if m[4] is not None:
            found.append(Block(m[4], m[6], m[5], line))
        else:
            found.append(Block(m[1], m[2], m[3], line))
    return found


class Walk:
    """A reader in a folder. ``walk`` raises AssertionError where the page and the program differ."""

    def __init__(self, folder: Path, kept: Path | None = None) -> None:
        """A reader whose project is in ``folder``; ``kept`` is a folder that the walks share."""
        self.folder = folder / "project"
        self.folder.mkdir()
        self.kept = kept or folder / "kept"
        commands = folder / "bin"
        commands.mkdir()
        self.environment = os.environ | THREADS | {"COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
        self.environment |= {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        self.environment |= {"PORT": str(free_port()), "NO_PROXY": "localhost", "no_proxy": "localhost"}
        for name, words in (("graphspec", command("graphspec")), ("python", [sys.executable])):
            shim = commands / name
            shim.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
            shim.chmod(0o755)
        self.has_node = shutil.which("node") is not None and NODE_MODULES.is_dir()
        if self.has_node:
            (self.folder / "node_modules").symlink_to(NODE_MODULES, target_is_directory=True)
        self.can_sign = shutil.which("openssl") is not None and find_spec("model_signing") is not None
        self._interpreter: subprocess.Popen[str] | None = None

    def walk(self, page: str) -> None:
        """Follow the blocks of a page."""
        try:
            self._walk(page)
        finally:
            if self._interpreter is not None:
                self._interpreter.communicate()  # closes its stdin: it ends

    def _walk(self, page: str) -> None:
        printed: str | None = None
        opened: str | None = None
        for block in blocks_of(page):
            if block.language == "browser":
                opened, printed = block.text, None
            elif opened is not None and block.language == "text":
                self._browse(opened, block)
                opened = None
            elif block.language == "data":
                shutil.copy(ROOT / block.text, self.folder / (block.title or Path(block.text).name))
            elif block.title is not None:
                self._file(block)
            elif block.language == "bash":
                printed = self._shell(block)
            elif block.language == "python":
                printed = self._python(block)
            elif block.language == "text":
                if printed is not None:
                    differing = difference(block.text, printed)
                    assert differing is None, f"line {block.line}: {differing}\nprinted:\n{printed}"
            else:
                raise AssertionError(f"line {block.line}: a block of {block.language!r} needs a title")

    def _file(self, block: Block) -> None:
        assert block.title is not None
        path = self.folder / block.title
        if path.exists():
            differing = difference(
                f"{_ELLIPSIS}\n{block.text}{_ELLIPSIS}\n", path.read_text(encoding="utf-8"), exact=True
            )
            assert differing is None, (
                f"line {block.line}: {block.title}: {differing}\n{path.read_text(encoding='utf-8')}"
            )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")

    def _shell(self, block: Block) -> str | None:
        lines = [line for line in block.text.splitlines() if not _INSTALLING.match(line)]
        if not self.has_node and any(re.search(r"\bnode(_modules)?\b", line) for line in lines):
            return None
        if not self.can_sign and any(re.search(r"\b(openssl|model_signing)\b|--key\b", line) for line in lines):
            return None
        printed = ""
        while lines and _SHARED.match(lines[0]):
            printed += self._once(block, lines.pop(0))
        if any(line.strip() for line in lines):
            printed += self._run(block, ["bash", "-c", "set -o pipefail\n" + "\n".join(lines)])
        return printed or None

    def _once(self, block: Block, line: str) -> str:
        """Run a line, or copy what it has printed and written in a folder with the same files."""
        told = hashlib.sha256(line.encode())
        for path in sorted(self.folder.rglob("*")):  # does not follow the link to Node's packages
            if path.is_file():
                told.update(f"\n{path.relative_to(self.folder)}\n".encode() + path.read_bytes())
        self.kept.mkdir(exist_ok=True)
        place = self.kept / told.hexdigest()[:16]
        with FileLock(f"{place}.lock"):
            if not place.exists():
                printed = self._run(block, ["bash", "-c", line])
                place.with_suffix(".txt").write_text(printed, encoding="utf-8")
                shutil.copytree(self.folder, place, symlinks=True)
                return printed
        shutil.copytree(place, self.folder, symlinks=True, dirs_exist_ok=True, ignore=ignore_patterns("node_modules"))
        return place.with_suffix(".txt").read_text(encoding="utf-8")

    def _browse(self, page: str, block: Block) -> None:
        if not self.has_node or (browser := chromium()) is None:
            return
        text = shown(browser, self.folder, page, lambda text: difference(block.text, text) is None)
        differing = difference(block.text, text)
        assert differing is None, f"line {block.line}: {page}: {differing}\nshown:\n{text}"

    def _python(self, block: Block) -> str | None:
        if not all(find_spec(name) for name in _OPTIONAL.findall(block.text)):
            return None
        if self._interpreter is None:
            self._interpreter = subprocess.Popen(
                command("python"),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
            )
        assert self._interpreter.stdin is not None
        assert self._interpreter.stdout is not None
        self._interpreter.stdin.write(json.dumps(block.text) + "\n")
        self._interpreter.stdin.flush()
        late = threading.Timer(SECONDS, self._interpreter.kill)
        late.start()
        text = ""
        for line in self._interpreter.stdout:
            text += line
            if warm.END in line:
                break
        late.cancel()
        text, _, status = text.partition(warm.END)
        assert status == "0\n" or "# fails" in block.text, f"line {block.line}: status {status}\n{text}"
        return text

    def _run(self, block: Block, command: list[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=SECONDS,
        )
        assert done.returncode == 0 or "# fails" in block.text, (
            f"line {block.line}: status {done.returncode}\n{done.stdout}"
        )
        return _STARVED.sub("", done.stdout)


def command(name: str) -> list[str]:
    """What starts ``graphspec``, or ``python`` for blocks of code: forks on Linux, where forks are safe."""
    if sys.platform == "linux":
        return [sys.executable, "-S", "-E", warm.__file__, listening(), name]
    return [sys.executable, "-m", name] if name == "graphspec" else [sys.executable, warm.__file__, "-", name]


@cache
def listening() -> str:
    """The path at which a process listens that forks what is asked for, until this process ends."""
    path = f"{mkdtemp()}/warm"  # short: a path of pytest is too long for a socket
    started = subprocess.Popen(
        [sys.executable, warm.__file__, path],
        env=os.environ | THREADS | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def end() -> None:
        started.communicate()
        shutil.rmtree(Path(path).parent)

    atexit.register(end)
    assert started.stdout is not None
    assert started.stdout.readline()
    return path


def free_port() -> int:
    """A port that no program listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def difference(shown: str, printed: str, *, exact: bool = False) -> str | None:
    """How a text of a page differs from what was printed, or None. Only with ``exact`` do numbers and gaps count."""
    differing = _difference(shown, printed, exact)
    if differing is None or exact:
        return differing
    joined = _difference(_WRAPPED.sub(" ", shown), _WRAPPED.sub(" ", printed), exact)
    return None if joined is None else differing


def _difference(shown: str, printed: str, exact: bool) -> str | None:
    def norm(line: str) -> str:
        if exact:
            return line.rstrip()
        return _TIME.sub("# s", re.sub(r"\s+", " ", _CURVE.sub("▁", _NUMBER.sub("#", line))).strip())

    parts: list[list[str]] = [[]]  # of the page, between lines `…`
    for line in shown.strip("\n").split("\n"):
        if line.strip() == _ELLIPSIS:
            parts.append([])
        else:
            parts[-1].append(line.rstrip())
    found = [norm(line) for line in printed.strip("\n").split("\n")]
    at = 0
    for k, part in enumerate(parts):
        first, last = k == 0, k == len(parts) - 1
        start = at if first else max(at, len(found) - len(part)) if last else None
        wanted = [norm(line) for line in part]
        if start is None:
            places = range(at, len(found) - len(part) + 1)
            start = next((p for p in places if found[p : p + len(part)] == wanted), None)
            if start is None:
                missing = next((line for line in part if norm(line) not in found[at:]), part[0])
                return f"the page shows {missing!r} in vain"
        for line, want, have in zip(part, wanted, found[start:], strict=False):
            if want != have:
                return f"the page shows {line!r}, here is {have!r}"
        at = start + len(part)
        if at > len(found):
            return f"the page shows {part[len(found) - at]!r} in vain"
    return None if at == len(found) else f"the page does not show {found[at]!r}"
