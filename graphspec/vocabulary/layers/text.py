"""Words, characters and n-grams of texts as ids or as vectors: TextVectorization."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from graphspec.base.config import FROM_LIST, PositiveInt, invalid, only, setting
from graphspec.vocabulary import Builder, Value, show, wrong_dtype, wrong_rank
from graphspec.vocabulary.layers.indexed import Encoding, Lookup, mapped
from graphspec.vocabulary.layers.learners import Learner
from graphspec.vocabulary.layers.vocabularies import CharacterLearner, VocabularyLearner, lower, spellings

_SPACE = r"\t\n\v\f\r "  # as in Keras: white space of ASCII
_PUNCTUATION = re.escape("!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'")  # as in Keras
_TRIMMED = f"[^{_SPACE}{_PUNCTUATION}](?:[^{_SPACE}]*[^{_SPACE}{_PUNCTUATION}])?"
_TOKENS = {  # the regular expression of a token, by ``split`` and whether punctuation is stripped
    ("whitespace", False): f"[^{_SPACE}]+",
    ("whitespace", True): _TRIMMED,
    ("character", False): r"(?s:.)",
    ("character", True): f"[^{_PUNCTUATION}]",
}
_BLANKS = " \x02\x03\t\n\v\f\r"  # the ends of a text, as the tokenizer marks them, are blanks like white space
_PAD, _OTHER = 0, 1  # the codes of padding and of tokens that are in no entry


class TextVectorization(Lookup, takes_strings=True):
    """Texts as the ids of their tokens, by a vocabulary that is given or learnt, or as a vector with an element per token.

    A token is what stands between white space (of ASCII, as in Keras), without the punctuation before and after it.
    Punctuation inside stays: ``don't`` and ``3.5`` are tokens, where Keras makes ``dont`` and ``35``; the number of tokens
    and their order are Keras's. With ``split: character`` all punctuation is removed. Lower case is that of Unicode, letter
    by letter (Keras: of ASCII alone); of vocabulary entries that differ only in case, the first has the id.

    Ids: 0 for padding at the end, 1 for unseen tokens, then the vocabulary. Vectors have no element for padding: they begin
    with the unseen. Entries of ``ngrams`` are tokens with a space between. With ``split: word_characters`` they are runs of
    characters within a word and one blank before and after it, as of scikit-learn's ``char_wb``; no punctuation is removed.
    There, and with ``sublinear_tf`` or ``norm``, unseen tokens do not count: their element is 0.

    The vocabulary has the most frequent tokens first, of equal ones the larger first, with ``idf_weights`` of
    ``log(1 + rows / (1 + rows with the token))``; what is learnt comes from the training rows.

    Shapes: int: texts (batch,) or (batch, 1) → (batch, tokens), or (batch, output_sequence_length); multi_hot, count,
        tf_idf: → (batch, ids). With ``split: null``, texts (batch, k) are k tokens. With ``split: character`` and
        ``output_sequence_length``, lists of texts (batch, time) → (batch, time, output_sequence_length).
    """

    standardize: Literal["lower_and_strip_punctuation", "lower", "strip_punctuation"] | None = setting(
        "lower_and_strip_punctuation",
        "What is done to texts first: lower case, punctuation removed, both, or null for nothing.",
    )
    split: Literal["whitespace", "character", "word_characters"] | None = setting(
        "whitespace",
        "Tokens are words, characters, characters whose n-grams stay within words, or, for null, whole texts.",
    )
    ngrams: Annotated[
        Annotated[int, Field(ge=1, le=16)]
        | Annotated[tuple[Annotated[int, Field(ge=1, le=16)], ...], Field(min_length=1)]
        | None,
        FROM_LIST,
    ] = setting(None, "Runs of 1 to this many tokens, or of these numbers of tokens, in place of single tokens.")
    output_mode: Literal["int", "multi_hot", "count", "tf_idf"] = setting(
        "int", "int: ids in order; multi_hot, count, tf_idf: a vector with ones, counts, or counts times `idf_weights`."
    )
    output_sequence_length: PositiveInt | None = setting(
        None, "The number of ids, by cutting or padding at the end; null: as needed."
    )
    last: int = setting(0, "How many of the ids are those of the last tokens.", ge=0)
    vocabulary: Annotated[Annotated[tuple[str, ...], Field(min_length=1)] | str | None, FROM_LIST] = setting(
        None, "The tokens, or the name of a file beside the spec with one per line; null: learnt."
    )
    sublinear_tf: bool = setting(False, "Whether `tf_idf` counts n occurrences as 1 + log n.")
    norm: Literal["l2"] | None = setting(None, "l2: vectors of `tf_idf` are divided by their lengths; null: they stay.")
    ragged: Annotated[bool, AfterValidator(only(False, "arrays have rows of one length"))] = setting(
        False, "Refused: arrays have rows of one length."
    )
    encoding: Encoding = "utf-8"

    def check_arguments(self) -> None:
        super().check_arguments()
        if self.split is None and self._strips:
            text = "must be lower or null for `split: null`, since punctuation is removed while texts are split"
            raise invalid(text, "set `standardize: lower`", key="standardize")
        if self.split is None and self.ngrams is not None:
            raise invalid("must be null for `split: null`, since there are no tokens", key="ngrams")
        if isinstance(self.ngrams, tuple) and len(set(self.ngrams)) < len(self.ngrams):
            raise invalid("must list each number of tokens once", key="ngrams", show_value=True)
        for key in ("sublinear_tf", "norm"):
            if getattr(self, key) and self.output_mode != "tf_idf":
                text = f"must not be set for `output_mode: {self.output_mode}`"
                raise invalid(text, "remove it, or set `output_mode: tf_idf`", key=key)
        if self._in_words and (self.output_mode == "int" or 1 in self._widths):
            text = "needs `ngrams` of 2 characters or more, and vectors of them"
            raise invalid(text, "for example `ngrams: [2, 3, 4, 5]` and `output_mode: tf_idf`", key="split")
        if self.last > (self.output_sequence_length or 0):
            raise invalid("must not be larger than `output_sequence_length`", key="last", show_value=True)
        if self.output_sequence_length is not None and self.output_mode != "int":
            text = f"must be null for `output_mode: {self.output_mode}`, since vectors have no order"
            raise invalid(text, "remove it", key="output_sequence_length")

    def _special(self) -> tuple[str, int, str]:
        return "", 1, "[UNK]"

    @property
    def _lowers(self) -> bool:
        return self.standardize in ("lower", "lower_and_strip_punctuation")

    @property
    def _strips(self) -> bool:
        return self.standardize in ("strip_punctuation", "lower_and_strip_punctuation")

    @property
    def _in_words(self) -> bool:
        return self.split == "word_characters"

    @property
    def _weighs(self) -> bool:
        return self.sublinear_tf or self.norm is not None

    @property
    def _widths(self) -> tuple[int, ...]:
        return self.ngrams if isinstance(self.ngrams, tuple) else tuple(range(1, (self.ngrams or 1) + 1))

    def _spelt(self, token: str) -> Sequence[str]:
        """Return the forms in which the graph meets a token: its capitals beyond ASCII may have become small or not."""
        if self._in_words and token == " ":
            return _BLANKS
        return spellings(lower(token)) if self._lowers else (token,)

    def learning_input(self, g: Builder, X: Value) -> Value:
        return X if self._of_lists(X) else self._tokens(g, X)

    def _tokens(self, g: Builder, X: Value) -> Value:
        if not X.type.is_string:
            raise wrong_dtype(f"needs texts, got {X.type}", "declare the input with `dtype: string`")
        if self.split is not None and X.rank != 1 and not (X.rank == 2 and X.shape[1] == 1) and not self._of_lists(X):
            text = f"needs texts of the shape (batch,) or (batch, 1), got {show(X.shape)}"
            raise wrong_rank(text, "set `split: null` if the texts are tokens")
        if self.split is None and (X.rank > 2 or (X.rank == 2 and not isinstance(X.shape[1], int))):
            text = f"needs texts of the shape (batch,) or (batch, tokens), got {show(X.shape)}"
            raise wrong_rank(text, "use one axis of tokens, of a fixed size")
        texts = X
        if X.rank == 2 and (self._lowers or self.split is not None):
            texts = g.Reshape(X, g.constant([-1]))
        if self._lowers:
            texts = g.StringNormalizer(texts, case_change_action="LOWER", locale="C")
        if self._in_words:
            return g.Tokenizer(texts, mark=1, mincharnum=1, pad_value="", tokenexp=_TOKENS["character", False])
        if self.split is not None:
            return g.Tokenizer(texts, mark=0, mincharnum=1, pad_value="", tokenexp=_TOKENS[self.split, self._strips])
        return texts if texts.rank == X.rank else g.Reshape(texts, g.constant([-1, X.fixed(1)]))

    def _of_lists(self, X: Value) -> bool:
        """Whether the input is lists of texts, of which each gets a fixed number of characters."""
        fits = self.split == "character" and self.output_sequence_length is not None and not self._strips
        return fits and X.type.has_lists

    def learner(self, X: Value) -> Learner:
        if self._of_lists(X):
            return CharacterLearner(limit=self._limit(), fold=lower if self._lowers else str)
        mask, _, unseen = self._special()
        return VocabularyLearner(
            excluded={mask, unseen},
            limit=self._limit(),
            documents=self.output_mode == "tf_idf",
            fold=lower if self._lowers else str,
            ngrams=self._widths,
            blanks=_BLANKS if self._in_words else "",
        )

    def lower(self, g: Builder, X: Value) -> Value:
        tokens = self._tokens(g, X)
        if self.split is None and self.output_mode != "int" and tokens.rank == 1:
            tokens = g.Unsqueeze(tokens, g.constant([1]))
        ids = self._of_ngrams(g, tokens) if self._widths != (1,) else self._of_tokens(g, tokens)
        if self.output_sequence_length is not None:
            ids = self._cut(g, ids, self.output_sequence_length)
            if self._of_lists(X):
                ids = g.Reshape(ids, g.ints([g.size(X, 0), g.size(X, 1), self.output_sequence_length]))
        return self._encoded(g, ids)

    def _of_tokens(self, g: Builder, tokens: Value) -> Value:
        unseen = -1 if self._weighs else self._unseen
        return mapped(g, tokens, self._table(g, self._spelt) | {"": self._mask_id}, unseen)

    def _encoded(self, g: Builder, ids: Value) -> Value:
        if not self._weighs:
            return super()._encoded(g, ids)
        depth = self._depth(g)
        idf = g.constant(np.broadcast_to(self._weights(depth), depth))
        weights = g.TermWeights(ids, idf, sublinear=int(self.sublinear_tf), unit=int(self.norm is not None))
        return g.MultiHot(ids, weights, depth=depth, count=1)

    def _cut(self, g: Builder, ids: Value, length: int) -> Value:
        if ids.rank != 2:
            text = f"needs texts of the shape (batch, tokens) for `output_sequence_length`, got {show(ids.shape)}"
            raise wrong_rank(text, "remove it", key="output_sequence_length")
        padded = g.Pad(ids, g.constant([0, self.last, 0, length]))
        first, end = self.last, length
        cut = g.Slice(padded, g.constant([first]), g.constant([end]), g.constant([1]))
        if not self.last:
            return cut
        counts = g.ReduceSum(g.Cast(g.Not(g.Equal(ids, g.constant(0))), to="int64"), g.constant([1]), keepdims=1)
        ends = g.GatherElements(padded, g.Add(counts, g.constant(np.arange(self.last)[None])), axis=1)
        return g.Concat(cut, ends, axis=1) if first < end else ends

    # n-grams: every token has a code, and an n-gram the code of its first n − 1 tokens and of its last one.

    def _of_ngrams(self, g: Builder, tokens: Value) -> Value:
        """Emit the ids of all n-grams of each row: those of the first width, then those of the next."""
        self._need_vocabulary()
        entries = {entry: number for number, entry in enumerate(self.tokens() or (), self._first)}
        runs: dict[tuple[str, ...], int] = {}
        for entry, number in entries.items():
            runs.setdefault(tuple(map(self._canonical(), self._parts(entry))), number)
        runs = {run: number for run, number in runs.items() if len(run) in self._widths}
        codes = {token: code for code, token in enumerate(dict.fromkeys(t for run in runs for t in run), _OTHER + 1)}
        spelt = {"": _PAD}
        for token, code in codes.items():
            for spelling in self._spelt(token):
                spelt.setdefault(spelling, code)
        last = mapped(g, tokens, spelt, _OTHER)
        return self._joined(g, [self._ids_of(g, *step) for step in self._steps(g, last, runs, codes)])

    def _canonical(self) -> Callable[[str], str]:
        return lower if self._lowers else str

    def _parts(self, entry: str) -> list[str]:
        """Return the tokens of an n-gram, which a space joins."""
        if self._in_words:
            return list(entry)
        if self.split != "character":
            return entry.split(" ")
        joined = len(entry) % 2 == 1 and all(c == " " for c in entry[1::2])
        return list(entry[::2]) if joined else [entry]

    def _steps(
        self, g: Builder, codes: Value, runs: dict[tuple[str, ...], int], code: dict[str, int]
    ) -> Iterator[tuple[Value, Value, dict[int, int]]]:
        """Yield for each width: the state of each run, the code of its last token, and the ids of states.

        The state of a run is a number of its own if some entry begins with it.
        """
        found = {}
        state, last = codes, codes
        states: dict[tuple[str, ...], int] = {(token,): number for token, number in code.items()}
        base = len(code) + _OTHER + 1
        for width in range(1, max(self._widths) + 1):
            if width > 1:
                known = dict.fromkeys(run[:width] for run in runs if len(run) >= width)
                numbered = {run: number for number, run in enumerate(known, _OTHER + 1)}
                table = {states[run[:-1]] * base + code[run[-1]]: number for run, number in numbered.items()}
                last = g.Slice(last, g.constant([1]), g.constant([2**62]), g.constant([1]))
                before = g.Slice(state, g.constant([0]), g.constant([-1]), g.constant([1]))
                keys = g.Add(g.Mul(before, g.constant(base)), last)
                state, states = mapped(g, keys, table, _OTHER), numbered
            found[width] = state, last, {states[run]: number for run, number in runs.items() if len(run) == width}
        return (found[width] for width in self._widths)

    def _ids_of(self, g: Builder, state: Value, last: Value, table: dict[int, int]) -> Value:
        """Emit the ids of runs; a run whose last token is padding is padding."""
        ids = mapped(g, state, table, -1 if self._weighs or self._in_words else self._unseen)
        return g.Where(g.Equal(last, g.constant(_PAD)), g.constant(self._mask_id), ids)

    def _joined(self, g: Builder, ids: Sequence[Value]) -> Value:
        """Emit the ids of all widths in one row; in order, with the padding moved to the end, where they are the output."""
        joined: Value = ids[0] if len(ids) == 1 else g.Concat(*ids, axis=1)
        if len(ids) == 1 or self.output_mode != "int":
            return joined
        counts = g.Cast(g.Not(g.Equal(joined, g.constant(0))), to="int64")
        places = g.CumSum(counts, g.constant(1), exclusive=1)
        return g.ScatterElements(g.Sub(joined, joined), places, joined, axis=1, reduction="add")
