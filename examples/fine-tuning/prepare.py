"""Write the rows that the specs of this folder train and test on: pictures as they are, and what they show.

    python prepare.py [letters|garments] …

Letters are drawn from the committed ``specs/data/ocr_letters.npz``: 8,000 of its folds 1 to 9, and 2,000 of fold 0 for the
test. Garments are those of ``specs/fashion.yaml``: ``specs/data/prepare.py`` says where they come from.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "specs" / "data"


def letters() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pictures (rows, 16, 8), 255 for ink, and letters 0 to 25; then those of the test."""
    with np.load(DATA / "ocr_letters.npz", allow_pickle=False) as source:
        pictures = np.unpackbits(source["columns"], axis=2).transpose(0, 2, 1) * np.uint8(255)
        letter, fold = source["letters"], np.repeat(source["fold"], source["word_length"])
    rng = np.random.default_rng(0)
    train, test = (
        np.sort(rng.choice(np.flatnonzero(rows), count, replace=False))
        for rows, count in ((fold != 0, 8_000), (fold == 0, 2_000))
    )
    return pictures[train], letter[train], pictures[test], letter[test]


def garments() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pictures (rows, 28, 28) and kinds of garment 0 to 9; then those of the test."""
    sys.path.insert(0, str(DATA))
    from prepare import garments as rows  # the one in specs/data

    return rows()


SETS = {"letters": (letters, "letter"), "garments": (garments, "garment")}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the rows that the specs train and test on.")
    parser.add_argument("sets", nargs="*", choices=[*SETS, []], default=[*SETS], metavar="SET", help="default: all")
    sets = parser.parse_args(arguments).sets
    if not (DATA / "ocr_letters.npz").is_file():
        print(f"error: {DATA} is not there: run this in examples/fine-tuning of the whole project", file=sys.stderr)
        return 1
    for name in sets:
        read, target = SETS[name]
        pictures, kinds, *test = read()
        for part, x, y in ("train", pictures, kinds), ("test", *test):
            file = HERE / f"{name}_{part}.npz"
            np.savez_compressed(file, image=x[..., None], **{target: y.astype(np.uint8)})
            print(f"{file.name}  {len(x):,} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
