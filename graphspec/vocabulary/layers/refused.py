"""Layers of Keras that graphspec does not support: why, and what to use instead."""

from __future__ import annotations

_INPUT = ("inputs of the graph are not nodes", "declare it under `inputs`: `inputs: {x: {shape: [4]}}`")
_COLOUR = (
    "colour augmentations other than brightness and contrast are not available yet",
    "use RandomBrightness and RandomContrast, or augment the images beforehand",
)
_DISTORTED = (
    "distortions of images are not available yet",
    "use RandomRotation, RandomTranslation and RandomZoom, or augment the images beforehand",
)
_MIXED = (
    "it mixes rows and their targets, but a layer has no access to targets",
    "mix rows beforehand, and feed targets as probabilities: categorical_crossentropy accepts them",
)
_RANDOM_CHOICE = (
    "a random choice from a list of augmentations is not available",
    "add the augmentations as nodes: RandomFlip, RandomRotation, RandomContrast, …",
)
_NESTED = (
    "a model is not a layer: all nodes are one graph",
    "write its layers as nodes, or as a block if it is repeated",
)
_LOCAL = ("separate weights for every position are not available", "use Conv1D or Conv2D, which share them")

REFUSED = {
    "Input": _INPUT,
    "InputLayer": _INPUT,
    "Lambda": (
        "a spec contains no code",
        "write the formula with layers such as Rescaling, Add, Multiply, Activation, Reshape",
    ),
    "Layer": ("it is the base of all layers and does nothing", "use Identity"),
    "Wrapper": (
        "it is the base of layers that wrap another one and does nothing",
        "use TimeDistributed, Bidirectional or SpectralNormalization",
    ),
    "InputSpec": (
        "it declares in code the inputs of a layer",
        "declare inputs under `inputs`: `inputs: {x: {shape: [4]}}`",
    ),
    "Pipeline": ("it is a list of layers", "write them as nodes, or as a block if they are repeated"),
    **dict.fromkeys(("Sequential", "Functional", "Model"), _NESTED),
    "TernaryDense": ("weights of -1, 0 and 1 are not available", "use Dense"),
    "LocallyConnected1D": _LOCAL,
    "LocallyConnected2D": _LOCAL,
    "ThresholdedReLU": (
        "Keras 3 has removed it",
        "use `{type: ReLU, threshold: …}`, which computes the same",
    ),
    "CuDNNLSTM": ("Keras 3 has removed it", "use LSTM"),
    "CuDNNGRU": ("Keras 3 has removed it", "use GRU"),
    "SyncBatchNormalization": ("Keras 3 has removed it", "use BatchNormalization: workers share its statistics"),
    **dict.fromkeys(
        (
            *("RandomHue", "RandomSaturation", "RandomColorJitter", "RandomColorDegeneration", "RandomGrayscale"),
            *("RandomInvert", "RandomPosterization", "RandomSharpness", "Solarization", "AutoContrast", "Equalization"),
            "ContrastLimitedAdaptiveHistogramEqualization",
        ),
        _COLOUR,
    ),
    **dict.fromkeys(("RandomShear", "RandomPerspective", "RandomElasticTransform"), _DISTORTED),
    "RandomGaussianBlur": (
        "blurring of images is not available yet",
        "use GaussianNoise against overfitting, or augment the images beforehand",
    ),
    "RandomErasing": (
        "erasing of image patches is not available yet",
        "use Dropout or SpatialDropout2D, or augment the images beforehand",
    ),
    **dict.fromkeys(("RandomHeight", "RandomWidth"), ("Keras 3 has removed it", "use RandomZoom")),
    "MixUp": _MIXED,
    "CutMix": _MIXED,
    "AugMix": _RANDOM_CHOICE,
    "RandAugment": _RANDOM_CHOICE,
    "MaxNumBoundingBoxes": (
        "a spec has no bounding boxes",
        "pad them beforehand, and feed them as an input of fixed size",
    ),
    "TorchModuleWrapper": ("a spec contains no code", "write the module's layers as nodes"),
    "TFSMLayer": ("a spec contains no code", "write the model's layers as nodes"),
    "JaxLayer": ("a spec contains no code", "write the function as layers"),
    "FlaxLayer": ("a spec contains no code", "write the module's layers as nodes"),
    **{
        cell: (
            "it is a cell, one step of a recurrence, not a layer",
            f"wrap it: `{{type: RNN, cell: {{type: {cell}, …}}}}`",
        )
        for cell in ("SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells")
    },
}
REFUSED_CELLS = {
    layer: (f"it is a layer; its cell is {layer}Cell", f"write `type: {layer}Cell`")
    for layer in ("SimpleRNN", "GRU", "LSTM")
}
