"""Texts and categories as ids: vocabularies, lookups, hashing, words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain, product
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field

from graphspec.base.config import FROM_LIST, PositiveInt, Texts, described, invalid, only, setting
from graphspec.graph.ir.graph import MISSING_INTEGER, Range, show
from graphspec.vocabulary import Array, Builder, Code, ShapeError, Value, shapes_differ, wrong_dtype, wrong_rank
from graphspec.vocabulary.layers.indexed import Counts, Encoding, Lookup, Sparse, encode, mapped
from graphspec.vocabulary.layers.layer import Layer, cast_to, refused
from graphspec.vocabulary.layers.learners import Learner

# Vocabularies: learnt from the training rows, and the spellings of a token in other cases.
_WORDS = 1 << 16  # words whose runs of characters are remembered
_SPELLINGS = 16  # of one token
_LETTERS = range(0x80, 0x20000)  # all letters beyond ASCII that have a case


@dataclass(kw_only=True)
class VocabularyLearner:
    """Learns a vocabulary: the most frequent tokens first, of equally frequent ones the larger token first, as in Keras.

    It counts exactly, in memory for every different token. Batches are tokens, ``(rows, …)``; ``""`` pads rows of
    different lengths if ``fold`` is given.
    """

    excluded: Collection[Any] = ()  # tokens that are no entries, such as those that stand for a missing value
    least: int = 1  # how often a token must occur
    limit: int | None = None  # the largest number of entries
    documents: bool = False  # also learn ``idf_weights``: ``log(1 + rows / (1 + rows with the token))``
    fold: Callable[[str], str] | None = None  # gives a token's canonical form
    ngrams: Sequence[int] = (1,)  # the numbers of successive tokens that an entry is made of, joined by a space
    blanks: str = ""  # characters between words: if given, tokens are characters, and entries runs of them within words

    def __post_init__(self) -> None:
        self.rows = 0
        self._counts: Counter[Any] = Counter()
        self._documents: Counter[Any] | None = Counter() if self.documents else None
        self._canonical: dict[Any, Any] = {"": ""}
        self._of_word: dict[str, list[str]] = {}

    def add(self, batch: Array) -> None:
        self.rows += len(batch)
        tokens = batch.reshape(-1).tolist()
        if self._documents is None and self.ngrams == (1,):
            self._counts.update(tokens)
            return
        if self.fold is not None:
            known, fold = self._canonical, self.fold
            known.update((token, fold(token)) for token in set(tokens).difference(known))
            tokens = list(map(known.__getitem__, tokens))
        width = len(tokens) // max(len(batch), 1)
        rows = [tokens[k : k + width] for k in range(0, len(tokens), width)] if width else []
        if self.ngrams != (1,):
            rows = [self._entries(row) for row in rows]
            tokens = list(chain.from_iterable(rows))
        self._counts.update(tokens)
        if self._documents is not None:
            self._documents.update(chain.from_iterable(map(set, rows)))
        if self.fold is not None:  # it pads
            self._counts.pop("", None)

    def _entries(self, row: Sequence[str]) -> list[str]:
        """Return the n-grams of the tokens of a row."""
        if self.blanks:
            return [entry for word in "".join(row).translate(self._spaces).split(" ") for entry in self._within(word)]
        tokens = [token for token in row if token]
        return [" ".join(part) for n in self.ngrams for part in zip(*(tokens[k:] for k in range(n)), strict=False)]

    @cached_property
    def _spaces(self) -> dict[int, str]:
        return dict.fromkeys(map(ord, self.blanks), " ")

    def _within(self, word: str) -> list[str]:
        """Return the runs of characters of a word between blanks, each as often as it occurs."""
        if not word or word in self._of_word:
            return self._of_word[word] if word else []
        text = f" {word} "
        runs = [text[k : k + n] for n in self.ngrams for k in range(len(text) - n + 1)]
        if len(self._of_word) < _WORDS:
            self._of_word[word] = runs
        return runs

    def end_pass(self) -> bool:
        return True

    def state(self) -> dict[str, Any]:
        counts = self._counts
        if self.fold is not None and self._documents is None and self.ngrams == (1,):
            counts = Counter()
            for token, count in self._counts.items():
                if token:
                    counts[self.fold(token)] += count
        entries = [(n, token) for token, n in counts.items() if n >= self.least and token not in self.excluded]
        if not entries:
            often = "" if self.least == 1 else f" that occurs at least {self.least} times"
            text = f"cannot learn a vocabulary: there is no token{often} in the training rows"
            hint = "remove it, set its `vocabulary`, or lower its `min_count`" if self.least > 1 else None
            raise ShapeError(Code.TOO_FEW_ROWS, text, hint or "remove it, or set its `vocabulary`")
        vocabulary = [token for _, token in sorted(entries, reverse=True)[: self.limit]]
        if self._documents is None:
            return {"vocabulary": vocabulary}
        weights = [math.log(1 + self.rows / (1 + self._documents[token])) for token in vocabulary]
        return {"vocabulary": vocabulary, "idf_weights": [float(np.float32(w)) for w in weights]}


class CharacterLearner(VocabularyLearner):
    """Learns the characters of texts that are tokens: of each different text, once it has counted them."""

    def state(self) -> dict[str, Any]:
        characters = Counter[str]()
        for text, count in self._counts.items():
            for character in text:
                characters[character] += count
        self._counts = characters
        return super().state()


def lower(text: str) -> str:
    """Return ``text`` in lower case, character by character, by Unicode's simple mapping: ``İ`` becomes ``i``."""
    return text.lower() if text.isascii() else "".join(c.lower()[0] for c in text)


@cache
def _capitals() -> dict[str, tuple[str, ...]]:
    """Return the other characters beyond ASCII with the same :func:`lower`, by that character."""
    capitals: dict[str, tuple[str, ...]] = {}
    for letter in map(chr, _LETTERS):
        if (small := lower(letter)) != letter:
            capitals[small] = (*capitals.get(small, ()), letter)
    return capitals


def spellings(token: str) -> list[str]:
    """Return ``token``, which is in lower case, and how it is spelt if only ASCII letters have been put in lower case.

    These are all ways to write its letters if there are at most 16. Else ``İ`` for i and the sign U+212A for k are
    left out. If that is still too many: in lower case, with a capital first letter, with one in each word, and in capitals.

    >>> spellings("élan"), spellings("naïve"), spellings("tea"), spellings("izmir")[:2]
    (['élan', 'Élan'], ['naïve', 'naÏve'], ['tea'], ['izmir', 'izmİr'])
    """
    if token.isascii() and "i" not in token and "k" not in token:
        return [token]
    ways = [(c, *_capitals().get(c, ())) for c in token]
    for likely in (ways, ways := [way[:1] if way[0].isascii() else way for way in ways]):
        if math.prod(map(len, likely)) <= _SPELLINGS:
            return ["".join(letters) for letters in product(*likely)]
    capitals = "".join(way[:2][-1] for way in ways)
    titled = "".join(
        small if before.isalpha() else capital
        for before, small, capital in zip(" " + token, token, capitals, strict=False)
    )
    return list(dict.fromkeys([token, capitals[0] + token[1:], titled, capitals]))


# Bins of texts and integers by hashing, without a vocabulary: Hashing, HashedCrossing.
_GOLDEN = 0x9E3779B1
_FACTOR = 1_000_003  # of HashedCrossing
_WORD = 1 << 32

Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Salt = Annotated[
    int | tuple[int, int] | None, FROM_LIST, described("The seed of the hash: an integer, or two; null for 0.")
]


def _murmur(g: Builder, X: Value, salt: int | tuple[int, int] | None) -> Value:
    """Emit the MurmurHash3 of texts, or of integers written as texts, as int64 numbers from 0 to 2³² − 1."""
    if X.dtype in ("float32", "bool"):
        raise wrong_dtype(f"needs texts or integers, got {X.type}", "use Discretization for numbers")
    first, second = salt if isinstance(salt, tuple) else (salt or 0, salt or 0)
    seed = (first + _GOLDEN * (second - first)) % _WORD
    texts = X if X.type.is_string else g.Cast(cast_to(g, X, "int64"), to="string")
    return g.Cast(g.MurmurHash3(texts, positive=1, seed=seed), to="int64")


def hashed(g: Builder, X: Value, bins: int, salt: int | tuple[int, int] | None = None) -> Value:
    """Emit the bin of each text or integer, from 0 to ``bins`` − 1."""
    return g.Mod(_murmur(g, X, salt), g.constant(bins))


class Hashing(Layer, takes_strings=True):
    """The bin of each text or integer, without a vocabulary: ``MurmurHash3(x, seed) mod num_bins``.

    The 32-bit hash is that of the text's UTF-8 bytes; an integer is hashed as its decimal text. The seed is ``salt``; of two
    integers it is ``salt[0] + 0x9E3779B1 · (salt[1] − salt[0]) mod 2³²``. With ``mask_value``, bin 0 is the mask's alone:
    others have the bins ``1 + MurmurHash3(x, seed) mod (num_bins − 1)``. Keras uses FarmHash64 or SipHash64: other bins.

    Shapes: int: (batch, …) → the same, int64; other modes as for CategoryEncoding.
    """

    num_bins: PositiveInt = setting(..., "The number of bins.")
    mask_value: str | Int64 | None = setting(None, "The text or integer that has bin 0 for itself; null for none.")
    salt: Salt = None
    output_mode: Literal["int", "one_hot", "multi_hot", "count"] = setting(
        "int", "int: the bin; one_hot, multi_hot, count: vectors with one element per bin."
    )
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
            raise wrong_dtype(text, "write a value of the input's type", key="mask_value")
        return mapped(g, X if X.type.is_string else cast_to(g, X, "int64"), {self.mask_value: 0}, 1)


class HashedCrossing(Layer, takes_strings=True, takes_missing=True, arity=(2, None)):
    """The bin of each combination of texts or integers, such as of a town and a trade.

    ``h = MurmurHash3(x₀)``, then ``h = (1000003 · h + MurmurHash3(xₖ)) mod 2³²`` for each further input; the bin is
    ``h mod num_bins``. Hashes are those of Hashing without a salt. Keras's bins differ. A missing value is one more value.

    Shapes: int: several (batch,) or (batch, 1) → the same, int64; one_hot: → (batch, num_bins).
    """

    num_bins: PositiveInt = setting(..., "The number of bins.")
    output_mode: Literal["int", "one_hot"] = setting("int", "int: the bin; one_hot: a vector with one element per bin.")
    sparse: Sparse = False

    def lower(self, g: Builder, *inputs: Value) -> Value:
        first = inputs[0]
        for X in inputs:
            if X.rank not in (1, 2) or (X.rank == 2 and X.shape[1] != 1):
                text = f"needs inputs of the shape (batch,) or (batch, 1), got {show(X.shape)}"
                raise wrong_rank(text, "cross single columns")
            if X.shape != first.shape:
                text = f"needs inputs of one shape, got {show(first.shape)} and {show(X.shape)}"
                raise shapes_differ(text, "give all inputs the shape [1]")
        mixed = _murmur(g, first, None)
        for X in inputs[1:]:
            mixed = mixed * g.constant(_FACTOR) + _murmur(g, X, None)
            mixed = g.Mod(mixed, g.constant(_WORD))
        return _in_bins(g, g.Mod(mixed, g.constant(self.num_bins)), self.num_bins, self.output_mode)


def _in_bins(g: Builder, bins: Value, count: int, mode: Literal["int"] | Counts) -> Value:
    if mode != "int":
        return encode(g, bins, count, mode)
    bins.range = Range(0, count - 1)
    return bins


# Ids of texts and integers by a vocabulary: StringLookup, IntegerLookup.
_UNSEEN = -2  # marks what a table lacks, beside ids and -1

_INVERSE, _LABELS = "ids are not turned back into tokens", "set `labels` of a head to write class names"


class Categories(Lookup):
    """The base of StringLookup and IntegerLookup."""

    if TYPE_CHECKING:
        mask_token: Any
        oov_token: Any
        missing_tokens: Any

    num_oov_indices: Annotated[int, Field(ge=0, le=1 << 20)] = setting(
        1, "The number of ids for unseen tokens; with several, a hash selects one."
    )
    invert: Annotated[bool, *refused(_INVERSE, f"Refused: {_INVERSE}.", hint=_LABELS)] = False
    output_mode: Literal["int", "one_hot", "multi_hot", "count", "tf_idf"] = setting(
        "int",
        "int: ids; one_hot: a vector per token; multi_hot, count, tf_idf: a vector per row with ones, counts, "
        "or counts times `idf_weights`.",
    )
    min_count: PositiveInt = setting(
        1, "How often a token must occur in the training rows to be learnt; rarer ones count as unseen."
    )

    def check_arguments(self) -> None:
        super().check_arguments()
        if self.num_oov_indices == 0:
            text = "must be at least 1, since the exported graph cannot stop at an unseen token"
            raise invalid(text, "leave it out", key="num_oov_indices")
        if self.missing_tokens and self.mask_token is None:
            raise invalid("needs `mask_token` for `missing_tokens`", "missing tokens get its id", code=Code.MISSING_KEY)

    def _special(self) -> tuple[Any, int, Any]:
        return self.mask_token, self.num_oov_indices, self.oov_token

    def _masked(self) -> tuple[Any, ...]:
        return () if self.mask_token is None else tuple(dict.fromkeys((self.mask_token, *self.missing_tokens)))

    def _spelt(self, token: Any) -> Sequence[Any]:
        """Return the forms in which the graph meets a token."""
        return (token,)

    def _ids(self, g: Builder, X: Value, hashed: Callable[[], Value]) -> Value:
        """Emit the id of each token; ``hashed`` emits the ids of unseen tokens, from 0, if there are several."""
        masked = [spelling for token in self._masked() for spelling in self._spelt(token)]
        table = self._table(g, self._spelt) | dict.fromkeys(masked, self._mask_id)
        if self.num_oov_indices == 1:
            return mapped(g, X, table, self._unseen)
        ids = mapped(g, X, table, _UNSEEN)
        unseen = g.Add(hashed(), g.constant(self._unseen))
        return g.Where(g.Equal(ids, g.constant(_UNSEEN)), unseen, ids)

    def learner(self, X: Value) -> Learner:
        return VocabularyLearner(
            excluded={*self._masked(), self.oov_token},
            least=self.min_count,
            limit=self._limit(),
            documents=self.output_mode == "tf_idf",
        )


class StringLookup(Categories, takes_strings=True):
    """Texts as ids, by a vocabulary that is given or learnt: the most frequent text first, of equal ones the larger first.

    Ids without ``mask_token``: 0 for unseen texts, then the vocabulary. With it: 0 for the mask token and
    ``missing_tokens``, 1 for unseen texts, then the vocabulary. With several ``num_oov_indices`` an unseen text has the
    first of their ids plus ``MurmurHash3(text, seed) mod num_oov_indices`` (Keras: FarmHash64, other ids). In an encoding,
    missing texts are not counted, and the vector begins with the unseen. What is learnt comes from the training rows.

    Shapes: int: texts (batch, …) → the same; one_hot: (batch, …) → (batch, …, ids), without a last axis of size 1;
        multi_hot, count, tf_idf: (batch, tokens) → (batch, ids).
    """

    mask_token: str | None = setting(None, "The text that stands for a missing value; null for none.")
    oov_token: str | None = setting("[UNK]", "The text that stands for unseen texts in `vocabulary`; it is not learnt.")
    vocabulary: Annotated[Annotated[tuple[str, ...], Field(min_length=1)] | str | None, FROM_LIST] = setting(
        None, "The texts, or the name of a file beside the spec with one text per line; null: learnt."
    )
    encoding: Encoding = "utf-8"
    salt: Salt = None
    missing_tokens: Texts = setting((), "Texts that count as missing, such as `[NA, '?']`.")
    fold_case: bool = setting(False, "Whether texts that differ in case only have one id, as in TextVectorization.")

    def check_arguments(self) -> None:
        super().check_arguments()
        if self.fold_case and self.num_oov_indices > 1:
            text = "cannot be used with several `num_oov_indices`"
            raise invalid(text, "several ids for unseen texts need the texts as they are", key="fold_case")

    def _spelt(self, token: str) -> Sequence[str]:
        """Return the forms in which the graph meets a token: its capitals beyond ASCII may have become small or not."""
        return spellings(lower(token)) if self.fold_case else (token,)

    def learner(self, X: Value) -> Learner:
        learner = super().learner(X)
        if self.fold_case and isinstance(learner, VocabularyLearner):
            learner.fold, learner.excluded = lower, set(map(lower, filter(None, learner.excluded)))
        return learner

    def lower(self, g: Builder, X: Value) -> Value:
        if not X.type.is_string:
            text = f"needs texts, got {X.type}"
            raise wrong_dtype(text, "use IntegerLookup for integers, or declare the input with `dtype: string`")
        if self.fold_case:  # StringNormalizer takes a vector
            texts = g.StringNormalizer(g.Reshape(X, g.constant([-1])), case_change_action="LOWER", locale="C")
        else:
            texts = X
        ids = self._ids(g, texts, lambda: hashed(g, X, self.num_oov_indices, self.salt))
        return self._encoded(g, g.Reshape(ids, g.Shape(X)) if self.fold_case else ids)


def _integers(value: Any) -> Any:
    """Return lines of a file as integers; other values as they are."""
    if not isinstance(value, tuple) or not any(isinstance(v, str) for v in value):
        return value
    integers = []
    for number, line in enumerate(value, 1):
        try:
            integers.append(int(line))
        except ValueError:
            text = f"contains {line!r} at place {number}, which is no integer"
            raise invalid(text, "write one integer per line", code=Code.WRONG_TYPE) from None
    return tuple(integers)


class IntegerLookup(Categories):
    """Integers as ids, by a vocabulary that is given or learnt: the most frequent first, of equal ones the larger first.

    The ids are those of StringLookup. With several ``num_oov_indices`` an unseen integer has the first of their ids plus
    ``x mod num_oov_indices``. A missing integer of a data file is -2**63: a ``mask_token`` for it.

    Shapes: as for StringLookup, with integers (batch, …).
    """

    mask_token: Int64 | None = setting(None, "The integer that stands for a missing value; null: none.")
    oov_token: Int64 | None = setting(-1, "The integer that stands for unseen ones in `vocabulary`; it is not learnt.")
    vocabulary: Annotated[
        Annotated[tuple[Int64, ...], Field(min_length=1)] | str | None, BeforeValidator(_integers), FROM_LIST
    ] = setting(None, "The integers, or the name of a file beside the spec with one per line; null: learnt.")
    vocabulary_dtype: Literal["int64", "int32"] = setting(
        "int64", "Accepted for compatibility; has no effect: integers are looked up as int64."
    )
    oov_method: Annotated[
        str, AfterValidator(only("floormod", "unseen integers are distributed by their remainder"))
    ] = setting("floormod", "Only floormod: the remainder.")
    salt: Annotated[None, BeforeValidator(only(None, "unseen integers are not hashed"))] = setting(
        None, "Refused: unseen integers are not hashed."
    )
    missing_tokens: Annotated[tuple[Int64, ...], FROM_LIST] = setting(
        (), "Integers that count as missing, such as `[-1, 999]`."
    )

    def _stand_in(self) -> Any:
        return 0

    @property
    def gaps_allowed(self) -> bool:
        """True if the token that stands for missing integers has the mask's id."""
        return MISSING_INTEGER in self._masked()

    def lower(self, g: Builder, X: Value) -> Value:
        if X.type.is_string or X.dtype in ("float32", "bool"):
            hint = "use StringLookup for texts" if X.type.is_string else "feed it integers: `dtype: int64`"
            raise wrong_dtype(f"needs integers, got {X.type}", hint)
        numbers = cast_to(g, X, "int64")
        ids = self._ids(g, numbers, lambda: g.Mod(numbers, g.constant(self.num_oov_indices)))
        return self._encoded(g, ids)

    def learning_input(self, g: Builder, X: Value) -> Value:
        return cast_to(g, X, "int64")
