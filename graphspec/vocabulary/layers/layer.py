"""The base of the layers: Keras's arguments as fields, and a lowering to ONNX operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from graphspec.base.config import ANY_VALUE, Config, Neutral, Registry, described, only, setting
from graphspec.graph.constraints import CONSTRAINTS
from graphspec.graph.constraints import Constraint as ConstraintConfig
from graphspec.graph.initializers import INITIALIZERS, Initializer
from graphspec.graph.regularizers import REGULARIZERS, Regularizer
from graphspec.vocabulary import Builder, ShapeError, Value, not_fixed, show, wrong_dtype, wrong_rank
from graphspec.vocabulary.activations import ACTIVATIONS, Activation

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Layout
    from graphspec.vocabulary.layers.learners import Learner

Outputs = Value | tuple[Value, ...]  # what a layer returns: its output, or several
Number = int | float | list[int] | list[float] | list[int | float]  # one number, or several, in place of an input


def _reference(kind: str, *, optional: bool = False) -> WithJsonSchema:
    schema: dict[str, Any] = {"x-kind": kind}  # `language/schema.py` resolves the reference
    return WithJsonSchema({"anyOf": [schema, {"type": "null"}]} if optional else schema)


ActivationField = Annotated[  # an activation by name or mapping, or null
    Activation | None, BeforeValidator(ACTIVATIONS.parse), _reference("activation", optional=True)
]
InitializerField = Annotated[Initializer, BeforeValidator(INITIALIZERS.parse), _reference("initializer")]
RegularizerField = Annotated[
    Regularizer | None, BeforeValidator(REGULARIZERS.parse), _reference("regularizer", optional=True)
]


Constraint = Annotated[  # a constraint by name or mapping, or null
    ConstraintConfig | None,
    BeforeValidator(CONSTRAINTS.parse),
    _reference("constraint", optional=True),
    described("The constraint on the weight, applied after every step."),
]


def refused(reason: str, description: str, allowed: Any = False, hint: str = "leave it out") -> tuple[Any, ...]:
    """Return the validator and the description of an argument of Keras that accepts one value only."""
    return AfterValidator(only(allowed, reason, hint)), described(description)


_KEPT = "a stateful layer depends on earlier batches, which the exported graph cannot store"
Stateful = Annotated[bool, *refused(_KEPT, "Refused: the exported graph stores nothing between batches.")]
NoEffect = Annotated[Any, described("Accepted for compatibility; has no effect.")]
Seed = Annotated[int | None, described("The seed of this layer's random numbers.")]


def default_initializer(name: str) -> Any:
    """Return the default of an initializer field. It is a name: the JSON Schema can show it."""
    return setting(name, "The initial values of the weight.", validate_default=True)


NEUTRAL = {  # keys that Keras's configuration of any layer may contain
    "dtype": ANY_VALUE,
    "autocast": Neutral((None, True, False), "it must be true or false"),
    "name": ANY_VALUE,
    "trainable": Neutral(
        (True,), "a layer inside another one is frozen with it", "set `trainable: false` on the outer layer, the node"
    ),
    "activity_regularizer": Neutral(
        (None,),
        "this layer has no penalty on its output",
        "add `{type: ActivityRegularization, l2: …}` after it: the same penalty",
    ),
    "quantization_config": Neutral((None,), "weights are not quantized: training and export are in float32"),
    "lora_rank": Neutral((None,), "low-rank adaptation is not available"),
    "lora_alpha": Neutral((None,), "low-rank adaptation is not available"),
}


class Layer(Config):
    """Base of the layers.

    A subclass has Keras's name, Keras's arguments with Keras's defaults as fields, and :meth:`lower`.
    """

    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """The minimum and maximum number of inputs (None: no maximum)."""
    supports_masking: ClassVar[bool] = False
    """True if the output has the mask of the input, as Keras's ``supports_masking``."""
    handles_mask: ClassVar[bool] = False
    """True if ``lower`` sets the mask of every output itself (recurrent layers, pooling over time, merging)."""
    zeroes_masked: ClassVar[bool] = False
    """True if masked steps of the output are 0."""
    pads_with_zeros: ClassVar[bool] = False
    """True if what lies beyond the ends of the input counts as 0, unless ``padding`` is ``valid`` (convolutions)."""
    penalizes_itself: ClassVar[bool] = False
    """True if ``lower`` applies ``activity_regularizer`` itself, to values other than the outputs."""
    call_arguments: ClassVar[tuple[str, ...]] = ()
    """Keras's call arguments that name other nodes (``initial_state``): keys of the node, passed as ``calls``."""
    call_options: ClassVar[tuple[str, ...]] = ()
    """Keras's call arguments that are true or false (``reverse``): keys of the node, also of one with ``share``."""
    own_keys: ClassVar[tuple[str, ...]] = ()
    """Keys that any node has and that are arguments of this layer, with a meaning of their own (``trainable``)."""
    pairs_with_itself: ClassVar[bool] = False
    """True if two inputs are often the same node (attention)."""
    broadcasts_rows: ClassVar[bool] = False
    """True if an input of one row fits inputs of many rows: one without a batch axis is then not repeated for each row."""
    takes_values_as_they_are: ClassVar[bool] = False
    """True if ``lower`` gets inputs without a batch axis as they are. All other layers see them as a batch of one row."""
    takes_missing: ClassVar[bool] = False
    """True if NaN in its input stands for a missing number, which the layer handles."""
    takes_numbers: ClassVar[bool] = False
    """True if numbers and lists of numbers may stand among its inputs (operations, merging)."""
    takes_absent: ClassVar[bool] = False
    """True if null may stand for an optional input."""
    takes_strings: ClassVar[bool] = False
    """True if the layer takes texts. All others take numbers only."""
    gathers_steps: ClassVar[bool] = False
    """True if masked steps of many rows are gathered at once: operators along the batch then keep the rows apart."""
    learnt_arguments: ClassVar[tuple[str, ...]] = ()
    """The arguments that the layer learns from the training rows if the spec does not set them (``vocabulary``)."""
    same_by_default: ClassVar[Mapping[str, str]] = {}
    """Arguments whose default, null, stands for the value of another argument."""
    neutral: ClassVar[Mapping[str, Neutral]] = NEUTRAL

    def lower(self, g: Builder, *inputs: Any, **calls: Any) -> Outputs:
        """Emit operators for ``inputs`` (values) and return the output, or a tuple of outputs.

        Args:
            calls: the ``call_arguments`` that the node sets, a list of values each.

        Raises:
            ShapeError: the inputs or arguments cannot work. The caller adds the node, its position and its inputs' shapes.
        """
        raise NotImplementedError

    def number(self, g: Builder, value: Number, index: int, others: Sequence[Value]) -> Value:
        """Return the constant for a number, or a list of numbers, that is written in place of the input ``index``.

        An integer has the dtype of the first of the ``others``.
        """
        dtypes = [X.dtype for X in others]
        if "float32" in dtypes or np.asarray(value).dtype.kind == "f":
            return g.constant(value, "float32")
        return g.constant(value, next((dtype for dtype in dtypes if dtype != "bool"), "int64"))

    @property
    def gaps_allowed(self) -> bool:
        """True if the layer handles missing values of its input: NaN, or in int64 the smallest integer."""
        return self.takes_missing

    @property
    def learns(self) -> bool:
        """True if the layer must first learn from the training rows what the spec does not set."""
        return any(getattr(self, argument) is None for argument in self.learnt_arguments[:1])

    def learning_input(self, g: Builder, X: Value) -> Value:
        """Emit the values that the layer learns from; by default they are its input."""
        return X

    def learner(self, X: Value) -> Learner:
        """Return the learner of a layer that :attr:`learns`, for a learning input of this type."""
        raise NotImplementedError

    def with_learnt(self, state: Mapping[str, Any]) -> Self:
        """Return the layer with the arguments that it has learnt, which may come from a file; ValueError if one is wrong."""
        if unknown := sorted(state.keys() - set(self.learnt_arguments)):
            raise ValueError(f"{type(self).__name__} does not learn {', '.join(unknown)}")
        written = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).model_validate(written | dict(state))

    @property
    def mixes_rows(self) -> bool:
        """True if the rows of a batch influence each other in training."""
        return False

    def weight(
        self,
        g: Builder,
        role: str,
        shape: Sequence[int],
        *,
        layout: Layout | None = None,
        initializer: Initializer | None = None,
        state: bool = False,
        prefix: str | None = None,
    ) -> Value:
        """Create the parameter ``role`` with the initializer, regularizer and constraint of Keras's arguments.

        ``recurrent_kernel`` uses ``recurrent_initializer``, ``gamma`` uses ``gamma_initializer``, and so on.

        Args:
            state: True for a weight that is not trained, such as a moving mean.
            prefix: the prefix of the arguments, if it is not the role's name; "" for arguments without one.
        """
        prefix = f"{role.removesuffix('_kernel')}_" if prefix is None else f"{prefix}_" * bool(prefix)
        start: Initializer = (initializer or getattr(self, f"{prefix}initializer")).located(g.folder)
        penalty, constraint = (getattr(self, f"{prefix}{what}", None) for what in ("regularizer", "constraint"))
        for argument, value in (("initializer", start), ("regularizer", penalty), ("constraint", constraint)):
            try:
                if value is not None:
                    value.check(tuple(shape))
            except ShapeError as error:
                text = f"has the {argument} {type(value).__name__}, which {error.problem.message}"
                raise error.changed(message=text, key=f"{prefix}{argument}") from None
        return g.param(role, shape, start, layout=layout, regularizer=penalty, constraint=constraint, state=state)


LAYERS: Registry[Layer] = Registry("layer", "Dense")  # all layers by name
CELLS: Registry[Layer] = Registry("cell", "LSTMCell")  # the cells of RNN by name

LayerField = Annotated[Layer, BeforeValidator(LAYERS.parse), _reference("layer")]
"""A layer inside another layer, by name or mapping."""


def cast_to(g: Builder, X: Value, dtype: str) -> Value:
    """Return the numbers ``X`` cast to ``dtype``; ``X`` itself if it has that dtype. Texts are refused (GS306)."""
    if X.type.is_string:
        text = f"needs numbers, got {X.type}"
        raise wrong_dtype(text, "convert the texts to ids first, with StringLookup, TextVectorization or Hashing")
    return X if X.dtype == dtype else g.Cast(X, to=dtype).with_mask(X.mask)


def as_float(g: Builder, X: Value) -> Value:
    """Return integers and bools as float32, as Keras promotes them."""
    return cast_to(g, X, "float32")


def positions(g: Builder, length: Value) -> Value:
    """Emit 0, 1, 2, … (length,) as int64 for a size of shape (1,)."""
    return g.Range(g.constant(0), g.Squeeze(length, g.constant([0])), g.constant(1))


def need_rank(X: Value, minimum: int, maximum: int | None, axes: str, hint: str | None = None) -> None:
    """Raise GS301 unless the rank is within bounds; ``axes`` names the axes: ``"(batch, time, features)"``."""
    if X.rank < minimum or (maximum is not None and X.rank > maximum):
        rank = f"rank-{minimum}" if minimum == maximum else f"at least rank-{minimum}"
        raise wrong_rank(f"needs {rank} data {axes}, got {show(X.shape)}", hint)


def number_of_ids(ids: Value, key: str) -> int:
    """Return how many ids there are from 0 to the largest that ``ids`` may contain: a learnt size if it is to be learnt.

    Without a limit, GS305 says that the argument ``key`` sets the number.
    """
    from graphspec.graph.analysis import Ranges
    from graphspec.graph.ir.ranges import of_dtype

    possible = ids.range or Ranges({}).of(ids)
    if not possible.finite or of_dtype(ids.dtype).within(possible):
        text = f"needs `{key}`: its input, {ids.type}, is not known to be limited"
        hint = (
            f"set `{key}`, or feed it ids of StringLookup, IntegerLookup, TextVectorization, Hashing or Discretization"
        )
        raise not_fixed(text, hint, key=key)
    return possible.high + 1  # type: ignore[return-value]
