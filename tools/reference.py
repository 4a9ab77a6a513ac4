"""Complete the pages of reference: ``python -m tools.reference [-o FOLDER]``, and `docs/vocabulary.md`.

The pages in `docs/vocabulary/` hold what people write: what a family is for, an example, a picture. In place of the
line `MARK` come the entries of its classes, made from the registries. `docs/diagnostics.md` gets a table and the examples of
``graphspec explain`` in place of each line `CODES`. ``python -m tools.site`` completes them for the site; the repository
stores the beginnings only. `docs/vocabulary.md`, the list of all names, is stored: messages name it.

The operators that a layer lowers to are those that its golden cases (`tests/golden/layers_*.json`) lower to, in
inference, without those of an activation that a case asks for.
"""

from __future__ import annotations

import argparse
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

from graphspec.base.codes import Code
from graphspec.base.config import Config, Neutral, Registry
from graphspec.base.explanations.pages import Block, explanation
from graphspec.base.files import write_atomic
from graphspec.engine.compiler.check import check
from graphspec.export.targets import IR_OF_OPSET, OPSET
from graphspec.graph.builder import Target
from graphspec.graph.passes import FOR_OPSET, prepare
from graphspec.graph.passes.for_export import since
from graphspec.language.explain import REGISTRIES
from graphspec.vocabulary.layers import LAYERS, OPERATIONS
from graphspec.vocabulary.operations.operation import Operation

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GOLDEN = ROOT / "tests" / "golden"

TABLE = {"shape": [3]}
TEXT = {"shape": [1], "dtype": "string"}
WITHOUT_CASES: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"type": "RandomCrop", "height": 4, "width": 4}, {"shape": [6, 5, 3]}),
    ({"type": "Whitening"}, {"shape": [4, 4, 1]}),
    *(({"type": name, "inputs": ["x", "x"]}, {"shape": [4, 4, 1]}) for name in ("FlipMean", "MixUp", "CutMix")),
    ({"type": "DateParts", "parts": ["year", "weekday"]}, TEXT),
    ({"type": "Hashing", "num_bins": 4}, TEXT),
    ({"type": "HashedCrossing", "num_bins": 4, "inputs": ["x", "x"]}, TEXT),
    ({"type": "StringLookup", "vocabulary": ["a"]}, TEXT),
    ({"type": "IntegerLookup", "vocabulary": [1]}, {"shape": [1], "dtype": "int64"}),
    ({"type": "TextVectorization", "vocabulary": ["a"]}, TEXT),
    ({"type": "Impute", "indicator": True}, TABLE),
    ({"type": "Log1p"}, TABLE),
    ({"type": "MinMaxScaling"}, TABLE),
    *(({"type": name}, TABLE) for name in ("SmoothClip", "RobustScaling", "PiecewiseLinear")),
    ({"type": "Members"}, {"shape": [3]}),
    ({"type": "ArcFace", "units": 2}, {"shape": [3]}),
    ({"type": "CRF"}, {"shape": ["time", 3]}),
    ({"type": "MemberDense", "units": 2}, {"shape": [4, 3]}),
    ({"type": "QuantileSteps"}, {"shape": [3]}),
    ({"type": "WindowScaling"}, {"shape": [4, 2]}),
    ({"type": "PositionEmbedding", "sequence_length": 4}, {"shape": ["time", 3]}),
    ({"type": "ops.broadcast_to", "shape": [-1, 4, 3]}, {"shape": [1, 3]}),
    ({"type": "Formula", "value": "(x - 1)**2"}, TABLE),
    *(({"type": f"ops.{name}"}, TABLE) for name in ("lgamma", "digamma")),
    *(
        ({"type": f"{n}Cell", "units": 3, "inputs": ["x"] * k}, TABLE)
        for n, k in (("SimpleRNN", 2), ("GRU", 2), ("LSTM", 3))
    ),
    ({"type": "ops.associative_scan", "axis": 1, "inputs": ["x", "x"]}, {"shape": ["time", 3]}),
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
        for name in ("SegmentSum", "SegmentMean", "SegmentMax", "SegmentSoftmax")
    ),
)
"""Layers that have no golden case of a whole spec, and an input for each: Keras has none, or it does something else."""

MARK = "*Here the site lists every name with its arguments; `python -m tools.reference` writes that to `build/reference/`.*"
"""What stands in the repository in place of the entries of a page."""
CODES = re.compile(r"\*The codes (GS\d)xx with their examples: on the site, and by `graphspec explain`\.\*")


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: what the list of names calls it.
        families: the families of its layers in `vocabulary/layers/__init__.py`, in their order.
        kinds: the other registries whose classes it has.
    """

    title: str
    families: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


PAGES = {
    "basic": Page("Basic layers", ("core", "einsum", "tensors", "formula", "layer")),
    "convolution": Page("Convolution", ("convolution", "depthwise", "transposed")),
    "pooling": Page("Pooling", ("pooling", "adaptive")),
    "recurrent": Page("Recurrent layers", ("recurrent", "wrappers", "conv_lstm"), ("cell",)),
    "attention": Page("Attention layers", ("attention", "multi_head", "positions")),
    "normalization": Page("Normalization of activations", ("normalization", "spectral")),
    "regularization": Page("Regularization and random values", ("regularization",)),
    "merging": Page("Merging", ("merging",)),
    "operations": Page(
        "Operations", tuple(dict.fromkeys(f"operations/{key.rpartition('/')[2]}" for key in OPERATIONS))
    ),
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
"""The pages in `vocabulary/`. A new family of layers must be on one of them."""

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
for an older opset. Written by `python -m tools.reference`.
"""


def index() -> str:
    """The list of all names, and what a spec cannot have."""
    parts = [INTRODUCTION, *contents(), "\n".join(neutral()), "\n".join(refused())]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def page(name: str, written: str, operators: dict[str, set[str]]) -> str:
    """A page: what people wrote, up to the mark, and its entries, without operators if there are none.

    Raises:
        ValueError: nobody wrote the beginning.
    """
    head, mark, _ = written.partition(MARK)
    if not mark or not head.strip():
        raise ValueError(f"docs/vocabulary/{name}.md must begin with a title and an introduction, and then '{MARK}'")
    if of_operations(PAGES[name]):
        tables = ("\n".join(table(family, operators)) for family in PAGES[name].families)
        return "\n\n".join([head.rstrip("\n"), *tables]) + "\n"
    groups = groups_of(PAGES[name])
    level = "##" if len(groups) == 1 else "###"
    parts = [head]
    for kind, classes in groups.items():
        if len(groups) > 1:
            parts.append(f"## {TITLES[kind]}")
        for cls in classes:
            lowers = operators.get(cls.__name__) if kind == "layer" else None
            parts.append("\n".join(entry(REGISTRIES[kind], cls, lowers, level)))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def of_operations(found: Page) -> bool:
    """Whether a page has operations: many, each with a line in a table."""
    return found.families[:1] != () and found.families[0].startswith("operations/")


def table(family: str, operators: dict[str, set[str]]) -> Iterator[str]:
    """The operations of a family: what each takes, does and lowers to."""
    yield f"## {title_of(family)}"
    yield ""
    classes = families()[family]
    lowers = any(operators.get(cls.__name__) for cls in classes) and not family.endswith("onnx_operators")
    yield "| operation | |" + (" lowers to |" if lowers else "")
    yield "| --- | --- |" + (" --- |" if lowers else "")
    for cls in classes:
        text = re.sub(r"``(.+?)``", r"`\1`", " ".join(inspect.cleandoc(cls.__doc__ or "").split())).replace("|", "\\|")
        found = ", ".join(operator(op) for op in sorted(operators.get(cls.__name__, ())))
        yield f"| `{signature(cls)}` | {text} |" + (f" {found} |" if lowers else "")


def title_of(family: str) -> str:
    """The heading of a family of operations: `arithmetic` → Arithmetic."""
    return family.rpartition("/")[2].replace("_", " ").capitalize().replace("Onnx", "ONNX")


def signature(cls: Any) -> str:
    """What an operation takes: `ops.sum(x, axis: null, keepdims: false)`."""
    defaults = (
        name if field.is_required() else f"{name}: {json.dumps(field.default)}"
        for name, field in cls.model_fields.items()
    )
    return f"{cls.__name__}({', '.join([*cls.input_names(), *defaults])})"


def groups_of(found: Page) -> dict[str, list[type[Config]]]:
    """The classes of a page by their registry."""
    by_family = families()
    groups = {"layer": [cls for family in found.families for cls in by_family[family]]} if found.families else {}
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
        classes = (cls for family in PAGES[name].families for cls in families()[family])
        return ", ".join(
            f"[{cls.__name__}](vocabulary/{name}.md#{anchor(title_of(family_of(cls)))})" for cls in classes
        )
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
    alike = [c for c, (first, *_) in named(registry).items() if first.lower() == name.lower()]  # as `Accuracy`
    return title if alike[0] is cls else f"{title} ({alike.index(cls) + 1})"


def families() -> dict[str, list[type[Config]]]:
    """The layers by their family."""
    found: dict[str, list[type[Config]]] = defaultdict(list)
    for cls in LAYERS:
        found[family_of(cls)].append(cls)
    return dict(found)


def family_of(cls: type) -> str:
    """The family of a layer, with its folder if it is an operation."""
    family = LAYERS.families.get(cls.__name__, "onnx_operators")
    return f"operations/{family}" if issubclass(cls, Operation) else family


def names(registry: Registry[Any], cls: type[Config]) -> list[str]:
    """The primary name, then the others."""
    return named(registry)[cls]


def named(registry: Registry[Any]) -> dict[type[Config], list[str]]:
    return grouped(registry, tuple(registry.names()))


@cache
def grouped(registry: Registry[Any], every: tuple[str, ...]) -> dict[type[Config], list[str]]:
    """The classes of a registry in order, with their names."""
    found: dict[type[Config], list[str]] = defaultdict(list)
    for name in every:
        found[registry.get(name)].append(name)
    return dict(found)


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


def diagnostics(text: str) -> str:
    """The page of the codes with its tables and examples, one for each mark."""
    return re.sub(CODES, lambda mark: f"{code_table(mark[1])}\n{code_examples(mark[1])}".rstrip("\n"), text)


def code_table(group: str) -> str:
    """The codes that begin with ``group``."""
    rows = ["| code | problem | what to do |", "| --- | --- | --- |"]
    for code in Code:
        if code.startswith(group):
            rows.append(f"| {code} | **{code.summary}.** {code.explanation} | {code.remedy} |")
    return "\n".join(rows) + "\n"


def code_examples(group: str) -> str:
    """The wrong and the right example of each code that begins with ``group``."""
    return "\n".join(code_example(code) for code in Code if code.startswith(group))


def code_example(code: Code) -> str:
    """What `graphspec explain` shows of a code."""
    explained = explanation(code)
    parts = [f"### {code}: {code.summary}\n"]
    if explained.note:
        parts.append(explained.note + "\n")
    if explained.answer:
        parts += ["Wrong:\n", *map(fenced, explained.example("wrong")), f"```text\n{explained.answer}```\n", "Right:\n"]
    shown = [b for b in explained.example("right") if b.role == "right" or not b.file]
    return "\n".join([*parts, *map(fenced, shown)])


def fenced(block: Block) -> str:
    """A block of Markdown; a file has its name above it."""
    name = f"`{block.file}`\n\n" if block.file else ""
    return f"{name}```{block.language}\n{block.text}```\n"


def complete(operators: dict[str, set[str]]) -> dict[str, str]:
    """The complete pages by their paths below `docs/`; ``operators``: those that each layer lowers to, :func:`lowered`."""
    pages = {f"vocabulary/{name}.md": page(name, stored(f"vocabulary/{name}.md"), operators) for name in PAGES}
    return pages | {"diagnostics.md": diagnostics(stored("diagnostics.md"))}


def stored(name: str) -> str:
    """A page of the repository."""
    return (DOCS / name).read_text(encoding="utf-8")


def write_index() -> None:
    """Write the list of names, which the repository stores."""
    write_atomic(DOCS / "vocabulary.md", index())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "reference", help="build/reference")
    output: Path = parser.parse_args(arguments).output
    write_index()
    for name, text in complete(lowered()).items():
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(output / name, text)
    print(output)


if __name__ == "__main__":
    main()
