"""Write operations that are read once, by the next operation, as one formula."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from graphspec.language.layer_entries import ENTRY_KEYS
from graphspec.vocabulary.layers import LAYERS

_SIGNS = {"add": ("+", 5), "subtract": ("-", 5), "multiply": ("*", 6), "divide": ("/", 6), "true_divide": ("/", 6)}
_SIGNS |= {"equal": ("==", 4), "not_equal": ("!=", 4), "less": ("<", 4), "greater": (">", 4), "power": ("**", 8)}
_SIGNS |= {"less_equal": ("<=", 4), "greater_equal": (">=", 4), "matmul": ("@", 6)}
_LAYERS = {"Add": "add", "Subtract": "subtract", "Multiply": "multiply"}
_SEVERAL = ("top_k", "split", "unstack", "moments")  # outputs
_WHOLE = 9  # the level of what needs no brackets
_LONGEST = 90  # characters of a formula
Text = tuple[str, int]  # of a formula, and the level of its last operator


def with_formulas(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec with formulas; `layers` lists each node behind those that it reads."""
    heads = {text for name, head in data["outputs"].items() for text in (name, *_texts(head))}
    blocks = {
        k: b | {"layers": _joined(b["layers"], {*_texts(b["outputs"])})} for k, b in data.get("blocks", {}).items()
    }
    return {**data, "layers": _joined(data["layers"], heads)} | ({"blocks": blocks} if blocks else {})


def _joined(entries: Iterable[dict[str, Any]], kept: set[str]) -> list[dict[str, Any]]:
    above: list[Any] = []
    given: list[list[Any]] = []
    for entry in entries:
        inputs = entry.get("inputs", above)
        given.append(inputs if isinstance(inputs, list) else [inputs])
        above = above if entry.get("type") in ("Parameter", "Constant") else [entry.get("name")]
        kept |= {*chain(*(_texts(value) for key, value in entry.items() if key not in ("name", "type", "inputs")))}
    readers = Counter(ref for inputs in given for ref in inputs if isinstance(ref, str))
    kept |= {part for ref in readers for part in (*ref.split("/")[:-1], *ref.split(":")[:-1])}
    pending, places = dict[str, Text](), dict[str, int]()
    found: dict[int, dict[str, Any]] = {}
    for k, (entry, inputs) in enumerate(zip(entries, given, strict=True)):
        found[k], name = entry, entry.get("name")
        whole = [pending[x] if isinstance(x, str) and x in pending else _named(x) for x in inputs if x is not None]
        if None in inputs or "name" not in entry or (text := _text(entry, whole)) is None:
            continue
        of = {x for x in inputs if entry["type"] not in _LAYERS and isinstance(x, str) and x in pending}
        if not of or len(text[0]) > _LONGEST:
            text = _text(entry, [_named(x) for x in inputs]) or text
        else:
            for x in of:
                del found[places[x]]
            found[k] = {"name": name, "type": "Formula", "value": text[0]}
        if readers[str(name)] == 1 and name not in kept:
            pending[str(name)], places[str(name)] = text, k
    return list(found.values())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in (value.values() if isinstance(value, Mapping) else value) if isinstance(value, list | Mapping) else ():
        yield from _texts(inner)


def _named(value: Any) -> Text:
    plain = not isinstance(value, str) or (value.replace(":", "").isidentifier() and value not in ("and", "or", "not"))
    return (str(value) if plain else f"`{value}`"), (_WHOLE if isinstance(value, str | list) or value >= 0 else 7)


def _text(entry: Mapping[str, Any], inputs: list[Text]) -> Text | None:
    """Return an operation as a formula of its inputs; None for other layers."""
    kind = str(entry.get("type"))
    name = _LAYERS.get(kind) or kind.removeprefix("ops.")
    options = {key: value for key, value in entry.items() if key not in ("name", "type", "inputs")}
    if (kind not in _LAYERS and LAYERS.get(f"ops.{name}") is None) or name == kind or name in _SEVERAL or not inputs:
        return None
    if not options.keys().isdisjoint(ENTRY_KEYS):  # such as `repeat`
        return None
    if name in _SIGNS and len(inputs) == 2 and not options:
        sign, level = _SIGNS[name]
        least = (level + 1, 8) if level in (4, 8) else (level, level + 1)  # comparisons and powers are no chains
        left, right = (t if of >= bound else f"({t})" for (t, of), bound in zip(inputs, least, strict=True))
        return (f"{left}{sign}{right}" if sign == "**" else f"{left} {sign} {right}"), level
    if name == "negative":
        return f"-{inputs[0][0]}" if inputs[0][1] >= 7 else f"-({inputs[0][0]})", 7
    words = []
    for key, value in options.items():
        plain = isinstance(value, bool | int | float | list) or value is None
        words.append(f"{key}={str(value).lower() if isinstance(value, bool) else value if plain else repr(value)}")
    return f"{name}({', '.join([*(text for text, _ in inputs), *words])})", _WHOLE
