"""Files that are written: nothing is replaced that is no file of ours, nothing is left behind, nothing lies outside."""

from __future__ import annotations

import ast
import errno
import os
import random
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from devices import full_device
from sources import FILES, PACKAGE, trees

from graphspec.base import files
from graphspec.base.files import create, is_leftover, remove_leftovers, why_not_writable, write_at, write_atomic

POSIX = pytest.mark.skipif(os.name == "nt", reason="links, pipes and modes are POSIX's")
UNPRIVILEGED = pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def left_over(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if is_leftover(p)]


# One place that writes.

_WRITES = {"write_text", "write_bytes", "mkdir", "makedirs", "touch", "mkstemp", "mkdtemp", "NamedTemporaryFile"}
_WRITES |= {"TemporaryFile", "tofile", "dump", "SummaryWriter", "save_file", "symlink_to", "hardlink_to"}
ALLOWED = {
    ("engine/parallel/machine.py", "TemporaryFile"): "a file without a name, for memory that processes share",
    ("engine/parallel/processes.py", "TemporaryFile"): "a file without a name, for what a worker says before it dies",
    ("engine/parallel/processes.py", "fdopen"): "a pipe to a forked worker",
    ("engine/parallel/worker.py", "open"): "the standard output of a forked worker",
    ("base/arrays/array_files.py", "open"): "reads, without waiting for the writer of a pipe",
    ("foreign/keras_files/containers.py", "open"): "reads a member of a ZIP archive",
    ("data/files.py", "open"): "a copy in a folder of its own, read at once and removed",
    ("data/files.py", "mkdtemp"): "that folder",
    ("cli/doctor.py", "TemporaryFile"): "a file without a name, to see whether the folder can be written to",
    ("cli/rows.py", "savez_compressed"): "into memory",
    ("editor/server.py", "fdopen"): "the standard output, for the editor alone",
    ("cli/console.py", "open"): "the null device, in place of a stream that is closed or full",
}


def writers(tree: ast.AST) -> list[str]:
    """The calls that may open a file for writing, by name."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        of_numpy = isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") in ("np", "numpy")
        if name in _WRITES or (of_numpy and name in ("save", "savez", "savez_compressed")):
            found.append(name)
        if name in ("open", "fdopen"):
            owner = getattr(node.func.value, "id", "") if isinstance(node.func, ast.Attribute) else ""
            of_os, of_module = owner == "os", owner in ("os", "gzip", "Image")  # these take the path first
            place = 0 if isinstance(node.func, ast.Attribute) and not of_module else 1
            if owner in ("self", "archive"):
                continue  # a method of ours, and a member of a zip archive
            modes = [k.value for k in node.keywords if k.arg == "mode"] + node.args[place : place + 1]
            constant = [m.value for m in modes if isinstance(m, ast.Constant)]
            if of_os or (modes and not constant) or any(set(str(m)) & set("wax+") for m in constant):
                found.append(name)
    return found


def test_one_module_writes_files() -> None:
    found = set()
    for module, tree in trees().items():
        if module != "graphspec.base.files":
            found |= {(FILES[module].relative_to(PACKAGE).as_posix(), name) for name in writers(tree)}
    assert found == ALLOWED.keys()


@pytest.mark.parametrize(
    "code",
    [
        "open('a', 'w')",
        "open(p, 'r+b')",
        "p.open('xb')",
        "p.open(mode)",
        "p.open(mode='a')",
        "os.open(p, 1)",
        "gzip.open(p, 'wb')",
        "p.write_text('')",
        "p.parent.mkdir()",
        "np.savez(p)",
    ],
)
def test_what_writes_is_found(code: str) -> None:
    assert writers(ast.parse(code))
    assert not writers(ast.parse("open(p); p.open('rb'); model.save(p); open(p, encoding='utf-8'); gzip.open(p)"))


# Whole files.


@POSIX
def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link, dangling = tmp_path / "real" / "a", tmp_path / "b", tmp_path / "c"
    target.write_text("old")
    link.symlink_to("real/a")
    dangling.symlink_to("real/new")
    write_atomic(link, "one")
    write_atomic(dangling, "two")
    assert link.is_symlink()
    assert dangling.is_symlink()
    assert (target.read_text(), (tmp_path / "real" / "new").read_text()) == ("one", "two")
    round_about = tmp_path / "d"
    round_about.symlink_to("d")
    with pytest.raises(OSError, match="d'"):
        write_atomic(round_about, "three")
    assert round_about.is_symlink()


@POSIX
@pytest.mark.parametrize("through_link", [False, True])
def test_a_pipe_is_written_to(tmp_path: Path, through_link: bool) -> None:
    pipe = path = tmp_path / "pipe"
    os.mkfifo(pipe)
    if through_link:
        path = tmp_path / "link"
        path.symlink_to(pipe)
    read: list[bytes] = []
    for write in (lambda: write_atomic(path, b"x" * 200_000), lambda: write_at(path, 0, b"x" * 200_000)):
        reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
        reader.start()
        write()
        reader.join(10)
    assert [len(data) for data in read] == [200_000, 200_000]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert names_in(tmp_path) == sorted({"pipe", path.name})


@POSIX
def test_a_device_is_written_to(tmp_path: Path) -> None:
    null, link, full = Path(os.devnull), tmp_path / "link", full_device(tmp_path)
    before = null.stat()
    link.symlink_to(null)
    for path in (link, null):
        write_atomic(path, "gone")
        assert write_at(path, 5, b"gone") == 9
    with pytest.raises(OSError, match=full.name) as caught:
        write_atomic(full, "more")
    assert caught.value.errno == errno.ENOSPC
    assert (before.st_mode, before.st_rdev) == (null.stat().st_mode, null.stat().st_rdev)
    assert link.is_symlink()
    assert stat.S_ISCHR(full.stat().st_mode)
    assert not left_over(tmp_path)


@pytest.mark.parametrize("length", [1, 230, 250, 255])
def test_long_names(tmp_path: Path, length: int) -> None:
    path = tmp_path / ("n" * length)
    write_atomic(path, "a")
    write_atomic(path, "b")
    assert path.read_text() == "b"
    with pytest.raises(OSError) as caught:  # noqa: PT011 (its number is what matters)
        write_atomic(tmp_path / ("n" * 256), "a")
    assert os.name == "nt" or caught.value.errno == errno.ENAMETOOLONG


@POSIX
def test_links_that_are_planted_at_temporary_names_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "shared"
    victim.write_text("mine")
    folder.mkdir()
    (folder / f".m.onnx.{os.getpid()}.tmp").symlink_to(victim)  # the name of version 0.2
    write_atomic(folder / "m.onnx", "graph")
    assert victim.read_text() == "mine"
    monkeypatch.setattr(os, "urandom", bytes)  # even a name that is guessed
    (folder / f".graphspec-{bytes(6).hex()}.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_atomic(folder / "m.onnx", "other")
    assert (victim.read_text(), (folder / "m.onnx").read_text()) == ("mine", "graph")


@POSIX
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        path = tmp_path / "a"
        for write in (
            lambda p: write_atomic(p, "a"),
            lambda p: create(p, "a"),
            lambda p: write_at(p, 0, b"a"),
        ):
            write(path)
            assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
            path.unlink()
        for mode in (0o600, 0o644, 0o755, 0o666):
            path.write_text("old")
            path.chmod(mode)
            write_atomic(path, "new")
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(before)


@UNPRIVILEGED
def test_what_may_not_be_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("mine")
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        write_atomic(path, "new")
    assert "may not be written" in (why_not_writable(path) or "")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(PermissionError, match="b'"):
            write_atomic(tmp_path / "b", "new")
        assert "no file may be written" in (why_not_writable(tmp_path / "b") or "")
    finally:
        tmp_path.chmod(0o755)
    assert (path.read_text(), names_in(tmp_path)) == ("mine", ["a"])


def test_what_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    assert why_not_writable(tmp_path / "a") is None
    assert "is a folder" in (why_not_writable(tmp_path) or "")
    assert "there is no folder" in (why_not_writable(tmp_path / "b" / "c") or "")
    if os.name != "nt":
        os.mkfifo(tmp_path / "pipe")
        assert why_not_writable(tmp_path / "pipe") is None


FAILURES = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS]


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "fchmod"])
@pytest.mark.parametrize("failure", [*FAILURES, None])
def test_a_failure_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, failure: int | None
) -> None:
    """``None`` is Ctrl-C."""
    path, error = tmp_path / "a", KeyboardInterrupt() if failure is None else OSError(failure, os.strerror(failure))
    path.write_text("old")

    def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail, raising=False)
        if call == "replace":
            patch.setattr(Path, call, fail)
        if call == "fchmod" and failure is not None:
            write_atomic(path, "new")  # permissions that cannot be had are no failure
            assert path.read_text() == "new"
            path.write_text("old")
        else:
            with pytest.raises(type(error)) as caught:
                write_atomic(path, "new")
            assert failure is None or caught.value.filename == str(path)
        if call in ("write", "fsync"):
            with pytest.raises(type(error)):
                create(tmp_path / "new", "text")
        if call == "write":
            with pytest.raises(type(error)):
                write_at(path, 2, b"new")
            assert path.read_text() == "ol"
            path.write_text("old")
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a"]
    assert not files.writing()


def test_new_files_replace_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    create(path, "one")
    with pytest.raises(FileExistsError):
        create(path, "two")
    if os.name != "nt":
        (tmp_path / "b").symlink_to("c")
        with pytest.raises(FileExistsError):
            create(tmp_path / "b", "two")
    assert path.read_text() == "one"
    assert not (tmp_path / "c").exists()


def test_a_file_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert write_at(path, 0, b"one") == 3
    assert write_at(path, 3, b"two") == 6
    assert write_at(path, 3, b"2") == 4
    assert path.read_bytes() == b"one2"
    path.unlink()
    assert write_at(path, 4, b"x") == 1  # it has been removed: nothing is filled up with zeros
    assert path.read_bytes() == b"x"


def test_left_over_files_are_known(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    for name in (".graphspec-0123456789ab.tmp", ".a.csv.77.tmp", "m/.graphspec-0123456789ab.tmp"):
        (tmp_path / name).write_text("")
    for name in (".mine.tmp", "a.77.tmp", ".graphspec-notes.tmp", "graphspec.tmp", ".77.tmp"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    assert names_in(tmp_path) == [
        ".77.tmp",
        ".graphspec-notes.tmp",
        ".mine.tmp",
        "a.77.tmp",
        "graphspec.tmp",
        "m",
    ]
    assert not left_over(tmp_path)


@POSIX
@pytest.mark.parametrize("seed", range(40))
def test_a_drawn_folder(tmp_path: Path, seed: int) -> None:
    """Writes into a folder with files, folders, links (also broken and circular ones) and pipes, drawn by ``seed``."""
    draw = random.Random(seed)
    names = [f"n{k}" for k in range(8)]
    (tmp_path / "outside").mkdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in names:
        kind, path = draw.choice(["none", "file", "folder", "link", "link", "up", "pipe"]), folder / name
        if kind == "file":
            path.write_text(f"old {name}")
        elif kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to(draw.choice(names))
        elif kind == "up":
            path.symlink_to(Path("..") / "outside" / draw.choice(names))
        elif kind == "pipe":
            os.mkfifo(path)
    before = {p: (p.readlink() if p.is_symlink() else stat.S_IFMT(p.lstat().st_mode)) for p in folder.iterdir()}
    for turn in range(12):
        name, write = draw.choice(names), draw.choice([write_atomic, write_at, create])
        path, text = folder / name, f"new {turn}"
        if stat.S_ISFIFO(_mode(path)) and write is not create:
            continue
        call: Callable[[], Any] = {
            write_atomic: lambda p=path, t=text: write_atomic(p, t),
            write_at: lambda p=path, t=text: write_at(p, 0, t.encode()),
            create: lambda p=path, t=text: create(p, t),
        }[write]
        old = None if _mode(path) == 0 or not path.is_file() else path.read_text()
        failed: OSError | None = None
        try:
            call()
        except OSError as error:
            failed = error
        assert failed is None or failed.filename == str(path)
        if failed is None or old is not None:
            assert path.read_text() == (text if failed is None else old)
    for path, kind in before.items():
        assert (path.readlink() if path.is_symlink() else stat.S_IFMT(path.lstat().st_mode)) == kind
    assert not left_over(tmp_path)


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0
