"""``graphspec inspect``: what a file or a run is, who can run it, and what can be done with it here."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from graphspec.base.arrays.system_memory import human
from graphspec.base.errors import UsageError
from graphspec.base.text import count, display_width, shell, shorten_end, terminal_width, wrapped
from graphspec.cli.console import out, write_data
from graphspec.cli.options import argument, flag
from graphspec.cli.targets import is_run, is_spec, refuse_other

_WANTED = "name an ONNX file, a model of Keras, a file of weights or a run directory"
_KEYS = 12  # columns of the key of a line
_VALUES = 8  # known values that a line lists
_HEADS = 3  # heads whose differences a line names
_HASH = 16  # digits of a hash
_EXAMPLE = 600  # characters of an example
_METADATA = 160  # characters of a foreign text
_CONTAINERS = {
    "safetensors": "weights, a file of safetensors",
    "npz": "weights, an archive of NumPy",
    "keras": "a model of Keras",
    "h5": "a model of Keras, in HDF5",
    "json": "a model of Keras without weights",
}


def inspect(
    file: Annotated[
        Path,
        argument(
            "FILE|RUN", "An ONNX file, a model of Keras (.keras, .h5, .json), weights (.safetensors, .npz), or a run."
        ),
    ],
    json: Annotated[bool, flag("--json", "Print everything as JSON.")] = False,
) -> None:
    """Show what a file is: inputs, outputs, operators or layers, sizes, who can run it, and what it is good for here.

    Nothing is run. Of a file of another program, all that graphspec cannot take is named with its place.
    """
    from graphspec.export.inspection import inspect_file
    from graphspec.foreign.inspecting.kinds import kind_of

    kind = kind_of(file)
    if kind is None:
        refuse_other(file, _WANTED)
    if kind is not None:
        record = _other_record(file, kind)
    elif is_spec(file):
        raise UsageError(f"{file} is a spec; {_WANTED}, or use `{shell('graphspec', 'summary', str(file))}`")
    elif is_run(file):
        record = _run_record(file)
    elif file.exists():
        from graphspec.foreign.inspecting.onnx_uses import onnx_uses

        record = inspect_file(file)
        record["uses"] = onnx_uses(file)
    else:
        raise UsageError(f"{file} does not exist; {_WANTED}")
    if json:
        write_data(json_format.dumps(record, indent=1, ensure_ascii=False).encode(errors="replace") + b"\n")
        return
    for line in _lines(record, terminal_width(sys.stdout)):
        out(line)


def _other_record(file: Path, kind: str) -> dict[str, Any]:
    """Return the record of a file of another program."""
    from graphspec.foreign.inspecting.weight_file import weights_record

    if not file.exists():
        raise UsageError(f"{file} does not exist; {_WANTED}")
    if not file.is_file():
        raise UsageError(f"{file} is not a regular file; {_WANTED}")
    if kind == "weights":
        return weights_record(file)
    from graphspec.foreign.inspecting.keras_file import keras_record

    return keras_record(file)


def _run_record(directory: Path) -> dict[str, Any]:
    """Return the record of a run; its files are listed, and its arrays are not read."""
    from graphspec.cli.targets import checked_target
    from graphspec.engine.runtime.records import read_json
    from graphspec.engine.training.run_directory import history_of, read_adapted
    from graphspec.export.check import check_export
    from graphspec.export.inspection import FORMAT, network_record
    from graphspec.export.targets import TARGETS, has_contrib
    from graphspec.vocabulary.callbacks.outputs import RUN_FILES

    spec, lowered = checked_target(directory).require()
    adapted, run = read_adapted(directory), directory / "run.json"
    provenance = read_json(run) if run.is_file() else {}
    files = {name: (directory / name).stat().st_size for name in RUN_FILES if (directory / name).is_file()}
    fits = {
        kind: not check_export(spec, lowered.graph, kind[0], contrib=kind[1])
        for kind in {(opset, has_contrib(name)) for name, opset in TARGETS.items()}
    }
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
        "targets": [name for name, opset in TARGETS.items() if fits[opset, has_contrib(name)]],
        "problems": [] if "weights.safetensors" in files else ["it has no weights: the training has not ended"],
    }


def _lines(record: Mapping[str, Any], width: int | None) -> Iterator[str]:
    """Yield the lines for people."""
    from graphspec.foreign.inspecting.lines import arrays_lines

    kinds = {"graphspec": "an ONNX file of graphspec", "onnx": "an ONNX file", "run": "a run", **_CONTAINERS}
    named = f", '{record['name']}'" if record["name"] else ""
    yield from wrapped(f"{record['file']}: {kinds[record.get('container') or record['kind']]}{named}", width, indent=2)
    if record["description"]:
        yield from wrapped(f"  {record['description']}", width, indent=2)
    for title in ("inputs", "outputs"):
        if title not in record:
            continue
        yield ""
        yield title
        for declared in record[title]:
            yield from _value(declared, width)
    yield from _example(record.get("example"), width)
    if "arrays" in record:
        yield ""
        yield from arrays_lines(record["arrays"], width)
    yield ""
    for key, text in _OF[record["kind"]](record):
        yield from wrapped(f"{key:<{_KEYS}}{text}", width, indent=_KEYS)
    for problem in record["problems"]:
        yield from wrapped(f"{'problem':<{_KEYS}}{problem}", width, indent=_KEYS)


def _value(declared: Mapping[str, Any], width: int | None) -> Iterator[str]:
    """Yield an input or output; what is to be known of it follows in its line, or in lines below it."""
    shape = declared["shape"]
    sizes = "any shape" if shape is None else f"({', '.join('?' if d is None else str(d) for d in shape)})"
    kind = declared.get("kind", "tensor")
    what = f"{declared['dtype']} {sizes}" if kind == "tensor" else f"{kind} {declared['dtype']}".strip()
    start, about = f"  {declared['name']}  {what}", "; ".join(_about(declared))
    if about and (width is None or display_width(start) + 2 + display_width(about) <= width):
        yield f"{start}  {about}"
        return
    yield from wrapped(start, width, indent=4)
    if about:
        yield from wrapped(f"      {about}", width, indent=6)


def _about(declared: Mapping[str, Any]) -> Iterator[str]:
    said = declared["description"]
    if said:
        yield " ".join(said.split())
    missing, ids, known = (declared.get(key) for key in ("missing", "ids", "known"))
    if missing is not None and "missing value" not in said:
        yield f"{'an empty text' if missing == '' else missing} stands for a missing value"
    if ids is not None and "ids from" not in said:
        yield f"ids from {ids[0]} to {ids[1]}"
    if known is not None:
        values = ", ".join(str(value) for value in known["values"][:_VALUES])
        yield f"knows {count(known['count'], 'value')}: {values}{', …' if known['count'] > _VALUES else ''}"
    labels, target = declared.get("labels"), declared.get("target")
    if labels and not said:
        more = ", …" if len(labels) > _VALUES else ""
        yield f"{count(len(labels), 'label')}: {', '.join(map(str, labels[:_VALUES]))}{more}"
    if target and not said:
        yield f"in the unit of the target, whose mean was {target['mean']:.6g}"


def _example(example: Mapping[str, Any] | None, width: int | None) -> Iterator[str]:
    if not example:
        return
    yield ""
    yield "example"
    for arrow, key in (("", "inputs"), ("→ ", "outputs")):
        row = {name: _first(value) for name, value in example[key].items()}
        text = shorten_end(json_format.dumps(row, ensure_ascii=False), _EXAMPLE)
        yield from wrapped(f"  {arrow}{text}", width, indent=4)


def _first(value: Any) -> Any:
    """Return the only row of an example, and a single value without brackets."""
    while isinstance(value, list) and len(value) == 1:
        (value,) = value
    return value


def _of_run(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _network(record)
    yield "trained", f"{count(record['epochs'], 'epoch')}, seed {record['run'].get('seed', '?')}"
    files = ", ".join(f"{name} {human(size)}" for name, size in record["files"].items())
    yield "size", f"{human(record['bytes'])}: {files}"
    yield "export", f"for {_targets(record['targets'])}" if record["targets"] else "no target has all its operators"
    yield from _spec(record["spec"])


def _of_file(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    weights = record["weights"]
    dtypes = ", ".join(f"{dtype} {human(part['bytes'])}" for dtype, part in weights["dtypes"].items())
    stored = "no weights"
    if weights["count"]:
        noun = count(weights["count"], "weight or constant", "weights and constants")
        stored = f"{noun} of {human(weights['bytes'])}: {dtypes}"
    yield "size", f"{human(record['bytes'])}; {stored}"
    if record["external_data"]:
        yield (
            "",
            "in other files: "
            + ", ".join(
                f"{e['file']} {human(e['bytes']) if e['bytes'] is not None else '(missing)'}"
                for e in record["external_data"]
            ),
        )
    yield from _network(record)
    others = ", ".join(f"{domain} {version}" for domain, version in record["domains"].items() if domain != "ai.onnx")
    opset = f"{record['opset']}" if record["opset"] is not None else "none"
    yield "opset", f"{opset}, IR version {record['ir_version']}{f'; {others}' if others else ''}"
    producer = " ".join(filter(None, (record["producer"]["name"], record["producer"]["version"])))
    yield "made by", producer or "an unnamed program"
    yield from _operators(record)
    yield from _runs_on(record["runs_on"])
    trainable = any(use["use"] == "unfrozen" and use["possible"] for use in record.get("uses", ()))
    yield "graphspec", _runtime(record["runtime"], trainable)
    if record["kind"] == "onnx":
        from graphspec.foreign.inspecting.lines import uses_lines

        yield from uses_lines(record["uses"])
    if record["proof"]:
        yield "proof", _proof(record["proof"])
    if record["quantization"]:
        yield from _quantization(record["quantization"])
    if record["spec"]:
        yield from _spec(record["spec"])
    for key, text in record["metadata"].items():
        yield "metadata", shorten_end(f"{key}: {' '.join(text.split())}", _METADATA)


def _network(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if record["parameters"] is not None:
        text = f"{record['parameters']:,}; multiply-adds per row: {record['multiply_adds']:,}"
        lengths = ", ".join(f"{axis} = {size}" for axis, size in record["assumed_lengths"].items())
        yield "parameters", f"{text}, with {lengths}" if lengths else text


def _operators(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    domains: dict[str, list[str]] = {}
    for op in record["operators"]:
        domains.setdefault(op["domain"], []).append(f"{op['name']} {op['count']}")
    total = sum(op["count"] for op in record["operators"])
    for k, (domain, names) in enumerate(domains.items()):
        start = f"{count(total, 'node')}: " if k == 0 else ""
        yield "operators" if k == 0 else "", f"{start}{'' if domain == 'ai.onnx' else f'{domain}: '}{', '.join(names)}"
    if record["subgraphs"]:
        yield "", count(record["subgraphs"], "graph inside a node", "graphs inside nodes")
    if record["functions"]:
        yield "", f"local functions: {', '.join(record['functions'])}"


def _runs_on(who: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if who["onnxruntime"]:
        yield "runs on", f"onnxruntime {who['onnxruntime']} or later: {', '.join(who['packages'])}"
    else:
        yield "runs on", "no plain onnxruntime"
    if who["targets"]:
        yield "", f"targets: {_targets(who['targets'])}"
    for note in who["notes"]:
        yield "", note


def _targets(names: list[str]) -> str:
    """Return a list of targets, the versions as a range."""
    versions = [name for name in names if name.startswith("ort-")]
    shown = [f"{versions[0]} to {versions[-1]}" if len(versions) > 1 else versions[0]] if versions else []
    return ", ".join([*shown, *(name for name in names if name not in versions)])


def _runtime(kernels: Mapping[str, list[str]], trainable: bool) -> str:
    if kernels["lacks"] and trainable:
        return f"its runtime computes {', '.join(kernels['lacks'])} by other operators"
    if kernels["lacks"]:
        return f"its runtime lacks {', '.join(kernels['lacks'])}"
    if kernels["by_onnxruntime"]:
        return f"its runtime has all operators; it leaves {', '.join(kernels['by_onnxruntime'])} to onnxruntime"
    return "its runtime has all operators"


def _proof(proof: Mapping[str, Any]) -> str:
    batches, heads = proof.get("batches"), proof.get("max_abs_difference")
    parts = ["equal to graphspec's runtime"]
    parts.append(f"under onnxruntime {proof.get('onnxruntime', '?')}")
    if isinstance(batches, list):
        parts.append(f"at batch sizes {', '.join(map(str, batches))}")
    parts.append(f"on {proof.get('rows', '?')}")
    if proof.get("unusual_rows"):
        parts.append(f"and {proof['unusual_rows']} unusual rows")
    text = " ".join(map(str, parts))
    if isinstance(heads, dict):
        found = sorted(((v, k) for k, v in heads.items() if isinstance(v, int | float)), reverse=True)
        text += "; largest difference: " + ", ".join(f"{name} {value:.1e}" for value, name in found[:_HEADS])
    return f"{text}; tolerance {proof.get('tolerance', '?')}"


def _quantization(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a quantized file says of itself; it may say anything."""
    proof, metrics = said.get("proof_of_float32"), said.get("metrics")
    yield "quantized", f"{said.get('kind', '?')}: {said.get('method', '?')}"
    if isinstance(metrics, dict):
        pairs = [
            (name, pair.get("before"), pair.get("after")) for name, pair in metrics.items() if isinstance(pair, dict)
        ]
        numbers = [(n, a, b) for n, a, b in pairs if isinstance(a, int | float) and isinstance(b, int | float)]
        if numbers:
            changes = ", ".join(f"{name} {a:.4g} → {b:.4g}" for name, a, b in numbers[:_HEADS])
            yield "", f"{changes}{', …' if len(numbers) > _HEADS else ''}; on {said.get('rows', '?')}"
    if isinstance(proof, dict):
        yield "", f"the float32 file was {_proof(proof)}"


def _spec(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "spec", f"{spec['name']}, written by graphspec {spec['graphspec_version'] or '?'}"
    if spec["sha256"]:
        yield "", f"sha256 {str(spec['sha256'])[:_HASH]}…"
    if spec.get("rows_learnt_from"):
        yield "", f"its layers learnt from {count(spec['rows_learnt_from'], 'row')}"


def _of_weights(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    from graphspec.foreign.inspecting.lines import weights_lines

    yield from weights_lines(record)


def _of_keras(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    from graphspec.foreign.inspecting.lines import keras_lines

    yield from keras_lines(record)


_OF: Mapping[str, Callable[[Mapping[str, Any]], Iterator[tuple[str, str]]]] = {
    "run": _of_run,
    "onnx": _of_file,
    "graphspec": _of_file,
    "weights": _of_weights,
    "keras": _of_keras,
}
"""By kind of record, its lines with keys."""
