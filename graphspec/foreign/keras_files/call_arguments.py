"""The arguments of a layer's call as the ``inputs`` and the keys of a node."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from graphspec.foreign.keras_files.masks import MASK_KEYS
from graphspec.foreign.keras_files.model_def import Call, LayerDef, Ref, refs_in
from graphspec.foreign.keras_files.values import Notes, constant
from graphspec.vocabulary.layers.base import Layer

_ATTENTION = (
    *("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask"),
    *("return_attention_scores", "training", "use_causal_mask"),
)
_RECURRENT = ("sequences", "initial_state", "mask", "training")
_POSITIONS = {
    "MultiHeadAttention": _ATTENTION,
    "GroupQueryAttention": _ATTENTION,
    "Attention": ("inputs", "mask", "training", "return_attention_scores", "use_causal_mask"),
    "AdditiveAttention": ("inputs", "mask", "training", "return_attention_scores", "use_causal_mask"),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional"), _RECURRENT),
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), _RECURRENT),
    "ReversibleEmbedding": ("inputs", "reverse"),
    "BatchNormalization": ("inputs", "training", "mask"),
}
_INPUTS = ("inputs", "sequences", "query", "value", "key", "input", "x", "images", "data", "sequence")
"""The parameters of Keras's ``call`` that are inputs of a node."""


class CallReader:
    """Reads one call.

    Args:
        text: the name of a tensor in the spec.
        masks: the operations whose results a spec infers again.
    """

    def __init__(
        self,
        layer: LayerDef,
        cls: type[Layer],
        call: Call,
        text: Callable[[Ref], str],
        masks: Iterable[str],
        notes: Notes,
    ) -> None:
        self._layer, self._cls, self._text, self._masks, self._notes = layer, cls, text, set(masks), notes
        names = _POSITIONS.get(cls.__name__, ("inputs", "training"))
        self._given: dict[str, Any] = {}
        for k, value in enumerate(call.args):
            self._given[names[k] if k < len(names) else f"argument {k}"] = value
        self._given |= call.kwargs
        training = self._given.pop("training", None)
        self.training: bool | None = training if isinstance(training, bool) else None
        if not call.is_old and self.training is not None:
            if cls.__name__ == "BatchNormalization":
                notes.say(
                    f"'{layer.name}' is called with `training={self.training}`, which Keras 3's `fit` ignores, as the "
                    "spec does: `trainable: false` keeps its statistics"
                )
            self.training = None

    def inputs(self) -> list[Any]:
        """Return the names of the node's inputs, in order, and constants where the layer takes them."""
        values = [item for key in _INPUTS if key in self._given for item in _flat(self._given[key])]
        if any(not isinstance(item, Ref) for item in values):
            if self._cls.takes_numbers:
                return [self._text(item) if isinstance(item, Ref) else constant(item) for item in values]
            text = f"'{self._layer.name}' is called with numbers, not only with tensors of the network"
            self._notes.problems.unsupported(self._layer.place, text, "use `keras.ops` for sums with numbers")
        found = [item for item in values if isinstance(item, Ref)]
        if self._cls.__name__ in _POSITIONS and "sequences" in _POSITIONS[self._cls.__name__] and len(found) > 1:
            self._given["initial_state"] = found[1:]  # Keras 2 writes the states behind the sequence
            found = found[:1]
        if not found:
            self._notes.problems.invalid(self._layer.place, f"a call of '{self._layer.name}' has no input")
        names = [self._text(ref) for ref in found]
        if self._is_attention() and len(names) == 3 and names[1] == names[2]:
            names.pop()  # the key is the value
        return names

    def options(self) -> dict[str, Any]:
        """Return the call's other arguments as keys of the node."""
        found = {}
        for key, value in self._given.items():
            if key in _INPUTS or value is None or value is False or value == {} or _is_nothing(value):
                continue
            refs = list(refs_in(value))
            if key in MASK_KEYS and all(ref.layer in self._masks for ref in refs):
                continue
            kept = self._option(key, value, refs)
            if kept is None:
                text = f"'{self._layer.name}' is called with `{key}`, which {self._cls.__name__} of a spec cannot have"
                hint = (
                    "a mask comes from Embedding with `mask_zero` or from Masking" if "mask" in key else "leave it out"
                )
                self._notes.problems.unsupported(self._layer.place, text, f"{hint}, and save the model again")
            else:
                found[key] = kept
        return found

    def _option(self, key: str, value: Any, refs: list[Ref]) -> Any:
        if key in self._cls.call_arguments and refs:
            names = [self._text(ref) for ref in refs]
            return names[0] if len(names) == 1 and key not in ("initial_state", "mask") else names
        if (key in self._cls.call_options or key in self._cls.model_fields) and not refs:
            return value
        return None

    def _is_attention(self) -> bool:
        return self._cls.__name__ in ("MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention")


def _flat(value: Any) -> list[Any]:
    """Return the tensors and the constants of an argument."""
    if isinstance(value, list | tuple) and any(True for _ in refs_in(value)):
        return [item for part in value for item in _flat(part)]
    if isinstance(value, dict) and "class_name" not in value:
        return [item for key in sorted(value) for item in _flat(value[key])]
    return [] if value is None else [value]


def _is_nothing(value: Any) -> bool:
    return isinstance(value, list) and all(item is None for item in value)
