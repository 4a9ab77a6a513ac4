"""The Python API with wrong arguments: it says what is wrong, and the model is as it was.

Right answers are SpecError, UsageError, RunError; TypeError where Python itself refuses the call; OSError where a path
cannot be read or written.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import graphspec as gs
from graphspec.base.errors import GraphspecError
from trust import wrong_values as wrong
from trust.wrong_values import Make, Setting

CASES = 40
counts: Counter[str] = Counter()

CALLS: dict[str, dict[str, Make]] = {
    "fit": {
        "x": wrong.arrays,
        "y": wrong.arrays,
        "epochs": wrong.epochs,
        "batch_size": wrong.whole,
        "shuffle": wrong.truth,
        "validation_data": wrong.pairs,
        "validation_split": wrong.share,
        "sample_weight": wrong.arrays,
        "class_weight": wrong.class_weights,
        "callbacks": wrong.callbacks,
        "verbose": wrong.verbose,
        "other": wrong.whole,
    },
    "evaluate": {
        "x": wrong.arrays,
        "y": wrong.arrays,
        "batch_size": wrong.whole,
        "sample_weight": wrong.arrays,
        "other": wrong.whole,
    },
    "predict": {"x": wrong.arrays, "batch_size": wrong.whole, "other": wrong.whole},
    "export": {"path": wrong.paths, "opset": wrong.opsets, "target": wrong.targets},
    "save": {"path": wrong.paths},
    "set_weights": {"weights": wrong.weights},
    "compile": {"source": wrong.documents, "sets": wrong.sets, "allow_outside": wrong.truth},
    "validate": {
        "source": wrong.documents,
        "sets": wrong.sets,
        "data": wrong.truth,
        "opset": wrong.opsets,
        "target": wrong.targets,
    },
    "load": {"path": wrong.paths},
}
"""By function, what each argument may be given."""


def attack(random: random.Random) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(Path(folder))
        setting.several = random.random() < 0.3
        return _case(random, setting)


def _case(r: random.Random, s: Setting) -> list[str]:
    model = gs.compile(s.document())
    x, y = s.right()
    if r.random() < 0.5:
        model.fit(x, y, verbose=0)
    before, answer = model.weights, model.predict_dict(x, batch_size=32)
    name = r.choice(list(CALLS))
    makers = CALLS[name]
    given: dict[str, Any] = {"x": x, "y": y} if name in ("fit", "evaluate") else {"x": x} if name == "predict" else {}
    if name == "fit":
        given["verbose"] = 0
    first = next(iter(makers))
    for key in r.sample(list(makers), min(len(makers), r.choice([1, 1, 1, 2, 3]))):
        given[key] = makers[key](r, s)
    if first not in given and name not in ("fit", "evaluate", "predict"):
        given[first] = makers[first](r, s)
    function = getattr(gs, name) if name in ("compile", "validate", "load") else getattr(model, name)
    call = f"{name}({', '.join(f'{k}={_short(v)}' for k, v in given.items())})"
    try:
        if name in ("fit", "save", "export", "load", "set_weights"):
            with contextlib.chdir(s.folder):
                function(**given)
        else:
            function(**given)
    except GraphspecError as error:
        counts[f"{name} refused"] += 1
        found = [] if str(error).strip() else [f"{call}: {type(error).__name__} says nothing"]
    except TypeError as error:
        told = error.__traceback__ is not None and _depth(error.__traceback__) == 1
        found = [] if told else [f"{call}: {type(error).__name__}: {error}"]
    except OSError as error:
        found = [] if name in ("save", "export", "load") else [f"{call}: {type(error).__name__}: {error}"]
    except Exception as error:
        found = [f"{call}: {type(error).__name__}: {error}"]
    else:
        counts[f"{name} done"] += 1
        return _after(model, s, call)
    if any(not np.array_equal(a, before[n], equal_nan=True) for n, a in model.weights.items()):
        found.append(f"{call}: the weights have changed")
    if any(not np.array_equal(a, answer[h], equal_nan=True) for h, a in model.predict_dict(x, batch_size=32).items()):
        found.append(f"{call}: the answers have changed")
    return found + _after(model, s, call)


def _after(model: gs.Model, s: Setting, call: str) -> list[str]:
    """Whether the model goes on."""
    x, y = s.right()
    try:
        history = model.fit(x, y, epochs=1, verbose=0).history
    except Exception as error:
        nan = any(not np.isfinite(a).all() for a in model.weights.values())  # as `set_weights` was told
        return [] if nan else [f"after {call} `fit` fails: {type(error).__name__}: {error}"]
    return [] if len(history["loss"]) == 1 else [f"after {call} `fit` tells {history}"]


def _depth(traceback: Any) -> int:
    depth = 0
    while traceback is not None:
        depth, traceback = depth + 1, traceback.tb_next
    return depth


def _short(value: Any) -> str:
    try:
        text = f"array {value.dtype} {value.shape}" if isinstance(value, np.ndarray) else repr(value)
    except Exception as error:
        text = f"<{type(error).__name__}>"
    return text if len(text) < 90 else text[:90] + "…"
