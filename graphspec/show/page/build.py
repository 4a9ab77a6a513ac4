"""A page as one HTML file: the form, the network, and the engine or where to get it.

A visitor's values stay in the browser: the policy of the page (Content-Security-Policy) lets no script run but its own and
the engine's, and it may fetch nothing but the engine. Without a server a browser neither loads modules nor fetches files, so
that everything stands in the page itself.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import numpy as np

from graphspec.base.errors import UsageError
from graphspec.base.files import make_folder, write_atomic
from graphspec.base.text import count
from graphspec.base.version import __version__
from graphspec.data.convert import MISSING_TEXTS
from graphspec.engine.compiler.check import check
from graphspec.engine.runtime.session import Session
from graphspec.export.inspection import record_and_spec
from graphspec.export.training_step import KEY, export_training_step
from graphspec.language.declarations import BOUNDS, LABEL, NodeDecl, Spec
from graphspec.show.drawing.pictures import data_uri, pixels
from graphspec.show.html import digest, framed, refuse_foreign, text
from graphspec.vocabulary.layers.columns import Impute
from graphspec.vocabulary.metrics import targets_of

VERSION = "1.30.0"
"""Of onnxruntime-web, whose files the hashes are of."""
_SOURCE = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist/"
ENGINE = {"code": "ort.wasm.bundle.min.mjs", "binary": "ort-wasm-simd-threaded.wasm"}
_HASHES = {
    "code": "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
    "binary": "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
}
_NOUNS = {"category": ("category", "categories"), "numbers": ("list of numbers", "lists of numbers")}
LARGEST = 1 << 28
"""Bytes of a network that a page may hold."""


def page_of(
    file: Path,
    engine: Path | None = None,
    *,
    about: Mapping[str, Any] | None = None,
    links: Mapping[str, str] = MappingProxyType({}),
    learns: bool = False,
) -> str:
    """Return the page of an exported file.

    Args:
        about: its record (:func:`form_of`), where the caller has it.
        links: other pages that it names, by their titles.
        learns: a visitor may teach it names of his own (:func:`step_of`).
        engine: the folder of npm's package onnxruntime-web, or its `dist`, whose engine is put into the page; without it the
            page fetches that of :data:`VERSION` from a content delivery network, by hashes.

    Raises:
        UsageError: graphspec has not written the file, it is too large for a page, or the engine's files are not there.
        SpecError: GS703, it cannot be read.
    """
    record: dict[str, Any] = {**(form_of(file) if about is None else about)}
    if (size := file.stat().st_size) > LARGEST:
        raise UsageError(f"{file} has {size >> 20:,} MB: a page holds at most {LARGEST >> 20} MB")
    parts = {"model": file.read_bytes()}
    if learns:
        parts["model"], features, width = with_features(file, [head["name"] for head in record["heads"]])
        parts["step"], step = step_of(width)
        record["learn"] = {"features": features, "size": width, "most": MOST, "step": step}
    if engine is None:
        record["engine"] = {part: {"url": _SOURCE + name, "integrity": _HASHES[part]} for part, name in ENGINE.items()}
    else:
        parts |= {f"engine-{part}": _found(engine, name).read_bytes() for part, name in ENGINE.items()}
    return _html_of(record, parts, links)


def write_page(path: Path, html: str) -> Path:
    """Write a page, and the folder that it is in; a file of its name that graphspec has not written is UsageError."""
    if path.parent.exists():
        refuse_foreign(path, "page")
    make_folder(path.parent)
    write_atomic(path, html)
    return path


def contents(pages: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page with a tile for each record (:func:`form_of`), which leads to the page ``<name>.html``."""
    tiles = "".join(_tile(name, about) for name, about in pages.items())
    return _page("Networks to try", "img-src data:", f'<main><ul class="tiles">{tiles}</ul></main>')


def _tile(name: str, about: Mapping[str, Any]) -> str:
    """Return what a network is called, does, asks and answers, with the picture of its example."""
    kinds = Counter(field["kind"] for field in about["fields"])
    asks = ", ".join(count(n, *_NOUNS.get(kind, (kind, kind.removesuffix("s") + "s"))) for kind, n in kinds.items())
    classes = {head["name"]: f" ({len(head['labels'])} labels)" if head["labels"] else "" for head in about["heads"]}
    answers = ", ".join(head + labels for head, labels in classes.items())
    shown = [f for f in about["fields"] if f["kind"] == "picture" and f["first"]]
    bright = [np.clip(np.array(f["first"]) * (255 / f["white"]), 0, 255).astype(np.uint8) for f in shown[:1]]
    image = "".join(f'<img alt="" src="{data_uri(pixels(picture))}">' for picture in bright)
    link = f'<a href="{text(quote(name))}.html">{text(name)}</a>'
    said = f'<p>{text(about["description"])}</p><p class="hint">asks for {text(asks)}; answers {text(answers)}</p>'
    return f"<li><h2>{link}</h2>{image}{said}</li>"


def _found(engine: Path, name: str) -> Path:
    found = next((path for path in (engine / name, engine / "dist" / name) if path.is_file()), None)
    if found is None:
        raise UsageError(f"{engine} has no {name}: name the folder of npm's package onnxruntime-web, or its `dist`")
    return found


def _html_of(about: Mapping[str, Any], parts: Mapping[str, bytes], links: Mapping[str, str]) -> str:
    """Return the page of a record (:func:`form_of`) with ``parts`` of bytes by the id of their element."""
    script = _asset("page.js") + (_asset("learn.js") if "learn" in about else "")
    source = _SOURCE if "engine" in about else "'none'"
    policy = f"script-src '{digest(script)}' blob: 'wasm-unsafe-eval'; img-src blob: data:; connect-src {source}"
    record = json.dumps(about).replace("<", "\\u003c")  # no text of a file ends the element
    data = "".join(
        f'<script type="text/plain" id="{name}">{b64encode(content).decode()}</script>\n'
        for name, content in parts.items()
    )
    above = f"<p>{text(about['description'])}</p>" if about["description"] else ""
    named = "".join(f'<a href="{text(quote(place))}">{text(name)}</a>' for name, place in links.items())
    above = f"<header>{above}{f'<nav>{named}</nav>' if named else ''}</header>"
    body = (
        f"{above}\n<main>{_asset('page.html')}</main>\n<footer>Made by graphspec {text(__version__)}. "
        f'What you enter stays in this browser.</footer>\n<script type="application/json" id="about">{record}</script>\n'
        f"{data}<script>{script}</script>"
    )
    return _page(about["title"], policy, body)


def _page(title: str, policy: str, body: str) -> str:
    style = _asset("page.css")
    return framed(title, f"style-src '{digest(style)}'; {policy}", style, f"<h1>{text(title)}</h1>{body}")


def _asset(name: str) -> str:
    return files("graphspec.show.page").joinpath(name).read_text(encoding="utf-8")


# What a page needs to teach a network names of a visitor's own: what its last weights read, and a step of a new head.
MOST = 10
"""Names that a page learns: classes of the head in the step, whose unused ones have a bias that makes them impossible."""
_WIDEST = 1 << 13  # numbers that a head may read


def with_features(file: Path, heads: Sequence[str]) -> tuple[bytes, list[str], int]:
    """Return an exported file that also answers what the last weights before its heads read, with its names and its size.

    Of a mean of several networks, or of members, it is what the last weights of each one read.

    Raises UsageError: nothing before the heads reads a row as numbers of a fixed count, or these are too many.
    """
    import onnx

    model = onnx.load(file)
    shapes = {v.name: v.type.tensor_type.shape.dim for v in onnx.shape_inference.infer_shapes(model).graph.value_info}
    weights = {weight.name for weight in model.graph.initializer}
    made_by = {output: node for node in model.graph.node for output in node.output}
    found, seen, waiting = dict[str, list[int]](), set[str](), list(heads)
    while waiting:
        node = made_by.get(name := waiting.pop(0))
        if name in seen or node is None:
            continue
        seen.add(name)
        read = node.input[0] if node.op_type in ("MatMul", "Gemm") and node.input[1] in weights else ""
        if read in made_by and made_by[read].op_type == "Transpose":
            read = made_by[read].input[0]  # members are before rows only for this product
        batch, *sizes = shapes.get(read, [None])
        if batch is not None and not batch.dim_value and sizes and all(d.dim_value for d in sizes):
            found[read] = [d.dim_value for d in sizes]
        else:
            waiting += node.input
    if not 0 < (size := sum(map(math.prod, found.values()))) <= _WIDEST:
        why = f"read {size:,} numbers of a row, more than {_WIDEST:,}" if size else "do not read a row as some numbers"
        raise UsageError(f"this network cannot be taught on a page: the last weights before its heads {why}")
    model.graph.output.extend(onnx.helper.make_tensor_value_info(n, 1, ["N", *sizes]) for n, sizes in found.items())
    return model.SerializeToString(), list(found), size


def step_of(size: int) -> tuple[bytes, dict[str, Any]]:
    """Return a training step of a head for :data:`MOST` classes that reads ``size`` numbers, and its record.

    A page begins with zeros, from which a single layer learns as well, and which need no room.
    """
    import onnx

    document = {
        "graphspec": 1,
        "name": "own",
        "inputs": {"features": {"shape": [size]}},
        "layers": [{"name": "own", "type": "Dense", "units": MOST, "activation": "softmax"}],
        "outputs": {"own": {"loss": "sparse_categorical_crossentropy"}},
        "training": {"optimizer": {"type": "Adam", "learning_rate": 0.02}},
    }
    with TemporaryDirectory(prefix="graphspec-") as temporary:
        file = Path(temporary) / "step.onnx"
        export_training_step(Session(*check(document).require()), file)
        step = onnx.load(file)
    return step.SerializeToString(), json.loads(next(p.value for p in step.metadata_props if p.key == KEY))


_SAFE = 1 << 53  # integers beyond are texts in JSON
_INK = 64  # pictures whose largest byte is smaller have a scale of their own, such as 0 to 16
_BYTES = 16  # pictures of floats whose largest value is larger have values of bytes; smaller ones may be standardized


def form_of(file: Path) -> dict[str, Any]:
    """Return ``{title, description, fields, heads}`` of a file that graphspec has exported.

    A field has ``kind``: ``number``, ``category``, ``text``, ``date``, ``picture``, ``numbers`` or ``words``; ``dtype`` and
    ``dims`` of its tensor without the batch; ``typical``, what `why` compares with; ``first``, what the form begins with:
    the example of the file, else what is typical; ``gaps``, texts for a missing number, unless there must be none;
    ``columns`` of the training data, if they are mapped to it; of a picture, ``white``, the largest value of a pixel.

    Raises:
        UsageError: another program has written it.
        SpecError: GS703, it cannot be read.
    """
    record, spec = record_and_spec(file)
    if spec is None:
        raise UsageError(f"{file} has no spec: a page needs a file that `graphspec export` has written")
    example = (record["example"] or {}).get("inputs", {})
    fields = [_field(entry, spec, example.get(entry["name"])) for entry in record["inputs"]]
    if record["example"] is None:
        fields = [{**field, "first": field["typical"]} for field in fields]
    return {
        "title": spec.name or file.stem,
        "description": spec.description,
        "fields": fields,
        "heads": _heads(record["outputs"], spec),
    }


def _field(entry: Mapping[str, Any], spec: Spec, first: Any) -> dict[str, Any]:
    dims = [d if isinstance(d, int) else None for d in entry["shape"][1:]]
    known = (entry["known"] or {}).get("values", [])
    usual = entry["usual"] if isinstance(entry["usual"], Mapping) else {}
    first, typical = (
        row[0] if _is_scalar(dims) and isinstance(row, list) and row else row
        for row in (_exact(first[0]) if isinstance(first, list) and first else None, _exact(usual.get("typical")))
    )
    field: dict[str, Any] = {
        "input": entry["name"],
        "name": entry["column"] or entry["name"],
        "description": spec.inputs[entry["name"]].description,
        "dtype": entry["dtype"],
        "dims": dims,
        "kind": _kind(entry, dims, {node.type for node in _readers(spec, entry["name"])}),
        "missing": entry["missing"],
        "gaps": None if entry["missing"] is None else _gaps(spec, entry["name"]),
        "ids": entry["ids"],
        "first": first,
        "columns": _columns(spec, entry["name"]),
    }
    if field["kind"] == "date":
        layer: Any = next(n.layer for n in _readers(spec, entry["name"]) if n.type == "DateParts")
        field |= {"format": layer.format, "time": bool({"hour", "minute"} & {*layer.parts})}
    if field["kind"] == "category":
        field["known"] = [_exact(value) for value in known]
        field["typical"] = field["known"][0] if known else first
    elif field["kind"] == "picture":
        field |= {"typical": None, "white": _white(entry["dtype"], first, usual)}
    elif field["kind"] == "number":
        low, high = entry["ids"] or (usual.get("low"), usual.get("high"))
        field |= _range(low, typical, high, first, entry["dtype"])
    else:
        field["typical"] = {"text": "", "words": [], "numbers": typical}.get(field["kind"], first)
    return field


def _columns(spec: Spec, name: str) -> list[str] | None:
    """Return the columns of the training data that an input reads, if the spec maps it to some."""
    train = spec.data.get("train")
    columns = (train.inputs or {}).get(name) if train is not None else None
    return [columns] if isinstance(columns, str) else columns


def _gaps(spec: Spec, name: str) -> list[str]:
    """Return the cells of a table that mean a missing number, as data files have them."""
    layers = (node.layer for node in _readers(spec, name))
    return [*MISSING_TEXTS, *(text for layer in layers if isinstance(layer, Impute) for text in layer.missing_texts)]


def _readers(spec: Spec, name: str) -> list[NodeDecl]:
    return [node for node in spec.nodes if any(ref is not None and ref.name == name for ref in node.inputs)]


def _kind(entry: Mapping[str, Any], dims: Sequence[int | None], readers: set[str | None]) -> str:
    if entry["dtype"] in ("uint8", "float32") and len(dims) == 3 and dims[-1] in (1, 3):
        return "picture"
    if entry["dtype"] != "string":
        return "numbers" if not _is_scalar(dims) else "category" if entry["known"] else "number"
    if not _is_scalar(dims):
        return "words" if len(dims) == 1 else "numbers"
    if "DateParts" in readers:
        return "date"
    return "category" if readers & {"StringLookup", "Hashing"} else "text"


def _is_scalar(dims: Sequence[int | None]) -> bool:
    return len(dims) == 0 or list(dims) == [1]


def _white(dtype: str, first: Any, usual: Mapping[str, Any]) -> float:
    """Return the largest value of a pixel: 255 of bytes, unless the example's ink ends far below; 1 or 255 of numbers."""
    most = _finite(usual.get("high")) or float(np.max(first if first else 0))
    if dtype == "uint8":
        return most if 0 < most < _INK else 255.0
    return 255.0 if most > _BYTES else 1.0


def _range(least: Any, typical: Any, most: Any, first: Any, dtype: str) -> dict[str, float]:
    """Return a low, a typical and a high value of a number: the usual ones, else values around the example."""
    whole = dtype.startswith("int") or dtype == "bool"
    low, middle, high, start = (_finite(value) for value in (least, typical, most, first))
    double = 2 * (start or 0.0)
    low = min(0.0, double) if low is None else low if start is None else min(low, start)  # the example may lack it
    high = max(0.0, double) or 1.0 if high is None else high if start is None else max(high, start)
    low, high = (0.0, 1.0) if dtype == "bool" else (low, high) if low < high else (low - 1, low + 1)
    middle = min(max((low + high) / 2 if middle is None else middle, low), high)
    return {n: round(v) if whole else v for n, v in (("low", low), ("typical", middle), ("high", high))}


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _heads(outputs: Sequence[Mapping[str, Any]], spec: Spec) -> list[dict[str, Any]]:
    """Return the heads, each with the names of its label and of the ends of its interval, where it has them.

    ``past`` is the input that a head goes on from: the one by whose windows it is scaled; ``joined`` says that its labels
    are the letters of one text.
    """
    names = {output["name"] for output in outputs}
    reads = {node.name: node.inputs for node in spec.nodes}
    heads = []
    for output in outputs:
        head = spec.heads.get(name := output["name"])
        if head is None:  # a label, or an end of an interval
            continue
        low, high = (name + end for end in BOUNDS)
        window = next((r for r in reads.get(head.window.name, ()) if r is not None), None) if head.window else None
        record = {
            "name": name,
            "description": head.description,
            "dtype": output["dtype"],
            "dims": [d if isinstance(d, int) else None for d in output["shape"][1:]],
            "labels": None if output["labels"] is None else [str(label) for label in output["labels"]],
            "label": name + LABEL if name + LABEL in names else None,
            "joined": head.loss is not None and targets_of(head.loss) == "labels",
            "interval": [low, high] if {low, high} <= names else None,
            "past": window.name if window is not None and window.name in spec.inputs else None,
        }
        heads.append(record)
    return heads


def _exact(value: Any) -> Any:
    """Return a value of JSON for JavaScript: integers that its numbers do not hold as texts."""
    if isinstance(value, list):
        return [_exact(each) for each in value]
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return value if abs(value) < _SAFE else str(value)
