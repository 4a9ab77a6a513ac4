"""The golden cases of normalization."""

from __future__ import annotations

from cases import GAPS, Case, masked, single


def layer_cases() -> list[Case]:
    cases = []
    for training in (False, True):
        mode = "training" if training else "inference"
        for label, shape, args in (
            ("rank2", [4], {}),
            ("rank3", [3, 4], {"momentum": 0.8, "epsilon": 0.01}),
            ("rank4", [3, 2, 4], {}),
            ("axis_1", [3, 2, 4], {"axis": 1, "momentum": 0.5}),
            ("no_scale", [4], {"scale": False}),
            ("no_center", [4], {"center": False}),
            ("neither", [2, 4], {"center": False, "scale": False}),
        ):
            cases.append(single(f"{label}_{mode}", shape, "BatchNormalization", args, training=training, batch=3))
        cases.append(
            masked(
                f"mask-BatchNormalization_{mode}", GAPS, {"name": "y", "type": "BatchNormalization"}, training=training
            )
        )
    for label, shape, args in (
        ("rank2", [4], {}),
        ("rank3", [3, 4], {"epsilon": 0.01}),
        ("axis_1", [3, 4], {"axis": 1}),
        ("axes", [3, 4], {"axis": [1, 2]}),
        ("axes_rank4", [2, 3, 4], {"axis": [-2, -1]}),
        ("no_scale", [4], {"scale": False}),
        ("no_center", [4], {"center": False}),
        ("neither", [2, 4], {"center": False, "scale": False}),
        ("time", [None, 4], {}),
    ):
        cases.append(single(label, shape, "LayerNormalization", args))
    return cases
