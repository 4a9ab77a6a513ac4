"""What a parsed spec is: plain records, each with the tree it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from graphspec.errors import Mark, NodeRef

if TYPE_CHECKING:
    from graphspec.callbacks import Callback
    from graphspec.language.tree import Tree
    from graphspec.layers.base import Layer
    from graphspec.losses import Loss
    from graphspec.metrics import Metric
    from graphspec.optimizers import Optimizer


@dataclass(frozen=True, slots=True)
class Ref:
    """Output ``output`` of the node ``name`` (or the input ``name``), named at ``mark``, whose keys are ``path``."""

    name: str
    output: int
    mark: Mark
    path: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class InputDecl:
    """An input: its shape without the batch axis, a varying axis by its name."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str
    mark: Mark
    tree: Tree = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class NodeDecl:
    """A concrete node.

    Attributes:
        layer: None if it is wrong; its output is then unknown.
        inputs: None where a name is unknown, which has been reported.
        share: the node whose weights it uses; ``layer`` is then that node's.
        call: Keras's call arguments: references to nodes, as lists.
        within: for a node of a block, the entry of ``layers`` whose instance it belongs to.
        mark: the first key of the node.
    """

    name: str
    type: str | None
    layer: Layer | None
    inputs: list[Ref | None]
    share: str | None
    trainable: bool
    call: dict[str, list[Ref | None]]
    tree: Tree = field(repr=False, compare=False)
    within: Tree | None = field(default=None, repr=False, compare=False)

    @property
    def instance(self) -> NodeRef | None:
        """The block instance that the node belongs to."""
        if self.within is None:
            return None
        kind = self.within.get("block")
        what = "share" if kind is None else f"block '{kind.value}'"
        return NodeRef(self.name.partition("/")[0], what, line=self.within.first_key.line)

    @property
    def mark(self) -> Mark:
        return self.tree.first_key


@dataclass(frozen=True, slots=True)
class HeadDecl:
    """A head.

    Attributes:
        class_weight: by class index, labels looked up.
        wrong: whether something about it has been reported; what is missing here may then be there.
    """

    name: str
    layer: Ref | None
    loss: Loss | None
    weight: float
    metrics: list[Metric]
    class_weight: dict[int, float] | Literal["balanced"] | None
    labels: list[str] | None
    mark: Mark
    tree: Tree = field(repr=False, compare=False)
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Training:
    """How the heads are trained."""

    optimizer: Optimizer
    epochs: int = 1
    batch_size: int = 32
    shuffle: bool = True
    seed: int = 0
    combine: Literal["mean", "sum"] = "mean"
    callbacks: list[Callback] = field(default_factory=list)
    workers: int | Literal["auto"] = 1
    tree: Tree | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where the rows of one part come from: a file, or (validation) a split of the training rows."""

    file: Path | None
    inputs: dict[str, str | list[str]] | None
    targets: dict[str, str | list[str]] | None
    split: float | None
    stratify: str | None
    tree: Tree = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole spec, expanded.

    Attributes:
        document: the plain document, overrides applied, before variables and blocks are written out.
        base: the spec's folder, which file names are relative to; None for a dict.
    """

    name: str
    description: str
    inputs: dict[str, InputDecl]
    nodes: list[NodeDecl]
    heads: dict[str, HeadDecl]
    training: Training
    data: dict[str, DataSource]
    document: dict[str, Any]
    tree: Tree = field(repr=False, compare=False)
    base: Path | None = None
