"""Parse the sections of a document. Their keys are the fields of classes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema

from graphspec.base.config import ANY_VALUE, FROM_LIST, MAX_SIZE, Config, Neutral, PositiveInt, SchemaOf, named, setting
from graphspec.base.deprecation import Old
from graphspec.base.errors import Code, Problems, did_you_mean
from graphspec.base.synonyms.keys import fold, means_null, number_hint
from graphspec.base.text import count
from graphspec.graph.ir.graph import STRING
from graphspec.graph.optimizers import OPTIMIZERS, Optimizer
from graphspec.language import declarations
from graphspec.language.declarations import ClassWeight, HeadDecl, HeadRefs, InputDecl, Training, WeightFile
from graphspec.language.explain import meant_keys, salvage, validate
from graphspec.language.names import Item, Scope
from graphspec.language.tree import Tree, format_names, intended_keys, not_allowed, wrong_type
from graphspec.vocabulary.callbacks import CALLBACKS, Callback
from graphspec.vocabulary.losses import LOSSES, Loss
from graphspec.vocabulary.metrics import METRICS, Metric

REQUIRED = ("graphspec", "name", "inputs", "layers", "outputs")
KEYS = (*REQUIRED[:2], "description", "vars", "inputs", "blocks", *REQUIRED[3:], "training", "data", "search")
"""The keys of the document."""

# Hints for names of losses that mean another loss for every head: ``crossentropy``, ``nll``, ``CrossEntropyLoss``.
_BY_HEAD = {
    *("crossentropy", "softmaxcrossentropy", "softmaxcrossentropywithlogits", "ce", "xent", "nll"),
    *("negativeloglikelihood", "loglikelihood", "log", "categorical", "classification", "logistic", "softmax"),
    *("binary", "sigmoid", "sigmoidcrossentropy", "bcewithlogits", "binarycrossentropywithlogits"),
}
_LOGITS = frozenset(("bcewithlogits", "binarycrossentropywithlogits", "sigmoidcrossentropy"))
_ANY = (
    "use sparse_categorical_crossentropy for class ids or labels, categorical_crossentropy for one-hot targets, or "
    "binary_crossentropy for one unit with sigmoid"
)


def loss_hint(loss: object, node: Tree | None) -> str | None:
    """Return a hint for the name of a cross-entropy, by the units and the activation of the head's node, if it is known."""
    name = loss.get("type") if isinstance(loss, dict) else loss
    if not isinstance(name, str) or (folded := fold(name).removesuffix("loss")) not in _BY_HEAD:
        return None
    units, activation, subject = _answer(node)
    better, its_activation = "sparse_categorical_crossentropy", "softmax"
    is_binary = folded in _LOGITS or folded in ("binary", "sigmoid") or units == 1 or activation == "sigmoid"
    if is_binary:
        better, its_activation = "binary_crossentropy", "sigmoid"
    if activation is None and (units is not None or folded in _LOGITS):
        return (
            f"{subject} has no activation: write `{{type: {better}, from_logits: true}}`, or {better} and "
            f"`activation: {its_activation}`"
        )
    if is_binary:
        return "did you mean 'binary_crossentropy'?"
    if activation == "softmax":
        return "did you mean 'sparse_categorical_crossentropy'? for one-hot targets, categorical_crossentropy"
    return _ANY


def _answer(node: Tree | None) -> tuple[int | None, str | None, str]:
    """Return the units and the folded activation of a node, each None if unknown or missing, and its name."""
    if node is None or not isinstance(node.value, dict):
        return None, None, "the head"
    units = node.get("units") or node.get("filters")
    activation = node.get("activation")
    word = None if activation is None else activation.text("type") or activation.value
    if node.text("type") in ("Softmax", "softmax"):
        word = "softmax"
    name = node.text("name")
    return (
        units.value if units is not None and isinstance(units.value, int) else None,
        None if not isinstance(word, str) or fold(word) in ("linear", "none") else fold(word),
        "the head" if name is None else f"'{name}'",
    )


# Files with weights that exist already: ``training.initial_weights``, and ``weights`` of a node or a block instance.
EXAMPLE = "name a file, `weights.safetensors`, or write `{file: weights.safetensors, allow_missing: [head/*]}`"


class WeightKeys(Config):
    """Weights that exist already."""

    file: str = setting(..., "A file .safetensors or .npz, or a run directory; relative to the spec.")
    map: dict[str, str] = setting({}, "Our names to the file's: `encoder/*: bert.encoder.*`; the first match wins.")
    layout: Literal["keras", "torch"] = setting("keras", "How the file stores weights: as Keras does, or as PyTorch.")
    allow_missing: list[str] = setting([], "Patterns of weights that start new if the file lacks them in their shape.")


_TEXT = {"type": "string"}
_FORMS: dict[str, Any] = {
    "file": _TEXT,
    "map": {"type": "object", "additionalProperties": _TEXT},
    "layout": {"enum": ["keras", "torch"]},
    "allow_missing": {"type": "array", "items": _TEXT},
}
_DESCRIBED = {k: {**v, "description": WeightKeys.model_fields[k].description} for k, v in _FORMS.items()}
_MAPPING = {"type": "object", "properties": _DESCRIBED, "required": ["file"], "additionalProperties": False}
WEIGHT_FILE: dict[str, Any] = {"anyOf": [{"type": "string"}, _MAPPING]}  # the schema of a file of weights


def parse_weight_file(tree: Tree, node: str, subject: str, problems: Problems) -> WeightFile | None:
    """Return the file of weights of a node, or of the whole network, that a value names; None if it is wrong."""
    if tree.unknown or tree.value is None:
        return None
    if isinstance(tree.value, str):
        return WeightFile(tree.value, node, tree=tree)
    if isinstance(tree.value, list):
        hint = "name a file with them, or write them as initial values: `kernel_initializer: {type: Array, value: …}`"
        not_allowed(tree, f"{subject} cannot be arrays: it names a file", problems, hint)
        return None
    if not isinstance(tree.value, dict):
        wrong_type(tree, f"{subject} must be a name or a mapping", problems, EXAMPLE)
        return None
    keys = validate(WeightKeys, tree, subject, problems)
    if keys is None:
        return None
    unfit = [(ours, theirs) for ours, theirs in keys.map.items() if theirs.count("*") > ours.count("*")]
    for ours, theirs in unfit:
        text = f"`map` of {subject} has '{theirs}' for '{ours}', with more `*` than that"
        hint = "each `*` of the file's name stands for the text of one in ours"
        not_allowed(tree.value["map"].value[ours], text, problems, hint)
    if unfit:
        return None
    return WeightFile(keys.file, node, tuple(keys.map.items()), keys.layout, tuple(keys.allow_missing), tree=tree)


def of_items(top: Scope, unused: Sequence[Scope], problems: Problems) -> list[WeightFile]:
    """Return the files that nodes and block instances name; those of unused blocks are only checked."""
    files: dict[int, WeightFile | None] = {}
    used = []
    for scope in (top, *unused):
        for item, tree in _with_weights(scope):
            if id(tree) not in files:  # all copies of an entry share one tree
                files[id(tree)] = parse_weight_file(tree, item.full, f"`weights` of '{item.full}'", problems)
            if scope is top and (file := files[id(tree)]) is not None:
                used.append(replace(file, node=item.full))
    return used


def _with_weights(scope: Scope) -> Iterator[tuple[Item, Tree]]:
    """Yield the items with ``weights`` of their own; those of shared instances are of their owners."""
    for item in scope.items:
        if item.tree.get("share") is not None:
            continue
        if item.kind != "input" and (tree := item.tree.get("weights")) is not None:
            yield item, tree
        if item.inner is not None:
            yield from _with_weights(item.inner)


FiniteWeight = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


_MAX_AXES = 31  # far more than needed; NumPy's limit is 64
_DIMENSION = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}, {"type": "string"}]}

SHAPE = "Dimensions without the batch: an integer, null if it varies, or a word for sizes that inputs share."


class InputKeys(Config):
    """An input of the network."""

    neutral: ClassVar[Mapping[str, Neutral]] = {
        "name": ANY_VALUE,
        "sparse": Neutral((None, False), "sparse tensors are not available: the exported graph has none"),
        "ragged": Neutral(
            (None, False), "ragged tensors are not available", "pad the rows; write `null` for an axis that varies"
        ),
        "optional": Neutral((None, False), "every input is fed: the exported graph needs all of them"),
        "tensor": Neutral((None,), "a spec contains no tensors"),
        "input_tensor": Neutral((None,), "a spec contains no tensors"),
    }
    old_values: ClassVar[Mapping[str, Mapping[str, Old]]] = {
        "shape": dict.fromkeys(("None", "none", "nil", "NaN", "nan", "NA", "na", "undefined"), Old("null", "0.3"))
    }

    shape: Annotated[list[Any] | None, WithJsonSchema({"type": "array", "items": _DIMENSION})] = setting(None, SHAPE)
    dtype: Literal["float32", "int32", "int64", "uint8", "bool", "string"] = setting("float32", "Type of the values.")
    column: str | None = setting(None, "The name in files, if it is not the input's name.")
    description: str = setting("", "What it is, in which unit: the exported file has this text.")


INPUT_KEYS = (*InputKeys.model_fields, "columns")


class WindowScale(Config):
    """The scale of a target that is a window's own."""

    window: str = setting(..., "The node of a WindowScaling, which reads the past of the target.")
    columns: Annotated[tuple[Annotated[int, Field(ge=0)], ...], FROM_LIST] | None = setting(
        None, "The columns of the window that are the target's, from 0; the first ones by default."
    )


_ByWindow = Annotated[WindowScale, SchemaOf(WindowScale)]


class HeadKeys(Config):
    """A head: a node that is trained and exported, or a term of the loss."""

    layer: str | list[str] | None = setting(
        None,
        "The node, by default the node with the head's name; `node:k` for output k. A list for losses over "
        "pairs and triplets.",
    )
    loss: named(LOSSES, Loss | None) = setting(None, "A loss; without it the head is not trained.")  # type: ignore[valid-type]
    target: str | None = setting(None, "An input or a node with which the loss compares, instead of an array of data.")
    target_gradient: bool = setting(False, "Whether the gradient flows into `target`, too.")
    weight: FiniteWeight = setting(1.0, "The head's weight in the total loss.")
    metrics: list[named(METRICS, Metric)] = setting([], "Metrics of this head.")  # type: ignore[valid-type]
    class_weight: dict[str, FiniteWeight] | Literal["balanced"] | None = setting(
        None, "Weight of each class, or `balanced` = N / (K · count)."
    )
    labels: list[str | int] | None = setting(
        None,
        "Class names; the exported model then has an output `<head>_label`. If they are whole numbers, such as `[1, 2, 7]`, "
        "a number in the data is its label.",
    )
    scale: Literal["standard"] | _ByWindow | None = setting(
        None,
        "`standard`: targets are trained with mean 0 and deviation 1; `{window: scaled}`: as a WindowScaling scales.",
    )
    clip: bool | Annotated[dict[Literal["min", "max"], float], Field(min_length=1)] = setting(
        False,
        "true: answers stay within the range of the training targets; needs `scale: standard`. Or the range: `{min: 0}`.",
    )
    members: Literal["mean"] | None = setting(
        None, "`mean`: axis 1 of the node are members; each is trained on the target, the answers are their mean."
    )
    interval: Annotated[float, Field(ge=0.5, lt=1)] | None = setting(
        None, "The share of new rows that `<head>_low` to `<head>_high` shall contain: held-out rows give the width."
    )
    calibrate: Literal["temperature"] | None = setting(None, "Probabilities are as sure as right on held-out rows.")
    threshold: Annotated[float, Field(gt=0, lt=1)] | Literal["f1"] | None = setting(
        None, "The probability above which the second of two classes is answered; `f1`: the best one on held-out rows."
    )
    description: str = setting("", "What it is, in which unit: the exported file has this text.")


Copies = Annotated[int, Field(ge=2, le=100)]


class TrainingKeys(Config):
    """How the heads are trained."""

    optimizer: named(OPTIMIZERS, Optimizer) = Field(  # type: ignore[valid-type]
        default_factory=lambda: OPTIMIZERS.parse("rmsprop"), description="An optimizer, `rmsprop` by default."
    )
    epochs: PositiveInt = setting(1, "Passes over the training rows.")
    batch_size: PositiveInt = setting(32, "Rows per step.")
    shuffle: bool = setting(True, "Shuffle the rows before each epoch.")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = setting(0, "Determines weights, shuffling, dropout and splits.")
    combine: Literal["mean", "sum"] = setting("mean", "How the losses of the heads are combined.")
    callbacks: list[named(CALLBACKS, Callback)] = setting([], "Callbacks.")  # type: ignore[valid-type]
    workers: PositiveInt | Literal["auto", "mpi"] = setting(
        1,
        "Processes that share each batch; `auto` measures whether one or one per core is faster; `mpi`: the processes "
        "that `mpiexec` or `srun` started.",
    )
    shards: Literal[2, 4, 8, 16, 32, 64] | None = setting(
        None, "Parts of each batch that are computed separately: results then do not depend on the number of workers."
    )
    initial_weights: Annotated[Any, WithJsonSchema(WEIGHT_FILE)] = setting(
        None, "A file or a run with the weights to start from: its name, or a mapping."
    )
    folds: Copies | None = setting(None, "Copies, each trained without one of so many folds: their mean is the answer.")
    seeds: Copies | None = setting(None, "Copies, each trained with another seed: their mean is the answer.")
    forms: dict[str, dict[str, Any]] = setting(
        {}, "Forms of the spec by name, as overrides by path: `{wide: {vars.units: 256}}`. The best one is kept."
    )
    choose: str | None = setting(None, "The value of held-out rows that chooses the form, such as `val_loss`.")


def mapping(tree: Tree, subject: str, problems: Problems, hint: str | None = None) -> bool:
    """Return whether ``tree`` is a mapping; report it if not."""
    if not isinstance(tree.value, dict) and not tree.unknown:
        wrong_type(tree, f"{subject} must be a mapping", problems, hint)
    return isinstance(tree.value, dict)


def parse_inputs(tree: Tree, problems: Problems) -> dict[str, InputDecl]:
    """Return the valid inputs by name."""
    if not mapping(tree, "`inputs`", problems, "for example `x: {shape: [13]}`"):
        return {}
    if not tree.value and not tree.unknown:
        not_allowed(tree, "`inputs` is empty", problems, "for example `x: {shape: [13]}`")
    inputs = {}
    for name, child in tree.value.items():
        subject = f"input '{name}'"
        if not mapping(child, subject, problems, f"for example `{name}: {{shape: [13]}}`"):
            continue
        keys = validate(InputKeys, child, subject, problems)
        shape = _shape_of(name, child, tree, problems)
        if keys is not None and shape is not None:
            mark = tree.key_marks.get(name, child.mark)
            inputs[name] = InputDecl(name, shape, keys.dtype, mark, child, keys.column, keys.description)
    return inputs


def _shape_of(name: str, tree: Tree, inputs: Tree, problems: Problems) -> tuple[int | str, ...] | None:
    """Return the dimensions of an input. Texts have one axis, of size 1 if the spec does not say more."""
    shape, dtype = tree.get("shape"), tree.get("dtype")
    texts = dtype is not None and dtype.value == STRING
    if shape is None or (shape.value is None and not shape.unknown):
        meant = intended_keys(tree, INPUT_KEYS) | meant_keys(InputKeys, tree)
        if not texts and not (dtype is not None and dtype.unknown) and "shape" not in meant:
            hint = f"`shape`: {SHAPE[0].lower()}{SHAPE[1:].rstrip('.')}"
            problems.node(tree, Code.MISSING_KEY, f"input '{name}' needs `shape`", subject="shape", hint=hint)
        return (1,) if texts else None
    if texts and isinstance(shape.value, list) and len(shape.value) != 1:
        message = f"input '{name}' has {len(shape.value)} axes, but texts have one"
        not_allowed(shape, message, problems, "write `[1]` for one text per row, or `[null]` for several")
        return None
    return _shape(name, shape, inputs, problems)


def _shape(name: str, tree: Tree, inputs: Tree, problems: Problems) -> tuple[int | str, ...] | None:
    """Return the dimensions. ``null`` on axis k of input ``x`` becomes ``x_k``, where the batch is axis 0."""
    if not isinstance(tree.value, list):
        return None
    shape: list[int | str] = []
    before = len(problems.found)
    varies = "write null for a size that varies"
    if len(tree.value) > _MAX_AXES:
        message = f"input '{name}' has {len(tree.value)} axes, at most {_MAX_AXES}"
        not_allowed(tree, message, problems, "join some of them")
    for axis, item in enumerate(tree.value, 1):
        value, dimension = item.value, f"a dimension of input '{name}'"
        if value is None and not item.unknown:
            shape.append(f"{name}_{axis}")
        elif isinstance(value, int) and not isinstance(value, bool):
            shape.append(value)
            if not 1 <= value <= MAX_SIZE:
                limit = "at least 1" if value < 1 else f"at most {MAX_SIZE}"
                not_allowed(item, f"{dimension} must be {limit}, not {value}", problems, varies)
        elif isinstance(value, str):
            shape.append(value)
            if value == "N" or means_null(value) or not re.fullmatch(r"[^\W\d]\w*", value):
                text, hint = f"'{value}' cannot name {dimension}", _no_name_hint(value)
                problems.value(item, Code.VALUE_NOT_ALLOWED, text, hint=hint, old=_old_word(value, inputs))
        elif not item.unknown:
            wrong_type(item, f"{dimension} must be an integer, null or a word", problems, varies, "an integer")
    return None if tree.unknown or len(problems.found) > before else tuple(shape)


def _old_word(value: str, inputs: Tree) -> Old | None:
    """Return what a word of a shape is today. One that occurs again says that sizes are equal, so another word does."""
    shapes = [shape.value for child in inputs.value.values() if (shape := child.get("shape")) is not None]
    words = [item.value for shape in shapes if isinstance(shape, list) for item in shape]
    old = InputKeys.old_values["shape"]
    if words.count(value) < 2 or value not in old:
        return old.get(value)
    free = "size" not in words and all(word == value or words.count(word) < 2 for word in old)
    return old[value]._replace(use="size") if free else None


def _no_name_hint(value: str) -> str:
    if value == "N":
        return "do not write the batch axis"
    if means_null(value) or value.strip() in ("?", "*", "-1", "", "..."):
        return "write `null` for a size that varies"
    return number_hint(value, integer=True) or "a dimension is an integer, null or a word"


def parse_heads(
    tree: Tree, refs: dict[str, HeadRefs], problems: Problems, nodes: Mapping[str, Tree] | None = None
) -> dict[str, HeadDecl]:
    """Return the heads by name, with everything that is valid. ``nodes`` are the entries of nodes, for hints."""
    example = "for example `y: {loss: mean_squared_error}`"
    if not mapping(tree, "`outputs`", problems, example):
        return {}
    if not tree.value:
        not_allowed(tree, "`outputs` is empty", problems, example)
    heads = {}
    for name, child in tree.value.items():
        subject, found = f"head '{name}'", refs.get(name, HeadRefs())
        body = Tree({}, child.mark, path=child.path) if child.value is None and not child.unknown else child
        keys = None
        if mapping(body, subject, problems, f"for example `{name}: {{loss: mean_squared_error}}`"):
            ref, loss = found.layers[0], body.get("loss")
            node = None if ref is None else (nodes or {}).get(ref.name)
            better = None if loss is None else loss_hint(loss.plain(), node)
            keys = validate(HeadKeys, body, subject, problems, hints=None if better is None else {"loss": better})
        wrong = keys is None
        keys = keys or salvage(HeadKeys, body)
        before = len(problems.found)
        rest = {
            "name": name,
            "layer": found.layers[0],
            "others": found.layers[1:],
            "target": found.target,
            "window": found.window,
            "labels": _labels(subject, keys, body, problems),
            "class_weight": _class_weight(name, keys, body, problems),
            "mark": tree.key_marks.get(name, child.mark),
            "tree": body,
            "wrong": wrong or len(problems.found) > before,
        }
        if isinstance(keys.scale, WindowScale):
            rest |= {"scale": "window", "columns": keys.scale.columns}
        heads[name] = HeadDecl(**dict(keys) | rest)
    if heads and all(head.only_trained and not head.wrong for head in heads.values()):
        text = "all heads are for training only: the network has no output to predict or to export"
        not_allowed(tree, text, problems, "add a head without a loss, for example `embedding: {layer: …}`")
    return heads


def _labels(subject: str, keys: HeadKeys, tree: Tree, problems: Problems) -> list[str] | None:
    if keys.labels is None:
        return None
    texts, numbers = [*map(str, keys.labels)], [k for k, label in enumerate(keys.labels) if isinstance(label, int)]
    if numbers and len(numbers) < len(texts):
        at, text = tree.value["labels"].value[numbers[0]], f"`labels[{numbers[0]}]` of {subject} must be text"
        problems.value(at, Code.WRONG_TYPE, f"{text}, not {at.value}", hint="put quotes around it")
    return declarations.WholeLabels(texts) if numbers else texts


def _class_weight(head: str, keys: HeadKeys, tree: Tree, problems: Problems) -> ClassWeight | None:
    """Return the class weights by class index. Keys may be labels."""
    labels = [*map(str, keys.labels or ())]
    indices = {label: k for k, label in reversed(list(enumerate(labels)))}
    if len(indices) < len(labels):
        second, duplicate = next((k, label) for k, label in enumerate(labels) if indices[label] != k)
        at = tree.value["labels"].value[second]
        message = f"label '{duplicate}' of head '{head}' occurs twice"
        problems.value(at, Code.CLASSES_MISMATCH, message, hint="give every class a different name")
    if not isinstance(keys.class_weight, dict):
        return keys.class_weight
    weights: dict[int, float] = {}
    for key, weight in keys.class_weight.items():
        if key in indices:
            weights[indices[key]] = weight
        elif re.fullmatch(r"[0-9]{1,9}", key):
            weights[int(key)] = weight
        else:
            among = f", or {format_names(labels)}" if labels else ""
            hint = did_you_mean(key, labels) or f"a class is an integer from 0{among}"
            message = f"'{key}' in `class_weight` is not a {'label' if labels else 'class'} of head '{head}'"
            problems.key(tree.value["class_weight"], key, Code.CLASSES_MISMATCH, message, hint=hint)
    return weights


def parse_training(tree: Tree | None, problems: Problems) -> Training:
    """Return the section ``training``, with defaults for wrong values."""
    keys = None
    hint = "for example `training: {epochs: 10}`"
    if tree is not None and tree.value is not None and mapping(tree, "`training`", problems, hint):
        keys = validate(TrainingKeys, tree, "`training`", problems)
        if keys is not None:
            _check_shards(keys, tree, problems)
    keys = keys or (TrainingKeys.model_validate({}) if tree is None else salvage(TrainingKeys, tree))
    weights = None if tree is None else tree.get("initial_weights")
    file = None if weights is None else parse_weight_file(weights, "", "`initial_weights`", problems)
    return Training(**dict(keys) | {"initial_weights": file, "tree": tree})


def _check_shards(keys: TrainingKeys, tree: Tree, problems: Problems) -> None:
    """Report a number of shards that the workers cannot divide, or that is larger than a batch."""
    shards, workers = keys.shards, keys.workers
    if shards is None:
        return
    if isinstance(workers, int) and shards % workers:
        *some, last = (str(1 << k) for k in range(shards.bit_length()))  # numbers of workers that divide the shards
        text = f"{shards} shards cannot be divided equally among {workers} workers"
        not_allowed(tree.value["workers"], text, problems, f"write {', '.join(some)} or {last} for `workers`")
    if shards > keys.batch_size:
        text = f"a batch of {count(keys.batch_size, 'row')} cannot be cut into {shards} shards"
        smaller = f", or at most {1 << (keys.batch_size.bit_length() - 1)} shards" if keys.batch_size > 1 else ""
        not_allowed(tree.value["shards"], text, problems, f"use a `batch_size` of at least {shards}{smaller}")
