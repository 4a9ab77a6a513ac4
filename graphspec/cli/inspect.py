"""``graphspec inspect``: what a file or a run is, who can run it, and what can be done with it here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from graphspec.base.errors import UsageError
from graphspec.base.text import shell, terminal_width
from graphspec.cli.console import out, write_json
from graphspec.cli.options import argument, flag, option
from graphspec.cli.targets import checked_target, is_run, is_spec, refuse_other

_WANTED = "name an ONNX file, a model of Keras, a file of weights or a run directory"


def inspect(
    file: Annotated[
        Path,
        argument(
            "FILE|RUN", "An ONNX file, a model of Keras (.keras, .h5, .json), weights (.safetensors, .npz), or a run."
        ),
    ],
    json: Annotated[bool, flag("--json", "Print everything as JSON.")] = False,
    key: Annotated[
        Path | None, option("PEM", "A public key or a certificate, to check the signature FILE.sig with.", "--key")
    ] = None,
) -> int:
    """Show what a file is: inputs, outputs, operators or layers, sizes, who can run it, and what it is good for here.

    Nothing is run. Of a file of another program, all that graphspec cannot take is named with its place.
    """
    from graphspec.foreign.door import kind_of, record_of
    from graphspec.foreign.inspecting.signed import signed_record

    kind = kind_of(file)
    if kind is None:
        refuse_other(file, _WANTED)
    if kind is None and is_spec(file):
        raise UsageError(f"{file} is a spec; {_WANTED}, or use `{shell('graphspec', 'summary', str(file))}`")
    if kind is None and is_run(file):
        record = _run_record(file)
    elif not file.exists():
        raise UsageError(f"{file} does not exist; {_WANTED}")
    elif kind is not None and not file.is_file():
        raise UsageError(f"{file} is not a regular file; {_WANTED}")
    else:
        record = record_of(file, kind)
    record["signed"] = signed = signed_record(file, key, [e["file"] for e in record.get("external_data", ())])
    if json:
        write_json(record)
    else:
        from graphspec.foreign.inspecting.lines import record_lines

        out(*record_lines(record, terminal_width(sys.stdout)))
    return 1 if key is not None and signed is not None and signed["status"] != "verifies" else 0


def _run_record(directory: Path) -> dict[str, Any]:
    """Return the record of a run; its files are listed, and its arrays are not read."""
    from graphspec.engine.runtime.records import read_json
    from graphspec.engine.training.run_directory import history_of, read_adapted
    from graphspec.export.inspection import FORMAT, network_record
    from graphspec.export.onnx import check_export
    from graphspec.export.targets import TARGETS, has_contrib
    from graphspec.vocabulary.callbacks.callback import RUN_FILES

    spec, lowered = checked_target(directory).require()
    adapted, run = read_adapted(directory), directory / "run.json"
    provenance = read_json(run) if run.is_file() else {}
    files = {name: (directory / name).stat().st_size for name in RUN_FILES if (directory / name).is_file()}
    kinds = {name: (opset, has_contrib(name)) for name, opset in TARGETS.items()}
    fits = {k for k in {*kinds.values()} if not check_export(spec, lowered.graph, k[0], contrib=k[1])}
    return {
        "format": FORMAT,
        "kind": "run",
        "file": str(directory),
        "bytes": sum(files.values()),
        "name": spec.name,
        "description": spec.description,
        **network_record(spec, lowered),
        "files": files,
        "spec": {
            "name": spec.name,
            "sha256": provenance.get("spec_sha256"),
            "graphspec_version": provenance.get("graphspec"),
            "rows_learnt_from": None if adapted is None else adapted.rows,
        },
        "run": provenance,
        "epochs": len(next(iter(history_of(directory).values()), [])),
        "targets": [name for name, kind in kinds.items() if kind in fits],
        "problems": [] if "weights.safetensors" in files else ["it has no weights: the training has not ended"],
    }
