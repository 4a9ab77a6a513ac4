"""The golden cases of regularization: the layers are the identity outside training, and where nothing is dropped."""

from __future__ import annotations

from cases import GAPS, Case, masked, single


def layer_cases() -> list[Case]:
    cases = []
    for cls, shapes, args in (
        ("Dropout", ([4], [3, 4]), {"rate": 0.5}),
        ("AlphaDropout", ([4], [3, 4]), {"rate": 0.5}),
        ("GaussianDropout", ([4], [3, 4]), {"rate": 0.5}),
        ("GaussianNoise", ([4], [3, 4]), {"stddev": 0.5}),
        ("SpatialDropout1D", ([3, 4], [None, 4]), {"rate": 0.5}),
        ("SpatialDropout2D", ([2, 3, 4], [None, None, 2]), {"rate": 0.5}),
        ("SpatialDropout3D", ([2, 2, 3, 2], [None, 2, 2, 2]), {"rate": 0.5}),
    ):
        key = next(iter(args))
        for k, shape in enumerate(shapes):
            cases.append(single(f"{('fixed', 'other')[k]}_inference", shape, cls, {**args, "seed": k}))
            cases.append(single(f"{('fixed', 'other')[k]}_nothing", shape, cls, {key: 0.0}, training=True))
        if cls[-2:] not in ("2D", "3D"):
            cases.append(masked(f"mask-{cls}", GAPS, {"name": "y", "type": cls, **args}))
    cases += [
        single("noise_shape", [3, 4], "Dropout", {"rate": 0.5, "noise_shape": [None, 1, 4]}),
        single("noise_shape", [3, 4], "AlphaDropout", {"rate": 0.5, "noise_shape": [1, 3, None]}),
        single("channels_first", [4, 2, 3], "SpatialDropout2D", {"rate": 0.5, "data_format": "channels_first"}),
        single("channels_first", [2, 2, 3, 2], "SpatialDropout3D", {"rate": 0.5, "data_format": "channels_first"}),
        single("l1_l2", [4], "ActivityRegularization", {"l1": 0.1, "l2": 0.2}),
        single("training", [3, 4], "ActivityRegularization", {"l2": 0.5}, training=True),
        masked("mask-ActivityRegularization", GAPS, {"name": "y", "type": "ActivityRegularization", "l1": 0.1}),
    ]
    return cases
