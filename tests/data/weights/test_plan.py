"""Where initial weights come from: names, patterns, parts of a network, conversions, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import graphspec as gs
from graphspec.engine.compiler.check import check

RANDOM = np.random.default_rng(0)
BLOCK = {
    "inputs": ["x"],
    "layers": [
        {"name": "dense", "type": "Dense", "units": 3, "inputs": "x"},
        {"name": "norm", "type": "BatchNormalization"},
    ],
    "outputs": ["norm"],
}


def net(layers: list[dict[str, Any]], initial: Any = None, **more: Any) -> dict[str, Any]:
    """A network of (N, 3) with the block ``pair``; its last node is ``y``."""
    training = {"seed": 1} | ({} if initial is None else {"initial_weights": initial})
    document = {"graphspec": 1, "name": "net", "inputs": {"x": {"shape": [3]}}, "blocks": {"pair": BLOCK}}
    return document | {"layers": layers, "outputs": {"y": {"loss": "mse"}}, "training": training} | more


Y = {"name": "y", "type": "Dense", "units": 1}
PLAIN = [{"name": "a", "block": "pair"}, {"name": "b", "block": "pair"}, Y]


def weights_of(document: dict[str, Any]) -> dict[str, Any]:
    """Values unlike those that any initializer draws, for every weight."""
    return {
        name: RANDOM.standard_normal(w.shape).astype(np.float32) + 3 for name, w in gs.compile(document).weights.items()
    }


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def renamed(values: dict[str, Any], **ends: str) -> dict[str, Any]:
    """The values with other beginnings of their names."""
    found = {}
    for name, value in values.items():
        first, _, rest = name.partition("/")
        found[f"{ends.get(first, first)}/{rest}"] = value
    return found


@pytest.mark.parametrize(
    ("names", "given"),
    [
        ({}, {}),
        ({"a": "enc/x", "b": "enc/z"}, {"a/*": "enc/x/*", "b": "enc/z"}),  # a pattern with the role, or a block
        ({"a": "old.1", "b": "old.2"}, {"a/dense": "old.1/dense", "a/norm/*": "old.1/norm/*", "b": "old.2"}),
        ({"a": "m/a", "b": "m/b", "y": "m/y"}, {"*": "m/*"}),
        ({"y": "head/7"}, {"y/kernel": "head/7/kernel", "y": "head/7"}),
        ({"y": "head"}, {"y": "head", "*": "*"}),  # the first match wins
        ({"y": "head"}, {"y/*": "head", "a/*/*": "a/*/*"}),
    ],
)
def test_the_map_names_weights_nodes_and_blocks(names: dict[str, str], given: dict[str, str]) -> None:
    values = weights_of(net(PLAIN))
    save_file(renamed(values, **names), "w.safetensors")
    model = gs.compile(net(PLAIN, {"file": "w.safetensors", "map": given}))
    for name, value in values.items():  # moving statistics, too
        np.testing.assert_array_equal(model.weights[name], value, name)
    assert f"{model.initial_weights[0]}" == "initial weights: 14 of 14 from w.safetensors"
    assert not check(net(PLAIN, {"file": "w.safetensors", "map": given})).diagnostics


def test_a_part_of_a_network_has_a_file_of_its_own() -> None:
    layers = [
        {"name": "stack", "block": "outer", "weights": "outer.safetensors"},
        {"name": "again", "share": "stack"},
        {"name": "y", "type": "Dense", "units": 1, "weights": {"file": "y.npz"}},
    ]
    outer = {
        "inputs": ["x"],
        "layers": [
            {"name": "copy", "block": "pair", "repeat": 2, "inputs": "x", "weights": {"file": "pair.safetensors"}},
            {"name": "last", "type": "Dense", "units": 3, "trainable": False},
        ],
        "outputs": ["last"],
    }
    blocks = {"pair": BLOCK, "outer": outer}
    bare = [{k: v for k, v in layer.items() if k != "weights"} for layer in layers]
    inner = [{k: v for k, v in layer.items() if k != "weights"} for layer in outer["layers"]]  # type: ignore[union-attr]
    values = weights_of(net(bare, blocks={"pair": BLOCK, "outer": {**outer, "layers": inner}}))
    copy = "stack/copy_1/"
    save_file({n.removeprefix(copy): v for n, v in values.items() if n.startswith(copy)}, "pair.safetensors")
    save_file(
        {"stack/last/kernel": values["stack/last/kernel"], "last/bias": values["stack/last/bias"]}, "outer.safetensors"
    )
    np.savez("y.npz", kernel=values["y/kernel"], bias=values["y/bias"])
    model = gs.compile(net(layers, blocks=blocks))
    for name, value in model.weights.items():  # both copies start from the same file
        np.testing.assert_array_equal(value, values[name.replace("copy_2", "copy_1")], name)
    nodes = [(known.node, len(known.taken), len(known.new)) for known in model.initial_weights]
    assert nodes == [("stack", 2, 0), ("stack/copy_1", 6, 0), ("stack/copy_2", 6, 0), ("y", 2, 0)]
    whole = net(layers, {"file": "outer.safetensors", "allow_missing": ["*"]}, blocks=blocks)
    (problem,) = check(whole).errors  # no weight is left for it
    assert problem.message == "the network has no weights that 'outer.safetensors' could give"


def test_wrapped_layers_and_learnt_vectors() -> None:
    layers = [
        {"name": "cut", "type": "Reshape", "target_shape": [3, 1]},
        {"name": "read", "type": "Bidirectional", "layer": {"type": "GRU", "units": 2, "return_sequences": True}},
        {"name": "each", "type": "TimeDistributed", "layer": {"type": "Dense", "units": 2}},
        {"name": "attend", "type": "MultiHeadAttention", "num_heads": 2, "key_dim": 2, "inputs": ["each", "each"]},
        {"name": "flat", "type": "Flatten"},
        Y,
    ]
    values = weights_of(net(layers))
    save_file(values, "w.safetensors")
    model = gs.compile(net(layers, "w.safetensors"))
    assert model.weights.keys() == values.keys()
    assert all((model.weights[name] == value).all() for name, value in values.items())


def test_what_a_file_lacks_starts_as_without_it() -> None:
    values = weights_of(net(PLAIN))
    save_file(
        {**{n: v for n, v in values.items() if n[0] == "a"}, "y/kernel": np.zeros((9, 1), np.float32)}, "w.safetensors"
    )
    document = net(PLAIN, {"file": "w.safetensors", "allow_missing": ["b/*", "y/*"]})
    model, drawn = gs.compile(document), gs.compile(net(PLAIN)).weights
    for name, value in model.weights.items():
        np.testing.assert_array_equal(value, values[name] if name[0] == "a" else drawn[name], name)
    (known,) = model.initial_weights
    assert known.new["y/kernel"] == "another shape in the file"
    assert known.new["y/bias"] == "not in the file"
    assert str(known).endswith(
        "8 start new: b/dense/kernel, b/dense/bias, b/norm/gamma, b/norm/beta, …; 1 left over: y/kernel"
    )
    assert len(known.sha256) == 64
    told = dict(known.rows())
    assert [told[name] for name in ("a/dense/bias", "y/bias", "(left over)")] == [
        "a/dense/bias",
        "starts new: not in the file",
        "y/kernel",
    ]


HALF = np.array([1.5, -2.0, 0.25], np.float32)


def bfloat16(path: str, name: str, values: Any, **others: Any) -> None:
    """Write an array as bfloat16, which NumPy does not have."""
    import json

    data = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    entry = {name: {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [0, len(data)]}}
    header = json.dumps(entry | others).encode()
    Path(path).write_bytes(len(header).to_bytes(8, "little") + header + data)


def test_floats_are_converted_and_other_values_refused() -> None:
    document = net([{"name": "y", "type": "Dense", "units": 1, "use_bias": False}], "w.safetensors")
    for dtype in (np.float16, np.float64):
        save_file({"y/kernel": HALF.astype(dtype)[:, None]}, "w.safetensors")
        np.testing.assert_array_equal(gs.compile(document).weights["y/kernel"], HALF[:, None])
    bfloat16("w.safetensors", "y/kernel", HALF[:, None])
    np.testing.assert_array_equal(gs.compile(document).weights["y/kernel"], HALF[:, None])
    for values, code, words in (
        (np.ones((3, 1), np.int8), "GS504", "'y/kernel' of 'w.safetensors' has values of dtype int8"),
        (np.full((3, 1), np.nan, np.float32), "GS505", "'y/kernel' of 'w.safetensors' contains NaN or infinity"),
        (np.full((3, 1), 1e300), "GS105", "has a number that exceeds float32"),
    ):
        save_file({"y/kernel": values}, "w.safetensors")
        with pytest.raises(gs.SpecError) as caught:
            gs.compile(document)
        (problem,) = caught.value.diagnostics
        assert (problem.code, problem.path) == (code, "training.initial_weights")
        assert words in problem.message
    data = {"other": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [6, 8]}}
    bfloat16("w.safetensors", "y/kernel", HALF[:, None], **data)
    with Path("w.safetensors").open("ab") as file:
        file.write(b"12")
    assert gs.compile(document).initial_weights[0].left_over == ["other"]  # an unknown dtype does not matter there


def test_a_file_that_changes_between_check_and_reading_is_refused() -> None:
    from graphspec.engine.runtime.session import Session

    save_file(weights_of(net(PLAIN)), "w.safetensors")
    spec, lowered = check(net(PLAIN, "w.safetensors")).require()
    save_file({"y/kernel": HALF[:, None]}, "w.safetensors")
    with pytest.raises(gs.UsageError, match="has changed while it was used"):
        Session(spec, lowered)
    Path("w.safetensors").unlink()
    with pytest.raises(gs.UsageError, match="has changed while it was used"):
        Session(spec, lowered)


@pytest.mark.parametrize(
    ("initial", "words", "hint"),
    [
        ({"file": "w.safetensors", "map": {"z/*": "a/*"}}, "`map` has the pattern 'z/*', which matches no", "mean"),
        (
            {"file": "w.safetensors", "map": {"y": "yy"}},
            "lacks 2 of 14 weights: y/kernel, y/bias (looked for 'yy/k",
            "'y/",
        ),
        ({"file": "w.safetensors", "allow_missing": ["y/gamma"]}, "`allow_missing` has the pattern 'y/gamma'", "mean"),
        ({"file": "none.npz"}, "the file 'none.npz' does not exist", "name a file"),
        ({"file": "."}, "the file '.' is not a run directory", "name a file"),
        ({"file": "net.yaml"}, "the file 'net.yaml' is no file of weights", "name a file"),
        ({"file": "broken.safetensors"}, "is not a file of safetensors", "safetensors"),
        ({}, "`initial_weights` needs `file`", "file"),
        (["w.safetensors"], "cannot be arrays", "name a file"),
        ({"file": "other.npz", "allow_missing": ["*"]}, "gives none of 14 weights", "`map`"),
    ],
)
def test_mistakes(initial: Any, words: str, hint: str) -> None:
    save_file(weights_of(net(PLAIN)), "w.safetensors")
    np.savez("other.npz", z=HALF)
    Path("net.yaml").write_text("a: 1")
    Path("broken.safetensors").write_bytes(b"\xff" * 40)
    (problem,) = check(net(PLAIN, initial)).errors
    assert words in problem.message
    assert hint in str(problem.hint)


DENSE = {"name": "y", "type": "Dense", "units": 2}
MANY = [{"name": f"d{k}", "type": "Dense", "units": 2} for k in range(29)]


@pytest.mark.parametrize(
    ("layers", "shapes", "more", "words", "hint"),
    [
        ([DENSE], {"y/kernel": (3, 5), "y/bias": (2,)}, {}, "'y/kernel' of 'w.safetensors' has shape (3, 5)", "`units: 5`"),
        ([DENSE], {"y/kernel": (2, 3), "y/bias": (2,)}, {}, "has shape (2, 3)", "PyTorch's layout: write `layout: torch`"),
        ([DENSE], {"y/kernel": (4, 2), "y/bias": (2,)}, {}, "has shape (4, 2)", "give the layer the sizes of the file"),
        ([DENSE], {"y.weight": (2, 3)}, {}, "lacks all 2 weights", "its names are PyTorch's: write `layout: torch`"),
        ([DENSE], {f"q{k}": (2,) for k in range(9)}, {}, "lacks all 2 weights", "the file has 'q0', 'q1', 'q2', … (6 more)"),
        (
            [{"name": "y", "type": "GRU", "units": 2, "reset_after": False}],
            {"y.weight_ih_l0": (6, 3), "y.weight_hh_l0": (6, 2), "y.bias_ih_l0": (6,), "y.bias_hh_l0": (6,)},
            {"layout": "torch"},
            "lacks 1 of 3 weights: y/bias",
            "PyTorch's GRU is `reset_after: true` here",
        ),
        (
            [*MANY, DENSE],
            {f"{n['name']}/{role}": (7, 7) for n in [*MANY, DENSE] for role in ("kernel", "bias")},
            {},
            "has shape (7, 7) (and 20 more like this)",
            "give the layer the sizes of the file",
        ),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(layers: Any, shapes: Any, more: Any, words: str, hint: str) -> None:
    save_file({name: np.ones(shape, np.float32) for name, shape in shapes.items()}, "w.safetensors")
    document = net(layers, {"file": "w.safetensors", **more})
    document["inputs"]["x"]["shape"] = [4, 3] if layers[-1]["type"] == "GRU" else [3]
    problem = check(document).errors[-1]
    assert words in problem.message
    assert hint in str(problem.hint)
