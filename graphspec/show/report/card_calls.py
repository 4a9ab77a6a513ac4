"""How to call an exported file: a program in Python and one in JavaScript, with one record of the data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_MOST = 64  # elements of an input that a program shows; larger ones are made of zeros
_PYTHON = {"string": "object", "float32": "np.float32", "int64": "np.int64", "int32": "np.int32", "uint8": "np.uint8"}
_ARRAYS = {"float32": "Float32Array", "int64": "BigInt64Array", "int32": "Int32Array", "uint8": "Uint8Array"}


def python_call(described: Mapping[str, Any], file: str) -> str:
    """Return a program in Python that asks the file about one record.

    Args:
        described: the signature of the file (:func:`graphspec.export.onnx.signature`).
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
