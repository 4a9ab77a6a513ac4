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
    for label, shape, args in (
        ("rank2", [6], {"groups": 3}),
        ("image", [3, 2, 4], {"groups": 2, "epsilon": 0.01}),
        ("axis_1", [4, 3, 2], {"groups": 2, "axis": 1}),
        ("axis_-2", [3, 4, 2], {"groups": 2, "axis": -2}),
        ("instance", [3, 2, 4], {"groups": -1}),
        ("one_group", [3, 4], {"groups": 1, "scale": False}),
        ("no_center", [3, 4], {"groups": 4, "center": False}),
        ("neither", [3, 4], {"groups": 2, "center": False, "scale": False}),
        ("time", [None, 4], {"groups": 2}),
    ):
        cases.append(single(label, shape, "GroupNormalization", args))
    cases.append(masked("mask-GroupNormalization", GAPS, {"name": "y", "type": "GroupNormalization", "groups": 3}))
    for label, shape, args in (
        ("rank2", [4], {}),
        ("rank3", [3, 4], {"epsilon": 0.01}),
        ("axes", [3, 4], {"axis": [1, 2]}),
        ("axes_rank4", [2, 3, 4], {"axis": [-2, -1]}),
        ("time", [None, 4], {}),
    ):
        cases.append(single(label, shape, "RMSNormalization", args))
    for label, shape, args in (
        ("rank2", [4], {}),
        ("axis_1", [3, 4], {"axis": 1}),
        ("axes", [3, 4], {"axis": [1, 2]}),
        ("axes_apart", [2, 3, 4], {"axis": [1, -1]}),
        ("time", [None, 4], {}),
    ):
        cases.append(single(label, shape, "UnitNormalization", args))
    cases.append(masked("mask-UnitNormalization", GAPS, {"name": "y", "type": "UnitNormalization"}))
    for training in (False, True):
        mode = "training" if training else "inference"
        for label, shape, layer, args in (
            ("dense", [4], {"type": "Dense", "units": 3}, {}),
            ("dense_rank3", [2, 4], {"type": "Dense", "units": 3, "use_bias": False}, {"power_iterations": 3}),
            ("conv1d", [None, 3], {"type": "Conv1D", "filters": 4, "kernel_size": 2}, {}),
            (
                "conv2d",
                [4, 4, 2],
                {"type": "Conv2D", "filters": 3, "kernel_size": 3, "activation": "tanh"},
                {"power_iterations": 2},
            ),
            ("transposed", [3, 3, 2], {"type": "Conv2DTranspose", "filters": 3, "kernel_size": 2}, {}),
            ("depthwise", [4, 4, 2], {"type": "DepthwiseConv2D", "kernel_size": 2, "depth_multiplier": 3}, {}),
        ):
            node = {"layer": layer, **args}
            cases.append(single(f"{label}_{mode}", shape, "SpectralNormalization", node, training=training))
    return cases
