"""``graphspec predict``: the heads' values for new rows, from a run or from an ONNX file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli.console import data as write_data
from graphspec.cli.console import out
from graphspec.cli.options import writable
from graphspec.errors import UsageError

if TYPE_CHECKING:
    from graphspec.api import Model
    from graphspec.ir.graph import Array

    Feeds = Mapping[str, Array]

_ROWS = 256
"""Rows that go through the network together."""


def predict(
    source: Annotated[
        Path, typer.Argument(metavar="RUN_OR_ONNX", help="A run directory or an ONNX file.", show_default=False)
    ],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="New rows: .npz, .csv, .tsv, .jsonl, .parquet.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            callback=writable,
            help=".npz, .csv or .jsonl [default: CSV on stdout].",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Predict for new rows; arrays or columns are mapped to inputs as in the spec's data."""
    from graphspec.cli.rows import encode_rows, suffix_of
    from graphspec.files import write_atomic

    suffix = suffix_of(output)
    if source.is_dir():
        outputs = _from_run(source, data)
    elif source.exists():
        outputs = _from_onnx(source, data)
    else:
        raise UsageError(f"{source} does not exist; name a run directory or an ONNX file")
    content = encode_rows(outputs, suffix)
    if output is None:
        write_data(content)
    else:
        write_atomic(output, content)
        out(f"{output}: {len(next(iter(outputs.values()))):,} rows of {', '.join(outputs)}")


def _from_run(run: Path, data: Path) -> dict[str, Array]:
    from graphspec.api import load
    from graphspec.data.new_rows import read_inputs

    model = load(run)
    return _in_batches(read_inputs(model.spec, model.graph, data), lambda feeds: _with_labels(model, model.run(feeds)))


def _with_labels(model: Model, heads: Feeds) -> dict[str, Array]:
    """The heads, and ``<head>_label`` as the exported graph has it."""
    import numpy as np

    outputs = dict(heads)
    for head, words in model.labels.items():
        values = heads[head]
        index = (values[..., 0] > 0.5).astype(np.int64) if values.shape[-1] == 1 else values.argmax(-1)
        outputs[f"{head}_label"] = np.array(words)[index]
    return outputs


def _from_onnx(file: Path, data: Path) -> dict[str, Array]:
    from graphspec.data.new_rows import read_inputs
    from graphspec.export.read import read_exported

    exported = read_exported(file)
    feeds = read_inputs(exported.spec, exported.graph, data)
    exported.refuse_too_large(len(next(iter(feeds.values()))))
    return _in_batches(feeds, exported.run)


def _in_batches(feeds: Feeds, run: Callable[[Feeds], dict[str, Array]]) -> dict[str, Array]:
    import numpy as np

    parts = [run(batch) for batch in _batches(feeds)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _batches(feeds: Feeds) -> Iterator[dict[str, Array]]:
    from graphspec.arrays.memory_maps import held_by

    total, files = len(next(iter(feeds.values()))), held_by(feeds.values())
    for start in range(0, total, _ROWS):
        for file in files:
            file.check()
        yield {name: array[start : start + _ROWS] for name, array in feeds.items()}
