"""Vocabularies: learnt from the training rows, read from a file, and the spellings of a token in other cases."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import cache
from itertools import chain, product
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.codes import Code
from graphspec.base.errors import ProblemError, ShapeError

if TYPE_CHECKING:
    from pathlib import Path

    from graphspec.graph.ir.graph import Array

_LARGEST_FILE = 1 << 28  # bytes
_SPELLINGS = 16  # of one token
_LETTERS = range(0x80, 0x20000)  # all letters beyond ASCII that have a case


class VocabularyLearner:
    """Learns a vocabulary: the most frequent tokens first, of equally frequent ones the larger token first, as in Keras.

    It counts exactly, in memory for every different token. Batches are tokens, ``(rows, …)``; ``""`` pads rows of
    different lengths if ``fold`` is given.

    Args:
        excluded: tokens that are no entries, such as those that stand for a missing value.
        least: how often a token must occur.
        limit: the largest number of entries; None for no limit.
        documents: also learn ``idf_weights``: ``log(1 + rows / (1 + rows with the token))``.
        fold: gives a token's canonical form.
        ngrams: the numbers of successive tokens that an entry is made of, joined by a space.
    """

    def __init__(
        self,
        *,
        excluded: Collection[Any] = (),
        least: int = 1,
        limit: int | None = None,
        documents: bool = False,
        fold: Callable[[str], str] | None = None,
        ngrams: Sequence[int] = (1,),
    ) -> None:
        self.excluded, self.least, self.limit, self.fold, self.ngrams = excluded, least, limit, fold, ngrams
        self.rows = 0
        self._counts: Counter[Any] = Counter()
        self._documents: Counter[Any] | None = Counter() if documents else None
        self._canonical: dict[Any, Any] = {"": ""}

    def add(self, batch: Array) -> None:
        """Take in the tokens of some rows."""
        self.rows += len(batch)
        tokens = batch.reshape(-1).tolist()
        if self._documents is None and self.ngrams == (1,):
            self._counts.update(tokens)
            return
        if self.fold is not None:
            known, fold = self._canonical, self.fold
            known.update((token, fold(token)) for token in set(tokens).difference(known))
            tokens = list(map(known.__getitem__, tokens))
        width = len(tokens) // len(batch) if len(batch) else 0
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
        tokens = [token for token in row if token]
        return [" ".join(part) for n in self.ngrams for part in zip(*(tokens[k:] for k in range(n)), strict=False)]

    def end_pass(self) -> bool:
        """One pass is enough."""
        return True

    def state(self) -> dict[str, Any]:
        """Return ``vocabulary``, and ``idf_weights`` if they are learnt.

        Raises:
            ShapeError: there is no entry.
        """
        counts = self._counts
        if self.fold is not None and self._documents is None and self.ngrams == (1,):
            counts = Counter()
            for token, count in self._counts.items():
                if token:
                    counts[self.fold(token)] += count
        found = [(n, token) for token, n in counts.items() if n >= self.least and token not in self.excluded]
        if not found:
            often = "" if self.least == 1 else f" that occurs at least {self.least} times"
            text = f"cannot learn a vocabulary: there is no token{often} in the training rows"
            hint = "remove it, set its `vocabulary`, or lower its `min_count`" if self.least > 1 else None
            raise ShapeError(Code.TOO_FEW_ROWS, text, hint=hint or "remove it, or set its `vocabulary`")
        vocabulary = [token for _, token in sorted(found, reverse=True)[: self.limit]]
        if self._documents is None:
            return {"vocabulary": vocabulary}
        weights = [math.log(1 + self.rows / (1 + self._documents[token])) for token in vocabulary]
        return {"vocabulary": vocabulary, "idf_weights": [float(np.float32(w)) for w in weights]}


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """Return the lines of a UTF-8 file, one token each. The first line may be empty, as in a vocabulary with a mask token.

    Raises:
        ProblemError: GS501, the file does not exist, is no regular file, too large, or not UTF-8. GS105, it has no lines,
            an empty line, or the same line twice.
    """
    hint = "write one token per line, in UTF-8, beside the spec"
    try:
        with open(path, "rb", opener=_nonblocking) as file:
            if not path.is_file():
                raise ProblemError(Code.UNREADABLE_FILE, "is not a file", hint=hint)
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        text = f"cannot be read: {(error.strerror or type(error).__name__).lower()}"
        raise ProblemError(Code.UNREADABLE_FILE, text, hint=hint) from None
    if len(content) > _LARGEST_FILE:
        raise ProblemError(
            Code.UNREADABLE_FILE, f"has more than {_LARGEST_FILE >> 20} MiB", hint="keep frequent tokens"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ProblemError(Code.UNREADABLE_FILE, f"is not UTF-8 on line {line}", hint=hint) from None
    lines = text.removesuffix("\n").split("\n") if text else []
    return _checked([line.removesuffix("\r") for line in lines])


def _nonblocking(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _checked(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the tokens of a file; raise GS105 for empty and repeated lines."""
    if not any(lines):
        raise ProblemError(Code.VALUE_NOT_ALLOWED, "contains no token", hint="write one token per line")
    first: dict[str, int] = {}
    for number, token in enumerate(lines, 1):
        if not token and number > 1:
            raise ProblemError(Code.VALUE_NOT_ALLOWED, f"has an empty line, line {number}", hint="remove the line")
        if first.setdefault(token, number) != number:
            text = f"contains the same token on lines {first[token]} and {number}"
            raise ProblemError(Code.VALUE_NOT_ALLOWED, text, hint="remove one of the lines")
    return tuple(lines)


# Cases.


def lower(text: str) -> str:
    """Return ``text`` in lower case, character by character, by Unicode's simple mapping: ``İ`` becomes ``i``."""
    return text.lower() if text.isascii() else "".join(c.lower()[0] for c in text)


@cache
def _capitals() -> dict[str, tuple[str, ...]]:
    """Return the other characters beyond ASCII with the same :func:`lower`, by that character."""
    found: dict[str, list[str]] = {}
    for code in _LETTERS:
        small = lower(chr(code)) if not 0xD800 <= code < 0xE000 else chr(code)
        if small != chr(code):
            found.setdefault(small, []).append(chr(code))
    return {small: tuple(capitals) for small, capitals in found.items()}


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
