"""Reads the golden values in `golden/`; the scripts there say what each section holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from paths import TESTS
from safetensors.numpy import load_file

GOLDEN = TESTS / "golden"
NOT_KERAS: dict[str, dict[str, str]] = {
    **{kind: {} for kind in ("cell", "activation", "regularizer", "constraint")},
    "optimizer": dict.fromkeys(("Lookahead", "RAdam"), "graph/optimizers/test_lookahead.py"),
    "loss": {
        **dict.fromkeys(("CLIP", "Contrastive", "Cosine", "InfoNCE", "Triplet"), "vocabulary/losses/test_pairs.py"),
        **dict.fromkeys(
            ("Cox", "NegativeBinomial", "SupCon", "TripletSemiHard"), "vocabulary/losses/test_torch_losses.py"
        ),
        "ArcFace": "vocabulary/layers/test_arcface.py",
        "CRF": "vocabulary/layers/test_crf.py",
        "Quantile": "vocabulary/losses/test_quantile.py",
        "Value": "vocabulary/losses/test_value.py",
    },
    "layer": {
        "ArcFace": "vocabulary/layers/test_arcface.py",
        "Constant": "vocabulary/layers/test_tensors.py",
        "CRF": "vocabulary/layers/test_crf.py",
        "DateParts": "vocabulary/layers/test_dates.py",
        "HashedCrossing": "vocabulary/layers/test_hashing.py",
        "Hashing": "vocabulary/layers/test_hashing.py",
        "FlipMean": "vocabulary/layers/test_flip_mean.py",
        **dict.fromkeys(("CutMix", "MixUp"), "vocabulary/layers/test_mixing.py"),
        "GumbelSoftmax": "vocabulary/layers/test_regularization.py",
        "Impute": "vocabulary/layers/test_missing.py",
        "Log1p": "vocabulary/layers/test_scaling.py",
        **dict.fromkeys(("MemberDense", "Members"), "vocabulary/layers/test_members.py"),
        "MinMaxScaling": "vocabulary/layers/test_scaling.py",
        "WindowScaling": "vocabulary/layers/test_scaling.py",
        **dict.fromkeys(
            ("PiecewiseLinear", "RobustScaling", "SmoothClip"),
            "vocabulary/layers/test_embedded_numbers.py",
        ),
        "Onnx": "vocabulary/onnx_files/test_layer.py",
        "Parameter": "vocabulary/layers/test_tensors.py",
        "PositionEmbedding": "vocabulary/layers/test_positions.py",
        "QuantileSteps": "vocabulary/layers/test_quantile_steps.py",
        **dict.fromkeys(
            (
                "ClassToken",
                "RelativePositionBias",
                "RotaryEmbedding",
                "SinePositionEncoding",
                "TokenAndPositionEmbedding",
            ),
            "vocabulary/layers/test_positions.py",
        ),
        "DotInteraction": "vocabulary/layers/test_einsum.py",
        "Formula": "language/test_formulas.py",
        **dict.fromkeys(("GRUCell", "LSTMCell", "SimpleRNNCell"), "language/test_loops.py"),
        "ops.associative_scan": "vocabulary/operations/test_more.py",
        **dict.fromkeys(
            ("GatherNodes", "SegmentMax", "SegmentMean", "SegmentSoftmax", "SegmentSum"),
            "vocabulary/layers/test_merging.py",
        ),
        **dict.fromkeys(("DepthToSpace", "Patches", "SpaceToDepth"), "vocabulary/layers/test_reshaping.py"),
        **dict.fromkeys(("LayerScale", "StochasticDepth"), "vocabulary/layers/test_regularization.py"),
        "RandomNormal": "vocabulary/layers/test_regularization.py",
        "Whitening": "vocabulary/layers/test_whitening.py",
        "RandomUniform": "vocabulary/layers/test_regularization.py",
        "Sampling": "vocabulary/layers/test_regularization.py",
        "StopGradient": "vocabulary/layers/test_regularization.py",
        "ops.broadcast_to": "vocabulary/operations/test_numpy.py",
        **dict.fromkeys(
            (
                *(
                    "ops.conv",
                    "ops.conv_transpose",
                    "ops.depthwise_conv",
                    "ops.separable_conv",
                    "ops.heaviside",
                    "ops.select",
                ),
                *("ops.segment_max", "ops.segment_min", "ops.segment_sum", "ops.slice"),
            ),
            "vocabulary/operations/test_more.py",
        ),
        **dict.fromkeys(("ops.digamma", "ops.lgamma"), "vocabulary/operations/test_gamma.py"),
        "ops.cast": "vocabulary/operations/test_numpy.py",
        "ops.vdot": "vocabulary/operations/test_numpy.py",
    },
    "schedule": dict.fromkeys(("LinearWarmup", "Noam", "OneCycle", "Sequential"), "graph/test_schedules.py"),
    "metric": {
        "AccuracyOfLoss": "vocabulary/metrics/test_accuracy.py",
        "CharacterErrorRate": "vocabulary/metrics/test_sequences.py",
        "Concordance": "vocabulary/metrics/test_survival.py",
        "ConfusionMatrix": "vocabulary/metrics/test_matrix.py",
        "CrossentropyOfLoss": "vocabulary/metrics/test_crossentropy.py",
        "EditDistance": "vocabulary/metrics/test_sequences.py",
        "SymmetricMeanAbsolutePercentageError": "vocabulary/metrics/test_forecasts.py",
        "SpanF1": "vocabulary/metrics/test_spans.py",
        "WeightedQuantileLoss": "vocabulary/metrics/test_forecasts.py",
        "WordErrorRate": "vocabulary/metrics/test_sequences.py",
    },
}
"""What Keras does not have, has by another name or computes by another hash, and the file with tests against NumPy."""


@dataclass
class Case:
    """One golden case: `args` holds `spec` or the object's arguments; `arrays` are by kind, or by kind and name.

    `case["loss"]` is an array, `case["weights"]` a dict by name (empty where the case has none of that kind).
    """

    id: str
    args: dict[str, Any]
    arrays: dict[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.args["spec"]
        return spec

    def __getitem__(self, kind: str) -> Any:
        return self.arrays.get(kind, {})

    def __contains__(self, kind: str) -> bool:
        return kind in self.arrays


def load_texts() -> dict[str, Any]:
    """The cases of layers of texts, and the data that they learn from; `make_texts.py` writes them."""
    loaded: dict[str, Any] = json.loads((GOLDEN / "texts.json").read_text(encoding="utf-8"))
    return loaded


def load(section: str) -> list[Case]:
    """Cases of losses, metrics, models, optimizers, initializers, ctc or `layers_<family>`, in the order of the file."""
    cases = {key: Case(key, args) for key, args in json.loads((GOLDEN / f"{section}.json").read_text()).items()}
    path = GOLDEN / f"{section}.safetensors"
    arrays: dict[str, np.ndarray] = load_file(path) if path.exists() else {}
    for key, array in sorted(arrays.items()):
        case, kind, *name = key.split("/", 2)
        if name:
            cases[case].arrays.setdefault(kind, {})[name[0]] = array
        else:
            cases[case].arrays[kind] = array
    return list(cases.values())


def load_layers() -> list[Case]:
    """The cases of all families of layers."""
    return [case for path in sorted(GOLDEN.glob("layers_*.json")) for case in load(path.stem)]


def mentions(value: Any) -> Iterator[tuple[str, str]]:
    """Every name in a spec that stands where an object may, with what it was given as."""
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield value["type"], repr(sorted((k, repr(v)) for k, v in value.items() if k not in ("name", "inputs")))
        for item in value.values():
            yield from mentions(item)
    elif isinstance(value, list):
        for item in value:
            yield from mentions(item)
    elif isinstance(value, str):
        yield value, value
