"""Specs that come from anywhere and hold anything: what is read is bounded, read once, and answered."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import os
import pickle
import stat
import subprocess
import sys
import threading
from collections import UserDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import SPEC, graphspec

import graphspec as gs
from graphspec.base.errors import SHOWN, Diagnostic, SourceFile, SpecError, UsageError, render, render_json
from graphspec.base.text import line_of
from graphspec.language.read import MAX_BYTES, line_and_column, read
from graphspec.language.tree import MAX_DIGITS, MAX_KEY, MAX_TEXT
from specs import dense_spec

BAD = SPEC.replace("units: 8", "unit: 8")


def only(source: Any, **more: Any) -> Diagnostic:
    (found,) = gs.validate(source, **more)
    return found


# Where a spec comes from


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("text", [SPEC, BAD, "a: [\n", "x" * (MAX_BYTES + 2)], ids=["good", "bad", "syntax", "endless"])
def test_a_named_pipe_is_read_once(text: str, tmp_path: Path) -> None:
    pipe = tmp_path / "spec.yaml"
    os.mkfifo(pipe)

    def write() -> None:
        with suppress(BrokenPipeError):
            pipe.write_text(text)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    done = graphspec("validate", pipe)
    writer.join(10)
    assert not writer.is_alive()
    assert done.exit_code == (0 if text == SPEC else 1), done.output
    if text == BAD:
        assert "unit: 8" in done.stdout, "the excerpt is of the text that was read"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev")
def test_standard_input_is_a_spec() -> None:
    command = [sys.executable, "-m", "graphspec", "validate", "/dev/stdin"]
    for text, status in ((SPEC, 0), (BAD, 1)):
        done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8", check=False)
        assert done.returncode == status, done.stdout + done.stderr
    assert "│   - {name: hidden, type: Dense, unit: 8" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev")
def test_what_has_no_end_is_read_as_far_as_a_spec_may_go() -> None:
    found = only("/dev/zero")
    assert (found.code, found.message) == ("GS110", "the file has more than 16 MiB, but a spec has at most 16")
    assert only("/dev/null").message == "the file is empty"


def test_what_is_no_file_is_called_what_it_is(tmp_path: Path) -> None:
    assert "it is a folder" in only(tmp_path).message
    assert only(tmp_path / ("n" * 300)).code == "GS101"
    if hasattr(os, "mkfifo"):
        import socket

        with socket.socket(socket.AF_UNIX) as listener:
            folder = os.open(tmp_path, os.O_RDONLY)  # the name of a socket may have about 100 characters
            here = Path.cwd()
            try:
                os.fchdir(folder)
                listener.bind("s")
            finally:
                os.chdir(here)
                os.close(folder)
        assert "it is a socket" in only(tmp_path / "s").message


def test_a_block_device_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "disk"
    path.touch()
    status = os.stat_result((stat.S_IFBLK, *path.stat()[1:]))
    monkeypatch.setattr(Path, "stat", lambda self, **more: status)
    assert "it is a block device" in only(path).message


def test_a_path_that_is_too_long_keeps_what_others_say(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD)
    done = graphspec("validate", tmp_path / "bad.yaml", tmp_path / ("n" * 300), "--format", "json")
    assert done.exit_code == 1
    assert {record["code"] for record in json.loads(done.stdout)} == {"GS101", "GS102", "GS103"} - {"GS103"}


def test_excerpts_are_of_the_text_that_was_read(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(BAD)
    found = gs.validate(path)
    path.write_text("something else\n" * 50)
    assert "unit: 8" in render(found)
    assert "unit: 8" in render(pickle.loads(pickle.dumps(found)))
    assert isinstance(found[0].file, SourceFile)


# Lines


def test_lines_are_counted_as_yaml_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    for text, place in (("a: 1\rb: \x07\n", (2, 4)), ("a: 1\r\nb: x\r\x07", (3, 1)), ("é: \x07", (1, 4))):
        path.write_bytes(text.encode())
        assert (only(path).line, only(path).column) == place
        assert "U+0007" in only(path).message
    path.write_bytes(b"a: 1\rb: \xc3\xa9\xff\n")
    assert (only(path).line, only(path).column) == (2, 5)


@pytest.mark.parametrize("text", ["", "a", "a\n", "\n\n", "a\rb\r\nc\nd", "\r\n" * 9, "x\r" * 5, "ab\r\n\r\rc"])
@pytest.mark.parametrize("block", [1, 2, 3, 2**16])
def test_a_line_is_found_without_a_list_of_them(text: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    monkeypatch.setattr("graphspec.base.text._BLOCK", block)
    lines = re.split("\r\n|\r|\n", text)
    assert [line_of(text, n + 1) for n in range(len(lines))] == lines
    assert line_of(text, len(lines) + 1) is None
    for position in range(len(text)):
        line, column = line_and_column(text, position)
        assert 1 <= column <= len(lines[line - 1]) + 2


def test_what_is_underlined_stands_below_wide_and_combining_characters(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.replace("  - {name: hidden,", "  - {name: '日本é️', x: 1,"), encoding="utf-8")
    found = next(d for d in gs.validate(path) if "unknown key 'x'" in d.message)
    excerpt, carets = render([found]).splitlines()[2:4]
    assert excerpt[: excerpt.index("x: 1")].count("日") == 1
    assert carets.index("^") == len("9 │   - {name: '日本é', ") + 2  # two wide ones, and two without width


def test_an_excerpt_of_a_line_of_megabytes_is_short(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("{a: [" + "1, " * 10_000 + "], b: !x 1, c: [" + "1, " * 10_000 + "]}")
    text = render([d for d in gs.validate(path) if "!x" in d.message])
    assert len(text) < 1000
    assert "b: !x 1" in text


# What a text holds


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x: 0x" + "f" * 4000, "GS105"),
        ("x: 0o" + "7" * 4900, "GS105"),
        ("x: " + "1" * 5000 + ".5", "GS105"),
        ("x: " + "0x" + "f" * 550, "GS105"),
        ('x: "\\ud800"', "GS105"),
        ('"\\ud800": 1', "GS105"),
        ("x: '" + "y" * (MAX_TEXT + 1) + "'", "GS105"),
        ("? '" + "y" * (MAX_KEY + 1) + "'\n: 1", "GS110"),
        ("x: &" + "y" * 2000 + " 1", "GS101"),
        ("x: !" + "y" * 2000 + " 1", "GS101"),
        ("%" + "y" * 2000 + "\n--- 1", "GS101"),
        ("\n" * 400_001, "GS110"),
        ("\r\n" * 400_001, "GS110"),
        ("---\n" * 9, "GS101"),
    ],
)
def test_what_is_too_large_or_no_text_is_said(text: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as error:
        read(path)
    assert [d.code for d in error.value.diagnostics] == [code]
    assert len(error.value.diagnostics[0].message) < 200


def test_reading_ends_after_very_many_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.language.read.MAX_PROBLEMS", 20)
    path = tmp_path / "spec.yaml"
    path.write_text("a:\n" + "- !x 1\n" * 100)
    found = gs.validate(path)
    assert [d.code for d in found] == ["GS101"] * 21 + ["GS110"]
    assert found[-1].line == 23


def test_what_is_quoted_is_short() -> None:
    document = dense_spec()
    document["layers"][0] |= {"type": "D" * 60_000, "inputs": {"k" * 1000: list(range(1000))}}
    for found in gs.validate(document):
        assert max(map(len, (found.message, found.hint or "", found.path))) <= 2000


# What a dict holds


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    ONE = 1


class Lying(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no")


class Endless(dict[str, Any]):
    def items(self) -> Any:
        def forever() -> Iterator[tuple[str, int]]:
            n = 0
            while True:
                yield f"k{n}", n
                n += 1

        return forever()


class Text(str):
    def __str__(self) -> str:
        raise RuntimeError("no")

    def __len__(self) -> int:
        return 3


class BadPath(os.PathLike[str]):
    def __fspath__(self) -> str:
        raise OSError("no")


class Array:
    def tolist(self) -> Any:
        return self


def ring() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["again"] = [value, value]
    return value


VALUES: dict[str, Any] = {
    "huge": 10**5000,
    "huge negative": -(10**5000),
    "half": "\ud800",
    "nan": float("nan"),
    "inf": float("-inf"),
    "large": 1e308,
    "bytes": b"relu",
    "set": {1, 2},
    "frozenset": frozenset((1,)),
    "tuple": (1, 2),
    "range": range(3),
    "complex": 1j,
    "decimal": decimal.Decimal(1),
    "datetime": datetime.datetime(2020, 1, 1),
    "date": datetime.date(2020, 1, 1),
    "enum": Colour.RED,
    "int enum": Level.ONE,
    "path": Path("x"),
    "half of a path": Path("\udcff"),
    "bad path": BadPath(),
    "text": Text("relu"),
    "long text": "x" * 100_000,
    "lying": Lying(a=1),
    "endless": Endless(),
    "user dict": UserDict(type="relu"),
    "array": Array(),
    "object": object(),
    "class": int,
    "function": len,
    "ring": ring(),
    "ellipsis": ...,
    "not implemented": NotImplemented,
    "np int": np.int64(3),
    "np float": np.float16(0.5),
    "np bool": np.bool_(True),
    "np text": np.str_("relu"),
    "np complex": np.complex64(1),
    "np date": np.datetime64("2020-01-01"),
    "np array": np.arange(6).reshape(2, 3),
    "np empty": np.empty((0, 3)),
    "np void": np.zeros(1, [("a", "i4")])[0],
    "np objects": np.array([None, object()], dtype=object),
    "np large": np.zeros(10**6, np.int8),
    "np long double": np.longdouble(1) / 3,
    "control": "\x1b[31m\x00",
    "keys": {1: 2, "1": 3, None: 4, 1.5: 5, (1, 2): 6, 10**5000: 8, b"x": 9, "\udcff": 10, "k" * 2000: 11},
    "long keys": {"k" * 2000: {"k" * 2000: 1}},
}
PLACES = ("units", "activation", "name", "type", "inputs", "repeat", "kernel_initializer", "trainable", "what", "share")


@pytest.mark.parametrize("name", VALUES)
def test_whatever_a_dict_holds_is_answered(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.language.read.MAX_VALUES", 2000)
    for place in PLACES:
        document = dense_spec()
        document["layers"][0][place] = VALUES[name]
        answered(document)
    for place in (*dense_spec(), "vars", "blocks", "training", "data", "what"):
        answered(dense_spec(**{place: VALUES[name]}))
        answered(dense_spec(**{place: {"x": VALUES[name], "train": {"file": VALUES[name]}}}))


def answered(document: Any) -> None:
    found = gs.validate(document)
    text = render_json(found)
    text.encode()
    assert json.loads(text) == [d.to_json() for d in found] or "nan" in text.lower()
    render(found).encode()
    assert all(d.code.startswith("GS") and (d.path or d.code in ("GS110", "GS103")) for d in found)


def test_numbers_and_texts_of_other_classes_are_plain() -> None:
    tree = read(
        {"a": Text("x"), "b": Level.ONE, "c": np.str_("y"), "d": np.float64(0.5), "e": UserDict({3: Path("p")})}
    )
    plain = tree.plain()
    assert plain == {"a": "x", "b": 1, "c": "y", "d": 0.5, "e": {"3": "p"}}
    assert [type(value) for value in plain.values()] == [str, int, str, float, dict]


def test_a_number_and_its_text_are_one_key() -> None:
    with pytest.raises(SpecError) as error:
        read({"w": {0: 1.0, "0": 2.0}})
    assert [(d.code, d.path) for d in error.value.diagnostics] == [("GS106", "w.0")]


@pytest.mark.parametrize("digits", [MAX_DIGITS, MAX_DIGITS + 1])
def test_digits(digits: int) -> None:
    found = gs.validate(dense_spec(training={"seed": 10 ** (digits - 1)}))
    assert [d.code for d in found] == ["GS105"]
    assert ("too long" in found[0].message) == (digits > MAX_DIGITS)


# Overrides


def test_overrides_are_bounded() -> None:
    deep = "[" * 60 + "]" * 60
    steps = ".0" * 59
    for sets in (
        [f"vars.x={deep}", f"vars.x{steps}={deep}"],
        ["a." * 40_000 + "b=1"],
        ["name=" + "[" * 3000],
        ["name=" + "x" * 200_000],
        ["name=[" + "\n" * 400_001 + "]"],
        ["name=\udcff"],
        [f"training.epochs={10**599}1"],
        ["=" * 10_000],
    ):
        with pytest.raises(UsageError) as error:
            gs.validate(dense_spec(), sets)
        assert len(str(error.value)) < 500


# How much is printed


def test_many_problems_are_counted_and_a_hundred_shown(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC + "  more: {x: 1}\n" + "".join(f"k{n}: 1\n" for n in range(300)))
    done = graphspec("validate", path)
    assert done.exit_code == 1
    assert done.stdout.count("error[GS102]") == SHOWN
    assert f"… and {301 - SHOWN} more; `graphspec validate --format json` prints all" in done.stdout
    assert "301 errors" in done.stdout
    assert len(json.loads(graphspec("validate", path, "--format", "json").stdout)) == 301
    with pytest.raises(SpecError) as error:
        gs.compile(path)
    assert str(error.value).endswith(f"… and {301 - SHOWN} more")
    assert len(pickle.loads(pickle.dumps(error.value)).diagnostics) == 301
