"""Ids as vectors: CategoryEncoding, and the base of the layers that give ids or vectors of ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from graphspec.base.config import ANY_VALUE, FROM_LIST, PositiveInt, described, invalid, setting
from graphspec.graph.ir.graph import Range, show
from graphspec.vocabulary import Builder, Code, ShapeError, Value, not_allowed, shapes_differ
from graphspec.vocabulary.layers.layer import NEUTRAL, Layer, as_float, cast_to, need_rank, number_of_ids, refused

_NONE = "sparse tensors are not available: exported graphs have none"
Sparse = Annotated[bool, *refused(_NONE, "Refused: exported graphs have no sparse tensors.")]
Counts = Literal["one_hot", "multi_hot", "count"]


def mapped(g: Builder, X: Value, table: Mapping[Any, int], default: int) -> Value:
    """Emit the number of each text or integer in a table; a table of integers may be empty."""
    table = table or {-1: default}
    keys = {"keys_strings" if X.type.is_string else "keys_int64s": tuple(table)}
    return g.LabelEncoder(X, **keys, values_int64s=tuple(table.values()), default_int64=default)


def encode(g: Builder, ids: Value, depth: int, mode: Counts, weights: Value | None = None) -> Value:
    """Emit ids as vectors of size ``depth``: one vector per id, or one for all ids on axis 1, perhaps with a weight per id.

    Ids out of range do not count.
    """
    if mode == "one_hot":
        if ids.rank < 2 or ids.shape[-1] != 1:
            ids = g.Unsqueeze(ids, g.constant([ids.rank]))
        return g.MultiHot(ids, depth=depth)
    need_rank(ids, 2, None, "(batch, ids, …)", hint="use `output_mode: one_hot` for one id per sample")
    order = (0, *range(2, ids.rank), 1)
    id_weights = None if weights is None else g.transpose(weights, order)
    return g.MultiHot(g.transpose(ids, order), id_weights, depth=depth, count=int(mode == "count"))


class CategoryEncoding(Layer, call_arguments=("count_weights",)):
    """Ids 0 … num_tokens − 1 as vectors; without ``num_tokens``, all ids that the layer before makes.

    ``one_hot``: a vector per id. ``multi_hot``: one vector for all ids on axis 1, with ones at these ids. ``count``:
    the same with the number of occurrences. Ids out of range do not count, also in the exported graph (as in Keras on
    JAX; other backends raise an error). Floats are truncated; NaN does not count.

    Shapes: (batch, ids) → (batch, num_tokens); one_hot (batch, …) → (batch, …, num_tokens), without a last axis of size
        1.
    """

    num_tokens: PositiveInt | None = setting(
        None, "The number of ids: the largest id plus 1; null: as many as the layer before makes."
    )
    output_mode: Counts = setting(
        "multi_hot", "one_hot: a vector per id; multi_hot: ones at all ids; count: occurrences."
    )
    sparse: Sparse = False

    def lower(self, g: Builder, ids: Value, *, count_weights: Sequence[Value] = ()) -> Value:
        weights = None
        if count_weights:
            if self.output_mode != "count":
                text = f"supports `count_weights` only with `output_mode: count`, not {self.output_mode}"
                raise not_allowed(text, "set `output_mode: count`", key="count_weights")
            if len(count_weights) != 1 or count_weights[0].shape != ids.shape:
                shapes = " and ".join(show(v.shape) for v in count_weights)
                text = f"needs one node of the ids' shape {show(ids.shape)} as `count_weights`, got {shapes}"
                raise shapes_differ(text, "use one weight per id", key="count_weights")
            weights = as_float(g, count_weights[0])
        depth = number_of_ids(ids, "num_tokens") if self.num_tokens is None else self.num_tokens
        if ids.type.is_float:  # NaN and values beyond int64 would become arbitrary ids
            low, high = g.constant(-1.0), g.constant(float(depth))
            ids = g.Where((ids > low) & (ids < high), ids, low)
        return encode(g, cast_to(g, ids, "int64"), depth, self.output_mode, weights)


Encoding = Annotated[str, *refused("texts in files and graphs are UTF-8", "Only utf-8.", "utf-8")]
Weights = Annotated[
    Annotated[tuple[float, ...], Field(min_length=1)] | None,
    FROM_LIST,
    described("The inverse document frequency of each entry of `vocabulary`, for `output_mode: tf_idf`; null: learnt."),
]


class Lookup(Layer, learnt_arguments=("vocabulary", "idf_weights")):
    """The base of layers with a vocabulary.

    Ids: the mask token, if there is one and ids are not encoded, is 0; then come the ids of unseen tokens, then the
    vocabulary's. In an encoding, the mask token is not counted.
    """

    neutral: ClassVar = NEUTRAL | {"vocabulary_size": ANY_VALUE, "has_input_vocabulary": ANY_VALUE}

    max_tokens: Annotated[int, Field(ge=2)] | None = setting(
        None, "The largest number of ids, with those of unseen and missing tokens; null for no limit."
    )
    idf_weights: Weights = None
    pad_to_max_tokens: bool = setting(
        False, "Whether the layer counts `max_tokens` ids even if the vocabulary is smaller."
    )
    sparse: Sparse = False

    if TYPE_CHECKING:  # fields of the subclasses, which have them in Keras's order
        vocabulary: Any  # the tokens, the name of a file with them, or None
        output_mode: Any

    def _special(self) -> tuple[Any, int, Any]:
        """Return the mask token or None, the number of ids for unseen tokens, and the token that stands for them."""
        raise NotImplementedError

    @property
    def _unseen(self) -> int:
        return int(self.output_mode == "int" and self._special()[0] is not None)

    @property
    def _first(self) -> int:
        return self._unseen + self._special()[1]

    @property
    def _mask_id(self) -> int:
        """The id of the mask token; in encodings one that is not counted."""
        return 0 if self.output_mode == "int" else -1

    @property
    def vocabulary_file(self) -> str | None:
        return self.vocabulary if isinstance(self.vocabulary, str) else None

    def with_vocabulary(self, lines: Sequence[str]) -> Self:
        """Return the layer with the tokens from the lines of its file; raise ValueError if they are not valid."""
        return self.with_learnt({"vocabulary": tuple(lines)})

    def tokens(self) -> tuple[Any, ...] | None:
        """Return the vocabulary without mask token and unseen token, which may stand before it; None if it is not known."""
        if self.vocabulary is None or isinstance(self.vocabulary, str):
            return None
        return tuple(self.vocabulary[self._first :] if self._has_special() else self.vocabulary)

    def _has_special(self) -> bool:
        mask, count, unseen = self._special()
        return list(self.vocabulary[: self._first]) == [mask] * self._unseen + [unseen] * count

    def check_arguments(self) -> None:
        mask, tokens = self._special()[0], self.tokens()
        if self.pad_to_max_tokens and self.max_tokens is None:
            text = "needs `max_tokens` for `pad_to_max_tokens`"
            raise invalid(text, "such as `max_tokens: 1000`", code=Code.MISSING_KEY)
        if self.max_tokens is not None and self.max_tokens <= self._first:
            text = f"must be larger than {self._first}, the number of ids for missing and unseen tokens"
            raise invalid(text, key="max_tokens", show_value=True)
        if self.idf_weights is not None and self.output_mode != "tf_idf":
            text = f"must not be set for `output_mode: {self.output_mode}`"
            raise invalid(text, "remove it, or set `output_mode: tf_idf`", key="idf_weights")
        if self.output_mode == "tf_idf" and (self.vocabulary is None) != (self.idf_weights is None):
            missing = "vocabulary" if self.vocabulary is None else "idf_weights"
            text = f"needs `{missing}` for `output_mode: tf_idf`, or neither vocabulary nor weights"
            raise invalid(text, "without both, they are learnt from the training rows", code=Code.MISSING_KEY)
        if tokens is None:
            return
        if not tokens:
            raise invalid("must contain at least one token", "leave it out to learn it", key="vocabulary")
        counts = Counter(tokens)
        if twice := [token for token, n in counts.items() if n > 1]:
            raise invalid(f"contains {twice[0]!r} twice", "list every token once", key="vocabulary")
        if mask is not None and mask in counts:
            text = f"contains the mask token {mask!r} at a wrong place"
            raise invalid(text, "leave the mask token out, or write all special tokens first", key="vocabulary")
        if self.max_tokens is not None and self._first + len(tokens) > self.max_tokens:
            text = f"needs {self._first + len(tokens)} ids, more than the {self.max_tokens} of `max_tokens`"
            raise invalid(text, "raise `max_tokens`, or list fewer tokens", key="vocabulary")
        if self.idf_weights is not None and (count := len(self.vocabulary)) != len(self.idf_weights):
            text = f"must have one weight per entry of `vocabulary`, {count}, got {len(self.idf_weights)}"
            raise invalid(text, key="idf_weights")

    def _depth(self, g: Builder) -> int:
        tokens = self.tokens()
        count = g.learnt("tokens") if tokens is None else len(tokens)  # also if the width does not depend on it
        return self.max_tokens if self.pad_to_max_tokens and self.max_tokens is not None else self._first + count

    def _table(self, g: Builder, spelt: Callable[[Any], Sequence[Any]] = lambda token: (token,)) -> dict[Any, int]:
        """Return the id of each token of the vocabulary in each spelling; the first token with a spelling has it."""
        self._need_vocabulary()
        tokens = self.tokens()
        if tokens is None:  # stands for the vocabulary until it is learnt
            return {self._stand_in(): self._depth(g) - 1}
        table: dict[Any, int] = {}
        for number, token in enumerate(tokens, self._first):
            for spelling in spelt(token):
                table.setdefault(spelling, number)
        return table

    def _stand_in(self) -> Any:
        return "?"

    def _need_vocabulary(self) -> None:
        """Raise GS501 if the file of the vocabulary has not been read."""
        if (name := self.vocabulary_file) is not None:
            text = f"has a vocabulary in '{name}', which has not been read"
            raise ShapeError(Code.UNREADABLE_FILE, text, "list the tokens in `vocabulary`", key="vocabulary")

    def _words(self) -> tuple[str, ...] | None:
        """Return the token of each id, none before they are learnt; None if tokens are integers."""
        tokens = self.tokens()
        is_text = isinstance(self._special()[2], str)
        return None if not is_text else () if tokens is None else ("",) * self._first + tokens

    def _encoded(self, g: Builder, ids: Value) -> Value:
        depth = self._depth(g)
        if self.output_mode == "int":
            ids.range, ids.words = Range(0, depth - 1), self._words()
            return ids
        if self.output_mode != "tf_idf":
            return encode(g, ids, depth, self.output_mode)
        return g.Mul(encode(g, ids, depth, "count"), g.constant(self._weights(depth)))

    def _weights(self, depth: int) -> np.ndarray[Any, Any]:
        """Return the weights of all ids: the mean for unseen tokens, unless they have one, and 0 for ids without a token."""
        if self.idf_weights is None or self.tokens() is None:
            return np.zeros(1, np.float32)
        weights = np.zeros(depth, np.float32)
        first = 0 if self._has_special() else self._first
        weights[:first] = np.mean(np.asarray(self.idf_weights, np.float32))
        weights[first : first + len(self.vocabulary)] = self.idf_weights
        return weights

    def _limit(self) -> int | None:
        return None if self.max_tokens is None else self.max_tokens - self._first
