"""Parse the sections of a document. Their keys are the fields of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema

from graphspec.base.codes import Code
from graphspec.base.config import ANY_VALUE, MAX_SIZE, Config, Neutral, PositiveInt, named
from graphspec.base.errors import did_you_mean
from graphspec.base.synonyms.keys import means_null, number_hint
from graphspec.base.text import count
from graphspec.graph.ir.graph import STRING
from graphspec.graph.optimizers import OPTIMIZERS, Optimizer
from graphspec.language.declarations import HeadDecl, HeadRefs, InputDecl, Training
from graphspec.language.explain import meant_keys, salvage, validate
from graphspec.language.head_losses import loss_hint
from graphspec.language.tree import Problems, Tree, describe, format_names, intended_keys, type_hint
from graphspec.language.weight_files import SCHEMA as WEIGHT_FILE
from graphspec.language.weight_files import parse_weight_file
from graphspec.vocabulary.callbacks import CALLBACKS, Callback
from graphspec.vocabulary.losses import LOSSES, Loss
from graphspec.vocabulary.metrics import METRICS, Metric

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

    shape: Annotated[list[Any] | None, WithJsonSchema({"type": "array", "items": _DIMENSION})] = Field(
        None, description=SHAPE
    )
    dtype: Literal["float32", "int32", "int64", "uint8", "bool", "string"] = Field(
        "float32", description="Data type of the values."
    )
    column: str | None = Field(None, description="The name in files, if it is not the input's name.")
    description: str = Field("", description="What it is, in which unit: the exported file has this text.")


INPUT_KEYS = (*InputKeys.model_fields, "columns")


class HeadKeys(Config):
    """A head: a node that is trained and exported, or a term of the loss."""

    layer: str | list[str] | None = Field(
        None,
        description="The node, by default the node with the head's name; `node:k` for output k. A list for losses over "
        "pairs and triplets.",
    )
    loss: named(LOSSES, Loss | None) = Field(None, description="A loss; without it the head is not trained.")  # type: ignore[valid-type]
    target: str | None = Field(
        None, description="An input or a node with which the loss compares, instead of an array of the data."
    )
    target_gradient: bool = Field(False, description="Whether the gradient flows into `target`, too.")
    weight: FiniteWeight = Field(1.0, description="The head's weight in the total loss.")
    metrics: list[named(METRICS, Metric)] = Field([], description="Metrics of this head.")  # type: ignore[valid-type]
    class_weight: dict[str, FiniteWeight] | Literal["balanced"] | None = Field(
        None, description="Weight of each class, or `balanced` = N / (K · count)."
    )
    labels: list[str] | None = Field(
        None, description="Class names; the exported model then has an output `<head>_label`."
    )
    scale: Literal["standard"] | None = Field(
        None,
        description="`standard` trains on targets with mean 0 and deviation 1; answers are in the target's own unit.",
    )
    description: str = Field("", description="What it is, in which unit: the exported file has this text.")


class TrainingKeys(Config):
    """How the heads are trained."""

    optimizer: named(OPTIMIZERS, Optimizer) = Field(  # type: ignore[valid-type]
        default_factory=lambda: OPTIMIZERS.parse("rmsprop"), description="An optimizer, `rmsprop` by default."
    )
    epochs: PositiveInt = Field(1, description="Passes over the training rows.")
    batch_size: PositiveInt = Field(32, description="Rows per step.")
    shuffle: bool = Field(True, description="Shuffle the rows before each epoch.")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="Determines weights, shuffling, dropout and splits."
    )
    combine: Literal["mean", "sum"] = Field("mean", description="How the losses of the heads are combined.")
    callbacks: list[named(CALLBACKS, Callback)] = Field([], description="Callbacks.")  # type: ignore[valid-type]
    workers: PositiveInt | Literal["auto", "mpi"] = Field(
        1,
        description=(
            "Processes that share each batch; `auto` measures whether one or one per core is faster; `mpi`: the processes "
            "that `mpiexec` or `srun` started."
        ),
    )
    shards: Literal[2, 4, 8, 16, 32, 64] | None = Field(
        None,
        description="Parts of each batch that are computed separately: results then do not depend on the number of workers.",
    )
    initial_weights: Annotated[Any, WithJsonSchema(WEIGHT_FILE)] = Field(
        None, description="A file or a run with the weights to start from: its name, or a mapping."
    )


def mapping(tree: Tree, subject: str, problems: Problems, hint: str | None = None) -> bool:
    """Return whether ``tree`` is a mapping; report it if not."""
    if not isinstance(tree.value, dict) and not tree.unknown:
        problems.value(tree, Code.WRONG_TYPE, f"{subject} must be a mapping, not {describe(tree)}", hint=hint)
    return isinstance(tree.value, dict)


def parse_inputs(tree: Tree, problems: Problems) -> dict[str, InputDecl]:
    """Return the valid inputs by name."""
    if not mapping(tree, "`inputs`", problems, "for example `x: {shape: [13]}`"):
        return {}
    if not tree.value and not tree.unknown:
        problems.value(tree, Code.VALUE_NOT_ALLOWED, "`inputs` is empty", hint="for example `x: {shape: [13]}`")
    inputs = {}
    for name, child in tree.value.items():
        subject = f"input '{name}'"
        if not mapping(child, subject, problems, f"for example `{name}: {{shape: [13]}}`"):
            continue
        keys = validate(InputKeys, child, subject, problems)
        shape = _shape_of(name, child, problems)
        if keys is not None and shape is not None:
            mark = tree.key_marks.get(name, child.mark)
            inputs[name] = InputDecl(name, shape, keys.dtype, mark, child, keys.column, keys.description)
    return inputs


def _shape_of(name: str, tree: Tree, problems: Problems) -> tuple[int | str, ...] | None:
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
        hint = "write `[1]` for one text per row, or `[null]` for several"
        problems.value(shape, Code.VALUE_NOT_ALLOWED, message, hint=hint)
        return None
    return _shape(name, shape, problems)


def _shape(name: str, tree: Tree, problems: Problems) -> tuple[int | str, ...] | None:
    """Return the dimensions. ``null`` on axis k of input ``x`` becomes ``x_k``, where the batch is axis 0."""
    if not isinstance(tree.value, list):
        return None
    shape: list[int | str] = []
    before = len(problems.found)
    if len(tree.value) > _MAX_AXES:
        message = f"input '{name}' has {len(tree.value)} axes, at most {_MAX_AXES}"
        problems.value(tree, Code.VALUE_NOT_ALLOWED, message, hint="join some of them")
    for axis, item in enumerate(tree.value, 1):
        value = item.value
        if value is None and not item.unknown:
            shape.append(f"{name}_{axis}")
        elif isinstance(value, int) and not isinstance(value, bool):
            shape.append(value)
            if value < 1:
                message = f"a dimension of input '{name}' must be at least 1, not {value}"
                problems.value(item, Code.VALUE_NOT_ALLOWED, message, hint="write null for a size that varies")
            elif value > MAX_SIZE:
                message = f"a dimension of input '{name}' must be at most {MAX_SIZE}, not {value}"
                problems.value(item, Code.VALUE_NOT_ALLOWED, message, hint="write null for a size that varies")
        elif isinstance(value, str):
            shape.append(value)
            if value == "N" or means_null(value) or not re.fullmatch(r"[^\W\d]\w*", value):
                hint = _no_name_hint(value)
                problems.value(
                    item, Code.VALUE_NOT_ALLOWED, f"'{value}' cannot name a dimension of input '{name}'", hint=hint
                )
        elif not item.unknown:
            message = f"a dimension of input '{name}' must be an integer, null or a word, not {describe(item)}"
            hint = type_hint(item, "an integer") or "write null for a size that varies"
            problems.value(item, Code.WRONG_TYPE, message, hint=hint)
    return None if tree.unknown or len(problems.found) > before else tuple(shape)


def _no_name_hint(value: str) -> str:
    """Return a hint for a text that cannot name a dimension."""
    if value == "N":
        return "do not write the batch axis"
    if means_null(value) or value.strip() in ("?", "*", "-1", "", "..."):
        return "write `null` for a size that varies"
    return number_hint(value, integer=True) or "a dimension is an integer, null or a word"


def parse_heads(
    tree: Tree, refs: dict[str, HeadRefs], problems: Problems, nodes: Mapping[str, Tree] | None = None
) -> dict[str, HeadDecl]:
    """Return the heads by name, with everything that is valid.

    Args:
        refs: the nodes of each head.
        nodes: the entries of the nodes by their concrete names, for hints.
    """
    if not mapping(tree, "`outputs`", problems, "for example `y: {loss: mean_squared_error}`"):
        return {}
    if not tree.value:
        problems.value(
            tree, Code.VALUE_NOT_ALLOWED, "`outputs` is empty", hint="for example `y: {loss: mean_squared_error}`"
        )
    heads = {}
    for name, child in tree.value.items():
        subject = f"head '{name}'"
        body = Tree({}, child.mark, path=child.path) if child.value is None and not child.unknown else child
        hint = f"for example `{name}: {{loss: mean_squared_error}}`"
        keys = None
        if mapping(body, subject, problems, hint):
            ref, loss = refs.get(name, HeadRefs()).layers[0], body.get("loss")
            better = (
                None if loss is None else loss_hint(loss.plain(), None if ref is None else (nodes or {}).get(ref.name))
            )
            keys = validate(HeadKeys, body, subject, problems, unknown_names={} if better is None else {"loss": better})
        wrong = keys is None
        keys = keys or salvage(HeadKeys, body)
        before = len(problems.found)
        weights = _class_weight(name, keys, body, problems)
        mark = tree.key_marks.get(name, child.mark)
        found = refs.get(name, HeadRefs())
        heads[name] = HeadDecl(
            name=name,
            layer=found.layers[0],
            loss=keys.loss,
            weight=keys.weight,
            metrics=list(keys.metrics),
            class_weight=weights,
            labels=keys.labels,
            scale=keys.scale,
            description=keys.description,
            mark=mark,
            tree=body,
            wrong=wrong or len(problems.found) > before,
            others=found.layers[1:],
            target=found.target,
            target_gradient=keys.target_gradient,
        )
    if heads and all(head.only_trained and not head.wrong for head in heads.values()):
        text = "all heads are for training only: the network has no output to predict or to export"
        hint = "add a head without a loss, for example `embedding: {layer: …}`"
        problems.value(tree, Code.VALUE_NOT_ALLOWED, text, hint=hint)
    return heads


def _class_weight(
    head: str, keys: HeadKeys, tree: Tree, problems: Problems
) -> dict[int, float] | Literal["balanced"] | None:
    """Return the class weights by class index. Keys may be labels."""
    labels = keys.labels or []
    indices = {label: k for k, label in reversed(list(enumerate(labels)))}
    if len(indices) < len(labels):
        second, duplicate = next((k, label) for k, label in enumerate(labels) if indices[label] != k)
        at = tree.value["labels"].value[second]
        message = f"label '{duplicate}' of head '{head}' occurs twice"
        problems.value(at, Code.CLASSES_MISMATCH, message, hint="give every class a different name")
    if not isinstance(keys.class_weight, dict):
        return keys.class_weight
    at = tree.value["class_weight"]
    weights: dict[int, float] = {}
    for key, weight in keys.class_weight.items():
        if key in indices:
            weights[indices[key]] = weight
        elif re.fullmatch(r"[0-9]{1,9}", key):
            weights[int(key)] = weight
        else:
            hint = did_you_mean(key, labels) or "a class is an integer from 0" + (
                f", or {format_names(labels)}" if labels else ""
            )
            relation = "is not a label of" if labels else "is not a class of"
            problems.key(
                at, key, Code.CLASSES_MISMATCH, f"'{key}' in `class_weight` {relation} head '{head}'", hint=hint
            )
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
    given = None if tree is None else tree.get("initial_weights")
    return Training(
        optimizer=keys.optimizer,
        epochs=keys.epochs,
        batch_size=keys.batch_size,
        shuffle=keys.shuffle,
        seed=keys.seed,
        combine=keys.combine,
        callbacks=list(keys.callbacks),
        workers=keys.workers,
        shards=keys.shards,
        initial_weights=None if given is None else parse_weight_file(given, "", "`initial_weights`", problems),
        tree=tree,
    )


def _check_shards(keys: TrainingKeys, tree: Tree, problems: Problems) -> None:
    """Report a number of shards that the workers cannot divide, or that is larger than a batch."""
    shards, workers = keys.shards, keys.workers
    if shards is None:
        return
    if isinstance(workers, int) and shards % workers:
        text = f"{shards} shards cannot be divided equally among {workers} workers"
        hint = f"write {_choices(shards)} for `workers`"
        problems.value(tree.value["workers"], Code.VALUE_NOT_ALLOWED, text, hint=hint)
    if shards > keys.batch_size:
        text = f"a batch of {count(keys.batch_size, 'row')} cannot be cut into {shards} shards"
        smaller = f", or at most {1 << (keys.batch_size.bit_length() - 1)} shards" if keys.batch_size > 1 else ""
        hint = f"use a `batch_size` of at least {shards}{smaller}"
        problems.value(tree.value["shards"], Code.VALUE_NOT_ALLOWED, text, hint=hint)


def _choices(shards: int) -> str:
    """Return the numbers of workers that can divide the shards."""
    numbers = [str(1 << k) for k in range(shards.bit_length())]
    return f"{', '.join(numbers[:-1])} or {numbers[-1]}"
