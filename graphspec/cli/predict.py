"""``graphspec predict``: compute the heads for new rows, with a run or an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli.console import out, write_data
from graphspec.cli.options import writable
from graphspec.errors import UsageError
from graphspec.files import DATA_SUFFIXES

if TYPE_CHECKING:
    from graphspec.ir.graph import Array

_BATCH_ROWS = 256  # rows per call of the network


def predict(
    source: Annotated[
        Path, typer.Argument(metavar="RUN_OR_ONNX", help="A run directory or an ONNX file.", show_default=False)
    ],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help=f"New rows: {', '.join(DATA_SUFFIXES)}.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            callback=writable,
            help=".npz, .csv or .jsonl \\[default: CSV on stdout].",
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
    from graphspec.data.batches import in_batches
    from graphspec.data.new_rows import read_inputs
    from graphspec.export.labels import with_labels

    model = load(run)
    heads = in_batches(read_inputs(model.spec, model.graph, data), _BATCH_ROWS, model.run)
    return with_labels(heads, model.labels)


def _from_onnx(file: Path, data: Path) -> dict[str, Array]:
    from graphspec.data.batches import in_batches
    from graphspec.data.new_rows import read_inputs
    from graphspec.export.read import read_exported

    exported = read_exported(file)
    feeds = read_inputs(exported.spec, exported.graph, data)
    exported.refuse_too_large(len(next(iter(feeds.values()))))
    return in_batches(feeds, _BATCH_ROWS, exported.run)
