"""Does a CRF pay for tags? ``python -m benchmarks.quality.tag_transitions FOLDER`` with ``train.jsonl`` and ``test.jsonl``.

The network that ``init`` writes learns from nine tenths of the training sentences. On the others, transitions are added to
its log probabilities: those counted in the training tags, with a weight, and then trained as those of a linear-chain CRF.
The tags of a path are among the eight most probable ones of each token.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import graphspec as gs
from benchmarks.quality.ours import Graphspec
from benchmarks.quality.texts import lists
from benchmarks.race import ROOT

Array = np.ndarray[Any, Any]
MOST = 8
EPOCHS, BATCH, RATE = 10, 64, 0.01


class Sentences:
    """Sentences of nearly one length: candidates and their log probabilities (n, T, MOST), lengths, and true tags (n, T)."""

    def __init__(self, model: Any, rows: list[tuple[list[str], list[str]]], ids: dict[str, int]) -> None:
        answers = model.predict({"tokens": [tokens for tokens, _ in rows]})
        self.candidates = np.argpartition(-answers, MOST, axis=-1)[..., :MOST]
        self.scores = np.log(np.take_along_axis(answers, self.candidates, -1) + 1e-30).astype(np.float64)
        self.lengths = np.array([len(tokens) for tokens, _ in rows])
        self.true = np.full(answers.shape[:2], -1)
        for k, (_, tags) in enumerate(rows):
            self.true[k, : len(tags)] = [ids.get(tag, -1) for tag in tags]

    def pairs(self, transitions: Array, t: int) -> Array:
        """The transitions from each candidate of token t - 1 to each of token t, (n, MOST, MOST)."""
        return transitions[self.candidates[:, t - 1, :, None], self.candidates[:, t, None, :]]

    def right(self, transitions: Array) -> int:
        """How many tags of the best path (Viterbi) are true."""
        best, back = self.scores[:, 0], list[Array]()
        steps = self.true.shape[1]
        for t in range(1, steps):
            found = best[:, :, None] + self.pairs(transitions, t)
            goes_on = (t < self.lengths)[:, None]
            back.append(np.where(goes_on, found.argmax(1), np.arange(MOST)))
            best = np.where(goes_on, found.max(1) + self.scores[:, t], best)
        at, rows, count = best.argmax(1), np.arange(len(best)), 0
        for t in range(steps - 1, -1, -1):
            count += int((self.candidates[rows, t, at] == self.true[:, t])[t < self.lengths].sum())
            at = back[t - 1][rows, at] if t else at
        return count

    def gradient(self, transitions: Array, into: Array) -> None:
        """Add the gradient of the negative log likelihood of the true tags by the transitions (Lafferty et al., 2001)."""
        steps = self.true.shape[1]
        forward = [self.scores[:, 0]]
        for t in range(1, steps):
            found = np.logaddexp.reduce(forward[-1][:, :, None] + self.pairs(transitions, t), 1) + self.scores[:, t]
            forward.append(np.where((t < self.lengths)[:, None], found, forward[-1]))
        whole = np.logaddexp.reduce(forward[-1], 1)[:, None, None]
        backward = np.zeros_like(forward[-1])
        for t in range(steps - 1, 0, -1):
            goes_on = t < self.lengths
            path = self.pairs(transitions, t) + (self.scores[:, t] + backward)[:, None, :]
            chance = np.exp(forward[t - 1][:, :, None] + path - whole)[goes_on]
            places = self.candidates[goes_on, t - 1, :, None], self.candidates[goes_on, t, None, :]
            np.add.at(into, places, chance)
            backward = np.where(goes_on[:, None], np.logaddexp.reduce(path, 2), backward)
            known = goes_on & (self.true[:, t - 1] >= 0) & (self.true[:, t] >= 0)
            np.add.at(into, (self.true[known, t - 1], self.true[known, t]), -1)


def batches(model: Any, rows: list[Any], ids: dict[str, int]) -> list[Sentences]:
    rows = sorted(rows, key=lambda row: len(row[0]))
    return [Sentences(model, rows[k : k + BATCH], ids) for k in range(0, len(rows), BATCH)]


def accuracy(parts: list[Sentences], transitions: Array) -> float:
    return sum(part.right(transitions) for part in parts) / sum(int(part.lengths.sum()) for part in parts)


def trained(parts: list[Sentences], start: Array) -> list[Array]:
    """The transitions after each epoch of Adam."""
    now, first, second, found, step = start.copy(), 0 * start, 0 * start, list[Array](), 0
    drawn = np.random.default_rng(0)
    for _ in range(EPOCHS):
        for k in drawn.permutation(len(parts)):
            gradient, step = 0 * start, step + 1
            parts[k].gradient(now, gradient)
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            now = now - RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        found.append(now)
    return found


def main(folder: Path) -> None:
    train, test = lists(folder / "train.jsonl"), lists(folder / "test.jsonl")
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    with TemporaryDirectory() as place:
        (Path(place) / "train.jsonl").write_text("".join(line for k, line in enumerate(lines) if k % 10), "utf-8")
        run = Graphspec(sys.executable, os.environ.get("PYTHONPATH", str(ROOT)), Path(place))
        run("init", "spec.yaml", "--from", "train.jsonl", "--target", "tags")
        run("train", "spec.yaml", "--out", "run", "--no-report")
        model = gs.load(Path(place) / "run")
        [labels] = model.labels.values()
        ids = {label: k for k, label in enumerate(labels)}
        fitted, chosen = (batches(model, train[k::20], ids) for k in (0, 10))
        tested = batches(model, test, ids)
    pairs = np.full((len(ids), len(ids)), 0.1)
    for _, tags in (row for k, row in enumerate(train) if k % 10):
        known = np.array([ids[tag] for tag in tags if tag in ids])
        np.add.at(pairs, (known[:-1], known[1:]), 1)
    chance = pairs / pairs.sum()
    counted = np.log(chance / chance.sum(1, keepdims=True) / chance.sum(0))
    none = 0 * counted
    print(f"no transitions: held out {accuracy(chosen, none):.4f}, test {accuracy(tested, none):.4f}")
    by_weight = {weight: accuracy(chosen, weight * counted) for weight in (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)}
    weight = max(by_weight, key=by_weight.__getitem__)
    print(f"counted, weight {weight}: {by_weight[weight]:.4f}, test {accuracy(tested, weight * counted):.4f}")
    for name, start in (("nothing", none), ("what is counted", weight * counted)):
        best = max(trained(fitted, start), key=lambda found: accuracy(chosen, found))
        print(f"trained from {name}: {accuracy(chosen, best):.4f}, test {accuracy(tested, best):.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
