"""What the callbacks of a spec may write: inside the run directory, and nothing that is there for another reason."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from commands import SPEC, graphspec, project

import graphspec as gs
from graphspec.base.errors import SpecError
from graphspec.vocabulary.callbacks.callback import CALLBACKS, RUN_FILES, split_name, wrong_name
from specs import blobs, dense_spec

pytestmark = pytest.mark.slow

POSIX = pytest.mark.skipif(os.name == "nt", reason="symbolic links need rights on Windows")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def logging(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "CSVLogger", "filename": name, **more}


def saving(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "ModelCheckpoint", "filepath": name, **more}


def boarding(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "TensorBoard", "log_dir": name, **more}


def spec(*callbacks: dict[str, Any]) -> dict[str, Any]:
    made = dense_spec()
    made["training"] |= {"epochs": 2, "callbacks": list(callbacks)}
    return made


def found(*callbacks: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
    made = spec(*callbacks)
    made["data"] = {"train": {"file": "train.npz"}}
    try:
        gs.compile(made, **more)
    except SpecError as error:
        return [(d.code, d.path) for d in error.diagnostics if d.is_error]
    return []


WRONG = [
    "/tmp/x",
    "//x",
    "../x",
    "a/../../x",
    "..",
    "a/..",
    "C:\\x",
    "c:x",
    "\\\\host\\share\\x",
    "\\x",
    "a\\..\\x",
    "~/x",
]
WRONG += [
    "~root/x",
    "~",
    *RUN_FILES,
    "Spec.JSON",
    "./spec.json",
    "spec.json/x",
    "spec.json.",
    "spec.json ",
    "spec.json::$DATA",
]
WRONG += ["ſpec.json", "ｓpec.json", ".graphspec-0123456789ab.tmp", ".x.csv.12.tmp"]
UNUSABLE = ["a\0b", "a\nb", "\x1b]0;x\x07", "a\x9bb", "x" * 256, "ä" * 128, "a/" + "x" * 256]


@pytest.mark.parametrize("make", [logging, saving, boarding])
@pytest.mark.parametrize("name", [*WRONG, *UNUSABLE])
def test_names_that_are_refused(make: Any, name: str) -> None:
    key = {"CSVLogger": "filename", "ModelCheckpoint": "filepath", "TensorBoard": "log_dir"}[make(name)["type"]]
    assert found(make(name)) == [("GS105", f"training.callbacks.0.{key}")]


@pytest.mark.parametrize(
    "name", ["a", "a/b.csv", "a b", "ä.csv", "...x", "a..b", "logs/spec.json", "a~", ".hidden", "史.csv"]
)
@pytest.mark.parametrize("make", [logging, saving, boarding])
def test_names_that_are_fine(make: Any, name: str) -> None:
    assert found(make(name)) == []


def test_names_outside_may_be_allowed_but_not_those_of_the_run() -> None:
    for name in ("/tmp/x", "../x", "~/x"):
        assert found(logging(name), allow_outside=True) == []
    for name in (*RUN_FILES, *UNUSABLE):
        assert found(logging(name), allow_outside=True) == [("GS105", "training.callbacks.0.filename")]


def test_an_empty_name_and_the_folder_itself() -> None:
    for name in ("", ".", "./", "././/"):
        assert found(logging(name)) == [("GS105", "training.callbacks.0.filename")]
        assert found(saving(name)) == [("GS105", "training.callbacks.0.filepath")]


@pytest.mark.parametrize("seed", range(20))
def test_no_drawn_name_leads_outside(seed: int, tmp_path: Path) -> None:
    """Whatever the pieces: a name that is taken as fine stays in the folder, on POSIX and as Windows reads it."""
    import ntpath
    import posixpath

    draw = random.Random(seed)
    pieces = ["..", ".", "/", "\\", "a", "spec.json", "SPEC.json", "~", "C:", ":", " ", "\0", "x", "...", "CON", "ı"]
    for _ in range(500):
        name = "".join(draw.choice(pieces) for _ in range(draw.randint(1, 7)))
        if wrong_name(name) is None:
            for system, root in ((posixpath, "/r/s"), (ntpath, "R:\\s")):
                path = system.normpath(system.join(root, name))
                assert path.startswith(root + system.sep), name
                first = path[len(root) + 1 :].split(system.sep)[0]
                assert first.casefold().rstrip(". ") not in RUN_FILES


@pytest.mark.parametrize("separator", ["\n", "\r", '"', "\0", "\x1b", "\u2028"])
def test_separators_that_are_refused(separator: str) -> None:
    assert found(logging("a.csv", separator=separator)) == [("GS105", "training.callbacks.0.separator")]


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", "|", "é", "e"])
def test_separators_that_are_fine(separator: str) -> None:
    for _ in range(2):
        train(logging("a.csv", separator=separator))
    assert len(Path("a.csv").read_text(encoding="utf-8").splitlines()) == 2


# Two callbacks.


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (logging("a.csv"), logging("./A.csv")),
        (logging("a"), saving("a")),
        (logging("a"), saving("a/{epoch}.safetensors")),
        (saving("m"), logging("m/weights.safetensors")),
        (saving("{epoch}.safetensors"), saving("{epoch:03d}.safetensors")),
        (saving("{epoch}.safetensors"), saving("1.safetensors")),
        (saving("m-{epoch}"), logging("m-7/a.csv")),
        (boarding("a"), boarding("a/.")),
        (boarding("a"), logging("a")),
        (boarding("a"), logging("a/train")),
    ],
)
def test_two_callbacks_that_write_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for pair in ((one, other), (other, one)):
        ((code, path),) = found(*pair)
        assert (code, path.rpartition(".")[0]) == ("GS105", "training.callbacks.1")


def test_two_callbacks_that_do_not() -> None:
    assert found(logging("a.csv"), logging("b.csv"), saving("{epoch}"), saving("best-{epoch}"), boarding("logs")) == []
    assert found(boarding("logs"), boarding("more"), logging("logs/a.csv"), saving("logs/{epoch}.safetensors")) == []
    assert found(saving("{epoch}.safetensors"), saving("{loss:.2f}.safetensors")) == []


def test_two_callbacks_whose_names_meet_later() -> None:
    made = gs.compile(spec(saving("{epoch:x>2d}.safetensors"), saving("x1.safetensors", save_freq=1)))
    with pytest.raises(SpecError, match="two callbacks write"):
        made.fit(*blobs(), epochs=1, verbose=0)


# Forms of fields.


@pytest.mark.parametrize(
    "name",
    [
        "{epoch:999999999d}",
        "{epoch:100d}",
        "{loss:.999999999f}",
        "{epoch:{batch}}",
        "{epoch!r:>99999999}",
        "{epoch:c}",
        "{epoch:/>3}",
        "{epoch:\0>3}",
        "{loss:n}",
        "{epoch.__class__}",
        "{epoch[0]}",
        "{}",
        "{0}",
        "{epoch",
    ],
)
def test_forms_that_are_refused(name: str) -> None:
    assert found(saving(name)) == [("GS105", "training.callbacks.0.filepath")]


@pytest.mark.parametrize("form", ["", ":d", ":02d", ":>4d", ":_>4", ":+.2f", ":.3e", ":10.4g", ":,.1f", ":.1%"])
def test_forms_that_are_fine(form: str) -> None:
    assert found(saving(f"{{loss{form if 'd' not in form else ''}}}-{{epoch{form}}}.safetensors")) == []


# What already exists.


FOREIGN = b"epoch,loss\nmine\n"


def train(*callbacks: dict[str, Any], **more: Any) -> None:
    gs.compile(spec(*callbacks), **more).fit(*blobs(), epochs=1, verbose=0)


@pytest.mark.parametrize(
    "callback",
    [logging("a"), logging("a", append=True), saving("a"), saving("a.safetensors"), boarding("b")],
    ids=lambda c: c["type"],
)
@pytest.mark.parametrize("allow_outside", [False, True])
def test_foreign_files_are_left_alone(callback: dict[str, Any], allow_outside: bool) -> None:
    for name in ("a", "a.safetensors", "b/train"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(FOREIGN)
    with pytest.raises(SpecError, match=r"GS105.*already exists"):
        train(callback, allow_outside=allow_outside)
    assert {Path(n).read_bytes() for n in ("a", "a.safetensors", "b/train")} == {FOREIGN}


def test_a_folder_that_is_no_saved_model_is_left_alone() -> None:
    Path("a").mkdir()
    for name in ("spec.json", "run.json", "weights.safetensors"):
        Path("a", name).write_text("{}")
    with pytest.raises(SpecError, match="already exists"):
        train(saving("a"))
    gs.compile(spec()).save("b")  # one that the user has saved, or trained
    before = Path("b/weights.safetensors").read_bytes()
    with pytest.raises(SpecError, match="already exists"):
        train(saving("b"))
    with pytest.raises(SpecError, match="already exists"):
        train(saving("b/weights.safetensors"))
    assert Path("b/weights.safetensors").read_bytes() == before


def test_own_files_are_replaced_and_empty_ones_too() -> None:
    Path("c.csv").write_text("")
    for _ in range(2):
        train(logging("a.csv"), logging("b.csv", separator=";"), logging("c.csv"), saving("m"), saving("w.safetensors"))
        train(logging("d.csv", append=True), boarding("logs"))
    assert len(Path("d.csv").read_text().splitlines()) == 3
    assert len(Path("a.csv").read_text().splitlines()) == 2
    assert len(list(Path("logs/train").iterdir())) == 2
    assert gs.load("m").weights.keys() == gs.compile(spec()).weights.keys()


def test_callbacks_given_from_python_are_free(tmp_path: Path) -> None:
    Path("../mine").write_bytes(FOREIGN)
    given = [CALLBACKS.parse(logging("../mine")), CALLBACKS.parse(saving(str(tmp_path / "w.safetensors")))]
    gs.compile(spec()).fit(*blobs(), epochs=1, callbacks=given, verbose=0)
    assert Path("../mine").read_text().startswith("epoch,accuracy,loss")
    assert (tmp_path / "w.safetensors").is_file()


def test_a_spec_outside_may_be_loaded_but_not_trained(tmp_path: Path) -> None:
    outside = str(tmp_path / "log.csv")
    model = gs.compile(spec(logging(outside)), allow_outside=True)
    model.save("saved")
    model.fit(*blobs(), epochs=1, verbose=0)
    loaded = gs.load("saved")
    loaded.predict(blobs()[0])
    with pytest.raises(SpecError, match="absolute path"):
        loaded.fit(*blobs(), epochs=1, verbose=0)
    loaded.allow_outside = True
    loaded.fit(*blobs(), epochs=1, verbose=0)


# Links.


@POSIX
@pytest.mark.parametrize("callback", [logging("l/a"), saving("l/a"), saving("l/a.safetensors"), boarding("l")])
def test_links_lead_nowhere_outside(callback: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    Path("l").symlink_to(tmp_path / "outside")
    with pytest.raises(SpecError, match="symbolic link"):
        train(callback)
    assert not list((tmp_path / "outside").iterdir())
    train(callback, allow_outside=True)
    assert list((tmp_path / "outside").iterdir())


@POSIX
def test_links_to_files_and_pipes(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("epoch,loss,val_loss\n")
    Path("a.csv").symlink_to("../victim")
    os.mkfifo("pipe")
    for name in ("a.csv", "pipe"):
        with pytest.raises(SpecError, match="GS105"):
            train(logging(name))
    Path("inside.csv").write_text("epoch,loss,val_loss\n")
    Path("b.csv").symlink_to("inside.csv")
    train(logging("b.csv"))
    assert Path("b.csv").is_symlink()
    assert len(Path("inside.csv").read_text().splitlines()) == 2


# The command line.


def test_train_refuses_and_allows(tmp_path: Path) -> None:
    folder = Path.cwd()
    thesis = tmp_path / "thesis.csv"
    thesis.write_text("years of work\n")
    callbacks = f"callbacks: [{{type: CSVLogger, filename: {json.dumps(str(thesis))}}}]"
    head, _, rest = SPEC.partition("  callbacks:")
    path = project(folder, head + f"  {callbacks}\n" + rest.partition("\n")[2])
    for verb in ("validate", "train"):
        result = graphspec(verb, path)
        assert result.exit_code == 1
        assert "GS105" in result.output
        assert "--allow-outside" in result.output
    for verb in ("summary", "plot"):
        assert graphspec(verb, path).exit_code == 0
    result = graphspec("train", path, "--allow-outside")
    assert result.exit_code == 1
    assert "already exists" in result.stderr
    assert thesis.read_text() == "years of work\n"
    assert not list(Path("runs/tiny").iterdir())
    thesis.unlink()
    assert graphspec("train", path, "--allow-outside").exit_code == 0
    assert thesis.read_text().startswith("epoch,")
    mine = thesis.rename(thesis.with_name("mine.csv"))
    thesis.write_text("years of work\n")
    run = {p.name: p.read_bytes() for p in Path("runs/tiny").iterdir()}
    assert graphspec("train", path, "--allow-outside", "--overwrite").exit_code == 1
    assert {p.name: p.read_bytes() for p in Path("runs/tiny").iterdir()} == run
    mine.replace(thesis)
    more = ("--resume", "--set", "training.epochs=4")
    result = graphspec("train", path, *more)
    assert result.exit_code == 1
    assert "--allow-outside" in result.stderr
    assert graphspec("train", path, *more, "--allow-outside").exit_code == 0
    assert len(thesis.read_text().splitlines()) == 5
    for verb in (
        ["evaluate", "runs/tiny"],
        ["predict", "runs/tiny", "test.npz"],
        ["export", "runs/tiny", "-o", "a.onnx"],
    ):
        assert graphspec(*verb).exit_code == 0
    assert graphspec("predict", "a.onnx", "test.npz").exit_code == 0


def test_split_name() -> None:
    assert split_name("a//b\\c/./d/") == ["a", "b", "c", "d"]
