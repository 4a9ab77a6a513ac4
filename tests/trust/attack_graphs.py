"""Random graphs over the whole vocabulary: trained, differentiated, exported, stored, shared among workers.

Every spec here is right by the vocabulary: a layer that is refused is a problem too.
"""

from __future__ import annotations

import contextlib
import copy
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import graphspec as gs
from graphspec.base.errors import RunError, ShapeError, SpecError
from graphspec.data.batches import BatchLoader, Dataset
from graphspec.data.signature import user_arrays, user_inputs
from graphspec.engine.compiler.objective import objective_for
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.program import Program
from graphspec.engine.training.adapt import adapt
from graphspec.export.targets import newest_opset
from graphspec.graph.builder import Target
from graphspec.graph.ir.graph import Value
from graphspec.graph.kernels import compiled
from graphspec.graph.kernels import compiled as choice
from graphspec.graph.onnx_model import IR_OF_OPSET
from graphspec.graph.ops import OPS
from trust.drawn import Args
from trust.drawn_rows import inputs, targets
from trust.drawn_specs import Drawn, draw

CASES = 12
TIMEOUT = 180.0
counts: Counter[str] = Counter()

Array = np.ndarray[Any, Any]
HUGE = 1e8  # losses from here on overflow float32 in a step or two


def attack(random: random.Random) -> list[str]:
    drawn = draw(random)
    counts["layers"] += sum(n for kind, n in drawn.used.items() if kind[0].isupper())
    found = [f"refused: {node}: {said}" for node, said in drawn.refused]
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),  # callbacks write into it
        _kernels(random.choice([None, None, True, False]), random.random() < 0.5),
    ):
        return found + _Case(drawn, random, Path(folder)).run()


@contextlib.contextmanager
def _kernels(forced: bool | None, numpy: bool) -> Iterator[None]:
    """Fast kernels everywhere, nowhere, or where they pay; workers hear of it by the environment.

    With ``numpy`` this process uses no compiled ones.
    """
    before, said, library = choice.FAST, os.environ.get(choice.KERNELS, ""), compiled.LIBRARY
    if numpy:
        compiled.LIBRARY = None
    if forced is not None:
        choice.FAST, os.environ[choice.KERNELS] = forced, "fast" if forced else "reference"
    try:
        yield
    finally:
        choice.FAST, os.environ[choice.KERNELS], compiled.LIBRARY = before, said, library


class _Case:
    def __init__(self, drawn: Drawn, drawing: random.Random, folder: Path) -> None:
        self.drawn, self.random, self.folder = drawn, drawing, folder
        self.numbers = np.random.default_rng(drawing.getrandbits(32))
        self.document = drawn.document

    def run(self) -> list[str]:
        try:
            self.model = gs.compile(copy.deepcopy(self.document))
        except SpecError as error:
            return [f"refused: {error}"]
        graph = self.model.whole
        names = sorted({d for v in graph.inputs.values() for d in v.shape[1:] if isinstance(d, str)})
        self.lengths = {name: self.random.randint(5, 9) for name in names}
        self.x = inputs(self.drawn, self.model, self.random.randint(5, 8), self.lengths, self.numbers)
        found: list[str] = []
        if self.model.learns:
            found = self.adapted()
        self.y = targets(self.drawn, self.model, self.x, self.numbers)
        weighed = [head for head in self.y if self.random.random() < 0.3]
        count = len(next(iter(self.x.values())))
        self.weights = {head: self.numbers.integers(0, 4, count) / 2 for head in weighed} or None
        for check in (
            self.precise,
            self.same_answers,
            self.gradient,
            self.stored,
            self.trained,
            self.exported,
            self.workers,
        ):
            try:
                found += check()
            except (SpecError, RunError, ShapeError, gs.UsageError) as error:
                found.append(f"{check.__name__}: {type(error).__name__}: {error}")
        return found

    def adapted(self) -> list[str]:
        """Nothing is computed before the layers have learnt; the model then has what ``fit`` will learn."""
        counts["learn"] += 1
        found = []
        try:
            self.predict(self.model, self.x)
            found.append("predict answers before anything has been learnt")
        except gs.UsageError:
            pass
        self.model.install(adapt(self.model.spec, Dataset(user_inputs(self.model.needed_inputs, self.x))))
        return found + (["the model still learns"] if self.model.learns else [])

    def same_answers(self) -> list[str]:
        """The same rows give the same answers: again, one by one, and with others."""
        first, again = self.predict(self.model, self.x), self.predict(self.model, self.x)
        alone = [self.predict(self.model, {n: a[k : k + 1] for n, a in self.x.items()}) for k in range(2)]
        found = [f"predict gives {h} other bits the second time" for h in first if not _same(first[h], again[h])]
        for head, whole in first.items():
            for k, one in enumerate(alone):
                found += _near(one[head], whole[k : k + 1], f"head {head}: row {k} alone", self.scale(head, k))
        return found

    def predict(self, model: gs.Model, x: Args) -> dict[str, Array]:
        return model.predict_dict(x, batch_size=64)

    def scale(self, head: str, row: int | None = None) -> float:
        """How far float32 is from float64 at a head: what may be expected of any two ways to compute it."""
        if not hasattr(self, "exact"):
            self.exact = self.in_float64()
        given, exact = self.predict(self.model, self.x)[head], self.exact[head]
        with np.errstate(invalid="ignore"):
            return float(np.max(np.abs(given - exact), initial=0.0))

    def in_float64(self, noise: float = 0.0) -> dict[str, Array]:
        """The answers in float64; with ``noise``, of weights and inputs that differ by so much of themselves."""
        graph = self.model.graph
        x = self.model.through_prelude(self.x)
        shapes = {n: x[n].shape for n in graph.inputs}
        parameters = Parameters(graph, np.float64)
        parameters.set({n: self.shaken(a, noise) for n, a in self.model.weights.items()})
        program = build_program(graph, parameters, Target(shapes), seed=self.model.seed)
        for name, feed in program.feeds.items():
            feed[...] = self.shaken(x[name], noise) if x[name].dtype.kind == "f" else x[name]
        with np.errstate(all="ignore"):
            program.run()
        return {head: a.copy() for head, a in program.fetches.items()}

    def shaken(self, array: Array, noise: float) -> Array:
        return array * (1 + noise * self.numbers.standard_normal(array.shape))

    def precise(self) -> list[str]:
        """Float32 is as near to float64 as rounding lets it be: as near as numbers that differ by 1e-6 of themselves."""
        single, double = self.predict(self.model, self.x), self.in_float64()
        doubtful = {h for h in single if _near(single[h], double[h], "", 0.0)}
        for _ in range(4 if doubtful else 0):
            other = self.in_float64(1e-6)
            doubtful = {h for h in doubtful if _near(single[h], double[h], "", _distance(other[h], double[h]))}
        return [f"head {h}: float32 is {_distance(single[h], double[h]):.3g} from float64" for h in sorted(doubtful)]

    # The gradient.

    def gradient(self) -> list[str]:
        """The gradient of the total loss along random directions, against differences, in float64."""
        if not any(p.trainable for p in self.model.graph.params.values()) or not self.y:
            counts["nothing to train"] += 1
            return []
        training = self.random.random() < 0.6 and "SpectralNormalization" not in self.drawn.used
        arrays = self.model.prepared(user_arrays(self.model.needed, self.x, self.y))
        objective = objective_for(self.model, arrays)
        if any(OPS[n.op].stops_gradient or n.op == "StraightThrough" for n in objective.graph.nodes):
            counts["gradient stops"] += 1  # then it is no derivative of the loss
            return []
        loader = BatchLoader(arrays, len(arrays), shuffle=False, seed=0)
        loader.start(0)
        parameters = Parameters(objective.graph, np.float64)
        parameters.set(self.model.weights)
        start = {group: vector.copy() for group, vector in parameters.vectors.items()}
        slope = np.zeros_like(parameters.vectors["trainable"])

        def program(loss: Value | None = None) -> Program:
            graph = objective.graph.with_outputs({"loss": objective.total}, loss)
            target = Target(loader.shapes(loader.rows(0)))
            return build_program(graph, parameters, target, gradient=slope, training=training, seed=1)

        def value(program: Program, weights: Array) -> float:
            for group, vector in start.items():
                parameters.vectors[group][...] = vector
            parameters.vectors["trainable"][...] = weights
            loader.copy(0, program.feeds)
            program.run()
            return float(program.fetches["loss"])

        self.loss = np.nan
        with np.errstate(all="ignore"):
            backward, forward = program(objective.total), program()
            said = ""
            for attempt in range(5):  # at a kink a difference is no derivative: elsewhere it is
                at = start["trainable"] + (0.05 * attempt) * self.numbers.standard_normal(len(slope))
                loss = value(backward, at)
                self.loss = loss if attempt == 0 else self.loss
                if not np.isfinite(loss) or abs(loss) > HUGE:
                    counts["loss too large"] += 1
                    return []
                exact, direction = slope.copy(), self.numbers.standard_normal(len(slope))
                step = 1e-6
                up, down = value(forward, at + step * direction), value(forward, at - step * direction)
                numeric, along = (up - down) / (2 * step), float(exact @ direction)
                scale = max(abs(numeric), abs(along), float(np.abs(exact * direction).sum()) * 1e-2, 1e-3)
                if abs(numeric - along) <= 1e-5 * scale + 1e-9 * max(1.0, abs(loss)) / step * 1e-6 + 1e-8:
                    counts["gradients"] += 1
                    return self.gradient_in_float32(arrays, at, exact, training)
                said = f"along a direction the gradient is {along:.9g}, by differences {numeric:.9g} (loss {loss:.6g})"
        return [f"{said}, training {training}"]

    def gradient_in_float32(self, arrays: Any, at: Array, exact: Array, training: bool) -> list[str]:
        """The same gradient in float32, against float64, and against that of weights that differ a little."""
        objective = objective_for(self.model, arrays)

        def slope(dtype: Any, weights: Array) -> Array:
            loader = BatchLoader(arrays, len(arrays), shuffle=False, seed=0)
            loader.start(0)
            parameters = Parameters(objective.graph, dtype)
            parameters.set(self.model.weights)
            parameters.vectors["trainable"][...] = weights
            made = np.zeros_like(parameters.vectors["trainable"])
            program = build_program(
                objective.graph.with_outputs({"loss": objective.total}, objective.total),
                parameters,
                Target(loader.shapes(loader.rows(0))),
                gradient=made,
                training=training,
                seed=1,
            )
            loader.copy(0, program.feeds)
            program.run()
            return made.astype(np.float64)

        single = slope(np.float32, at)
        allowed = 1e-5 + 1e-3 * float(np.abs(exact).max(initial=0.0))
        for _ in range(4):
            if (difference := _distance(single, exact)) <= allowed:
                return []
            allowed = max(allowed, 30 * _distance(slope(np.float64, self.shaken(at, 1e-6)), exact))
        if difference <= allowed or not np.isfinite(single).all():
            return []
        return [
            f"in float32 the gradient is {difference:.3g} from float64, allowed is {allowed:.3g}, training {training}"
        ]

    # Training and storage.

    def stored(self) -> list[str]:
        """What is saved and loaded trains on as if it had not been."""
        if not self.trains():
            return []
        one = gs.compile(copy.deepcopy(self.document))
        one.fit(self.x, self.y, sample_weight=self.weights, verbose=0)
        if one.adapted != self.model.adapted:
            return ["fit has learnt something else"]
        folder = self.folder / "saved"
        one.save(folder)
        two = gs.load(folder)
        found = [
            f"saved and loaded, {n} has other bits" for n, a in one.weights.items() if not _same(a, two.weights[n])
        ]
        one.fit(self.x, self.y, sample_weight=self.weights, verbose=0)
        two.fit(self.x, self.y, sample_weight=self.weights, verbose=0)
        found += [
            f"trained on from a saved model, {n} has other bits"
            for n, a in one.weights.items()
            if not _same(a, two.weights[n])
        ]
        counts["saved"] += 1
        return found

    def trained(self) -> list[str]:
        """Training gives finite numbers, and the same again."""
        if not self.trains():
            return []
        other = gs.compile(copy.deepcopy(self.document))
        logs = self.model.fit(self.x, self.y, sample_weight=self.weights, verbose=0).history
        again = other.fit(self.x, self.y, sample_weight=self.weights, verbose=0).history
        found = [f"{name} is not finite after training" for name, a in self.model.weights.items() if not _finite(a)]
        found += [
            f"trained twice, {n} has other bits"
            for n, a in other.weights.items()
            if not _same(a, self.model.weights[n])
        ]
        found += [f"trained twice, {k} differs: {logs[k]}, {again[k]}" for k in logs if not _same(logs[k], again[k])]
        told = self.model.evaluate(self.x, self.y, sample_weight=self.weights)
        if "loss" not in told or not np.isfinite(told["loss"]):
            found.append(f"evaluate gives {told}")
        counts["trained"] += 1
        self.exact = self.in_float64()
        return found + self.same_metrics(told)

    def same_metrics(self, told: Args) -> list[str]:
        """Metrics do not depend on how rows are cut into batches; losses over a whole batch may."""
        cut = self.model.evaluate(self.x, self.y, batch_size=2, sample_weight=self.weights)
        keys = [k for k in told if not k.endswith("loss")]
        return [p for k in keys for p in _near(np.asarray(cut[k]), np.asarray(told[k]), f"{k} of batches of 2", 0.0)]

    def trains(self) -> bool:
        """Whether there is a loss that a step can lower without an overflow."""
        loss = getattr(self, "loss", None)
        return loss is not None and bool(np.isfinite(loss)) and abs(loss) < HUGE

    # Files for onnxruntime.

    def exported(self) -> list[str]:
        """The file at some opset gives ``predict``'s numbers on other rows than those of the proof."""
        import onnxruntime

        newest = newest_opset(onnxruntime.__version__)
        opset = self.random.choice([17, None, *(k for k in IR_OF_OPSET if k <= newest)])
        path = self.folder / "drawn.onnx"
        try:
            self.model.export(path, opset=opset)
        except SpecError as error:
            if all(d.code == "GS702" for d in error.diagnostics):
                counts["not available at the opset"] += 1
                return []
            raise
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options)
        counts["exported"] += 1
        given = {i.name: self.x[i.name] for i in session.get_inputs()}
        heads = list(self.model.graph.outputs)
        answers, expected = session.run(heads, given), self.predict(self.model, self.x)
        return [
            problem
            for head, a in zip(heads, answers, strict=True)
            for problem in _near(a, expected[head], f"head {head} under onnxruntime, opset {opset}", self.scale(head))
        ]

    # Workers.

    def workers(self) -> list[str]:
        """Two processes train as one does, but for rounding. Processes are slow to start: few cases do so."""
        if not self.trains() or self.random.random() > 0.04:
            return []
        counts["with two workers"] += 1
        results = []
        for workers in (1, 2):
            document = copy.deepcopy(self.document)
            document["training"] = {"optimizer": {"type": "SGD", "learning_rate": 0.001}, "workers": workers}
            document["training"] |= {"batch_size": 4, "epochs": 1, "seed": 3}
            model = gs.compile(document)
            model.fit(self.x, self.y, sample_weight=self.weights, verbose=0)
            results.append(model.weights)
        one, two = results
        return [p for name in one for p in _near(two[name], one[name], f"{name} of two workers", 1e-6)]


def _same(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True))


def _distance(a: Array, b: Array) -> float:
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.nanmax(np.abs(a - b), initial=0.0))


def _finite(a: Array) -> bool:
    return bool(np.isfinite(a).all())


def _near(a: Array, b: Array, what: str, rounding: float) -> list[str]:
    """Whether two arrays differ by more than the tolerance of exports, and than 30 times what rounding made of one."""
    if a.shape != b.shape:
        return [f"{what}: shape {a.shape}, expected {b.shape}"]
    with np.errstate(invalid="ignore", over="ignore"):
        wrong = ~(np.isfinite(a) == np.isfinite(b)) | (np.isnan(a) != np.isnan(b))
        difference = float(np.max(np.abs(np.where(np.isfinite(a) & np.isfinite(b), a - b, 0)), initial=0.0))
    largest = float(np.max(np.abs(np.where(np.isfinite(b), b, 0)), initial=0.0))
    allowed = max(1e-5 + 1e-4 * largest, 30 * rounding)
    if wrong.any() or difference > allowed:
        return [f"{what}: differs by {difference:.3g}, allowed is {allowed:.3g}"]
    return []
