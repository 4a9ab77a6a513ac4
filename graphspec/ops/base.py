"""What an operator is: strict inference of its output types, and binding to NumPy calls with their gradients."""

from __future__ import annotations

import inspect
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, ClassVar, TypeVar

from graphspec.ir.dims import Dim
from graphspec.ir.graph import Node, Type, Value
from graphspec.ir.ranges import ANY, Range, hull
from graphspec.kernels.context import Bound


class Op:
    """An ONNX operator.

    A subclass states ``infer(*inputs, **attributes) → Type or tuple`` and ``bind(ctx, *inputs, **attributes) →
    (output or outputs, calls, backward)``. The positional arguments are the ONNX schema's inputs (None where an optional
    one is absent), the keyword-only arguments of ``bind`` its attributes with their defaults: what is not declared there
    is refused when building. ``infer`` gets values: ``X.shape``, ``X.dtype``, ``X.known()``; ``bind`` gets arrays.

    ``backward(*dYs)`` is called once, when binding in reverse, and returns calls; an output whose gradient nobody needs
    comes as None. ``backward`` is None for an operator that has no gradient.
    """

    keeps_in: ClassVar[tuple[int, ...] | None] = None
    """The inputs that backward reads; None for all."""
    keeps_out: ClassVar[bool] = True
    """Whether backward reads the outputs."""
    variadic: ClassVar[bool] = False
    exported: ClassVar[bool] = True
    """False for training-only operators (losses), which have no ONNX counterpart."""
    blockwise: ClassVar[bool] = False
    """Whether its calls work on one block after the other and pay to be interleaved with those of the nodes before it."""
    identity_in_inference: ClassVar[bool] = False
    """Whether it is its first input outside training: dropout, noise."""
    plain: ClassVar[tuple[str, int] | None] = None
    """The operator that it is outside training, and how many of its inputs that takes."""
    holds: ClassVar[slice | None] = None
    """The inputs whose elements the outputs hold, unchanged and no others; None for an operator that computes."""
    drops: ClassVar[bool] = False
    """Whether the outputs may lack some of the elements that they hold."""

    infer: ClassVar[Callable[..., Type | tuple[Type, ...]]]
    bind: ClassVar[Callable[..., Bound]]

    @staticmethod
    def dims(*inputs: Value | None, **attributes: Any) -> tuple[Dim, ...] | None:
        """What the output holds, where it is a small integer vector that is known symbolically."""
        return None

    @classmethod
    def bounds(cls, output: Value, ranges: Sequence[Range]) -> Range:
        """Between which numbers the elements of ``output`` lie, given the ``ranges`` of its node's inputs.

        The caller knows the element type: what lies beyond it wraps round and may be anything.
        """
        return ANY if cls.holds is None else hull(ranges[cls.holds])

    @classmethod
    def demands(cls, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        """Where inputs must lie for the outputs to lie in ``out``, by index; those that may be anything are absent.

        Args:
            ranges: between which numbers the inputs lie, as far as that is known.
            exact: only what cannot be broken without an output beyond ``out``; else enough to keep all outputs in it.
        """
        if cls.holds is None or (exact and cls.drops):
            return {}
        return dict.fromkeys(range(len(ranges))[cls.holds], out)


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


@cache
def attributes(cls: type[Op]) -> dict[str, Any]:
    """The attributes that an operator declares, with their defaults (``inspect.Parameter.empty`` if required).

    A ``bind`` that takes ``**attributes`` declares those of the class that it inherits from, too.
    """
    binds = [base.bind for base in cls.__mro__ if issubclass(base, Op) and "bind" in vars(base)]
    found: dict[str, Any] = {}
    for stated in [cls.forward] if hasattr(cls, "forward") else binds:  # an elementwise function's `bind` hands them on
        parameters = inspect.signature(stated).parameters.values()
        found = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} | found
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found
