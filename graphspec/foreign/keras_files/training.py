"""What a model was compiled with: optimizer, losses and metrics as ``training`` and as keys of the heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphspec.base.config import Registry
from graphspec.foreign.keras_files.model_def import simple_class
from graphspec.foreign.keras_files.problems import Problems
from graphspec.foreign.keras_files.values import Notes, arguments, is_kerass_own, is_object
from graphspec.graph.optimizers import OPTIMIZERS
from graphspec.language.names import snake_case
from graphspec.vocabulary.losses import LOSSES
from graphspec.vocabulary.metrics import METRICS

_LEARNS_ANYWAY = "the head is answered and exported, but not trained until it has a `loss`"


def add_training(data: dict[str, Any], config: Any, heads: Sequence[str], keys: Sequence[str], notes: Notes) -> None:
    """Add what a configuration of training says to a spec's heads and ``training``.

    What a spec cannot have is no problem of the network: it is left out, and a note says so.

    Args:
        config: ``compile_config`` or ``training_config``; None for a model that was never compiled.
        heads: the heads of the spec, in the order of the model's outputs.
        keys: Keras's names of these outputs.
    """
    if not isinstance(config, dict) or (not config.get("loss") and not config.get("optimizer")):
        notes.say("the model was saved without a loss: it predicts and exports; to train it, give a head a `loss`")
        return
    if "compile_args" in config and isinstance(config["compile_args"], dict):
        config = config["compile_args"]
    losses = _by_head(config.get("loss"), keys, whole=True)
    weights = _by_head(config.get("loss_weights"), keys)
    metrics = _by_head(config.get("metrics"), keys, lists=True)
    weighted = _by_head(config.get("weighted_metrics"), keys, lists=True)
    trained = 0
    for head, key in zip(heads, keys, strict=True):
        entry = data["outputs"][head]
        loss = _entry(LOSSES, losses.get(key), f"the loss of head '{head}'", notes)
        if loss is not None:
            entry["loss"] = loss
            trained += 1
        elif losses.get(key) is not None:
            notes.say(f"head '{head}' has no loss: {_LEARNS_ANYWAY}")
        if isinstance(weight := weights.get(key), int | float) and loss is not None:
            entry["weight"] = weight
        listed = [*_flat(metrics.get(key)), *_flat(weighted.get(key))]
        found = [m for item in listed if (m := _entry(METRICS, item, f"a metric of head '{head}'", notes)) is not None]
        if found and loss is not None:
            entry["metrics"] = [m for k, m in enumerate(found) if m not in found[:k]]
    training = data.setdefault("training", {})
    optimizer = config.get("optimizer", config.get("optimizer_config"))
    if is_object(optimizer) and simple_class(optimizer["class_name"]).startswith("LossScaleOptimizer"):
        inner = optimizer["config"].get("inner_optimizer") if isinstance(optimizer["config"], dict) else None
        notes.say("the LossScaleOptimizer is left out: training is in float32")
        optimizer = inner
    made = _entry(OPTIMIZERS, optimizer, "the optimizer", notes)
    if made is not None:
        training["optimizer"] = made
    if trained > 1:
        training["combine"] = "sum"
    if not training:
        data.pop("training")


def _by_head(value: Any, keys: Sequence[str], *, lists: bool = False, whole: bool = False) -> dict[str, Any]:
    """Return a setting by output: Keras takes one for all, a list in their order, or a dict by name.

    Args:
        lists: whether the setting of one output is a list itself.
        whole: whether one setting counts for every output.
    """
    if value is None:
        return {}
    if isinstance(value, dict) and not is_object(value):
        return {key: value[key] for key in keys if key in value}
    if isinstance(value, list):
        if lists and (len(keys) == 1 or not any(isinstance(item, list) for item in value)):
            inner = value[0] if len(keys) == 1 and len(value) == 1 and isinstance(value[0], list) else value
            is_each = len(keys) > 1 and len(value) == len(keys)
            return dict(zip(keys, value, strict=True)) if is_each else dict.fromkeys(keys, inner)
        return dict(zip(keys, value, strict=False))
    return dict.fromkeys(keys, value) if whole or len(keys) == 1 else {keys[0]: value}


def _flat(value: Any) -> list[Any]:
    if value is None:
        return []
    return [item for part in value for item in _flat(part)] if isinstance(value, list) else [value]


def _entry(registry: Registry[Any], value: Any, what: str, notes: Notes) -> Any:
    """Return a name or a mapping of a spec; None if there is none, which is said."""
    if value is None:
        return None
    if isinstance(value, str):
        name = value if registry.get(value) else snake_case(value)
        if registry.get(name) is not None:
            return name
        notes.say(f"{what} is left out: '{value}' is none of a spec's")
        return None
    if is_object(value):
        name, config = simple_class(value["class_name"]), value["config"]
        if isinstance(config, dict) and is_object(config.get("fn")):  # MeanMetricWrapper, LossFunctionWrapper
            return _entry(registry, config["fn"], what, notes)
        if isinstance(config, dict) and isinstance(config.get("fn"), str) and registry.get(name) is None:
            return _entry(registry, config["fn"], what, notes)
        if not is_kerass_own(str(value.get("module") or ""), str(value.get("registered_name") or "")):
            notes.say(f"{what} is left out: {name if name != 'function' else config} is not Keras's but code")
            return None
        if name == "function" and isinstance(config, str):
            return _entry(registry, config, what, notes)
        cls = registry.get(name)
        if cls is not None and isinstance(config, dict):
            inner = Notes(Problems(notes.problems.file), notes.said)
            found = {"type": name} | arguments(cls, config, what, inner)
            for problem in inner.problems.found:
                notes.say(f"{problem.message}; it is left out")
            return {key: v for key, v in found.items() if not (key == "name" and v in (None, snake_case(name)))}
    notes.say(f"{what} is left out: {str(value)[:60]} is none of a spec's")
    return None
