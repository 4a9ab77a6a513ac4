"""What an operator is: strict inference of its output types, and binding to NumPy calls with their gradients."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from inspect import get_annotations
from typing import Any, ClassVar, TypeVar

from graphspec.ir.dims import Dim
from graphspec.ir.graph import Node, Type, Value
from graphspec.ir.ranges import ANY, Range, hull
from graphspec.kernels.context import Bound

REQUIRED: Any = object()
"""The default of an attribute that must be given."""


class Op:
    """An ONNX operator with its attributes.

    A subclass declares ONNX's attributes as annotated fields, with ONNX's defaults; a field without a default is required.
    It defines ``infer(*inputs) → Type or tuple`` and ``bind(ctx, *inputs) → (output or outputs, calls, backward)``, whose
    arguments are the ONNX schema's inputs (None where an optional one is absent). ``infer`` gets values: ``X.shape``,
    ``X.dtype``, ``X.known()``; ``bind`` gets arrays.

    ``backward(*dYs)`` is called once, when binding in reverse, and returns calls; an output whose gradient nobody needs
    comes as None. ``backward`` is None for an operator without a gradient.

    Raises:
        TypeError: an attribute that is not declared, or a required one that is missing.
    """

    keeps_in: ClassVar[tuple[int, ...] | None] = None
    """The inputs that backward reads; None for all."""
    keeps_out: ClassVar[bool] = True
    """Whether backward reads the outputs."""
    variadic: ClassVar[bool] = False
    """Whether it takes any number of inputs."""
    exported: ClassVar[bool] = True
    """False for training-only operators (losses), which have no ONNX counterpart."""
    blockwise: ClassVar[bool] = False
    """Whether its calls work block by block and gain from being interleaved with those of the nodes before it."""
    identity_in_inference: ClassVar[bool] = False
    """True if the operator is the identity on its first input at inference (dropout, noise)."""
    plain: ClassVar[tuple[str, int] | None] = None
    """The operator that replaces it at inference, and how many of its inputs that takes."""
    holds: ClassVar[slice | None] = None
    """The inputs whose elements the outputs hold, unchanged and no others; None for an operator that computes."""
    drops: ClassVar[bool] = False
    """Whether the outputs may lack some of the elements that they hold."""

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

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes by name, in the order of their declaration."""
        return dict(vars(self))

    def dims(self, *inputs: Any) -> tuple[Dim, ...] | None:
        """The elements of the output, where it is a small integer vector that is known symbolically."""
        return None

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        """The range of the elements of ``output``, given the ``ranges`` of its node's inputs.

        The caller knows the element type: values beyond it wrap around and may be anything.
        """
        return ANY if self.holds is None else hull(ranges[self.holds])

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        """The ranges that inputs need for the outputs to stay in ``out``, by index; unconstrained inputs are absent.

        Args:
            node: the node that this operator belongs to.
            out: the range that the outputs must stay in.
            ranges: the known ranges of the inputs.
            exact: only constraints whose violation certainly leaves ``out``; else enough to keep all outputs in it.
        """
        if self.holds is None or (exact and self.drops):
            return {}
        return dict.fromkeys(range(len(ranges))[self.holds], out)


class Operators(UserDict[str, type[Op]]):
    """The operators by their ONNX names. A family is imported when one of it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, str] = {}

    def found_in(self, package: str, families: Mapping[str, str]) -> None:
        """Say where the operators are: all names by the module of ``package``."""
        self._modules = {name: f"{package}.{family}" for family, names in families.items() for name in names.split()}

    def __missing__(self, name: str) -> type[Op]:
        if name not in self._modules:
            raise KeyError(name)
        import_module(self._modules[name])
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
    """Class decorator: register an operator under its ONNX name."""
    OPS[cls.__name__] = cls
    return cls


_declared: dict[type[Op], dict[str, Any]] = {}


def declared_attributes(cls: type[Op]) -> dict[str, Any]:
    """The attributes that an operator declares, with their defaults (``REQUIRED`` for those without one)."""
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
    made = object.__new__(OPS[node.op])
    vars(made).update(node.attrs)
    return made
