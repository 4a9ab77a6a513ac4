"""The golden cases of pooling."""

from __future__ import annotations

from cases import GAPS, PADDED, Case, masked, masking, single


def layer_cases() -> list[Case]:
    cases = []
    for cls in ("MaxPooling1D", "AveragePooling1D", "MaxPooling2D", "AveragePooling2D"):
        two = cls.endswith("2D")
        shape, first = ([7, 6, 2], [2, 6, 5]) if two else ([7, 2], [2, 6])
        cases += [
            single("pool_2", shape, cls, {"pool_size": 2}),
            single("same", shape, cls, {"pool_size": 2, "padding": "same"}),
            single("overlap", shape, cls, {"pool_size": 3, "strides": 1}),
            single("overlap_same", shape, cls, {"pool_size": 3, "strides": 1, "padding": "same"}),
            single("strides_same", shape, cls, {"pool_size": 3, "strides": 2, "padding": "same"}),
            single("gaps", shape, cls, {"pool_size": 2, "strides": 3, "padding": "same"}),
            single("channels_first", first, cls, {"pool_size": 2, "data_format": "channels_first"}),
            single(
                "channels_first_same",
                first,
                cls,
                {"pool_size": 3, "strides": 2, "padding": "same", "data_format": "channels_first"},
            ),
        ]
        if cls.startswith("Max"):
            cases.append(single("default", shape, cls, {}))
        if two:
            cases.append(single("rectangle", shape, cls, {"pool_size": [3, 2], "strides": [1, 2], "padding": "same"}))
        else:
            cases.append(single("time", [None, 2], cls, {"pool_size": 2}))
    for cls in ("GlobalMaxPooling1D", "GlobalAveragePooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling2D"):
        shape = [3, 4, 2] if cls.endswith("2D") else [4, 3]
        cases += [
            single("default", shape, cls, {}),
            single("keepdims", shape, cls, {"keepdims": True}),
            single("channels_first", shape, cls, {"data_format": "channels_first"}),
            single("time", [None, *shape[1:]], cls, {}),
        ]
    average = {"name": "y", "type": "GlobalAveragePooling1D"}
    cases += [
        masking("mask-GlobalAveragePooling1D", GAPS[:4], average),
        masked("mask-GlobalAveragePooling1D-keepdims", PADDED, {**average, "keepdims": True}),
    ]
    return cases
