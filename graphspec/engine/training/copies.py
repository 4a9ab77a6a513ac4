"""Train several copies of a network, of each of its forms, and put their weights together: the answer is their mean.

A copy is a training of the single network, with a seed of its own, and without one fold of the rows if there are folds. What
is learnt from rows before the first step is learnt once, from all training rows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from graphspec.base.arrays.cores import usable_cores
from graphspec.base.arrays.random import generator
from graphspec.base.errors import Code, Diagnostic, SpecError, UsageError
from graphspec.base.files import make_folder
from graphspec.base.text import duration, number
from graphspec.data.batches import BatchLoader, Dataset, class_ids, deal
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.engine.compiler.check import check, check_one
from graphspec.engine.parallel.processes import run_apart
from graphspec.engine.runtime.program import ProgramCache
from graphspec.engine.runtime.running_metrics import HeadCounts, RunningMetrics, add_batches
from graphspec.engine.runtime.session import Session
from graphspec.engine.training.adapt import learn
from graphspec.engine.training.choose_workers import TrainingSteps
from graphspec.engine.training.reporting import HistoryText, Observer, Timer
from graphspec.engine.training.run_directory import check_own, own_checkpoint, record_copies, refuse_changes
from graphspec.engine.training.trainer import Fitting, Trainer, prepared_parts
from graphspec.engine.training.uncertainty import forget, learn_from
from graphspec.graph.ir.graph import Array
from graphspec.graph.optimizers import Rate
from graphspec.language.parse import of_form
from graphspec.vocabulary.callbacks.callback import COPIES


def folds_of(model: Session, raw: Dataset) -> Array:
    """Return the fold of each training row, ``(n,)``, from 0, dealt by the seed; a single head's classes are spread evenly.

    Rows of a group are in one fold. Raises SpecError: GS508, there are fewer than two rows for each fold, or too few groups.
    """
    folds, rows = model.spec.training.folds or 1, len(raw)
    if rows < 2 * folds:
        text = f"{rows} rows are too few for {folds} folds"
        raise SpecError([Diagnostic(Code.TOO_FEW_ROWS, text, hint="use fewer `folds`, or `seeds`")])
    order, ids = generator(model.seed, "folds").permutation(rows), None
    classes = [h for h in model.spec.trained if h.needs_data and h.loss is not None and h.loss.fits == "classes"]
    if len(classes) == 1 and (target := raw.targets[classes[0].name]).ndim < 3:
        ids = class_ids(target if raw.chosen is None else target[raw.chosen])
        if raw.groups is None:
            order = order[np.argsort(ids[order], kind="stable")]
    if (groups := raw.of_groups()) is not None:
        return deal(groups, [1 / folds] * folds, order, ids)
    found = np.empty(rows, np.int64)
    found[order] = np.arange(rows) % folds
    return found


def is_out_of_fold(model: Session, part: str) -> bool:
    """Return whether a part of the data are all training rows, each to be answered by the copy that has not seen it."""
    return part == "validation" and model.spec.training.folds is not None


def out_of_fold(model: Session, raw: Dataset, kept: Array | None = None) -> list[tuple[Session, Dataset, Array]]:
    """Return each copy with the prepared training rows that it has not seen, and their places among those that are kept."""
    folds = folds_of(model, raw)
    members, weights, kept = model.copies(), model.weights, np.arange(len(folds)) if kept is None else kept
    rows, found = members[0].prepared(raw), list[tuple[Session, Dataset, Array]]()
    for k, (prefix, member) in enumerate(zip(model.prefixes, members, strict=True)):
        later = zip(member.spec.held_out_weights, model.spec.held_out_weights, strict=True)
        own = {name: prefix + name for name in member.graph.params} | dict(later)
        member.set_weights({name: weights[of] for name, of in own.items()})
        places = np.flatnonzero(folds[kept] == k)
        found.append((member, rows.select(kept[places]), places))
    return found


def evaluate_part(
    model: Session, raw: Dataset, part: str, heads: HeadCounts | None = None, copies: int | None = None
) -> RunningMetrics:
    """Evaluate checked raw rows of a part of the spec's data; rows of folds are answered as :func:`out_of_fold` says.

    ``copies``: with folds, only the rows of the first ones.
    """
    size = model.spec.training.batch_size
    if not is_out_of_fold(model, part):
        return model.evaluate_arrays(raw, size, heads)
    running = RunningMetrics(model, heads)
    for member, rows, _ in out_of_fold(model, raw)[:copies]:
        add_batches(member.evaluation(rows, size, heads), running, lambda: None)
    return running


SECONDS_BETWEEN = 1.0  # of two checkpoints: an epoch of a small network takes less time than one
TRIED = 2  # copies of each form by whose held-out rows it is chosen; the best one gets the others
FEW = 1000  # rows of a head of numbers: with fewer, all copies of each form are trained, and their medians are compared
_WORTHWHILE = 5.0  # seconds that the other copies take, from which on `workers: auto` starts processes for them


class _Quiet(Observer):
    """Shows the progress of a copy's training and its messages, and no lines of its epochs."""

    def __init__(self, observer: Observer) -> None:
        self.begin, self.step, self.say, self.end = observer.begin, observer.step, observer.say, observer.end  # type: ignore[method-assign]

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        if (parent := parent_process()) is not None and not parent.is_alive():  # it was killed
            raise KeyboardInterrupt


@dataclass
class _Form:
    """A form of the spec in training: its network, the histories of its copies, the results on held-out rows."""

    model: Session
    histories: list[Mapping[str, list[float]]] = field(default_factory=list)
    medians: list[Mapping[str, float]] = field(default_factory=list)  # of each copy, from its kept epoch to the last
    running: RunningMetrics | None = None


class CopiesTrainer(Trainer):
    """One training of all copies of a network, and of all its forms; each writes checkpoints to a folder of its own.

    ``history`` has the means over the copies; ``running``, the losses and metrics of the held-out rows, if there are any.
    """

    def __init__(
        self,
        model: Session,
        rows: tuple[Dataset, Dataset | None],  # raw training and validation rows
        fitting: Fitting,
        observer: Observer,
        directory: Path | None,
    ) -> None:
        self.model, self.observer, self.directory, self.say = model, observer, directory, observer.say
        self._rows, self._fitting, self._folder, self._copies = rows, fitting, directory, list[dict[str, Any]]()
        writes = fitting.trusted or (directory is None and any(c.outputs() for c in fitting.callbacks))
        heads, choose = model.spec.trained, model.spec.training.choose
        self._numbers = len(heads) == 1 and (loss := heads[0].loss) is not None and loss.fits == "numbers"
        self._few = len(rows[0]) < FEW and self._numbers and not choose
        self._workers = 1 if writes else model.spec.training.workers  # callers' own callbacks stay in this process
        train, self.validation = prepared_parts(model, *rows)
        self.loader = BatchLoader(train, fitting.batch_size, shuffle=False, seed=model.seed)
        self.rate, self.total = Rate(model.spec.training.optimizer.learning_rate), fitting.epochs
        self.steps = cast("TrainingSteps", SimpleNamespace(ranks=None))
        self.epoch = self.batch = 0
        self.history, self.tables, self.states, self.stopped, self.resumed = {}, [], [], None, False
        self.timer, self.running, self.last_checkpoint = (
            Timer(len(train), 0),
            RunningMetrics(model, training=True),
            None,
        )
        if model.spec.training.forms and rows[1] is None and model.spec.training.folds is None:
            raise UsageError("`forms` needs rows to choose by: pass `validation_data`, or write `folds`")

    def check_outputs(self) -> None:
        """Do nothing: each copy checks the files in its own folder before it begins."""

    def run(self) -> None:
        """Train every copy of every form, or go on with it, and keep the best form; errors as for a single network."""
        names: list[str | None] = [*self.model.spec.training.forms] or [None]
        best: float | None = None
        kept, record = _Form(self.model), dict[str, Any]()
        first = len(self.model.prefixes) if len(names) == 1 or self._few else TRIED
        for name in names:
            began, form = time.monotonic(), _Form(self._of_form(name))
            self._train(form, range(len(form.model.prefixes))[:first])
            if name is None or form.running is None:
                kept = form
                continue
            key, larger = self._key(form.running)
            value = form.running.logs("val_")[key]
            if self._few:  # of a best epoch a part is luck, and the larger one the freer a form is
                value = float(np.mean([each[key] for each in form.medians]))
            self.say(f"form {name}: {key} {number(value)} in {duration(time.monotonic() - began)}")
            record.setdefault("forms", {})[name] = {key: value}
            score = math.inf if math.isnan(value) else -value if larger else value
            if best is None or score < best:
                kept, best = form, score
        if best is not None:
            self.say(f"kept: form {kept.model.spec.form}")
            if rest := range(len(kept.model.prefixes))[first:]:
                self._train(kept, rest)
        if kept.model is not self.model and kept.model.adapted is not None:
            self.model.install(kept.model.adapted)
            self.model.set_weights(kept.model.weights)
        self.history, running = _means(kept.histories), kept.running
        if running is not None:
            self.running, self.tables = running, running.tables()
        self.epoch = self.model.epochs_done = max(map(len, self.history.values()), default=0)
        if self.directory is not None:
            text = HistoryText()
            text.update(self.history)
            record_copies(self.model, self.directory, text, {"copies": self._copies, **record})

    def _of_form(self, name: str | None) -> Session:
        """Return the network of a form that has learnt from the rows."""
        model = self.model
        if name is None:
            return model
        if name != model.spec.form:
            spec, found = of_form(replace(model.single[0], data=model.spec.data), name)
            checked = check_one(spec, found, allow_outside=True)
            other = Session(*checked.require(), checked.diagnostics)
            other.cache, other.on_rows, other.allow_outside = model.cache, model.on_rows, model.allow_outside
            model = other
            learn(model, self._rows[0])
        model.adapted = replace(model.adapted or Adapted(), form=name)
        return model

    def _train(self, form: _Form, copies: range) -> None:
        """Train some copies of a form, which follow those that are trained, and evaluate all that are."""
        model, (raw, of_validation), total = form.model, self._rows, len(form.model.prefixes)
        subject = "" if model.spec.form is None else f"form {model.spec.form}, "
        with TemporaryDirectory() as folder:
            self._folder = self.directory or (None if self._workers == 1 else Path(folder))
            if isinstance(self._workers, int):
                self._train_apart(model, copies, self._workers)
            for k, trainer in zip(copies, self.trainers(copies, model), strict=True):
                trainer.run()
                own = {n: a for n, a in trainer.model.weights.items() if n not in trainer.model.spec.held_out_weights}
                for prefix in model.prefixes[k:]:  # those that are not trained yet answer like the last one
                    model.set_weights({prefix + name: array for name, array in own.items()})
                form.histories.append(trainer.history)
                seconds = trainer.timer.times.seconds or 0.0
                said = self._noted(trainer, subject + (f"copy {k + 1} of {total}: " if total > 1 else ""))
                kept = self._copies[-1]["epoch"] - 1
                form.medians.append({key: float(np.median(of[kept:])) for key, of in trainer.history.items()})
                self.say(f"{said} ({duration(seconds)})")
                if self._workers == "auto":
                    self._workers = usable_cores() if seconds * (total - 1) > _WORTHWHILE else 1
                    self._train_apart(model, copies[1:], self._workers)
        if of_validation is not None or model.spec.training.folds is not None:
            if len(form.histories) == total:
                forget(model)
                held_out = None if of_validation is None else model.prepared(of_validation)
                alone = [] if held_out is None else [(model, held_out, np.arange(len(held_out)))]
                learn_from(model, alone or out_of_fold(model, raw))
            form.running = evaluate_part(model, of_validation or raw, "validation", copies=len(form.histories))

    def _train_apart(self, model: Session, copies: Sequence[int], workers: int) -> None:
        """Train copies in processes of their own, up to their last checkpoints."""
        size, folder = min(workers, len(copies)), (model.spec.base or Path()).resolve()
        if size > 1 and self._folder is not None:
            known = model.document(), folder, model.adapted, (self._rows, self._fitting, Observer(), self._folder)
            run_apart(_train, [(*known, copies[k::size]) for k in range(size)], self.say)

    def trainers(self, places: Iterable[int], model: Session | None = None) -> Iterator[Trainer]:
        """Yield the trainers of some copies of a form, each at its checkpoint if it has one."""
        model = model or self.model
        forms, members, (raw, _) = [*model.spec.training.forms], model.copies(), self._rows
        folds = None if model.spec.training.folds is None else folds_of(model, raw)
        train, validation = prepared_parts(members[0], *self._rows)
        before = len(members) * (forms.index(str(model.spec.form)) if forms else 0)
        for k in places:
            rows, directory = (train, validation), None
            if folds is not None:
                rows = train.select(np.flatnonzero(folds != k)), train.select(np.flatnonzero(folds == k))
            if self._folder is not None:
                directory = self._folder / COPIES / f"{before + k + 1}"
                make_folder(directory)
                check_own(directory)
            trainer = self._fitting.trainer(members[k], *rows, _Quiet(self.observer), directory)
            trainer.seconds_between, trainer.concludes = SECONDS_BETWEEN, False
            if directory is not None and (directory / "checkpoint.safetensors").exists():
                trainer.resume(own_checkpoint(members[k], directory))
                trainer.write_derived()
            yield trainer
            members[k].programs = ProgramCache()

    def _noted(self, trainer: Trainer, subject: str) -> str:
        """Record a trained copy, and return what is said of it: the epoch whose weights it has, with its values."""
        restored = [state.restored_epoch for state in trainer.states if state.restored_epoch is not None]
        epoch = restored[-1] if restored else trainer.epoch - 1
        logs = {key: values[epoch] for key, values in trainer.history.items()}
        shown = {key: value for key, value in logs.items() if key.startswith("val_")} or logs
        form = {"form": trainer.model.spec.form} if self.model.spec.training.forms else {}
        self._copies.append({**form, "seed": trainer.model.seed, "epochs": trainer.epoch, "epoch": epoch + 1})
        values = ", ".join(f"{key} {number(value)}" for key, value in shown.items())
        return f"{subject}epoch {epoch + 1} of {trainer.epoch}, {values}"

    def _key(self, running: RunningMetrics) -> tuple[str, bool]:
        """Return by which value forms are compared, the loss or numbers' first metric, and whether larger is better."""
        directions = running.directions()
        own = [key for key in directions if directions[key] is not None and key != "loss"]
        key = self.model.spec.training.choose or f"val_{own[0] if self._numbers and own else 'loss'}"
        return key, directions.get(key.removeprefix("val_")) == "up"

    def resume_from(self, directory: Path, ranks: int = 1) -> None:
        """Let every copy go on from its checkpoint. UsageError: the spec or its data have changed."""
        refuse_changes(self.model, directory, ranks)
        self.resumed = True

    def write_derived(self) -> None:
        """Do nothing: the run's own files are written at the end."""


def _train(job: tuple[dict[str, Any], Path, Adapted | None, tuple[Any, ...], Sequence[int]], send: Any) -> None:
    """Train some copies in a process of their own: the document and its folder, what was learnt, the rows, the places."""
    document, folder, adapted, training, places = job
    checked = check(document, allow_outside=True, adapted=adapted, base=folder)
    model = Session(*checked.require(), checked.diagnostics, adapted)
    for trainer in CopiesTrainer(model, *training).trainers(places):
        trainer.run()


def _means(histories: Sequence[Mapping[str, list[float]]]) -> dict[str, list[float]]:
    """Return the means by epoch, each over the copies that trained it."""
    longest = max(len(next(iter(each.values()), [])) for each in histories)
    return {
        key: [float(np.mean([each[key][k] for each in histories if k < len(each[key])])) for k in range(longest)]
        for key in histories[0]
    }
