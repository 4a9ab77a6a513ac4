"""The programs of the page about C# and Java give a file what it takes.

The packages of onnxruntime are not needed: Java compiles and runs with the few classes in ``java/``, which have the real
signatures and write down what they are fed; of C#, names and types are compared.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before onnxruntime is imported

import numpy as np
import pytest
from commands import graphspec
from consumers.apps import HERE, run
from paths import ROOT

PAGE = (ROOT / "docs" / "tutorials" / "deploy-csharp-java.md").read_text(encoding="utf-8")
TYPES = {"texts": "string", "numbers": "float32", "integers": "int64"}
STRANGE = {"a\0b": "a\ufffdb", "\ud83d\ude00 é\uffff": "\ufffd é\uffff", "\ud83d!": "\ufffd!"}


def program(title: str) -> str:
    found = re.search(rf'^```\w+ title="{re.escape(title)}"\n(.*?)^```$', PAGE, re.M | re.S)
    assert found is not None, title
    return found[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the page, after a little training."""
    folder = tmp_path_factory.mktemp("penguins")
    shutil.copy(ROOT / "specs" / "data" / "penguins.csv", folder)
    (column,) = re.findall(r"--set '(.*?)'", PAGE)
    spec = folder / "penguins.yaml"
    assert graphspec("init", spec, "--from", folder / "penguins.csv", "--target", "species").exit_code == 0
    command = ("train", spec, "--out", folder / "run", "--export", folder / "penguins.onnx")
    done = graphspec(*command, "--set", column, "--set", "training.epochs=20")
    assert done.exit_code == 0, done.stderr
    return folder / "penguins.onnx"


def signature(model: Path) -> dict[str, Any]:
    import onnxruntime

    metadata = onnxruntime.InferenceSession(model).get_modelmeta().custom_metadata_map
    found: dict[str, Any] = json.loads(metadata["graphspec.signature"])
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "pattern"),
    [("Program.cs", r'feeds\["(\w+)"\] = (\w+)\('), ("Penguins.java", r'feeds\.put\("(\w+)", (\w+)\(')],
)
def test_the_programs_feed_what_the_file_takes(title: str, pattern: str, model: Path) -> None:
    code = program(title)
    fed = {name: TYPES[function.lower()] for name, function in re.findall(pattern, code)}
    described = signature(model)
    assert fed == {entry["name"]: entry["dtype"] for entry in described["inputs"]}
    assert {entry["name"]: (entry["dtype"], len(entry["shape"])) for entry in described["outputs"]} == {
        "species": ("float32", 2),
        "species_label": ("string", 1),
    }
    assert {str(entry["missing"]) for entry in described["inputs"]} == {"", "NaN", str(-(2**63))}


def test_outputs_of_csharp_are_read_in_the_order_in_which_they_are_asked_for() -> None:
    code = program("Program.cs")
    (names,) = re.findall(r"session\.Run\(runOptions, feeds, new\[\] \{ (.*?) \}\)", code)
    assert names == '"species", "species_label"'
    assert re.findall(r"outputs\[(\d)\]\.(\w+)", code) == [
        ("0", "GetTensorDataAsSpan"),
        ("1", "GetStringTensorAsArray"),
    ]


def java(folder: Path, code: str) -> str:
    """What a program prints, compiled with the classes in ``java/``."""
    if shutil.which("javac") is None or shutil.which("java") is None:
        pytest.skip("Java is not installed")
    (folder / "Penguins.java").write_text(code, encoding="utf-8")
    sources = sorted((HERE / "java").rglob("*.java"))
    strict = ("-encoding", "UTF-8", "-Xlint:all", "-Werror", "-proc:none")
    done = run("javac", *strict, "-d", folder / "classes", *sources, folder / "Penguins.java", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run("java", "-cp", folder / "classes", "Penguins", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_java_compiles_and_its_feeds_get_an_answer(model: Path, tmp_path: Path) -> None:
    import onnxruntime

    shutil.copy(model, tmp_path)
    printed = java(tmp_path, program("Penguins.java")).replace(",", ".")  # where the decimal mark is a comma
    assert printed.split() == ["first", "0.50", "second", "0.50"]
    written = json.loads((tmp_path / "feeds.json").read_text(encoding="utf-8"))
    feeds = {
        name: np.array(tensor["data"], object if tensor["dtype"] == "string" else tensor["dtype"]).reshape(
            tensor["shape"]
        )
        for name, tensor in written.items()
    }
    assert [feeds[name][1, 0] for name in ("bill_length_mm", "year")] == [pytest.approx(np.nan, nan_ok=True), -(2**63)]
    assert feeds["sex"].tolist() == [[""], ["female"]]
    session = onnxruntime.InferenceSession(model)
    assert session.run(["species_label"], feeds)[0].tolist() == ["Gentoo", "Adelie"]


@pytest.mark.slow
def test_java_gives_texts_that_are_utf_8(model: Path, tmp_path: Path) -> None:
    shutil.copy(model, tmp_path)
    escaped = ["".join(f"\\u{ord(c):04x}" if c != "\0" else "\\0" for c in text) for text in STRANGE]
    pairs = iter([*escaped, "none"])
    code = re.sub(r'"(Biscoe|Torgersen|female)"', lambda _: f'"{next(pairs)}"', program("Penguins.java"))
    java(tmp_path, code)
    written = json.loads((tmp_path / "feeds.json").read_text(encoding="utf-8"))
    assert [*written["island"]["data"], written["sex"]["data"][1]] == list(STRANGE.values())
