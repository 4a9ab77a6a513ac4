"""The base class of operators: strict inference of output types, and binding to NumPy calls with gradients."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from inspect import get_annotations
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from graphspec.graph.ir.graph import Array, Dim, Node, Shape, Type, Value, show
from graphspec.graph.ir.ranges import ANY, Range, hull
from graphspec.graph.kernels.context import Backward, Bound, Calls, Context, need
from graphspec.graph.kernels.windows import Window, per_axis


class Inference(NamedTuple):
    """The operator that replaces another one at inference."""

    op: str  # its ONNX name
    inputs: tuple[int, ...]  # the indices of the original's inputs that it reads
    attributes: Mapping[str, Any] = MappingProxyType({})  # those that change
    outputs: int | None = None  # its number of outputs; None to keep the original's
    without: tuple[str, ...] = ()  # the original's attributes that it lacks


REQUIRED: Any = object()  # stands for the default of a required attribute


class Op:
    """An ONNX operator with its attributes.

    A subclass declares ONNX's attributes as annotated fields, with ONNX's defaults; a field without a default is required.
    It defines ``infer(*inputs) → Type or tuple`` and ``bind(ctx, *inputs) → (output or outputs, calls, backward)``. Their
    parameters are the inputs of the ONNX schema; an absent optional input is None. ``infer`` receives values: ``X.shape``,
    ``X.dtype``, ``X.known()``; ``bind`` receives arrays.

    ``backward(*dYs)`` is called once at bind time, in reverse order of the nodes, and returns calls; the gradient of an
    output is None if it is not needed. ``backward`` is None for an operator without a gradient.

    Raises:
        TypeError: an attribute is not declared, or a required one is missing.
    """

    keeps_in: ClassVar[tuple[int, ...] | None] = None  # the inputs that backward reads; None for all
    keeps_out: ClassVar[bool] = True  # whether backward reads the outputs
    variadic: ClassVar[bool] = False  # whether it accepts any number of inputs
    stops_gradient: ClassVar[bool] = False  # whether the loss does not depend on its inputs through it
    exported: ClassVar[bool] = True  # False for training-only operators (losses), which have no ONNX counterpart
    in_specs: ClassVar[bool] = True  # whether specs may use it, as `onnx.<name>`, if it is exported
    # Whether its calls work block by block, so that interleaving them with the calls of preceding nodes saves time.
    blockwise: ClassVar[bool] = False
    identity_in_inference: ClassVar[bool] = False  # whether it returns its first input at inference (dropout, noise)
    # Its replacement at inference: another operator or other attributes; None if it stays.
    inference: ClassVar[Inference | None] = None
    inference_only: ClassVar[bool] = False  # whether a program for training has its first input in its place
    is_view: ClassVar[bool] = False  # whether its outputs are views of the first input, or known before a run
    elementwise: ClassVar[bool] = False  # whether it works on elements at the same index, after broadcasting
    neutral: ClassVar[float | None] = None  # the second operand that changes nothing: 1 for a product, 0 for a sum
    commutes: ClassVar[bool] = False  # whether its two operands may be swapped
    piecewise_constant: ClassVar[bool] = False  # whether its outputs change only in jumps: they have no gradient
    activation: ClassVar[str | None] = None  # Keras's name of what it computes; `linear` for sums of products
    value_range: ClassVar[Range] = ANY  # the range of its finite outputs
    since_opset: ClassVar[int | None] = None  # the first opset with the form implemented here; None if all have it
    # Whether its values in training are random, beside operators with an inference form.
    varies_in_training: ClassVar[bool] = False
    domain: ClassVar[str] = ""  # empty for ONNX's own operators, else such as `ai.onnx.ml` or `com.microsoft`
    # False for an operator that only onnxruntime computes, in the part of the graph that runs before training.
    has_kernel: ClassVar[bool] = True
    # Whether onnxruntime may compute it in every step, too, if it has no kernel and follows random numbers.
    by_step: ClassVar[bool] = False
    merged: ClassVar[bool] = False  # whether a written file contains nodes of an ONNX file in its place
    takes_texts: ClassVar[bool] = False  # whether its inputs may be texts
    in_onnxruntime: ClassVar[bool] = True  # False for an ONNX operator without a kernel in onnxruntime
    # The inputs whose elements the outputs consist of, unchanged; None for an operator that computes new elements.
    copied_inputs: ClassVar[slice | None] = None
    drops_elements: ClassVar[bool] = False  # whether some elements of `copied_inputs` may be missing from the outputs

    # The rule for the axis of a batch's rows, a function of `graphspec.graph.row_axes`. Without one an elementwise
    # operator broadcasts, and any other mixes the rows.
    rows: ClassVar[str | None] = None
    takes_sizes: ClassVar[bool] = False  # whether its inputs behind the first may only tell how large something is
    rearranges: ClassVar[bool] = False  # whether it only changes shape or order, or takes a part
    foldable: ClassVar[bool] = False  # whether it `folds`, beside elementwise functions and rearrangements
    weights_at: ClassVar[tuple[int, ...]] = ()  # the inputs that are matrices of weights, if constant in an ONNX file
    vectors_at: ClassVar[tuple[int, ...]] = ()  # the inputs that are biases and scales, if constant in an ONNX file
    channels: ClassVar[int | None] = None  # the axis that always has the channels in the outputs: 1 or -1
    keeps_channels: ClassVar[bool] = False  # whether the channels stay at their axis, as in elementwise operators

    infer: ClassVar[Callable[..., Type | tuple[Type, ...]]]
    bind: ClassVar[Callable[..., Bound]]

    def __init__(self, **attributes: Any) -> None:
        declared = declared_attributes(type(self))
        values = declared | attributes
        if len(values) != len(declared):
            unknown = sorted(attributes.keys() - declared.keys())
            raise TypeError(f"{type(self).__name__} does not implement the attributes {unknown}")
        if missing := [name for name, value in values.items() if value is REQUIRED]:
            raise TypeError(f"{type(self).__name__} needs the attributes {missing}")
        vars(self).update(values)

    @classmethod
    def folds(cls) -> bool:
        """Return whether it is computed while an ONNX file is read if all that it reads is constant.

        So are rearrangements and elementwise functions; activations and what has weights stay in the graph.
        """
        function = cls.elementwise and not cls.is_view and cls.activation in (None, "linear")
        return cls.foldable or cls.rearranges or function

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(vars(self))

    def dims(self, *inputs: Any) -> tuple[Dim, ...] | None:
        """The elements of the output if it is a small integer vector that is known symbolically; else None."""
        return None

    def windows(self, X: Value, W: Value | None = None) -> list[Window] | None:
        """The windows of a convolution or pooling, one per spatial axis; None if any is symbolic, or for other operators."""
        return None

    def looks_up_rows(self) -> bool:
        """Whether it reads of input 0 only the rows at the ids, input 1; backward then adds to these (``ctx.row_grad``)."""
        return False

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        """The number of multiply-adds in the forward matrix products, for inputs of these ``shapes``; else 0."""
        return 0

    def hidden_shape(self, shapes: Sequence[Shape]) -> Shape | None:
        """The shape of a large array that it saves for backward besides inputs and outputs; None if there is none."""
        return None

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        """The range of the elements of ``output``, given the ``ranges`` of its node's inputs.

        It ignores overflow: the caller, who knows the dtype, handles values that wrap around.
        """
        return ANY if self.copied_inputs is None else hull(ranges[self.copied_inputs])

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        """The ranges of inputs that keep the outputs in ``out``, by input index; unconstrained inputs are absent.

        The inputs of the ``node`` have the known ``ranges``. With ``exact`` there are only constraints whose violation
        certainly leaves ``out``; else enough to keep all outputs in it.
        """
        if self.copied_inputs is None or (exact and self.drops_elements):
            return {}
        return dict.fromkeys(range(len(ranges))[self.copied_inputs], out)


class Memoryless(Op):
    """An operator whose backward reads neither its inputs nor its outputs, or that has none."""

    keeps_in: ClassVar[tuple[int, ...] | None] = ()
    keeps_out: ClassVar[bool] = False


class TrainingOnly(Memoryless):
    """An operator without a counterpart in ONNX."""

    exported = False


class Windowed(Op):
    """An operator with windows over the spatial axes of (N, C, …)."""

    if TYPE_CHECKING:  # operators declare them in ONNX's order
        strides: Sequence[int] | None

    def steps(self, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the strides and the dilations along each spatial axis."""
        dilations = getattr(self, "dilations", None)
        return per_axis(self.strides, rank, 1, "strides"), per_axis(dilations, rank, 1, "dilations")


def need_spatial(X: Value) -> None:
    """Raise ShapeError unless X has spatial axes."""
    need(X.rank >= 3, f"needs (N, C, …) with spatial axes, got {show(X.shape)}")


class Operators(UserDict[str, type[Op]]):
    """The operators by ONNX name. The module of a family is imported at the first lookup of one of its operators."""

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, str] = {}

    def found_in(self, package: str, families: Mapping[str, str]) -> None:
        """Register the operators' modules: ``families`` maps a module of ``package`` to its operators' names."""
        self._modules = {name: f"{package}.{family}" for family, names in families.items() for name in names.split()}

    def __missing__(self, name: str) -> type[Op]:
        if name not in self._modules:
            raise KeyError(name)
        module = import_module(self._modules[name])
        if name not in self.data:  # rows of a table are registered by their module
            self.data[name] = getattr(module, name)
        return self.data[name]

    def __contains__(self, name: object) -> bool:
        return name in self._modules or name in self.data

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules | self.data)

    def __len__(self) -> int:
        return len(self._modules | self.data)


OPS = Operators()
OpClass = TypeVar("OpClass", bound=type[Op])


def op(cls: OpClass) -> OpClass:
    """Register an operator of a plugin under its ONNX name (a class decorator)."""
    OPS[cls.__name__] = cls
    return cls


def variants(base: type[Op], about: str, rows: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
    """Register operators, by name, that differ from each other in a formula and some facts of their classes.

    ``about`` is their documentation, with ``{}`` for the formula.
    """
    for name, (formula, facts) in rows.items():
        OPS[name] = type(name, (base,), {"__doc__": about.format(formula), "__module__": base.__module__, **facts})


_declared: dict[type[Op], dict[str, Any]] = {}


def declared_attributes(cls: type[Op]) -> dict[str, Any]:
    """The declared attributes of an operator with their defaults, ``REQUIRED`` for those without one."""
    if cls not in _declared:
        fields = {
            name: getattr(cls, name, REQUIRED)
            for base in reversed(cls.__mro__)
            for name, annotation in get_annotations(base).items()
            if not str(annotation).startswith("ClassVar")
        }
        _declared[cls] = fields
    return _declared[cls]


def operator(node: Node) -> Op:
    """The operator of a node, with the node's attributes."""
    instance = object.__new__(OPS[node.op])
    vars(instance).update(node.attrs)
    return instance


# Backward functions of one input.
def in_place(ctx: Context) -> Callable[[Callable[[Array], Calls]], Backward]:
    """Return a decorator of what returns the calls that turn dY into the gradient of input 0 in place."""

    def decorate(change: Callable[[Array], Calls]) -> Backward:
        def backward(dY: Array, *_: None) -> Calls:
            ctx.give_grad(0, dY)
            return change(dY)

        return backward

    return decorate


def into_gradient(ctx: Context, i: int = 0) -> Callable[[Callable[[Any, Array], Calls]], Backward]:
    """Return a decorator of what returns the calls that write a gradient, of dY and of input ``i``, if that is needed."""

    def decorate(write: Callable[[Any, Array], Calls]) -> Backward:
        def backward(dY: Array | None, *_: None) -> Calls:
            return [] if dY is None or (dX := ctx.grad(i)) is None else write(dY, dX)

        return backward

    return decorate


def passes_on(ctx: Context) -> Backward:
    """Return the backward function of an identity on input 0."""
    return in_place(ctx)(lambda dY: [])


def as_shape(X: Array, shape: Sequence[int]) -> Array | None:
    """Return X in another shape, or None if that is not a view."""
    try:
        return X.reshape(shape, copy=False)
    except ValueError:
        return None


def in_shape(ctx: Context, X: Array, shape: Sequence[int]) -> tuple[Array, Calls]:
    """Return X in another shape, and the call that copies X if that is not a view."""
    if (view := as_shape(X, shape)) is not None:
        return view, []
    copy = ctx.scratch(X.shape, X.dtype)
    return copy.reshape(shape), [(np.copyto, copy, X)]


def c_contiguous(ctx: Context, X: Array) -> tuple[Array, Calls]:
    """Return X in C order, and the call that copies it if it is not. ``np.take`` would allocate a copy in every call."""
    if X.flags.c_contiguous:
        return X, []
    copy = ctx.scratch(X.shape, X.dtype)
    return copy, [(np.copyto, copy, X)]


def known_numbers(ctx: Context, i: int) -> list[int]:
    """Return the integers of input ``i``, which ``infer`` has found to be known when building."""
    value = ctx.known(i)
    assert value is not None
    numbers: list[int] = value.reshape(-1).tolist()
    return numbers
