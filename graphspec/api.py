"""A compiled model: fit, evaluate, predict, weights, export, save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from graphspec.arguments import flag, path_of, texts, whole
from graphspec.compiler.check import SpecSource, check
from graphspec.data.signature import Data, user_arrays
from graphspec.errors import UsageError
from graphspec.gc_pause import gc_paused
from graphspec.runtime.session import Session
from graphspec.validation import source_of

if TYPE_CHECKING:
    from graphspec.callbacks import Callback
    from graphspec.export.prove import Proof
    from graphspec.language.declarations import Spec
    from graphspec.training.observers import Observer
    from graphspec.training.trainer import Trainer


class History:
    """What ``fit`` returns: ``history`` maps Keras's keys to one value an epoch; ``epoch`` lists the epochs."""

    def __init__(self, history: dict[str, list[float]]) -> None:
        self.history = history
        self.epoch = list(range(max(map(len, history.values()), default=0)))


class Model(Session):
    """A network with its weights. Made by :func:`compile` or :func:`load`.

    Threads may call ``predict``, ``evaluate`` and ``run`` at the same time. While one trains, the others are refused
    (UsageError); a change of weights waits for those who read them. ``copy.copy``, ``copy.deepcopy`` and ``pickle`` give a
    model of its own: spec, weights and the optimizer's state. A model also works in processes that are forked or spawned.

    Attributes: those of :class:`graphspec.runtime.session.Session`.
    """

    def fit(  # noqa: PLR0913 (the arguments are those of Keras)
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
        from graphspec.training.observers import observer
        from graphspec.training.prepare import FitData, FitSettings, prepare_fit

        data = FitData(x, y, sample_weight, class_weight, validation_data, validation_split)
        settings = FitSettings(epochs, batch_size, shuffle, callbacks)
        with self.access.writing("training"):
            trainer = prepare_fit(self, data, settings, observer=observer(verbose))
            trainer.run()
        return History(trainer.history)

    def trainer(self, observer: Observer, directory: Path) -> Trainer:
        """The run that the spec describes, on its own data, with checkpoints in ``directory``."""
        from graphspec.training.prepare import prepare_fit

        return prepare_fit(self, observer=observer, directory=directory)

    def evaluate(
        self, x: Data = None, y: Data = None, *, batch_size: int | None = None, sample_weight: Data = None
    ) -> dict[str, Any]:
        """Losses and metrics, by the keys of ``fit``'s history; without arrays on the spec's test data.

        A confusion matrix stands under its key as an array: true classes by answers.
        """
        size = whole("batch_size", batch_size, self.spec.training.batch_size)
        arrays = self.part("test") if x is None else user_arrays(self.needed, x, y, sample_weight)
        running = self.evaluate_arrays(arrays, size)
        return running.logs() | {table.key: table.counts for table in running.tables()}

    def predict(self, x: Data, *, batch_size: int = 32) -> Any:
        """The heads' values for new rows: a dict of arrays by head, or the array itself for one head.

        Raises:
            SpecError: arrays that do not fit the inputs (GS5).
        """
        outputs = self.predict_dict(x, batch_size=whole("batch_size", batch_size, 32))
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

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
        from graphspec.training.run_directory import save_model

        with self.access.writing():
            save_model(self, path_of("path", path))

    def save_weights(self, directory: Path) -> None:
        from graphspec.training.run_directory import write_weights

        write_weights(self, directory / "weights.safetensors")

    def __getstate__(self) -> dict[str, Any]:
        """The document, the weights, and the optimizer's state."""
        with self.access.reading():
            update = self._optimizer_state
            return {
                "document": self.document(),
                "weights": self.parameters.get(),
                "update": None if update is None else (update.arrays(), update.counters()),
                "more": {name: getattr(self, name) for name in _KEPT},
            }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        made = compile(state["document"], allow_outside=True)  # what it may write is kept, too
        made.set_weights(state["weights"])
        if state["update"] is not None:
            arrays, counters = state["update"]
            made.optimizer_state.load(arrays)
            made.optimizer_state.count(counters)
        vars(self).update(vars(made))
        vars(self).update(state["more"])


_KEPT = ("source", "allow_outside", "epochs_done", "workers", "sample_rows")
"""What a pickle has besides."""


@gc_paused()
def compile(source: SpecSource | Spec, sets: Sequence[str] = (), *, allow_outside: bool = False) -> Model:  # noqa: A001
    """Check a spec and build the model, with fresh weights drawn by the spec's seed.

    Args:
        source: a path, a dict, or a parsed ``Spec``.
        sets: overrides, ``"training.epochs=5"``, as ``--set`` on the command line.
        allow_outside: the spec's callbacks may write outside the run directory (or the current folder, without one).

    Raises:
        SpecError: with all diagnostics of the spec.
    """
    sets = texts("sets", sets, 'a list of overrides, `["training.epochs=5"]`')
    checked = check(source_of(source), sets, allow_outside=flag("allow_outside", allow_outside, False))
    spec, lowered = checked.require()
    model = Model(spec, lowered, checked.diagnostics)
    model.allow_outside = allow_outside
    return model


def load(path: str | Path) -> Model:
    """The model of a run directory, with its weights; the optimizer's state too, so that a second ``fit`` goes on.

    Raises:
        UsageError: the folder is no run directory.
        RunError: GS603 if it is incomplete or damaged.
        SpecError: if its ``spec.json`` is not a valid spec for this version.
    """
    from graphspec.runtime.records import read_json
    from graphspec.training.run_directory import load_into

    directory = path_of("path", path)
    if not (directory / "spec.json").is_file():
        raise UsageError(f"{directory} is no run directory: it has no spec.json")
    read_json(directory / "spec.json")  # what is damaged is no wrong spec
    model = compile(directory / "spec.json", allow_outside=True)  # its callbacks are not run here
    model.allow_outside = False
    load_into(model, directory)
    return model
