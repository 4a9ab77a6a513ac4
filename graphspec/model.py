"""A compiled model: fit, evaluate, predict, weights, export, save."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import numpy as np

from graphspec.arguments import flag, mapping, path_of, texts, whole
from graphspec.compiler.check import Source, check, check_further
from graphspec.compiler.concrete import concrete
from graphspec.compiler.dims import Shape
from graphspec.compiler.ir import Array, Graph, Value
from graphspec.errors import Diagnostic, RunError, UsageError
from graphspec.export.targets import opset_of
from graphspec.garbage import uncollected
from graphspec.runtime.access import Access
from graphspec.runtime.bind import bind
from graphspec.runtime.calls import settings
from graphspec.runtime.programs import Programs
from graphspec.runtime.store import Store

if TYPE_CHECKING:
    from graphspec.callbacks import Callback
    from graphspec.compiler.heads import Objective
    from graphspec.compiler.lower import Lowered
    from graphspec.export.prove import Proof
    from graphspec.runtime.data import Arrays
    from graphspec.runtime.totals import Totals
    from graphspec.runtime.train import Observer, Trainer
    from graphspec.runtime.update import Update
    from graphspec.spec.model import Spec

Data = Array | Mapping[str, Array] | None
T = TypeVar("T")


class History:
    """What ``fit`` returns: ``history`` maps Keras's keys to one value an epoch; ``epoch`` lists the epochs."""

    def __init__(self, history: dict[str, list[float]]) -> None:
        self.history = history
        self.epoch = list(range(max(map(len, history.values()), default=0)))


class Model:
    """A network with its weights. Made by :func:`compile` or :func:`load`.

    Threads may call ``predict``, ``evaluate`` and ``run`` at the same time. While one trains, the others are refused
    (UsageError); a change of weights waits for those who read them. ``copy.copy``, ``copy.deepcopy`` and ``pickle`` give a
    model of its own: spec, weights and the optimizer's state. A model also works in processes that are forked or spawned.

    Attributes:
        spec: the parsed spec.
        graph: the operator graph that is trained and exported.
        warnings: the diagnostics that are no errors.
    """

    def __init__(self, spec: Spec, lowered: Lowered, warnings: Sequence[Diagnostic] = ()) -> None:
        self._take(spec, lowered.graph, warnings)
        self._refuse_if_too_large()
        self.store = Store(self.graph)
        self.store.initialize(self.seed)

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
        self.parts: dict[str, Arrays] = {}  # data that have been read already, by `train`, `validation`, `test`
        self.sample_rows: dict[str, Array] | None = None
        """A few rows of the last training's inputs, to prove an export on; None before that."""
        self._update: Update | None = None
        self._known: dict[Hashable, Any] = {}
        self.programs, self.access = Programs(), Access()

    def _refuse_if_too_large(self) -> None:
        from graphspec.runtime.memory import available, human

        need, have = sum(p.size * 4 for p in self.graph.params.values()), available()
        if need > have:
            raise RunError("GS602", f"the weights alone need {human(need)} of memory, there is {human(have)}")

    def fit(
        self,
        x: Data = None,
        y: Data = None,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        shuffle: bool | None = None,
        validation_data: tuple[Data, Data] | tuple[Data, Data, Data] | None = None,
        validation_split: float | None = None,
        sample_weight: Data = None,
        class_weight: Mapping[Any, Any] | Literal["balanced"] | None = None,
        callbacks: Sequence[Callback] | None = None,
        verbose: int | str = "auto",
    ) -> History:
        """Train for ``epochs`` more epochs. Without arrays the spec's data are used; arguments override the spec.

        Args:
            x, y: arrays by input and head name, or bare arrays where there is one input or head.
            validation_data: ``(x, y)`` or ``(x, y, sample_weight)``.
            validation_split: a fraction of the rows, drawn by the seed.
            class_weight: ``{class: weight}`` or ``"balanced"`` for the only head, or ``{head: {class: weight}}``.
            verbose: 0 says nothing, else a line an epoch.

        Raises:
            SpecError: the data do not fit (GS5), or there is nothing to train (GS404).
            RunError: GS601 a loss that is not finite, GS602 too little memory.
            UsageError: arguments that do not go together; another thread trains the model.
        """
        from graphspec.runtime.fit import prepare_fit
        from graphspec.runtime.observe import observer

        with self.access.writing("training"):
            trainer = prepare_fit(
                self,
                x,
                y,
                epochs=epochs,
                batch_size=batch_size,
                shuffle=shuffle,
                validation_data=validation_data,
                validation_split=validation_split,
                sample_weight=sample_weight,
                class_weight=class_weight,
                callbacks=callbacks,
                observer=observer(verbose),
            )
            trainer.run()
        return History(trainer.history)

    def trainer(self, observer: Observer, directory: Path) -> Trainer:
        """The run that the spec describes, on its own data, with checkpoints in ``directory``."""
        from graphspec.runtime.fit import prepare_fit

        return prepare_fit(self, observer=observer, directory=directory)

    @property
    def update(self) -> Update:
        """The optimizer's state; made when first asked for, kept over several fits."""
        from graphspec.runtime.update import Update

        if self._update is None:
            with self.access.writing():
                self._update = self._update or Update(self.spec.training.optimizer, self.store)
        return self._update

    def held(self) -> int:
        """Bytes of the weights, of the optimizer's state, and of the programs that are kept."""
        arrays = list(self.store.vectors.values())
        if self._update is not None:
            arrays += [self._update.gradient, *self._update.slots.values()]
        return sum(a.nbytes for a in arrays) + self.programs.held()

    def evaluate(
        self, x: Data = None, y: Data = None, *, batch_size: int | None = None, sample_weight: Data = None
    ) -> dict[str, Any]:
        """Losses and metrics, by the keys of ``fit``'s history; without arrays on the spec's test data.

        A confusion matrix stands under its key as an array: true classes by answers.
        """
        from graphspec.runtime.fit import load_part, user_arrays

        size = whole("batch_size", batch_size, self.spec.training.batch_size)
        arrays = load_part(self, "test") if x is None else user_arrays(self, x, y, sample_weight)
        totals = self.evaluate_arrays(arrays, size)
        return totals.logs() | {table.key: table.counts for table in totals.tables()}

    def evaluate_arrays(self, arrays: Arrays, batch_size: int) -> Totals:
        """Losses and metrics over checked arrays, in inference mode."""
        from graphspec.runtime.data import Feeder
        from graphspec.runtime.member import fetches
        from graphspec.runtime.totals import Totals

        objective = self.objective(arrays)
        feeder = Feeder(arrays, batch_size, shuffle=False, seed=self.seed)
        totals, wanted = Totals(self), fetches(self, objective)
        feeder.start(0)
        with self.access.reading():
            for batch in range(feeder.batches):
                rows = feeder.rows(batch)
                shapes = feeder.shapes(rows)
                bound = partial(bind, objective.graph, self.store, fetches=wanted, shapes=shapes, seed=self.seed)
                with self.programs.borrow(("evaluate", *sorted(shapes.items())), bound) as program:
                    feeder.copy(batch, program.feeds)
                    with settings():
                        program.run()
                    totals.add(rows, program.fetches, program.feeds)
        return totals

    def objective(self, arrays: Arrays) -> Objective:
        """The graph with losses for what these arrays bring along; made once for all that bring the same."""
        from graphspec.runtime.member import objective_for

        key = "objective", *((n, a.ndim) for n, a in arrays.weights.items()), *sorted(arrays.lengths)
        return self.once(key, lambda: objective_for(self, arrays))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gave for this key the first time: what follows from the graph alone."""
        if key not in self._known:
            self._known.setdefault(key, make())
        found: T = self._known[key]
        return found

    def predict(self, x: Data, *, batch_size: int = 32) -> Any:
        """The heads' values for new rows: a dict of arrays by head, or the array itself for one head.

        Raises:
            SpecError: arrays that do not fit the inputs (GS5).
        """
        outputs = self.predict_dict(x, batch_size=batch_size)
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def predict_dict(self, x: Data, *, batch_size: int = 32) -> dict[str, Array]:
        """As :meth:`predict`, always by head."""
        from graphspec.runtime.fit import user_inputs

        batch_size = whole("batch_size", batch_size, 32)
        feeds = user_inputs(self, x)
        total = len(next(iter(feeds.values())))
        with self.access.reading():
            parts = [
                self._batch({n: a[start : start + batch_size] for n, a in feeds.items()})
                for start in range(0, total, batch_size)
            ]
        return {head: np.concatenate([p[head] for p in parts]) for head in self.graph.outputs}

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One batch through the network in inference mode; copies of the heads.

        Raises:
            SpecError: arrays that do not become the inputs' types without loss, or ids out of range (GS5). NaN may pass.
        """
        from graphspec.runtime.fit import batch_inputs

        return self._batch(batch_inputs(self, feeds))

    def _batch(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """:meth:`run` for arrays that have been checked."""
        shapes = {name: tuple(feeds[name].shape) for name in self.graph.inputs}
        bound = partial(bind, self.graph, self.store, fetches=self.graph.outputs, shapes=shapes, seed=self.seed)
        with self.access.reading(), self.programs.borrow(("predict", *sorted(shapes.items())), bound) as program:
            for name, buffer in program.feeds.items():
                buffer[...] = feeds[name]
            with settings():
                program.run()
            return {head: array.copy() for head, array in program.fetches.items()}

    def concrete(self, shapes: Mapping[str, Shape]) -> dict[str, Value]:
        """Every value's type for given input shapes; raises :class:`ShapeError` where the network does not take them."""
        return concrete(self.graph, self.graph.needed(self.graph.outputs.values()), shapes)

    @property
    def weights(self) -> dict[str, Array]:
        """Copies of all weights and statistics, ``"hidden_1/kernel" → float32 array``, in Keras's layout."""
        with self.access.reading():
            return self.store.get()

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Write some or all weights.

        Raises:
            UsageError: an unknown name, a wrong shape, or what are no numbers; nothing is written then.
        """
        from graphspec.errors import did_you_mean

        weights = mapping("weights", weights, "a dict of arrays")
        for name in weights:
            if name not in self.graph.params:
                hint = did_you_mean(name, list(self.graph.params))
                raise UsageError(f"no weight is called '{name}'" + (f"; {hint}" if hint else ""))
        try:
            with self.access.writing():
                self.store.set(weights)
        except ValueError as error:
            raise UsageError(str(error)) from None

    def export(
        self,
        path: str | Path,
        *,
        opset: int | None = None,
        target: str | None = None,
        rows: Data | str | Path = None,
    ) -> Proof:
        """Write an ONNX file, after it has been proved equal to the runtime under onnxruntime.

        Args:
            rows: what to prove it on, as for :meth:`predict`, or a data file that has them; by default rows of the last
                ``fit``, else of the spec's test or training data, else made-up ones.

        Raises:
            SpecError: GS701 where the numbers differ, GS702 where an operator is not available at the target, GS5 where
                ``rows`` do not fit; no file then.
        """
        from graphspec.export import export

        path = path_of("path", path)
        if path.is_dir():
            raise UsageError(f"{path} is a folder; name a file")
        with self.access.reading():
            return export(self, path, opset=opset, target=target, rows=rows)

    def save(self, path: str | Path) -> None:
        """Write a run directory: the spec, the weights, and the optimizer's state."""
        from graphspec.runtime.rundir import save_model

        with self.access.writing():
            save_model(self, path_of("path", path))

    def save_weights(self, directory: Path) -> None:
        from graphspec.runtime.checkpoint import save_arrays

        save_arrays(directory / "weights.safetensors", self.weights)

    # Copies.

    def __copy__(self) -> Self:
        """A model of its own: what never changes (spec, graph, data that have been read) is shared, weights are not."""
        twin = object.__new__(type(self))
        with self.access.reading():
            vars(twin).update(vars(self))
            twin.parts, twin._known, twin.warnings = dict(self.parts), dict(self._known), list(self.warnings)
            twin.programs, twin.access = Programs(), Access()
            twin.store = self.store.copy()
            twin._update = None if self._update is None else self._update.copy(twin.store)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        memo[id(self)] = twin = copy(self)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """The document, the weights, and the optimizer's state."""
        from graphspec.runtime.rundir import resolved

        with self.access.reading():
            update = self._update
            return {
                "document": resolved(self),
                "weights": self.store.get(),
                "update": None if update is None else (update.arrays(), update.counters()),
                "more": {name: getattr(self, name) for name in _KEPT},
            }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        made = compile(state["document"], allow_outside=True)  # what it may write is kept, too
        made.set_weights(state["weights"])
        if state["update"] is not None:
            arrays, counters = state["update"]
            made.update.load(arrays)
            made.update.count(counters)
        vars(self).update(vars(made))
        vars(self).update(state["more"])


_KEPT = ("source", "allow_outside", "epochs_done", "workers", "sample_rows")
"""What a pickle has besides."""


@uncollected()
def compile(source: Source | Spec, sets: Sequence[str] = (), *, allow_outside: bool = False) -> Model:  # noqa: A001
    """Check a spec and build the model, with fresh weights drawn by the spec's seed.

    Args:
        source: a path, a dict, or a parsed ``Spec``.
        sets: overrides, ``"training.epochs=5"``, as ``--set`` on the command line.
        allow_outside: the spec's callbacks may write outside the run directory (or the current folder, without one).

    Raises:
        SpecError: with all diagnostics of the spec.
    """
    sets = texts("sets", sets, 'a list of overrides, `["training.epochs=5"]`')
    checked = check(_source(source), sets, allow_outside=flag("allow_outside", allow_outside, False))
    spec, lowered = checked.require()
    model = Model(spec, lowered, checked.diagnostics)
    model.allow_outside = allow_outside
    return model


def validate(
    source: Source, sets: Sequence[str] = (), *, data: bool = False, opset: int | None = None, target: str | None = None
) -> list[Diagnostic]:
    """Every problem of a spec, sorted by place.

    Args:
        data: also those of its data files.
        opset, target: also what cannot be exported for this ONNX opset, or for ``ort-1.20`` and the like.
    """
    with_data, level = flag("data", data, False), opset_of(opset, target)
    sets = texts("sets", sets, 'a list of overrides, `["training.epochs=5"]`')
    return check_further(check(_source(source), sets), data=with_data, opset=level)


def _source(source: Any) -> Any:
    """A spec as :func:`check` takes it."""
    from graphspec.spec.model import Spec

    return source if isinstance(source, Mapping | Spec) else path_of("source", source)
