"""Operators that only onnxruntime computes: those on texts, and parts of ONNX files."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.graph.ir.graph import STRING, Dim, Shape, Type, Value, show
from graphspec.graph.ir.ranges import Range, of_dtype
from graphspec.graph.kernels.context import Bound, Context, need
from graphspec.graph.ops.op import Memoryless


class OfStrings(Memoryless):
    """An operator without a NumPy kernel and without a gradient."""

    has_kernel, takes_texts = False, True


class LabelEncoder(OfStrings):
    """The number of each element: ``values_int64s[k]`` for the key ``k``, ``default_int64`` for an element that is no key.

    X (…) → Y (…), int64. Texts are looked up in ``keys_strings``, int64 elements in ``keys_int64s``; no key is listed twice.
    """

    domain = "ai.onnx.ml"
    elementwise = True

    keys_strings: Sequence[str] | None = None
    keys_int64s: Sequence[int] | None = None
    values_int64s: Sequence[int] = ()
    default_int64: int = -1

    def infer(self, X: Value) -> Type:
        need.dtype(X.dtype in (STRING, "int64"), f"needs texts or int64 numbers, got {X.type}")
        texts, numbers = tuple(self.keys_strings or ()), tuple(self.keys_int64s or ())
        one = bool(texts) == X.type.is_string != bool(numbers)
        need.dtype(one, f"needs keys of the dtype {X.dtype} alone")
        count, values = len(texts or numbers), len(self.values_int64s)
        need.sizes(count == values, f"has {count} keys and {values} values")
        need.value(len(set(texts or numbers)) == count, "has a key twice")
        return Type("int64", X.shape)

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        numbers = [*self.values_int64s, self.default_int64]
        return Range(min(numbers), max(numbers))


class StringNormalizer(OfStrings):
    """Texts in lower or upper case. Shapes: (C,) or (1, C) → the same, C > 0.

    Which characters beyond ASCII have a case depends on ``locale`` and on the system: ``C`` changes ASCII letters natively,
    and all letters in WebAssembly. Stop words are not implemented.
    """

    elementwise = True

    case_change_action: Literal["LOWER", "UPPER", "NONE"] = "NONE"
    is_case_sensitive: int = 0
    locale: str | None = None

    def infer(self, X: Value) -> Type:
        _need_texts(X)
        fits = X.rank == 1 or (X.rank == 2 and X.shape[0] == 1)
        need(fits, f"needs the shape (C,) or (1, C), got {show(X.shape)}")
        return X.type


class Tokenizer(OfStrings):
    """The tokens of each text, padded with ``pad_value`` to the largest number of tokens D in the batch, which may be 0.

    Shapes: (N,) → (N, D); (N, C) → (N, C, D). Tokens are the matches of the regular expression ``tokenexp``, or what is
    between matches of the expressions ``separators``; the separator ``""`` makes every character a token. Expressions are
    RE2's, and matches are as long as possible. Tokens of fewer than ``mincharnum`` characters are left out. ``mark`` adds
    a character before the first token, and another one after the last.
    """

    rows = "first"
    domain = "com.microsoft"

    mark: int
    mincharnum: int
    pad_value: str
    tokenexp: str | None = None
    separators: Sequence[str] | None = None

    def infer(self, X: Value) -> Type:
        _need_texts(X)
        need(X.rank in (1, 2), f"needs the shape (N,) or (N, C), got {show(X.shape)}")
        one = (self.tokenexp is None) != (self.separators is None)
        need.value(one, "needs either `tokenexp` or `separators`")
        return Type(STRING, (*X.shape, self._tokens(X)))

    def _tokens(self, X: Value) -> Dim:
        """Return the name of the size D: another one for another input or other attributes."""
        owner = X.name if X.node is None else X.node.owner
        digest = zlib.crc32(repr((X.name, sorted(self.attributes.items()))).encode())
        return f"{re.sub(r'[^A-Za-z0-9_]+', '.', owner).strip('.')}.tokens_{digest % 0x10000:04x}"


class MurmurHash3(OfStrings):
    """The 32-bit MurmurHash3 of each element: of a text's UTF-8 bytes, or of a number's bytes in memory.

    X (…) → Y (…), uint32 if ``positive``, else int32.
    """

    domain = "com.microsoft"
    elementwise = True

    positive: int = 1
    seed: int = 0

    def infer(self, X: Value) -> Type:
        supported = (STRING, "int32", "int64", "uint32", "uint64", "float32")
        need.dtype(X.dtype in supported, f"needs texts or numbers of 32 or 64 bits, got {X.type}")
        return Type("uint32" if self.positive else "int32", X.shape)

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return of_dtype(output.dtype)


class TermWeights(OfStrings):
    """Weights for MultiHot that make it a vector of term frequencies f, times ``idf``, on each row perhaps of length 1.

    ids (N, k), idf (V,) → (N, k). Each time that an id occurs it has an equal part of ``f · idf``, which is not 0 within
    ``idf``; f is the number of times c, or 1 + log c if ``sublinear``. With ``unit`` a row with such ids is divided by
    ``√Σ(f · idf)²``.
    """

    rows = "first"
    exported = False

    sublinear: int = 0
    unit: int = 0

    def infer(self, ids: Value, idf: Value) -> Type:
        need.dtype(ids.dtype == "int64", f"needs int64 ids, got {ids.type}")
        need.float(idf)
        text = f"needs ids (N, k) and idf (V,), got {show(ids.shape)}, {show(idf.shape)}"
        need(ids.rank == 2 and idf.rank == 1, text)
        return Type("float32", ids.shape)


class OnnxFile(Memoryless):
    """Some values of an ONNX file of another program: ``part`` of it, which computes each row by itself, frozen.

    Shapes: those that ``signature`` has found. onnxruntime computes it before training, once per row; after random numbers
    it does so in every step. A written file contains the nodes of the part in its place.
    """

    rows = "by_file"
    has_kernel, takes_texts, variadic = False, True, True
    exported, stops_gradient = False, True
    by_step, merged = True, True

    part: Any  # `run(feeds)` computes the outputs of a batch; `multiply_adds(shapes)` is 0 if it is not known
    signature: Any  # `types(shapes)` of the outputs; `one_row(shapes)`: the shapes for one row, and the number of rows

    def infer(self, *inputs: Value) -> tuple[Type, ...]:
        types: tuple[Type, ...] = self.signature.types([X.shape for X in inputs])
        return types

    def bind(self, ctx: Context, *inputs: Array) -> Bound:
        outputs = tuple(ctx.out(k) for k in range(ctx.outputs))

        def compute() -> None:
            feeds = [np.asarray(X, np.float32) if X.dtype.kind == "f" else X for X in inputs]
            if not all(X.size for X in feeds):
                return
            for Y, result in zip(outputs, self.part.run(feeds), strict=True):
                Y[...] = result

        return outputs, [(compute,)], None

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        one, rows = self.signature.one_row(shapes)
        return int(rows * self.part.multiply_adds(one))


def _need_texts(X: Value) -> None:
    """Raise :class:`ShapeError` (GS306) unless the elements are texts."""
    need.dtype(X.type.is_string, f"needs texts, got {X.type}")
