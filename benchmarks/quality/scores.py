"""Scores of predictions, in NumPy alone: every contender is scored by the same code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST = 1e-7
"""The least probability that counts, as in Keras: a contender that says 0 does not lose by infinity."""
BINS = 15


def numbers(y: NDArray[np.float64], answer: NDArray[np.float64]) -> dict[str, float]:
    """R², root mean squared error and mean absolute error of answers (N,)."""
    error = answer - y
    return {
        "r2": float(1 - (error**2).sum() / ((y - y.mean()) ** 2).sum()),
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(np.abs(error).mean()),
    }


def interval(y: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> dict[str, float]:
    """The part of the rows (N,) within their intervals, and the mean width in deviations of the rows."""
    return {"coverage": float(((low <= y) & (y <= high)).mean()), "width": float((high - low).mean() / y.std())}


def classes(y: NDArray[np.intp], p: NDArray[np.float64], rarest: int) -> dict[str, float]:
    """Scores of probabilities (N, K) for labels (N,) in 0…K-1: `auc` for two classes, `recall` of the class ``rarest``."""
    p = np.clip(p, LEAST, 1)
    p /= p.sum(1, keepdims=True)
    best = p.argmax(1)
    right, chosen = best == y, p.max(1)
    bins = np.minimum((chosen * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, chosen - right, BINS)  # the sum of a bin's rows: its share times its gap
    found = {
        "accuracy": float(right.mean()),
        "log_loss": float(-np.log(p[np.arange(len(y)), y]).mean()),
        "ece": float(np.abs(gaps).sum() / len(y)),
        "recall": float(right[y == rarest].mean()),
    }
    if p.shape[1] == 2:
        found["auc"] = auc(y == 1, p[:, 1])
    return found


def auc(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """The chance that a positive row has a higher score than a negative one; ties count half."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    many = int(positive.sum())
    return float((rank[positive].sum() - many * (many + 1) / 2) / (many * (len(score) - many)))
