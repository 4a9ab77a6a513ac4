"""The golden cases of further operations: roots and signs, diagonals, quantiles, parts, patches, attention."""

from __future__ import annotations

from cases import Case
from cases_ops import INT, op


def layer_cases() -> list[Case]:
    return [
        *(op(name, "float", [4]) for name in ("cbrt", "fabs", "erfc", "sinc", "stop_gradient")),
        op("fabs", "int", {"shape": [4], **INT}),
        op("hypot", "both", [3], [3]),
        op("ldexp", "both", [4], {"shape": [4], "between": (0, 2), **INT}),
        op("fmod", "both", [6], {"shape": [6], "between": (0.3, 1.5)}),
        op("ptp", "axis", [3, 4], axis=[1, 2]),
        op("ptp", "kept", [3, 4], axis=-1, keepdims=True),
        op("cdist", "both", [3, 2], [4, 2]),
        op("isin", "numbers", {"shape": [4], **INT}, (0, 2)),
        op("searchsorted", "left", (-1.0, 0.0, 1.0), [4]),
        op("searchsorted", "right", (-1, 0, 1), {"shape": [4], **INT}, side="right"),
        op("trapezoid", "last", [3, 4], dx=0.5),
        op("diagonal", "middle", [3, 4], axis1=1, axis2=2),
        op("diagonal", "below", [3, 4, 2], offset=-1, axis1=2, axis2=1),
        op("trace", "above", [3, 4], offset=1, axis1=1, axis2=2),
        op("quantile", "one", [5], q=0.3, axis=1),
        op("quantile", "kept", [3, 4], q=0.6, axis=[1, 2], keepdims=True),
        op("percentile", "one", [6], q=70.0, axis=1),
        op("slice_update", "part", [4, 5], [2, 3], start_indices=[0, 1, 2]),
        *(op(name, "axis", [3, 4], axis=1) for name in ("nansum", "nanmean", "nanprod", "nanvar", "nanstd", "nanmax")),
        op("nanmin", "kept", [3, 4], axis=[1, 2], keepdims=True),
        op("nancumsum", "axis", [3, 4], axis=2),
        op("fmax", "both", [4], [4]),
        op("fmin", "both", [4], [4]),
        op("image.extract_patches", "valid", [5, 6, 2], size=2),
        op("image.extract_patches", "same", [5, 6, 2], size=[3, 2], strides=[2, 1], padding="same"),
        op(
            "image.extract_patches",
            "first",
            [2, 5, 6],
            size=2,
            strides=1,
            dilation_rate=2,
            data_format="channels_first",
        ),
        op("dot_product_attention", "plain", [3, 2, 4], [5, 2, 4], [5, 2, 4], scale=0.5),
        op("dot_product_attention", "causal", [3, 2, 2], [3, 2, 2], [3, 2, 2], is_causal=True, scale=0.5),
    ]
