"""Arguments of columns that say what stands for a missing number, and how numbers are scaled."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, WithJsonSchema

from graphspec.base.config import invalid
from graphspec.base.errors import did_you_mean

_NEIGHBOURS = (
    *("bfill", "ffill", "backfill", "pad", "backward", "forward", "previous", "next"),
    *("interpolate", "linear", "nearest", "knn"),
)
_DROPS = ("drop", "drop_row", "drop_rows", "dropna", "skip", "ignore")
_FILL = "write `median`, `mean`, `zero` or a number; `indicator: true` tells the network which ones were missing"


def _missing(value: Any) -> Any:
    if value in _NEIGHBOURS:
        raise invalid(f"cannot be '{value}': a single record has no neighbours", _FILL)
    if value in _DROPS:
        raise invalid(f"cannot be '{value}': a single record needs an answer and cannot be left out", _FILL)
    return value


def _missing_date(value: Any) -> Any:
    if value == "error":
        text = "cannot be 'error', since only the graph reads dates: one that it cannot read is missing"
        raise invalid(text, _FILL)
    return _missing(value)


Missing = Annotated[
    Literal["median", "mean", "zero", "error"] | float,
    BeforeValidator(_missing),
    Field(
        description="What stands for a missing number: learnt from the training rows, zero, this number; or an error."
    ),
]
MissingPart = Annotated[
    Literal["median", "mean", "zero"] | float,
    BeforeValidator(_missing_date),
    Field(description="What stands for the parts of a missing or unreadable date."),
]
Indicator = Annotated[bool, Field(description="Whether a further number is 1 where the value was missing.")]


def impute(missing: str | float, indicator: bool) -> dict[str, Any]:
    """Return the arguments of Impute."""
    arguments: dict[str, Any] = {"strategy": missing}
    if not isinstance(missing, str):
        arguments = {"strategy": "constant", "fill_value": float(missing)}
    return arguments | ({"indicator": True} if indicator else {})


class Bins(NamedTuple):
    """A scale: the number of intervals with equally many training rows."""

    bins: int


_SCALES = ("standard", "minmax", "log1p", "none")
_SCALE = f"write {', '.join(f'`{scale}`' for scale in _SCALES)} or `{{bins: 10}}`"


def _scale(value: Any) -> Any:
    if isinstance(value, str):
        if value not in _SCALES:
            text = f"must be one of {', '.join(_SCALES)} or {{bins: n}}"
            raise invalid(text, did_you_mean(value, _SCALES) or _SCALE, show_value=True)
        return value
    count = value.get("bins") if isinstance(value, dict) and len(value) == 1 else None
    if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= 10_000:
        raise invalid("must be a word or {bins: n} with 2 to 10,000 bins", _SCALE, show_value=True)
    return Bins(count)


_SCALE_SCHEMA = {
    "anyOf": [
        {"type": "string", "enum": list(_SCALES)},
        {
            "type": "object",
            "properties": {"bins": {"type": "integer", "minimum": 2, "maximum": 10_000}},
            "required": ["bins"],
            "additionalProperties": False,
        },
    ]
}
Scale = Annotated[
    Any,
    BeforeValidator(_scale),
    WithJsonSchema(_SCALE_SCHEMA),
    Field(description="standard: mean 0, deviation 1; minmax: 0 to 1; log1p: the logarithm first; or one-hot bins."),
]
