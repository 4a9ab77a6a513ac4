"""One training step as an ONNX file, proved equal to the runtime's: losses, gradients and the optimizer as nodes.

Weights, the optimizer's slots and moving statistics are inputs, whose first values a second file returns: the *start*, which
has no inputs, since onnxruntime-web refuses to be fed inputs with defaults. The outputs ``<name>/next``
are their values after the step. What comes before the first trained weight may be a file, the *prelude*.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arrays.calls import settings
from graphspec.base.arrays.random import generator
from graphspec.base.errors import Diagnostic, ProblemError, SpecError, UsageError, did_you_mean
from graphspec.base.files import write_atomic
from graphspec.base.text import count
from graphspec.base.version import __version__
from graphspec.data.batches import BatchLoader, Dataset
from graphspec.data.check import load
from graphspec.data.signature import Data
from graphspec.engine.compiler.heads import prefix_of
from graphspec.engine.compiler.objective import TOTAL, Objective, logged_losses, loss_of
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import OptimizerState, Parameters
from graphspec.engine.runtime.prepared_rows import Prelude
from graphspec.engine.runtime.session import Session
from graphspec.export.onnx import at_node, constants_of
from graphspec.export.prove import FACTOR, Rows, batch_of, changed, failed, lengths_for, rows_for
from graphspec.export.targets import newest_opset
from graphspec.graph.builder import Builder, Rebuild, Target, rebuild
from graphspec.graph.cuts import cut
from graphspec.graph.derivatives import NotWrittenError, gradients, without_rule
from graphspec.graph.derivatives.forms import in_primitives, integer_input, is_random
from graphspec.graph.derivatives.updates import Update
from graphspec.graph.ir.dims import evaluate
from graphspec.graph.ir.graph import Array, Graph, Value, numpy_dtype
from graphspec.graph.onnx_model import OPSET, assemble, content_of
from graphspec.graph.onnx_session import failure, runtime, session
from graphspec.graph.ops import OPS
from graphspec.graph.passes import FOR_EXPORT
from graphspec.graph.passes import prepare as run_passes
from graphspec.graph.passes.for_export import in_inference, is_newer
from graphspec.language.declarations import WEIGHT

KEY, FORMAT = "graphspec.training_step", 1
NEXT = "/next"
BATCHES, STEPS = (8, 5), 10  # of the proof
_ROWS = 64
_RUNS = 4  # of the runtime with changed last bits, which measure what rounding explains
_LOSS = 1e-4  # of a loss
_MOVED = 1e-3  # of how far, as a norm, a weight, a slot or a statistic has moved
_LAST_BITS = 2.0**-21  # of its norm
_UNDECIDED = 0.1  # a weight is proved if rounding explains at most this share of its movement


@dataclass
class StepProof:
    """The result of the comparison of :data:`STEPS` steps."""

    rows: str  # where they are from
    loss: float = 0.0  # the largest difference of a loss, divided by the largest loss
    moved: float = 0.0  # the largest difference of a weight, divided by how far the weight has moved
    undecided: list[str] = field(default_factory=list)  # weights that rounding alone moves in the first step
    weights: int = 0
    left_out: list[str] = field(default_factory=list)  # metrics that the file does not count
    start: Path | None = None  # the file that returns the weights, slots and statistics before the first step
    prelude: Path | None = None  # the file that prepares rows

    def to_json(self) -> dict[str, Any]:
        """Return the proof as it is stored in the file's metadata."""
        found = {"onnxruntime": runtime().__version__, "rows": self.rows, "steps": STEPS, "batches": list(BATCHES)}
        return found | {"loss": self.loss, "weights": self.moved, "undecided": self.undecided}

    def __str__(self) -> str:
        rows = self.rows if "rows" in self.rows else f"rows of {self.rows}"
        text = f"{STEPS} steps on {rows} equal the runtime's: "
        text += f"the loss within {self.loss:.0e}, {count(self.weights, 'weight')} within {self.moved:.0e} of their way"
        if self.undecided:
            text += f"; rounding alone moves {', '.join(self.undecided[:3])}"
        if self.left_out:
            text += f"; not counted there: {', '.join(self.left_out)}"
        return text


def export_training_step(
    model: Session,
    path: Path,
    *,
    trainable: Sequence[str] = (),
    opset: int | None = None,
    rows: Data | str | Path = None,
) -> StepProof:
    """Write one training step, prove it, and only then write ``step.onnx``, the ``path``, and files beside it.

    ``step.start.onnx`` returns what the first step reads; ``step.prelude.onnx`` prepares rows, if there is a prelude.

    Args:
        trainable: patterns of the weights that train, as in the optimizer's ``groups``; all others become constants, and
            what comes before the first trained weight computes as at inference. By default all weights train.
        opset: ONNX opset, 17 by default.
        rows: inputs for the proof, whose targets are then drawn; by default rows of the spec's data.

    Raises:
        SpecError: GS701, the step differs from the runtime's; GS702, an operator, an optimizer or a weight that cannot be
            written; no file is written.
        UsageError: a pattern that matches no trainable weight.
    """
    if (level := opset or OPSET) > (newest := newest_opset(runtime().__version__)):
        text = f"opset {level} cannot be proved: onnxruntime {runtime().__version__} supports at most {newest}"
        raise UsageError(text)
    model.require_adapted()
    if model.spec.training.several:  # the step trains one of them
        first, prefix = model.copies()[0], model.prefixes[0]
        weights = {prefix + name: name for name in first.graph.params}
        first.set_weights({weights[name]: array for name, array in model.weights.items() if name in weights})
        model = first
    network = _network(model, trainable)
    data, origin = _data(network, model, rows)
    objective = network.objective(data)
    proof = StepProof(origin)
    try:
        step = _Step(network, objective, level, proof)
    except NotWrittenError as error:
        raise SpecError([at_node(model.spec, error.owner, error.problem.message, error.problem.hint)]) from None
    proto, start = step.to_model(), step.start().SerializeToString()
    _prove(step, data, proto.SerializeToString(), start)
    record, proof.start = step.record(), path.with_suffix(".start.onnx")
    record["start"] = proof.start.name
    if network.prelude is not None:
        proof.prelude = path.with_suffix(".prelude.onnx")
        record["prelude"] = proof.prelude.name
    texts = {"graphspec_version": __version__, "labels": json.dumps(model.labels), KEY: json.dumps(record)}
    for key, text in texts.items():
        proto.metadata_props.add(key=key, value=text)
    if network.prelude is not None and proof.prelude is not None:
        write_atomic(proof.prelude, network.prelude.serialized)
    write_atomic(proof.start, start)
    write_atomic(path, proto.SerializeToString())
    return proof


# The network: with the weights that do not train as constants.
def _network(model: Session, patterns: Sequence[str]) -> Session:
    """Return a copy of the model of which the weights that match train, with what comes before them as its prelude."""
    network = copy(model)
    if not patterns:
        return network
    names = [name for name, param in model.graph.params.items() if param.trainable]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            hint = did_you_mean(pattern, names) or f"weights are called such as '{names[0]}'" if names else None
            raise UsageError(f"no trainable weight is called '{pattern}'" + (f"; {hint}" if hint else ""))
    trained = {name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)}
    full = _frozen(model.full, trained, model.parameters)
    parts = cut(full, always=True)
    network.graph, network.prelude = (full, None) if parts is None else (parts.rest, Prelude(parts.prelude))
    network._once = {}
    network.parameters = Parameters(network.graph)
    network.parameters.set({name: a for name, a in model.weights.items() if name in network.graph.params})
    return network


def _frozen(graph: Graph, trained: set[str], parameters: Parameters) -> Graph:
    """Return the graph with constants for all weights but those that train, and statistics that these change.

    What does not depend on a trained weight computes as at inference.
    """
    state, copies, moved, kept = Rebuild(graph), dict[str, Value](), set(trained), set(trained)

    def current(value: Value | None, *, late: bool = True) -> Value | None:
        if value is None:
            return None
        if value.param is not None and value.name not in trained:
            if value.param.state and late:
                kept.add(value.name)
                return value
            return Value(value.name, value.type, "constant", data=np.ascontiguousarray(parameters.view(value.name)))
        new = copies.get(value.name, value)
        return new if value.mask is None else new.with_mask(current(value.mask))

    roots = [*graph.trained_roots(), *graph.penalties]
    for node in graph.needed([*roots, *(v.mask for v in roots if v.mask is not None)]):
        late = any(v.name in moved for v in node.sources)
        inputs = tuple(current(v, late=late) for v in node.inputs)
        outputs = None if late else in_inference(state, node, inputs)
        outputs = state.copy(node, inputs) if outputs is None else outputs
        copies |= {old.name: new for old, new in zip(node.outputs, outputs, strict=False)}
        moved |= {v.name for v in node.outputs} if late else set()
    result = state.graph
    result.outputs = {name: new for name, v in graph.outputs.items() if (new := current(v))}
    result.loss_inputs = {name: new for name, v in graph.loss_inputs.items() if (new := current(v))}
    result.penalties = [new for v in graph.penalties if (new := current(v))]
    result.params = {name: param for name, param in graph.params.items() if name in kept}
    result.values = {name: v for name, v in graph.values.items() if name in kept}
    return result


# The rows of the proof.
def _data(network: Session, model: Session, rows: Data | str | Path) -> tuple[Dataset, str]:
    """Return prepared rows with targets: of the spec's data, else the rows of an export's proof with drawn targets."""
    for part in ("train", "test") if rows is None else ():
        source = model.spec.data.get(part)
        if source is not None and source.has_rows:
            arrays, _ = load(source, model.needed, _ROWS)
            if arrays is not None and len(arrays):
                origin = "the training data" if part == "train" else "the test data"
                return _weighted(network, network.prepared(arrays)), origin
    chosen, whole = rows_for(model, rows), copy(model)
    whole.whole = model.full  # with what only losses read
    if chosen.arrays is not None and not whole.full.inputs.keys() <= chosen.arrays.keys():
        chosen = Rows()
    feeds = batch_of(whole, chosen, max(BATCHES), lengths_for(model, chosen)[0])
    data = network.prepared(Dataset(feeds))
    shapes = [(v.shape, data.inputs[name].shape) for name, v in network.graph.inputs.items()]
    sizes = {d: n for declared, own in shapes for d, n in zip(declared, own, strict=True) if isinstance(d, str)}
    targets = network.objective(data).graph.targets
    data.targets |= {name: _drawn(network, name, value, sizes) for name, value in targets.items()}
    return _weighted(network, data), f"{chosen.origin}, with drawn targets"


def _weighted(network: Session, data: Dataset) -> Dataset:
    """Return the rows with weights for heads with a `class_weight`: an app has to feed those of its rows."""
    heads = [h.name for h in network.spec.trained if h.class_weight is not None and h.name in data.targets]
    ones = {name: np.ones(len(data), np.float32) for name in heads if name not in data.weights}
    return replace(data, weights=data.weights | ones)


def _drawn(network: Session, name: str, value: Value, sizes: Mapping[str, int]) -> Array:
    """Return random targets: classes, one of them for each row, or numbers from 0 to 1."""
    random = generator(0, "targets", name)
    shape = tuple(d if isinstance(d, int) else evaluate(d, sizes) or 1 for d in value.shape)
    classes = network.needed.classes.get(name, 2)
    if value.dtype[0] in "iu":
        return random.integers(0, classes, shape).astype(numpy_dtype(value.dtype))
    if name in network.needed.probabilities and len(shape) > 1 and shape[-1] > 1:
        return np.eye(shape[-1], dtype=np.float32)[random.integers(0, shape[-1], shape[:-1])]
    return random.uniform(0, 1, shape).astype(np.float32)


# The step as a graph.
class _Step:
    """The graph of a step, and what its inputs and outputs are."""

    def __init__(self, network: Session, objective: Objective, opset: int, proof: StepProof) -> None:
        self.network, self.opset, self.proof = network, opset, proof
        self.optimizer = network.spec.training.optimizer
        self.losses = logged_losses(network.spec)
        values = {TOTAL: objective.total} | {loss_of(name): v for name, v in objective.losses.items()}
        outputs = {key: values[name] for key, name in self.losses.items()}
        self.metrics = self._count(objective, outputs)
        self.objective = objective
        # What the runtime trains: the network with the random numbers of the file.
        whole = objective.graph.with_outputs(outputs, objective.total)
        self.trained = in_primitives(whole, Target(opset=opset), is_random)
        written = in_primitives(self.trained, Target(opset=opset))
        self.params = [p for p in written.params.values() if p.trainable]
        self._check(written)
        self.graph = self._written(written)

    def _count(self, objective: Objective, outputs: dict[str, Value]) -> dict[str, list[str]]:
        """Add the counters of the metrics that are shares of right answers; note the others."""
        spec, found = self.network.spec, dict[str, list[str]]()
        for head in spec.heads.values():
            value = objective.graph.outputs[head.name]
            target = objective.graph.targets.get(head.name, objective.targets.get(head.name))
            for metric in head.metrics:
                key = prefix_of(spec, head) + metric.key
                with Builder(objective.graph, f"step:{key}") as g:
                    resolved = metric.resolve(head.loss, value, head.labels)
                    pair = None if target is None else resolved.lower(g, target, value)
                if pair is None:
                    self.proof.left_out.append(key)
                else:
                    found[key] = [f"{key}/hits", f"{key}/all"]
                    outputs |= zip(found[key], pair, strict=True)
        return found

    def _check(self, graph: Graph) -> None:
        """Raise GS702 for nodes without a gradient in ONNX, or without a form there."""
        spec, names = self.network.spec, [p.name for p in self.params]
        loss = graph.loss
        assert loss is not None
        late = without_rule(graph, loss, names)
        missing = [
            n for n in graph.nodes if OPS[n.op].merged or (is_newer(n, self.opset) and not OPS[n.op].stops_gradient)
        ]
        texts = {(n.owner, f"'{n.owner}' needs the gradient of {n.op}, which cannot be written as nodes") for n in late}
        texts |= {(n.owner, f"'{n.owner}' needs {n.op} in training, which cannot be written as nodes") for n in missing}
        hint = "name the weights behind it with `--trainable`, or train with graphspec"
        found = [at_node(spec, owner, text, hint) for owner, text in sorted(texts)]
        try:
            Update.check(self.optimizer, self.params)
        except ProblemError as error:
            file, what, fix = spec.tree.mark.file, error.problem.message, error.problem.hint
            found.append(Diagnostic(error.code, what, file=file, path="training", hint=fix))
        if found:
            raise SpecError(found)

    def _written(self, graph: Graph) -> Graph:
        """Return the graph with gradients and update, of inputs alone, after the passes of an export."""
        loss = graph.loss
        assert loss is not None
        with Builder(graph, "step:update") as g:
            grads = gradients(graph, loss, [p.name for p in self.params])
            for p in self.params:
                if p.name not in grads:  # the loss does not depend on it
                    grads[p.name] = g.Expand(g.constant(0.0), g.ints(p.stored_shape))
            own = self.optimizer.slots()
            slots = {f"{p.name}/{slot}": graph.values[p.name].type for p in self.params for slot in own}
            inputs = {name: Value(name, kind, "input") for name, kind in slots.items()}
            update = Update(g, self.optimizer, integer_input(g, "step"), self._horizon())
            new = update.of_all(self.params, grads, inputs) | graph.updates
        self.statistics = list(graph.updates)
        self.state = [*(p.name for p in self.params), *slots, *self.statistics]
        inputs |= {name: Value(name, graph.values[name].type, "input") for name in self.state if name in graph.values}
        targets = {name: Value(name, v.type, "input") for name, v in graph.targets.items()}
        graph = replace(graph, loss=None, updates={}, outputs=graph.outputs | {n + NEXT: v for n, v in new.items()})
        fed = inputs | targets
        graph = rebuild(graph, lambda state, node, read: state.copy(node, [v and fed.get(v.name, v) for v in read]))
        used = {v.name for n in graph.nodes for v in n.sources}
        self.feeds = {n: v for n, v in {**graph.inputs, **targets}.items() if n in used or n == "step"}
        graph.inputs, graph.targets = self.feeds | {name: inputs[name] for name in self.state}, {}
        compute = partial(constants_of, self.network.parameters)
        return run_passes(graph, FOR_EXPORT, Target(opset=self.opset, compute=compute))

    def _horizon(self) -> int:
        """Return the steps that a table of rates has, if they change so long: at least those of the training."""
        training, train = self.network.spec.training, self.network.parts.get("train")
        steps = 0 if train is None else training.epochs * -(-len(train) // training.batch_size)
        return min(max(steps, 1 << 17), 1 << 20)

    def defaults(self) -> dict[str, Array]:
        """Return the values of weights, slots and statistics before the first step, in the graph's layout."""
        parameters = self.network.parameters
        return _state_of(self, parameters, OptimizerState(self.optimizer, parameters.copy()))

    def to_model(self) -> Any:
        """Return the ``onnx.ModelProto``, without metadata."""
        parameters = self.network.parameters
        constants = {n: parameters.view(n) for n in self.graph.params if n not in self.state}
        content = content_of(self.graph, constants, self.opset)
        return assemble(self.graph.name, content, self.opset, {})

    def start(self) -> Any:
        """Return an ``onnx.ModelProto`` without inputs, whose outputs are what the first step reads."""
        types = {name: value.type for name, value in self.graph.inputs.items()}
        first = {n: Value(f"{n}/start", types[n], "constant", data=a) for n, a in self.defaults().items()}
        graph = Graph(f"{self.graph.name}/start", outputs=first)
        return assemble(graph.name, content_of(graph, {}, self.opset), self.opset, {})

    def record(self) -> dict[str, Any]:
        """Return what an app needs to know of the file, as JSON."""
        network, slots = self.network, self.optimizer.slots()

        def described(name: str, value: Value) -> dict[str, Any]:
            return {"name": name, "dtype": value.dtype, "shape": list(value.shape)}

        def moving(name: str) -> dict[str, Any]:
            return {"name": name, "shape": list(self.graph.inputs[name].shape), "next": name + NEXT}

        heads = network.spec.all_heads
        return {
            "format": FORMAT,
            "name": network.spec.name,
            "inputs": [described(n, v) for n, v in self.feeds.items() if n in network.graph.inputs],
            "targets": [
                described(n, v) | ({"labels": network.labels[n]} if n in network.labels else {})
                for n, v in self.feeds.items()
                if n in heads
            ],
            "sample_weights": [described(n, v) for n, v in self.feeds.items() if n.endswith(WEIGHT)],
            "step": "step",
            "seed": "seed" if "seed" in self.feeds else None,
            "weights": [
                moving(p.name)
                | {"keras_shape": list(p.shape), "gates": list(p.layout.gates), "perm": list(p.layout.perm)}
                | {"slots": [f"{p.name}/{slot}" for slot in slots]}
                for p in self.params
            ],
            "slots": [moving(f"{p.name}/{slot}") for p in self.params for slot in slots],
            "statistics": [moving(name) for name in self.statistics],
            "losses": list(self.losses),
            "metrics": [{"name": key, "hits": hits, "all": all_} for key, (hits, all_) in self.metrics.items()],
            "optimizer": type(self.optimizer).__name__,
            "start": None,
            "prelude": None,
            "proof": self.proof.to_json(),
        }


def _state_of(step: _Step, parameters: Parameters, state: OptimizerState) -> dict[str, Array]:
    """Return copies of weights, slots and statistics by the names of the file's inputs."""
    found = {p.name: parameters.view(p.name) for p in step.params}
    for slot in step.optimizer.slots():
        found |= {f"{p.name}/{slot}": parameters.view(p.name, state.slots[slot]) for p in step.params}
    found |= {name: parameters.view(name) for name in step.statistics}
    return {name: np.array(array, order="C") for name, array in found.items()}


# The proof: the runtime trains the same network, in float32, and where that decides nothing in float64.
class _Runtime:
    """A training by the runtime; each step returns its losses, and weights, slots and statistics after it."""

    def __init__(self, step: _Step, dtype: Any, random: np.random.Generator | None = None) -> None:
        self._step, self._random = step, random
        self.parameters, source = Parameters(step.trained, dtype), step.network.parameters
        for group, vector in self.parameters.vectors.items():
            vector[...] = source.vectors[group] if random is None else changed(source.vectors[group], random)
        self.state = OptimizerState(step.optimizer, self.parameters)
        self._programs: dict[Any, Any] = {}

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        shapes = {name: a.shape for name, a in feeds.items()}
        if (key := tuple(shapes.values())) not in self._programs:
            graph, gradient = self._step.trained, self.state.gradient
            self._programs[key] = build_program(
                graph, self.parameters, Target(shapes), gradient=gradient, training=True
            )
        program = self._programs[key]
        for name, buffer in program.feeds.items():
            array = feeds[name]
            buffer[...] = changed(array, self._random) if self._random and array.dtype == np.float32 else array
        with settings():
            program.run()
            self.state.run()
        self.state.clock.step += 1
        found = {name: np.array(array) for name, array in program.fetches.items()}
        return found | {n + NEXT: a for n, a in _state_of(self._step, self.parameters, self.state).items()}


def _feeds(step: _Step, data: Dataset) -> list[dict[str, Array]]:
    batches = []
    for size in BATCHES:
        loader = BatchLoader(data, min(size, len(data)), shuffle=False, seed=0)
        for k in range(loader.batches):
            shapes = loader.shapes(*loader.form(k))
            read = {**step.trained.inputs, **step.trained.targets}
            feeds = {n: np.zeros(shapes[n], numpy_dtype(v.dtype)) for n, v in read.items() if n in shapes}
            loader.copy(k, feeds)
            batches.append(feeds)
    chosen = np.linspace(0, len(batches) - 1, STEPS).astype(int)
    return [batches[at] | {"step": np.array(k), "seed": np.array(7)} for k, at in enumerate(chosen)]


def _prove(step: _Step, data: Dataset, model: bytes, before: bytes) -> None:
    """Compare steps by onnxruntime with the runtime's; raise GS701 if they differ by more than rounding explains."""
    feeds = _feeds(step, data)
    try:
        running, first = session(model), session(before)
        start = dict(zip((o.name for o in first.get_outputs()), first.run(None, {}), strict=True))
        names, written, state = [o.name for o in running.get_outputs()], list[dict[str, Array]](), dict(start)
        for each in feeds:
            found = dict(zip(names, running.run(names, {n: each[n] for n in step.feeds} | state), strict=True))
            written.append(found)
            state = {name: found[name + NEXT] for name in state}
    except Exception as error:
        raise failed(step.network, f"onnxruntime fails in a training step: {failure(error)}") from error
    expected = [run(each) for run in [_Runtime(step, np.float32)] for each in feeds]
    rounding = _Rounding(step, feeds)
    weights, undecided = {p.name for p in step.params}, set[str]()
    scale = max(abs(float(b["loss"])) for b in expected) or 1.0
    for k, (a, b) in enumerate(zip(written, expected, strict=True)):
        for name in step.losses:
            apart, _ = rounding.compare(k, name, a[name], b[name], 1e-6 + _LOSS * abs(float(b[name])))
            step.proof.loss = max(step.proof.loss, apart / scale)
        for name in step.state:
            key = name + NEXT
            way = _norm(b[key], start[name])
            room = _MOVED * way + _LAST_BITS * _norm(b[key], 0) + 1e-12
            apart, bound = rounding.compare(k, key, a[key], b[key], room)
            if name not in weights:
                continue
            if bound > max(_UNDECIDED * way, room):
                undecided |= {name} if k == 0 else set()
            elif way:
                step.proof.moved = max(step.proof.moved, apart / way)
        if k == 0:
            _compare_counters(step, a, b)
    step.proof.undecided, step.proof.weights = sorted(undecided), len(weights)


def _norm(a: Array, b: Array | float) -> float:
    """Return how far two arrays are apart, ``‖a − b‖``: by Adam a weight with a tiny gradient may move either way."""
    return float(np.linalg.norm((a.astype(np.float64) - b).reshape(-1)))


class _Rounding:
    """What rounding explains: the runtime in float64, and in float32 with changed last bits, run once it is asked."""

    def __init__(self, step: _Step, feeds: Sequence[Mapping[str, Array]]) -> None:
        self._step, self._feeds = step, feeds
        self._exact: list[dict[str, Array]] = []
        self._runs: list[list[dict[str, Array]]] = []

    def compare(self, k: int, name: str, a: Array, b: Array, room: float) -> tuple[float, float]:
        """Return how far values of step k are apart, and what rounding explains if that is more than there is room."""
        apart = _norm(a, b)
        if apart <= room:
            return apart, 0.0
        if not self._exact:
            exact = _Runtime(self._step, np.float64)
            self._exact = [exact(each) for each in self._feeds]
            for run in range(_RUNS):
                other = _Runtime(self._step, np.float32, generator(0, "rounding", str(run)))
                self._runs.append([other(each) for each in self._feeds])
        right = self._exact[k][name]
        bound, error = FACTOR * max(_norm(found[k][name], right) for found in self._runs), _norm(a, right)
        if not error <= room + bound:
            text = f"step {k + 1} of a training differs: '{name}' by {apart:.1e} from the runtime's, by {error:.1e}"
            raise failed(self._step.network, f"{text} from float64's; rounding explains {room + bound:.1e}")
        return apart, bound


def _compare_counters(step: _Step, a: Mapping[str, Array], b: Mapping[str, Array]) -> None:
    """Raise GS701 if the file counts other right answers than the runtime in the first step."""
    for names in step.metrics.values():
        if any(float(a[name]) != float(b[name]) for name in names):
            raise failed(step.network, f"'{names[0]}' is {float(a[names[0]]):g}, the runtime's {float(b[names[0]]):g}")
