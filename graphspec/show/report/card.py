"""A model card in Markdown: what a network does, how well, where it ends, and how to call its file.

The front matter is that of model repositories such as Hugging Face's: ``library_name``, ``pipeline_tag``, ``metrics`` and
``model-index``, whose names are given in https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphspec.base.document import Block, Code, Heading, Inline, Items, Span, Table, Text
from graphspec.base.text import count, shell
from graphspec.engine.runtime.session import Session
from graphspec.export.onnx import input_text, label_text, output_text, signature
from graphspec.language.declarations import LABEL
from graphspec.show.markdown import line, markdown_of
from graphspec.show.report.about import between, facts_of, kind_of, sentence
from graphspec.show.report.charts import amount
from graphspec.show.report.findings import Findings, mapping_in
from graphspec.show.report.importance import doubts
from graphspec.show.report.kinds import OUT_OF_FOLD, Scored, flatten
from graphspec.show.report.verdicts import coverage, lines

# How to call an exported file: a program in Python and one in JavaScript, with one record of the data.
_MOST = 64  # elements of an input that a program shows; larger ones are made of zeros
_PYTHON = {"string": "object", "float32": "np.float32", "int64": "np.int64", "int32": "np.int32", "uint8": "np.uint8"}
_ARRAYS = {"float32": "Float32Array", "int64": "BigInt64Array", "int32": "Int32Array", "uint8": "Uint8Array"}


def python_call(described: Mapping[str, Any], file: str) -> Code:
    """Return a program in Python that asks the file, of this signature, about one record."""
    lines = ["import numpy as np", "import onnxruntime", ""]
    lines += [f"session = onnxruntime.InferenceSession({_text(file)})", "feeds = {"]
    for record in described["inputs"]:
        values, dims = _example_of(described, record)
        dtype = _PYTHON.get(record["dtype"], f"np.{record['dtype']}")
        if values is not None:
            made = f"np.array({_python(values, record)}, {dtype})"
        else:
            made = f'np.full({tuple(dims)}, "", object)' if dtype == "object" else f"np.zeros({tuple(dims)}, {dtype})"
        lines.append(f"    {json.dumps(record['name'])}: {made},")
    names = [record["name"] for record in described["outputs"]]
    lines += ["}", f"names = {json.dumps(names)}", "for name, value in zip(names, session.run(names, feeds)):"]
    return Code("\n".join([*lines, "    print(name, value)"]), label="python")


def javascript_call(described: Mapping[str, Any], file: str) -> Code:
    """Return a program in JavaScript that asks the file about one record."""
    lines = ['import * as ort from "onnxruntime-node"; // or onnxruntime-web in a web page', ""]
    lines += [f"const session = await ort.InferenceSession.create({_text(file)});", "const feeds = {"]
    for record in described["inputs"]:
        values, dims = _example_of(described, record)
        kind, is_text = _ARRAYS.get(record["dtype"], "Uint8Array"), record["dtype"] == "string"
        if values is None:
            size = " * ".join(map(str, dims[1:])) or "1"
            made = f'Array({size}).fill("")' if is_text else f"new {kind}({size})"
        else:
            flat = ", ".join(_javascript(value, record) for value in _flat(values))
            made = f"[{flat}]" if is_text else f"{kind}.of({flat})"
        lines.append(f"  {json.dumps(record['name'])}: new ort.Tensor({json.dumps(record['dtype'])}, {made}, {dims}),")
    lines += ["};", "const outputs = await session.run(feeds);"]
    lines += ["for (const name of session.outputNames) console.log(name, outputs[name].data);"]
    return Code("\n".join(lines), label="javascript")


def _example_of(described: Mapping[str, Any], record: Mapping[str, Any]) -> tuple[Any, list[int]]:
    """Return the values of an input in the example, None for none or too many to be shown, and its sizes for a record."""
    example = described["example"]
    values = None if example is None else example["inputs"].get(record["name"])
    if values is None:
        return None, [1, *(size if isinstance(size, int) else 1 for size in record["shape"][1:])]
    dims, first = [], values
    while isinstance(first, list):
        dims.append(len(first))
        first = first[0] if first else None
    return values if len(_flat(values)) <= _MOST else None, dims


def _flat(values: Any) -> list[Any]:
    return [leaf for each in values for leaf in _flat(each)] if isinstance(values, list) else [values]


def _python(values: Any, record: Mapping[str, Any]) -> str:
    if isinstance(values, list):
        return f"[{', '.join(_python(each, record) for each in values)}]"
    if values is None:
        return _missing(record, "np.nan", "-(2**63)")
    return _text(values) if isinstance(values, str) else repr(values)


def _javascript(value: Any, record: Mapping[str, Any]) -> str:
    if value is None:
        return _missing(record, "NaN", "-(2n ** 63n)")
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return str(int(value))
    return f"{value}n" if record["dtype"] == "int64" else repr(value)


def _missing(record: Mapping[str, Any], number: str, integer: str) -> str:
    return {"string": '""', "float32": number}.get(record["dtype"], integer)


def _text(value: str) -> str:
    """Return a text as a literal of both languages, with escapes for what ends a block of Markdown or steers a terminal."""
    text = json.dumps(value, ensure_ascii=not value.isprintable())
    return re.sub("[`\x7f]", lambda found: f"\\u{ord(found[0]):04x}", text)


MARK = "<!-- graphspec card -->"  # a line of every card: a file without it is not replaced
_SIGNATURE = ("name", "type", "shape", "meaning")
_INPUTS = 40  # inputs that the table lists
_CLASSES = 50  # of a head, above which they are not listed
_FEW = 30  # rows of a class, below which its share of right answers says little
_METRICS = {  # our names of metrics, by their names in the registry of model repositories
    "accuracy": ("accuracy", "binary_accuracy", "sparse_categorical_accuracy", "categorical_accuracy"),
    "precision": ("precision",),
    "recall": ("recall",),
    "f1": ("f1_score",),
    "roc_auc": ("auc",),
    "mae": ("mae", "mean_absolute_error"),
    "mse": ("mse", "mean_squared_error"),
    "r_squared": ("r2_score",),
}


def card(found: Findings, file: str, licence: str | None = None) -> str:
    """Return the model card of a run, with calls of the exported ``file``, and a licence such as ``mit``."""
    model, judged = found.model, found.judged
    rows = {} if judged is None or not len(judged.rows) else judged.inputs(0)
    described = signature(model, ({name: np.asarray(value)[None] for name, value in rows.items()}, {}))
    blocks = [
        Heading(model.spec.name, 1),
        *([Text(model.spec.description)] if model.spec.description else []),
        Text(sentence(model)),
        Heading("How to call it", 2),
        Text((_code(f"graphspec export RUN -o {shell(file)}"), " writes the file. It needs nothing but onnxruntime.")),
        python_call(described, file),
        javascript_call(described, file),
        *_inputs(model, described),
        *_outputs(model, described),
        *_results(found),
        Heading("Limits", 2),
        Items(limits(found)),
        *_training(found),
    ]
    return f"{_front_matter(found, licence)}\n{MARK}\n{markdown_of(blocks)}"


# The front matter.
def pipeline_tag(model: Session) -> str | None:
    """Return the task as model repositories name it; None if they have no name for it."""
    kinds = {kind_of(model, head) for head in model.spec.heads.values()} - {""}
    numbers = kinds == {"regression"}
    inputs = list(model.spec.inputs.values())
    if any(source.windows is not None for source in model.spec.data.values()):
        return "time-series-forecasting" if numbers else None
    if not kinds or kinds & {"embedding"}:
        return "feature-extraction" if kinds else None
    pictures = any(len(i.shape) == 3 and i.shape[2] in (1, 3, 4) for i in inputs)
    if "sequence recognition" in kinds:
        return "image-to-text" if pictures else None
    if pictures:
        return None if numbers else "image-classification"
    tokens = [i for i in inputs if i.dtype in ("int32", "int64") and len(i.shape) == 1 and i.shape[0] != 1]
    if len(inputs) == 1 and (tokens or inputs[0].dtype == "string"):
        return "token-classification" if model.tags(model.whole) else "text-classification"
    return "tabular-regression" if numbers else "tabular-classification"


def _front_matter(found: Findings, licence: str | None) -> str:
    model, judged = found.model, found.judged
    tag = pipeline_tag(model)
    opening = ["---", f"license: {json.dumps(licence)}" if licence else "", "library_name: onnx"]
    lines = [*filter(None, [*opening, f"pipeline_tag: {tag}" if tag else "", "tags:", "- onnx", "- graphspec"])]
    if judged is not None and (known := dict(_known(judged))):
        name_of_model = json.dumps(line(model.spec.name))
        lines += ["metrics:", *(f"- {name}" for name in dict.fromkeys(known.values()))]
        lines += ["model-index:", f"- name: {name_of_model}", "  results:", "  - task:"]
        lines += [f"      type: {tag or 'other'}", "    dataset:"]
        source = model.spec.data.get(judged.part) or model.spec.data.get("train")
        files = [path.name for path in source.paths[:3]] if source is not None else []
        lines += [f"      name: {json.dumps(', '.join(files) or judged.part)}", f"      type: {name_of_model}"]
        lines += [f"      split: {judged.part}", "    metrics:"]
        for key, name in known.items():
            value = judged.results[key]
            lines += [f"    - type: {name}", f"      value: {value!r}", f"      name: {json.dumps(line(key))}"]
    return "\n".join([*lines, "---"])


def _known(judged: Scored) -> Iterator[tuple[str, str]]:
    """Yield the keys of finite metrics with one value that model repositories know, with their names there."""
    theirs = {own: name for name, ours in _METRICS.items() for own in ours}
    for key, value in judged.results.items():
        known = [own for head in judged.heads if (own := key.removeprefix(f"{head}_")) in theirs]
        if known and math.isfinite(value):
            yield key, theirs[known[0]]


# The sections.
def _inputs(model: Session, described: Mapping[str, Any]) -> Iterator[Block]:
    listed = described["inputs"][:_INPUTS]
    rows = [[_code(r["name"]), r["dtype"], _shape(r["shape"]), input_text(model, r)] for r in listed]
    yield from (Heading("Inputs"), Table(_SIGNATURE, rows), Text((_code("N"), " is the number of records.")))
    if more := len(described["inputs"]) - len(listed):
        told = f"And {count(more, 'further input')}; the file's metadata ("
        yield Text((told, _code("graphspec.signature"), ") list all."))


def _outputs(model: Session, described: Mapping[str, Any]) -> Iterator[Block]:
    rows = []
    for record in described["outputs"]:
        rows.append([_code(record["name"]), record["dtype"], _shape(record["shape"]), meaning_of(model, record)])
    yield from (Heading("Outputs"), Table(_SIGNATURE, rows))


def meaning_of(model: Session, record: Mapping[str, Any]) -> str:
    """Return what an output of the signature means."""
    name = record["name"]
    head, owner = (model.spec.heads.get(key) for key in (name, name.removesuffix(LABEL)))
    text = output_text(model, head) if head is not None else label_text(model, owner) if owner is not None else ""
    return text or str(record.get("description", ""))


def _results(found: Findings) -> Iterator[Block]:
    judged = found.judged
    yield Heading("Results", 2)
    if judged is None:
        yield Text(found.missing or "There are no rows on which the network was measured.")
        return
    what = {
        "test": "test rows, which the training has not seen",
        "validation": "validation rows: the training did not learn from them, but may have been stopped by them",
        "train": "training rows themselves: new rows will be answered less well",
    }.get(judged.part, "rows")
    what = f"training rows, {OUT_OF_FOLD}" if judged.out_of_fold else what
    rows = []
    for key, value in judged.results.items():
        meaning = f" ({judged.meanings[key]})" if key in judged.meanings else ""
        rows.append([key + meaning, amount(value), between(found.intervals.get(key))])
    yield Text(f"On {judged.total:,} {what}. Ranges are 95 % intervals: Wilson's, or by the bootstrap.")
    yield Table(["loss or metric", "value", "95 % interval"], rows)
    yield from (Text(text) for text in [*(verdict.text for verdict in lines(found.verdicts)), *coverage(judged)])
    yield from (Text(said[:1].upper() + said[1:]) for said in doubts(found))
    for name, shares in by_class(judged).items():
        told = [[label, f"{size:,}", "–" if right is None else f"{100 * right:.1f} %"] for label, size, right in shares]
        yield from (Heading(f"{name} by class"), Table(["class", "rows", "right"], told))


def by_class(judged: Scored) -> dict[str, list[tuple[str, int, float | None]]]:
    """Return for heads of one of several classes: each label, its number of rows, and the share of right answers.

    The share is None for a class without rows.
    """
    found = {}
    for name, answers in judged.heads.items():
        flat = flatten(answers)
        if flat.kind != "classes" or len(flat.labels) > _CLASSES:
            continue
        said, rows = flat.scores.argmax(-1), []
        for k, label in enumerate(flat.labels):
            of_class = flat.true == k
            right = float(np.mean(said[of_class] == k)) if of_class.any() else None
            rows.append((label, int(of_class.sum()), right))
        found[name] = rows
    return found


def limits(found: Findings) -> list[str]:
    """Return what a reader must not expect of the network, as far as its rows show it."""
    judged, model = found.judged, found.model
    points = [
        "It answers rows like those it was trained on. For others its answers may be wrong, and it does not say so."
    ]
    if judged is None or judged.part != "test":
        points.append("It was not measured on rows that had no part in the training.")
    elif judged.total < 200:
        points.append(f"It was measured on {judged.total:,} rows only: see how wide the intervals are.")
    rows = [] if judged is None else [row for of_head in by_class(judged).values() for row in of_head]
    if few := [f"{label} ({size})" for label, size, _ in rows if size < _FEW]:
        more = " …" if len(few) > 12 else ""
        points.append(f"Classes with fewer than {_FEW} measured rows: {', '.join(few[:12])}{more}.")
    if any(head.loss is not None and head.loss.fits == "classes" for head in model.spec.heads.values()):
        own = "A probability is the network's own estimate."
        points.append(f"{own} The report of the run shows how well it is calibrated.")
    return [*points, "Whether it treats groups of people alike was not measured."]


def _training(found: Findings) -> Iterator[Block]:
    record = found.record
    rows: list[list[Inline]] = [[name, value] for name, value in facts_of(found)]
    versions = [f"graphspec {record.get('graphspec', '')}".strip(), f"Python {record.get('python', '')}".strip()]
    versions += [f"{name} {version}" for name, version in mapping_in(record, "packages").items()]
    rows.append(["Versions", ", ".join(versions)])
    hashes = mapping_in(record, "data_sha256")
    rows += [[f"sha256 of the {part} data", _code(value)] for part, value in hashes.items()]
    if isinstance(record.get("spec_sha256"), str):
        rows.append(["sha256 of the spec", _code(record["spec_sha256"])])
    yield from (Heading("Training", 2), Table(["", ""], rows))


def _code(text: str) -> Span:
    return Span(text, "code")


def _shape(shape: Sequence[Any]) -> str:
    return f"({', '.join(map(str, shape))})"
