"""Layers of Keras that are known and not to be had here: why, and what to use instead."""

from __future__ import annotations

_INPUT = ("inputs of the graph are no nodes", "declare it under `inputs`: `inputs: {x: {shape: [4]}}`")
_LEARNT = "layers that learn a vocabulary from text are not available yet"
_SOUND = ("spectrograms are not available yet", "compute them before, and feed them as an input")
_TEXT = (_LEARNT, "turn text into ids before, and feed integers to Embedding or CategoryEncoding")
_COLOUR = (
    "augmentations of colour other than brightness and contrast are not available yet",
    "use RandomBrightness and RandomContrast, or augment the images before",
)
_BENT = (
    "images are not bent in training yet",
    "use RandomRotation, RandomTranslation and RandomZoom, or augment the images before",
)
_MIXED = (
    "it mixes rows with their targets, and a layer sees no targets",
    "mix rows before, and feed targets as shares: categorical_crossentropy takes them",
)
_CHOSEN = (
    "no augmentation is drawn from a list",
    "write those that you want as nodes: RandomFlip, RandomRotation, RandomContrast, …",
)
_NESTED = (
    "a model is no layer: all nodes are one graph",
    "write its layers as nodes, or as a block where it is repeated",
)
_LOCAL = ("weights of their own for every place are not available", "use Conv1D or Conv2D, which share them")

REFUSED = {
    "Input": _INPUT,
    "InputLayer": _INPUT,
    "Lambda": (
        "a spec holds no code",
        "write the formula with layers such as Rescaling, Add, Multiply, Activation, Reshape",
    ),
    "Layer": ("it is the base of all layers and does nothing", "use Identity"),
    "Wrapper": (
        "it is the base of layers around another and does nothing",
        "use TimeDistributed, Bidirectional or SpectralNormalization",
    ),
    "InputSpec": ("it says in code what a layer takes", "declare inputs under `inputs`: `inputs: {x: {shape: [4]}}`"),
    "Pipeline": ("it is a list of layers", "write them as nodes, or as a block where they are repeated"),
    **dict.fromkeys(("Sequential", "Functional", "Model"), _NESTED),
    "ReversibleEmbedding": (
        "an embedding that is its own way back is not available yet",
        "use Embedding, and Dense with as many units for the way back: each has a table of its own",
    ),
    "TernaryDense": ("weights of -1, 0 and 1 are not available", "use Dense"),
    "LocallyConnected1D": _LOCAL,
    "LocallyConnected2D": _LOCAL,
    "ThresholdedReLU": (
        "Keras 3 has it no more",
        "use `{type: ReLU, threshold: …}`, which gives the same",
    ),
    "CuDNNLSTM": ("Keras 3 has it no more", "use LSTM"),
    "CuDNNGRU": ("Keras 3 has it no more", "use GRU"),
    "SyncBatchNormalization": ("Keras 3 has it no more", "use BatchNormalization: workers share its statistics"),
    **dict.fromkeys(
        (
            *("RandomHue", "RandomSaturation", "RandomColorJitter", "RandomColorDegeneration", "RandomGrayscale"),
            *("RandomInvert", "RandomPosterization", "RandomSharpness", "Solarization", "AutoContrast", "Equalization"),
            "ContrastLimitedAdaptiveHistogramEqualization",
        ),
        _COLOUR,
    ),
    **dict.fromkeys(("RandomShear", "RandomPerspective", "RandomElasticTransform"), _BENT),
    "RandomGaussianBlur": (
        "images are not blurred in training yet",
        "use GaussianNoise against overfitting, or augment the images before",
    ),
    "RandomErasing": (
        "patches of images are not erased in training yet",
        "use Dropout or SpatialDropout2D, or augment the images before",
    ),
    **dict.fromkeys(("RandomHeight", "RandomWidth"), ("Keras 3 has it no more", "use RandomZoom")),
    "MixUp": _MIXED,
    "CutMix": _MIXED,
    "AugMix": _CHOSEN,
    "RandAugment": _CHOSEN,
    "MaxNumBoundingBoxes": ("a spec has no bounding boxes", "pad them before, and feed them as an input of fixed size"),
    "StringLookup": _TEXT,
    "IntegerLookup": (_LEARNT, "number the integers from 0 before, and feed them to Embedding or CategoryEncoding"),
    "TextVectorization": _TEXT,
    "Hashing": ("hashing is not available yet", "hash before, and feed integers to Embedding or CategoryEncoding"),
    "HashedCrossing": ("hashing is not available yet", "cross and hash before, and feed integers to CategoryEncoding"),
    "MelSpectrogram": _SOUND,
    "STFTSpectrogram": _SOUND,
    "TorchModuleWrapper": ("a spec holds no code", "write the module's layers as nodes"),
    "TFSMLayer": ("a spec holds no code", "write the model's layers as nodes"),
    "JaxLayer": ("a spec holds no code", "write the function as layers"),
    "FlaxLayer": ("a spec holds no code", "write the module's layers as nodes"),
    **{
        cell: (
            "it is a cell, one step of a recurrence, not a layer",
            f"wrap it: `{{type: RNN, cell: {{type: {cell}, …}}}}`",
        )
        for cell in ("SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells")
    },
}
REFUSED_CELLS = {
    layer: (f"it is a layer of its own, whose cell is {layer}Cell", f"write `type: {layer}Cell`")
    for layer in ("SimpleRNN", "GRU", "LSTM")
}
