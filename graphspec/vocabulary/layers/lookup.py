"""Ids of texts and integers by a vocabulary: StringLookup, IntegerLookup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, PositiveInt, invalid, only
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.graph import MISSING_INTEGER
from graphspec.vocabulary.layers.base import LAYERS, cast_to
from graphspec.vocabulary.layers.hashing import Int64, Salt, hashed
from graphspec.vocabulary.layers.indexed import Encoding, Lookup
from graphspec.vocabulary.layers.vocabularies import VocabularyLearner, lower, spellings

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value
    from graphspec.vocabulary.layers.learners import Learner

_UNSEEN = -2  # marks what a table lacks, beside ids and -1

NoInverse = Annotated[
    bool,
    AfterValidator(only(False, "ids are not turned back into tokens", "set `labels` of a head to write class names")),
    Field(description="Refused: ids are not turned back into tokens."),
]


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

    def _spelt(self, token: Any) -> Sequence[Any]:
        """Return the forms in which the graph meets a token."""
        return (token,)

    def _ids(self, g: Builder, X: Value, hashed: Callable[[], Value], keys: str) -> Value:
        """Emit the id of each token; ``hashed`` emits the ids of unseen tokens, from 0, if there are several."""
        masked = [spelling for token in self._masked() for spelling in self._spelt(token)]
        table = self._table(g, self._spelt) | dict.fromkeys(masked, self._mask_id)
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
    fold_case: Annotated[
        bool, Field(description="Whether texts that differ in case only have one id, as in TextVectorization.")
    ] = False

    @model_validator(mode="after")
    def _foldable(self) -> Self:
        if self.fold_case and self.num_oov_indices > 1:
            hint = "several ids for unseen texts need the texts as they are"
            raise invalid("cannot be used with several `num_oov_indices`", hint, key="fold_case")
        return self

    def _spelt(self, token: str) -> Sequence[str]:
        """Return the forms in which the graph meets a token: its capitals beyond ASCII may have become small or not."""
        return spellings(lower(token)) if self.fold_case else (token,)

    def learner(self, X: Value) -> Learner:
        """Return the learner of the vocabulary."""
        learner = super().learner(X)
        if self.fold_case and isinstance(learner, VocabularyLearner):
            learner.fold, learner.excluded = lower, set(map(lower, filter(None, learner.excluded)))
        return learner

    def lower(self, g: Builder, X: Value) -> Value:
        if not X.type.is_string:
            hint = "use IntegerLookup for integers, or declare the input with `dtype: string`"
            raise ShapeError(Code.WRONG_DTYPE, f"needs texts, got {X.type}", hint=hint)
        texts = X
        if self.fold_case:  # StringNormalizer takes a vector
            texts = g.StringNormalizer(g.Reshape(X, g.constant([-1])), case_change_action="LOWER", locale="C")
        ids = self._ids(g, texts, lambda: hashed(g, X, self.num_oov_indices, self.salt), "keys_strings")
        if self.fold_case:
            ids = g.Reshape(ids, g.Shape(X))
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
        Literal["int64", "int32"],
        Field(description="Accepted for compatibility; has no effect: integers are looked up as int64."),
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

    @property
    def gaps_allowed(self) -> bool:
        """True if the token that stands for missing integers has the mask's id."""
        return MISSING_INTEGER in self._masked()

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
