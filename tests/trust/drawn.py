"""What random graphs are made of: values with their shapes, and random arguments for them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphspec.graph.constraints import CONSTRAINTS
from graphspec.graph.initializers import INITIALIZERS
from graphspec.graph.ir.dims import LearntSize
from graphspec.graph.regularizers import REGULARIZERS
from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.layers import CELLS

Args = dict[str, Any]
Dim = int | str

ACTIVATION_ARGS: dict[str, Callable[[random.Random], Args]] = {
    "relu": lambda r: r.choice([{}, {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.2}, {"max_value": 1.0}]),
    "leaky_relu": lambda r: {"negative_slope": r.choice([0.1, 0.3])},
    "elu": lambda r: {"alpha": r.choice([0.5, 1.0])},
    "celu": lambda r: {"alpha": r.choice([0.5, 1.0])},
    "threshold": lambda r: {"threshold": 0.1, "default_value": r.choice([0.0, -0.5])},
    "hard_shrink": lambda r: {"threshold": r.choice([0.1, 0.5])},
    "soft_shrink": lambda r: {"threshold": r.choice([0.1, 0.5])},
    "gelu": lambda r: {"approximate": r.random() < 0.5},
    "squareplus": lambda r: {"b": r.choice([1, 4])},
}
ALONG_AXIS = ("softmax", "log_softmax", "sparsemax", "glu")
OPERATORS = ("tanh", "sigmoid", "relu", "softsign", "softplus", "hard_sigmoid")
"""Activations that ONNX's recurrent operators have, for any number of steps."""


@dataclass(frozen=True)
class Tensor:
    """A value of the graph: where it stands, its shape without the batch, and what may be in it.

    Attributes:
        ids: an integer in [0, ids); None for other values.
        mask: the rank of its mask, without the batch.
        fresh: it depends on no weights and no random numbers, so layers may learn from it.
        gaps: numbers may be missing.
        bounded: it is an id whose number of values is still to be learnt.
        exact: it has no rounding errors, so a function that jumps gives the same in float32 and in float64.
    """

    ref: str
    shape: tuple[Dim, ...]
    dtype: str = "float32"
    ids: int | None = None
    mask: int | None = None
    fresh: bool = False
    gaps: bool = False
    bounded: bool = False
    exact: bool = False

    @property
    def is_text(self) -> bool:
        return self.dtype == "string"

    @property
    def plain(self) -> bool:
        """Whether it is made of numbers alone, and its sizes are known."""
        return not (self.is_text or self.gaps or self.bounded or any(isinstance(n, LearntSize) for n in self.shape))

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype == "float32"

    @property
    def masks_steps(self) -> bool:
        """Whether its mask, if there is one, has a bit for each step; masks of images are not for all."""
        return self.mask is None or self.mask == 1

    @property
    def fixed(self) -> bool:
        return all(isinstance(d, int) for d in self.shape)

    @property
    def size(self) -> int:
        return math.prod(d for d in self.shape if isinstance(d, int))

    @property
    def features(self) -> int | None:
        """The size of the last axis, where it is fixed."""
        last = self.shape[-1] if self.shape else None
        return last if isinstance(last, int) else None


class Drawing:
    """Random choices, and the values that a node may take."""

    def __init__(self, drawn: random.Random) -> None:
        self.random = drawn
        self.pool: list[Tensor] = []

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def one(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def among(self, choices: Sequence[Any]) -> Any:
        return self.random.choice(choices)

    def int(self, low: int, high: int) -> int:
        return self.random.randint(low, max(low, high))

    def number(self, low: float, high: float) -> float:
        return round(self.random.uniform(low, high), 3)

    def some(self, **arguments: Any) -> Args:
        """Each argument or its default."""
        return {key: value for key, value in arguments.items() if self.chance(0.4)}

    def others(self, fits: Callable[[Tensor], bool]) -> list[Tensor]:
        return [t for t in self.pool if t.plain and fits(t)]

    def activation(self, features: int | None, *, axes: bool = True) -> Any:
        """A name or a mapping; what goes along an axis where ``axes``."""
        names = [n for n in ACTIVATIONS.primary() if n not in ALONG_AXIS or (axes and features is not None)]
        name = self.among(names)
        if name == "glu" and (features is None or features % 2):
            name = "softmax"
        if name == "exponential" and not self.chance(0.2):
            name = "tanh"  # towers of them overflow
        args = ACTIVATION_ARGS.get(name, lambda r: {})(self.random)
        required = any(f.is_required() for f in ACTIVATIONS.get(name).model_fields.values())  # type: ignore[union-attr]
        return {"type": name, **args} if required or (args and self.chance(0.6)) else name

    def initializer(self, *, matrix: bool = False) -> Any:
        name = self.among(
            [n for n in INITIALIZERS.primary() if n not in ("STFT", "Vectors") and (n != "Identity" or matrix)]
        )
        args: dict[str, Args] = {"Constant": {"value": self.number(-0.5, 0.5)}, "Orthogonal": {"gain": 0.5}}
        if name == "Array" or (name in ("Zeros", "Ones", "Constant") and self.chance(0.7)):
            name = "GlorotUniform"  # the shape that an array needs is not known here: `drawn_tensors.py` draws them
        return {"type": name, **args.get(name, {})}

    def regularizer(self, *, matrix: bool = False) -> Any:
        name = self.among([n for n in REGULARIZERS.primary() if n != "OrthogonalRegularizer" or matrix])
        if name == "OrthogonalRegularizer":
            return {"type": name, "factor": 0.01, "mode": self.one("rows", "columns")}
        if name == "L1L2":
            return {"type": name, "l1": self.number(0, 0.02), "l2": self.number(0, 0.02)}
        return self.one(name, {"type": name, name.lower(): self.number(0.001, 0.02)})

    def constraint(self) -> Any:
        name = self.among(CONSTRAINTS.primary())
        args: dict[str, Args] = {
            "MaxNorm": {"max_value": self.number(0.5, 3)},
            "MinMaxNorm": {"min_value": 0.1, "max_value": self.number(0.5, 2), "rate": self.one(1.0, 0.5)},
        }
        return {"type": name, **args.get(name, {})}

    def weights(
        self, *, bias: bool = True, matrix: bool = True, recurrent: bool = False, kernel: str = "kernel"
    ) -> Args:
        """Initializers, penalties and constraints of a layer's weights."""
        args: Args = {}
        if self.chance(0.2):
            args[f"{kernel}_initializer"] = self.initializer(matrix=matrix)
        if self.chance(0.15):
            args[f"{kernel}_regularizer"] = self.regularizer(matrix=matrix)
        if self.chance(0.1):
            args[f"{kernel}_constraint"] = self.constraint()
        if bias and self.chance(0.1):
            args["bias_regularizer"] = self.regularizer()
        if bias and self.chance(0.1):
            args["bias_initializer"] = self.one("ones", {"type": "RandomNormal", "stddev": 0.3})
        if recurrent and self.chance(0.1):
            args["recurrent_regularizer"] = self.regularizer()
        if self.chance(0.1):
            args["activity_regularizer"] = self.one("l2", {"type": "L1", "l1": 0.01})
        return args

    def cell(self, *, written_out: bool) -> Args:
        name = self.among([n for n in CELLS.primary() if n != "StackedRNNCells"])
        return {"type": name, "units": self.int(1, 4), **self.gates(name, written_out=written_out)}

    def gates(self, name: str, *, written_out: bool) -> Args:
        """Arguments of a recurrent layer or a cell of its kind; ``written_out``: any activation may stand."""
        args = self.some(use_bias=False, dropout=0.3, recurrent_dropout=0.2)

        def activation() -> Any:
            if written_out and self.chance(0.3):
                return self.activation(None, axes=False)
            return self.among(OPERATORS)

        if self.chance(0.4):
            args["activation"] = activation()
        if not name.startswith("SimpleRNN") and self.chance(0.3):
            args["recurrent_activation"] = self.one("hard_sigmoid", "sigmoid", activation())
        if name.startswith("GRU"):
            args |= self.some(reset_after=False)
        if name.startswith(("LSTM", "ConvLSTM")):
            args |= self.some(unit_forget_bias=False)
        return args


Template = Callable[[Drawing, Tensor], Args | None]
"""Arguments of a layer for a value, with ``inputs`` where it takes others; None where it does not take the value."""
TEMPLATES: dict[str, Template] = {}


def draws(*names: str) -> Callable[[Callable[..., Args | None]], Callable[..., Args | None]]:
    """Register a template for several layers; it gets the layer's name as a third argument where it wants one."""

    def register(template: Callable[..., Args | None]) -> Callable[..., Args | None]:
        wants = template.__code__.co_argcount == 3
        for name in names:
            TEMPLATES[name] = (lambda d, t, n=name: template(d, t, n)) if wants else template
        return template

    return register


def kinds_in(node: Args) -> list[str]:
    """The type of a node, and of the layers and cells within it."""
    inner = [node.get("layer"), *(c if isinstance(c := node.get("cell"), list) else [c]), *node.get("cells", [])]
    found = [kind for i in inner if isinstance(i, dict) for kind in kinds_in(i)]
    found += ["block"] * ("block" in node) + ["share"] * ("share" in node)
    return [*([node["type"]] if "type" in node else []), *found]


def named(nodes: list[Args], name: str) -> list[Args]:
    """The nodes with ``name`` in place of ``@`` in names and inputs."""

    def put(given: Any) -> Any:
        if isinstance(given, list):
            return [put(item) for item in given]
        return given.replace("@", name) if isinstance(given, str) else given

    return [node | {key: put(node[key]) for key in ("name", "inputs")} for node in nodes]


def refs_in(node: Args) -> list[str]:
    """The values that a node takes."""
    given = node["inputs"]
    given = [given] if isinstance(given, str) else [name for name in given if isinstance(name, str)]
    return [*given, *node.get("initial_state", [])]
