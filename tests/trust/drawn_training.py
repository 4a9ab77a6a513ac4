"""Random sections `training`: optimizers, schedules, groups of weights, callbacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from graphspec.graph.optimizers import OPTIMIZERS
from graphspec.graph.schedules import SCHEDULES
from graphspec.vocabulary.callbacks import CALLBACKS
from trust.drawn import Args, Drawing

SCHEDULE_ARGS: dict[str, Args] = {
    "ExponentialDecay": {"initial_learning_rate": 0.001, "decay_steps": 2, "decay_rate": 0.9},
    "InverseTimeDecay": {"initial_learning_rate": 0.001, "decay_steps": 2, "decay_rate": 0.5},
    "PolynomialDecay": {"initial_learning_rate": 0.001, "decay_steps": 3},
    "PiecewiseConstantDecay": {"boundaries": [1, 3], "values": [0.001, 0.0005, 0.0001]},
    "CosineDecay": {"initial_learning_rate": 0.001, "decay_steps": 4},
    "CosineDecayRestarts": {"initial_learning_rate": 0.001, "first_decay_steps": 2},
    "LinearWarmup": {"learning_rate": 0.001, "warmup_steps": 3},
    "Sequential": {"schedules": [0.001, {"type": "Noam", "d_model": 64, "warmup_steps": 100}], "boundaries": [2]},
    "Noam": {"d_model": 64, "warmup_steps": 100},
    "OneCycle": {"max_learning_rate": 0.001, "total_steps": 10},
}
REFUSED_CALLBACKS = frozenset(("BackupAndRestore", "LambdaCallback", "RemoteMonitor", "OrbaxCheckpoint"))


def groups(d: Drawing, weights: list[str]) -> list[Args]:
    """Groups of some of the weights: of all, of a node, of a role, of single ones."""
    found: list[Args] = []
    for _ in range(d.int(1, 3)):
        rate = d.one(
            {"learning_rate": 0.002},
            {"learning_rate": {"type": "CosineDecay", **SCHEDULE_ARGS["CosineDecay"]}},
            {"learning_rate_scale": d.one(0, 0.1, 2.0)},
            {"weight_decay": d.one(0, 0.02)},
            {"learning_rate_scale": 0.5, "weight_decay": 0.01},
        )
        one = d.one(*weights)
        node, role = one.rsplit("/", 1)
        found.append({"weights": d.one("*", f"{node}/*", f"*/{role}", [one, f"?{one[1:]}"]), **rate})
    return found


def training(d: Drawing, weights: Callable[[], list[str]], used: Counter[str]) -> Args:
    """The section `training`; what stands in it is added to ``used``. ``weights`` gives the names of those to be trained."""
    kind = d.among(OPTIMIZERS.primary())
    optimizer: Args = {"type": kind, "learning_rate": 0.001}
    schedule = d.among(SCHEDULES.primary()) if d.chance(0.2) else None
    if schedule is not None:
        optimizer["learning_rate"] = {"type": schedule, **SCHEDULE_ARGS[schedule]}
    optimizer |= d.some(weight_decay=0.01) if d.chance(0.3) else {}
    optimizer |= d.one({}, {}, {}, {"clipnorm": 1.0}, {"clipvalue": 0.5}, {"global_clipnorm": 1.0})
    ema = d.chance(0.15)
    if ema:
        optimizer |= {"use_ema": True, **d.some(ema_momentum=0.9, ema_overwrite_frequency=2)}
    elif d.chance(0.1):
        optimizer["gradient_accumulation_steps"] = 2
    if d.chance(0.2) and (names := weights()):
        optimizer["groups"] = groups(d, names)
    callbacks: list[Any] = []
    for _ in range(d.int(0, 2) if d.chance(0.4) else 0):
        callback = d.among([c for c in CALLBACKS.primary() if c not in REFUSED_CALLBACKS])
        arguments: dict[str, Args] = {
            "EarlyStopping": {"monitor": "loss", "patience": 3, **d.some(restore_best_weights=True)},
            "ModelCheckpoint": {"monitor": "loss", "filepath": "best.safetensors", "save_weights_only": True},
            "ReduceLROnPlateau": {"monitor": "loss", "patience": 0},
            "CSVLogger": {"filename": "log.csv"},
            "TensorBoard": {"log_dir": "logs"},
            "LearningRateScheduler": {"schedule": {"type": "CosineDecay", **SCHEDULE_ARGS["CosineDecay"]}},
        }
        if callback == "SwapEMAWeights" and not ema:
            continue
        if schedule is not None and callback in ("ReduceLROnPlateau", "LearningRateScheduler"):
            continue
        if callback not in [c["type"] for c in callbacks]:
            callbacks.append({"type": callback, **arguments.get(callback, {})})
    used.update([f"optimizer {kind}", *(f"callback {c['type']}" for c in callbacks)])
    used.update([f"schedule {schedule}"] if schedule else [])
    training = {"optimizer": optimizer, "batch_size": d.int(2, 5), "seed": d.int(0, 99), "epochs": 1}
    return training | d.some(combine="sum", shuffle=False) | ({"callbacks": callbacks} if callbacks else {})
