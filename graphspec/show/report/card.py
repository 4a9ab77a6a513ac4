"""A model card in Markdown: what a network does, how well, where it ends, and how to call its file.

The front matter is that of model repositories such as Hugging Face's: ``library_name``, ``pipeline_tag``, ``metrics`` and
``model-index``, whose names are given in https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.text import count, number, printable, shell
from graphspec.export.onnx import input_text, label_text, output_text, signature
from graphspec.language.declarations import LABEL
from graphspec.show.report.about import facts_of, kind_of, sentence
from graphspec.show.report.importance import doubts
from graphspec.show.report.kinds import flatten
from graphspec.show.report.verdicts import lines

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session
    from graphspec.show.report.findings import Findings
    from graphspec.show.report.scored import Scored

# How to call an exported file: a program in Python and one in JavaScript, with one record of the data.
_MOST = 64  # elements of an input that a program shows; larger ones are made of zeros
_PYTHON = {"string": "object", "float32": "np.float32", "int64": "np.int64", "int32": "np.int32", "uint8": "np.uint8"}
_ARRAYS = {"float32": "Float32Array", "int64": "BigInt64Array", "int32": "Int32Array", "uint8": "Uint8Array"}


def python_call(described: Mapping[str, Any], file: str) -> str:
    """Return a program in Python that asks the file about one record.

    Args:
        described: the signature of the file (:func:`graphspec.export.signature.signature`).
    """
    lines = ["```python", "import numpy as np", "import onnxruntime", ""]
    lines += [f"session = onnxruntime.InferenceSession({_text(file)})", "feeds = {"]
    for record in described["inputs"]:
        values = _values(described, record)
        dtype = _PYTHON.get(record["dtype"], f"np.{record['dtype']}")
        if values is None:
            sizes = tuple(_dims(described, record))
            made = f'np.full({sizes}, "", object)' if dtype == "object" else f"np.zeros({sizes}, {dtype})"
        else:
            made = f"np.array({_python(values, record)}, {dtype})"
        lines.append(f"    {json.dumps(record['name'])}: {made},")
    names = [record["name"] for record in described["outputs"]]
    lines += ["}", f"names = {json.dumps(names)}", "for name, value in zip(names, session.run(names, feeds)):"]
    return "\n".join([*lines, "    print(name, value)", "```", ""])


def javascript_call(described: Mapping[str, Any], file: str) -> str:
    """Return a program in JavaScript that asks the file about one record."""
    lines = ["```javascript", 'import * as ort from "onnxruntime-node"; // or onnxruntime-web in a web page', ""]
    lines += [f"const session = await ort.InferenceSession.create({_text(file)});", "const feeds = {"]
    for record in described["inputs"]:
        dims = json.dumps(_dims(described, record))
        values = _values(described, record)
        size = " * ".join(map(str, _dims(described, record)[1:])) or "1"
        if values is None and record["dtype"] == "string":
            made = f'Array({size}).fill("")'
        elif values is None:
            made = f"new {_ARRAYS.get(record['dtype'], 'Uint8Array')}({size})"
        else:
            flat = ", ".join(_javascript(value, record) for value in _flat(values))
            made = (
                f"[{flat}]"
                if record["dtype"] == "string"
                else f"{_ARRAYS.get(record['dtype'], 'Uint8Array')}.of({flat})"
            )
        lines.append(f"  {json.dumps(record['name'])}: new ort.Tensor({json.dumps(record['dtype'])}, {made}, {dims}),")
    lines += ["};", "const outputs = await session.run(feeds);"]
    lines += ["for (const name of session.outputNames) console.log(name, outputs[name].data);"]
    return "\n".join([*lines, "```", ""])


def _values(described: Mapping[str, Any], record: Mapping[str, Any]) -> Any:
    """Return the values of an input in the example; None if there are none, or too many to be shown."""
    example = described["example"]
    values = None if example is None else example["inputs"].get(record["name"])
    return values if values is not None and len(_flat(values)) <= _MOST else None


def _dims(described: Mapping[str, Any], record: Mapping[str, Any]) -> list[int]:
    """Return the sizes of an input for one record: those of the example, else 1 where an axis varies."""
    example = described["example"]
    values = None if example is None else example["inputs"].get(record["name"])
    if values is None:
        return [1, *(size if isinstance(size, int) else 1 for size in record["shape"][1:])]
    dims = []
    while isinstance(values, list):
        dims.append(len(values))
        values = values[0] if values else None
    return dims


def _flat(values: Any) -> list[Any]:
    return [leaf for each in values for leaf in _flat(each)] if isinstance(values, list) else [values]


def _python(values: Any, record: Mapping[str, Any]) -> str:
    if isinstance(values, list):
        return f"[{', '.join(_python(each, record) for each in values)}]"
    if values is None:  # a missing value
        return '""' if record["dtype"] == "string" else "np.nan" if record["dtype"] == "float32" else "-(2**63)"
    return _text(values) if isinstance(values, str) else repr(values)


def _javascript(value: Any, record: Mapping[str, Any]) -> str:
    if value is None:
        return '""' if record["dtype"] == "string" else "NaN" if record["dtype"] == "float32" else "-(2n ** 63n)"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return str(int(value))
    return f"{value}n" if record["dtype"] == "int64" else repr(value)


def _text(value: str) -> str:
    """Return a text as a literal of both languages, with escapes for what ends a block of Markdown or steers a terminal."""
    text = json.dumps(value, ensure_ascii=not value.isprintable())
    return re.sub("[`\x7f]", lambda found: f"\\u{ord(found[0]):04x}", text)


MARK = "<!-- graphspec card -->"
"""A line of every card: a file without it is not replaced."""
_INPUTS = 40  # inputs that the table lists
_CLASSES = 50  # of a head, above which they are not listed
_FEW = 30  # rows of a class, below which its share of right answers says little
_METRICS = {  # names of metrics in the registry of model repositories, by ours
    "accuracy": "accuracy",
    "binary_accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "categorical_accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1_score": "f1",
    "auc": "roc_auc",
    "mae": "mae",
    "mean_absolute_error": "mae",
    "mse": "mse",
    "mean_squared_error": "mse",
    "r2_score": "r_squared",
}


def card(found: Findings, file: str, licence: str | None = None) -> str:
    """Return the model card of a run.

    Args:
        file: the name of the exported file, for the calls.
        licence: the identifier of a licence, such as ``mit``, for the front matter.
    """
    model = found.model
    described = signature(model, (_example(model, found.judged), {}))
    sections = [
        _title(found),
        f"{_line(sentence(model))}\n",
        "## How to call it\n",
        f"{_code(f'graphspec export RUN -o {shell(file)}')} writes the file. It needs nothing but onnxruntime.\n",
        python_call(described, file),
        javascript_call(described, file),
        _inputs(model, described),
        _outputs(model, described),
        *_results(found),
        *_limits(found),
        _training(found),
    ]
    return f"{_front_matter(found, licence)}\n{MARK}\n" + "\n".join(sections).rstrip() + "\n"


def _title(found: Findings) -> str:
    spec = found.model.spec
    about = f"\n{_line(spec.description)}\n" if spec.description else ""
    return f"# {_line(spec.name)}\n{about}"


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
    texts = [i for i in inputs if i.dtype == "string"]
    tokens = [i for i in inputs if i.dtype in ("int32", "int64") and len(i.shape) == 1 and i.shape[0] != 1]
    if (len(inputs) == 1 and texts) or (len(inputs) == 1 and tokens):
        return "text-classification"
    return "tabular-regression" if numbers else "tabular-classification"


def _front_matter(found: Findings, licence: str | None) -> str:
    model, judged = found.model, found.judged
    lines = ["---"]
    if licence:
        lines.append(f"license: {json.dumps(licence)}")
    lines.append("library_name: onnx")
    tag = pipeline_tag(model)
    if tag is not None:
        lines.append(f"pipeline_tag: {tag}")
    lines += ["tags:", "- onnx", "- graphspec"]
    known = {} if judged is None else dict(_known(judged))
    if known:
        lines += ["metrics:", *(f"- {name}" for name in dict.fromkeys(known.values()))]
        lines += ["model-index:", f"- name: {json.dumps(_line(model.spec.name))}", "  results:"]
        lines.append("  - task:")
        lines += [f"      type: {tag or 'other'}", "    dataset:"]
        lines += [f"      name: {json.dumps(_data(found))}", f"      type: {json.dumps(_line(model.spec.name))}"]
        lines += [f"      split: {judged.part if judged is not None else 'test'}", "    metrics:"]
        for key, name in known.items():
            value = judged.results[key] if judged is not None else math.nan
            lines += [f"    - type: {name}", f"      value: {value!r}", f"      name: {json.dumps(_line(key))}"]
    return "\n".join([*lines, "---"])


def _known(judged: Scored) -> Iterator[tuple[str, str]]:
    """Yield the keys of finite metrics with one value that model repositories know, with their names there."""
    for key, value in judged.results.items():
        own = next((name for head in judged.heads for name in [key.removeprefix(f"{head}_")] if name in _METRICS), key)
        if own in _METRICS and math.isfinite(value):
            yield key, _METRICS[own]


def _data(found: Findings) -> str:
    sources = found.model.spec.data
    part = found.judged.part if found.judged is not None else "train"
    source = sources.get(part) or sources.get("train")
    names = [path.name for path in source.paths] if source is not None else []
    return ", ".join(names[:3]) or part


# The sections.


def _inputs(model: Session, described: Mapping[str, Any]) -> str:
    rows = [
        [_code(r["name"]), r["dtype"], _shape(r["shape"]), input_text(model, r)] for r in described["inputs"][:_INPUTS]
    ]
    more = len(described["inputs"]) - _INPUTS
    after = (
        f"\nAnd {count(more, 'further input')}; the file's metadata (`graphspec.signature`) list all.\n"
        if more > 0
        else ""
    )
    return f"### Inputs\n\n{_table(['name', 'type', 'shape', 'meaning'], rows)}\n`N` is the number of records.\n{after}"


def _outputs(model: Session, described: Mapping[str, Any]) -> str:
    rows = []
    for record in described["outputs"]:
        name = record["name"]
        head = model.spec.heads.get(name)
        owner = model.spec.heads.get(name.removesuffix(LABEL))
        text = output_text(model, head) if head is not None else label_text(model, owner) if owner is not None else ""
        rows.append([_code(name), record["dtype"], _shape(record["shape"]), text])
    return f"### Outputs\n\n{_table(['name', 'type', 'shape', 'meaning'], rows)}"


def _results(found: Findings) -> Iterator[str]:
    judged = found.judged
    if judged is None:
        yield f"## Results\n\n{_line(found.missing or 'There are no rows on which the network was measured.')}\n"
        return
    what = {
        "test": "test rows, which the training has not seen",
        "validation": "validation rows: the training did not learn from them, but may have been stopped by them",
        "train": "training rows themselves: new rows will be answered less well",
    }.get(judged.part, "rows")
    rows = []
    for key, value in judged.results.items():
        interval = found.intervals.get(key)
        shown = "" if interval is None else f"{number(interval.low)} to {number(interval.high)}"
        rows.append([key + (f" ({judged.meanings[key]})" if key in judged.meanings else ""), f"{value:.6g}", shown])
    yield f"## Results\n\nOn {judged.total:,} {what}. Ranges are 95 % intervals: Wilson's, or by the bootstrap.\n"
    yield _table(["loss or metric", "value", "95 % interval"], rows)
    yield from (f"{_line(line.text)}\n" for line in lines(found.verdicts))
    yield from (f"{_line(said[:1].upper() + said[1:])}\n" for said in doubts(found))
    for name, shares in _by_class(judged).items():
        yield f"### {_line(name)} by class\n\n{_table(['class', 'rows', 'right'], shares)}"


def _by_class(judged: Scored) -> dict[str, list[list[str]]]:
    """Return how often each class is true, and the share of right answers, for heads of one of several classes."""
    found = {}
    for name, answers in judged.heads.items():
        flat = flatten(answers)
        if flat.kind != "classes" or len(flat.labels) > _CLASSES:
            continue
        said, rows = flat.scores.argmax(-1), []
        for k, label in enumerate(flat.labels):
            of_class = flat.true == k
            right = f"{100 * float(np.mean(said[of_class] == k)):.1f} %" if of_class.any() else "–"
            rows.append([label, f"{int(of_class.sum()):,}", right])
        found[name] = rows
    return found


def _limits(found: Findings) -> Iterator[str]:
    """Yield what a reader must not expect of the network, as far as its rows show it."""
    judged, model = found.judged, found.model
    points = [
        "It answers rows like those it was trained on. For others its answers may be wrong, and it does not say so."
    ]
    if judged is None or judged.part != "test":
        points.append("It was not measured on rows that had no part in the training.")
    elif judged.total < 200:
        points.append(f"It was measured on {judged.total:,} rows only: see how wide the intervals are.")
    if judged is not None:
        few = [
            f"{row[0]} ({row[1]})"
            for rows in _by_class(judged).values()
            for row in rows
            if int(row[1].replace(",", "")) < _FEW
        ]
        if few:
            points.append(
                f"Classes with fewer than {_FEW} measured rows: {', '.join(few[:12])}{' …' if len(few) > 12 else ''}."
            )
    if any(head.loss is not None and head.loss.fits == "classes" for head in model.spec.heads.values()):
        points.append(
            "A probability is the network's own estimate. The report of the run shows how well it is calibrated."
        )
    points.append("Whether it treats groups of people alike was not measured.")
    yield "## Limits\n\n" + "\n".join(f"- {_line(point)}" for point in points) + "\n"


def _training(found: Findings) -> str:
    record = found.record
    rows = [[name, value] for name, value in facts_of(found)]
    packages = record.get("packages")
    versions = [f"graphspec {record.get('graphspec', '')}".strip(), f"Python {record.get('python', '')}".strip()]
    if isinstance(packages, dict):
        versions += [f"{name} {version}" for name, version in packages.items()]
    rows.append(["Versions", ", ".join(versions)])
    hashes = record.get("data_sha256")
    if isinstance(hashes, dict):
        rows += [[f"sha256 of the {part} data", _code(value)] for part, value in hashes.items()]
    if isinstance(record.get("spec_sha256"), str):
        rows.append(["sha256 of the spec", _code(record["spec_sha256"])])
    return f"## Training\n\n{_table(['', ''], rows)}"


def _example(model: Session, judged: Scored | None) -> dict[str, Any]:
    """Return one record with the batch axis, for the calls; nothing if there are no rows."""
    if judged is None or not len(judged.rows):
        return {}
    return {name: np.asarray(value)[None] for name, value in judged.inputs(0).items()}


# Markdown. Every text goes through `_line` or `_code`: names and labels of specs and data may hold marks of their own.


class _Markdown(str):
    """Text in which nothing is to be escaped."""

    __slots__ = ()


def _line(text: str) -> str:
    """Return text of specs and data as one line of Markdown that shows it as it is."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", printable(" ".join(text.split())))


def _code(text: str) -> _Markdown:
    """Return a name as code; between backticks nothing can be escaped, so one that could end there is plain text."""
    return _Markdown(_line(text) if set(text) & {"`", "|"} else f"`{printable(' '.join(text.split()))}`")


def _shape(shape: Sequence[Any]) -> str:
    return f"({', '.join(map(str, shape))})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [[cell if isinstance(cell, _Markdown) else _line(cell) for cell in row] for row in rows]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *(f"| {' | '.join(row)} |" for row in cells)]
    return "\n".join(lines) + "\n"
