"""The golden cases of convolutions."""

from __future__ import annotations

from typing import Any

from cases import Case, single

SHAPES = {1: [6, 3], 2: [6, 5, 3], 3: [4, 4, 3, 2]}


def first(shape: list[int]) -> list[int]:
    """The shape with its channels first."""
    return [shape[-1], *shape[:-1]]


def layer_cases() -> list[Case]:
    ranks = (1, 2, 3)
    plain = [case for rank in ranks for case in convolutions(rank)]
    transposed = [case for rank in ranks for case in transposed_convolutions(rank)]
    return [*plain, *special(), *transposed, *(case for rank in (1, 2) for case in by_channel(rank))]


def convolutions(rank: int) -> list[Case]:
    shape, cls = SHAPES[rank], f"Conv{rank}D"
    fours = [*shape[:-1], 4]

    def case(label: str, /, shape: list[int | None] = shape, *, time: int = 5, **args: Any) -> Case:
        return single(label, shape, cls, {"filters": 2, "kernel_size": 3, **args}, time=time)

    return [
        case("valid", filters=4),
        case("same", filters=4, padding="same", activation="relu"),
        case("same_even", kernel_size=2, padding="same"),
        case("strides", strides=2),
        case("same_strides", strides=2, padding="same"),
        case("same_strides_3", kernel_size=2, strides=3, padding="same"),
        case("dilation", kernel_size=2, dilation_rate=2),
        case("same_dilation", dilation_rate=2, padding="same"),
        case("kernel_1", kernel_size=1, use_bias=False, activation="tanh"),
        case("groups", fours, filters=6, groups=2),
        case("groups_of_1", fours, filters=4, kernel_size=2, groups=4, padding="same"),
        case("time", [None, *shape[1:]], padding="same", time=4),
        case("time_same_strides", [None, *shape[1:]], strides=2, padding="same"),
        case("time_same_strides_even", [None, *shape[1:]], kernel_size=2, strides=2, padding="same"),
        case("channels_first", first(fours), data_format="channels_first", padding="same", strides=2),
        case(
            "channels_first_softmax",
            first(fours),
            filters=3,
            kernel_size=2,
            data_format="channels_first",
            activation="softmax",
        ),
        case(
            "channels_first_groups",
            first(fours),
            filters=4,
            kernel_size=[2] * rank,
            data_format="channels_first",
            groups=4,
        ),
    ]


def special() -> list[Case]:
    """What one rank alone has, and kernels of uneven sides."""
    causal = {"filters": 2, "kernel_size": 3, "padding": "causal"}
    return [
        single("causal", [5, 3], "Conv1D", {**causal, "activation": "gelu"}),
        single("causal_dilation", [6, 2], "Conv1D", {**causal, "kernel_size": 2, "dilation_rate": 2}),
        single("causal_strides", [6, 2], "Conv1D", {**causal, "strides": 2}),
        single("causal_time", [None, 2], "Conv1D", {**causal, "filters": 3, "kernel_size": 2}),
        single(
            "causal_channels_first_groups",
            [4, 5],
            "Conv1D",
            {**causal, "groups": 2, "dilation_rate": 2, "data_format": "channels_first"},
        ),
        single("rectangle", [6, 5, 2], "Conv2D", {"filters": 3, "kernel_size": [1, 3], "strides": [2, 1]}),
        single(
            "rectangle_same",
            [5, 6, 2],
            "Conv2D",
            {"filters": 2, "kernel_size": [3, 2], "strides": [1, 2], "padding": "same"},
        ),
        single("dilation_rectangle", [6, 6, 2], "Conv2D", {"filters": 2, "kernel_size": 2, "dilation_rate": [1, 3]}),
        single(
            "box",
            [4, 3, 5, 2],
            "Conv3D",
            {"filters": 2, "kernel_size": [1, 3, 2], "strides": [2, 1, 2], "padding": "same"},
        ),
        single("dilation_box", [3, 4, 5, 1], "Conv3D", {"filters": 2, "kernel_size": 2, "dilation_rate": [1, 3, 2]}),
    ]


def transposed_convolutions(rank: int) -> list[Case]:
    shape, cls = [{1: 5, 2: 4, 3: 3}[rank], *([3] * (rank - 1)), 2], f"Conv{rank}DTranspose"

    def case(label: str, /, shape: list[int | None] = shape, **args: Any) -> Case:
        return single(label, shape, cls, {"filters": 2, "kernel_size": 3, **args}, time=3)

    return [
        case("valid", filters=3, activation="relu"),
        case("same", padding="same", use_bias=False),
        case("strides", strides=2),
        case("same_strides", strides=2, padding="same"),
        case("same_strides_even", kernel_size=4, strides=2, padding="same"),
        case("kernel_below_strides", kernel_size=2, strides=3),
        case("same_kernel_below_strides", kernel_size=2, strides=3, padding="same"),
        case("kernel_1", kernel_size=1, strides=2, activation="tanh"),
        case("dilation", kernel_size=2, dilation_rate=2),
        case("same_dilation", dilation_rate=2, padding="same"),
        case("output_padding", strides=2, output_padding=1),
        case("output_padding_0", kernel_size=1, strides=2, output_padding=0),
        case("same_output_padding", strides=3, padding="same", output_padding=2),
        case("same_output_padding_0", strides=2, padding="same", output_padding=0),
        case("same_even_output_padding", kernel_size=2, strides=3, padding="same", output_padding=2),
        case("time", [None, *shape[1:]], strides=2, padding="same"),
        case("channels_first", first(shape), data_format="channels_first", strides=2, padding="same"),
        case("channels_first_valid", first(shape), data_format="channels_first", kernel_size=2),
        case(
            "uneven",
            kernel_size=[2, 3, 1][:rank],
            strides=[2, 1, 3][:rank],
            output_padding=[1, 0, 2][:rank],
        ),
    ]


def by_channel(rank: int) -> list[Case]:
    """Depthwise and separable convolutions."""
    shape, cases = SHAPES[rank], []
    for cls, more in ((f"DepthwiseConv{rank}D", {}), (f"SeparableConv{rank}D", {"filters": 4})):

        def case(label: str, /, shape: list[int | None] = shape, cls: str = cls, more: Any = more, **args: Any) -> Case:
            return single(label, shape, cls, {"kernel_size": 3, **more, **args})

        cases += [
            case("valid", activation="relu"),
            case("same", padding="same", use_bias=False),
            case("strides", strides=2, kernel_size=2),
            case("same_strides", strides=2, padding="same"),
            case("same_strides_3", strides=3, kernel_size=2, padding="same"),
            case("dilation", dilation_rate=2, kernel_size=2),
            case("same_dilation", dilation_rate=2, padding="same"),
            case("strides_and_dilation", dilation_rate=2, strides=2, padding="same"),
            case("kernel_1", kernel_size=1, activation="tanh"),
            case("multiplier", depth_multiplier=2),
            case("multiplier_same_strides", depth_multiplier=3, padding="same", strides=2),
            case("one_channel", [*shape[:-1], 1], depth_multiplier=2, kernel_size=2),
            case("time", [None, *shape[1:]], padding="same"),
            case("time_same_strides", [None, *shape[1:]], padding="same", strides=2),
            case("channels_first", first(shape), data_format="channels_first", padding="same"),
            case("channels_first_multiplier", first(shape), data_format="channels_first", depth_multiplier=2),
        ]
        if rank == 2:
            cases += [
                case("rectangle", kernel_size=[3, 1], strides=[1, 2], padding="same"),
                case("dilation_rectangle", kernel_size=2, dilation_rate=[3, 1]),
            ]
    return cases
