"""Layers of Keras that are known and not to be had here: why, and what to use instead."""

from __future__ import annotations

_INPUT = ("inputs of the graph are no nodes", "declare it under `inputs`: `inputs: {x: {shape: [4]}}`")
_LEARNT = "layers that learn a vocabulary from text are not available yet"
_SOUND = ("spectrograms are not available yet", "compute them before, and feed them as an input")
_TEXT = (_LEARNT, "turn text into ids before, and feed integers to Embedding or CategoryEncoding")

REFUSED = {
    "Input": _INPUT,
    "InputLayer": _INPUT,
    "Lambda": (
        "a spec holds no code",
        "write the formula with layers such as Rescaling, Add, Multiply, Activation, Reshape",
    ),
    "Layer": ("it is the base of all layers and does nothing", "use Identity"),
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
