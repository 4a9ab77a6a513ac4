"""The golden cases of operations that change the shape, or the order of elements."""

from __future__ import annotations

from cases import Case
from cases_ops import INT, op


def layer_cases() -> list[Case]:
    return [
        op("reshape", "rows", [3, 4], newshape=[-1, 12]),
        op("reshape", "axes", [3, 4], newshape=[-1, 2, 2, 3]),
        op("ravel", "all", [3], mixes=True),
        op("ravel", "ints", {"shape": [2, 2], **INT}, mixes=True),
        op("expand_dims", "one", [3], axis=-1),
        op("expand_dims", "first", [3], axis=1),
        op("squeeze", "axis", [1, 3, 1], axis=1),
        op("squeeze", "last", [3, 1], axis=-1),
        op("transpose", "order", [3, 4], axes=[0, 2, 1]),
        op("transpose", "reversed", [3, 4], mixes=True),
        op("swapaxes", "last", [3, 4], axis1=1, axis2=-1),
        op("swapaxes", "batch", [3, 4], axis1=0, axis2=2, mixes=True),
        op("moveaxis", "one", [3, 4, 2], source=1, destination=-1),
        op("moveaxis", "two", [3, 4, 2], source=[1, 2], destination=[3, 1]),
        op("flip", "last", [3, 4], axis=-1),
        op("flip", "all", [3], mixes=True),
        op("fliplr", "two", [3]),
        op("fliplr", "three", [3, 2]),
        op("flipud", "two", [3], mixes=True),
        op("flipud", "three", [3, 2], mixes=True),
        op("roll", "axis", [5, 2], shift=2, axis=1),
        op("roll", "back", [None, 2], shift=-1, axis=1),
        op("roll", "all", [3], shift=1, mixes=True),
        op("roll", "two", [3, 4], shift=[1, 5], axis=[1, 2]),
        op("tile", "last", [3], repeats=2),
        op("tile", "axes", [3, 2], repeats=[1, 2, 3]),
        op("repeat", "axis", [3, 2], repeats=2, axis=1),
        op("repeat", "time", [None, 2], repeats=3, axis=1),
        op("repeat", "all", [3], repeats=2, mixes=True),
        op("pad", "pairs", [3, 2], pad_width=[[0, 0], [1, 2], [0, 1]]),
        op("pad", "value", [3], pad_width=[[0, 0], [2, 0]], constant_values=1.5),
        op("pad", "reflect", [4], pad_width=[[0, 0], [1, 2]], mode="reflect"),
        op("concatenate", "last", [3, 2], [3, 1], axis=-1),
        op("concatenate", "mixed", {"shape": [3], **INT}, [2], axis=1),
        op("append", "axis", [3], [2], axis=1),
        op("append", "all", [3], [2], mixes=True),
        op("stack", "last", [3], [3], axis=-1),
        op("stack", "three", [2], [2], [2], axis=1),
        op("hstack", "two", [3, 2], [1, 2]),
        op("hstack", "rows", [3], [2]),
        op("vstack", "two", [3], [3], mixes=True),
        op("vstack", "ints", {"shape": [2], **INT}, {"shape": [2], **INT}, mixes=True),
        op("split", "equal", [4, 2], indices_or_sections=2, axis=1),
        op("split", "places", [5], indices_or_sections=[1, 3], axis=1),
        op("unstack", "axis", [3, 2], axis=1),
        op("unstack", "last", [2], axis=-1),
    ]
