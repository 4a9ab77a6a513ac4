"""Text → marked tree: values, marks, overrides, and everything that is no document."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting import assert_linear

from graphspec.base.errors import Diagnostic, GivenText, SpecError, UsageError
from graphspec.editor.document import Text, parse, plain
from graphspec.language.read import read
from graphspec.language.tree import Tree, describe


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def make(text: str | bytes, name: str = "spec.yaml") -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return make


def problems(source: Any, **more: Any) -> list[Diagnostic]:
    with pytest.raises(SpecError) as error:
        read(source, **more)
    return error.value.diagnostics


def only(source: Any, **more: Any) -> Diagnostic:
    (found,) = problems(source, **more)
    return found


SCALARS: dict[str, Any] = {
    "yes": "yes",
    "no": "no",
    "on": "on",
    "off": "off",
    "true": True,
    "FALSE": False,
    "null": None,
    "~": None,
    "017": 17,
    "0o17": 15,
    "0x1F": 31,
    "-3": -3,
    "1e3": 1000.0,
    "1e-3": 0.001,
    "1.": 1.0,
    ".5": 0.5,
    ".inf": math.inf,
    "-.INF": -math.inf,
    "1_000": "1_000",
    "1:30": "1:30",
    "2020-01-01": "2020-01-01",
    "'5'": "5",
    '"null"': "null",
    "0b11": "0b11",
    "!!str 5": "5",
    "!!float 5": 5.0,
    "! 5": "5",
}


@pytest.mark.parametrize("text", SCALARS)
def test_core_schema(text: str, write: Any) -> None:
    value = read(write(f"x: {text}\n")).plain()["x"]
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


def test_nan_and_empty_value(write: Any) -> None:
    plain = read(write("x: .nan\ny:\n")).plain()
    assert math.isnan(plain["x"])
    assert plain["y"] is None


def test_json_and_yaml_are_one_language(write: Any) -> None:
    yaml = read(write("name: ü😀\nlayers:\n  - {units: 3, rate: 1.0e-2}\n")).plain()
    json = read(
        write('{\n\t"name": "\\u00fc\\ud83d\\ude00",\n\t"layers": [{"units": 3, "rate": 1.0e-2}]\n}', "s.json")
    ).plain()
    assert yaml == json == {"name": "ü😀", "layers": [{"units": 3, "rate": 0.01}]}


def test_marks_and_paths(write: Any) -> None:
    file = write("name: x\nlayers:\n  - {name: d.1, units: 64}\n  - type: Dense\n    units: [1,\n      22]\n")
    tree = read(file)
    units, key = tree.find(("layers", 0, "units"))
    assert units is not None
    assert key is not None
    assert (units.mark.file, units.mark.line, units.mark.column, units.mark.length) == (file, 3, 24, 2)
    assert (key.line, key.column, key.length) == (3, 17, 5)
    assert units.path == "layers.d.1.units"
    assert tree.value["layers"].value[0].first_key.length == len("name: d.1")
    second = tree.value["layers"].value[1]
    assert (second.first_key.line, second.first_key.column, second.first_key.length) == (4, 5, len("type: Dense"))
    deep, _ = tree.find(("layers", 1, "units", 1))
    assert deep is not None
    assert (deep.mark.line, deep.mark.column, deep.path) == (6, 7, "layers.1.units.1")
    assert tree.find(("layers", 7)) == (None, None)
    assert tree.find(("name", "x")) == (None, None)


def test_crlf_and_wide_characters_keep_columns(write: Any) -> None:
    tree = read(write("a: 1\r\nb: {日本: 1, c: 2}\r\n"))
    mark = tree.find(("b", "c"))[0].mark  # type: ignore[union-attr]
    assert (mark.line, mark.column) == (2, 15)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(encoding: str, write: Any) -> None:
    assert read(write("a: ü\n".encode(encoding))).plain() == {"a": "ü"}


def test_integer_keys_are_their_text(write: Any) -> None:
    assert read(write("w: {0: 1.0, 12: 2.0}\n")).plain() == {"w": {"0": 1.0, "12": 2.0}}
    assert read({"w": {0: 1.0}}).plain() == {"w": {"0": 1.0}}


def test_aliases_share_values(write: Any) -> None:
    tree = read(write("a: &x {k: [1]}\nb: *x\n"))
    assert tree.plain() == {"a": {"k": [1]}, "b": {"k": [1]}}
    assert tree.value["b"].value["k"].path == "a.k"


def test_merge_keys_are_ordinary_keys(write: Any) -> None:
    assert read(write("a: &x {k: 1}\nb: {<<: *x}\n")).plain()["b"] == {"<<": {"k": 1}}


BAD: dict[str, tuple[str | bytes, str, int | None, int | None, str]] = {
    "empty": ("", "GS101", 1, 1, "empty"),
    "comments only": ("# nothing\n", "GS101", 1, 1, "empty"),
    "list": ("- 1\n", "GS101", 1, 1, "mapping"),
    "text": ("hello\n", "GS101", 1, 1, "mapping"),
    "png": (b"\x89PNG\r\n\x1a\n\x00", "GS101", 1, 1, "0x89"),
    "bad byte": (b"a: 1\nb: \xff\n", "GS101", 2, 4, "0xff"),
    "nul": (b"a: 1\nb: \x00\n", "GS101", 2, 4, "U+0000"),
    "python tag": ("a: !!python/object/apply:os.system [ls]\n", "GS101", 1, 4, "!!python/object/apply:os.system"),
    "python tag on a mapping": ("a: !!python/object:x.Y {b: 1}\n", "GS101", 1, 4, "!!python/object:x.Y"),
    "custom tag": ("a: 1\nb: !foo 3\n", "GS101", 2, 4, "!foo"),
    "wrong core tag": ("a: !!int x\n", "GS101", 1, 4, "!!int"),
    "undefined tag handle": ("a: !e!foo 1\n", "GS101", 1, 4, "handle"),
    "unclosed": ("a: [1, 2\n", "GS101", 2, 1, "begins at line 1"),
    "two values": ("a: b: c\n", "GS101", 1, 5, "mapping values"),
    "bad escape": ('a: "\\xZZ"\n', "GS101", 1, 7, "escape"),
    "impossible escape": ('a: "\\UFFFFFFFF"\n', "GS101", None, None, "not YAML"),
    "reserved sign": ("a: 1\nb: @x\n", "GS101", 2, 4, "cannot start any token"),
    "separator in quotes": ('a: "x\n---\nb: 1\n', "GS101", 2, 1, "unexpected document separator"),
    "alias as a key": ("a: &x b\n*x : 1\n", "GS104", 2, 1, "not an alias"),
    "second document": ("a: 1\n---\nb: 2\n", "GS101", 2, 1, "second document"),
    "old yaml": ("%YAML 3.0\n---\na: 1\n", "GS101", 1, 1, "version"),
    "unknown alias": ("a: 1\nb: *c\n", "GS101", 2, 4, "&c"),
    "alias in itself": ("a: &x [*x]\n", "GS110", 1, 8, "*x"),
    "null key": ("~: 1\n", "GS104", 1, 1, "null"),
    "list key": ("? [a]\n: 1\n", "GS104", 1, 3, "list"),
    "mapping key": ("a: {{x}: 1}\n", "GS104", 1, 5, "mapping"),
    "long number": ("a: " + "9" * 5000 + "\n", "GS105", 1, 4, "5000 digits"),
    "twice": ("a: 1\nb: {c: 1,\n  c: 2}\n", "GS106", 3, 3, "first at line 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_documents(name: str, write: Any) -> None:
    text, code, line, column, words = BAD[name]
    found = only(write(text))
    assert (found.code, found.line, found.column) == (code, line, column)
    assert words in found.message


def test_all_problems_before_a_syntax_error_are_reported(write: Any) -> None:
    found = problems(write("a: 1\na: 2\nb: !x 1\nc: [\n"))
    assert [d.code for d in found] == ["GS106", "GS101", "GS101"]


def test_duplicate_key_path(write: Any) -> None:
    assert only(write("layers:\n  - {units: 1, units: 2}\n")).path == "layers.0.units"


BOMB = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"]
BOMB += [f"{k}: &{k} [{', '.join([f'*{chr(ord(k) - 1)}'] * 10)}]\n" for k in "bcdefghi"]

DEEP = {
    "json lists": "[" * 3000 + "]" * 3000,
    "json mappings": '{"a":' * 3000 + "1" + "}" * 3000,
    "yaml mappings": "".join(" " * i + "a:\n" for i in range(3000)),
    "yaml lists": "- " * 3000 + "1",
    "complex keys": "? " * 3000,
    "alias bomb": "".join(BOMB),
    "alias chain": "".join(f"k{i}: &k{i} [{f'*k{i - 1}' if i else 1}]\n" for i in range(200)),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_and_large(name: str, write: Any) -> None:
    found = only(write(DEEP[name]))
    assert found.code == ("GS104" if name == "complex keys" else "GS110")
    assert found.line is not None


def test_too_many_values(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.language.read.MAX_VALUES", 100)
    found = only(write("a: [" + "1,\n" * 200 + "]\n"))
    assert (found.code, found.line) == ("GS110", 98)
    monkeypatch.setattr("graphspec.language.read.MAX_VALUES", 100)
    assert only({"a": [1] * 200}).code == "GS110"


def test_file_too_large(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    with path.open("wb") as file:
        file.truncate(200 * 2**20)
    assert only(path).code == "GS110"


def test_no_such_file(write: Any, tmp_path: Path) -> None:
    write("a: 1", "reviews.yaml")
    found = only(tmp_path / "review.yaml")
    assert found.code == "GS101"
    assert found.hint is not None
    assert "reviews.yaml" in found.hint
    assert only(tmp_path).code == "GS101"
    assert only("a\x00b").code == "GS101"


def test_hints(write: Any) -> None:
    braces = only(write("a: {units: ${units}}\n"))
    assert braces.hint is not None
    assert '"${x}"' in braces.hint
    tabs = only(write("a:\n\tb: 1\n"))
    assert tabs.hint is not None
    assert "tabs" in tabs.hint


def test_dict() -> None:
    tree = read({"a": (1, [True, None]), "b": np.float32(0.5), "c": {"p": Path("x/y")}, "d": np.arange(2)})
    assert tree.plain() == {"a": [1, [True, None]], "b": 0.5, "c": {"p": "x/y"}, "d": [0, 1]}
    assert (tree.mark.file, tree.mark.line, tree.mark.column) == ("<dict>", None, None)
    assert tree.find(("a", 1, 0))[0].path == "a.1.0"  # type: ignore[union-attr]


def test_bad_dict() -> None:
    found = problems({1.5: 2, "a": [object()]})
    assert [(d.code, d.path, d.line) for d in found] == [("GS104", "1.5", None), ("GS104", "a.0", None)]
    loop: dict[str, Any] = {}
    loop["a"] = loop
    assert only(loop).code == "GS110"


# Overrides


SPEC = "name: x\nlayers:\n  - {name: a.b, units: 1}\n  - {type: Dense, opt: &o {k: 1}}\nz: *o\n"


@pytest.mark.parametrize(
    ("text", "loc", "value"),
    [
        ("layers.a.b.units=[1, 2]", ("layers", 0, "units"), [1, 2]),
        ("layers.0.units=1e-3", ("layers", 0, "units"), 0.001),
        ("layers.1.opt.k=true", ("layers", 1, "opt", "k"), True),
        ("layers.a.b.new={a: b}", ("layers", 0, "new"), {"a": "b"}),
        ("layers.a.b.units=", ("layers", 0, "units"), None),
        ("name=a=b", ("name",), "a=b"),
        ("training.epochs=3", ("training", "epochs"), 3),
        ("vars.units=${x}", ("vars", "units"), "${x}"),
    ],
)
def test_sets(text: str, loc: tuple[str | int, ...], value: Any, write: Any) -> None:
    tree = read(write(SPEC), sets=[text])
    found, _ = tree.find(loc)
    assert found is not None
    assert found.plain() == value
    assert (found.mark.file, found.mark.line) == ("--set", None)
    assert tree.value["z"].plain() == {"k": 1}, "an alias of what is set keeps its value"


def test_sets_apply_in_order(write: Any) -> None:
    assert read(write(SPEC), sets=["name=a", "name=b", "training.epochs=1", "training.seed=2"]).plain()["name"] == "b"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layer.0.units=1", "did you mean 'layers'?"),
        ("layers.a.c.units=1", "did you mean 'a.b'?"),
        ("layers.5.units=1", "no '5' in 'layers'"),
        ("name.x=1", "'name' is 'x'"),
        ("name", "key.path=VALUE"),
        ("=1", "key.path=VALUE"),
        ("a..b=1", "key.path=VALUE"),
        ("name=[", "not YAML"),
        ("name=!!python/none x", "not allowed"),
    ],
)
def test_bad_sets(text: str, words: str, write: Any) -> None:
    with pytest.raises(UsageError) as error:
        read(write(SPEC), sets=[text])
    assert words in str(error.value)


# Speed


def layers(count: int) -> str:
    row = (
        "  - {{name: l{}, type: Dense, units: 64, activation: relu, kernel_initializer: {{type: HeNormal, seed: 3}}}}\n"
    )
    return "layers:\n" + "".join(row.format(i) for i in range(count))


@pytest.mark.slow
def test_reading_is_linear(write: Any) -> None:
    def make(count: int) -> Any:
        file = write(layers(count))
        return lambda: read(file)

    assert_linear(make, 100, 800)


def test_describe_is_short() -> None:
    assert describe("x" * 1000) == "'" + "x" * 57 + "…'"
    assert describe(list(range(1000))) == "a list of 1000"
    assert describe({"a": [True, None, 0.5]}) == "{a: [true, null, 0.5]}"
    assert Tree(1, read({}).mark).first_key is not None


def test_a_text_that_is_no_file() -> None:
    tree = read(GivenText("cell", "graphspec: 1\nname: net\n"))
    assert tree.value["name"].mark.file == "cell"
    assert tree.value["name"].mark.line == 2
    with pytest.raises(SpecError, match=r"GS110.*the text has 17 MiB, but a spec has at most 16"):
        read(GivenText("cell", "#" * (17 << 20)))


@pytest.mark.parametrize("letter", ["\x85", "\u2028", "\u2029"])
def test_line_breaks_of_yaml_1_1_are_letters(tmp_path: Path, letter: str) -> None:
    """As in YAML 1.2 and JSON: no line ends there, and no space around them goes."""
    words, private = f"a {letter} b", "\ue000"
    escaped = f"\\u{ord(letter):04x}"
    lines = [
        f'{{"double": "{words}", "{words}": 1, "escaped": "{escaped}", "private": "{private}",',
        f' "single": \'{words}\', plain: {words}, "list": [{letter}x{letter}, y], # {letter} comment: {letter}',
        ' "last": 2}',
    ]
    text = "\n".join(lines)
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    tree = read(str(path))
    value = tree.plain()
    assert value == {
        "double": words,
        words: 1,
        "escaped": letter,
        "private": private,
        "single": words,
        "plain": words,
        "list": [f"{letter}x{letter}", "y"],
        "last": 2,
    }
    mark = tree.key_marks["last"]
    assert (mark.line, mark.column) == (3, 2)
    mark = tree.value["plain"].mark
    assert (mark.line, mark.column) == (2, lines[1].index("plain: ") + len("plain: ") + 1)
    assert plain(parse(Text(text))) == value
