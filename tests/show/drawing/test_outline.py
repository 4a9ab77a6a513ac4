"""The content of a drawing: boxes, arrows, blocks."""

from __future__ import annotations

from drawings import panels
from paths import ROOT

from specs import two_heads_spec

ARCHITECTURES = ROOT / "specs" / "architectures"


def test_a_small_network_has_a_box_a_node() -> None:
    (panel,) = panels(two_heads_spec())
    nodes = [layer["name"] for layer in two_heads_spec()["layers"]]
    assert list(panel.boxes) == ["left", "right", *nodes, "head same", "head gap"]
    assert ("mean", "both") in panel.arrows
    assert ("gap", "head gap") in panel.arrows
    assert panel.boxes["embed_right"].kind == "shared"
    assert panel.boxes["embed_right"].lines[0] == "Embedding with the weights of embed"
    assert panel.boxes["same"].lines == ["Dense · 1 unit · sigmoid", "(N, 1) · 13 parameters"]


def test_resnet_50_folds_its_blocks() -> None:
    top, *blocks = panels(str(ARCHITECTURES / "resnet50.yaml"))
    assert [panel.title for panel in blocks] == ["block project", "block keep", "block branch"]
    assert len(top.boxes) == 18
    assert top.boxes["stage4_more"].title == "stage4_more × 5"
    assert top.boxes["stage4_more"].lines[0] == "block keep: filters 256"
    assert blocks[0].about == "filters 64, strides 1, as in 'stage2'"
    assert ("x", "shortcut") in [(blocks[0].boxes[a].title, b) for a, b in blocks[0].arrows]
    assert ("out", "output 0") in blocks[0].arrows
    (everything,) = panels(str(ARCHITECTURES / "resnet50.yaml"), expand=True)
    assert len(everything.boxes) == 176 + 2


def test_nested_params_are_resolved_and_every_output_is_shown() -> None:
    _, layer, gate = panels(str(ARCHITECTURES / "wavenet.yaml"))
    assert layer.boxes["gate"].lines[0] == "block gate: dilation 1"
    assert [a for a in gate.arrows if a[1].startswith("output")] == [("gated", "output 0"), ("skip", "output 1")]


def test_a_formula_is_a_node_that_opens() -> None:
    layers = [
        {"name": "p", "type": "Dense", "units": 3, "inputs": "x"},
        {"name": "cost", "type": "Formula", "value": "rate * exp(-p) / (1 + y[:, 0:1])"},
        {"name": "same", "type": "Formula", "value": "cost"},
    ]
    spec = {
        "graphspec": 1,
        "name": "formulas",
        "vars": {"rate": 2},
        "inputs": {"x": {"shape": [4]}, "y": {"shape": [2]}},
        "layers": layers,
        "outputs": {"same": {}},
    }
    (folded,) = panels(spec)
    assert folded.boxes["cost"].lines[0] == "Formula · rate * exp(-p) / (1 + y[:, 0:1])"
    assert [*folded.arrows] == [("x", "p"), ("p", "cost"), ("y", "cost"), ("cost", "same"), ("same", "head same")]
    (opened,) = panels(spec, expand=True)
    shown = {key: (box.title, *box.lines) for key, box in opened.boxes.items() if key.startswith("cost/")}
    assert [*shown.values()] == [
        ("-p", "ops.negative"),
        ("exp(-p)", "ops.exp"),
        ("rate * exp(-p)", "ops.multiply"),
        ("y[:, 0:1]", "GetItem"),
        ("(1 + y[:, 0:1])", "ops.add"),
    ]
    minus, exp, product, part, total = shown
    arrows = [("x", "p"), ("p", minus), (minus, exp), (exp, product), ("y", part), (part, total)]
    assert {*opened.arrows} == {*arrows, (product, "cost"), (total, "cost"), ("cost", "same"), ("same", "head same")}


def test_what_is_computed_once_is_marked() -> None:
    (folded,) = panels(str(ROOT / "specs" / "penguins.yaml"))
    assert folded.boxes["penguin"].lines[0] == "record of 7 columns"
    assert folded.boxes["penguin"].lines[-1] == "12 of 15 nodes computed once, before training"
    assert "parameters learnt" in folded.boxes["hidden"].lines[1]
    (everything,) = panels(str(ROOT / "specs" / "penguins.yaml"), expand=True)
    assert everything.boxes["penguin/year"].lines[-1] == "computed once, before training"
    assert everything.boxes["penguin/sex"].lines[-1] == "(N, penguin.sex.ids.tokens+2)"


def test_boxes_name_their_nodes_and_a_block_may_have_one_input_without_a_list() -> None:
    block = {"inputs": "x", "outputs": "b", "layers": [{"name": n, "type": "Dense", "units": 4} for n in "ab"]}
    top, pair = panels(
        {
            "graphspec": 1,
            "name": "blocks",
            "inputs": {"x": {"shape": [4]}},
            "blocks": {"pair": block},
            "layers": [{"name": "p", "block": "pair", "repeat": 2}, {"name": "y", "type": "Dense", "units": 1}],
            "outputs": {"y": {"loss": "mse"}},
        }
    )
    assert top.boxes["p"].nodes == ["p_1/a", "p_1/b", "p_2/a", "p_2/b"]
    assert top.boxes["y"].nodes == ["y"]
    assert list(pair.boxes) == ["x", "a", "b", "output 0"]
    assert pair.boxes["a"].nodes == ["p_1/a"]
