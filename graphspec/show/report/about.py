"""What was trained, on what, how well it answers, and where it comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from graphspec.base.arrays.memory import human
from graphspec.base.document import Block, Cell, Code, Column, Facts, Folded, Group, Heading, Section, Span, Table, Text
from graphspec.base.text import count, duration, few, shell, shorten_end
from graphspec.engine.runtime.session import Session
from graphspec.graph.ir.dims import LearntSize
from graphspec.language.declarations import DataSource, HeadDecl, InputDecl, Spec
from graphspec.language.write import write_yaml
from graphspec.show.html import Opening
from graphspec.show.report.charts import amount
from graphspec.show.report.findings import Findings, mapping_in
from graphspec.show.report.importance import doubts
from graphspec.show.report.kinds import OUT_OF_FOLD, Scored
from graphspec.show.report.rows import file_name, run_name
from graphspec.show.report.verdicts import FEWEST, RESAMPLES, Interval, coverage, lines
from graphspec.show.report.worst import plain

# What a network does, in a plain sentence: what it reads and what its heads answer.
_LISTED = 5  # names that a sentence lists
_NAME = 40  # characters of a name


def sentence(model: Session) -> str:
    """Return what the network reads and answers, as plain text."""
    spec = model.spec
    answers = "; ".join(_answer(model, head) for head in list(spec.heads.values())[:_LISTED])
    more = len(spec.heads) - _LISTED
    return f"Reads {_inputs(spec)}. Answers {answers}" + (f"; and {count(more, 'further head')}." if more > 0 else ".")


def listed(names: Sequence[str]) -> str:
    """Return names as people list them: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def kind(model: Session) -> str:
    """Return the kind of the task, such as ``Classification``, ``Regression`` or ``Forecast``."""
    kinds = dict.fromkeys(kind_of(model, head) for head in model.spec.heads.values())
    if any(source.windows is not None for source in model.spec.data.values()) and [*kinds] == ["regression"]:
        return "Forecast"
    named = [k for k in kinds if k]
    return listed(named).capitalize() if named else "Network"


def kind_of(model: Session, head: HeadDecl) -> str:
    """Return the kind of a head's task; nothing if it has no loss."""
    loss = head.loss
    if loss is None:
        return ""
    units = model.graph.outputs[head.name].shape[-1]
    if loss.targets in ("labels", "groups"):
        return "sequence recognition" if loss.targets == "labels" else "embedding"
    if loss.targets in ("ids", "one_hot"):
        return "classification"
    if loss.fits == "classes" or loss.binary:
        return "classification" if units == 1 else "multi-label classification"
    return "regression"


def _inputs(spec: Spec) -> str:
    declared: Any = spec.document.get("inputs")
    parts = []
    for name, keys in declared.items() if isinstance(declared, dict) else ():
        if columns := keys.get("columns") if isinstance(keys, dict) else None:
            names = [str(column) for column in columns]
            parts.append(f"a record of {count(len(names), 'column')} ({_some(names)})")
        elif name in spec.inputs:
            parts.append(_input(spec, spec.inputs[name]))
    if not parts:
        parts = [_input(spec, decl) for decl in spec.inputs.values()]
    more = len(parts) - _LISTED
    *first, last = parts[:_LISTED] + ([count(more, "further input")] if more > 0 else [])
    return f"{'; '.join(first)}; and {last}" if first else last


def _input(spec: Spec, decl: InputDecl) -> str:
    source = next((s for s in spec.data.values() if s.windows is not None and decl.name in (s.inputs or {})), None)
    if source is not None and source.windows is not None and source.inputs is not None:
        columns, windows = source.inputs[decl.name], source.windows
        of = few([columns] if isinstance(columns, str) else columns, _LISTED)
        past, ahead = count(windows.length, "step"), count(windows.horizon, "step")
        words = {"past": f"{of} of the last {past}", "future": f"{of} of the {ahead} ahead", "static": of}
        return words[windows.reading(decl.name)]
    name, sizes = _short(decl.name), [str(n) if isinstance(n, int) else "any" for n in decl.shape]
    shape = " × ".join(sizes)
    if decl.dtype == "string":
        return f"a text, {name}" if not sizes or sizes == ["1"] else f"{shape} texts, {name}"
    if len(sizes) == 3 and decl.shape[2] in (1, 3, 4):
        return f"a picture of {' × '.join(sizes[:2])} pixels, {name}"
    return f"{shape or 'a'} number{'' if shape in ('', '1') else 's'}, {name}"


def _answer(model: Session, head: HeadDecl) -> str:
    value, what = model.graph.outputs[head.name], kind_of(model, head)
    units = value.shape[-1] if value.rank > 1 else 1
    name, steps = _short(head.name), " at each step" if value.rank > 2 else ""
    labels = head.labels or []
    if what == "classification":
        choice = f"one of {units} classes{f' ({_some(labels)})' if labels else ''}"
        if units == 1:
            choice = " or ".join(map(_short, labels)) if len(labels) == 2 else "yes or no"
        return f"{name}: {choice}{steps}"
    return f"{name}: " + {
        "multi-label classification": f"which of {units} classes apply{steps}",
        "sequence recognition": "a sequence of labels",
        "regression": f"{'a number' if units == 1 else f'{units} numbers'}{steps}",
    }.get(what, f"{units} numbers")


def _some(names: Sequence[str]) -> str:
    return few([_short(name) for name in names], _LISTED)


def _short(name: str) -> str:
    return shorten_end(" ".join(name.split()), _NAME)


# What was trained, on what, and how well it answers.
_TILES = 6
_ROWS = 14  # values of a table that stands open


def headline(found: Findings) -> Section | None:
    """Return the losses and metrics of the judged rows, and the facts of the training."""
    judged = found.judged
    parts: list[Block] = [Text(f"{found.missing} The results of the training are in the curves below.", "note")]
    if judged is not None:
        parts = [Text(text, "verdict") for text in coverage(judged)]
        parts += [_said(found, judged), _tiles(found, judged), _table(found, judged)]
    parts += [Heading("Training"), Facts(list(facts_of(found)), "facts")]
    ways, alarm = {verdict.better for verdict in found.verdicts}, False in [ln.better for ln in lines(found.verdicts)]
    word = "not " if alarm else "" if ways == {True} else "partly " if True in ways else "perhaps "
    return Section("results", "Results", parts, f"{word}better than simple rules" if ways else "", alarm)


def opening(found: Findings) -> Opening:
    """Return what stands above the sections: whether each head beats the best simple rule, and what speaks against that."""
    model, said = found.model, list[Block]()
    for line in lines(found.verdicts):
        measured, dot, rest = line.text.partition(". ")
        said.append(Text((Span(measured + dot, "b"), rest), "warning" if line.better is False else "verdict"))
    said += [Text(doubt[:1].upper() + doubt[1:], "warning") for doubt in doubts(found)]
    return Opening(model.spec.name, about(found), (model.spec.description, sentence(model)), said)


def about(found: Findings) -> str:
    """Return the line above the title: the kind of task and the day of the training."""
    starts = [] if found.times is None else found.times.starts
    day = f" · trained on {moment(starts[0].at).partition(',')[0]}" if starts else ""
    return f"{kind(found.model)}{day}"


def _said(found: Findings, judged: Scored) -> Text:
    """Return on which rows the network is judged, and what the intervals mean."""
    windows = "windows" if judged.raw.times is not None else "rows"
    rows = {
        "test": f"{judged.total:,} test {windows}, which the training has not seen",
        "given": f"{judged.total:,} rows that were given to the report",
        "out of fold": f"{judged.total:,} training rows, {OUT_OF_FOLD}",
        "validation": f"{judged.total:,} validation {windows}, as the spec has no test data: the training did not learn "
        "from them, but may have been stopped or chosen by them",
        "train": f"the {judged.total:,} training {windows} themselves, as the spec has neither test nor validation data: "
        "new rows will be answered less well",
    }["out of fold" if judged.out_of_fold else judged.part]
    said = ""
    if found.intervals:
        how = "stretches of time" if judged.raw.times is not None else "rows"
        sample = "" if len(judged.rows) == judged.total else f", from {len(judged.rows):,} of them,"
        said = f" Ranges are 95 % intervals{sample}: of shares by Wilson's formula, of other values"
        said += f" by {RESAMPLES:,} bootstrap resamples of {how}."
    elif judged.total < FEWEST:
        said = f" There are no intervals for fewer than {FEWEST} rows."
    changed = Span("These rows have changed since the training.", "strong")
    return Text((f"Judged on {rows}.", (" ", changed) if found.changed else "", said))


def _tiles(found: Findings, judged: Scored) -> Group:
    """Return the main values: metrics with one value each, then the loss."""
    others = {"loss", *(f"{name}_loss" for name in judged.heads), *judged.meanings}
    metrics = [key for key in judged.results if key not in others]
    tiles: list[Block] = []
    for key in (*metrics[: _TILES - 1], "loss"):
        more = between(found.intervals.get(key)) or "\u00a0"
        tiles.append(Group("tile", [Text(key, "name"), Text(amount(judged.results[key]), "value"), Text(more, "more")]))
    return Group("tiles", tiles)


def _table(found: Findings, judged: Scored) -> Block:
    """Return all values, as ``graphspec evaluate`` prints them, beside those of the last epoch."""
    train = {key: values[-1] for key, values in found.history.items() if values}
    prefixes = {"training": "", "validation": "val_"}
    trained = {c: any(start + key in train for key in judged.results) for c, start in prefixes.items()}
    last = [c for c in prefixes if c != judged.part and trained[c]]
    columns = ["Loss or metric", judged.part, "95 % interval", *last, *(["of"] if judged.meanings else [])]
    rows: list[list[str | Cell]] = []
    for key, value in judged.results.items():
        epoch = [amount(train[name]) if (name := prefixes[c] + key) in train else "" for c in last]
        meaning = [judged.meanings.get(key, "")] if judged.meanings else []
        rows.append([key, Cell(amount(value), float(value)), between(found.intervals.get(key)), *epoch, *meaning])
    others = f"; {' and '.join(last)} as in the last epoch" if last else ""
    caption = f"Losses and metrics on the {judged.part} rows{others}"
    described = [Column(c, "" if c in ("Loss or metric", "of") else "number") for c in columns]
    table = Table(described, rows, caption, label="Losses and metrics")
    return table if len(rows) <= _ROWS else Folded(f"All {len(rows):,} values", [table])


def between(interval: Interval | None) -> str:
    """Return the ends of an interval as text; nothing without one."""
    return "" if interval is None else f"{amount(interval.low)} to {amount(interval.high)}"


def facts_of(found: Findings) -> Iterator[tuple[str, str]]:
    """Yield the facts of a training, by name, as plain text."""
    model, times, record = found.model, found.times, found.record
    spec, epochs = model.spec, max(map(len, found.history.values()), default=0)
    yield from data_facts(found).values()
    if times is not None and times.starts:
        again = len(times.starts) - 1
        resumed = f"; resumed {'once' if again == 1 else f'{again:,} times'}" if again else ""
        yield "Trained", f"{moment(times.starts[0].at)}{resumed}"
    if times is not None and times.seconds is not None:
        speed = f", {times.rows_per_second:,.0f} rows per second" if times.rows_per_second else ""
        each = f", {duration(times.seconds / epochs)} per epoch" if epochs > 1 and times.complete else ""
        yield "Training time", f"{'' if times.complete else 'at least '}{duration(times.seconds)}{each}{speed}"
    if epochs:
        wanted = spec.training.epochs
        of = f" of {wanted:,}" if wanted > epochs else ""
        yield "Epochs", f"{epochs:,}{of}" + (f"; stopped: {found.stopped}" if found.stopped else "")
        restored = None if times is None else times.restored_epoch
        listed = [c for c in record.get("copies", ()) if isinstance(c, dict)]
        copies = [c.get("epoch") for c in listed if c.get("form") == spec.form]
        form = f"form {spec.form}, " if spec.form else ""
        if len(copies) > 1:
            yield "Copies", f"{form}{len(copies)}, with their weights of the epochs {', '.join(map(str, copies))}"
        else:
            yield "Weights", f"of epoch {restored:,}, restored" if restored else f"of the last epoch, {epochs:,}"
    params = list(model.graph.params.values())
    total, trained = sum(p.size for p in params), sum(p.size for p in params if p.trainable)
    if not isinstance(total, LearntSize):
        part = "" if trained == total else f", {trained:,} of them trainable"
        size = f"{count(len(spec.nodes), 'layer')}, {count(total, 'parameter')}{part}"
        yield "Network", f"{size}; {human(4 * total)} of weights"
    optimizer = type(spec.training.optimizer).__name__
    workers = record.get("workers", 1)
    processes = f", {workers} processes" if isinstance(workers, int) and workers > 1 else ""
    yield "Optimizer", f"{optimizer}, batches of {spec.training.batch_size:,}, seed {spec.training.seed}{processes}"
    yield "Exported", exported(record)


def exported(record: Mapping[str, Any]) -> str:
    """Return the file to which ``train --export`` wrote a run, and what its proof says."""
    known = record.get("exported")
    if not isinstance(known, dict) or not isinstance(known.get("bytes"), int):
        return "not with the training"
    proof = "; ".join(str(known.get("proof")).splitlines())
    return f"{known.get('file')}, {human(known['bytes'])}: {proof}"


def data_facts(found: Findings) -> dict[str, tuple[str, str]]:
    """Return for each part of the data its name, such as Training rows, and how many rows of what they are."""
    spec, judged = found.model.spec, found.judged
    times, facts = found.times, {}
    known = {} if times is None else {"train": times.rows, "validation": times.validation_rows}
    known |= {} if judged is None else {judged.part: judged.total}
    for part, name in (("train", "Training rows"), ("validation", "Validation rows"), ("test", "Test rows")):
        if source := spec.data.get(part):
            rows = known.get(part)
            facts[part] = name, f"{f'{rows:,} of ' if rows else ''}{_source(source)}"
    return facts


def _source(source: DataSource) -> str:
    if source.at_origins:
        return f"the training data, {source.at_origins}"
    if source.split is not None:
        how = "at the end " if source.in_order or source.by_time else ""
        by = f", stratified by {source.stratify}" if source.stratify else ""
        return f"the training data, {100 * source.split:g} % {how}of it{by}".replace("  ", " ")
    if source.folds is not None:
        return f"the training data, {OUT_OF_FOLD}"
    if source.query is not None:
        return "a query" if source.file is None else f"a query of {source.file.name}"
    return ", ".join(file_name(path) for path in source.paths) or "the data"


def moment(at: str) -> str:
    """Return a moment of ``timing.json`` as people write it; as it is if it is none."""
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return at
    return f"{found.day} {found:%B %Y, %H:%M} {found.tzname() or ''}".strip()


# Where a run comes from: its spec, what was learnt from rows, versions, hashes, and the commands that repeat and use it.
_SPEC = 20_000  # characters of the spec that are shown
_LEARNT = 60  # layers whose learnt arguments are shown
_VALUES = 200  # characters of learnt values
_NOT_KEPT = Text(("The model is in the memory only: ", Span("model.save(…)", "code"), " keeps it in a run directory."))


def origins(found: Findings) -> Section:
    """Return the spec, versions and hashes of a run, and commands."""
    kept = [*_repeat(found), *_use(found)] if found.directory is not None else [_NOT_KEPT]
    blocks = [*kept, _spec(found.model), *_learnt(found.model), *_versions(found)]
    return Section("origins", "Spec and versions", blocks)


def _repeat(found: Findings) -> list[Block]:
    """Return the command that repeats the run, and what the same bits need."""
    run, spec = run_name(found.directory), found.model.spec
    words = ["graphspec", "train", f"{run}/spec.json", "--out", f"{run}-again"]
    workers = found.record.get("workers")
    if spec.training.workers == "mpi" and isinstance(workers, int) and workers > 1:
        words = ["mpiexec", "-n", f"{workers}", *words]
    elif isinstance(workers, int) and workers > 1 and spec.training.workers != workers:
        words += ["--set", f"training.workers={workers}"]
    return [Heading("Repeat it"), Code(shell(*words), "repeat"), Text(same_bits(found.record))]


def same_bits(record: Mapping[str, Any]) -> str:
    """Return with what a training gives the same bits again."""
    packages = mapping_in(record, "packages")
    numpy = f" and NumPy {packages['numpy']}" if "numpy" in packages else ""
    version = record.get("graphspec")
    needs = f"graphspec {version}{numpy}" if version else "the same versions of graphspec and NumPy"
    kernels = _kernels(record)
    on = f", on a processor with the same BLAS kernels ({kernels})" if kernels else ", on the same kind of processor"
    return f"The same bits come out with the same data, with {needs}{on}, and with as many workers."


def _use(found: Findings) -> list[Block]:
    run, model = run_name(found.directory), found.model
    source = next(iter(model.spec.data.values()), None)
    rows = "new_rows.csv"
    if source is not None and (source.images is not None or source.texts is not None):
        rows = "new_files"
    elif source is not None and source.file is not None and source.query is None and "*" not in source.file.name:
        rows = "new_rows" + "".join(source.file.suffixes[-2:] if source.file.suffix == ".gz" else [source.file.suffix])
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in model.spec.name)[:60] or "model"
    labels = ["--labels"] if model.labels else []
    lines = [
        shell("graphspec", "predict", run, rows, *labels),
        shell("graphspec", "export", run, "-o", f"{name}.onnx"),
        *([shell("graphspec", "evaluate", run)] if "test" in model.spec.data else []),
    ]
    return [Heading("Use it"), Code("\n".join(lines), "use")]


def _spec(model: Session) -> Block:
    shown = write_yaml(model.spec.document).rstrip("\n")
    cut = len(shown) > _SPEC
    if cut:
        shown = shown[: shown.rfind("\n", 0, _SPEC)]
    note = [Text("The rest is in spec.json of the run.", "note")] if cut else []
    return Folded(f"Spec ({count(shown.count(chr(10)) + 1, 'line')})", [Code(shown, "spec"), *note])


def _learnt(model: Session) -> list[Block]:
    adapted = model.adapted
    if adapted is None:
        return []
    states = [*adapted.layers.items(), *((f"head {name}", state) for name, state in adapted.heads.items())]
    learnt = [(shorten_end(name, 60), *each) for name, state in states[:_LEARNT] for each in state.items()]
    rows = [(name, key, _values(value)) for name, key, value in learnt]
    if not rows:
        return []
    more = len(states) - _LEARNT
    note = [Text(f"{count(more, 'more layer')} in adapted.json of the run.", "note")] if more > 0 else []
    table = Table(("layer", "argument", "values"), rows, label="Learnt before training")
    rows_of = f" from {count(adapted.rows, 'training row')}" if adapted.rows else ""
    return [Folded(f"Learnt{rows_of} before the first step", [table, *note])]


def _values(value: Any) -> str | tuple[str | Span, ...]:
    if isinstance(value, Mapping) and "shape" in value:  # the array of a file
        return f"{value.get('dtype')}{value['shape']}"
    if not isinstance(value, list):
        return shorten_end(_one(value), _VALUES)
    words: list[str] = []
    for each in value[:200]:
        words.append(_one(each))
        if sum(map(len, words)) + 2 * len(words) > _VALUES:
            break
    more = [Span(f" … {len(value):,} in all", "share")] if len(value) > len(words) else []
    return (shorten_end(", ".join(words), _VALUES), *more)


def _one(value: Any) -> str:
    if isinstance(value, float):
        return plain(np.float32(value) if abs(value) < 3e38 else value)
    return (value if value.strip() else repr(value)) if isinstance(value, str) else str(value)


def _versions(found: Findings) -> list[Block]:
    record = found.record

    def several(key: str, name: str = "{}") -> dict[str, Any]:
        return {name.format(k): str(v) for k, v in mapping_in(record, key).items()}

    facts: dict[str, Any] = {
        "graphspec": record.get("graphspec"),
        "Python": record.get("python"),
        **several("packages"),
        "platform": record.get("platform"),
        "processor cores": record.get("cores"),
        "BLAS kernels": _kernels(record),
        "graphspec-onnx-kernels": _kernels(record, "compiled"),
        **several("blas_threads"),
        "workers": record.get("workers"),
        "seed": str(record.get("seed", found.model.seed)),
        "SHA-256 of the spec": record.get("spec_sha256"),
        "SHA-256 of what was learnt from rows": record.get("adapted_sha256"),
        **several("data_sha256", "SHA-256 of the {} data"),
    }
    if found.directory is not None and (weights := found.directory / "weights.safetensors").is_file():
        with weights.open("rb") as file:
            facts["SHA-256 of the weights"] = hashlib.file_digest(file, "sha256").hexdigest()
    texts = {name: str(value) for name, value in facts.items() if value}
    shown = [(name, Span(value, "code") if "SHA" in name else value) for name, value in texts.items()]
    return [Heading("Versions and hashes"), Facts(shown, "facts")]


def _kernels(record: Mapping[str, Any], which: str = "kernels") -> str:
    return str(mapping_in(record, "plan").get(which) or "")
