"""A network with its weights, which training, evaluation and export use."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from graphspec.base.arguments import mapping
from graphspec.base.arrays.memory import available
from graphspec.base.arrays.random import generator
from graphspec.base.arrays.strings import Strings
from graphspec.base.errors import Code, Diagnostic, SpecError, UsageError, did_you_mean
from graphspec.data.batches import Dataset, in_batches
from graphspec.data.check import refused
from graphspec.data.convert import counts_of
from graphspec.data.signature import Data, KnownForms, batch_inputs, data_signature, user_inputs
from graphspec.data.source import DataSignature
from graphspec.data.stored import load_rows
from graphspec.data.targets import with_class_ids
from graphspec.data.weights.plan import InitialWeights
from graphspec.engine.compiler.adaptation import Adapted, learning_nodes
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.copies import combined, prefixes_of
from graphspec.engine.compiler.lowered_network import Lowered, masks_of_tags
from graphspec.engine.compiler.objective import Objective, objective_for
from graphspec.engine.compiler.spec_files import given_by_files
from graphspec.engine.compiler.training_checks import refuse_memory
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import OptimizerState, Parameters
from graphspec.engine.runtime.prepared_rows import CACHED_BYTES, Prelude, has_networks, prepare_rows
from graphspec.engine.runtime.program import Access, ProgramCache
from graphspec.engine.runtime.running_metrics import Evaluation, HeadCounts, RunningMetrics, add_batches
from graphspec.graph.analysis import infer_shapes
from graphspec.graph.builder import Target
from graphspec.graph.cuts import cut
from graphspec.graph.ir.graph import Array, Graph, Shape, Value
from graphspec.language.declarations import WEIGHT, Spec

T = TypeVar("T")


class Session:
    """A spec, its graph and its weights, with the bound programs and the optimizer's state.

    A network with layers that learn from the training rows has no weights before it is adapted, since their shapes may
    depend on what the layers learn.

    Attributes:
        single: the spec, and its graph, that are trained; ``spec`` and ``full`` are those of all copies, if there are some.
        prefixes: what begins the names of each copy's weights; an empty text for a single network.
        full: the operator graph from raw inputs to heads, with everything that the losses read.
        whole: the part of ``full`` that predicts, which is exported; the same graph if the losses read only the heads.
        graph: the part of ``full`` that is trained and computed by NumPy; the same graph if there is no prelude.
        answering: the part of ``whole`` that NumPy computes, as ``graph`` is of ``full``.
        prelude: the part that onnxruntime computes once per row, before training; None if there is none.
    """

    def __init__(
        self, spec: Spec, lowered: Lowered, warnings: Sequence[Diagnostic] = (), adapted: Adapted | None = None
    ) -> None:
        self._set_graph(spec, lowered, warnings)
        self.cache: Path | None = None  # the folder for prepared rows; None to keep them in memory
        self.on_rows: Callable[[str, int, int], None] = _show_nothing  # receives the progress of passes over rows
        self.allow_outside = False  # whether callbacks of the spec may write outside the run directory
        self.epochs_done, self.access = 0, Access()
        self.workers: int | None = None  # the processes of the last training, or of the one to resume
        self.parts: dict[str, Dataset] = {}  # the data that have been read, by ``train``, ``validation`` and ``test``
        self.sample_rows: dict[str, Array] | None = None  # a few of the last training's inputs, to prove an export
        files = given_by_files(spec.nodes)
        self.adapted = Adapted(layers=files) if adapted is None and files else adapted  # None if nothing was learnt
        self._create_weights()

    def _create_weights(self) -> None:
        """Create the weights, unless their shapes are still to be learnt; existing ones are 0 until they are set."""
        initial = self.single[1].initial
        self.initial_weights: list[InitialWeights] = [plan.report() for plan in initial]
        if self.whole.learnt:
            self.parameters = Parameters(Graph(self.whole.name))
            return
        refuse_memory(self.graph, sum(p.size * 4 for p in self.graph.params.values()), available())
        self.parameters = Parameters(self.graph)
        if self.spec.draws:
            taken = [taken.weight.name for plan in initial for taken in plan.taken]
            self.parameters.initialize(self.seed, {prefix + name for name in taken for prefix in self.prefixes})
            for k, plan in enumerate(initial):
                for name, values in plan.values():
                    self.parameters.set({prefix + name: values for prefix in self.prefixes})
                self.initial_weights[k] = plan.report(plan.contents.sha256())
            self.parameters.follow({prefix + name for name in taken for prefix in self.prefixes})

    def _set_graph(self, spec: Spec, lowered: Lowered, warnings: Sequence[Diagnostic]) -> None:
        """Set the attributes that depend on what was learnt, except the weights."""
        self.single, self.prefixes, self.warnings = (spec, lowered), prefixes_of(spec), list(warnings)
        self.spec, self.full = spec, graph = combined(spec, lowered.graph)
        self.whole = graph.without_losses()
        self.graph, self.prelude = _parted(graph)
        self.answering, self._first = self.graph.without_losses(), self.prelude
        if self.whole.inputs.keys() != graph.inputs.keys():
            self.answering, self._first = _parted(self.whole)
        self.source, self.seed = spec.tree.mark.file, spec.training.seed
        self.labels = {h.name: h.labels for h in spec.heads.values() if h.labels is not None}
        self._intervals = [head for head in spec.heads.values() if head.interval is not None]
        self._optimizer_state: OptimizerState | None = None
        self._once, self.programs = dict[Hashable, Any](), ProgramCache()

    @property
    def learns(self) -> bool:
        """Whether layers or heads must still learn from the training rows."""
        return bool(self.whole.learnt)

    def install(self, adapted: Adapted) -> None:
        """Fill in what layers and heads have learnt, and create the weights with their now known shapes.

        Raises SpecError: the network does not fit what was learnt. ValueError: ``adapted`` does not belong to this
        spec.
        """
        spec = replace(self.single[0], data=self.spec.data)
        checked = check(spec, allow_outside=True, adapted=adapted, draws=spec.draws)
        (spec, lowered), self.adapted = checked.require(), adapted
        self._set_graph(spec, lowered, checked.diagnostics)
        self._create_weights()

    def copies(self) -> list[Self]:
        """Return the single networks that are trained, each with a seed of its own, and the weights that it draws."""
        (spec, lowered), found = self.single, list[Self]()
        for k in range(spec.training.copies):
            own = int(generator(self.seed, "copy", step=k).integers(2**63))
            seed = own if spec.training.copies > 1 else self.seed
            training = replace(spec.training, folds=None, seeds=None, forms={}, workers=1, seed=seed)
            document = {**spec.document, "training": {**(spec.document.get("training") or {}), "seed": seed}}
            one = replace(spec, data=self.spec.data, training=training, document=document)
            twin = copy(found[0]) if found else type(self)(one, lowered, (), self.adapted)
            twin.spec, twin.single, twin.seed = one, (one, lowered), seed
            twin.cache, twin.on_rows, twin.allow_outside = self.cache, self.on_rows, self.allow_outside
            if found:
                twin._create_weights()
            found.append(twin)
        return found

    def require_adapted(self) -> None:
        """Raise UsageError if layers must still learn from the training rows."""
        if self.learns:
            names = ", ".join(f"'{node.name}'" for node in learning_nodes(self.spec)[:3]) or "the network"
            raise UsageError(f"the model has not learnt from training rows yet ({names}): call `fit`, or load a run")

    def require_intervals(self) -> None:
        """Raise UsageError if a head has an interval, but no training has learnt its width."""
        for head in self._intervals:
            if (self.parameters.view(head.held_out_weights[0]) < 0).any():
                text = f"'{head.name}' has no interval yet: it is learnt at the end of a training, from held-out rows"
                raise UsageError(f"{text}; train the network, or remove `interval`")

    @property
    def cutoffs(self) -> dict[str, float]:
        """By head: the value of its one unit above which the second of two classes is answered."""
        found = {name: head.cutoff or 0.0 for name, head in self.spec.heads.items()}
        for name, head in self.spec.heads.items():
            given = head.threshold or 0.5
            if given != "f1":
                found[name] = math.log(given / (1 - given)) if getattr(head.loss, "from_logits", False) else given
            elif head.cutoff is None:
                found[name] = float(self.parameters.view(head.held_out_weights[-1]))
        return found

    def document(self) -> dict[str, Any]:
        """Return the spec with overrides applied and absolute paths of data, so it can be read in any folder."""
        document: dict[str, Any] = json.loads(json.dumps(self.spec.document))
        for part, source in self.spec.data.items():
            named = {"file": source.file, "images": source.images, "texts": source.texts}
            named["folder"] = None if source.query is None else source.folder
            if places := {key: os.path.realpath(path) for key, path in named.items() if path is not None}:
                document["data"][part] |= places
        return document

    @property
    def needed(self) -> DataSignature:
        """The signature of the data that the network needs: inputs and targets."""
        return self.once("needed", lambda: data_signature(self.spec, self.full))

    @property
    def needed_inputs(self) -> DataSignature:
        return self.once("needed inputs", lambda: data_signature(self.spec, self.whole, targets=False))

    def part(self, name: str) -> Dataset:
        """Return the ``train``, ``validation`` or ``test`` data of the spec, and read its file if necessary.

        Raises UsageError: the spec has no file for this part. SpecError: GS5, all problems of the file. RunError:
        GS602, it does not fit into the free memory.
        """
        if name in self.parts:
            return self.parts[name]
        source = self.spec.data.get(name)
        if source is None or not source.has_rows:
            raise UsageError(f"the spec has no {name} data: pass arrays, or set `data.{name}: {{file: …}}`")
        arrays, found = load_rows(source, self.needed, self.cache)
        if arrays is None:
            raise refused(found)
        return arrays

    def prepared(self, arrays: Dataset) -> Dataset:
        """Return checked raw rows as the trained graph reads them: after the prelude, with class ids for labels.

        Raises SpecError: GS511, a target is a class without training rows. RunError: GS605, onnxruntime cannot compute
        a row; GS602, there is too little memory or disk space.
        """
        self.require_adapted()
        arrays = self.measured(with_class_ids(arrays, self.labels, self.needed.targets, self.needed.ctc))
        if self.prelude is None:
            return replace(arrays, inputs={name: arrays.inputs[name] for name in self.graph.inputs})
        size = sum(a.nbytes for a in arrays.inputs.values())
        cache = self.cache if size >= CACHED_BYTES or has_networks(self.prelude) else None
        progress = partial(self.on_rows, "preparing rows")
        return prepare_rows(self.prelude, arrays, list(self.graph.inputs), cache, progress)

    def measured(self, arrays: Dataset) -> Dataset:
        """Return rows with the sizes of their lists of texts, if these differ: of all feeds that have the same axis.

        Raises SpecError: GS402, padding would count as the first class of a head.
        """
        lists: dict[str, Any] = {name: a for name, a in arrays.inputs.items() if self.needed.has_lists(name)}
        packed = {name: a if isinstance(a, Strings) else Strings.of(a) for name, a in lists.items()}
        counts = {str(self.full.inputs[name].shape[1]): counts_of(texts) for name, texts in packed.items()}
        shapes = {name: v.shape for name, v in self.graph.inputs.items()}
        shapes |= {name: kind.shape for name, kind in self.needed.targets.items() if name in arrays.targets}
        shapes |= {name + WEIGHT: self.needed.weighted[name].shape for name, w in arrays.weights.items() if w.ndim > 1}
        axes = {name: str(shape[1]) for name, shape in shapes.items() if len(shape) > 1}
        sizes = {name: counts[axis] for name, axis in axes.items() if axis in counts}
        if not any(np.ptp(found) for found in sizes.values() if len(found)):
            return arrays
        for name in sizes.keys() & self.needed.targets.keys():
            if self.full.outputs[name].mask is None:
                first = self.labels[name][0]
                text = f"head '{name}' has no mask, so the padding of short rows would count as '{first}'"
                hint = "put `{type: Masking, inputs: [NODE, ids]}` before its last layer, or set `mask_zero: true`"
                raise SpecError([Diagnostic(Code.LOSS_MISMATCH, text, hint=hint)])
        return replace(arrays, sizes=sizes)

    def through_prelude(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the inputs of ``answering`` for one batch of raw inputs."""
        if self._first is None:
            return dict(feeds)
        found = self._first.run(feeds)
        return {name: found[name] if name in found else feeds[name] for name in self.answering.inputs}

    def evaluate_arrays(
        self, arrays: Dataset, batch_size: int, heads: HeadCounts | None = None, running: RunningMetrics | None = None
    ) -> RunningMetrics:
        """Compute losses and metrics over checked raw arrays, in inference mode; ``heads`` counts, too.

        ``running``: those of the rows before, to which these are added.
        """
        return self.evaluate_prepared(self.prepared(arrays), batch_size, heads, running=running)

    def evaluate_prepared(
        self,
        arrays: Dataset,
        batch_size: int,
        heads: HeadCounts | None = None,
        between: Callable[[], None] = lambda: None,
        running: RunningMetrics | None = None,
    ) -> RunningMetrics:
        """Compute losses and metrics over prepared arrays, in inference mode; ``heads`` counts, too.

        Threads compute many batches, which changes no bit; ``between`` is called before each: what it raises ends this.
        """
        evaluation, running = self.evaluation(arrays, batch_size, heads), running or RunningMetrics(self, heads)
        with self.access.reading():
            add_batches(evaluation, running, between)
        return running

    def evaluation(self, arrays: Dataset, batch_size: int, heads: HeadCounts | None = None) -> Evaluation:
        counted, objective = () if heads is None else heads.names, self.objective(arrays)
        return Evaluation(self, objective, self.parameters, arrays, batch_size, self.programs, counted)

    def objective(self, arrays: Dataset) -> Objective:
        """Return the graph with losses, for the sample weights and lengths that ``arrays`` contain; it is built once."""
        key = "objective", *((n, a.ndim) for n, a in arrays.weights.items()), *sorted(arrays.lengths)
        return self.once(key, lambda: objective_for(self, arrays))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the result of the first ``make`` for this key, which must depend only on the key and the graph."""
        if key not in self._once:
            self._once.setdefault(key, make())
        result: T = self._once[key]
        return result

    def predict_dict(self, x: Data, *, batch_size: int) -> dict[str, Array]:
        """Return the heads' outputs for new rows, by head."""
        forms = self._once.get("forms") or self.once("forms", lambda: KnownForms(self.needed_inputs))
        if (known := forms.feeds(x, batch_size)) is not None:
            return self._batch(known)
        feeds = user_inputs(self.needed_inputs, x)
        forms.remember(x, feeds)
        with self.access.reading():
            return in_batches(feeds, batch_size, self._batch, list(filter(self.needed_inputs.has_lists, feeds)))

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network on one batch in inference mode, and return copies of the heads' outputs.

        Raises SpecError: GS5, an array cannot be converted to the input's dtype without loss, or has ids out of range.
        NaN is allowed.
        """
        return self._batch(batch_inputs(self.needed_inputs, feeds))

    def _batch(self, feeds: Mapping[str, Array], values: Mapping[str, Value] | None = None) -> dict[str, Array]:
        """Do the work of :meth:`run` for checked arrays: compute the heads, or other values of the graph by name."""
        if self.whole.learnt:
            self.require_adapted()
        self.require_intervals()
        if self._first is not None:
            feeds = self.through_prelude(feeds)
        inputs = self.answering.inputs
        key: Hashable = "predict" if values is None else "masks", *[feeds[name].shape for name in inputs]
        with self.access:
            programs, done = self.programs, None
            program = programs.lend(key)
            try:  # as in a `Loan`, without its calls: they take as long as a small network
                if program is None:
                    graph, shapes = self.answering, {name: tuple(feeds[name].shape) for name in inputs}
                    graph = graph if values is None else graph.with_outputs(values)
                    program = build_program(graph, self.parameters, Target(shapes), seed=self.seed)
                found, done = program.results(feeds), program
                return found
            finally:
                programs.give_back(key, done)

    def tags(self, graph: Graph) -> dict[str, Value | None]:
        """Return the masks in a graph of the heads with a label for each token."""
        return masks_of_tags(graph.outputs, self.labels.keys() - self.needed.ctc)

    def step_masks(self, feeds: Mapping[str, Array]) -> dict[str, Array | None]:
        """Return the mask of each head with a label for each time step, bool (N, time), None for a CTC head without one."""
        heads = {head: self.answering.outputs[head].mask for head in sorted(self.needed.ctc)}
        heads |= self.tags(self.answering)
        masks = {head: mask for head, mask in heads.items() if mask is not None}
        if not masks:
            return dict.fromkeys(heads)
        return {**dict.fromkeys(heads), **self._batch(batch_inputs(self.needed_inputs, feeds), masks)}

    def infer_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Value]:
        """Return every value's type for the given input shapes; raise :class:`ShapeError` if the network refuses them."""
        return infer_shapes(self.whole, self.whole.needed(self.whole.outputs.values()), shapes)

    @property
    def weights(self) -> dict[str, Array]:
        """Copies of all weights and statistics by name, such as ``hidden_1/kernel``: float32 arrays in Keras's layout."""
        with self.access.reading():
            return self.parameters.get()

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Write some or all weights.

        Raises UsageError: an unknown name, a wrong shape, or values that are not numbers; nothing is written then.
        """
        self.require_adapted()
        weights = mapping("weights", weights, "a dict of arrays")
        for name in weights:
            if name not in self.graph.params:
                hint = did_you_mean(name, list(self.graph.params))
                raise UsageError(f"no weight is called '{name}'" + (f"; {hint}" if hint else ""))
        try:
            with self.access.writing():
                self.parameters.set(weights)
        except ValueError as error:
            raise UsageError(str(error)) from None

    @property
    def optimizer_state(self) -> OptimizerState:
        """The optimizer's state; created at the first access, and kept for later calls of ``fit``."""
        if self._optimizer_state is None:
            optimizer = self.spec.training.optimizer
            with self.access.writing():
                self._optimizer_state = self._optimizer_state or OptimizerState(optimizer, self.parameters)
        return self._optimizer_state

    def nbytes(self) -> int:
        """Return the number of bytes of the weights, the optimizer's state, and the idle programs."""
        arrays, state = list(self.parameters.vectors.values()), self._optimizer_state
        if state is not None:
            arrays += [state.gradient, *state.slots.values()]
        return sum(a.nbytes for a in arrays) + self.programs.nbytes()

    def __copy__(self) -> Self:
        """Copy the model with its weights; the copy shares what never changes: spec, graph, data that have been read."""
        twin = object.__new__(type(self))
        with self.access.reading():
            vars(twin).update(vars(self))
            twin.parts, twin._once, twin.warnings = dict(self.parts), dict(self._once), list(self.warnings)
            twin.programs, twin.access = ProgramCache(), Access()
            twin.parameters, state = self.parameters.copy(), self._optimizer_state
            twin._optimizer_state = None if state is None else state.copy(twin.parameters)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        memo[id(self)] = twin = copy(self)
        return twin


def _parted(graph: Graph) -> tuple[Graph, Prelude | None]:
    """Return the part of a graph that NumPy computes, and what onnxruntime computes before it."""
    if graph.learnt:
        return graph, None
    if (parts := cut(graph)) is not None:
        return parts.rest, Prelude(parts.prelude)
    if any(v.type.is_string for v in graph.inputs.values()):  # no head depends on them
        graph = graph.copy()
        graph.inputs = {name: v for name, v in graph.inputs.items() if not v.type.is_string}
    return graph, None


def _show_nothing(stage: str, rows: int, total: int) -> None:
    """Ignore the progress: of what, the rows done, and all rows."""
