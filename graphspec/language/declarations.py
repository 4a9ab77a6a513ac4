"""The records of a parsed spec, each with the tree from which it was parsed; durations; names of a head's arrays."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from graphspec.base.errors import Mark, NodeRef, shorten
from graphspec.base.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphspec.graph.ir.graph import Graph, Value
    from graphspec.graph.optimizers import Optimizer
    from graphspec.language.search_space import Search
    from graphspec.language.tree import Tree
    from graphspec.vocabulary.callbacks import Callback
    from graphspec.vocabulary.layers.layer import Layer, Number
    from graphspec.vocabulary.losses import Loss
    from graphspec.vocabulary.metrics import Metric

Columns = str | list[str]  # a column, or several that are one array
ClassWeight = dict[int, float] | Literal["balanced"]  # weights by class index


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to output ``output`` of the node or input ``name``. ``mark`` and ``path`` are its position."""

    name: str
    output: int
    mark: Mark
    path: str = field(default="", compare=False)


def operand_text(operand: Ref | Number | None) -> str:
    """Return an input as a spec writes it: ``x``, ``lstm:1``, ``0.5``, ``[0, -1]`` or ``null``."""
    if isinstance(operand, Ref):
        return operand.name if operand.output == 0 else f"{operand.name}:{operand.output}"
    return "null" if operand is None else str(operand)


@dataclass(frozen=True, slots=True)
class InputDecl:
    """An input. ``shape`` lacks the batch axis; axes that vary appear by name. ``column`` is its name in data files."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str
    mark: Mark
    tree: Tree = field(repr=False, compare=False)
    column: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class NodeDecl:
    """A concrete node. A node of a block is ``within`` the entry of ``layers`` that instantiates it."""

    name: str
    type: str | None
    layer: Layer | None  # None if the layer is wrong; the output of the node is then unknown
    inputs: list[Ref | None]  # None for each name that is unknown and has been reported
    share: str | None  # the node whose weights it uses; ``layer`` is then the layer of that node
    trainable: bool
    call: dict[str, list[Ref | None]]  # Keras's call arguments, as lists of references
    tree: Tree = field(repr=False, compare=False)
    within: Tree | None = field(default=None, repr=False, compare=False)
    options: dict[str, bool] = field(default_factory=dict)  # Keras's call arguments that are true or false
    written: dict[int, Number | None] = field(default_factory=dict)  # numbers and nulls among the inputs, by position
    average: float | None = None  # its weights are running means of those of ``share``, which keep this part in a step

    def operands(self) -> list[Ref | Number | None]:
        """Return the inputs in their order, with the numbers among them."""
        found: list[Ref | Number | None] = list(self.inputs)
        for position in sorted(self.written):
            found.insert(position, self.written[position])
        return found

    @property
    def instance(self) -> NodeRef | None:
        if self.within is None:
            return None
        block = self.within.get("block")
        node_type = "share" if block is None else f"block '{block.value}'"
        return NodeRef(self.name.partition("/")[0], node_type, line=self.within.first_key.line)

    @property
    def mark(self) -> Mark:
        return self.tree.first_key


class HeadRefs(NamedTuple):
    """The nodes of a head, its target if that is an input or a node, and what scales it; each None if it is unknown."""

    layers: tuple[Ref | None, ...] = (None,)
    target: Ref | None = None
    window: Ref | None = None


class WholeLabels(list[str]):
    """Labels that are written as whole numbers: a number in the data is its label, not the id of a class."""


@dataclass(frozen=True, slots=True)
class HeadDecl:
    """A head."""

    name: str
    layer: Ref | None
    loss: Loss | None
    weight: float
    metrics: list[Metric]
    class_weight: ClassWeight | None
    labels: list[str] | None
    mark: Mark
    tree: Tree = field(repr=False, compare=False)
    wrong: bool = False  # whether an error has been reported. Missing attributes may then exist in the document
    scale: Literal["standard", "window"] | None = None  # how the target is scaled for the loss
    window: Ref | None = None  # the WindowScaling by which it is; ``columns``: the target's, in the window
    columns: tuple[int, ...] | None = None
    statistics: tuple[float, float] | None = None  # mean and deviation of a standardized target, if they are learnt
    clip: bool | Mapping[Literal["min", "max"], float] = False  # whether answers are clipped, to which range
    bounds: tuple[float, float] | None = None  # the range of the training targets, if it is learnt
    description: str = ""  # what it is, for the readers of an exported file
    others: tuple[Ref | None, ...] = ()  # for a loss over pairs or triplets, the nodes after ``layer``
    target: Ref | None = None  # the input or node with which the loss compares, instead of an array of the data
    target_gradient: bool = False  # whether the gradient flows into ``target``, too
    interval: float | None = None  # the share of new rows that the outputs ``BOUNDS`` shall contain
    calibrate: Literal["temperature"] | None = None  # how probabilities are made as sure as they are right
    threshold: Literal["f1"] | float | None = None  # the probability above which the second of two classes is answered
    cutoff: float | None = None  # the learnt one, as a value of the head, where no weights are
    members: Literal["mean"] | None = None  # axis 1 of the node are members: answers are their mean, each is trained

    @property
    def layers(self) -> tuple[Ref | None, ...]:
        return (self.layer, *self.others)

    @property
    def limits(self) -> tuple[float | None, float | None] | None:
        """The ends to which answers are clipped; None if they are not, or if the targets' range is not learnt yet."""
        return self.bounds if isinstance(self.clip, bool) else (self.clip.get("min"), self.clip.get("max"))

    @property
    def refs(self) -> list[Ref]:
        return [ref for ref in (*self.layers, self.target, self.window) if ref is not None]

    @property
    def only_trained(self) -> bool:
        """Whether the head is a term of the loss alone: no output of predictions and files."""
        return bool(self.others) or (self.loss is not None and not self.loss.has_output)

    @property
    def held_out_weights(self) -> list[str]:
        """The names of the weights that held-out rows give: of an interval, a temperature, a threshold."""
        roles = [] if self.interval is None else ["interval/widths", "interval/levels"]
        roles += [] if self.calibrate is None else ["calibration/temperature"]
        roles += ["threshold"] if self.threshold == "f1" else []
        return [f"{self.layer.name}/{self.name}_{role}" for role in roles if self.layer is not None]

    @property
    def needs_data(self) -> bool:
        """Whether the loss compares with an array of the data, not with a node or with nothing."""
        return self.loss is not None and self.loss.targets != "none" and self.target is None


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file with initial weights."""

    file: str  # the file or the run directory, as the spec writes it
    node: str = ""  # the node or block instance whose weights they are; empty for the whole network
    map: tuple[tuple[str, str], ...] = ()  # pairs of patterns, of our names and of the file's
    layout: Literal["keras", "torch"] = "keras"  # how the file names and stores weights
    allow_missing: tuple[str, ...] = ()  # patterns of the weights that may start new
    tree: Tree | None = field(default=None, repr=False, compare=False)

    def written(self) -> str | dict[str, Any]:
        """Return the value as a spec writes it: the name alone, or a mapping without defaults."""
        more = {"map": dict(self.map), "layout": self.layout, "allow_missing": list(self.allow_missing)}
        more = {key: value for key, value in more.items() if value not in ({}, "keras", [])}
        return {"file": self.file, **more} if more else self.file


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
    workers: int | Literal["auto", "mpi"] = 1
    shards: int | None = None
    initial_weights: WeightFile | None = None
    folds: int | None = None  # folds, seeds: how many copies of the network are trained
    seeds: int | None = None
    forms: dict[str, dict[str, Any]] = field(default_factory=dict)  # overrides by path, by form: the best form is kept
    choose: str | None = None  # the value by which it is chosen; None for the usual one
    tree: Tree | None = field(default=None, repr=False, compare=False)

    @property
    def copies(self) -> int:
        """The number of copies of the network, whose mean is the answer."""
        return self.folds or self.seeds or 1

    @property
    def several(self) -> bool:
        """Whether one training trains several networks: copies, or forms."""
        return self.copies > 1 or bool(self.forms)


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows over the rows of a table: ``length`` rows of the past, then ``horizon`` rows of the future."""

    length: int
    horizon: int = 1
    stride: int = 1  # rows from the start of a window to the start of the next one
    group: str | None = None  # the column that separates several series
    order: str | None = None  # the column of time; None for the order of the rows
    format: str | None = None  # how it writes dates; None for ISO 8601
    every: Every | None = None  # the step of time; None if it is not checked
    missing: str | Mapping[str, str] | None = None  # how missing values are filled in: for all columns, or by column
    season: int | Sequence[int] | None = None  # the steps of its seasons, if the step of time does not say them
    future: tuple[str, ...] = ()  # the inputs that are read over the future
    static: tuple[str, ...] = ()  # the inputs with one value per window, that of the last row of its past
    last: bool = False  # only the last window of each series is taken

    @property
    def seasons(self) -> Sequence[int]:
        return (self.season,) if isinstance(self.season, int) else self.season or ()

    def reading(self, name: str) -> Literal["past", "future", "static"]:
        """Return over which rows of a window an input is read."""
        return "future" if name in self.future else "static" if name in self.static else "past"

    def filling(self, column: str) -> str | None:
        """Return how missing values of a column are filled in: ``interpolate``, ``previous``, or None."""
        return self.missing if self.missing is None or isinstance(self.missing, str) else self.missing.get(column)


@dataclass(frozen=True, slots=True)
class TextForm:
    """How a table of text is read."""

    delimiter: str | None = None  # the character between the cells; None to find it in the header
    decimal: str | Mapping[str, str] = "."  # the decimal mark, ``.`` or ``,``: of all columns, or by column
    thousands: str | Mapping[str, str] | None = None  # the mark between groups of three digits, likewise, if any
    strip: tuple[str, ...] = ()  # marks before or after a number that are not read, such as ``%``
    encoding: str = "utf-8"  # the encoding of the file

    def marks(self, column: str) -> tuple[str, str | None]:
        decimal, thousands = self.decimal, self.thousands
        return (
            decimal if isinstance(decimal, str) else decimal.get(column, "."),
            thousands if thousands is None or isinstance(thousands, str) else thousands.get(column),
        )


@dataclass(frozen=True, slots=True)
class DataSource:
    """The source of the rows of one part: a file or a query, or for validation a split of the training rows."""

    file: Path | None
    inputs: dict[str, Columns] | None
    targets: dict[str, Columns] | None
    split: float | None
    stratify: str | None
    tree: Tree = field(repr=False, compare=False)
    drop_missing_targets: bool = False
    query: str | None = None  # a SELECT over the tables of ``file``, or over files with names relative to ``folder``
    folder: Path = field(default_factory=Path)  # the spec's by default
    beside: Path = field(default_factory=Path)  # the spec's folder: what a query or a table names is in or below it
    images: Path | None = None  # a folder of pictures
    texts: Path | None = None  # a folder of ``.txt`` files
    labelled: bool = False  # the files are in subfolders that have the names of their classes
    windows: Windows | None = None  # windows over the rows are the rows of the data
    in_order: bool = False  # a split takes the last rows; ``by_time``, the last part of the windows' time
    by_time: bool = False
    origins: int | None = None  # for windows, how many of the last horizons of each series are split off, each a window
    allow: tuple[Path, ...] = ()  # further folders in which the query's files may be
    group: str | None = None  # the column whose value keeps training rows together, in a split and in folds
    folds: int | None = None  # the folds of the training rows, each validated by the copy that is trained without it
    form: TextForm = TextForm()  # how a table of text is read

    @property
    def has_rows(self) -> bool:
        """False for a split, which has no rows of its own."""
        return self.query is not None or bool(self.paths)

    @property
    def is_split(self) -> bool:
        """Whether the rows are a part of the training rows."""
        return self.split is not None or self.origins is not None

    @property
    def at_origins(self) -> str:
        """The words for what is split off at rolling origins; empty for other splits."""
        last = "horizon" if self.origins == 1 else f"{self.origins} horizons"
        return "" if self.origins is None else f"the last {last} of each series"

    @property
    def subject(self) -> str:
        """The data file or the query as the subject of a sentence."""
        if self.query is not None:
            return "the query" if self.file is None else f"the query of '{self.file}'"
        rows = self.images or self.texts
        name = str(self.file or rows)
        noun = "data file" if self.file is not None else "file" if rows is not None and rows.is_file() else "folder"
        return f"{noun} '{name}'" if name.isprintable() else f"{noun} {name!r}"

    @property
    def where(self) -> str:
        """The file, the folder or the query, of which a column is."""
        return "the query" if self.query is not None else f"'{self.file or self.images or self.texts}'"

    def at(self, path: Path, *, texts: bool | None = None) -> DataSource:
        """Return the source with its rows in another file, or in a folder of texts or pictures like this one.

        ``texts``: whether the path is a folder of texts, or one text; False: pictures, or one picture.
        """
        key = "file" if texts is None and not path.is_dir() else "images"
        if key == "images" and (self.texts is not None if texts is None else texts):
            key = "texts"
        none: dict[str, Any] = dict.fromkeys(("file", "images", "texts", "query", "split", "stratify"))
        return replace(self, **none | {key: path})

    @property
    def paths(self) -> list[Path]:
        """The file or folder of the rows."""
        return [path for path in (self.file, self.images, self.texts) if path is not None]


@dataclass(frozen=True, slots=True, repr=False)
class Spec:
    """An expanded spec.

    Attributes:
        document: the plain document with overrides, before variables and blocks are expanded.
        base: the folder of the spec, to which file names are relative; None for a dict.
        form: which form of ``training.forms`` it is; None without forms. ``document`` and ``tree`` have none's overrides.
        draws: whether its weights are drawn; False if they exist, and files of initial values are not opened.
        search: the section ``search``, which is no part of ``document``: training ignores it.
        heads: the heads with an output.
        terms: the heads that are for training only.
        weights: the files of initial weights that nodes and block instances name, the outer ones first.
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
    search: Search | None = None
    draws: bool = True
    terms: dict[str, HeadDecl] = field(default_factory=dict)
    weights: list[WeightFile] = field(default_factory=list)
    form: str | None = None

    @property
    def weight_files(self) -> list[WeightFile]:
        """All files of initial weights: the network's, then those of its parts."""
        whole = self.training.initial_weights
        return [*([] if whole is None else [whole]), *self.weights]

    @property
    def all_heads(self) -> dict[str, HeadDecl]:
        """The heads with an output, then those that are for training only."""
        return self.heads | self.terms

    @property
    def held_out_weights(self) -> list[str]:
        """The names of the weights that a training learns at its end, from rows that it has held out."""
        return [name for head in self.heads.values() for name in head.held_out_weights]

    def head_of(self, output: str) -> tuple[HeadDecl, str]:
        """Return the head of an output, and which of ``BOUNDS`` the output is, if it is an end of an interval."""
        return next((h, end) for h in self.heads.values() for end in ("", *BOUNDS) if h.name + end == output)

    @property
    def trained(self) -> list[HeadDecl]:
        return [head for head in self.all_heads.values() if head.loss is not None]

    def __repr__(self) -> str:
        counts = ((len(self.inputs), "input"), (len(self.nodes), "layer"), (len(self.all_heads), "head"))
        parts = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
        return f"<graphspec.Spec '{shorten(printable(self.name))}': {parts}>"

    def allowing(self, folders: Sequence[Path]) -> Spec:
        """Return the spec with further folders in which the files of queries may be."""
        data = {part: replace(source, allow=(*source.allow, *folders)) for part, source in self.data.items()}
        return replace(self, data=data)


# Durations: the step of a series, such as ``15min``, ``1month``, or 1 for times that are numbers.
MICROSECONDS = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
"""Units of a fixed length; a day is one of the calendar, so that it may have 23 hours."""
MONTHS = {"month": 1, "y": 12}  # units whose length the calendar gives
_FORM = re.compile(r"([1-9]\d{0,3})(" + "|".join([*MICROSECONDS, *MONTHS]) + ")")


@dataclass(frozen=True, slots=True)
class Every:
    """The step of a series: ``count`` units, or for times that are numbers, ``count`` of them and the unit ``""``."""

    count: int
    unit: str = ""

    @classmethod
    def of(cls, value: object) -> Every | None:
        """Return the step that a spec writes; None if it is none."""
        if isinstance(value, str):
            found = _FORM.fullmatch(value)
            return None if found is None else cls(int(found[1]), found[2])
        return cls(value) if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10_000 else None

    @property
    def in_days(self) -> bool:
        """Whether it is a step of the calendar, which clocks that are set back do not change."""
        return self.unit in ("d", "w", *MONTHS)

    @property
    def months(self) -> int:
        """The months of a step of months or years; 0 for others."""
        return self.count * MONTHS.get(self.unit, 0)

    @property
    def size(self) -> int:
        """The microseconds, or the difference of numbers; months have none."""
        return self.count * MICROSECONDS.get(self.unit, 1)

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"

    def ahead(self, steps: int) -> str:
        """Return the words for the time after some steps, such as ``+3h``."""
        return f"+{self.count * steps}{self.unit}"


# Suffixes of the arrays that belong to a head: a head's name and a suffix are the name of the array.
WEIGHT = "_sample_weight"  # the weight of each row, or of each time step
LENGTH = "_length"  # for CTC, the number of labels of each row
STEPS = "_input_length"  # for CTC, the number of time steps of each row
SUFFIXES = (WEIGHT, LENGTH, STEPS)  # the arrays that data may contain beside a head's targets
BOUNDS = ("_low", "_high")  # the ends of an interval around a head: outputs of the network
LABEL = "_label"  # the labels of the predicted classes: an output of ONNX files and of ``graphspec predict``


# The values that the losses of heads read, and the names in ``Graph.loss_inputs`` of those that are no outputs.
TRAINED = "trained:"  # then the head's name: its node, if the answers are computed from what is trained


def node_of(head: str, k: int) -> str:
    """Return the name of node k of a head without an output."""
    return f"{head}:{k}"  # names of heads contain no colon


def scale_of(head: str) -> tuple[str, str]:
    """Return the names of the level and of the deviation of a window by which a head's target is scaled."""
    return f"level:{head}", f"deviation:{head}"


def given_of(head: str) -> str:
    """Return the name of the value with which a head compares."""
    return f"target:{head}"


def nodes_of(graph: Graph, head: HeadDecl) -> list[Value]:
    """Return the values that a head's loss compares, or compares with its target."""
    if not head.only_trained:
        return [graph.outputs[head.name]]
    return [graph.loss_inputs[node_of(head.name, k)] for k in range(len(head.layers))]
