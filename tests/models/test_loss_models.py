"""Networks whose loss is what is special, as short specs: the loss and its gradients are those of NumPy in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from short_models import Arrays, assert_equal_to_float64, compiled, spec_lines, statements

import graphspec as gs

ROWS = 8
DRAW = np.random.default_rng(5)


def dense(w: Arrays, name: str, x: Any) -> Any:
    return x @ w[f"{name}/kernel"] + w.get(f"{name}/bias", 0)


def unit(x: Any) -> Any:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def log_sum(x: Any, axis: int) -> Any:
    return np.log(np.exp(x).sum(axis))


def lgamma(x: Any) -> Any:
    return np.vectorize(math.lgamma)(x)


SEMI_HARD = """
inputs: {x: {shape: [4]}, person: {shape: [], dtype: int64}}
layers:
  - {name: h, type: Dense, units: 6, activation: tanh, inputs: x}
  - {name: e, type: Dense, units: 3}
  - {name: u, type: UnitNormalization}
outputs: {u: {loss: triplet_semi_hard, target: person}}
"""


def semi_hard(w: Arrays, x: Arrays) -> Any:
    h = np.tanh(dense(w, "h", x["x"]))
    e = dense(w, "e", h)
    u = unit(e)
    d = np.sqrt(np.maximum(((u[:, None] - u) ** 2).sum(-1), 1e-30))
    same = x["person"][:, None] == x["person"]
    farther = ~same[:, None] & (d[:, None] > d[:, :, None])
    outside = np.where(farther, d[:, None], np.inf).min(2)
    inside = np.where(same, 0, d).max(1, keepdims=True)
    excess = np.maximum(d - np.where(farther.any(2), outside, inside) + 1, 0)
    pairs = same & ~np.eye(ROWS, dtype=bool)
    return (excess * pairs).sum() / pairs.sum()


SUPCON = """
inputs: {x: {shape: [4]}, person: {shape: [], dtype: int64}}
layers:
  - {name: h, type: Dense, units: 6, activation: tanh, inputs: x}
  - {name: e, type: Dense, units: 3}
outputs: {e: {loss: supcon, target: person}}
"""


def supcon(w: Arrays, x: Arrays) -> Any:
    h = np.tanh(dense(w, "h", x["x"]))
    z = unit(dense(w, "e", h))
    logits = z @ z.T / 0.1 - 1e9 * np.eye(ROWS)
    log_p = logits - log_sum(logits, 1)[:, None]
    pairs = (x["person"][:, None] == x["person"]) & ~np.eye(ROWS, dtype=bool)
    each = -(log_p * pairs).sum(1)[pairs.any(1)] / pairs.sum(1)[pairs.any(1)]
    return each.mean()


ARCFACE = """
inputs: {x: {shape: [4]}, person: {shape: [], dtype: int64}}
layers:
  - {name: h, type: Dense, units: 6, activation: tanh, inputs: x}
  - {name: face, type: ArcFace, units: 3, scale: 8}
outputs: {face: {loss: {type: arcface, margin: 0.4}, target: person}}
"""


def arcface(w: Arrays, x: Arrays) -> Any:
    h = np.tanh(dense(w, "h", x["x"]))
    cosine = unit(h) @ unit(w["face/kernel"].T).T
    angle = np.arccos(cosine) + 0.4 * (x["person"][:, None] == np.arange(3))
    logits = 8 * np.cos(angle)
    return (log_sum(logits, 1) - logits[np.arange(ROWS), x["person"]]).mean()


COX = """
inputs: {x: {shape: [4]}, times: {shape: [2]}}
layers:
  - {name: h, type: Dense, units: 6, activation: tanh, inputs: x}
  - {name: risk, type: Dense, units: 1}
outputs: {risk: {loss: {type: cox, ties: breslow}, target: times, metrics: [concordance]}}
"""


def cox(w: Arrays, x: Arrays) -> Any:
    h = np.tanh(dense(w, "h", x["x"]))
    risk = dense(w, "risk", h)[:, 0]
    time, event = x["times"].T
    at_risk = time >= time[:, None]
    each = np.log((np.exp(risk) * at_risk).sum(1)) - risk
    return (each * event).sum() / event.sum()


COUNTS = """
inputs: {x: {shape: [4]}, hours: {shape: [1]}, calls: {shape: [1]}, claims: {shape: []}}
layers:
  - {name: h, type: Dense, units: 6, activation: tanh, inputs: x}
  - {name: rate, type: Dense, units: 1, activation: exponential}
  - {name: expected, type: Multiply, inputs: [rate, hours]}
  - {name: spread, type: Dense, units: 2, activation: exponential, inputs: h}
outputs: {expected: {loss: poisson, target: calls}, spread: {loss: negative_binomial, target: claims}}
"""


def counts(w: Arrays, x: Arrays) -> Any:
    h = np.tanh(dense(w, "h", x["x"]))
    expected = np.exp(dense(w, "rate", h)) * x["hours"]
    poisson = (expected - x["calls"] * np.log(expected)).mean()
    mean, r = np.exp(dense(w, "spread", h)).T
    n = x["claims"]
    ways = lgamma(n + r) - lgamma(r) - lgamma(n + 1)
    binomial = -(ways + r * np.log(r / (r + mean)) + n * np.log(mean / (r + mean))).mean()
    return (poisson + binomial) / 2


TAGGER = """
inputs: {x: {shape: [time, 4]}, tags: {shape: [time], dtype: int64}}
layers:
  - {name: h, type: LSTM, units: 3, return_sequences: true, inputs: x}
  - {name: scores, type: Dense, units: 3}
  - {name: best, type: CRF, transitions_initializer: glorot_uniform}
outputs: {best: {loss: crf, target: tags, metrics: [accuracy]}}
"""


def lstm(w: Arrays, name: str, x: Any) -> Any:
    """A layer of PyTorch's: no statement of a network."""
    h = c = np.zeros((len(x), 3))
    out = []
    for t in range(x.shape[1]):
        z = x[:, t] @ w[f"{name}/kernel"] + h @ w[f"{name}/recurrent_kernel"] + w[f"{name}/bias"]
        i, f, new, o = np.split(z, 4, axis=1)
        c = c / (1 + np.exp(-f)) + np.tanh(new) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        out.append(h)
    return np.stack(out, 1)


def tagger(w: Arrays, x: Arrays) -> Any:
    s = dense(w, "scores", lstm(w, "h", x["x"]))
    a, ends, y, rows = w["best/transitions"], w["best/ends"], x["tags"], np.arange(ROWS)
    alpha = s[:, 0] + ends[0]
    score = alpha[rows, y[:, 0]]
    for t in range(1, s.shape[1]):
        alpha = s[:, t] + log_sum(alpha[:, :, None] + a, 1)
        score = score + s[rows, t, y[:, t]] + a[y[:, t - 1], y[:, t]]
    return (log_sum(alpha + ends[1], 1) - score - ends[1][y[:, -1]]).mean()


POINTER = """
inputs: {x: {shape: [time, 4]}, pick: {shape: [], dtype: int64}}
layers:
  - {name: e, type: Dense, units: 4, activation: tanh, inputs: x}
  - {name: q, type: Formula, value: "mean(e, axis=1, keepdims=true)"}
  - {name: d, type: Dense, units: 4}
  - {name: k, type: Dense, units: 4, use_bias: false, inputs: e}
  - {name: s, type: Formula, value: "tanh(k + d)"}
  - {name: v, type: Dense, units: 1}
  - {name: p, type: Reshape, target_shape: [-1]}
  - {name: step, type: Softmax}
outputs: {step: {loss: sparse_categorical_crossentropy, target: pick, metrics: [accuracy]}}
"""


def pointer(w: Arrays, x: Arrays) -> Any:
    e = np.tanh(dense(w, "e", x["x"]))
    q = e.mean(1, keepdims=True)
    s = np.tanh(dense(w, "k", e) + dense(w, "d", q))
    p = dense(w, "v", s)[:, :, 0]
    return (log_sum(p, 1) - p[np.arange(ROWS), x["pick"]]).mean()


RANK_NET = """
inputs: {x: {shape: [4]}, grade: {shape: [1]}}
layers:
  - {name: h, type: Dense, units: 6, activation: tanh, inputs: x}
  - {name: s, type: Dense, units: 1}
  - {name: better, type: Formula, value: "grade > transpose(grade)"}
  - {name: cost, type: Formula, value: "sum(better * softplus(transpose(s) - s)) / sum(better)"}
outputs: {s: {}, cost: {loss: value}}
"""


def rank_net(w: Arrays, x: Arrays) -> Any:
    h = np.tanh(dense(w, "h", x["x"]))
    s = dense(w, "s", h)
    better = x["grade"] > x["grade"].T
    return (better * np.log1p(np.exp(s.T - s))).sum() / better.sum()


SIMSIAM = """
inputs: {one: {shape: [4]}, two: {shape: [4]}}
layers:
  - {name: f, type: Dense, units: 5, activation: tanh, inputs: one}
  - {name: z, type: Dense, units: 3}
  - {name: p, type: Dense, units: 3}
  - {name: f2, share: f, inputs: two}
  - {name: z2, share: z}
  - {name: p2, share: p}
outputs:
  p: {loss: cosine_similarity, target: z2}
  p2: {loss: cosine_similarity, target: z}
"""


def simsiam(w: Arrays, x: Arrays, still: dict[str, Any] = {}) -> Any:  # noqa: B006 (targets stand where they are first)
    z = dense(w, "z", np.tanh(dense(w, "f", x["one"])))
    z2 = dense(w, "z", np.tanh(dense(w, "f", x["two"])))
    still.setdefault("z", (z, z2))
    to_two = -(unit(dense(w, "p", z)) * unit(still["z"][1])).sum(1).mean()
    to_one = -(unit(dense(w, "p", z2)) * unit(still["z"][0])).sum(1).mean()
    return (to_two + to_one) / 2


MASKED = """
inputs: {x: {shape: [5, 4]}, there: {shape: [5, 1]}, y: {shape: [5, 1]}}
layers:
  - {name: out, type: Dense, units: 1, inputs: x}
  - {name: cost, type: Formula, value: "sum((out - y)**2 * there) / sum(there)"}
outputs: {out: {}, cost: {loss: value}}
"""


def masked(w: Arrays, x: Arrays) -> Any:
    out = dense(w, "out", x["x"])
    return ((out - x["y"]) ** 2 * x["there"]).sum() / x["there"].sum()


X = DRAW.normal(size=(ROWS, 4)).round(3)
PERSON = np.array([0, 1, 0, 2, 1, 0, 2, 1])
TIMES = np.stack([DRAW.integers(1, 5, ROWS), DRAW.integers(0, 2, ROWS)], 1).astype(float)
SERIES = DRAW.normal(size=(ROWS, 5, 4)).round(3)
CALLS, THERE = DRAW.integers(0, 6, (ROWS, 1)), DRAW.integers(0, 2, (ROWS, 5, 1)).astype(float)
COUNTED = {"hours": DRAW.uniform(1, 3, (ROWS, 1)), "calls": CALLS.astype(float), "claims": CALLS[::-1, 0].astype(float)}
MODELS: dict[str, tuple[str, Callable[..., Any], Arrays]] = {
    "semi-hard triplets": (SEMI_HARD, semi_hard, {"x": X, "person": PERSON}),
    "supervised contrast": (SUPCON, supcon, {"x": X, "person": PERSON}),
    "ArcFace": (ARCFACE, arcface, {"x": X, "person": PERSON}),
    "Cox": (COX, cox, {"x": X, "times": TIMES}),
    "counts": (COUNTS, counts, {"x": X, **COUNTED}),
    "CRF tagger": (TAGGER, tagger, {"x": SERIES, "tags": DRAW.integers(0, 3, (ROWS, 5))}),
    "pointer network": (POINTER, pointer, {"x": SERIES, "pick": DRAW.integers(0, 5, ROWS)}),
    "RankNet": (RANK_NET, rank_net, {"x": X, "grade": CALLS.astype(float)}),
    "SimSiam": (SIMSIAM, simsiam, {"one": X, "two": X[::-1] + 0.1}),
    "masked mean": (MASKED, masked, {"x": SERIES, "there": THERE, "y": SERIES[:, :, :1]}),
}


@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_are_those_of_float64(name: str, tmp_path: Path) -> None:
    spec, reference, given = MODELS[name]
    assert_equal_to_float64(compiled(spec, tmp_path, ROWS), reference, given, tmp_path)


LENGTHS = {name: (spec_lines(spec), statements(reference)) for name, (spec, reference, _) in MODELS.items()}


def test_a_pointer_beyond_the_last_step_is_refused(tmp_path: Path) -> None:
    spec, _, given = MODELS["pointer network"]
    x = {"x": given["x"].astype(np.float32), "pick": given["pick"]}
    model = compiled(spec, tmp_path, ROWS)
    model.fit({"x": x["x"][:, :3], "pick": x["pick"] % 3}, epochs=1, verbose=0)
    with pytest.raises(gs.SpecError, match="looks up id 5, outside 0 … 4"):
        model.fit({**x, "pick": x["pick"] * 0 + 5}, epochs=1, verbose=0)
    smooth = "{type: sparse_categorical_crossentropy, label_smoothing: 0.1}"
    with pytest.raises(gs.SpecError, match="needs a fixed number of classes"):
        compiled(spec.replace("loss: sparse_categorical_crossentropy", f"loss: {smooth}"), tmp_path, ROWS)


def test_the_mean_over_counted_elements_is_that_of_a_batch(tmp_path: Path) -> None:
    """An evaluation weighs batches by their rows, as it does all losses."""
    spec, reference, given = MODELS["masked mean"]
    model = compiled(spec, tmp_path, ROWS)
    x = {key: array.astype(np.float32) for key, array in given.items()}
    whole = model.evaluate(x, verbose=0, batch_size=ROWS)
    loss = whole["loss"] if isinstance(whole, dict) else whole
    assert loss == pytest.approx(reference(model.weights, given), rel=1e-5)
    parts = [{key: array[part] for key, array in given.items()} for part in (slice(0, 5), slice(5, ROWS))]
    halves = model.evaluate(x, verbose=0, batch_size=5)
    expected = sum(reference(model.weights, part) * len(part["x"]) for part in parts) / ROWS
    assert (halves["loss"] if isinstance(halves, dict) else halves) == pytest.approx(expected, rel=1e-5)
