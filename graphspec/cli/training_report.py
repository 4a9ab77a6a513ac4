"""What ``train`` says before the first epoch and after the last one."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from typing import Literal

from graphspec.base import text as t
from graphspec.base.arrays.memory import human, peak
from graphspec.cli.console import complain, out, out_wrapped
from graphspec.cli.results import curve_lines
from graphspec.data.batches import Dataset, Times
from graphspec.data.targets import small_classes
from graphspec.engine.runtime.session import Session
from graphspec.engine.training import advice as hints
from graphspec.engine.training.reporting import monitored
from graphspec.engine.training.trainer import Trainer
from graphspec.graph.initializers import Vectors
from graphspec.graph.ir.dims import LearntSize
from graphspec.language.declarations import DataSource, HeadDecl, Spec

_HEADS = 3  # heads that are described
_PIPED = 100  # columns of a line in a file or a pipe
_LABEL = 24  # columns of a label


def announce(model: Session, trainer: Trainer) -> None:
    """Print what the training reads and trains: rows, targets, parameters. No row is read for this."""
    for line in _rows(model, trainer):
        out_wrapped(line)
    heads = model.spec.trained
    width = t.terminal_width(sys.stdout) or _PIPED
    for head in heads[:_HEADS]:
        value = model.graph.outputs.get(head.name)
        found = None if value is None else hints.summarize(head, value, trainer.loader.dataset)
        if found is not None:
            out_wrapped(f"{head.name}: {describe(found, width - t.display_width(head.name) - 2)}")
        if isinstance(found, hints.ClassShares) and found.exact and not found.several and found.positions == 1:
            counted = zip(found.labels, found.counts.tolist(), strict=True)
            if (small := small_classes({label: n for label, n in counted if n})) is not None:
                complain(f"warning: {head.name}: {small}")
    if len(heads) > _HEADS:
        out_wrapped(f"… and {t.count(len(heads) - _HEADS, 'further head')}")
    if len(heads) > 1:
        out_wrapped(_total(heads, model.spec.training.combine))
    for param in model.graph.params.values():
        if isinstance(param.initializer, Vectors) and (told := param.initializer.told):
            out_wrapped(f"{param.name}: {told}")
    for known in model.initial_weights:
        out_wrapped(str(known))
    out_wrapped(_settings(model, trainer))


def _total(heads: Sequence[HeadDecl], combine: str) -> str:
    """Return how the losses of several heads become one: Keras adds them up, and the default is a mean."""
    if all(head.weight == 1 for head in heads):
        return f"loss: the {combine} of the heads' losses"
    weights = ", ".join(f"{head.name} {head.weight:g}" for head in heads[:_HEADS])
    more = ", …" if len(heads) > _HEADS else ""
    return f"loss: the weighted {combine} of the heads' losses, {weights}{more}"


def _rows(model: Session, trainer: Trainer) -> Iterator[str]:
    """Yield where rows come from: one line for training rows, one for the others."""
    sources, spec = model.spec.data, model.spec
    train = sources.get("train")
    rows = f"train: {_count(trainer.loader.dataset, train)}"
    together = "" if train is None or not train.group else f", those of each {train.group} together"
    yield rows + ("" if train is None else f" of {_name(train, spec)}{_filled(trainer.loader.dataset.times)}{together}")
    others = []
    if trainer.validation is not None:
        text = f"validation: {_count(trainer.validation, train)}"
        source = sources.get("validation")
        if source is not None and source.is_split:
            share = f"{(source.split or 0) * 100:g} %"
            how = f"{share} of it" + ("" if source.stratify is None else f", stratified by {source.stratify}")
            if trainer.loader.dataset.times is not None:
                how = source.at_origins or f"the last {share} of the time"
            elif source.in_order:
                how = f"the last {share}"
            text += f" ({how})"
        elif source is not None:
            text += f" of {_name(source, spec)}"
        others.append(text)
    if (copies := spec.training.copies) > 1:
        what = f"each without one fold of about {t.count(len(trainer.loader.dataset) // copies, 'row')}"
        others.insert(0, f"{copies} copies, {what if spec.training.folds else 'each with a seed of its own'}")
    if "test" in model.parts:
        others.append(f"test: {_count(model.parts['test'], sources.get('test'))}")
    if others:
        yield "; ".join(others)


def _filled(times: Times | None) -> str:
    """Return how much of a table is filled in, rows and values, as the rest of a sentence."""
    steps = 0 if times is None else int(times.series.added.sum())
    parts = [t.count(n, noun) for n, noun in ((steps, "row"), (times.filled if times else 0, "value")) if n]
    return f" ({' and '.join(parts)} filled in)" if parts else ""


def _count(data: Dataset, source: DataSource | None) -> str:
    return t.count(len(data), "row" if source is None or source.windows is None else "window")


def _name(source: DataSource, spec: Spec) -> str:
    """Return the source of rows as people name it: its path, from the spec's folder where it is below it."""
    if source.query is not None:
        return "the query"
    path = source.paths[0]
    try:
        name = path.relative_to(source.beside if spec.base is None else spec.base)
    except ValueError:
        name = path
    return t.shorten_middle(name.as_posix(), 60)


def describe(found: hints.Summary, room: int) -> str:
    """Describe targets: their classes with shares, the most frequent first, in so many columns; or their mean and range."""
    if isinstance(found, hints.ClassShares):
        return _classes(found, room)
    if isinstance(found, hints.Numbers):
        several = f"{found.values:,} numbers per row, " if found.values > 1 else ""
        values = f"{_plain(found.low)} to {_plain(found.high)}, mean {_plain(found.mean)} ± {_plain(found.deviation)}"
        return several + ("" if found.exact else "about ") + values
    return f"sequences of at most {found.longest:,} of {t.count(found.classes, 'label')}"


def _plain(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 or abs(value) >= 1e15 else f"{value:,.0f}"


def _classes(found: hints.ClassShares, room: int) -> str:
    order = sorted(range(len(found.labels)), key=lambda k: -found.counts[k])
    many = t.count(len(order), "class", "classes")
    positions = f" at each of {found.positions:,} positions" if found.positions > 1 else ""
    start = f"{many}{positions}, of which several may apply" if found.several else f"{many}{positions}"
    text = f"{start}: " if found.exact else f"{start}, about: "
    numbered = any(label[-1:].isdigit() for label in found.labels)
    for place, k in enumerate(order):
        label, share = t.shorten_end(" ".join(found.labels[k].split()), _LABEL), t.percent(found.share(k))
        item = f"{label} ({share})" if numbered else f"{label} {share}"
        left = len(order) - place - 1
        rest = f", … down to {t.percent(found.share(order[-1]))}"
        longer = text + (", " if place else "") + item
        if place and t.display_width(longer + (rest if left else "")) > room:
            return text + rest
        text = longer
    return text


def _settings(model: Session, trainer: Trainer) -> str:
    params, training = model.graph.params.values(), model.spec.training
    total, trainable = sum(p.size for p in params), sum(p.size for p in params if p.trainable)
    assert not isinstance(total, LearntSize), "what was to be learnt has been learnt"
    parts = [t.count(total, "parameter") + (f" ({trainable:,} trainable)" if trainable != total else "")]
    parts[0] += f" in form {model.spec.form}" if training.forms else ""
    optimizer = type(training.optimizer).__name__
    scheduled = trainer.rate.schedule is not None
    parts.append(optimizer if scheduled else f"{optimizer} with learning rate {trainer.rate.value:g}")
    parts.append(f"batch size {trainer.loader.batch_size}")
    workers = _workers(trainer, training.workers)
    parts.append(workers if training.shards is None else f"{training.shards} shards in {workers}")
    return ", ".join(parts)


def _workers(trainer: Trainer, workers: int | str) -> str:
    if workers == "mpi" or trainer.steps.ranks is not None:
        ranks = t.count(1 if trainer.steps.ranks is None else trainer.steps.ranks.size, "rank")
        return f"{ranks} of {workers} processes" if isinstance(workers, int) else ranks
    if workers == 1:
        return "one process"
    return "workers: auto" if isinstance(workers, str) else f"{workers} processes"


# At the end.
def report(trainer: Trainer, epochs: int, seconds: float) -> None:
    """Print the time of a training, its best epoch, and what explains a validation loss that is far from the loss.

    ``epochs`` were trained in ``seconds``; a resumed run has more.
    """
    if trainer.model.spec.training.several:
        out_wrapped(f"trained in {t.duration(seconds)}")
        return
    if epochs:
        each = f", {t.duration(seconds / epochs)} per epoch" if epochs > 1 else ""
        stopped = f"; stopped: {trainer.stopped}" if trainer.stopped is not None else ""
        out_wrapped(f"trained {t.count(epochs, 'epoch')} in {t.duration(seconds)}{each}{stopped}")
        # rows per second over validation and checkpoints, too, and the memory of this process
        speed = f"speed: {len(trainer.loader.dataset) * epochs / max(seconds, 1e-9):,.0f} rows/s"
        out_wrapped(speed if (memory := peak()) is None else f"{speed}; memory: at most {human(memory)}")
        out(*curve_lines(trainer.history, t.terminal_width(sys.stdout), has_blocks=t.can_show(sys.stdout)))
    best = best_epoch(trainer)
    restored = restored_epoch(trainer)
    if best is not None:
        key, epoch = best
        text = f"best: epoch {epoch + 1} of {trainer.epoch}, {key} {t.number(trainer.history[key][epoch])}"
        if restored is not None:
            text += f"; the weights are those of epoch {restored + 1}"
        elif not getattr(trainer.model.spec.training.optimizer, "use_ema", False) and epoch + 1 < trainer.epoch:
            text += f"; the weights are those of the last epoch, {key} {t.number(trainer.history[key][-1])}"
        out_wrapped(text)
    hint = hints.advice(evidence(trainer, restored=restored is not None))
    if hint is not None:
        out_wrapped(f"hint: {hint}", 6)


def best_epoch(trainer: Trainer) -> tuple[str, int] | None:
    """Return what callbacks monitor, else ``val_loss``, and the epoch from 0 in which it was best.

    None without validation and monitors: then the training loss shows no best epoch.
    """
    found = monitored(trainer.model.spec.training.callbacks)
    key, larger = next((pair for pair in found if pair[0] in trainer.history), found[-1])
    finite = [(k, value) for k, value in enumerate(trainer.history.get(key, [])) if math.isfinite(value)]
    if not finite:
        return None
    return key, (max if larger else min)(finite, key=lambda item: item[1])[0]


def restored_epoch(trainer: Trainer) -> int | None:
    """Return the epoch, from 0, whose weights a callback has restored."""
    found = [state.restored_epoch for state in trainer.states if state.restored_epoch is not None]
    return found[-1] if found else None


def evidence(trainer: Trainer, *, restored: bool) -> hints.Evidence:
    """Collect what explains a validation loss that is far from the training loss."""
    model = trainer.model
    momenta, only_in_training = hints.evidence_of(model.spec)
    unseen: dict[str, Sequence[str]] = {}
    targets: dict[str, tuple[float, float]] = {}
    largest = guessing = None
    if trainer.validation is not None:
        heads = [head for head in model.spec.heads.values() if head.loss is not None]
        for head in heads:
            value = model.graph.outputs[head.name]
            train = hints.summarize(head, value, trainer.loader.dataset)
            if isinstance(train, hints.Numbers) and head.scale is None:
                targets[head.name] = train.mean, train.deviation
            validation = hints.summarize(head, value, trainer.validation)
            if not isinstance(train, hints.ClassShares) or not isinstance(validation, hints.ClassShares):
                continue
            lists = head.name in trainer.loader.dataset.sizes  # of whose tags some are always rare
            if not lists and (missing := train.missing_in(validation)):
                unseen[head.name] = missing
            if len(heads) == 1 and not validation.several:
                k = int(validation.counts.argmax())
                largest = validation.share(k), validation.labels[k]
                shares = [validation.share(k) for k in range(len(validation.counts)) if validation.counts[k]]
                guessing = -sum(share * math.log(share) for share in shares)
    updates = model.optimizer_state.clock.step
    unscaled = hints.unscaled_inputs(model.spec, trainer.loader.dataset) if guessing is not None else []
    source = model.spec.data.get("validation")
    split: Literal["random", "last"] | None = None  # of rows that are no part of the training rows
    if source is not None and source.is_split:
        split = "last" if source.in_order or source.by_time else "random"
    seen = (trainer.history, updates, momenta, only_in_training, unseen, split)
    return hints.Evidence(*seen, largest, targets, restored, unscaled, guessing)
