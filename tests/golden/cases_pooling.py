"""The golden cases of pooling."""

from __future__ import annotations

from typing import Any

from cases import GAPS, PADDED, Case, masked, masking, single

SHAPES = {1: [7, 2], 2: [7, 6, 2], 3: [5, 4, 3, 2]}
CHANNELS_FIRST = {1: [2, 6], 2: [2, 6, 5], 3: [2, 3, 4, 5]}


def layer_cases() -> list[Case]:
    cases = []
    for rank in SHAPES:
        for kind in ("Max", "Average"):
            cases += [*windows(kind, rank), *adaptive(kind, rank), *whole(kind, rank)]
    average = {"name": "y", "type": "GlobalAveragePooling1D"}
    return [
        *cases,
        masking("mask-GlobalAveragePooling1D", GAPS[:4], average),
        masked("mask-GlobalAveragePooling1D-keepdims", PADDED, {**average, "keepdims": True}),
    ]


def windows(kind: str, rank: int) -> list[Case]:
    shape, cls = SHAPES[rank], f"{kind}Pooling{rank}D"

    def case(label: str, /, shape: list[int | None] = shape, **args: Any) -> Case:
        return single(label, shape, cls, args)

    first, time = CHANNELS_FIRST[rank], [None, *shape[1:]]
    cases = [
        case("pool_2", pool_size=2),
        case("same", pool_size=2, padding="same"),
        case("overlap", pool_size=3, strides=1),
        case("overlap_same", pool_size=3, strides=1, padding="same"),
        case("strides_same", pool_size=3, strides=2, padding="same"),
        case("gaps", pool_size=2, strides=3, padding="same"),
        case("time", time, pool_size=2),
        case("time_same", time, pool_size=2, padding="same"),
        case("time_strides_same", time, pool_size=3, strides=2, padding="same"),
        case("time_gaps", time, pool_size=2, strides=3, padding="same"),
        case("channels_first", first, pool_size=2, data_format="channels_first"),
        case("channels_first_same", first, pool_size=3, strides=2, padding="same", data_format="channels_first"),
    ]
    if kind == "Max":
        cases.append(case("default"))
    if rank > 1:
        uneven = {"pool_size": [3, 2, 1][:rank], "strides": [1, 2, 2][:rank]}
        cases.append(case("rectangle", **uneven, padding="same"))
    return cases


def adaptive(kind: str, rank: int) -> list[Case]:
    shape, cls = [{1: 7, 2: 6, 3: 4}[rank], *[5, 3][: rank - 1], 2], f"Adaptive{kind}Pooling{rank}D"

    def case(label: str, /, shape: list[int] = shape, **args: Any) -> Case:
        return single(label, shape, cls, args)

    return [
        case("uneven", output_size=3),
        case("one", output_size=1),
        case("each", output_size=[3, 2, 3][:rank]),
        case("alike", [6, *[4, 2][: rank - 1], 2], output_size=2),
        case("overlap", [5, *[5, 3][: rank - 1], 1], output_size=[4, 4, 2][:rank]),
        case("enlarged", [3, *[2, 2][: rank - 1], 2], output_size=4),
        case("channels_first", [2, 5, *[4, 3][: rank - 1]], output_size=2, data_format="channels_first"),
    ]


def whole(kind: str, rank: int) -> list[Case]:
    shape, cls = [*[4, 3, 2][-rank:], 3], f"Global{kind}Pooling{rank}D"
    return [
        single("default", shape, cls, {}),
        single("keepdims", shape, cls, {"keepdims": True}),
        single("channels_first", shape, cls, {"data_format": "channels_first"}),
        single("channels_first_keepdims", shape, cls, {"data_format": "channels_first", "keepdims": True}),
        single("time", [None, *shape[1:]], cls, {}),
    ]
