"""Bins of texts and integers by hashing, without a vocabulary: Hashing, HashedCrossing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, PositiveInt
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.ranges import Range
from graphspec.vocabulary.layers.base import LAYERS, Layer, cast_to
from graphspec.vocabulary.layers.preprocessing import Counts, Sparse, encode

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

_GOLDEN = 0x9E3779B1
_FACTOR = 1_000_003  # of HashedCrossing
_WORD = 1 << 32

Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Salt = Annotated[
    int | tuple[int, int] | None,
    FROM_LIST,
    Field(description="The seed of the hash: an integer, or two; null for 0."),
]


def _murmur(g: Builder, X: Value, salt: int | tuple[int, int] | None) -> Value:
    """Emit the MurmurHash3 of texts, or of integers written as texts, as int64 numbers from 0 to 2³² − 1."""
    if X.dtype in ("float32", "bool"):
        raise ShapeError(
            Code.WRONG_DTYPE, f"needs texts or integers, got {X.type}", hint="use Discretization for numbers"
        )
    first, second = salt if isinstance(salt, tuple) else (salt or 0, salt or 0)
    seed = (first + _GOLDEN * (second - first)) % _WORD
    texts = X if X.type.is_string else g.Cast(cast_to(g, X, "int64"), to="string")
    return g.Cast(g.MurmurHash3(texts, positive=1, seed=seed), to="int64")


def hashed(g: Builder, X: Value, bins: int, salt: int | tuple[int, int] | None = None) -> Value:
    """Emit the bin of each text or integer, from 0 to ``bins`` − 1."""
    return g.Mod(_murmur(g, X, salt), g.constant(bins))


@LAYERS.add("Hashing")
class Hashing(Layer):
    """The bin of each text or integer, without a vocabulary: ``MurmurHash3(x, seed) mod num_bins``.

    The 32-bit hash is that of the text's UTF-8 bytes; an integer is hashed as its decimal text. The seed is ``salt``; of two
    integers it is ``salt[0] + 0x9E3779B1 · (salt[1] − salt[0]) mod 2³²``. With ``mask_value``, bin 0 is the mask's alone:
    others have the bins ``1 + MurmurHash3(x, seed) mod (num_bins − 1)``. Keras uses FarmHash64 or SipHash64: other bins.

    Shapes: int: (batch, …) → the same, int64; other modes as for CategoryEncoding.
    """

    takes_strings = True

    num_bins: Annotated[PositiveInt, Field(description="The number of bins.")]
    mask_value: Annotated[
        str | Int64 | None, Field(description="The text or integer that has bin 0 for itself; null for none.")
    ] = None
    salt: Salt = None
    output_mode: Annotated[
        Literal["int", "one_hot", "multi_hot", "count"],
        Field(description="int: the bin; one_hot, multi_hot, count: vectors with one element per bin."),
    ] = "int"
    sparse: Sparse = False

    def lower(self, g: Builder, X: Value) -> Value:
        if self.mask_value is None or self.num_bins == 1:
            bins = hashed(g, X, self.num_bins, self.salt)
        else:
            others = g.Add(hashed(g, X, self.num_bins - 1, self.salt), g.constant(1))
            bins = g.Mul(others, self._unmasked(g, X))
        return _in_bins(g, bins, self.num_bins, self.output_mode)

    def _unmasked(self, g: Builder, X: Value) -> Value:
        """Emit 0 for the mask and 1 for everything else."""
        if X.type.is_string != isinstance(self.mask_value, str):
            text = f"has the `mask_value` {self.mask_value!r}, but its input is {X.type}"
            raise ShapeError(Code.WRONG_DTYPE, text, hint="write a value of the input's type", key="mask_value")
        keys = "keys_strings" if X.type.is_string else "keys_int64s"
        source = X if X.type.is_string else cast_to(g, X, "int64")
        found: Value = g.emit(
            "LabelEncoder", (source,), {keys: (self.mask_value,), "values_int64s": (0,), "default_int64": 1}
        )
        return found


@LAYERS.add("HashedCrossing")
class HashedCrossing(Layer):
    """The bin of each combination of texts or integers, such as of a town and a trade.

    ``h = MurmurHash3(x₀)``, then ``h = (1000003 · h + MurmurHash3(xₖ)) mod 2³²`` for each further input; the bin is
    ``h mod num_bins``. Hashes are those of Hashing without a salt. Keras's bins differ. A missing value is one more value.

    Shapes: int: several (batch,) or (batch, 1) → the same, int64; one_hot: → (batch, num_bins).
    """

    takes_strings = True
    takes_missing = True
    arity = (2, None)

    num_bins: Annotated[PositiveInt, Field(description="The number of bins.")]
    output_mode: Annotated[
        Literal["int", "one_hot"], Field(description="int: the bin; one_hot: a vector with one element per bin.")
    ] = "int"
    sparse: Sparse = False

    def lower(self, g: Builder, *inputs: Value) -> Value:
        first = inputs[0]
        for X in inputs:
            if X.rank not in (1, 2) or (X.rank == 2 and X.shape[1] != 1):
                text = f"needs inputs of the shape (batch,) or (batch, 1), got {show(X.shape)}"
                raise ShapeError(Code.WRONG_RANK, text, hint="cross single columns")
            if X.shape != first.shape:
                text = f"needs inputs of one shape, got {show(first.shape)} and {show(X.shape)}"
                raise ShapeError(Code.SHAPES_DIFFER, text, hint="give all inputs the shape [1]")
        mixed = _murmur(g, first, None)
        for X in inputs[1:]:
            mixed = g.Add(g.Mul(mixed, g.constant(_FACTOR)), _murmur(g, X, None))
            mixed = g.Mod(mixed, g.constant(_WORD))
        return _in_bins(g, g.Mod(mixed, g.constant(self.num_bins)), self.num_bins, self.output_mode)


def _in_bins(g: Builder, bins: Value, count: int, mode: Literal["int"] | Counts) -> Value:
    """Emit bins in the form of ``mode``."""
    if mode != "int":
        return encode(g, bins, count, mode)
    bins.range = Range(0, count - 1)
    return bins
