"""The vocabulary of layers, by family; `keras_names.json` has the names of operations, and those that a spec cannot have."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from graphspec.vocabulary.layers.layer import CELLS, LAYERS, Layer

# Of a family its names, of what is refused rows of names, reason and replacement.
_WORDS = json.loads(Path(__file__).with_name("keras_names.json").read_text(encoding="utf-8"))


def _name(name: str) -> str:
    return name if name[0].isupper() else f"ops.{name}"


def _refused(section: str) -> dict[str, tuple[str, str]]:
    return {
        name: (reason.replace("<name>", name), hint.replace("<name>", name))
        for names, reason, hint in _WORDS[section]
        for name in names.split()
    }


LAYERS.found_in(
    __name__,
    {
        "activation": "Activation ReLU LeakyReLU ELU PReLU Softmax QuantileSteps",
        "pooling/adaptive": """
            AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D
            AdaptiveMaxPooling2D AdaptiveMaxPooling3D
        """,
        "regularization": """
            Dropout AlphaDropout GaussianDropout GaussianNoise SpatialDropout1D SpatialDropout2D SpatialDropout3D
            ActivityRegularization StochasticDepth DropPath Sampling RandomNormal RandomUniform GumbelSoftmax
            StopGradient
        """,
        "attention": "Attention AdditiveAttention",
        "images/image": "Resizing CenterCrop",
        "images/augmentation": """
            RandomFlip RandomRotation RandomTranslation RandomZoom RandomContrast RandomBrightness RandomCrop FlipMean
            MixUp CutMix
        """,
        "resizing/padding": """
            ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D
            UpSampling1D UpSampling2D UpSampling3D
        """,
        "convolution": "Conv1D Convolution1D Conv2D Convolution2D Conv3D Convolution3D Whitening",
        "recurrent": "SimpleRNN GRU LSTM RNN",
        "cells/recurrent": "SimpleRNNCell GRUCell LSTMCell",
        "conv_lstm": "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
        "core": "Dense ArcFace CRF Members MemberDense Embedding ReversibleEmbedding Identity Masking Rescaling",
        "dates": "DateParts",
        "convolution/depthwise": """
            DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConvolution1D
            SeparableConv2D SeparableConvolution2D
        """,
        "tensors/einsum": "EinsumDense DotInteraction",
        "columns/discretization": "Discretization",
        "columns/missing": "Impute",
        "indexed/preprocessing": "CategoryEncoding",
        "columns/scaling": """
            Normalization MinMaxScaling Log1p SmoothClip WindowScaling RobustScaling
            PiecewiseLinear
        """,
        "vocabularies/lookup": "StringLookup IntegerLookup",
        "vocabularies/hashing": "Hashing HashedCrossing",
        "text": "TextVectorization",
        "merging": """
            Add Subtract Multiply Average Maximum Minimum Concatenate Dot
            GatherNodes SegmentSum SegmentMean SegmentMax SegmentSoftmax
        """,
        "attention/multi_head": "MultiHeadAttention GroupQueryAttention",
        "normalization": """
            BatchNormalization LayerNormalization GroupNormalization RMSNormalization UnitNormalization LayerScale
        """,
        "positions": """
            PositionEmbedding TokenAndPositionEmbedding SinePositionEncoding RotaryEmbedding ClassToken
            RelativePositionBias
        """,
        "pooling": """
            MaxPooling1D MaxPool1D MaxPooling2D MaxPool2D MaxPooling3D MaxPool3D AveragePooling1D AvgPool1D
            AveragePooling2D AvgPool2D AveragePooling3D AvgPool3D GlobalMaxPooling1D GlobalMaxPool1D
            GlobalMaxPooling2D GlobalMaxPool2D GlobalMaxPooling3D GlobalMaxPool3D
            GlobalAveragePooling1D GlobalAvgPool1D GlobalAveragePooling2D GlobalAvgPool2D
            GlobalAveragePooling3D GlobalAvgPool3D
        """,
        "reshaping": "Flatten Reshape Permute RepeatVector Patches SpaceToDepth DepthToSpace",
        "sound": "STFTSpectrogram MelSpectrogram",
        "normalization/spectral": "SpectralNormalization",
        "tensors": "Parameter Constant",
        "formula": "Formula",
        "convolution/transposed": """
            Conv1DTranspose Convolution1DTranspose Conv2DTranspose Convolution2DTranspose
            Conv3DTranspose Convolution3DTranspose
        """,
        "recurrent/wrappers": "Bidirectional TimeDistributed",
    },
)
OPERATIONS: dict[str, str] = {key: " ".join(map(_name, names.split())) for key, names in _WORDS["operations"].items()}
LAYERS.found_in("graphspec.vocabulary.operations", OPERATIONS)
LAYERS.found_in("graphspec.vocabulary.onnx_files", {"layer": "Onnx"})
LAYERS.made_by("graphspec.vocabulary.operations.onnx_operators", "onnx")
LAYERS.made_by("graphspec.vocabulary.layers.loop", "loop")
CELLS.found_in(__name__, {"cells": "SimpleRNNCell GRUCell LSTMCell StackedRNNCells"})

LAYERS.refused |= _refused("refused_layers")
LAYERS.refused |= {_name(name): reason for name, reason in _refused("refused_operations").items()}
CELLS.refused |= _refused("refused_cells")


__all__ = ["CELLS", "LAYERS", "Layer"]
__all__ += LAYERS.public() + CELLS.public()
__dir__ = partial(sorted, __all__)


def __getattr__(name: str) -> Any:
    """Import a class when it is first used."""
    return (CELLS if name in CELLS.names() else LAYERS).attribute(__name__, name)
