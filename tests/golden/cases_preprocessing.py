"""The golden cases of preprocessing with given statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import GAPS, Case, graph, masked, single


def layer_cases() -> list[Case]:
    two, three = {"mean": [0.5, -1.0], "variance": [4.0, 0.25]}, {"mean": [1.0, 2.0, 0.0], "variance": [1.0, 0.5, 9.0]}
    nested = {"mean": [[1.0, 2.0], [3.0, 4.0], [0.0, 0.5]], "variance": [[1.0, 4.0], [9.0, 0.25], [2.0, 1.0]]}
    cases = [
        single("last", [2], "Normalization", two),
        single("rank3", [3, 2], "Normalization", two),
        single("time", [None, 2], "Normalization", two),
        single("invert", [3, 2], "Normalization", {**two, "invert": True}),
        single("axis_1", [3, 2], "Normalization", {"axis": 1, **three}),
        single("null", [3, 2], "Normalization", {"axis": None, "mean": 0.5, "variance": 2.0}),
        single("null_vector", [4], "Normalization", {"axis": None, "mean": 0.5, "variance": 2.0, "invert": True}),
        single("number", [3, 2], "Normalization", {"mean": 0.5, "variance": 2.0}),
        single("axes", [3, 2], "Normalization", {"axis": [1, 2], **nested}),
        single("axes_unsorted", [3, 2], "Normalization", {"axis": [-1, 1], **nested}),
        single("axes_one_list", [3, 2], "Normalization", {"axis": [1, 2], **two}),
        single("axes_apart", [3, 2, 2], "Normalization", {"axis": [1, 3], **nested}),
        single("constant_feature", [2], "Normalization", {"mean": [0.0, 1.0], "variance": [0.0, 4.0]}),
        single("scalars", [], "Normalization", {"axis": None, "mean": 0.5, "variance": 2.0}),
        masked("mask-Normalization", GAPS, {"name": "y", "type": "Normalization", "mean": 0.5, "variance": 2.0}),
    ]
    for dtype in ("int64", "uint8"):
        node = {"name": "y", "type": "Normalization", **two}
        cases.append(graph(f"Normalization-{dtype}", {"x": {"shape": [3, 2], "dtype": dtype}}, node))
    numbers = np.array([[-1.0, -0.5, 0.0], [0.74, 0.75, 5.0]])
    half = {"name": "y", "type": "Rescaling", "scale": 0.5}  # bins are integers, which have no gradient
    for mode in ("int", "one_hot", "multi_hot", "count"):
        bins = {"name": "bins", "type": "Discretization", "bin_boundaries": [-0.5, 0.0, 0.75, 2.0], "output_mode": mode}
        name = f"Discretization-{mode}"
        deep = np.stack([numbers, numbers - 0.5])
        cases += [
            graph(name, {"x": [3]}, bins, half, values={"x": numbers}),
            graph(f"{name}_rank3", {"x": [2, 3]}, bins, half, values={"x": deep}),
            graph(f"{name}_time", {"x": [None]}, bins, half, values={"x": numbers}),
        ]
        if mode in ("int", "one_hot"):
            whole = {"x": {"shape": [3], "dtype": "int64"}}
            cases += [
                graph(f"{name}_one", {"x": [1]}, bins, half),
                graph(f"{name}_scalars", {"x": []}, bins, half),
                graph(f"{name}_int64", whole, bins, half, values={"x": [[-1, 0, 1], [2, 3, 0]]}),
            ]
    return cases + encoding_cases()


def encoding_cases() -> list[Case]:
    ids = np.array([[1, 0, 1, 3], [2, 2, 2, 4]])
    encoding: dict[str, Any] = {"name": "y", "type": "CategoryEncoding", "num_tokens": 5}
    cases = []
    for mode in ("one_hot", "multi_hot", "count"):
        node = {**encoding, "output_mode": mode}
        cases += [
            graph(f"CategoryEncoding-{mode}", {"x": {"shape": [4], "dtype": "int64"}}, node, values={"x": ids}),
            graph(f"CategoryEncoding-{mode}_time", {"x": {"shape": [None], "dtype": "int32"}}, node, values={"x": ids}),
            graph(
                f"CategoryEncoding-{mode}_rank3",
                {"x": {"shape": [3, 2], "dtype": "int64"}},
                node,
                values={"x": np.arange(12).reshape(2, 3, 2) * 3 % 5},
            ),
            graph(
                f"CategoryEncoding-{mode}_one", {"x": {"shape": [1], "dtype": "uint8"}}, node, values={"x": ids[:, :1]}
            ),
        ]
    cases += [
        graph(
            "CategoryEncoding-scalar", {"x": {"shape": [], "dtype": "int64"}}, {**encoding, "output_mode": "one_hot"}
        ),
        graph("CategoryEncoding-floats", {"x": [4]}, encoding, values={"x": ids}),
        graph(
            "CategoryEncoding-bool",
            {"x": {"shape": [3], "dtype": "bool"}},
            {"name": "y", "type": "CategoryEncoding", "num_tokens": 2, "output_mode": "count"},
            values={"x": [[True, False, True], [False, False, False]]},
        ),
        graph(
            "CategoryEncoding-count_weights",
            {"x": {"shape": [4], "dtype": "int64"}, "w": [4]},
            {**encoding, "output_mode": "count", "inputs": "x", "count_weights": "w"},
            values={"x": ids},
        ),
        graph(
            "CategoryEncoding-count_weights_rank3",
            {"x": {"shape": [3, 2], "dtype": "int64"}, "w": [3, 2]},
            {**encoding, "output_mode": "count", "inputs": "x", "count_weights": "w"},
            values={"x": np.arange(12).reshape(2, 3, 2) * 3 % 5},
        ),
        graph(
            "CategoryEncoding-dense",
            {"x": {"shape": [4], "dtype": "int64"}},
            {**encoding, "name": "bag"},
            {"name": "y", "type": "Dense", "units": 3},
            values={"x": ids},
        ),
    ]
    return cases
