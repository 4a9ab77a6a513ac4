"""Python with onnxruntime and NumPy alone, and the example in a file's metadata."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from consumers.apps import FIXTURES, HERE, NAMES, check_finds_nothing, check_finds_what_is_wrong, run, wrong_fixtures
from paths import ROOT

from graphspec.export.onnx import KEY

CONSUME = HERE / "consume.py"


@pytest.mark.slow
def test_every_record_has_its_answer() -> None:
    check_finds_nothing(run(sys.executable, "-I", CONSUME, FIXTURES))


def test_wrong_answers_are_found(tmp_path: Path) -> None:
    check_finds_what_is_wrong(run(sys.executable, "-I", CONSUME, wrong_fixtures(tmp_path)))


def test_graphspec_is_not_needed() -> None:
    code = (
        f"import sys, runpy; runpy.run_path({str(CONSUME)!r}); print('graphspec' in sys.modules, 'onnx' in sys.modules)"
    )
    assert run(sys.executable, "-I", "-c", code).stdout == "False False\n"


def arrays(values: Mapping[str, Any], described: list[dict[str, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of an example; null is what the signature says of missing values."""
    found = {}
    for entry in described:
        missing = {None: np.nan, "NaN": np.nan}.get(entry.get("missing"), entry.get("missing"))
        plain = np.array(values[entry["name"]], object)
        filled = np.where(np.equal(plain, None), missing, plain)
        found[entry["name"]] = filled.astype(object if entry["dtype"] == "string" else entry["dtype"])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_the_signature_gives_its_answer(name: str) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(FIXTURES / name / "model.onnx")
    signature = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    example = signature["example"]
    assert [entry["name"] for entry in signature["inputs"]] == [value.name for value in session.get_inputs()]
    found = session.run(None, arrays(example["inputs"], signature["inputs"]))
    wanted = arrays(example["outputs"], signature["outputs"])
    for value, array in zip(session.get_outputs(), found, strict=True):
        answer = wanted[value.name]
        if array.dtype.kind == "f":
            np.testing.assert_allclose(array, answer, rtol=1e-4, atol=1e-5)
        else:
            assert array.tolist() == answer.tolist(), value.name


def page_module() -> dict[str, Any]:
    """The names of ``predictor.py`` in docs/tutorials/deploy-python.md."""
    page = (ROOT / "docs" / "tutorials" / "deploy-python.md").read_text(encoding="utf-8")
    (code,) = re.findall(r'^```python title="predictor.py"\n(.*?)^```$', page, re.M | re.S)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 (a page of this repository)
    return names


@pytest.mark.parametrize("name", NAMES)
def test_the_module_of_the_page_answers_every_record(name: str) -> None:
    text = (FIXTURES / name / "records.jsonl").read_text(encoding="utf-8")
    lines = text.replace("\\u0000", "\\ufffd").splitlines()  # as in JavaScript, from which the answers may come
    answers = json.loads((FIXTURES / name / "answers.json").read_text(encoding="utf-8"))
    found = page_module()["Predictor"](FIXTURES / name / "model.onnx").answer([json.loads(line) for line in lines])
    for output, answer in answers.items():
        array = np.array([row[output] for row in found])
        assert list(array.shape) == answer["dims"], output
        if answer["dtype"] == "float32":
            wanted = np.array(answer["data"], float)
            atol = 1e-5 + 1e-4 * np.nan_to_num(np.abs(wanted)).max()
            np.testing.assert_allclose(array.reshape(-1), wanted, rtol=0, atol=atol)
        else:
            assert [str(value) for value in array.reshape(-1)] == [str(value) for value in answer["data"]], output


def test_the_module_of_the_page_refuses_what_gives_a_wrong_answer() -> None:
    model = page_module()["Predictor"](FIXTURES / "table" / "model.onnx")
    record = {entry["name"]: None for entry in model.signature["inputs"]}
    model.answer([record])
    with pytest.raises(TypeError, match="'town' has a value that is no text"):
        model.answer([{**record, "town": float("nan")}])
    with pytest.raises(KeyError, match="town"):
        model.answer([{name: None for name in record if name != "town"}])
    for output in ("price", "kind", "kind_label"):
        example = json.loads(json.dumps(model.signature["example"]))
        first = example["outputs"][output][0]
        example["outputs"][output][0] = "?" if isinstance(first, str) else (np.array(first) * 1.01).tolist()
        model.signature["example"], kept = example, model.signature["example"]
        with pytest.raises(RuntimeError, match=f"'{output}' of the example is "):
            model.check()
        model.signature["example"] = kept


def test_the_module_of_the_page_takes_the_names_of_columns_too() -> None:
    model = page_module()["Predictor"](FIXTURES / "table" / "model.onnx")
    record = {entry["name"]: None for entry in model.signature["inputs"]}
    answer = model.answer([record])
    next(entry for entry in model.signature["inputs"] if entry["name"] == "town")["column"] = "Town (of birth)"
    renamed = {"Town (of birth)" if name == "town" else name: value for name, value in record.items()}
    assert repr(model.answer([renamed])) == repr(answer) == repr(model.answer([record]))
    with pytest.raises(KeyError, match="of birth"):
        model.answer([{name: None for name in record if name != "town"}])


def load(folder: Path) -> tuple[dict[str, Any], str, list[tuple[str, str]]]:
    """The answers, the records, and the operators of a fixture with what they give."""
    import onnx

    graph = onnx.load(folder / "model.onnx").graph
    answers: dict[str, Any] = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    return (
        answers,
        (folder / "records.jsonl").read_text("utf-8"),
        [(node.op_type, node.output[0]) for node in graph.node],
    )


@pytest.mark.slow
def test_fixtures_are_what_the_project_writes_today(tmp_path: Path) -> None:
    code = f"import sys, runpy; sys.path[:0] = [{str(ROOT)!r}, {str(HERE)!r}]; sys.argv[1:] = [{str(tmp_path)!r}]; "
    code += f"runpy.run_path({str(HERE / 'make_fixtures.py')!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES
    for name in NAMES:
        (committed, records, nodes), (fresh, new_records, new_nodes) = load(FIXTURES / name), load(tmp_path / name)
        hint = f"{name}: run `python tests/consumers/make_fixtures.py`"
        assert records == new_records, hint
        assert nodes == new_nodes, hint
        assert list(committed) == list(fresh), hint
        for output, answer in committed.items():
            other = fresh[output]
            assert (answer["dtype"], answer["dims"]) == (other["dtype"], other["dims"]), hint
            if answer["dtype"] == "float32":  # training rounds in another way on another machine
                numbers, others = (np.array(found["data"], np.float64) for found in (answer, other))
                atol = 0.01 * np.nanmax(np.abs(numbers), initial=1)
                np.testing.assert_allclose(others, numbers, rtol=0, atol=atol, err_msg=f"{hint} ({output})")
            else:
                assert answer["data"] == other["data"], f"{hint} ({output})"
