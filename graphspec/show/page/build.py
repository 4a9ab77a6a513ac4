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
from graphspec.engine.compiler.check import check
from graphspec.engine.runtime.session import Session
from graphspec.export.training_step import KEY, export_training_step
from graphspec.show.drawing.pictures import data_uri, pixels
from graphspec.show.html import digest, framed, refuse_foreign, text
from graphspec.show.page.form import form_of

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
