"""The golden cases of attention: dot-product, additive, by heads, by groups of heads; masks of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import GAPS, PADDED, Case, graph

TIME = {"x": [4, 6]}
CROSS = {"x": [3, 6], "y": [5, 4]}
SAME = {"x": [3, 4], "y": [5, 4]}  # one size of features
FULL = [[1, 2, 3, 4, 5], [3, 1, 2, 0, 0], [1, 0, 0, 2, 0]]
KEEP = np.array([[1, 1, 0, 1, 1], [1, 0, 0, 0, 0], [1, 1, 1, 0, 0]], bool)
ASKED = [[1, 2, 3, 1, 1], [2, 1, 0, 0, 0], [1, 3, 2, 0, 1]]  # no query or key of it is masked for all


def nodes(cls: str, inputs: list[str], args: dict[str, Any]) -> list[dict[str, Any]]:
    """The layer as `a`, whose scores are another head where they are returned."""
    return [{"name": "a", "type": cls, "inputs": inputs, **args}]


def heads(args: dict[str, Any]) -> dict[str, Any]:
    return {"a": {}} | ({"s": {"layer": "a:1"}} if args.get("return_attention_scores") else {})


def plain(label: str, cls: str, shapes: dict[str, Any], args: dict[str, Any], **extra: Any) -> Case:
    """Over float inputs, all of them in their order unless `inputs` says otherwise; bool inputs are call arguments."""
    floats = [name for name, shape in shapes.items() if isinstance(shape, list)]
    inputs = extra.pop("inputs", floats if len(floats) > 1 else floats * 2)
    return graph(f"{cls}-{label}", shapes, *nodes(cls, inputs, args), outputs=heads(args), **extra)


def embedded(label: str, cls: str, ids: dict[str, list[list[int]]], args: dict[str, Any], **extra: Any) -> Case:
    """Over embedded ids, which are masked where they are 0; behind it a layer that reads the output's mask."""
    inputs = {name: {"shape": [len(rows[0])], "dtype": "int64"} for name, rows in ids.items()}
    words = [
        {"name": f"e_{name}", "type": "Embedding", "input_dim": 6, "output_dim": 4, "mask_zero": True, "inputs": name}
        for name in ids
    ]
    taken = extra.pop("inputs", [f"e_{name}" for name in ids] if len(ids) > 1 else [f"e_{name}" for name in ids] * 2)
    values = {name: np.array(rows) for name, rows in ids.items()}
    batch = len(next(iter(ids.values())))
    made = nodes(cls, taken, args)
    return graph(f"mask-{cls}-{label}", inputs, *words, *made, outputs=heads(args), values=values, batch=batch, **extra)


def mask(shape: list[int], *, batch: int = 2, share: float = 0.6) -> tuple[dict[str, Any], Any]:
    """A bool input and its values, in which every query sees its first key."""
    drawn = np.random.default_rng(sum(shape)).random((batch, *shape)) < share
    drawn[..., 0] = True
    return {"shape": shape, "dtype": "bool"}, drawn


def scored() -> list[Case]:
    cases = []
    for cls, options in (
        (
            "Attention",
            [
                ("plain", {}),
                ("scale", {"use_scale": True}),
                ("concat", {"score_mode": "concat"}),
                ("concat_scale", {"score_mode": "concat", "use_scale": True}),
            ],
        ),
        ("AdditiveAttention", [("plain", {}), ("no_scale", {"use_scale": False})]),
    ):
        for label, args in options:
            cases += [
                plain(label, cls, {"x": [4, 3]}, args),
                plain(f"{label}_cross", cls, SAME, args),
                plain(f"{label}_scores", cls, SAME, {**args, "return_attention_scores": True}),
            ]
        key = {"x": [3, 4], "y": [5, 2], "z": [5, 4]}
        seen, values = {"q": {"shape": [3], "dtype": "bool"}, "v": {"shape": [5], "dtype": "bool"}}, {}
        values = {"q": [[True, True, False], [True, False, True]], "v": KEEP[:2]}
        cases += [
            plain("key", cls, key, {}),
            plain("causal", cls, {"x": [4, 3]}, {"use_causal_mask": True}),
            plain("causal_cross", cls, SAME, {"use_causal_mask": True, "return_attention_scores": True}),
            plain("time", cls, {"x": [None, 3]}, {"use_causal_mask": True}, time=4),
            plain("dropout", cls, SAME, {"dropout": 0.5}),
            plain("rank_4", cls, {"x": [2, 3, 4], "y": [2, 5, 4]}, {"use_causal_mask": True}),
            plain("mask", cls, SAME | seen, {"mask": ["q", "v"]}, values=values),
            embedded("self", cls, {"ids": FULL}, {}),
            embedded("cross", cls, {"a_ids": FULL, "b_ids": ASKED}, {}),
            embedded("causal", cls, {"ids": FULL}, {"use_causal_mask": True}),
            embedded("scores", cls, {"ids": FULL}, {"return_attention_scores": True}),
            embedded("key", cls, {"ids": FULL, "others": ASKED}, {}, inputs=["e_ids", "e_others", "e_others"]),
        ]
    return cases


def by_heads() -> list[Case]:
    cls = "MultiHeadAttention"
    base = {"num_heads": 2, "key_dim": 3}
    wide = {"num_heads": 3, "key_dim": 2, "value_dim": 4}
    pairs, seen = mask([3, 5])
    each, every = mask([2, 3, 5])
    row, first = mask([1, 5])
    keep = {"shape": [5], "dtype": "bool"}
    scores = {"return_attention_scores": True}
    cases = [
        plain("self", cls, TIME, base),
        plain("one_head", cls, TIME, {"num_heads": 1, "key_dim": 4}),
        plain("cross", cls, CROSS, wide),
        plain("key", cls, {"x": [3, 6], "y": [5, 4], "z": [5, 2]}, base),
        plain("no_bias", cls, CROSS, {**base, "use_bias": False}),
        plain("gate", cls, CROSS, {**wide, "use_gate": True}),
        plain("gate_scores", cls, TIME, {**base, "use_gate": True, "use_bias": False, **scores}),
        plain("output_shape", cls, CROSS, {**wide, "output_shape": 5}),
        plain("output_shape_two", cls, CROSS, {**base, "output_shape": [2, 3]}),
        plain("scores", cls, CROSS, {**wide, **scores}),
        plain("dropout", cls, CROSS, {**base, "dropout": 0.5}),
        plain("dropout_scores", cls, TIME, {**base, "dropout": 0.25, "use_causal_mask": True, **scores}),
        plain("causal", cls, TIME, {**base, "use_causal_mask": True}),
        plain("causal_cross", cls, CROSS, {**wide, "use_causal_mask": True}),
        plain("causal_longer", cls, {"x": [5, 6], "y": [3, 4]}, {**base, "use_causal_mask": True, **scores}),
        plain("window", cls, {"x": [6, 4]}, {**base, "sliding_window": 2}),
        plain("window_causal", cls, {"x": [6, 4]}, {**base, "sliding_window": 2, "use_causal_mask": True}),
        plain("window_scores", cls, {"x": [6, 4]}, {**base, "sliding_window": 3, "use_causal_mask": True, **scores}),
        plain("time", cls, {"x": [None, 4]}, base, time=4),
        plain("time_causal", cls, {"x": [None, 4]}, {**base, "use_causal_mask": True, "sliding_window": 2}, time=4),
        plain("time_scores", cls, {"x": [None, 4]}, {**base, "use_causal_mask": True, **scores}, time=4),
        plain("mask", cls, CROSS | {"m": pairs}, {**wide, "attention_mask": "m"}, values={"m": seen}),
        plain("mask_scores", cls, CROSS | {"m": pairs}, {**base, "attention_mask": "m", **scores}, values={"m": seen}),
        plain(
            "mask_causal",
            cls,
            CROSS | {"m": pairs},
            {**base, "attention_mask": "m", "use_causal_mask": True},
            values={"m": seen},
        ),
        plain("mask_heads", cls, CROSS | {"m": each}, {**base, "attention_mask": "m"}, values={"m": every}),
        plain("mask_one_row", cls, CROSS | {"m": row}, {**base, "attention_mask": "m"}, values={"m": first}),
        plain("value_mask", cls, CROSS | {"v": keep}, {**base, "value_mask": "v"}, values={"v": KEEP[:2]}),
        plain("key_mask", cls, CROSS | {"v": keep}, {**base, "key_mask": "v", **scores}, values={"v": KEEP[1:]}),
        plain("axes_1", cls, {"x": [3, 2, 4]}, {**base, "attention_axes": 1, "use_causal_mask": True}),
        plain("axes_2", cls, {"x": [3, 2, 4], "y": [3, 4, 5]}, {**base, "attention_axes": [2], **scores}),
        plain("axes_both", cls, {"x": [3, 2, 4], "y": [2, 4, 5]}, {**wide, **scores}),
        plain("axes_negative", cls, {"x": [3, 2, 4]}, {**base, "attention_axes": [-2], "dropout": 0.5}),
        plain("axes_rank_5", cls, {"x": [2, 3, 2, 4]}, {**base, "attention_axes": [1, 3]}),
    ]
    grid, spots = mask([3, 2, 2, 4])
    lines, points = mask([3, 2, 4])
    cases += [
        plain(
            "axes_both_mask",
            cls,
            {"x": [3, 2, 4], "y": [2, 4, 5], "m": grid},
            {**base, "attention_mask": "m"},
            values={"m": spots},
        ),
        plain(
            "axes_2_mask",
            cls,
            {"x": [3, 2, 4], "y": [3, 4, 5], "m": lines},
            {**base, "attention_axes": 2, "attention_mask": "m"},
            values={"m": points},
        ),
    ]
    for ids, label in ((FULL, ""), (GAPS, "_gaps"), (PADDED, "_padded")):
        cases += [
            embedded(f"self{label}", cls, {"ids": ids}, base),
            embedded(f"causal{label}", cls, {"ids": ids}, {**base, "use_causal_mask": True}),
            embedded(f"scores{label}", cls, {"ids": ids}, {**base, **scores}),
            embedded(f"dropout{label}", cls, {"ids": ids}, {**base, "dropout": 0.5, "sliding_window": 2}),
        ]
    cases += [
        embedded("cross", cls, {"a_ids": FULL, "b_ids": ASKED}, base),
        embedded("key", cls, {"a_ids": FULL, "b_ids": ASKED}, base, inputs=["e_a_ids", "e_b_ids", "e_b_ids"]),
        embedded(
            "cross_longer", cls, {"a_ids": [r[:3] for r in FULL], "b_ids": ASKED}, {**base, "use_causal_mask": True}
        ),
    ]
    return cases


def by_groups() -> list[Case]:
    cls = "GroupQueryAttention"
    base = {"head_dim": 2, "num_query_heads": 4, "num_key_value_heads": 2}
    scores = {"return_attention_scores": True}
    pairs, seen = mask([3, 5])
    keep = {"shape": [5], "dtype": "bool"}
    asked = {"shape": [3], "dtype": "bool"}
    return [
        plain("self", cls, TIME, base),
        plain("cross", cls, SAME, base),
        plain("one_group", cls, SAME, {**base, "num_key_value_heads": 1}),
        plain("all_groups", cls, SAME, {**base, "num_key_value_heads": 4, "use_bias": False}),
        plain("key", cls, {"x": [3, 4], "y": [5, 4], "z": [5, 2]}, base),
        plain("gate", cls, SAME, {**base, "use_gate": True}),
        plain("scores", cls, SAME, {**base, **scores}),
        plain("dropout", cls, SAME, {**base, "dropout": 0.5}),
        plain("causal", cls, TIME, {**base, "use_causal_mask": True}),
        plain("causal_scores", cls, SAME, {**base, "use_causal_mask": True, **scores}),
        plain("window", cls, {"x": [6, 4]}, {**base, "sliding_window": 2, "use_causal_mask": True}),
        plain("time", cls, {"x": [None, 4]}, {**base, "use_causal_mask": True}, time=4),
        plain("time_scores", cls, {"x": [None, 4]}, {**base, "sliding_window": 2, **scores}, time=4),
        plain("mask", cls, SAME | {"m": pairs}, {**base, "attention_mask": "m"}, values={"m": seen}),
        plain(
            "masks",
            cls,
            SAME | {"q": asked, "v": keep},
            {**base, "query_mask": "q", "value_mask": "v"},
            values={"q": [[True, True, False], [True, False, True]], "v": KEEP[:2]},
        ),
        embedded("self", cls, {"ids": FULL}, base),
        embedded("gaps", cls, {"ids": GAPS}, {**base, "num_key_value_heads": 1}),
        embedded("causal", cls, {"ids": FULL}, {**base, "use_causal_mask": True, **scores}),
        embedded("cross", cls, {"a_ids": FULL, "b_ids": ASKED}, base),
    ]


def layer_cases() -> list[Case]:
    return [*scored(), *by_heads(), *by_groups()]
