"""``graphspec predict``: compute the heads for new rows, with a run or an ONNX file."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from graphspec.base.errors import SpecError, UsageError
from graphspec.base.files import DATA_SUFFIXES, written_in_parts
from graphspec.cli.console import err, out_wrapped, print_diagnostics, write_data
from graphspec.cli.options import Answering, argument, flag, option, output_file
from graphspec.cli.targets import is_spec, open_model, refuse_other, spec_for_run

if TYPE_CHECKING:
    from graphspec.data.new_rows import NewRows
    from graphspec.graph.ir.graph import Array, Graph
    from graphspec.language.declarations import Spec

_BATCH_ROWS = 256  # rows per call of the network
_SOME = 8  # names in a message
_WANTED = "name a run directory or an ONNX file"


def predict(  # noqa: PLR0913 (options)
    source: Answering,
    data: Annotated[
        Path,
        argument(
            "DATA",
            f"New rows: {', '.join((*DATA_SUFFIXES, '.json'))}; a folder of pictures or texts, or one of them; "
            "- reads JSON Lines from standard input.",
        ),
    ],
    output: Annotated[
        Path | None,
        output_file(
            "A .npz, .csv or .jsonl file; by default CSV is printed. With --explain: .html, .svg, .csv, .jsonl."
        ),
    ] = None,
    json: Annotated[bool, flag("--json", "Print JSON Lines instead of CSV.")] = False,
    labels: Annotated[
        bool, flag("--labels", "Only the predicted labels; without other columns, one per line.")
    ] = False,
    keep: Annotated[
        list[str] | None, option("COLUMN", "A column of DATA to carry over to the output; may be repeated.")
    ] = None,
    last: Annotated[
        bool, flag("--last", "Only the next steps of each series in DATA, a row for each, with their times.")
    ] = False,
    explain: Annotated[
        bool, flag("--explain", "Say what each value of a row adds to the answer; needs a run.")
    ] = False,
    head: Annotated[str | None, option("NAME", "With --explain: the head, if there are several.", "--head")] = None,
    label: Annotated[
        str | None,
        option("LABEL", "With --explain: the class, a label or a number; by default the predicted one.", "--class"),
    ] = None,
    rows_explained: Annotated[
        int | None, option("N", "With --explain: how many rows; 10 by default.", "--rows", min=1, max=256)
    ] = None,
    baseline: Annotated[
        Path | None, option("FILE", "With --explain: rows whose mean is the baseline.", "--baseline")
    ] = None,
) -> None:
    """Predict for new rows; arrays or columns are mapped to inputs as in the spec's data."""
    from graphspec.cli.rows import encode_rows, suffix_of

    options = {"--head": head, "--class": label, "--rows": rows_explained, "--baseline": baseline}
    if not explain and (strange := [name for name, value in options.items() if value is not None]):
        raise UsageError(f"{strange[0]} belongs to --explain: add --explain, or leave it out")
    if explain and (labels or last or keep):
        raise UsageError("--labels, --keep and --last are for answers, not for --explain: leave them out")
    if json and output is not None:
        raise UsageError("--json prints JSON Lines; with -o, the file's suffix determines the format")
    suffix = ".jsonl" if json or explain else suffix_of(output)
    refuse_other(source, _WANTED)
    if explain and is_spec(source):
        raise spec_for_run(source, "predict")
    if not source.exists() and not is_spec(source):
        raise UsageError(f"{source} does not exist; {'name a run directory' if explain else _WANTED}")
    if explain:
        from graphspec.cli.explanation import explain as explain_rows

        return explain_rows(source, data, output, head, label, rows_explained, baseline, json=json)
    network = _network(source)
    kept = _kept_names(keep or [], network.outputs)
    if suffix != ".npz":
        network = network.in_rows()
    chosen = network.chosen(labels=labels)
    found, beside, steps = _answers(network, data, kept, last=last)
    plain = labels and not keep and not last and output is None and not json and len(chosen) == 1
    names = chosen if plain else [*beside, *chosen]
    answers = ({name: answer[name] for name in names} for answer in found)
    encode = partial(encode_rows, suffix=suffix, labels=network.labels, steps=steps)
    rows = _write(_joined(answers) if suffix == ".npz" else answers, output, _lines if plain else encode)
    if output is not None:
        out_wrapped(f"{output}: {rows:,} rows of {', '.join(names)}")


@dataclass(frozen=True)
class _Network:
    """A run or an ONNX file."""

    spec: Spec
    graph: Graph
    outputs: Sequence[str]  # the names of the heads and their labels
    run: Callable[[Mapping[str, Array]], dict[str, Array]]  # computes the outputs for one batch
    # called with the number of rows before outputs of all of them are collected
    expect: Callable[[int], None] = lambda rows: None
    lists: Sequence[str] = ()  # heads whose labels are lists, without padding

    @property
    def labels(self) -> dict[str, list[str]]:
        return {head.name: head.labels for head in self.spec.heads.values() if head.labels is not None}

    @property
    def tags(self) -> list[str]:
        """The heads with a label for each token."""
        from graphspec.engine.compiler.lowered_network import masks_of_tags
        from graphspec.language.declarations import LABEL

        names = self.labels.keys() - self.sequences()
        return list(masks_of_tags(self.graph.outputs, [name for name in names if name + LABEL in self.outputs]))

    def in_rows(self) -> _Network:
        """Return the network as tables have it: of many tags, the probability of each at each token fills no table."""
        tags = self.tags
        outputs = [name for name in self.outputs if name not in tags]
        return replace(self, outputs=outputs, run=_without(self.run, tags), lists=tags)

    def sequences(self) -> list[str]:
        """Return the CTC heads: an answer is one text, not a label for each step."""
        from graphspec.vocabulary.metrics import targets_of

        heads = self.spec.heads.values()
        return [head.name for head in heads if head.loss is not None and targets_of(head.loss) == "labels"]

    def chosen(self, *, labels: bool) -> list[str]:
        """Return the heads and labels of the answer."""
        from graphspec.language.declarations import LABEL

        wanted = [head + LABEL for head in self.spec.heads] if labels else self.outputs
        names = [name for name in self.outputs if name in wanted]
        if not names:
            raise UsageError("no head has labels; leave out --labels")
        return names


def _without(run: Callable[..., dict[str, Array]], heads: Sequence[str]) -> Callable[..., dict[str, Array]]:
    """Return the run of a network without these heads."""
    return lambda feeds: {name: array for name, array in run(feeds).items() if name not in heads}


def _kept_names(keep: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """Return the names of kept columns in the answer: ``<name>_given`` for a column with the name of a head."""
    if twice := [name for k, name in enumerate(keep) if name in keep[:k]]:
        raise UsageError(f"the column '{twice[0]}' is kept twice")
    names: dict[str, str] = {}
    for name in keep:
        names[name] = name
        while names[name] in outputs or (names[name] != name and names[name] in keep):
            names[name] += "_given"
    return names


def _network(source: Path) -> _Network:
    from graphspec.export.onnx import with_labels
    from graphspec.export.read import read_exported
    from graphspec.language.declarations import LABEL

    if not source.is_dir() and not is_spec(source):
        found = read_exported(source)
        return _Network(found.spec, found.graph, list(found.outputs), found.run, found.refuse_too_large)
    model = open_model(source, "predict")
    names = [*model.graph.outputs, *(head + LABEL for head in model.labels)]

    def run_batch(feeds: Mapping[str, Array]) -> dict[str, Array]:
        return with_labels(model.run(feeds), model, model.step_masks(feeds))

    return _Network(model.spec, model.whole, names, run_batch)


def _answers(
    network: _Network, data: Path, kept: Mapping[str, str], *, last: bool
) -> tuple[Iterator[dict[str, Array]], list[str], dict[str, list[str]]]:
    """Return the outputs and the columns beside them: of a file all at once, of a stream as its rows come.

    With them come the names of the columns before the outputs, and by output what tables append to the name of a forecast
    for each step ahead, such as ``+1h``.
    """
    from graphspec.data.batches import in_batches
    from graphspec.data.new_rows import read_rows, stream_rows
    from graphspec.engine.compiler.lowered_network import lists_of
    from graphspec.language.declarations import Every

    windows = next((s.windows for s in network.spec.data.values() if s.windows is not None), None)
    horizon, every = (1, None) if windows is None else (windows.horizon, windows.every)

    def answered(rows: NewRows, answer: dict[str, Array]) -> dict[str, Array]:
        return _with_texts(network, answer, rows.steps) | {kept[name]: column for name, column in rows.kept.items()}

    def steps() -> dict[str, list[str]]:
        ahead = [(every or Every(1)).ahead(h + 1) for h in range(horizon)]
        return dict.fromkeys(network.outputs if horizon > 1 else (), ahead)

    beside = list(kept.values())
    if str(data) == "-":
        if last:
            raise UsageError("--last needs a table with the rows of a series: standard input has whole windows")
        stream = io.BytesIO() if sys.stdin is None else cast("io.BufferedReader", sys.stdin.buffer)
        parts = _told(stream_rows(network.spec, network.graph, stream, _BATCH_ROWS, list(kept)), set())
        return (answered(rows, network.run(rows.inputs)) for rows in parts), beside, steps()
    rows = read_rows(network.spec, network.graph, data, list(kept), last=last)
    print_diagnostics(rows.warnings)
    network.expect(len(next(iter(rows.inputs.values()))))
    answer = answered(rows, in_batches(rows.inputs, _BATCH_ROWS, network.run, lists_of(network.graph)))
    if rows.ends is not None:
        own = rows.ends.columns(ahead=last)
        beside, every = list(_kept_names(list(own), network.outputs).values()), every or rows.ends.series.every
        if last:
            answer = {name: _by_step(name, array, horizon) for name, array in answer.items()}
            if short := rows.ends.without:
                some = ", ".join(f"'{name}'" for name in short[:_SOME]) + (", …" if len(short) > _SOME else "")
                err(f"warning: no forecast of {some}: too few rows for a window")
        answer |= zip(beside, own.values(), strict=True)
    return iter([answer]), beside, steps()


def _told(parts: Iterable[NewRows], told: set[str | None]) -> Iterator[NewRows]:
    """Yield rows, and print their warnings; each advice once."""
    for rows in parts:
        print_diagnostics([warning for warning in rows.warnings if warning.hint not in told])
        told.update(warning.hint for warning in rows.warnings)
        yield rows


def answers_in_lines(source: Path) -> Callable[[bytes], bytes]:
    """Return a function that answers rows in JSON Lines as ``predict SOURCE - --json`` does, from any thread."""
    from graphspec.cli.rows import encode_rows
    from graphspec.data.new_rows import stream_rows

    network = _network(source).in_rows()

    def answer(lines: bytes) -> bytes:
        parts = []
        for rows in stream_rows(network.spec, network.graph, io.BytesIO(lines), _BATCH_ROWS):
            if rows.warnings:  # of keys that are misspelt: who asks does not see a warning
                raise SpecError(list(rows.warnings))
            found = _with_texts(network, network.run(rows.inputs), rows.steps)
            parts.append(encode_rows({name: found[name] for name in network.outputs}, ".jsonl"))
        return b"".join(parts)

    return answer


def _by_step(name: str, array: Array, horizon: int) -> Array:
    """Return an output of windows with a row for each step of their future."""
    if array.shape[1:2] == (horizon,):
        return array.reshape(-1, *array.shape[2:])
    if horizon == 1:
        return array
    has = f"'{name}' has {tuple(array.shape[1:])} per window"
    raise UsageError(f"--last needs a value for each of {horizon} steps: {has}; leave out --last")


def _with_texts(network: _Network, answer: dict[str, Array], steps: Mapping[str, Array]) -> dict[str, Array]:
    """Return an answer with one text for each row of a CTC head, in place of one label for each step, and with lists."""
    import numpy as np

    from graphspec.export.onnx import joined
    from graphspec.language.declarations import LABEL

    for name in network.sequences():
        if name + LABEL in answer:
            answer[name + LABEL] = joined(answer[name + LABEL], steps.get(name))
    for name in (head + LABEL for head in network.lists):
        rows = [[text for text in row if text] for row in answer[name].tolist()]
        answer[name] = np.fromiter(rows, object, len(rows))
    return answer


def _joined(answers: Iterable[dict[str, Array]]) -> Iterator[dict[str, Array]]:
    """Yield all rows as one answer: an archive cannot be written row by row."""
    import numpy as np

    parts = list(answers)
    yield {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _write(answers: Iterable[dict[str, Array]], output: Path | None, encode: Callable[..., bytes]) -> int:
    """Write answers as they come, and return the number of rows; a file appears at the end, if nothing fails."""
    rows, answers = 0, iter(answers)
    first = next(answers)  # an error of the first rows, or of a whole file, comes before anything is opened
    context: Any = nullcontext(write_data) if output is None else written_in_parts(output)
    with context as write:
        for answer in chain([first], answers):
            write(encode(answer, header=rows == 0))
            rows += len(next(iter(answer.values())))
    return rows


def _lines(answer: Mapping[str, Array], *, header: bool = True) -> bytes:
    """Return one label per line, without a header; those of several positions of a row are separated by spaces."""
    (labels,) = answer.values()
    if labels.dtype == object:
        return "".join(" ".join(row) + "\n" for row in labels.tolist()).encode()
    return "".join(" ".join(row) + "\n" for row in labels.reshape(len(labels), -1).tolist()).encode()
