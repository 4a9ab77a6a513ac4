"""Slices as Python writes them: the same elements as NumPy's, also backwards, and errors for what is no slice."""

from __future__ import annotations

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.codes import Code

X = np.arange(2 * 5 * 4 * 3, dtype=np.float32).reshape(2, 5, 4, 3)
PLACES = {
    "[:, 0]": np.s_[:, 0],
    "[:, -1, :, 1:]": np.s_[:, -1, :, 1:],
    "[..., ::-1]": np.s_[..., ::-1],
    "[:, 3:0:-2, None, ..., +1]": np.s_[:, 3:0:-2, None, ..., +1],
    "[:, 7:]": np.s_[:, 7:],
    "[:, None, None]": np.s_[:, None, None],
    "[ : , 1 : 9 : 2 , ]": np.s_[:, 1:9:2],
}


def spec(key: str) -> dict[str, object]:
    return {
        "graphspec": 1,
        "name": "part",
        "inputs": {"x": {"shape": [5, 4, 3]}},
        "layers": [{"name": "y", "type": "GetItem", "key": key}],
        "outputs": {"y": {}},
    }


@pytest.mark.parametrize("key", PLACES)
def test_a_part_is_numpys(key: str) -> None:
    np.testing.assert_array_equal(gs.compile(spec(key)).predict(X), X[PLACES[key]])


@pytest.mark.parametrize(
    ("key", "code", "said"),
    [
        (":, 0", Code.VALUE_NOT_ALLOWED, "no brackets"),
        ("[:, x]", Code.VALUE_NOT_ALLOWED, "the part 'x'"),
        ("[:, ..., ...]", Code.VALUE_NOT_ALLOWED, "`...` twice"),
        ("[:, ::0]", Code.VALUE_NOT_ALLOWED, "step 0"),
        ("[:, 9999999999]", Code.VALUE_NOT_ALLOWED, "no axis is as long"),
        ("[None][:]", Code.VALUE_NOT_ALLOWED, "the part"),
        ("[]", Code.VALUE_NOT_ALLOWED, "the part ''"),
        ("[:, 5]", Code.SIZES_DO_NOT_FIT, "no element 5 along axis 1"),
        ("[:, -6]", Code.SIZES_DO_NOT_FIT, "no element -6"),
        ("[:, 0, 0, 0, 0]", Code.WRONG_RANK, "5 parts for the 4 axes"),
    ],
)
def test_what_is_no_part_is_said(key: str, code: Code, said: str) -> None:
    with pytest.raises(gs.SpecError) as caught:
        gs.compile(spec(key))
    (found,) = [d for d in caught.value.diagnostics if d.is_error]
    assert found.code is code
    assert said in found.message


def test_a_part_of_a_varying_axis_is_exported(tmp_path: object) -> None:
    made = spec("[:, -1]") | {"inputs": {"x": {"shape": [None, 3]}}}
    model = gs.compile(made)
    np.testing.assert_array_equal(model.predict(X[:, :, 0]), X[:, -1, 0])
    model.export(f"{tmp_path}/part.onnx")
