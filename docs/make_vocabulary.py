"""Write `vocabulary.md` and the pages in `vocabulary/` from the registries: ``python docs/make_vocabulary.py``.

`vocabulary.md` lists all names. Each page in `vocabulary/` begins with a part that people write: what the family is for, an
example, a picture. It ends at the line `MARK`; what follows is written here.

The operators that a layer lowers to are those that its golden cases (`tests/golden/layers_*.json`) lower to, in
inference, without those of an activation that a case asks for.
"""

from __future__ import annotations

import inspect
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from graphspec.base.config import Config, Neutral, Registry
from graphspec.base.files import write_atomic
from graphspec.engine.compiler.check import check
from graphspec.export.targets import IR_OF_OPSET, OPSET
from graphspec.graph.passes import FOR_OPSET, prepare
from graphspec.graph.passes.for_export import since
from graphspec.graph.target import Target
from graphspec.language.explain import REGISTRIES
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.layers.operation_names import OPERATIONS

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "tests" / "golden"

TABLE = {"shape": [3]}
TEXT = {"shape": [1], "dtype": "string"}
WITHOUT_CASES: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"type": "RandomCrop", "height": 4, "width": 4}, {"shape": [6, 5, 3]}),
    ({"type": "DateParts", "parts": ["year", "weekday"]}, TEXT),
    ({"type": "Hashing", "num_bins": 4}, TEXT),
    ({"type": "HashedCrossing", "num_bins": 4, "inputs": ["x", "x"]}, TEXT),
    ({"type": "StringLookup", "vocabulary": ["a"]}, TEXT),
    ({"type": "IntegerLookup", "vocabulary": [1]}, {"shape": [1], "dtype": "int64"}),
    ({"type": "TextVectorization", "vocabulary": ["a"]}, TEXT),
    ({"type": "Impute", "indicator": True}, TABLE),
    ({"type": "Log1p"}, TABLE),
    ({"type": "MinMaxScaling"}, TABLE),
    ({"type": "PositionEmbedding", "sequence_length": 4}, {"shape": ["time", 3]}),
    ({"type": "ops.broadcast_to", "shape": [-1, 4, 3]}, {"shape": [1, 3]}),
    ({"type": "ops.cast", "dtype": "int64"}, TABLE),
    ({"type": "ops.heaviside", "inputs": ["x", 0.5]}, TABLE),
    ({"type": "ops.select", "inputs": ["x", "x"]}, TABLE),
    ({"type": "ops.slice", "start_indices": [0, 1], "shape": [-1, 2]}, TABLE),
    ({"type": "Sampling", "inputs": ["x", "x"]}, TABLE),
    ({"type": "RandomNormal"}, TABLE),
    ({"type": "RandomUniform"}, TABLE),
    ({"type": "GumbelSoftmax"}, TABLE),
    ({"type": "StopGradient"}, TABLE),
    (
        {"type": "TokenAndPositionEmbedding", "vocabulary_size": 9, "sequence_length": 4, "embedding_dim": 2},
        {"shape": [4], "dtype": "int64"},
    ),
    *(({"type": name}, {"shape": ["time", 4]}) for name in ("SinePositionEncoding", "RotaryEmbedding", "ClassToken")),
    *(({"type": name}, TABLE) for name in ("LayerScale", "StochasticDepth")),
    ({"type": "Patches", "patch_size": 2}, {"shape": [4, 4, 4]}),
    *(({"type": name, "block_size": 2}, {"shape": [4, 4, 4]}) for name in ("SpaceToDepth", "DepthToSpace")),
    ({"type": "DotInteraction", "inputs": ["x", "x"]}, TABLE),
    ({"type": "GatherNodes", "inputs": ["x", "x"]}, {"shape": [3], "dtype": "int64"}),
    *(
        ({"type": name, "num_segments": 4, "column": 0, "inputs": ["x", "x"]}, {"shape": [3, 2], "dtype": "int64"})
        for name in ("SegmentSum", "SegmentMean", "SegmentMax")
    ),
)
"""Layers that have no golden case of a whole spec, and an input for each: Keras has none, or it does something else."""

MARK = "<!-- What follows is written by docs/make_vocabulary.py. -->"


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: what the list of names calls it.
        files: the files of its layers in `graphspec/layers`, in their order.
        kinds: the other registries whose classes it has.
    """

    title: str
    files: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


PAGES = {
    "basic": Page("Basic layers", ("core", "einsum", "tensors", "layer")),
    "convolution": Page("Convolution", ("convolution", "depthwise", "transposed")),
    "pooling": Page("Pooling", ("pooling", "adaptive")),
    "recurrent": Page("Recurrent layers", ("recurrent", "wrappers", "conv_lstm"), ("cell",)),
    "attention": Page("Attention layers", ("attention", "multi_head", "positions")),
    "normalization": Page("Normalization of activations", ("normalization", "spectral")),
    "regularization": Page("Regularization and random values", ("regularization",)),
    "merging": Page("Merging", ("merging",)),
    "operations": Page("Operations", tuple(f"operations/{file}" for file in OPERATIONS)),
    "onnx": Page("ONNX's operators", ("operations/onnx_operators",)),
    "reshaping": Page("Reshaping", ("reshaping", "padding")),
    "activations": Page("Activation functions", ("activation",), ("activation",)),
    "records": Page(
        "Preparing columns and texts",
        ("scaling", "missing", "lookup", "preprocessing", "hashing", "discretization", "text", "dates"),
    ),
    "pictures": Page("Preparing pictures and sound", ("image", "augmentation", "sound")),
    "losses": Page("Losses", (), ("loss",)),
    "metrics": Page("Metrics", (), ("metric",)),
    "optimizers": Page("Optimizers and schedules", (), ("optimizer", "schedule")),
    "weights": Page("Initializers, regularizers, constraints", (), ("initializer", "regularizer", "constraint")),
    "callbacks": Page("Callbacks", (), ("callback",)),
}
"""The pages in `vocabulary/`. A new file of layers must be on one of them."""

TITLES = {
    "layer": "Layers",
    "cell": "Cells",
    "activation": "Activations",
    "initializer": "Initializers",
    "regularizer": "Regularizers",
    "constraint": "Constraints",
    "loss": "Losses",
    "metric": "Metrics",
    "optimizer": "Optimizers",
    "schedule": "Schedules",
    "callback": "Callbacks",
}
INTRODUCTION = """# Vocabulary

Everything that a spec can name, by page. Each page shows what its family does in a picture, and lists the arguments. Names,
arguments and defaults are those of Keras 3. Objects take a name or a mapping: `kernel_initializer: he_normal`,
`kernel_regularizer: {type: L2, l2: 0.001}`. Operators that are newer than opset 17 are written in older ones where a file is
for an older opset. Written by `docs/make_vocabulary.py`.
"""


def index() -> str:
    """The list of all names, and what a spec cannot have."""
    parts = [INTRODUCTION, *contents(), "\n".join(neutral()), "\n".join(refused())]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def page(name: str, written: str, operators: dict[str, set[str]]) -> str:
    """A page: what people wrote, up to the mark, and its entries.

    Raises:
        ValueError: nobody wrote the beginning.
    """
    head, mark, _ = written.partition(MARK)
    if not mark or not head.strip():
        raise ValueError(f"docs/vocabulary/{name}.md must begin with a title and an introduction, and then '{MARK}'")
    if of_operations(PAGES[name]):
        tables = ("\n".join(table(file, operators)) for file in PAGES[name].files)
        return "\n\n".join([head + MARK, *tables]) + "\n"
    groups = groups_of(PAGES[name])
    level = "##" if len(groups) == 1 else "###"
    parts = [head + MARK]
    for kind, classes in groups.items():
        if len(groups) > 1:
            parts.append(f"## {TITLES[kind]}")
        for cls in classes:
            lowers = operators.get(cls.__name__) if kind == "layer" else None
            parts.append("\n".join(entry(REGISTRIES[kind], cls, lowers, level)))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def of_operations(found: Page) -> bool:
    """Whether a page has operations: many, each with a line in a table."""
    return found.files[:1] != () and found.files[0].startswith("vocabulary/operations/")


def table(file: str, operators: dict[str, set[str]]) -> Iterator[str]:
    """The operations of a file: what each takes, does and lowers to."""
    yield f"## {title_of(file)}"
    yield ""
    classes = families()[file]
    lowers = any(operators.get(cls.__name__) for cls in classes) and not file.endswith("onnx_operators")
    yield "| operation | |" + (" lowers to |" if lowers else "")
    yield "| --- | --- |" + (" --- |" if lowers else "")
    for cls in classes:
        text = re.sub(r"``(.+?)``", r"`\1`", " ".join(inspect.cleandoc(cls.__doc__ or "").split())).replace("|", "\\|")
        found = ", ".join(operator(op) for op in sorted(operators.get(cls.__name__, ())))
        yield f"| `{signature(cls)}` | {text} |" + (f" {found} |" if lowers else "")


def title_of(file: str) -> str:
    """The heading of a file of operations: `arithmetic` → Arithmetic."""
    return file.rpartition("/")[2].replace("_", " ").capitalize().replace("Onnx", "ONNX")


def signature(cls: Any) -> str:
    """What an operation takes: `ops.sum(x, axis: null, keepdims: false)`."""
    defaults = (
        name if field.is_required() else f"{name}: {json.dumps(field.default)}"
        for name, field in cls.model_fields.items()
    )
    return f"{cls.__name__}({', '.join([*cls.input_names(), *defaults])})"


def groups_of(found: Page) -> dict[str, list[type[Config]]]:
    """The classes of a page by their registry."""
    by_file = families()
    groups = {"layer": [cls for file in found.files for cls in by_file[file]]} if found.files else {}
    return groups | {kind: list(REGISTRIES[kind]) for kind in found.kinds}


def neutral() -> Iterator[str]:
    """Keys of Keras's configurations that say nothing here, each with the classes that take it."""
    yield "## Keys of Keras's configurations"
    yield ""
    yield "Keras writes them, a spec needs none of them. Where they say what is so anyway they are accepted without effect;"
    yield "otherwise they are refused (GS105) with the reason. They are no arguments of their own."
    yield ""
    yield "| key | of | accepted | otherwise refused, since |"
    yield "| --- | --- | --- | --- |"
    found: dict[tuple[str, Neutral], list[str]] = defaultdict(list)
    for kind, registry in REGISTRIES.items():
        classes = list(registry)
        common = set.intersection(*(set(cls.neutral.items()) for cls in classes))
        for key, meaning in sorted(common, key=lambda item: item[0]):
            found[key, meaning].append(f"every {kind}")
        for cls in classes:
            for key, meaning in cls.neutral.items():
                if (key, meaning) not in common and key not in cls.model_fields:
                    found[key, meaning].append(f"`{names(registry, cls)[0]}`")
    for (key, meaning), places in sorted(found.items(), key=lambda item: item[0][0]):
        values = ", ".join(f"`{json.dumps(value)}`" for value in meaning.values) or "anything"
        yield f"| `{key}` | {', '.join(places)} | {values} | {meaning.reason} |"


def refused() -> Iterator[str]:
    """What Keras has and a spec cannot have."""
    yield "## Not available"
    yield ""
    yield "What Keras has and a spec cannot have is refused by name (GS105):"
    yield ""
    yield "| | why | instead |"
    yield "| --- | --- | --- |"
    for kind, registry in REGISTRIES.items():
        by_reason: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name, reason in sorted(registry.refused.items()):
            by_reason[reason].append(f"`{name}`")
        for (why, instead), called in by_reason.items():
            yield f"| {kind} {', '.join(called)} | {why} | {instead} |"


def contents() -> Iterator[str]:
    """The names by page."""
    yield "\n".join(f"- **[{found.title}](vocabulary/{name}.md)**: {listed(name)}" for name, found in PAGES.items())


def listed(name: str) -> str:
    """The names of a page, each with a link to its entry."""
    texts = []
    if of_operations(PAGES[name]):
        classes = (cls for file in PAGES[name].files for cls in families()[file])
        return ", ".join(f"[{cls.__name__}](vocabulary/{name}.md#{anchor(title_of(file_of(cls)))})" for cls in classes)
    for kind, classes in groups_of(PAGES[name]).items():
        registry = REGISTRIES[kind]
        links = (f"[{names(registry, c)[0]}](vocabulary/{name}.md#{anchor(heading(registry, c))})" for c in classes)
        texts.append((f"*{TITLES[kind].lower()}* " if texts else "") + ", ".join(links))
    return "; ".join(texts)


def anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def heading(registry: Registry[Any], cls: type[Config]) -> str:
    """A heading says what it is where two registries have one name, such as `Identity`."""
    name = names(registry, cls)[0]
    title = name if registry is LAYERS else f"{name} {registry.kind}"
    alike = [c for c in registry if names(registry, c)[0].lower() == name.lower()]  # `accuracy` and `Accuracy`
    return title if alike[0] is cls else f"{title} ({alike.index(cls) + 1})"


def families() -> dict[str, list[type[Config]]]:
    """The layers by the file that they are in."""
    found: dict[str, list[type[Config]]] = defaultdict(list)
    for cls in LAYERS:
        found[file_of(cls)].append(cls)
    return dict(found)


def file_of(cls: type) -> str:
    """The file of a layer, with its folder if it is an operation."""
    folder, _, file = cls.__module__.rpartition(".")
    return f"operations/{file}" if folder.endswith("operations") else file


def names(registry: Registry[Any], cls: type[Config]) -> list[str]:
    """The primary name, then the others."""
    return [name for name in registry.names() if registry.get(name) is cls]


def entry(registry: Registry[Any], cls: type[Config], operators: Iterable[str] | None, level: str) -> Iterator[str]:
    """What one class says of itself."""
    _, *aliases = names(registry, cls)
    yield f"{level} {heading(registry, cls)}"
    yield ""
    yield inspect.cleandoc(cls.__doc__ or "")
    if aliases:
        yield ""
        yield f"Also called {', '.join(f'`{name}`' for name in aliases)}."
    if operators is not None:
        yield ""
        yield f"Lowers to {', '.join(operator(op) for op in sorted(operators)) or 'nothing in inference'}."
    if cls.model_fields:
        yield ""
        yield "| argument | default | |"
        yield "| --- | --- | --- |"
        fields = sorted(cls.model_fields.items(), key=lambda item: not item[1].is_required())
        yield from (argument(name, field) for name, field in fields)


def operator(name: str) -> str:
    """An operator, with the opset that brought it where older files have it in pieces."""
    return f"`{name}`" if since(name) <= OPSET else f"`{name}` (from opset {since(name)} on)"


def argument(name: str, field: FieldInfo) -> str:
    about = re.sub(r"\s+", " ", field.description or "").replace("|", "\\|")
    return f"| `{name}` | {default(field)} | {about} |"


def default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required" if field.default_factory is None else "`[]`"
    value = field.default
    return f"`{json.dumps(value)}`" if not isinstance(value, Config) else f"`{type(value).__name__}`"


@cache
def lowered() -> dict[str, set[str]]:
    """The operators that every layer's golden cases lower to."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(GOLDEN.glob("layers_*.json")):
        for case in json.loads(path.read_text()).values():
            collect(plain(case["spec"]), found)
    for layer, given in WITHOUT_CASES:
        collect(spec_of(layer, given), found)
    return found


def spec_of(layer: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A spec of one layer of one input."""
    inputs = {"x": given}
    return {"graphspec": 1, "name": "one", "inputs": inputs, "layers": [{"name": "y", **layer}], "outputs": {"y": {}}}


def plain(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec without activations, whose operators are not the layer's."""
    layers = [
        {k: v for k, v in node.items() if k != "activation" or node["type"] == "Activation"} for node in spec["layers"]
    ]
    return {**spec, "layers": layers}


def collect(spec: dict[str, Any], found: dict[str, set[str]]) -> None:
    checked = check(spec)
    if checked.errors:
        return
    parsed, lowered_spec = checked.require()
    types = {node.name: node for node in parsed.nodes}
    kept = prepare(lowered_spec.graph, FOR_OPSET, Target(opset=max(IR_OF_OPSET))).nodes
    for name, declared in types.items():
        owner = types[declared.share] if declared.share else declared
        cls = LAYERS.get(owner.type) if owner.type else None
        if cls is not None and cls.__name__ != "Activation":
            found[cls.__name__] |= {node.op for node in kept if node.owner == name}


def written() -> dict[str, str]:
    """What the pages should be, by their paths below `docs/`."""
    operators = lowered()
    found = {"vocabulary.md": index()}
    for name in PAGES:
        path = HERE / "vocabulary" / f"{name}.md"
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        found[f"vocabulary/{name}.md"] = page(name, old, operators)
    return found


if __name__ == "__main__":
    for path, text in written().items():
        write_atomic(HERE / path, text)
