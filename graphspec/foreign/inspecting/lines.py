"""The record of a file or a run, and what can be done with it here, as lines for people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from graphspec.base.arrays.memory import human
from graphspec.base.text import count, display_width, shorten_end, wrapped
from graphspec.graph.ir.dims import show
from graphspec.graph.onnx_session import sanitized

# Arrays of a file by module: ``layers.0.weight`` and ``layers.1.weight`` are one row, ``layers.{0..1}``.
Shape = tuple[int, ...]
MOST = 24  # rows of a table; a file with more modules is told by the beginnings of their names
_NUMBER = re.compile(r"(?<![0-9])[0-9]{1,9}(?![0-9])")
_SEPARATOR = re.compile(r"[./]")


@dataclass
class Modules:
    """Modules whose names differ in numbers alone: the first name, and the numbers in each.

    ``arrays`` are the ends of the arrays' names, with dtypes and shapes; None if they are not alike.
    """

    pattern: str
    arrays: tuple[tuple[str, str, Shape], ...] | None
    numbers: list[tuple[int, ...]] = field(default_factory=list)
    total: int = 0
    elements: int = 0

    @property
    def name(self) -> str:
        """The name; numbers that differ are ``{first..last}``, or ``*`` if some between are missing."""
        places: Iterator[set[int]] = (set(column) for column in zip(*self.numbers, strict=True))
        return _NUMBER.sub(lambda match: _range(next(places), match[0]), self.pattern)


def modules(arrays: Iterable[tuple[str, str, Shape, int]], most: int = MOST) -> list[Modules]:
    """Return the table of arrays, each given as name, dtype, shape and number of elements: at most ``most`` rows.

    If there are more, rows are modules with the same beginning: the longest of which there are at most ``most``.
    """
    leaves: dict[str, list[tuple[str, str, Shape, int]]] = {}
    for name, dtype, shape, elements in arrays:
        at = max(name.rfind("."), name.rfind("/"))
        leaves.setdefault(name[: max(at, 0)], []).append((name[at + 1 :], dtype, shape, elements))

    def grouped(start: Callable[[str], str], *, is_whole: bool) -> list[Modules]:
        rows: dict[Any, Modules] = {}
        for module, parts in leaves.items():
            begin, alike = start(module), tuple(part[:3] for part in parts) if is_whole else None
            row = rows.setdefault((_NUMBER.sub("#", begin), alike), Modules(begin, alike))
            row.numbers.append(tuple(map(int, _NUMBER.findall(begin))))
            row.total += len(parts)
            row.elements += sum(part[3] for part in parts)
        return list(rows.values())

    chosen = grouped(str, is_whole=True)
    if len(chosen) <= most:
        return chosen
    for depth in range(1, 8):
        rows = grouped(partial(_start, depth=depth), is_whole=False)
        if depth > 1 and (len(rows) > most or len(rows) == len(chosen)):
            break
        chosen = rows
    return chosen


def _range(values: set[int], text: str) -> str:
    if len(values) == 1:
        return text
    low, high = min(values), max(values)
    return f"{{{low}..{high}}}" if len(values) == high - low + 1 else "*"


def _start(module: str, depth: int) -> str:
    """Return the first ``depth`` parts of a name, with a mark if there are more."""
    ends = [match.start() for match in _SEPARATOR.finditer(module)]
    return module if len(ends) < depth else f"{module[: ends[depth - 1] + 1]}…"


KEYS = 12  # columns of the key of a line
_NAMED = 3  # names that a line lists
_REASONS = 8  # reasons that are told
_CLASSES = 40  # classes of layers that a line counts


def arrays_lines(arrays: Sequence[Mapping[str, Any]], width: int | None) -> Iterator[str]:
    """Yield the arrays of a file by module."""
    known = [a for a in arrays if a["shape"] is not None]
    usual = max(dict.fromkeys(a["dtype"] for a in known), key=lambda t: sum(a["dtype"] == t for a in known), default="")
    yield f"arrays of {usual}" if usual else "arrays"
    for row in modules((a["name"], a["dtype"], tuple(a["shape"]), a["elements"]) for a in known):
        name = sanitized(row.name, 200) or "(no module)"
        yield from wrapped(f"  {name}  {_parts(row, usual)}", width, indent=4)


def _parts(row: Modules, usual: str) -> str:
    if row.arrays is None:
        return f"{count(row.total, 'array')} of {row.elements:,} numbers"
    listed = row.arrays[:12]
    parts = [f"{sanitized(name)} {f'{dtype} ' * (dtype != usual)}{show(shape)}" for name, dtype, shape in listed]
    more = [f"… ({len(row.arrays) - len(parts)} more)"] if len(parts) < len(row.arrays) else []
    return ", ".join([*parts, *more])


def stored(weights: Mapping[str, Any], noun: tuple[str, str] = ("array", "arrays"), nothing: str = "no arrays") -> str:
    """Return how much is stored in a file, in words."""
    if not weights["count"]:
        return nothing
    dtypes = ", ".join(f"{dtype} {human(part['bytes'])}" for dtype, part in weights["dtypes"].items())
    return f"{count(weights['count'], *noun)} of {human(weights['bytes'])}: {dtypes}"


def weights_lines(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is said of a file of weights, as keys and texts."""
    yield "size", f"{human(record['bytes'])}; {stored(record['weights'])}"
    yield "numbers", f"{record['weights']['elements']:,}"
    layouts = {"torch": "PyTorch's names and layout", "keras": "names and layout of graphspec and Keras"}
    if record["arrays"]:
        yield "layout", layouts.get(record["layout"], "unknown names: `map` says which weight is which")
    yield from uses_lines(record["uses"])
    for key, text in record["metadata"].items():
        yield "metadata", f"{key}: {' '.join(text.split())}"


def keras_lines(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is said of a model of Keras, as keys and texts."""
    yield "size", f"{human(record['bytes'])}; {stored(record['weights'])}"
    if record["parameters"] is not None:
        yield "parameters", f"{record['parameters']:,}"
    yield "made by", record["made_by"]
    layers = record["layers"]
    shown = ", ".join(f"{one['class']} {one['count']}" for one in layers[:_CLASSES])
    total = sum(one["count"] for one in layers)
    more = f", and {len(layers) - _CLASSES} more" if len(layers) > _CLASSES else ""
    yield "layers", f"{count(total, 'layer')}{f': {shown}{more}' if layers else ''}"
    if record["models"]:
        yield "", count(record["models"], "model inside the model", "models inside the model")
    if record["training"]:
        yield "training", ", ".join(f"{key} {value}" for key, value in record["training"].items())
    yield from uses_lines(record["uses"])


_USES = {  # what is said of a use that is possible, and of one that is not
    "initial_weights": ("a network can start from it", "no network can start from it"),
    "import": ("it can be imported", "it cannot be imported"),
    "frozen": ("it can be a frozen layer", "it cannot be a layer"),
    "unfrozen": ("its weights can train", "its weights cannot train"),
}


def use(name: str, how: str, reasons: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Return a use in the record of a file: it is possible if there are no ``reasons`` against it."""
    return {"use": name, "possible": not reasons, "how": how, "reasons": reasons, **more}


def reason(message: str, hint: str | None = None, code: str | None = None, place: str | None = None) -> dict[str, Any]:
    """Return why a use is not possible."""
    return {"code": None if code is None else str(code), "place": place, "message": message, "hint": hint}


def uses_lines(uses: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield what can be done with a file here, and why not."""
    for k, one in enumerate(uses):
        possible, impossible = _USES[one["use"]]
        yield "" if k else "here", f"{possible}: `{one['how']}`" if one["possible"] else f"{impossible}:"
        yield from (("", text) for text in (_more(one) if one["possible"] else ()))
        reasons = one["reasons"]
        for why in reasons[:_REASONS]:
            yield "", f"- {why['place']}: {why['message']}" if why["place"] else f"- {why['message']}"
        if len(reasons) > _REASONS:
            yield "", f"- and {len(reasons) - _REASONS} more; `--json` has all"


def _more(one: Mapping[str, Any]) -> Iterator[str]:
    if others := one.get("others"):
        names = _listed(list(map(sanitized, others)), _NAMED)
        yield f"{count(len(others), 'array has', 'arrays have')} no floats: {names}"
    if one.get("trains") is not None:
        yield f"{count(len(one['trains']), 'tensor')} of {one['elements']:,} numbers would train"
    yield from one.get("notes", ())[:_REASONS]


def _listed(values: Sequence[Any], most: int) -> str:
    return f"{', '.join(map(str, values[:most]))}{', …' if len(values) > most else ''}"


# A record as a whole.
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


def record_lines(record: Mapping[str, Any], width: int | None) -> Iterator[str]:
    """Yield the record of a file or a run as lines for people."""
    kinds = {"graphspec": "an ONNX file of graphspec", "onnx": "an ONNX file", "run": "a run", **_CONTAINERS}
    named = f", '{record['name']}'" if record["name"] else ""
    yield from wrapped(f"{record['file']}: {kinds[record.get('container') or record['kind']]}{named}", width, indent=2)
    if record["description"]:
        yield from wrapped(f"  {record['description']}", width, indent=2)
    for title in (title for title in ("inputs", "outputs") if title in record):
        yield from ("", title)
        for declared in record[title]:
            yield from _value(declared, width)
    yield from _example(record.get("example"), width)
    if record.get("arrays"):
        yield ""
        yield from arrays_lines(record["arrays"], width)
    yield ""
    for key, text in _OF[record["kind"]](record):
        yield from wrapped(f"{key:<{KEYS}}{text}", width, indent=KEYS)
    if signed := record.get("signed"):
        key, why = signed["key"], f": {signed['reason']}" if signed["reason"] else ""
        status = {
            "verifies": f"verifies with {key}{why}",
            "fails": f"does not verify with {key}{why}",
            "missing": "is missing",
            "not checked": "not checked; give --key with the maker's public key",
        }[signed["status"]]
        yield from wrapped(f"{'signature':<{KEYS}}{signed['file']} {status}", width, indent=KEYS)
    for problem in record["problems"]:
        yield from wrapped(f"{'problem':<{KEYS}}{problem}", width, indent=KEYS)


def _value(declared: Mapping[str, Any], width: int | None) -> Iterator[str]:
    """Yield an input or output; what is to be known of it follows in its line, or in lines below it."""
    shape = declared["shape"]
    sizes = "any shape" if shape is None else f"({', '.join('?' if d is None else str(d) for d in shape)})"
    kind = declared.get("kind", "tensor")
    what = (f"{declared['dtype']} {sizes}" if kind == "tensor" else f"{kind} {declared['dtype']}").strip()
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
        yield f"{count(len(labels), 'label')}: {_listed(labels, _VALUES)}"
    if target and not said:
        yield f"in the unit of the target, whose mean was {target['mean']:.6g}"


def _example(example: Mapping[str, Any] | None, width: int | None) -> Iterator[str]:
    if not example:
        return
    yield from ("", "example")
    for arrow, key in (("", "inputs"), ("→ ", "outputs")):
        row = {name: _first(value) for name, value in example[key].items()}
        yield from wrapped(f"  {arrow}{shorten_end(json.dumps(row, ensure_ascii=False), _EXAMPLE)}", width, indent=4)


def _first(value: Any) -> Any:
    """Return the only row of an example, and a single value without brackets."""
    return _first(value[0]) if isinstance(value, list) and len(value) == 1 else value


def _of_run(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _network(record)
    yield "trained", f"{count(record['epochs'], 'epoch')}, seed {record['run'].get('seed', '?')}"
    files = ", ".join(f"{name} {human(size)}" for name, size in record["files"].items())
    yield "size", f"{human(record['bytes'])}: {files}"
    targets = record["targets"]
    yield "export", f"for {_target_range(targets)}" if targets else "no target has all its operators"
    yield from _spec(record["spec"])


def _of_file(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    stored_here = stored(record["weights"], ("weight or constant", "weights and constants"), "no weights")
    yield "size", f"{human(record['bytes'])}; {stored_here}"
    if record["external_data"]:
        sizes = [(e["file"], "(missing)" if e["bytes"] is None else human(e["bytes"])) for e in record["external_data"]]
        yield "", f"in other files: {', '.join(' '.join(each) for each in sizes)}"
    yield from _network(record)
    others = ", ".join(f"{domain} {version}" for domain, version in record["domains"].items() if domain != "ai.onnx")
    opset = f"{record['opset']}" if record["opset"] is not None else "none"
    yield "opset", f"{opset}, IR version {record['ir_version']}{f'; {others}' if others else ''}"
    producer = " ".join(filter(None, (record["producer"]["name"], record["producer"]["version"])))
    yield "made by", producer or "an unnamed program"
    yield from _operators(record)
    who = record["runs_on"]
    versions = f"onnxruntime {who['onnxruntime']} or later: {', '.join(who['packages'])}"
    yield "runs on", versions if who["onnxruntime"] else "no plain onnxruntime"
    targets = [f"targets: {_target_range(who['targets'])}"] if who["targets"] else []
    yield from (("", text) for text in (*targets, *who["notes"]))
    trainable = any(one["use"] == "unfrozen" and one["possible"] for one in record.get("uses", ()))
    yield "graphspec", _runtime(record["runtime"], trainable)
    if record["kind"] == "onnx":
        yield from uses_lines(record["uses"])
    if record["proof"]:
        yield "proof", _proof(record["proof"])
    if record["quantization"]:
        yield from _quantized(record["quantization"])
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


def _target_range(names: list[str]) -> str:
    versions = [name for name in names if name.startswith("ort-")]
    shown = [f"{versions[0]} to {versions[-1]}" if len(versions) > 1 else versions[0]] if versions else []
    return ", ".join([*shown, *(name for name in names if name not in versions)])


def _runtime(kernels: Mapping[str, list[str]], trainable: bool) -> str:
    if lacks := ", ".join(kernels["lacks"]):
        return f"its runtime computes {lacks} by other operators" if trainable else f"its runtime lacks {lacks}"
    if kernels["by_onnxruntime"]:
        return f"its runtime has all operators; it leaves {', '.join(kernels['by_onnxruntime'])} to onnxruntime"
    return "its runtime has all operators"


def _proof(proof: Mapping[str, Any]) -> str:
    batches, heads = proof.get("batches"), proof.get("max_abs_difference")
    text = f"equal to graphspec's runtime under onnxruntime {proof.get('onnxruntime', '?')}"
    if isinstance(batches, list):
        text += f" at batch sizes {', '.join(map(str, batches))}"
    text += f" on {proof.get('rows', '?')}"
    if proof.get("unusual_rows"):
        text += f" and {proof['unusual_rows']} unusual rows"
    if isinstance(heads, dict):
        found = sorted(((v, k) for k, v in heads.items() if isinstance(v, int | float)), reverse=True)
        text += "; largest difference: " + ", ".join(f"{name} {value:.1e}" for value, name in found[:_HEADS])
    return f"{text}; tolerance {proof.get('tolerance', '?')}"


def _quantized(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a quantized file says of itself; it may say anything."""
    proof, metrics = said.get("proof_of_float32"), said.get("metrics")
    yield "quantized", f"{said.get('kind', '?')}: {said.get('method', '?')}"
    if isinstance(metrics, dict):
        named = ((name, pair) for name, pair in metrics.items() if isinstance(pair, dict))
        pairs = [(name, pair.get("before"), pair.get("after")) for name, pair in named]
        numbers = [(n, a, b) for n, a, b in pairs if isinstance(a, int | float) and isinstance(b, int | float)]
        if numbers:
            changes = _listed([f"{name} {a:.4g} → {b:.4g}" for name, a, b in numbers], _HEADS)
            yield "", f"{changes}; on {said.get('rows', '?')}"
    if isinstance(proof, dict):
        yield "", f"the float32 file was {_proof(proof)}"


def _spec(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "spec", f"{spec['name']}, written by graphspec {spec['graphspec_version'] or '?'}"
    if spec["sha256"]:
        yield "", f"sha256 {str(spec['sha256'])[:_HASH]}…"
    if spec.get("rows_learnt_from"):
        yield "", f"its layers learnt from {count(spec['rows_learnt_from'], 'row')}"


_OF: Mapping[str, Callable[[Mapping[str, Any]], Iterator[tuple[str, str]]]] = {  # by kind of record
    "run": _of_run,
    "onnx": _of_file,
    "graphspec": _of_file,
    "weights": weights_lines,
    "keras": keras_lines,
}
