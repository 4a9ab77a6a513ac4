"""A compiled model: fit, evaluate, predict, weights, export, save; and what it shows of itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TextIO

from graphspec.api import from_keras
from graphspec.api.explanation import Explainable
from graphspec.api.history import History
from graphspec.api.validation import source_of
from graphspec.base.arguments import advising, flag, folders, path_of, positive_int, texts, weights_file
from graphspec.base.arguments import rows as data_rows
from graphspec.base.errors import UsageError
from graphspec.base.files import make_folder
from graphspec.base.gc_pause import gc_paused
from graphspec.base.text import printable, terminal_width
from graphspec.data.signature import Data, user_arrays, x_and_y
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.engine.compiler.check import Checked, SpecSource, check

if TYPE_CHECKING:
    from graphspec.engine.training.reporting import Fitted, Observer
    from graphspec.engine.training.trainer import GivenCallbacks, Trainer
    from graphspec.export.prove import Proof
    from graphspec.export.training_step import StepProof
    from graphspec.language.declarations import Spec
    from graphspec.show.notebook.pages import PageFile


GONE = {
    "concrete": "it was one of 0.2; `model.summary()` shows the shapes",
    "update": "it was one of 0.2; the state of the optimizer is in the checkpoint of a run, and in a pickled model",
}
"""Attributes of earlier versions, and what there is today."""


class Model(Explainable):
    """A network with its weights, created by :func:`compile` or :func:`load`.

    Threads may call ``predict``, ``evaluate`` and ``run`` at the same time. While one thread trains, calls of the others
    raise UsageError. A change of weights waits until running calls have ended. ``copy.copy``, ``copy.deepcopy`` and
    ``pickle`` create an independent model with the same spec, weights and optimizer state. A model also works in forked
    and spawned processes.

    Attributes:
        history: the :class:`History` of the last ``fit``, also of one that was interrupted; None before.
        weights: copies of all weights by name, such as ``hidden_1/kernel``.
        initial_weights: what each file of initial weights gave: ``taken``, ``new``, ``left_over``.
        spec: the parsed spec.
        For others see :class:`graphspec.engine.runtime.session.Session`.

    Example::

        model = gs.compile("specs/housing.yaml")
        history = model.fit(epochs=3, verbose=0)
        model.evaluate()  # {'loss': …, …}
        model.export("housing.onnx")
    """

    history: History | None = None
    _fitted: Fitted | None = None

    @advising(from_keras.FIT)
    def fit(  # noqa: PLR0913 (Keras's arguments)
        self,
        x: Data = None,
        y: Data = None,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        shuffle: bool | None = None,
        validation_data: Data = None,
        validation_split: float | None = None,
        sample_weight: Data = None,
        class_weight: Mapping[Any, Any] | Literal["balanced"] | None = None,
        callbacks: GivenCallbacks | None = None,
        verbose: int | str = "auto",
    ) -> History:
        """Train for ``epochs`` more epochs, on the given arrays or else on the spec's data. Arguments override the spec.

        Args:
            x, y: arrays by input and head name, or a single array if there is one input or head. Without `y`, the targets
                are columns of `x`, a data frame or a dict of columns.
            validation_data: ``(x, y)``, ``(x, y, sample_weight)``, or a frame that has the targets, too.
            validation_split: the fraction of the rows to validate on; the seed selects them.
            class_weight: ``{class: weight}`` or ``"balanced"`` for the only head, or ``{head: {class: weight}}``.
            callbacks: objects such as ``EarlyStopping(patience=3)``, or names and mappings as in a spec.
            verbose: 0 prints nothing; 1 and ``"auto"`` print all of at most 20 epochs, and about 25 of a longer training;
                2 prints every epoch.

        After Ctrl-C or an error, the weights are those of the last step, ``model.history`` has the epochs that have ended,
        and another ``fit`` continues.

        Raises:
            SpecError: the data do not fit (GS5), or there is nothing to train (GS404).
            RunError: a loss is not finite (GS601), or there is too little memory (GS602).
            UsageError: an argument is wrong, or another thread trains the model.
            KeyboardInterrupt: Ctrl-C was pressed; the step has ended.

        Example::

            import numpy as np

            model = gs.compile("specs/fashion.yaml")
            x, y = np.zeros((8, 28, 28, 1), "uint8"), np.arange(8)
            history = model.fit(x, y, epochs=2, batch_size=4, verbose=0)
            history["loss"]
        """
        from graphspec.engine.training.prepare import FitData, FitSettings, prepare_fit
        from graphspec.engine.training.reporting import Fitted, observer

        x, y = x_and_y("fit", self.needed, x, y, self.spec)
        data = FitData(x, y, sample_weight, class_weight, validation_data, validation_split)
        settings = FitSettings(epochs, batch_size, shuffle, callbacks)
        with self.access.writing("training"):
            trainer = prepare_fit(self, data, settings, observer=observer(verbose))
            try:
                trainer.run()
            finally:
                self.history = History(trainer.history, self.spec.name)
                self._fitted = Fitted(self.history.history, trainer.timer.times, trainer.stopped)
        return self.history

    def trainer(self, observer: Observer, directory: Path) -> Trainer:
        """Return a trainer for the spec's own data and settings, with checkpoints in ``directory``."""
        from graphspec.engine.training.prepare import prepare_fit

        return prepare_fit(self, observer=observer, directory=directory)

    @advising(from_keras.EVALUATE)
    def evaluate(
        self,
        x: Data = None,
        y: Data = None,
        *,
        batch_size: int | None = None,
        sample_weight: Data = None,
        verbose: int | str = 0,
    ) -> dict[str, Any]:
        """Return losses and metrics as floats under the keys of ``fit``'s history, for arrays or else the test data.

        A confusion matrix is an array: rows are true classes, columns are predicted classes. ``verbose`` has no effect:
        nothing is printed.

        Raises:
            SpecError: the arrays do not fit the network (GS5).
            UsageError: an argument is wrong, or there are neither arrays nor test data.

        Example::

            model = gs.compile("specs/housing.yaml")
            model.fit(epochs=1, verbose=0)
            model.evaluate()["loss"]  # on the rows of `data.test`
        """
        x, y = x_and_y("evaluate", self.needed, x, y, self.spec)
        size = positive_int("batch_size", batch_size, self.spec.training.batch_size)
        arrays = self.part("test") if x is None else user_arrays(self.needed, x, y, sample_weight)
        running = self.evaluate_arrays(arrays, size)
        return running.logs() | {table.key: table.counts for table in running.tables()}

    @advising(from_keras.PREDICT)
    def predict(self, x: Data, *, batch_size: int = 32, verbose: int | str = 0) -> Any:
        """Return the heads' values for new rows: a dict of arrays by head, or one array if there is one head.

        The first axis of every array is the row. A head with classes returns one value per class, in the order of
        ``model.labels[head]``. ``verbose`` has no effect: nothing is printed.

        Raises:
            SpecError: the arrays do not fit the inputs (GS5).

        Example::

            import numpy as np

            model = gs.compile("specs/fashion.yaml")
            model.predict(np.zeros((3, 28, 28, 1), "uint8")).shape  # (3, 10)
        """
        if x is None:
            raise UsageError("`predict` needs `x`, the rows to predict")
        data_rows("x", x)
        outputs = self.predict_dict(x, batch_size=positive_int("batch_size", batch_size, 32))
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def page(self, folder: str | Path, *, engine: str | Path | None = None, learn: bool = False) -> PageFile:
        """Export and prove the network, write a page to try it on, and return its path: ``folder/index.html``.

        A notebook shows the path as the page itself.

        Args:
            engine: the folder of npm's package onnxruntime-web, to put it into the page; without it the page fetches it.
            learn: visitors may teach it names of their own, in the browser.

        Raises:
            SpecError: the values of the exported file differ (GS701).
            UsageError: the engine is not there, the network is too large for a page, or ``folder`` cannot be written.
        """
        from tempfile import TemporaryDirectory

        from graphspec.show.notebook.pages import PageFile
        from graphspec.show.page.build import page_of, write_page

        with TemporaryDirectory(prefix="graphspec-") as temporary:
            file = Path(temporary) / "model.onnx"
            self.export(file)
            html = page_of(file, None if engine is None else path_of("engine", engine), learns=learn)
        return PageFile(write_page(path_of("folder", folder) / "index.html", html))

    def export(
        self,
        path: str | Path,
        *,
        opset: int | None = None,
        target: str | None = None,
        rows: Data | str | Path = None,
        signature: str | Path | None = None,
        quantize: str | None = None,
        max_loss: float | None = None,
        validation_data: Data = None,
    ) -> Proof:
        """Write an ONNX file after proving, under onnxruntime, that it computes the same values as the runtime.

        Args:
            rows: input arrays for the proof, as for :meth:`predict`, or the path of a data file. By default rows of the
                last ``fit``, else of the spec's test or training data, else generated rows.
            signature: the path of a JSON file that describes inputs and outputs, with an example.
            quantize: ``"int8"`` or ``"float16"`` for a smaller file, if losses and metrics get worse by at most ``max_loss``
                (0.01), see docs/commands.md. ``Proof.quantized`` has them before and after.
            validation_data: ``(x, y)`` to compare the files on; by default the spec's test or validation rows.

        Raises:
            SpecError: the values differ (GS701), the target lacks an operator (GS702), the quantized file is too much
                worse (GS704), or ``rows`` do not fit (GS5). No file is written.

        Example::

            model = gs.compile("specs/housing.yaml")
            model.fit(epochs=1, verbose=0)
            model.export("housing.onnx")
        """
        from graphspec.engine.training.prepare import calibration_rows, held_out_rows
        from graphspec.export import export
        from graphspec.export.gate import quantization_of

        path = path_of("path", path)
        if path.is_dir():
            raise UsageError(f"{path} is a folder; name a file")
        self.require_adapted()
        described = None if signature is None else path_of("signature", signature)
        with self.access.reading():
            held_out = partial(held_out_rows, self, validation_data)
            wanted = quantization_of(quantize, max_loss, held_out, partial(calibration_rows, self, rows))
            return export(self, path, opset=opset, target=target, rows=rows, signature=described, quantization=wanted)

    def export_training_step(
        self,
        path: str | Path,
        *,
        trainable: str | Sequence[str] = (),
        opset: int | None = None,
        rows: Data | str | Path = None,
    ) -> StepProof:
        """Write one training step as an ONNX file, after proving that it does what the runtime's steps do.

        Its inputs are a batch, the targets, the step's number, weights and the optimizer's state; its outputs the loss and
        ``<name>/next`` for each of these, see docs/export.md. Beside ``step.onnx`` stand ``step.start.onnx``, which returns
        what the first step reads, and ``step.prelude.onnx`` for rows that are prepared before training, such as texts.

        Args:
            trainable: patterns of the weights that train, such as ``"head/*"``; all others become constants.
            opset, rows: as for :meth:`export`.

        Raises:
            SpecError: the steps differ (GS701), or something cannot be written as nodes (GS702). No file is written.

        Example::

            model = gs.compile("specs/housing.yaml")
            model.fit(epochs=1, verbose=0)
            model.export_training_step("housing.step.onnx", trainable="price/*")
        """
        from graphspec.export.training_step import export_training_step

        patterns = texts("trainable", [trainable] if isinstance(trainable, str) else trainable, "a list of patterns")
        with self.access.reading():
            return export_training_step(self, path_of("path", path), trainable=patterns, opset=opset, rows=rows)

    def save(self, path: str | Path) -> None:
        """Write a run directory with the spec, the weights and the optimizer's state. :func:`load` reads it.

        A path that ends in ``.onnx`` becomes a file, as by :meth:`export`. Suffixes of other programs raise UsageError.

        Example::

            model = gs.compile("specs/housing.yaml")
            model.fit(epochs=1, verbose=0)
            model.save("runs/first")
            again = gs.load("runs/first")
        """
        from graphspec.engine.training.run_directory import save_model

        path = path_of("path", path)
        if path.suffix.lower() == ".onnx":
            self.export(path)
            return
        if (said := from_keras.SAVED.get(path.suffix.lower())) is not None:
            raise UsageError(f"`save` writes no {path.suffix} files: {said}")
        self.require_adapted()
        with self.access.writing():
            save_model(self, path)

    def save_weights(self, path: str | Path) -> Path:
        """Write the weights: a file that ends in ``.safetensors``, or ``weights.safetensors`` in a folder."""
        from graphspec.engine.training.run_directory import write_weights

        file = weights_file(path)
        make_folder(file.parent)
        write_weights(self, file)
        return file

    def load_weights(self, path: str | Path) -> None:
        """Read what :meth:`save_weights` has written. Raises RunError (GS603) if it is damaged or has other weights."""
        from graphspec.engine.training.checkpoint import load_arrays

        shapes = {name: param.shape for name, param in self.graph.params.items()}
        self.set_weights(load_arrays(weights_file(path), shapes)[0])

    def report(self, path: str | Path, x: Data = None, y: Data = None, *, sample_weight: Data = None) -> Path:
        """Write an HTML page about the model and its last ``fit``: results, curves, mistakes, the network.

        Args:
            path: the file, which ends in ``.html``.
            x, y: the rows to judge by, as for :meth:`evaluate`; by default the spec's test rows, else its validation
                rows, else its training rows. Without any, the page has no results by row, and says so.

        Raises:
            SpecError: the arrays do not fit the network (GS5).
            UsageError: an argument is wrong.

        Example::

            model = gs.compile("specs/housing.yaml")
            model.fit(epochs=1, verbose=0)
            model.report("housing.html")
        """
        from graphspec.engine.training.reporting import Fitted
        from graphspec.show.report.comparison import write_model_report

        x, y = x_and_y("report", self.needed, x, y, self.spec)
        file = path_of("path", path)
        if file.suffix.lower() not in (".html", ".htm"):
            raise UsageError(f"'{file}' must end in .html: a report is an HTML page")
        self.require_adapted()
        rows = None if x is None else user_arrays(self.needed, x, y, sample_weight)
        return write_model_report(self, file, self._fitted or Fitted({}, None, None), rows).path

    def summary(
        self,
        *,
        batch_size: int | None = None,
        width: int | None = None,
        expand: bool = False,
        file: TextIO | None = None,
    ) -> None:
        """Print the table of ``graphspec summary``: every node with its output shape, parameters, memory, multiply-adds.

        Args:
            batch_size: the batch size for the memory; the spec's by default.
            width: the columns to fit into; the terminal's by default.
            expand: print every node of a record, not one row.
            file: where to print; standard output by default.

        Example::

            gs.compile("specs/housing.yaml").summary()
        """
        from graphspec.show.notebook.pages import summary

        rows = positive_int("batch_size", batch_size, self.spec.training.batch_size)
        columns = terminal_width(file or sys.stdout) if width is None else positive_int("width", width, 100)
        lines = summary(self, rows, width=columns, expand=flag("expand", expand, False))
        print(printable("\n".join(lines)), file=file)

    def __sklearn_clone__(self) -> NoReturn:
        """Say what to do in place of scikit-learn's functions for estimators, which call this."""
        raise UsageError(from_keras.NO_ESTIMATOR)

    __sklearn_tags__ = __sklearn_clone__

    def __repr__(self) -> str:
        from graphspec.show.notebook.pages import described

        return described(self)

    def _repr_html_(self) -> str:
        from graphspec.show.notebook.pages import model_page

        return model_page(self)

    if not TYPE_CHECKING:  # type checkers know the attributes from the class

        def __getattr__(self, name: str) -> Any:
            """Say what to write in place of an attribute that models of other libraries have."""
            text = f"a graphspec model has no attribute '{name}'"
            said = from_keras.ATTRIBUTES.get(name) or GONE.get(name)
            raise AttributeError(f"{text}: {said}" if said else text)

    def __getstate__(self) -> dict[str, Any]:
        """Return the document, what layers have learnt, the weights and the optimizer's state."""
        with self.access.reading():
            update, folder = self._optimizer_state, str((self.spec.base or Path()).resolve())
            return {
                "document": self.document(),
                "base": folder if self.learns else None,
                "folder": folder,
                "adapted": None if self.adapted is None else self.adapted.to_json(),
                "weights": self.parameters.get(),
                "update": None if update is None else (update.arrays(), update.counters()),
                "more": {name: getattr(self, name) for name in _PICKLED_ATTRIBUTES},
            }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        adapted = None if state["adapted"] is None else Adapted.of_json(state["adapted"])
        draws = state["base"] is not None  # its weights are still to be drawn, perhaps from files
        folder = Path(state["folder"]) if "folder" in state else None
        checked = check(state["document"], allow_outside=True, adapted=adapted, draws=draws, base=folder)
        new = _model_of(checked, True, adapted)  # the pickled `allow_outside` is restored below
        if not new.learns:
            new.set_weights(state["weights"])
        if state["update"] is not None:
            arrays, counters = state["update"]
            new.optimizer_state.load(arrays)
            new.optimizer_state.load_counters(counters)
        vars(self).update(vars(new))
        vars(self).update(state["more"])


_PICKLED_ATTRIBUTES = (  # attributes that a pickle stores beside the document, the weights and the optimizer's state
    *("source", "allow_outside", "epochs_done", "workers", "sample_rows", "cache", "history", "initial_weights"),
    "_fitted",
)


@advising(from_keras.COMPILE)
def compile(  # noqa: A001
    source: SpecSource | Spec,
    sets: Sequence[str] = (),
    *,
    allow_outside: bool = False,
    allow: Sequence[str | Path] = (),
) -> Model:
    """Check a spec and build the model. The spec's seed determines the initial weights.

    Args:
        source: a path, a dict, or a parsed ``Spec``.
        sets: overrides such as ``"training.epochs=5"``, as ``--set`` on the command line.
        allow_outside: let callbacks write outside the run directory (without one, outside the current folder).
        allow: folders besides the spec's in which files that a query names may be.

    Raises:
        SpecError: the spec is wrong; the error contains all diagnostics.

    Example::

        model = gs.compile("specs/housing.yaml", ["training.epochs=5", "training.seed=1"])
        model = gs.compile(
            {
                "graphspec": 1,
                "name": "line",
                "inputs": {"x": {"shape": [4]}},
                "layers": [{"name": "y", "type": "Dense", "units": 1}],
                "outputs": {"y": {"loss": "mse"}},
            }
        )
    """
    sets = texts("sets", sets, 'a list of overrides, `["training.epochs=5"]`')
    outside = flag("allow_outside", allow_outside, False)
    with gc_paused():
        checked = check(source_of(source), sets, allow_outside=outside, allow=folders(allow))
        return _model_of(checked, outside)


def _model_of(checked: Checked, allow_outside: bool, adapted: Adapted | None = None) -> Model:
    """Build the model of a checked spec; raise SpecError if it is wrong."""
    spec, lowered = checked.require()
    model = Model(spec, lowered, checked.diagnostics, adapted)
    model.allow_outside = allow_outside
    return model


@advising(from_keras.LOAD)
def load(path: str | Path, *, allow: Sequence[str | Path] = ()) -> Model:
    """Load a model from a run directory. Weights and optimizer state are restored, so another ``fit`` continues.

    Args:
        allow: folders besides the run directory in which files that a query names may be.

    Raises:
        UsageError: the folder is not a run directory.
        RunError: the run directory is incomplete or damaged (GS603).
        SpecError: its ``spec.json`` is not a valid spec for this version.

    Example::

        model = gs.compile("specs/housing.yaml")
        model.fit(epochs=1, verbose=0)
        model.save("runs/first")
        gs.load("runs/first").evaluate()
    """
    from graphspec.engine.runtime.records import read_json
    from graphspec.engine.training.run_directory import check_run, load_into, read_adapted

    directory = path_of("path", path)
    if not (directory / "spec.json").is_file():
        raise UsageError(
            f"{directory} is no run directory: it has no spec.json; name one that `save` or `train` has written"
        )
    read_json(directory / "spec.json")  # a damaged file must raise GS603, not a diagnostic of the spec
    adapted = read_adapted(directory)
    model = _model_of(check_run(directory, adapted, folders(allow)), False, adapted)
    model.require_adapted()
    load_into(model, directory)
    return model
