"""What a layer is: Keras's arguments as fields, and a lowering to ONNX operators. Nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from graphspec.activations import ACTIVATIONS, Activation
from graphspec.codes import Code
from graphspec.config import WHATEVER, Config, Neutral, Registry, only
from graphspec.constraints import CONSTRAINTS
from graphspec.constraints import Constraint as ConstraintConfig
from graphspec.errors import ShapeError
from graphspec.initializers import INITIALIZERS, Initializer
from graphspec.ir.dims import show
from graphspec.regularizers import REGULARIZERS, Regularizer

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Layout, Value

T = TypeVar("T")


def _reference(kind: str, *, optional: bool = False) -> WithJsonSchema:
    schema: dict[str, Any] = {"x-kind": kind}  # `spec/schema.py` makes the reference
    return WithJsonSchema({"anyOf": [schema, {"type": "null"}]} if optional else schema)


ActivationField = Annotated[
    Activation | None, BeforeValidator(ACTIVATIONS.parse), _reference("activation", optional=True)
]
"""An activation by name or mapping, or null."""
InitializerField = Annotated[Initializer, BeforeValidator(INITIALIZERS.parse), _reference("initializer")]
RegularizerField = Annotated[
    Regularizer | None, BeforeValidator(REGULARIZERS.parse), _reference("regularizer", optional=True)
]


Constraint = Annotated[
    ConstraintConfig | None,
    BeforeValidator(CONSTRAINTS.parse),
    _reference("constraint", optional=True),
    Field(description="What the weight is held to after every step."),
]
"""A constraint by name or mapping, or null."""
Weights = Annotated[
    None,
    BeforeValidator(only(None, "weights are not written into a spec", "use `set_weights` from Python")),
    Field(description="Refused: use `set_weights` from Python."),
]
Stateful = Annotated[
    bool,
    AfterValidator(only(False, "a stateful layer depends on earlier batches, which the exported graph cannot keep")),
    Field(description="Refused: the exported graph keeps nothing between batches."),
]
Machinery = Annotated[Any, Field(description="About Keras's machinery: accepted without effect.")]
Seed = Annotated[int | None, Field(description="A seed of this layer's own.")]


def starts(name: str) -> Any:
    """The default of an initializer field, by name, so that the JSON Schema shows it."""
    return Field(default=name, validate_default=True, description="How the weight starts.")


ELSEWHERE = {
    **dict.fromkeys(
        ("input_shape", "batch_input_shape", "batch_shape", "input_dim"),
        "it is said in `inputs`: `inputs: {x: {shape: [4]}}`",
    ),
    "build_config": "leave it out: shapes are inferred from `inputs`",
}
NEUTRAL = {
    "dtype": WHATEVER,
    "autocast": Neutral((None, True, False), "it must be true or false"),
    "name": WHATEVER,
    "trainable": Neutral(
        (True,), "a layer within another is frozen with it", "set `trainable: false` on the outer layer, the node"
    ),
    "activity_regularizer": Neutral(
        (None,),
        "this layer has no penalty on its output",
        "put `{type: ActivityRegularization, l2: …}` behind it: the same penalty",
    ),
    "quantization_config": Neutral((None,), "weights are not quantized: training and export are in float32"),
    "lora_rank": Neutral((None,), "low-rank adaptation is not available"),
    "lora_alpha": Neutral((None,), "low-rank adaptation is not available"),
}
"""Keys that Keras's configurations of any layer may have."""


class Layer(Config):
    """Base of the vocabulary's layers.

    A subclass has Keras's name and Keras's arguments with Keras's defaults as fields, and :meth:`lower`.
    """

    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """The least and the largest number of inputs (None: any number)."""
    supports_masking: ClassVar[bool] = False
    """Whether a mask of the input travels on to the output, as Keras's ``supports_masking``."""
    handles_mask: ClassVar[bool] = False
    """Whether ``lower`` itself decides on the mask of every output (recurrent layers, pooling over time, merging)."""
    penalizes_itself: ClassVar[bool] = False
    """Whether ``lower`` applies ``activity_regularizer`` itself, to other values than the outputs."""
    call_arguments: ClassVar[tuple[str, ...]] = ()
    """Keras's call arguments that name other nodes (``initial_state``): keys of the node, values in ``calls``."""
    pairs_with_itself: ClassVar[bool] = False
    """Whether two inputs are often the same node (attention)."""
    elsewhere: ClassVar[Mapping[str, str]] = ELSEWHERE
    neutral: ClassVar[Mapping[str, Neutral]] = NEUTRAL

    def lower(self, g: Builder, *inputs: Any, **calls: Any) -> Value | tuple[Value, ...]:
        """Emit operators for ``inputs`` (values) and return the output, or a tuple of outputs.

        ``calls`` holds the values of ``call_arguments`` that the node gives: a list of values each.

        Raises:
            ShapeError: inputs or arguments that cannot work; the caller adds the node, its place and its inputs' shapes.
        """
        raise NotImplementedError

    @property
    def mixes_rows(self) -> bool:
        """Whether the rows of a batch influence each other in training."""
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
        """The parameter ``role`` with the initializer, regularizer and constraint that Keras's argument names give it.

        ``recurrent_kernel`` starts by ``recurrent_initializer``, ``gamma`` by ``gamma_initializer``, and so on; ``prefix``
        is what the arguments begin with where that is not the role's name.
        """
        prefix = prefix or role.removesuffix("_kernel")
        start = initializer or getattr(self, f"{prefix}_initializer")
        penalty = getattr(self, f"{prefix}_regularizer", None)
        constraint = getattr(self, f"{prefix}_constraint", None)
        for kind, given in (("initializer", start), ("regularizer", penalty), ("constraint", constraint)):
            try:
                if given is not None:
                    given.check(tuple(shape))
            except ShapeError as error:
                text = f"has the {kind} {type(given).__name__}, which {error.problem.message}"
                raise error.changed(message=text, key=f"{prefix}_{kind}") from None
        return g.param(role, shape, start, layout=layout, regularizer=penalty, constraint=constraint, state=state)


LAYERS: Registry[Layer] = Registry("layer", "Dense")
"""All layers by name."""
CELLS: Registry[Layer] = Registry("cell", "LSTMCell")
"""What RNN takes, by name."""

LayerField = Annotated[Layer, BeforeValidator(LAYERS.parse), _reference("layer")]
"""A layer within a layer, by name or mapping."""


def cast_to(g: Builder, X: Value, dtype: str) -> Value:
    """``X`` with another element type; ``X`` itself where it has that type."""
    return X if X.dtype == dtype else g.Cast(X, to=dtype).with_mask(X.mask)


def as_float(g: Builder, X: Value) -> Value:
    """Integers and bools as float32, as Keras promotes them."""
    return cast_to(g, X, "float32")


def need_rank(X: Value, least: int, most: int | None, axes: str, hint: str | None = None) -> None:
    """GS301 unless the rank is within bounds; ``axes`` names them: ``"(batch, time, features)"``."""
    if X.rank < least or (most is not None and X.rank > most):
        wanted = f"rank-{least}" if least == most else f"at least rank-{least}"
        raise ShapeError(Code.WRONG_RANK, f"needs {wanted} data {axes}, got {show(X.shape)}", hint=hint)
