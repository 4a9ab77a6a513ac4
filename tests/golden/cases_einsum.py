"""The golden cases of EinsumDense: equations with and without `...`, biases, sizes that the input gives."""

from __future__ import annotations

from typing import Any

from cases import Case, single


def layer_cases() -> list[Case]:
    def case(label: str, shape: list[int | None], equation: str, output_shape: Any, **args: Any) -> Case:
        time = {"time": args.pop("time")} if "time" in args else {}
        args = {"equation": equation, "output_shape": output_shape, **args}
        return single(label, shape, "EinsumDense", args, **time)

    return [
        case("matrix", [4], "ab,bc->ac", 3),
        case("matrix_bias", [4], "ab,bc->ac", 3, bias_axes="c", activation="relu"),
        case("sequence", [3, 4], "abc,cd->abd", [None, 5], bias_axes="d"),
        case("sequence_size", [3, 4], "abc,cd->abd", [3, 5]),
        case("time", [None, 4], "abc,cd->abd", [None, 5], bias_axes="d", time=3),
        case("heads", [3, 4], "abc,cde->abde", [None, 2, 3], bias_axes="de"),
        case("heads_bias_d", [3, 4], "abc,cde->abde", [None, 2, 3], bias_axes="d"),
        case("from_heads", [3, 2, 4], "abde,dec->abc", [None, 5], bias_axes="c"),
        case("apart", [3, 4], "abc,cd->adb", [5, None], bias_axes="d", activation="tanh"),
        case("along_time", [3, 4], "abc,bd->adc", [5, 4], bias_axes="dc"),
        case("shared_axis", [3, 4], "abc,bcd->abd", [3, 5], bias_axes="bd"),
        case("sums", [3, 4], "abc,d->ad", 5),
        case("three_axes", [2, 3, 4], "abcd,bcde->ae", 5, bias_axes="e"),
        case("rank_4", [2, 3, 4], "abcd,de->abce", [None, 3, 5], bias_axes="ce", activation="softmax"),
        case("ellipsis", [2, 3, 4], "...x,xy->...y", 5, bias_axes="y"),
        case("ellipsis_flat", [4], "...x,xy->...y", 5, bias_axes="y"),
        case("ellipsis_time", [None, 4], "...x,xyz->...yz", [2, 3], bias_axes="z", time=3),
        case("ellipsis_two", [2, 3, 4], "...xy,yz->...zx", [5, None], bias_axes="z"),
        case("ellipsis_right", [3, 4, 2], "abc...,bd->adc...", [5, None], bias_axes="d"),
        case("ellipsis_right_two", [3, 2, 4], "ab...,bc->ac...", [5], bias_axes="c", activation="relu"),
    ]
