"""The golden cases of merging layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import GAPS, GAPS2, Case, graph


def layer_cases() -> list[Case]:
    cases = []

    def merge(label: str, cls: str, *shapes: list[int | None], **args: Any) -> None:
        names = ["a", "b", "c"][: len(shapes)]
        node = {"name": "y", "type": cls, **args, "inputs": names}
        cases.append(graph(f"{cls}-{label}", dict(zip(names, shapes, strict=True)), node))

    for cls in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"):
        merge("two", cls, [3, 4], [3, 4])
        if cls != "Subtract":
            merge("three", cls, [4], [4], [4])
        merge("broadcast", cls, [3, 1], [1, 4])
        merge("ranks", cls, [3, 4], [4])
    merge("three_ranks", "Add", [2, 3, 4], [4], [3, 4])
    merge("default", "Concatenate", [3], [2], [4])
    merge("axis_1", "Concatenate", [3, 2], [1, 2], axis=1)
    merge("axis_2", "Concatenate", [2, 3, 2], [2, 1, 2], axis=2)
    merge("axis_minus_2", "Concatenate", [2, 3, 2], [2, 1, 2], axis=-2)
    merge("time", "Concatenate", [None, 2], [None, 3])
    for normalize in (False, True):
        label = "_normalize" if normalize else ""
        merge("vectors" + label, "Dot", [4], [4], axes=1, normalize=normalize)
        merge("matrices" + label, "Dot", [3, 4], [4, 2], axes=[2, 1], normalize=normalize)
    merge("axes_1", "Dot", [3, 4], [3, 2], axes=1)
    merge("axes_minus_1", "Dot", [3, 4], [2, 4], axes=-1)
    merge("matrix_vector", "Dot", [3, 4], [4], axes=[2, 1])
    merge("time", "Dot", [None, 4], [None, 4], axes=2)
    merge("rank4", "Dot", [2, 3, 4], [4, 2], axes=[3, 1])

    two = {"a": {"shape": [None], "dtype": "int64"}, "b": {"shape": [None], "dtype": "int64"}}
    embed = {"type": "Embedding", "input_dim": 6, "output_dim": 2}
    for label, node, masks in (
        ("Add", {"type": "Add"}, (True, True)),
        ("Multiply_one", {"type": "Multiply"}, (True, False)),
        ("Concatenate", {"type": "Concatenate"}, (True, True)),
        ("Concatenate_one", {"type": "Concatenate"}, (True, False)),
        ("Concatenate_time", {"type": "Concatenate", "axis": 1}, (True, True)),
        ("Concatenate_time_one", {"type": "Concatenate", "axis": 1}, (False, True)),
    ):
        cases.append(
            graph(
                f"mask-{label}",
                two,
                {"name": "ea", **embed, "inputs": "a", "mask_zero": masks[0]},
                {"name": "eb", **embed, "inputs": "b", "mask_zero": masks[1]},
                {"name": "merged", **node, "inputs": ["ea", "eb"]},
                {"name": "y", "type": "LSTM", "units": 2},
                outputs={"y": {}, "merged": {}},
                values={"a": np.array(GAPS), "b": np.array(GAPS2)},
                batch=5,
            )
        )
    return cases
