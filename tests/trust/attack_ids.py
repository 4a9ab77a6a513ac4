"""Ids on their way to an Embedding, through layers that move them or compute with them.

What the layers do is done once more with NumPy. An id that no row belongs to must be refused wherever the model is used,
and never be clipped; ids that all have a row must never be refused, and give the same rows here and in onnxruntime.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import graphspec as gs
from graphspec.graph.analysis import input_bounds

Array = np.ndarray[Any, Any]
counts: Counter[str] = Counter()
BATCH = 3
FAR = {"int64": 2**63 - 1, "int32": 2**31 - 1, "uint8": 255}


@dataclass
class Tensor:
    """A node: its name, its shape without the batch, and what it holds, given the inputs."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    of: Callable[[Mapping[str, Array]], Array]


class Drawn:
    """A spec from inputs to an Embedding, and the ids that it is to look up."""

    def __init__(self, r: random.Random) -> None:
        self.r = r
        self.layers: list[dict[str, Any]] = []
        self.inputs: dict[str, Tensor] = {}
        self.path: list[str] = []
        dtype = r.choice(["int64", "int64", "int64", "int32", "uint8", "float32"])
        shape = tuple(r.randint(1, 4) for _ in range(r.choice([1, 1, 2, 3])))
        for k in range(r.choice([1, 2, 2])):
            name = f"i{k}"
            self.inputs[name] = Tensor(name, shape, dtype, lambda x, name=name: x[name])  # type: ignore[misc]
        self.pool = list(self.inputs.values())
        if dtype == "float32":
            self.pool = [self.bins(X) for X in self.pool]
        for _ in range(r.choice([0, 1, 1, 2, 2, 3, 4])):
            self.pool.append(self.step(r.choice(self.pool[-3:])))
        self.ids = self.pool[-1] if r.random() < 0.8 else r.choice(self.pool)
        self.rows = r.choice([1, 2, 5, 5, 9, 12, 300])
        embedding = {
            "name": "e",
            "type": "Embedding",
            "input_dim": self.rows,
            "output_dim": 2,
            "inputs": [self.ids.name],
        }
        self.layers.append(embedding)

    def add(self, kind: str, sources: list[Tensor], shape: tuple[int, ...], of: Any, **arguments: Any) -> Tensor:
        """A layer and what NumPy makes of its inputs."""
        name = f"l{len(self.layers)}"
        self.layers.append({"name": name, "type": kind, "inputs": [s.name for s in sources], **arguments})
        self.path.append(kind)
        dtype = "int32" if kind == "Discretization" else sources[0].dtype
        return Tensor(name, shape, dtype, lambda x: of(*(s.of(x) for s in sources)))

    def bins(self, X: Tensor) -> Tensor:
        edges = sorted(self.r.sample(range(-3, 30), self.r.randint(1, 8)))
        count = lambda x: (x[..., None] >= np.array(edges, np.float32)).sum(-1).astype(np.int32)  # noqa: E731
        return self.add("Discretization", [X], X.shape, count, bin_boundaries=[float(e) for e in edges])

    def step(self, X: Tensor) -> Tensor:
        r, n = self.r, len(X.shape)
        alike = [T for T in self.pool if T.shape == X.shape and T.dtype == X.dtype]
        choices: list[Callable[[], Tensor]] = [
            lambda: self.add("Identity", [X], X.shape, lambda x: x),
            lambda: self.add("Flatten", [X], (math.prod(X.shape),), lambda x: x.reshape(len(x), -1)),
            lambda: self.reshape(X),
            lambda: self.join(X, alike),
            lambda: self.join(X, alike),
            lambda: self.compute(X, alike),
            lambda: self.compute(X, alike),
        ]
        if n == 1:
            times = r.randint(1, 3)
            repeat = lambda x: np.repeat(x[:, None], times, 1)  # noqa: E731
            choices += [lambda: self.add("RepeatVector", [X], (times, *X.shape), repeat, n=times)] * 2
        if n in (2, 3):
            choices += [lambda: self.permute(X), lambda: self.crop(X), lambda: self.pad(X), lambda: self.pad(X)]
        if n == 3:
            choices += [lambda: self.resize(X)] * 2
        return r.choice(choices)()

    def reshape(self, X: Tensor) -> Tensor:
        shape = list(X.shape)
        self.r.shuffle(shape)
        target = tuple(shape) if self.r.random() < 0.5 else (math.prod(shape), 1)
        return self.add("Reshape", [X], target, lambda x: x.reshape(-1, *target), target_shape=list(target))

    def permute(self, X: Tensor) -> Tensor:
        dims = list(range(1, len(X.shape) + 1))
        self.r.shuffle(dims)
        shape = tuple(X.shape[d - 1] for d in dims)
        return self.add("Permute", [X], shape, lambda x: x.transpose(0, *dims), dims=dims)

    def join(self, X: Tensor, alike: list[Tensor]) -> Tensor:
        axis = self.r.randint(1, len(X.shape))
        others = [self.r.choice(alike) for _ in range(self.r.randint(1, 2))]
        shape = tuple(d * (1 + len(others)) if k == axis - 1 else d for k, d in enumerate(X.shape))
        join = lambda *xs: np.concatenate(xs, axis)  # noqa: E731
        return self.add("Concatenate", [X, *others], shape, join, axis=axis)

    def compute(self, X: Tensor, alike: list[Tensor]) -> Tensor:
        functions = {
            "Add": np.add,
            "Subtract": np.subtract,
            "Multiply": np.multiply,
            "Maximum": np.maximum,
            "Minimum": np.minimum,
        }
        kind = self.r.choice(list(functions))
        return self.add(kind, [X, self.r.choice(alike)], X.shape, functions[kind])

    def sides(self, X: Tensor, most: Callable[[int], int]) -> list[tuple[int, int]]:
        """Sizes for both ends of the spatial axes, the first and with three axes also the second."""
        return [(self.r.randint(0, most(d)), self.r.randint(0, most(d))) for d in X.shape[: len(X.shape) - 1]]

    def crop(self, X: Tensor) -> Tensor:
        sides = self.sides(X, lambda d: (d - 1) // 2)
        index = (slice(None), *(slice(a, d - b) for (a, b), d in zip(sides, X.shape, strict=False)))
        shape = (*(d - a - b for (a, b), d in zip(sides, X.shape, strict=False)), X.shape[-1])
        cropping = [list(s) for s in sides] if len(sides) > 1 else list(sides[0])
        return self.add(f"Cropping{len(sides)}D", [X], shape, lambda x: x[index], cropping=cropping)

    def pad(self, X: Tensor) -> Tensor:
        sides = self.sides(X, lambda _: 2)
        shape = (*(d + a + b for (a, b), d in zip(sides, X.shape, strict=False)), X.shape[-1])
        padding = [list(s) for s in sides] if len(sides) > 1 else list(sides[0])
        width = [(0, 0), *sides, (0, 0)]
        return self.add(f"ZeroPadding{len(sides)}D", [X], shape, lambda x: np.pad(x, width), padding=padding)

    def resize(self, X: Tensor) -> Tensor:
        size = self.r.randint(1, 5), self.r.randint(1, 5)
        fill = self.r.choice([None, 0, 3, 11])

        def resized(x: Array) -> Array:
            (height, width), (h, w) = x.shape[1:3], size
            if fill is not None:
                pads = (max(height, width * h // w) - height) // 2, (max(width, height * w // h) - width) // 2
                x = np.pad(x, [(0, 0), *((p, p) for p in pads), (0, 0)], constant_values=fill)
            for axis, n in ((1, h), (2, w)):
                x = x.take((2 * np.arange(n) + 1) * x.shape[axis] // (2 * n), axis)
            return x

        more = {} if fill is None else {"pad_to_aspect_ratio": True, "fill_value": fill}
        how = {"height": size[0], "width": size[1], "interpolation": "nearest", **more}
        return self.add("Resizing", [X], (*size, X.shape[-1]), resized, **how)

    # What is asked of it.

    def spec(self) -> dict[str, Any]:
        used = {name for layer in self.layers for name in layer["inputs"]}
        return {
            "graphspec": 1,
            "name": "ids",
            "inputs": {n: {"shape": list(T.shape), "dtype": T.dtype} for n, T in self.inputs.items() if n in used},
            "layers": self.layers,
            "outputs": {"e": {"loss": "mean_squared_error"}},
            "training": {"batch_size": BATCH, "optimizer": {"type": "SGD", "learning_rate": 0.0}},
        }

    def values(self, bounds: Mapping[str, tuple[int, int]] | None = None) -> dict[str, Array]:
        """Rows for the inputs: within ``bounds``, or with ids that may well be out of range."""
        return {name: self.drawn(T, None if bounds is None else bounds.get(name)) for name, T in self.inputs.items()}

    def drawn(self, T: Tensor, bounds: tuple[int, int] | None) -> Array:
        numbers, shape = np.random.default_rng(self.r.getrandbits(32)), (BATCH, *T.shape)
        if T.dtype == "float32":
            return numbers.uniform(-5, 35, shape).astype(np.float32)
        if bounds is not None:
            return numbers.integers(*bounds, shape).astype(T.dtype)
        values = numbers.integers(0, self.r.choice([1, 2, self.rows, self.rows + 2]), shape)
        values = np.clip(values, 0, FAR[T.dtype])
        if self.r.random() < 0.7:
            far = FAR[T.dtype]
            least = 0 if T.dtype == "uint8" else -far - 1
            odd = [v for v in (10, -1, 2**31, self.rows, self.rows - 1, -self.rows, far, least) if least <= v <= far]
            values.reshape(-1)[numbers.integers(values.size)] = self.r.choice(odd)
        return values.astype(T.dtype)

    def right(self, x: Mapping[str, Array]) -> bool:
        ids = self.ids.of(x).astype(np.int64)
        return bool(((ids >= 0) & (ids < self.rows)).all())


def attack(random: random.Random) -> list[str]:
    drawn = Drawn(random)
    counts["ids"] += 1
    where = f"{' → '.join(drawn.path) or 'nothing'} → Embedding({drawn.rows})"
    with np.errstate(all="ignore"):
        return [f"{where}: {problem}" for problem in _problems(drawn)]


def _problems(drawn: Drawn) -> list[str]:
    spec = drawn.spec()
    found = [d for d in gs.validate(spec) if d.is_error]
    if found:
        counts["refused specs"] += 1
        return _judged(drawn, [d.code for d in found])
    model = gs.compile(spec)
    bounds = input_bounds(model.graph)
    problems = []
    for _ in range(3):
        made = drawn.values(bounds)
        if not drawn.right(made) and _possible(drawn):
            problems.append(f"ids made up within {bounds} are out of range")
    table = model.weights["e/embeddings"]
    for _ in range(2):
        x = drawn.values()
        right, x = drawn.right(x), {n: a for n, a in x.items() if n in model.graph.inputs}
        counts["right" if right else "out of range"] += 1
        expected = table[drawn.ids.of(x).astype(np.int64)] if right else None
        problems += [p for use in (_predict, _run, _evaluate, _fit) if (p := use(model, x, expected)) is not None]
    if drawn.r.random() < 0.15 and _possible(drawn):
        problems += _exported(drawn, model, bounds)
    return problems


def _possible(drawn: Drawn) -> bool:
    """Whether rows can be made up at all that are in range: bins and fillings are what they are."""
    return not {"Discretization", "Resizing"} & set(drawn.path)


def _judged(drawn: Drawn, codes: list[str]) -> list[str]:
    """A spec may be refused only for ids that are there whatever the rows are."""
    if set(codes) != {"GS304"}:
        return [f"refused with {codes}"]
    for value in (1e30, 0.0):
        kinds = {n: (T.dtype, (BATCH, *T.shape)) for n, T in drawn.inputs.items()}
        x = {n: np.full(shape, value if kind == "float32" else 0, kind) for n, (kind, shape) in kinds.items()}
        if not drawn.right(x):
            return []
    return ["the spec is refused, but the ids have rows"]


def _outcome(name: str, call: Callable[[], Array], expected: Array | None) -> str | None:
    try:
        got = call()
    except gs.SpecError as error:
        codes = {d.code for d in error.diagnostics}
        if expected is not None:
            return f"{name} refuses what is in range: {error}"
        return None if codes == {"GS506"} else f"{name} answers {codes}"
    except Exception as error:
        return f"{name} raises {type(error).__name__}: {error}"
    if expected is None:
        return f"{name} takes an id out of range in silence"
    return None if np.allclose(got, expected, atol=1e-6) else f"{name} gives other rows"


def _predict(model: gs.Model, x: dict[str, Array], expected: Array | None) -> str | None:
    return _outcome("predict", lambda: model.predict(x), expected)


def _run(model: gs.Model, x: dict[str, Array], expected: Array | None) -> str | None:
    return _outcome("run", lambda: model.run(x)["e"], expected)


def _target(model: gs.Model) -> Array:
    shape = (BATCH, *model.graph.outputs["e"].shape[1:])
    return np.zeros(shape, np.float32)


def _loss(expected: Array | None) -> Array | None:
    return None if expected is None else np.mean(np.square(expected, dtype=np.float64))


def _evaluate(model: gs.Model, x: dict[str, Array], expected: Array | None) -> str | None:
    return _outcome("evaluate", lambda: model.evaluate(x, _target(model))["loss"], _loss(expected))


def _fit(model: gs.Model, x: dict[str, Array], expected: Array | None) -> str | None:
    call = lambda: model.fit(x, _target(model), epochs=1, verbose=0).history["loss"][0]  # noqa: E731
    return _outcome("fit", call, _loss(expected))


def _exported(drawn: Drawn, model: gs.Model, bounds: Mapping[str, tuple[int, int]]) -> list[str]:
    import onnxruntime

    counts["exports"] += 1
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ids.onnx"
        try:
            model.export(file)
        except Exception as error:
            return [f"export: {type(error).__name__}: {error}"]
        session = onnxruntime.InferenceSession(file.read_bytes(), options)
    x = {n: a for n, a in drawn.values(bounds).items() if n in model.graph.inputs}
    (got,) = session.run(["e"], x)
    return [] if np.allclose(got, model.predict(x), atol=1e-6) else ["onnxruntime gives other rows"]
