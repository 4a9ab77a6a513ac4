"""The golden values of layers, a family a section: `layers_<family>` of `cases_<family>.layer_cases`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from keras.src import backend
from keras_models import (
    HERE,
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


def families() -> list[str]:
    """The families that have cases."""
    names = sorted(path.stem.removeprefix("cases_") for path in HERE.glob("cases_*.py"))
    return [name for name in names if hasattr(import_module(f"cases_{name}"), "layer_cases")]


def masks_of(y: dict[str, Any]) -> dict[str, Any]:
    """The masks of outputs; what Keras's Softmax leaves on the scores of attention is none, for it has their rank."""
    masks = {head: backend.get_keras_mask(t) for head, t in y.items()}
    return {head: m for head, m in masks.items() if m is not None and m.ndim < y[head].ndim}


def descend(total: Any) -> None:
    """Run backward; torch has none for `floor_divide`, which is constant between its jumps."""
    try:
        total.backward()
    except RuntimeError as error:
        if "floor_divide is not implemented" not in str(error):
            raise


def section(family: str) -> Section:
    """Per case: inputs, weights, outputs, masks (where there are), cotangents; gradients of Σ output · cotangent."""
    section = Section(f"layers_{family}")
    for case in import_module(f"cases_{family}").layer_cases():
        rng = generator(case["id"])
        model, made = build(case["spec"])
        named = variables(made)
        weights, inputs = draw_weights(rng, named), draw_inputs(rng, case)
        x = tensors(inputs)
        y = model(x, training=case.get("training", False))
        floats = {head: t for head, t in y.items() if backend.is_float_dtype(t.dtype)}
        cotangents = {head: exact(rng.normal(size=tuple(t.shape))) for head, t in floats.items()}
        total = sum((t * backend.convert_to_tensor(cotangents[head])).sum() for head, t in floats.items())
        if floats and total.requires_grad:
            descend(total)
        masks = masks_of(y)
        section.add(
            case["id"],
            {"spec": case["spec"], "training": case.get("training", False)}
            | ({"mixes": True} if case.get("mixes") else {}),
            inputs=inputs,
            weights=weights,
            outputs={head: plain(t) for head, t in y.items()},
            masks={head: plain(m) for head, m in masks.items()},
            cotangents=cotangents,
            state=state(named) if case.get("training") else {},
            **(gradients(named, x) if floats else {}),
        )
    return section


def check(family: str) -> None:
    """Outputs, masks and losses again on this backend."""
    stored = load_file(HERE / f"layers_{family}.safetensors")
    failed = 0
    for case in import_module(f"cases_{family}").layer_cases():
        model, made = build(case["spec"])
        for name, variable in variables(made).items():
            variable.assign(stored[f"{case['id']}/weights/{name}"])
        inputs = {name: stored[f"{case['id']}/inputs/{name}"] for name in case["spec"]["inputs"]}
        y = model(inputs, training=case.get("training", False))
        pairs = {f"outputs/{head}": t for head, t in y.items()}
        pairs |= {f"masks/{head}": m for head, m in masks_of(y).items()}
        pairs |= {f"state/{name}": a for name, a in (state(variables(made)) if case.get("training") else {}).items()}
        for key, value in pairs.items():
            if not np.allclose(plain(value), stored[f"{case['id']}/{key}"], rtol=1e-5, atol=1e-6):
                print(case["id"], key, np.abs(plain(value) - stored[f"{case['id']}/{key}"]).max())
                failed += 1
    print("differences:", failed)
