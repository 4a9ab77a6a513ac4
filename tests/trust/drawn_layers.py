"""Random arguments for every layer of the vocabulary but those over space, which are in ``drawn_spatial.py``."""

from __future__ import annotations

from typing import Any

from trust.drawn import TEMPLATES, Args, Drawing, Tensor, draws

INNER = ("Dense", "LayerNormalization", "BatchNormalization", "Flatten", "Conv1D", "LSTM", "Activation", "Dropout")
"""What TimeDistributed wraps here."""


@draws("Activation")
def activation(d: Drawing, t: Tensor) -> Args | None:
    return {"activation": d.activation(t.features)} if t.is_float and t.rank else None


@draws("ReLU")
def relu(d: Drawing, t: Tensor) -> Args | None:
    return d.some(max_value=1.5, negative_slope=0.2, threshold=0.3) if t.is_float else None


@draws("LeakyReLU")
def leaky_relu(d: Drawing, t: Tensor) -> Args | None:
    return d.some(negative_slope=0.1) if t.is_float else None


@draws("ELU")
def elu(d: Drawing, t: Tensor) -> Args | None:
    return d.some(alpha=0.7) if t.is_float else None


@draws("PReLU")
def prelu(d: Drawing, t: Tensor) -> Args | None:
    if not t.is_float or not t.rank or t.features is None:
        return None
    shared = [k + 1 for k, size in enumerate(t.shape) if not isinstance(size, int) or d.chance(0.2)]
    start = d.some(alpha_initializer={"type": "Constant", "value": 0.2}, alpha_regularizer="l2")
    return {**({"shared_axes": shared} if shared else {}), **start}


@draws("Softmax")
def softmax(d: Drawing, t: Tensor) -> Args | None:
    if not t.is_float or not t.rank or t.mask is not None:
        return None
    axes = list(range(1, t.rank + 1))
    return {"axis": d.one(-1, d.among(axes), d.random.sample(axes, d.int(1, len(axes))))}


@draws("Dropout", "AlphaDropout", "GaussianDropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
def dropout(d: Drawing, t: Tensor, name: str) -> Args | None:
    space = int(name[-2]) if name.startswith("Spatial") else None
    if not t.is_float or (space is not None and t.rank != space + 1):
        return None
    args = {"rate": d.one(0.0, 0.1, 0.5, 0.9)}
    return args | (d.some(seed=3) if name != "Dropout" else {})


@draws("GaussianNoise")
def noise(d: Drawing, t: Tensor) -> Args | None:
    return {"stddev": d.number(0, 1)} if t.is_float else None


@draws("RandomNormal", "RandomUniform", "GumbelSoftmax", "StopGradient")
def random_values(d: Drawing, t: Tensor, name: str) -> Args | None:
    if name == "StopGradient":
        return None if t.is_text else {}
    if name == "GumbelSoftmax":
        return {"temperature": 0.5, **d.some(hard=True, seed=3)} if t.is_float and t.rank and t.features else None
    return d.some(stddev=0.5) if name == "RandomNormal" else d.some(minval=-1.0)


@draws("Sampling")
def sampling(d: Drawing, t: Tensor) -> Args | None:
    if not t.is_float:
        return None
    others = d.others(lambda o: o.is_float and o.shape == t.shape)
    return {"inputs": [t.ref, *(d.among([t, *others]).ref for _ in range(d.int(1, 2)))]}


@draws("ActivityRegularization")
def penalty(d: Drawing, t: Tensor) -> Args | None:
    return d.some(l1=0.01, l2=0.02) if t.is_float else None


@draws("Attention", "AdditiveAttention")
def attention(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.is_float or t.rank != 2 or t.features is None or not t.masks_steps:
        return None
    values = d.others(lambda o: o.is_float and o.rank == 2 and o.features == t.features and o.masks_steps)
    args = d.some(use_causal_mask=True, dropout=0.3, use_scale=d.chance(0.5), return_attention_scores=True)
    if name == "Attention":
        args |= d.some(score_mode="concat")
    return {**args, "inputs": [t.ref, d.among([t, *values]).ref]}


@draws("MultiHeadAttention", "GroupQueryAttention")
def heads(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.is_float or t.rank != 2 or t.features is None or not t.masks_steps:
        return None
    alike = name == "GroupQueryAttention"  # Keras wants as many features then
    values = d.others(lambda o: o.is_float and o.rank == 2 and o.features == (t.features if alike else o.features))
    values = [o for o in values if o.features is not None and o.masks_steps]
    args = d.some(use_causal_mask=True, dropout=0.3, use_bias=False, return_attention_scores=True, use_gate=True)
    args |= d.weights(matrix=False)
    if d.chance(0.1):
        args["sliding_window"] = d.int(1, 3)
    if name == "MultiHeadAttention":
        args |= {"num_heads": d.int(1, 3), "key_dim": d.int(1, 4), **d.some(value_dim=d.int(1, 3))}
    else:
        groups = d.int(1, 2)
        args |= {"head_dim": d.int(1, 3), "num_key_value_heads": groups, "num_query_heads": groups * d.int(1, 2)}
    return {**args, "inputs": [t.ref, d.among([t, *values]).ref]}


@draws("SimpleRNN", "GRU", "LSTM")
def recurrent(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.is_float or t.rank != 2 or t.features is None or not t.masks_steps:
        return None
    args = {"units": d.int(1, 5), **d.gates(name, written_out=t.fixed)}
    args |= d.weights(matrix=t.features > 1, recurrent=True)
    args |= d.some(return_sequences=True, go_backwards=True, return_state=True, zero_output_for_mask=True)
    states = d.others(lambda o: o.is_float and o.shape == (args["units"],))
    if states and d.chance(0.5):
        args["initial_state"] = [d.among(states).ref for _ in range(2 if name == "LSTM" else 1)]
    return args


@draws("SimpleRNNCell", "GRUCell", "LSTMCell")
def one_step(d: Drawing, t: Tensor, name: str) -> Args | None:
    states = d.others(lambda o: o.is_float and o.rank == 1 and isinstance(o.features, int))
    if not t.is_float or t.rank != 1 or t.features is None or not states:
        return None
    first = d.among(states)
    inputs = [t.ref, *[first.ref] * (2 if name == "LSTMCell" else 1)]
    return {"units": first.features, "inputs": inputs, **d.gates(name.removesuffix("Cell"), written_out=True)}


@draws("RNN")
def cells(d: Drawing, t: Tensor) -> Args | None:
    if not t.is_float or t.rank != 2 or t.features is None or not t.masks_steps:
        return None
    cell: Any = d.cell(written_out=t.fixed)
    if d.chance(0.3):
        cell = [cell, d.cell(written_out=t.fixed)]
        if d.chance(0.5):
            cell = {"type": "StackedRNNCells", "cells": cell}
    return {"cell": cell, **d.some(return_sequences=True, go_backwards=True, return_state=True)}


@draws("Bidirectional")
def bidirectional(d: Drawing, t: Tensor) -> Args | None:
    kind = d.one("SimpleRNN", "GRU", "LSTM", "RNN", "ConvLSTM1D")
    inner = TEMPLATES[kind](d, t)
    if inner is None:
        return None
    inner = {k: v for k, v in inner.items() if k not in ("initial_state", "go_backwards")}
    return {"layer": {"type": kind, **inner}, "merge_mode": d.one("concat", "sum", "mul", "ave", None)}


@draws("TimeDistributed")
def time_distributed(d: Drawing, t: Tensor) -> Args | None:
    kind = d.among(INNER)
    if t.rank < 2 or (kind == "BatchNormalization" and not isinstance(t.shape[0], int)):
        return None
    step = Tensor("", t.shape[1:], t.dtype, t.ids, None)
    inner = TEMPLATES[kind](d, step)
    if inner is None or inner.get("return_state") or "initial_state" in inner:
        return None
    return {"layer": {"type": kind, **inner}}


@draws("SpectralNormalization")
def spectral(d: Drawing, t: Tensor) -> Args | None:
    kind = d.one("Dense", "Conv1D", "Conv2D", "Embedding")
    inner = TEMPLATES[kind](d, t)
    if inner is None:
        return None
    for key in ("embeddings_constraint", "kernel_constraint", "kernel_initializer"):
        inner.pop(key, None)  # a kernel of zeros has no singular value
    return {"layer": {"type": kind, **inner}, **d.some(power_iterations=2)}


@draws("Dense")
def dense(d: Drawing, t: Tensor) -> Args | None:
    if t.features is None:
        return None
    units = d.int(1, 6)
    args = {"units": units, **d.some(use_bias=False), **d.weights(matrix=min(units, t.features) > 1)}
    return args | ({"activation": d.activation(units)} if d.chance(0.6) else {})


@draws("ArcFace")
def arc_face(d: Drawing, t: Tensor) -> Args | None:
    return {"units": d.int(2, 4), **d.some(scale=8.0)} if t.rank == 1 and t.is_float and t.fixed else None


@draws("CRF")
def crf(d: Drawing, t: Tensor) -> Args | None:
    return {} if t.rank == 2 and t.is_float and t.features is not None else None


@draws("Embedding")
def embedding(d: Drawing, t: Tensor) -> Args | None:
    if (t.ids is None and not t.bounded) or t.rank > 2:
        return None
    size = {} if t.ids is None else {"input_dim": t.ids + d.int(0, 2)}
    args = {**size, "output_dim": d.int(1, 5), **d.some(mask_zero=t.rank == 1)}
    if d.chance(0.15):
        args["embeddings_regularizer"] = d.regularizer(matrix=True)
    return args | ({"embeddings_constraint": d.constraint()} if d.chance(0.1) else {})


@draws("PositionEmbedding")
def position_embedding(d: Drawing, t: Tensor) -> Args | None:
    if len(t.shape) < 2 or t.ids is not None or not isinstance(t.shape[-2], int) or t.features is None:
        return None
    return d.some(sequence_length=t.shape[-2] + d.int(0, 2), add=True)


@draws("Identity")
def identity(d: Drawing, t: Tensor) -> Args | None:
    return {}


@draws("Masking")
def masking(d: Drawing, t: Tensor) -> Args | None:
    return d.some(mask_value=1.0) if t.rank >= 2 and t.is_float else None


@draws("Rescaling")
def rescaling(d: Drawing, t: Tensor) -> Args | None:
    return {"scale": d.one(1 / 255, 0.5, -1.0), **d.some(offset=d.one(-1.0, 0.5))}


@draws("EinsumDense")
def einsum(d: Drawing, t: Tensor) -> Args | None:
    if t.features is None or not t.is_float:
        return None
    out = d.int(1, 4)
    forms: list[Args] = [{"equation": "...x,xy->...y", "output_shape": out, **d.some(bias_axes="y")}]
    if t.rank == 1:
        forms.append({"equation": "ab,bc->ac", "output_shape": out, **d.some(bias_axes="c")})
        forms.append({"equation": "ab,bcd->acd", "output_shape": [out, 2], **d.some(bias_axes="cd")})
    if t.rank == 2:
        forms.append({"equation": "abc,cd->abd", "output_shape": [None, out], **d.some(bias_axes="d")})
        if t.fixed:
            forms.append({"equation": "abc,bcd->ad", "output_shape": out, **d.some(bias_axes="d")})
    return {**d.among(forms), **d.weights(matrix=False), **d.some(activation="tanh")}


@draws("CategoryEncoding")
def categories(d: Drawing, t: Tensor) -> Args | None:
    if (t.ids is None and not t.bounded) or t.rank > 2:
        return None
    modes = ("one_hot", "multi_hot", "count") if t.rank else ("one_hot",)
    size = {} if t.ids is None else {"num_tokens": t.ids + d.int(0, 2)}
    return {**size, "output_mode": d.among(modes)}


@draws("Discretization")
def bins(d: Drawing, t: Tensor) -> Args | None:
    if t.rank > 3:
        return None
    modes = ("int", "one_hot", "multi_hot", "count") if t.rank else ("int", "one_hot")
    if t.fresh and d.chance(0.4):
        return {"num_bins": d.int(2, 5), "output_mode": d.among(modes)}
    return {"bin_boundaries": d.one([0.0], [-0.5, 0.0, 0.7], [0.1, 0.1, 1.0]), "output_mode": d.among(modes)}


@draws("Normalization")
def normalization(d: Drawing, t: Tensor) -> Args | None:
    if t.features is None:
        return None
    size = t.features
    if t.fresh and d.chance(0.4):
        return d.some(axis=None)
    if d.chance(0.3):
        return {"axis": None, "mean": 0.5, "variance": 2.0, **d.some(invert=True)}
    mean, variance = [d.number(-1, 1) for _ in range(size)], [d.number(0.2, 3) for _ in range(size)]
    return {"mean": mean, "variance": variance, **d.some(invert=True)}


@draws("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
def merge(d: Drawing, t: Tensor, name: str) -> Args | None:
    def fits(o: Tensor) -> bool:
        sizes = zip(o.shape, t.shape, strict=True) if o.rank == t.rank else []
        return o.is_float == t.is_float and o.rank == t.rank and all(a in (b, 1) or b == 1 for a, b in sizes)

    others = [o for o in d.others(fits) if o.dtype == t.dtype]
    if not others or not t.rank or t.dtype == "bool":
        return None
    more = d.among(others)
    every = [t, more]
    if name != "Subtract" and more.shape == t.shape and d.chance(0.3):
        every.append(d.among([o for o in others if o.shape == t.shape]))
    return {"inputs": [o.ref for o in every]}


@draws("Concatenate")
def concatenate(d: Drawing, t: Tensor) -> Args | None:
    axis = d.int(1, t.rank)
    if not t.rank:
        return None

    def fits(o: Tensor) -> bool:
        alike = o.dtype == t.dtype and o.rank == t.rank
        return alike and all(a == b for k, (a, b) in enumerate(zip(o.shape, t.shape, strict=True)) if k != axis - 1)

    others = d.others(fits)
    chosen = [d.among(others) for _ in range(d.int(1, 2))] if others else []
    every = [t, *chosen]
    if not chosen or not all(isinstance(o.shape[axis - 1], int) for o in every):
        return None
    return {"inputs": [o.ref for o in every], "axis": axis if d.chance(0.5) else axis - t.rank - 1}


@draws("Dot")
def dot(d: Drawing, t: Tensor) -> Args | None:
    if not t.is_float or not 1 <= t.rank <= 2:
        return None
    pairs = [
        (o, (i + 1, j + 1))
        for o in d.others(lambda o: o.is_float and 1 <= o.rank <= 2)
        for i, a in enumerate(t.shape)
        for j, b in enumerate(o.shape)
        if a == b and isinstance(a, int)
    ]
    if not pairs:
        return None
    other, axes = d.among(pairs)
    return {"inputs": [t.ref, other.ref], "axes": list(axes), **d.some(normalize=True)}


@draws("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "UnitNormalization")
def normalize(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.is_float or t.features is None:
        return None
    args = {} if name in ("RMSNormalization", "UnitNormalization") else d.some(center=False, scale=False)
    if name == "BatchNormalization":
        args |= d.some(momentum=0.9)
    if name == "GroupNormalization":
        divisors = [k for k in range(1, t.features + 1) if t.features % k == 0]
        args["groups"] = d.one(-1, d.among(divisors))
    elif t.fixed and d.chance(0.3):
        axes = list(range(1, t.rank + 1))
        args["axis"] = (
            d.among(axes) if name != "LayerNormalization" else sorted(d.random.sample(axes, d.int(1, len(axes))))
        )
        if name == "RMSNormalization":
            args["axis"] = -1
    return args


@draws("Flatten")
def flatten(d: Drawing, t: Tensor) -> Args | None:
    return {} if t.rank and t.size <= 400 and (t.fixed or sum(isinstance(s, str) for s in t.shape) == 1) else None


@draws("Reshape")
def reshape(d: Drawing, t: Tensor) -> Args | None:
    if not t.fixed or not t.rank:
        return None
    sizes, rest = [], t.size
    for _ in range(d.int(1, 3)):
        size = d.among([k for k in range(1, rest + 1) if rest % k == 0])
        sizes.append(size)
        rest //= size
    target = [*sizes, rest]
    if d.chance(0.3):
        target[d.int(0, len(target) - 1)] = -1
    return {"target_shape": target}


@draws("Permute")
def permute(d: Drawing, t: Tensor) -> Args | None:
    return {"dims": d.random.sample(range(1, t.rank + 1), t.rank)} if t.rank else None


@draws("QuantileSteps")
def quantile_steps(d: Drawing, t: Tensor) -> Args | None:
    return {} if t.is_float and t.rank and t.features else None


@draws("Members")
def members(d: Drawing, t: Tensor) -> Args | None:
    return {"members": d.int(1, 4)} if t.rank == 1 and t.is_float else None


@draws("MemberDense")
def member_dense(d: Drawing, t: Tensor) -> Args | None:
    fits = t.rank == 2 and t.is_float and t.features is not None and isinstance(t.shape[0], int)
    return {"units": d.int(1, 4), **d.some(use_bias=False)} if fits else None


@draws("RepeatVector")
def repeat(d: Drawing, t: Tensor) -> Args | None:
    return {"n": d.int(1, 4)} if t.rank == 1 else None
