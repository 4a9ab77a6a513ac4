"""Specs in the plain form of an import: every node by itself, with its inputs and all arguments."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from paths import ROOT

from graphspec.foreign.importing.tidy import tidy
from graphspec.language.declarations import Ref
from graphspec.language.names import snake_case
from graphspec.language.parse import parse
from graphspec.language.tree import Tree
from graphspec.language.write import write_yaml

MOTIF = (
    *("Dense", "Dense", "BatchNormalization", "LayerNormalization", "Activation", "Dropout"),
    *("Add", "Multiply", "Concatenate"),
)
"""What random networks repeat."""
KEYS = ("name", "type", "inputs", "trainable", "repeat")


def values(tree: Tree) -> Any:
    """The plain values of a tree."""
    value = tree.value
    if isinstance(value, dict):
        return {key: values(child) for key, child in value.items()}
    return [values(child) for child in value] if isinstance(value, list) else value


def plain_spec(path: Path, *, automatic: bool = False) -> dict[str, Any]:
    """A spec without blocks, variables and repeats, with the defaults of all arguments.

    Args:
        automatic: nodes have the names that Keras gives.
    """
    spec, problems = parse(str(path))
    assert spec is not None
    assert not problems
    heads = {ref.name for head in spec.all_heads.values() for ref in head.layers if ref is not None}
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for node in spec.nodes:
        names[node.name] = node.name.replace("/", "_")
        if automatic and node.name not in heads:
            kind = snake_case(str(node.type))
            names[node.name] = f"{kind}_{counts[kind]}" if kind in counts else kind
            counts[kind] = counts.get(kind, 0) + 1

    def text(ref: Any) -> Any:
        return f"{names.get(ref.name, ref.name)}{f':{ref.output}' * (ref.output > 0)}" if isinstance(ref, Ref) else ref

    layers = []
    for node in spec.nodes:
        entry: dict[str, Any] = {
            "name": names[node.name],
            "type": node.type,
            "inputs": [text(o) for o in node.operands()],
        }
        entry |= {key: values(child) for key, child in node.tree.value.items() if key not in KEYS}
        for name, field in type(node.layer).model_fields.items():
            default = None if field.is_required() else field.get_default(call_default_factory=True)
            if isinstance(default, str | int | float | tuple) and (field.alias or name) not in entry:
                entry[field.alias or name] = list(default) if isinstance(default, tuple) else default
        layers.append(entry | {key: [text(ref) for ref in refs] for key, refs in node.call.items()})
    shapes = {name: {"shape": [*declared.shape], "dtype": declared.dtype} for name, declared in spec.inputs.items()}
    heads = {name: {"layer": names[h.layer.name]} for name, h in spec.heads.items() if h.layer is not None}
    return {"graphspec": 1, "name": spec.name, "inputs": shapes, "layers": layers, "outputs": heads}


def random_network(seed: int) -> dict[str, Any]:
    """A network in the plain form that repeats some parts, with skips inside of them."""
    draw = random.Random(seed)
    sizes = [draw.randint(2, 6) for _ in range(3)]
    motifs = [[(draw.choice(MOTIF), draw.choice((4, 8)), draw.random()) for _ in range(size)] for size in sizes]
    layers: list[dict[str, Any]] = []
    width, ends, unit = {"x": 4}, ["x"], 0

    def add(kind: str, units: int, at: float, local: list[str], name: str) -> str:
        entry: dict[str, Any] = {"name": name, "type": kind, "inputs": [local[-1]]}
        skip = local[int(at * len(local))]
        if kind == "Dense":
            entry |= {
                "units": units,
                "activation": "linear",
                "kernel_initializer": {"type": "GlorotUniform", "seed": None},
            }
        elif kind == "Activation":
            entry["activation"] = "tanh"
        elif kind == "Dropout":
            entry["rate"] = round(at / 2, 2)
        elif kind == "Concatenate" or (kind in ("Add", "Multiply") and width[skip] == width[local[-1]]):
            entry["inputs"] = [local[-1], skip]
        elif kind in ("Add", "Multiply"):
            entry["inputs"] = [local[-1], local[-1]]
        layers.append(entry)
        joined = sum(width[i] for i in entry["inputs"]) if kind == "Concatenate" else width[local[-1]]
        width[name] = units if kind == "Dense" else joined
        return name

    style = draw.choice(("{kind}_{count}", "unit{unit}_{kind}{place}", "n{count}"))
    for _ in range(draw.randint(3, 9)):
        motif, scale = draw.choice(motifs), draw.choice((1, 1, 2))
        for _ in range(draw.choice((1, 1, 2, 4))):
            local = [ends[-1]]
            for place, (kind, units, at) in enumerate(motif):
                name = style.format(kind=snake_case(kind), count=len(layers), unit=unit, place=place)
                local.append(add(kind, units * scale, at, local, name))
            ends += local[1:]
            unit += 1
        if width[ends[-1]] > 64:
            ends.append(add("Dense", 4, 0.0, [ends[-1]], f"less_{len(layers)}"))
    layers.append({"name": "y", "type": "Dense", "units": 1, "inputs": [ends[-1]]})
    heads: dict[str, Any] = {"y": {"loss": {"type": "MeanSquaredError"}, "weight": 1.0}}
    if draw.random() < 0.3:
        heads["seen"] = {"layer": draw.choice(ends[1:])}
    return {"graphspec": 1, "name": "net", "inputs": {"x": {"shape": [4]}}, "layers": layers, "outputs": heads}


def main() -> None:
    """Print how many lines the shipped networks take: as people wrote them, as an import would, and in the plain form."""
    for path in sorted((ROOT / "specs" / "architectures").glob("*.yaml")):
        by_hand = sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())
        counts = []
        for automatic in (False, True):
            data = plain_spec(path, automatic=automatic)
            start = time.perf_counter()
            text = write_yaml(tidy(data).data, schema="x")
            counts.append(sum(bool(line) for line in text.splitlines()))
        took = time.perf_counter() - start
        print(
            f"{path.stem:28} {by_hand:4} {counts[0]:4} {counts[1]:4} {write_yaml(data).count(chr(10)):6}   {took:.1f} s"
        )


if __name__ == "__main__":
    main()
