"""A network with its weights: what training, evaluation and export work on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from graphspec.arguments import mapping
from graphspec.arrays.calls import settings
from graphspec.arrays.system_memory import available
from graphspec.compiler.fetches import fetches
from graphspec.compiler.objective import objective_for
from graphspec.compiler.trainable import refuse_memory
from graphspec.data.batches import in_batches
from graphspec.data.check import BatchLoader, Dataset, DataSignature, load, refused
from graphspec.data.signature import Data, batch_inputs, data_signature, user_inputs
from graphspec.errors import Diagnostic, UsageError, did_you_mean
from graphspec.graph.shapes import infer_shapes
from graphspec.graph.target import Target
from graphspec.ir.dims import Shape
from graphspec.ir.graph import Array, Graph, Value
from graphspec.runtime.access import Access
from graphspec.runtime.build import build_program
from graphspec.runtime.optimizer_state import OptimizerState
from graphspec.runtime.parameters import Parameters
from graphspec.runtime.program_cache import ProgramCache
from graphspec.runtime.running_metrics import RunningMetrics

if TYPE_CHECKING:
    from graphspec.compiler.lowered import Lowered
    from graphspec.compiler.objective import Objective
    from graphspec.language.declarations import Spec

T = TypeVar("T")


class Session:
    """A spec, its graph and its weights, with the programs that have been bound and the optimizer's state.

    Attributes:
        spec: the parsed spec.
        graph: the operator graph that is trained and exported.
        warnings: the diagnostics that are no errors.
    """

    def __init__(self, spec: Spec, lowered: Lowered, warnings: Sequence[Diagnostic] = ()) -> None:
        self._take(spec, lowered.graph, warnings)
        refuse_memory(self.graph, sum(p.size * 4 for p in self.graph.params.values()), available())
        self.parameters = Parameters(self.graph)
        self.parameters.initialize(self.seed)

    def _take(self, spec: Spec, graph: Graph, warnings: Sequence[Diagnostic]) -> None:
        """All but the weights."""
        self.spec, self.graph, self.warnings = spec, graph, list(warnings)
        self.source = spec.tree.mark.file
        self.seed = spec.training.seed
        self.labels = {h.name: h.labels for h in spec.heads.values() if h.labels is not None}
        self.allow_outside = False
        """Whether callbacks of the spec may write outside the run directory."""
        self.epochs_done = 0
        self.workers: int | None = None
        """How many processes the last training had, or the one to be resumed; None before that."""
        self.parts: dict[str, Dataset] = {}  # data that have been read already, by `train`, `validation`, `test`
        self.sample_rows: dict[str, Array] | None = None
        """A few rows of the last training's inputs, to prove an export on; None before that."""
        self._optimizer_state: OptimizerState | None = None
        self._known: dict[Hashable, Any] = {}
        self.programs, self.access = ProgramCache(), Access()

    def document(self) -> dict[str, Any]:
        """The spec, overrides applied, with data files by their absolute paths: it can be read anywhere."""
        document: dict[str, Any] = json.loads(json.dumps(self.spec.document))
        for part, source in self.spec.data.items():
            if source.file is not None:
                document["data"][part]["file"] = os.path.realpath(source.file)
        return document

    # Data.

    @property
    def needed(self) -> DataSignature:
        """What data must look like: inputs and targets."""
        return self.once("needed", lambda: data_signature(self.spec, self.graph))

    @property
    def needed_inputs(self) -> DataSignature:
        """What inputs must look like."""
        return self.once("needed inputs", lambda: data_signature(self.spec, self.graph, targets=False))

    def part(self, name: str) -> Dataset:
        """The rows of ``train``, ``validation`` or ``test`` of the spec.

        Raises:
            UsageError: the spec has no such part with a file.
            SpecError: GS5, every problem of the file.
            RunError: GS602, it does not fit into the memory that is free.
        """
        if name in self.parts:
            return self.parts[name]
        source = self.spec.data.get(name)
        if source is None or source.file is None:
            raise UsageError(f"the spec names no {name} data: give arrays, or `data.{name}: {{file: …}}`")
        arrays, found = load(source, self.needed)
        if arrays is None:
            raise refused(found)
        return arrays

    # Computing.

    def evaluate_arrays(self, arrays: Dataset, batch_size: int) -> RunningMetrics:
        """Losses and metrics over checked arrays, in inference mode."""
        objective = self.objective(arrays)
        loader = BatchLoader(arrays, batch_size, shuffle=False, seed=self.seed)
        running, graph = RunningMetrics(self), objective.graph.with_outputs(fetches(self, objective))
        loader.start(0)
        with self.access.reading():
            for batch in range(loader.batches):
                rows = loader.rows(batch)
                shapes = loader.shapes(rows)
                bound = partial(build_program, graph, self.parameters, Target(shapes), seed=self.seed)
                with self.programs.borrow(("evaluate", *sorted(shapes.items())), bound) as program:
                    loader.copy(batch, program.feeds)
                    with settings():
                        program.run()
                    running.add(rows, program.fetches, program.feeds)
        return running

    def objective(self, arrays: Dataset) -> Objective:
        """The graph with losses for what these arrays bring along; made once for all that bring the same."""
        key = "objective", *((n, a.ndim) for n, a in arrays.weights.items()), *sorted(arrays.lengths)
        return self.once(key, lambda: objective_for(self, arrays))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gave for this key the first time: what follows from the graph alone."""
        if key not in self._known:
            self._known.setdefault(key, make())
        found: T = self._known[key]
        return found

    def predict_dict(self, x: Data, *, batch_size: int) -> dict[str, Array]:
        """The heads' values for new rows, by head."""
        feeds = user_inputs(self.needed_inputs, x)
        with self.access.reading():
            return in_batches(feeds, batch_size, self._batch)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One batch through the network in inference mode; copies of the heads.

        Raises:
            SpecError: arrays that do not become the inputs' types without loss, or ids out of range (GS5). NaN may pass.
        """
        return self._batch(batch_inputs(self.needed_inputs, feeds))

    def _batch(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """:meth:`run` for arrays that have been checked."""
        shapes = {name: tuple(feeds[name].shape) for name in self.graph.inputs}
        bound = partial(build_program, self.graph, self.parameters, Target(shapes), seed=self.seed)
        with self.access.reading(), self.programs.borrow(("predict", *sorted(shapes.items())), bound) as program:
            for name, buffer in program.feeds.items():
                buffer[...] = feeds[name]
            with settings():
                program.run()
            return {head: array.copy() for head, array in program.fetches.items()}

    def infer_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Value]:
        """Every value's type for given input shapes; raises :class:`ShapeError` where the network does not take them."""
        return infer_shapes(self.graph, self.graph.needed(self.graph.outputs.values()), shapes)

    @property
    def weights(self) -> dict[str, Array]:
        """Copies of all weights and statistics, ``"hidden_1/kernel" → float32 array``, in Keras's layout."""
        with self.access.reading():
            return self.parameters.get()

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Write some or all weights.

        Raises:
            UsageError: an unknown name, a wrong shape, or what are no numbers; nothing is written then.
        """
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

    # State.

    @property
    def optimizer_state(self) -> OptimizerState:
        """The optimizer's state; made when first asked for, kept over several fits."""
        if self._optimizer_state is None:
            with self.access.writing():
                self._optimizer_state = self._optimizer_state or OptimizerState(
                    self.spec.training.optimizer, self.parameters
                )
        return self._optimizer_state

    def held(self) -> int:
        """Bytes of the weights, of the optimizer's state, and of the programs that are kept."""
        arrays = list(self.parameters.vectors.values())
        if self._optimizer_state is not None:
            arrays += [self._optimizer_state.gradient, *self._optimizer_state.slots.values()]
        return sum(a.nbytes for a in arrays) + self.programs.held()

    # Copies.

    def __copy__(self) -> Self:
        """A model of its own: what never changes (spec, graph, data that have been read) is shared, weights are not."""
        twin = object.__new__(type(self))
        with self.access.reading():
            vars(twin).update(vars(self))
            twin.parts, twin._known, twin.warnings = dict(self.parts), dict(self._known), list(self.warnings)
            twin.programs, twin.access = ProgramCache(), Access()
            twin.parameters = self.parameters.copy()
            twin._optimizer_state = (
                None if self._optimizer_state is None else self._optimizer_state.copy(twin.parameters)
            )
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        memo[id(self)] = twin = copy(self)
        return twin
