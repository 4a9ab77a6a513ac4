"""Ids of texts and integers by a vocabulary: StringLookup, IntegerLookup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from graphspec.codes import Code
from graphspec.config import ANY_VALUE, FROM_LIST, Neutral, PositiveInt, invalid, only
from graphspec.errors import ShapeError
from graphspec.ir.ranges import Range
from graphspec.layers.base import LAYERS, NEUTRAL, Layer, cast_to
from graphspec.layers.hashing import Int64, Salt, hashed
from graphspec.layers.preprocessing import Sparse, encode
from graphspec.layers.vocabularies import VocabularyLearner

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value
    from graphspec.layers.learners import Learner

_UNSEEN = -2  # marks what a table lacks, beside ids and -1

NoInverse = Annotated[
    bool,
    AfterValidator(only(False, "ids are not turned back into tokens", "set `labels` of a head to write class names")),
    Field(description="Refused: ids are not turned back into tokens."),
]
Encoding = Annotated[
    str,
    AfterValidator(only("utf-8", "texts in files and graphs are UTF-8")),
    Field(description="Only utf-8."),
]
Weights = Annotated[
    Annotated[tuple[float, ...], Field(min_length=1)] | None,
    FROM_LIST,
    Field(
        description="The inverse document frequency of each entry of `vocabulary`, for `output_mode: tf_idf`; null: learnt."
    ),
]


class Lookup(Layer):
    """The base of layers with a vocabulary.

    Ids: the mask token, if there is one and ids are not encoded, is 0; then come the ids of unseen tokens, then the
    vocabulary's. In an encoding, the mask token is not counted.
    """

    learnt_arguments = ("vocabulary", "idf_weights")
    neutral: ClassVar[Mapping[str, Neutral]] = NEUTRAL | {
        "vocabulary_size": ANY_VALUE,
        "has_input_vocabulary": ANY_VALUE,
    }

    max_tokens: Annotated[
        Annotated[int, Field(ge=2)] | None,
        Field(description="The largest number of ids, with those of unseen and missing tokens; null for no limit."),
    ] = None
    idf_weights: Weights = None
    pad_to_max_tokens: Annotated[
        bool, Field(description="Whether the layer counts `max_tokens` ids even if the vocabulary is smaller.")
    ] = False
    sparse: Sparse = False

    def _given(self) -> Sequence[Any] | str | None:
        """Return the argument `vocabulary`: its tokens, the name of a file, or None."""
        found: Sequence[Any] | str | None = getattr(self, "vocabulary", None)
        return found

    @property
    def _mode(self) -> str:
        return str(getattr(self, "output_mode", "int"))

    def _special(self) -> tuple[Any, int, Any]:
        """Return the mask token or None, the number of ids for unseen tokens, and the token that stands for them."""
        raise NotImplementedError

    @property
    def _unseen(self) -> int:
        """The first id of unseen tokens."""
        return int(self._mode == "int" and self._special()[0] is not None)

    @property
    def _first(self) -> int:
        """The id of the first token of the vocabulary."""
        return self._unseen + self._special()[1]

    @property
    def _mask_id(self) -> int:
        """The id of the mask token; in encodings one that is not counted."""
        return 0 if self._mode == "int" else -1

    @property
    def vocabulary_file(self) -> str | None:
        """The name of the file with the vocabulary; None if there is none."""
        given = self._given()
        return given if isinstance(given, str) else None

    def with_vocabulary(self, lines: Sequence[str]) -> Self:
        """Return the layer with the tokens from the lines of its file.

        Raises:
            ValueError: the tokens are not valid.
        """
        written = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).model_validate(written | {"vocabulary": tuple(lines)})

    @property
    def learns(self) -> bool:
        """True unless the spec sets ``vocabulary``."""
        return self._given() is None

    def tokens(self) -> tuple[Any, ...] | None:
        """Return the vocabulary without mask token and unseen token, which may stand before it; None if it is not known."""
        given = self._given()
        if given is None or isinstance(given, str):
            return None
        return tuple(given[self._first :] if self._has_special(given) else given)

    def _has_special(self, given: Sequence[Any]) -> bool:
        mask, count, unseen = self._special()
        return list(given[: self._first]) == [mask] * self._unseen + [unseen] * count

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        mask, _, _ = self._special()
        given, tokens = self._given(), self.tokens()
        if self.pad_to_max_tokens and self.max_tokens is None:
            raise invalid(
                "needs `max_tokens` for `pad_to_max_tokens`", "such as `max_tokens: 1000`", code=Code.MISSING_KEY
            )
        if self.max_tokens is not None and self.max_tokens <= self._first:
            text = f"must be larger than {self._first}, the number of ids for missing and unseen tokens"
            raise invalid(text, key="max_tokens", show_value=True)
        if self.idf_weights is not None and self._mode != "tf_idf":
            text = f"must not be set for `output_mode: {self._mode}`"
            raise invalid(text, "remove it, or set `output_mode: tf_idf`", key="idf_weights")
        if self._mode == "tf_idf" and (given is None) != (self.idf_weights is None):
            missing = "vocabulary" if given is None else "idf_weights"
            text = f"needs `{missing}` for `output_mode: tf_idf`, or neither vocabulary nor weights"
            raise invalid(text, "without both, they are learnt from the training rows", code=Code.MISSING_KEY)
        if given is None or tokens is None:
            return self
        if not tokens:
            raise invalid("must contain at least one token", "leave it out to learn it", key="vocabulary")
        counts = Counter(tokens)
        if twice := [token for token, n in counts.items() if n > 1]:
            raise invalid(f"contains {twice[0]!r} twice", "list every token once", key="vocabulary")
        if mask is not None and mask in counts:
            hint = "leave the mask token out, or write all special tokens first"
            raise invalid(f"contains the mask token {mask!r} at a wrong place", hint, key="vocabulary")
        if self.max_tokens is not None and self._first + len(tokens) > self.max_tokens:
            text = f"needs {self._first + len(tokens)} ids, more than the {self.max_tokens} of `max_tokens`"
            raise invalid(text, "raise `max_tokens`, or list fewer tokens", key="vocabulary")
        if self.idf_weights is not None and len(self.idf_weights) != len(given):
            text = f"must have one weight per entry of `vocabulary`, {len(given)}, got {len(self.idf_weights)}"
            raise invalid(text, key="idf_weights")
        return self

    def _depth(self, g: Builder) -> int:
        """Return the number of ids."""
        if self.pad_to_max_tokens and self.max_tokens is not None:
            return self.max_tokens
        tokens = self.tokens()
        return self._first + (g.learnt("tokens") if tokens is None else len(tokens))

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
            raise ShapeError(Code.UNREADABLE_FILE, text, hint="list the tokens in `vocabulary`", key="vocabulary")

    def _encoded(self, g: Builder, ids: Value) -> Value:
        """Emit ids in the form of ``output_mode``."""
        depth = self._depth(g)
        if self._mode == "int":
            ids.range = Range(0, depth - 1)
            return ids
        if self._mode != "tf_idf":
            return encode(g, ids, depth, self._mode)  # type: ignore[arg-type]
        counts = encode(g, ids, depth, "count")
        return g.Mul(counts, g.constant(self._weights(depth)))

    def _weights(self, depth: int) -> np.ndarray[Any, Any]:
        """Return the weights of all ids: the mean for unseen tokens, unless they have one, and 0 for ids without a token."""
        given = self._given()
        if self.idf_weights is None or given is None or isinstance(given, str):
            return np.zeros(1, np.float32)
        weights = np.zeros(depth, np.float32)
        first = 0 if self._has_special(given) else self._first
        weights[:first] = np.mean(np.asarray(self.idf_weights, np.float32))
        weights[first : first + len(given)] = self.idf_weights
        return weights

    def _limit(self) -> int | None:
        return None if self.max_tokens is None else self.max_tokens - self._first


class Categories(Lookup):
    """The base of StringLookup and IntegerLookup."""

    num_oov_indices: Annotated[
        Annotated[int, Field(ge=0, le=1 << 20)],
        Field(description="The number of ids for unseen tokens; with several, a hash selects one."),
    ] = 1
    invert: NoInverse = False
    output_mode: Annotated[
        Literal["int", "one_hot", "multi_hot", "count", "tf_idf"],
        Field(
            description=(
                "int: ids; one_hot: a vector per token; multi_hot, count, tf_idf: a vector per row with ones, counts, or "
                "counts times `idf_weights`."
            )
        ),
    ] = "int"
    min_count: Annotated[
        PositiveInt,
        Field(
            description="How often a token must occur in the training rows to be learnt; rarer ones count as unseen."
        ),
    ] = 1

    @model_validator(mode="after")
    def _some_unseen(self) -> Self:
        if self.num_oov_indices == 0:
            text = "must be at least 1, since the exported graph cannot stop at an unseen token"
            raise invalid(text, "leave it out", key="num_oov_indices")
        if self._missing() and self._special()[0] is None:
            text = "needs `mask_token` for `missing_tokens`"
            raise invalid(text, "missing tokens get its id", code=Code.MISSING_KEY)
        return self

    def _missing(self) -> tuple[Any, ...]:
        found: tuple[Any, ...] = getattr(self, "missing_tokens", ())
        return found

    def _special(self) -> tuple[Any, int, Any]:
        return getattr(self, "mask_token", None), self.num_oov_indices, getattr(self, "oov_token", None)

    def _masked(self) -> tuple[Any, ...]:
        """Return the tokens that count as missing."""
        mask = self._special()[0]
        return () if mask is None else tuple(dict.fromkeys((mask, *self._missing())))

    def _ids(self, g: Builder, X: Value, hashed: Callable[[], Value], keys: str) -> Value:
        """Emit the id of each token; ``hashed`` emits the ids of unseen tokens, from 0, if there are several."""
        table = self._table(g) | dict.fromkeys(self._masked(), self._mask_id)
        several = self.num_oov_indices > 1
        ids: Value = g.emit(
            "LabelEncoder",
            (X,),
            {
                keys: tuple(table),
                "values_int64s": tuple(table.values()),
                "default_int64": _UNSEEN if several else self._unseen,
            },
        )
        if not several:
            return ids
        unseen = g.Add(hashed(), g.constant(self._unseen))
        return g.Where(g.Equal(ids, g.constant(_UNSEEN)), unseen, ids)

    def learner(self, X: Value) -> Learner:
        """Return the learner of the vocabulary."""
        return VocabularyLearner(
            excluded={*self._masked(), self._special()[2]},
            least=self.min_count,
            limit=self._limit(),
            documents=self._mode == "tf_idf",
        )


@LAYERS.add("StringLookup")
class StringLookup(Categories):
    """Texts as ids, by a vocabulary that is given or learnt: the most frequent text first, of equal ones the larger first.

    Ids without ``mask_token``: 0 for unseen texts, then the vocabulary. With it: 0 for the mask token and
    ``missing_tokens``, 1 for unseen texts, then the vocabulary. With several ``num_oov_indices`` an unseen text has the
    first of their ids plus ``MurmurHash3(text, seed) mod num_oov_indices`` (Keras: FarmHash64, other ids). In an encoding,
    missing texts are not counted, and the vector begins with the unseen. What is learnt comes from the training rows.

    Shapes: int: texts (batch, …) → the same; one_hot: (batch, …) → (batch, …, ids), without a last axis of size 1;
        multi_hot, count, tf_idf: (batch, tokens) → (batch, ids).
    """

    takes_strings = True
    mask_token: Annotated[str | None, Field(description="The text that stands for a missing value; null for none.")] = (
        None
    )
    oov_token: Annotated[
        str | None, Field(description="The text that stands for unseen texts in `vocabulary`; it is not learnt.")
    ] = "[UNK]"
    vocabulary: Annotated[
        Annotated[tuple[str, ...], Field(min_length=1)] | str | None,
        FROM_LIST,
        Field(description="The texts, or the name of a file beside the spec with one text per line; null: learnt."),
    ] = None
    encoding: Encoding = "utf-8"
    salt: Salt = None
    missing_tokens: Annotated[
        tuple[str, ...], FROM_LIST, Field(description="Texts that count as missing, such as `[NA, '?']`.")
    ] = ()

    def lower(self, g: Builder, X: Value) -> Value:
        if not X.type.is_string:
            hint = "use IntegerLookup for integers, or declare the input with `dtype: string`"
            raise ShapeError(Code.WRONG_DTYPE, f"needs texts, got {X.type}", hint=hint)
        ids = self._ids(g, X, lambda: hashed(g, X, self.num_oov_indices, self.salt), "keys_strings")
        return self._encoded(g, ids)


def _integers(value: Any) -> Any:
    """Return lines of a file as integers; other values as they are."""
    if not isinstance(value, tuple) or not any(isinstance(v, str) for v in value):
        return value
    found = []
    for number, line in enumerate(value, 1):
        try:
            found.append(int(line))
        except ValueError:
            hint = "write one integer per line"
            raise invalid(
                f"contains {line!r} at place {number}, which is no integer", hint, code=Code.WRONG_TYPE
            ) from None
    return tuple(found)


@LAYERS.add("IntegerLookup")
class IntegerLookup(Categories):
    """Integers as ids, by a vocabulary that is given or learnt: the most frequent first, of equal ones the larger first.

    The ids are those of StringLookup. With several ``num_oov_indices`` an unseen integer has the first of their ids plus
    ``x mod num_oov_indices``. A missing integer of a data file is -2**63: a ``mask_token`` for it.

    Shapes: as for StringLookup, with integers (batch, …).
    """

    mask_token: Annotated[
        Int64 | None, Field(description="The integer that stands for a missing value; null: none.")
    ] = None
    oov_token: Annotated[
        Int64 | None, Field(description="The integer that stands for unseen ones in `vocabulary`; it is not learnt.")
    ] = -1
    vocabulary: Annotated[
        Annotated[tuple[Int64, ...], Field(min_length=1)] | str | None,
        BeforeValidator(_integers),
        FROM_LIST,
        Field(description="The integers, or the name of a file beside the spec with one per line; null: learnt."),
    ] = None
    vocabulary_dtype: Annotated[
        Literal["int64", "int32"], Field(description="Accepted without effect: integers are looked up as int64.")
    ] = "int64"
    oov_method: Annotated[
        str,
        AfterValidator(only("floormod", "unseen integers are distributed by their remainder")),
        Field(description="Only floormod: the remainder."),
    ] = "floormod"
    salt: Annotated[
        None,
        BeforeValidator(only(None, "unseen integers are not hashed")),
        Field(description="Refused: unseen integers are not hashed."),
    ] = None
    missing_tokens: Annotated[
        tuple[Int64, ...], FROM_LIST, Field(description="Integers that count as missing, such as `[-1, 999]`.")
    ] = ()

    def _stand_in(self) -> Any:
        return 0

    def lower(self, g: Builder, X: Value) -> Value:
        if X.type.is_string or X.dtype in ("float32", "bool"):
            hint = "use StringLookup for texts" if X.type.is_string else "feed it integers: `dtype: int64`"
            raise ShapeError(Code.WRONG_DTYPE, f"needs integers, got {X.type}", hint=hint)
        numbers = cast_to(g, X, "int64")
        ids = self._ids(g, numbers, lambda: g.Mod(numbers, g.constant(self.num_oov_indices)), "keys_int64s")
        return self._encoded(g, ids)

    def learning_input(self, g: Builder, X: Value) -> Value:
        """Emit the integers as int64."""
        return cast_to(g, X, "int64")
