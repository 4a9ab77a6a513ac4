"""Callbacks of strangers' specs in folders full of files, links and pipes: nothing is changed that they did not write.

A problem is a file that was there and is another now, anything new outside the folder, a temporary file that is left, and
an exception that is no answer.
"""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import graphspec as gs
from graphspec.base.errors import SpecError
from graphspec.base.files import is_leftover
from specs import blobs, dense_spec

CASES = 8
counts: Counter[str] = Counter()

PIECES = ("a", "b", "c", "A", "log", "train", ".", "..", "~", "/", "/", "/", "\\", " ", ":", "spec.json", "history.csv")
PIECES += (".csv", ".safetensors", "{epoch}", "{loss:.2f}", "{epoch:02d}", "{", "}", "{{", "\x1b", "\0", "ü", "x" * 200)
FOREIGN = (b"mine\n", b"epoch,loss\n1,2\n", b"{}", b"\0" * 40, b"epoch,x,val_x\n")
"""Contents that no callback writes."""


def attack(random: random.Random) -> list[str]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        root = Path(place)
        folder = root / "work"
        folder.mkdir()
        _fill(random, root / "outside", ["victim", "a", "log.csv", "train"])
        _fill(random, folder, ["a", "b", "c", "log", "a.csv", "1", "1.safetensors", "spec.json"])
        before = _content(root)
        callbacks = [_callback(random, root) for _ in range(random.randint(1, 3))]
        with contextlib.chdir(folder):
            answer = _train(callbacks, None if random.random() < 0.5 else Path("run"))
        counts[answer.partition(":")[0]] += 1
        found = [] if answer in ("trained", "refused", "OSError") else [answer]
        after = _content(root)
        found += [f"{name} was changed" for name, what in before.items() if after.get(name) != what]
        new = [name for name in after.keys() - before.keys() if not name.startswith("work/")]
        found += [f"{name} is new" for name in new]
        found += [f"{path.name} is left" for path in root.rglob("*") if is_leftover(path)]
        return [f"{callbacks}: {problem}" for problem in found]


def _callback(random: random.Random, root: Path) -> dict[str, Any]:
    kind = random.choice(("CSVLogger", "CSVLogger", "ModelCheckpoint", "ModelCheckpoint", "TensorBoard"))
    key = {"CSVLogger": "filename", "ModelCheckpoint": "filepath", "TensorBoard": "log_dir"}[kind]
    name = "".join(random.choice(PIECES) for _ in range(random.randint(1, 5)))
    if random.random() < 0.3:
        name = random.choice(("a", "b", "c", "a/b", "b/c.csv", "log", "1", "{epoch}", "{epoch}.safetensors", "a.csv"))
    if random.random() < 0.1:
        name = f"{root / 'outside'}/{random.choice(('victim', 'new', 'a/b'))}"
    more = {"append": random.random() < 0.5} if kind == "CSVLogger" else {}
    return {"type": kind, key: name, **more}


def _train(callbacks: list[dict[str, Any]], directory: Path | None) -> str:
    from graphspec.engine.training.reporting import Silent
    from graphspec.engine.training.run_directory import start_run

    document = dense_spec()
    document["training"] |= {"epochs": 1, "callbacks": callbacks}
    x, y = blobs(rows=16)
    try:
        if directory is None:
            gs.compile(document).fit(x, y, verbose=0)
        else:
            import numpy as np

            np.savez("rows.npz", x=x, kind=y)
            model = gs.compile(document | {"data": {"train": {"file": "rows.npz"}}})
            start_run(model, directory)
            model.trainer(Silent(), directory).run()
    except SpecError as error:
        return "refused" if error.diagnostics[0].code == "GS105" else f"{error}"
    except OSError:
        return "OSError"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "trained"


def _fill(random: random.Random, folder: Path, names: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        path, kind = folder / name, random.choice(("none", "none", "file", "file", "folder", "link", "up", "pipe"))
        if kind == "file":
            path.write_bytes(random.choice(FOREIGN))
        elif kind == "folder":
            path.mkdir()
            if random.random() < 0.5:
                (path / random.choice(("b", "weights.safetensors", "train"))).write_bytes(random.choice(FOREIGN))
        elif os.name == "posix":
            if kind == "link":
                path.symlink_to(random.choice(names))
            elif kind == "up":
                path.symlink_to(Path("..") / random.choice(("outside", "outside/victim", "outside/new", "work")))
            elif kind == "pipe":
                os.mkfifo(path)


def _content(root: Path) -> dict[str, str]:
    """What is there, by name; links as links. Folders count as such alone: callbacks may write into them."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_bytes().hex()
        else:
            found[name] = "folder" if path.is_dir() else "pipe"
    return found
