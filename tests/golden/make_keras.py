"""Write the golden values of Keras 3 (torch backend, float64) that the tests compare graphspec with.

Run in an environment of its own: ``pip install keras==3.15.1 torch==2.13.0 numpy safetensors``, then
``KERAS_BACKEND=torch python tests/golden/make_keras.py``. ``KERAS_BACKEND=jax … make_keras.py --check`` (with
``pip install jax``) compares the stored outputs of layers and losses with a second backend.

A section is ``<section>.safetensors`` (arrays ``<case id>/<kind>/<name>``, float64 stored as float32) and
``<section>.json`` (spec or arguments by case id).
"""

from __future__ import annotations

import sys
from typing import Any

import cases_training as training_cases
import keras
import numpy as np
from cases import Case, convolution, core, merging, normalization, pooling
from cases_recurrent import recurrent, wrappers
from keras.src import backend
from keras.src.trainers.compile_utils import get_loss, get_metric
from keras_models import (
    HERE,
    Arrays,
    Section,
    build,
    draw_inputs,
    draw_weights,
    exact,
    generator,
    gradients,
    plain,
    state,
    tensors,
    variables,
)
from safetensors.numpy import load_file


def layer_cases() -> list[Case]:
    return core() + convolution() + pooling() + normalization() + merging() + recurrent() + wrappers()


def layers() -> Section:
    """Per case: inputs, weights, outputs, masks (where there are), cotangents; gradients of Σ output · cotangent."""
    section = Section("layers")
    for case in layer_cases():
        rng = generator(case["id"])
        model, made = build(case["spec"])
        named = variables(made)
        weights, inputs = draw_weights(rng, named), draw_inputs(rng, case)
        x = tensors(inputs)
        y = model(x, training=case.get("training", False))
        cotangents = {head: exact(rng.normal(size=tuple(t.shape))) for head, t in y.items()}
        total = sum((t * backend.convert_to_tensor(cotangents[head])).sum() for head, t in y.items())
        if total.requires_grad:
            total.backward()
        masks = {head: m for head, t in y.items() if (m := backend.get_keras_mask(t)) is not None}
        section.add(
            case["id"],
            {"spec": case["spec"], "training": case.get("training", False)},
            inputs=inputs,
            weights=weights,
            outputs={head: plain(t) for head, t in y.items()},
            masks={head: plain(m) for head, m in masks.items()},
            cotangents=cotangents,
            state=state(named) if case.get("training") else {},
            **gradients(named, x),
        )
    return section


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def draw_pair(rng: np.random.Generator, kind: str, shape: tuple[int, ...], extra: dict[str, Any]) -> list[np.ndarray]:
    """y_true and y_pred."""
    axis = extra.get("axis", -1)
    kind, _, logits = kind.partition("_")
    y_pred = rng.normal(size=shape)
    ids = np.argmax(rng.normal(size=shape), axis)
    onehot = np.moveaxis(np.eye(shape[axis])[ids], -1, axis)
    if kind == "real":
        y_true = exact(rng.normal(size=shape))
    elif kind == "half":
        y_true, y_pred = rng.integers(0, 2, shape).astype(float), rng.choice([0.25, 0.5, 0.75], shape)
    elif kind == "binary":
        y_true = rng.integers(0, 2, shape).astype(float)
        y_pred = y_pred if logits else 1 / (1 + np.exp(-y_pred))
    elif kind == "ctc":
        y_true = rng.integers(1, shape[-1], (shape[0], 3))
        y_true[np.arange(3) >= np.arange(shape[0])[:, None] + 1] = 0
        y_true[-1, 1] = y_true[-1, 0]
    else:
        y_true = {"onehot": onehot, "soft": exact(softmax(rng.normal(size=shape), axis)), "ids": ids, "ties": ids}[kind]
        y_pred = y_pred if logits else softmax(y_pred, axis)
        y_pred = np.full(shape, 0.25) if kind == "ties" else y_pred
    if "ignored" in extra:
        y_true[::2] = extra["ignored"]
    if extra.get("column"):
        y_true = y_true[..., None]
    if extra.get("squeeze"):
        y_true = y_true[..., 0]
    return [y_true, exact(y_pred)]


def draw_mask(shape: tuple[int, ...]) -> np.ndarray:
    """Of the first two axes: row 0 whole, row 1 padded, row 2 with gaps."""
    mask = np.ones(shape[:2], bool)
    mask[1, -2:] = False
    mask[2:, ::2] = False
    return mask


def loss_of(config: str | dict[str, Any], **more: Any) -> Any:
    if isinstance(config, str):
        return get_loss(config, None, None)
    return getattr(keras.losses, config["type"])(**{k: v for k, v in config.items() if k != "type"}, **more)


def losses() -> Section:
    """Per case: y_true, y_pred, sample_weight and mask (where there are), loss, gradient of loss by y_pred.

    `values` are the losses before reduction, without weights and mask; with reduction none the gradient is of the sum.
    """
    section = Section("losses")
    for case, config, kind, shape, extra in training_cases.LOSSES:
        rng = generator(case)
        y_true, y_pred = draw_pair(rng, kind, shape, extra)
        optional: dict[str, Any] = {}
        t = tensors({"y_pred": y_pred})["y_pred"]
        if extra.get("mask"):
            optional["mask"] = draw_mask(shape)
            backend.set_keras_mask(t, backend.convert_to_tensor(optional["mask"]))
        if weight := extra.get("weight"):
            size = shape[:1] if weight == "sample" else shape[:2]
            optional["sample_weight"] = exact(rng.uniform(0.2, 2, size))
        values = loss_of({**config, "reduction": "none"})(y_true, backend.convert_to_tensor(y_pred))
        loss = loss_of(config)(y_true, t, sample_weight=optional.get("sample_weight"))
        loss.sum().backward()
        section.add(
            case,
            {"loss": config},
            y_true=y_true,
            y_pred=y_pred,
            values=plain(values),
            loss=plain(loss),
            gradient=plain(t.grad),
            **optional,
        )
    return section


def metrics() -> Section:
    """Per case: y_true, y_pred, mask (where there is), result."""
    section = Section("metrics")
    for case, config, kind, shape, extra in training_cases.METRICS:
        y_true, y_pred = draw_pair(generator(case), kind, shape, extra)
        metric: Any = config
        if isinstance(config, dict):
            metric = getattr(keras.metrics, config["type"])(**{k: v for k, v in config.items() if k != "type"})
        t = backend.convert_to_tensor(y_pred)
        optional = {}
        if extra.get("mask"):
            optional["mask"] = draw_mask(shape)
            backend.set_keras_mask(t, backend.convert_to_tensor(optional["mask"]))
        metric = get_metric(metric, y_true, y_pred)
        metric.update_state(y_true, t)
        args = {"metric": config, "resolved": type(metric).__name__}
        section.add(case, args, y_true=y_true, y_pred=y_pred, result=plain(metric.result()), **optional)
    return section


def models() -> Section:
    """Per case: inputs, weights, targets, sample_weights; losses by head, regularization, loss; gradients of loss.

    Training mode. `losses` are weighted by samples and classes, not by the heads' weights; `regularization` is the
    sum of all penalties. `loss` combines the heads as the spec's `training.combine` says. Also the updated state.
    """
    from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights

    section = Section("models")
    for case in training_cases.model_cases():
        rng = generator(case["id"])
        model, made = build(case["spec"])
        for node in case["spec"]["layers"]:
            if node.get("trainable") is False:
                made[node["name"]].trainable = False
        named = variables(made)
        weights, inputs = draw_weights(rng, named), draw_inputs(rng, case)
        x = tensors(inputs)
        y = model(x, training=True)
        targets, sample_weights, values, total, divisor = {}, {}, {}, 0.0, 0.0
        for head, item in case["spec"]["outputs"].items():
            if "loss" not in item:
                continue
            name = item["loss"] if isinstance(item["loss"], str) else item["loss"]["type"]
            short = name.lower().replace("_", "")
            kind = {"sparsecategoricalcrossentropy": "ids", "categoricalcrossentropy": "onehot"}.get(short, "real")
            kind = "binary" if short == "binarycrossentropy" else kind
            shape = tuple(y[head].shape)
            targets[head], _ = draw_pair(rng, kind, shape, {})
            sample_weight = None
            if weight := case.get("weight"):
                sample_weight = exact(rng.uniform(0.2, 2, shape[:1] if weight == "sample" else shape[:2]))
                sample_weights[head] = sample_weight
            if "class_weight" in item:
                sample_weight = class_weight_to_sample_weights(targets[head], item["class_weight"])
            values[head] = loss_of(item["loss"])(targets[head], y[head], sample_weight=sample_weight)
            total = total + item.get("weight", 1.0) * values[head]
            divisor += item.get("weight", 1.0)
        penalty = sum(model.losses) if model.losses else keras.ops.zeros(())
        loss = total / (divisor if case["spec"]["training"]["combine"] == "mean" else 1.0) + penalty
        if case["id"].startswith("heads-sum") and not sample_weights:
            check_compiled(model, case["spec"], y, targets, loss)
        loss.backward()
        section.add(
            case["id"],
            {"spec": case["spec"]},
            inputs=inputs,
            weights=weights,
            targets=targets,
            sample_weights=sample_weights,
            losses={head: plain(value) for head, value in values.items()},
            regularization=plain(penalty),
            loss=plain(loss),
            state=state(named),
            **gradients(named, x),
        )
    return section


def check_compiled(model: keras.Model, spec: dict[str, Any], y: Any, targets: Arrays, loss: Any) -> None:
    """The sum over heads is what Keras's own compile computes."""
    heads = spec["outputs"]
    model.compile(
        loss={head: item["loss"] for head, item in heads.items()},
        loss_weights={head: item.get("weight", 1.0) for head, item in heads.items()},
    )
    np.testing.assert_allclose(plain(model.compute_loss(y=targets, y_pred=y)), plain(loss), rtol=1e-6)


def optimizers() -> Section:
    """Weights of two tensors before, gradients of ten steps, weights after each step."""
    section = Section("optimizers")
    for case, config in training_cases.OPTIMIZERS:
        rng = generator(case)
        start = {"kernel": exact(rng.normal(size=(3, 4))), "bias": exact(rng.normal(size=4))}
        steps = {name: exact(rng.normal(size=(10, *a.shape))) for name, a in start.items()}
        optimizer = getattr(keras.optimizers, config["type"])(**{k: v for k, v in config.items() if k != "type"})
        params = {name: keras.Variable(a, name=name) for name, a in start.items()}
        optimizer.build(list(params.values()))
        after: dict[str, list[np.ndarray]] = {name: [] for name in start}
        for step in range(10):
            optimizer.apply([backend.convert_to_tensor(g[step]) for g in steps.values()])
            for name, variable in params.items():
                after[name].append(plain(variable).copy())
        section.add(
            case,
            {"optimizer": config},
            weights=start,
            gradients=steps,
            after={name: np.stack(a) for name, a in after.items()},
        )
    return section


def initializers() -> Section:
    """Arguments only: mean, standard deviation, smallest and largest value of 200,000 draws, by shape.

    `gram` is Wᵀ W or W Wᵀ (the smaller, of the values as a matrix) over the identity, for Orthogonal.
    """
    section = Section("initializers")
    for config in training_cases.INITIALIZERS:
        args = {k: v for k, v in config.items() if k != "type"}
        for shape in training_cases.INITIALIZER_SHAPES:
            if config["type"] in ("Orthogonal", "Identity") and len(shape) != 2:
                continue
            fixed = config["type"] in ("Zeros", "Ones", "Constant", "Orthogonal", "Identity")
            repeats = 1 if fixed else -(-200_000 // int(np.prod(shape)))
            draws = np.stack(
                [plain(initializer_of(config["type"], args, seed)(shape, dtype="float64")) for seed in range(repeats)]
            )
            found = {"mean": draws.mean(), "std": draws.std(), "min": draws.min(), "max": draws.max()}
            if config["type"] == "Orthogonal":
                found["gram"] = float(np.mean(np.diag(gram(draws[0]))))
            entry = {"initializer": config, "shape": shape, **{k: float(v) for k, v in found.items()}}
            label = "_".join(str(v) for v in args.values())
            section.add("-".join(filter(None, [config["type"], label, "x".join(map(str, shape))])), entry)
    return section


def initializer_of(cls: str, args: dict[str, Any], seed: int) -> Any:
    seeded = {} if cls in ("Zeros", "Ones", "Constant", "Identity") else {"seed": seed}
    return getattr(keras.initializers, cls)(**args, **seeded)


def gram(w: np.ndarray) -> np.ndarray:
    product = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, np.eye(len(product)) * product[0, 0], atol=1e-5)
    return product


def check() -> None:
    """Outputs, masks and losses again on this backend."""
    stored = load_file(HERE / "layers.safetensors")
    failed = 0
    for case in layer_cases():
        model, made = build(case["spec"])
        for name, variable in variables(made).items():
            variable.assign(stored[f"{case['id']}/weights/{name}"])
        inputs = {name: stored[f"{case['id']}/inputs/{name}"] for name in case["spec"]["inputs"]}
        y = model(inputs, training=case.get("training", False))
        pairs = {f"outputs/{head}": t for head, t in y.items()}
        pairs |= {f"masks/{head}": m for head, t in y.items() if (m := backend.get_keras_mask(t)) is not None}
        pairs |= {f"state/{name}": a for name, a in (state(variables(made)) if case.get("training") else {}).items()}
        for key, value in pairs.items():
            if not np.allclose(plain(value), stored[f"{case['id']}/{key}"], rtol=1e-5, atol=1e-6):
                print(case["id"], key, np.abs(plain(value) - stored[f"{case['id']}/{key}"]).max())
                failed += 1
    stored = load_file(HERE / "losses.safetensors")
    for case, config, kind, *_ in training_cases.LOSSES:
        if kind.startswith("ids") and "axis" in config:
            continue  # JAX has the last axis only.
        t = backend.convert_to_tensor(stored[f"{case}/y_pred"])
        values = plain(loss_of({**config, "reduction": "none"})(stored[f"{case}/y_true"], t))
        if not np.allclose(values, stored[f"{case}/values"], rtol=1e-5, atol=1e-6):
            print(case, values, stored[f"{case}/values"])
            failed += 1
    print("differences:", failed)


if __name__ == "__main__":
    if "--check" in sys.argv:
        check()
    else:
        chosen = sys.argv[1:] or ["layers", "losses", "metrics", "models", "optimizers", "initializers"]
        for name in chosen:
            globals()[name]().write()
