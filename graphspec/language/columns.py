"""Records: the types of their columns, and the inputs and nodes ``record/column`` that they are expanded to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, Config, PositiveInt, Registry, invalid
from graphspec.base.errors import Mark, Problems, did_you_mean
from graphspec.graph.ir.graph import MISSING_INTEGER
from graphspec.language.explain import validate
from graphspec.language.names import MAX_NAME, InputRef, Item, Scope, bad_name, claim, is_name
from graphspec.language.tree import Tree, describe, format_names, intended_keys

# Arguments of columns that say what stands for a missing number, and how numbers are scaled.
_NEIGHBOURS = (
    *("bfill", "ffill", "backfill", "pad", "backward", "forward", "previous", "next"),
    *("interpolate", "linear", "nearest", "knn"),
)
_DROPS = ("drop", "drop_row", "drop_rows", "dropna", "skip", "ignore")
_FILL = "write `median`, `mean`, `zero` or a number; `indicator: true` tells the network which ones were missing"


def _missing(value: Any) -> Any:
    if value in _NEIGHBOURS:
        raise invalid(f"cannot be '{value}': a single record has no neighbours", _FILL)
    if value in _DROPS:
        raise invalid(f"cannot be '{value}': a single record needs an answer and cannot be left out", _FILL)
    return value


def _missing_date(value: Any) -> Any:
    if value == "error":
        text = "cannot be 'error', since only the graph reads dates: one that it cannot read is missing"
        raise invalid(text, _FILL)
    return _missing(value)


Missing = Annotated[
    Literal["median", "mean", "zero", "error"] | float,
    BeforeValidator(_missing),
    Field(
        description="What stands for a missing number: learnt from the training rows, zero, this number; or an error."
    ),
]
MissingPart = Annotated[
    Literal["median", "mean", "zero"] | float,
    BeforeValidator(_missing_date),
    Field(description="What stands for the parts of a missing or unreadable date."),
]
Indicator = Annotated[bool, Field(description="Whether a further number is 1 where the value was missing.")]


def impute(missing: str | float, indicator: bool) -> dict[str, Any]:
    """Return the arguments of Impute."""
    arguments: dict[str, Any] = {"strategy": missing}
    if not isinstance(missing, str):
        arguments = {"strategy": "constant", "fill_value": float(missing)}
    return arguments | ({"indicator": True} if indicator else {})


class Bins(NamedTuple):
    """A scale: the number of intervals with equally many training rows."""

    bins: int


_SCALES = ("standard", "minmax", "log1p", "none")
_SCALE = f"write {', '.join(f'`{scale}`' for scale in _SCALES)} or `{{bins: 10}}`"


def _scale(value: Any) -> Any:
    if isinstance(value, str):
        if value not in _SCALES:
            text = f"must be one of {', '.join(_SCALES)} or {{bins: n}}"
            raise invalid(text, did_you_mean(value, _SCALES) or _SCALE, show_value=True)
        return value
    count = value.get("bins") if isinstance(value, dict) and len(value) == 1 else None
    if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= 10_000:
        raise invalid("must be a word or {bins: n} with 2 to 10,000 bins", _SCALE, show_value=True)
    return Bins(count)


_SCALE_SCHEMA = {
    "anyOf": [
        {"type": "string", "enum": list(_SCALES)},
        {
            "type": "object",
            "properties": {"bins": {"type": "integer", "minimum": 2, "maximum": 10_000}},
            "required": ["bins"],
            "additionalProperties": False,
        },
    ]
}
Scale = Annotated[
    Any,
    BeforeValidator(_scale),
    WithJsonSchema(_SCALE_SCHEMA),
    Field(description="standard: mean 0, deviation 1; minmax: 0 to 1; log1p: the logarithm first; or one-hot bins."),
]


# The types of the columns of a record. Their arguments are the fields of classes, and each names its layers.
class Step(NamedTuple):
    """One layer of a column: the end of its name (empty for the column's own node), its type and arguments.

    ``inputs`` are ends of names, too; ``:1`` is output 1, and None the input of the column.
    """

    end: str
    type: str
    inputs: tuple[str | None, ...]
    arguments: dict[str, Any]


class Column(Config):
    """Base of the types of columns."""

    vector: ClassVar[bool] = True
    """Whether the column becomes a part of the record's vector."""
    sources: ClassVar[Mapping[str, str]] = {}
    """The keys of the column from which arguments of layers with another name come."""

    column: str | None = Field(None, description="The column's name in files, if it is not its name here.")
    description: str = Field("", description="What it is, in which unit: the exported file has this text.")

    @property
    def input(self) -> tuple[str, list[int | None]]:
        """The dtype and the shape of the input."""
        return "string", [1]

    def steps(self) -> list[Step]:
        """Return the layers of the column in order."""
        raise NotImplementedError


COLUMNS: Registry[Column] = Registry("column type", "number")
"""All types of columns by name."""
OTHER_WORDS = {
    **dict.fromkeys(("float", "float32", "float64", "int", "integer", "numeric", "numerical", "continuous"), "number"),
    **dict.fromkeys(("categorical", "enum", "bool", "boolean", "int64", "ordinal"), "category"),
    **dict.fromkeys(("datetime", "timestamp", "time"), "date"),
    **dict.fromkeys(("picture", "photo"), "image"),
}
"""Words of other tools for the types of columns."""


def type_hint(name: str) -> str:
    """Return a hint for an unknown type of a column."""
    if name in ("string", "str", "object"):
        return "write `category` for one of some values, or `text` for words"
    if (word := OTHER_WORDS.get(name.lower())) is not None:
        return f"write `{word}`"
    return did_you_mean(name, COLUMNS.names()) or f"the types are {', '.join(COLUMNS.names())}"


@COLUMNS.add("number")
class Number(Column):
    """A number: missing ones are filled, then all are scaled by what the training rows show."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "fill_value": "write the number as `missing: 0.5`",
        "strategy": "write `missing: median`",
        "bins": "write `scale: {bins: 10}`",
    }
    sources: ClassVar[Mapping[str, str]] = {"strategy": "missing", "fill_value": "missing", "num_bins": "scale"}

    missing: Missing = "median"
    indicator: Indicator = False
    scale: Scale = "standard"
    missing_values: Annotated[tuple[float | int | str, ...], FROM_LIST] = Field(
        (), description="Numbers that mean missing, such as -1, and texts of data files, such as unknown."
    )

    @model_validator(mode="after")
    def _nothing_to_indicate(self) -> Number:
        if self.missing_values and self.missing == "error":
            text = "cannot be used with `missing: error`, which fills nothing"
            raise invalid(text, "set `missing: median`", key="missing_values")
        if self.indicator and self.missing == "error":
            raise invalid("cannot be true where a missing number is an error", "set `missing: median`", key="indicator")
        return self

    @property
    def input(self) -> tuple[str, list[int | None]]:
        """The dtype and the shape of the input."""
        return "float32", [1]

    def steps(self) -> list[Step]:
        """Return the layers of the column in order."""
        layers: list[Step] = []
        if self.missing != "error":
            arguments = impute(self.missing, self.indicator)
            if self.missing_values:
                arguments["missing_values"] = list(self.missing_values)
            layers.append(Step("filled", "Impute", (None,), arguments))
        if isinstance(self.scale, Bins):
            arguments = {"num_bins": self.scale.bins, "output_mode": "one_hot"}
            layers.append(Step("scaled", "Discretization", _after(layers), arguments))
        elif self.scale == "minmax":
            layers.append(Step("scaled", "MinMaxScaling", _after(layers), {}))
        elif self.scale != "none":
            if self.scale == "log1p":
                layers.append(Step("log", "Log1p", _after(layers), {}))
            layers.append(Step("scaled", "Normalization", _after(layers), {}))
        return _finished(layers, self.indicator)


def _after(layers: Sequence[Step]) -> tuple[str | None, ...]:
    """Return the inputs of the layer after ``layers``."""
    return (layers[-1].end if layers else None,)


def _finished(layers: list[Step], indicator: bool) -> list[Step]:
    """Return ``layers`` with the column's own node as the last one, joined to the indicators if there are any."""
    if indicator:
        return [*layers, Step("", "Concatenate", (layers[-1].end, "filled:1"), {"axis": -1})]
    if not layers:
        return [Step("", "Identity", (None,), {})]
    return [*layers[:-1], layers[-1]._replace(end="")]


# Categories and texts

Vocabulary = Annotated[tuple[str, ...], FROM_LIST] | Annotated[tuple[int, ...], FROM_LIST] | str | None
MissingValues = Annotated[tuple[str, ...], FROM_LIST] | Annotated[tuple[int, ...], FROM_LIST]
Embed = Annotated[
    PositiveInt | None, Field(description="The size of a trained vector for each value; without it, one-hot.")
]


def encoded(ids: str, embed: int | None, arguments: Mapping[str, Any] | None = None) -> list[Step]:
    """Return the layers after the layer with the end ``ids``: one-hot vectors, or trained vectors."""
    if embed is None:
        return [Step("", "CategoryEncoding", (ids,), {"num_tokens": None, "output_mode": "one_hot"})]
    embedding = {"input_dim": None, "output_dim": embed, **(arguments or {})}
    return [Step("embedded", "Embedding", (ids,), embedding), Step("", "Flatten", ("embedded",), {})]


@COLUMNS.add("category")
class Category(Column):
    """One of some values. Id 0 is missing, 1 unseen in training; the known values follow, the most frequent first."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "missing": "a missing category has a class of its own; `missing_values: [NA]` lists values that mean missing",
        "missing_tokens": "write `missing_values: [NA]`",
        "output_dim": "write `embed: 8`",
        "labels": "write `vocabulary: [red, green]`",
    }
    sources: ClassVar[Mapping[str, str]] = {"output_dim": "embed", "missing_tokens": "missing_values"}

    dtype: Literal["string", "int64"] = Field("string", description="Data type of the values in apps.")
    min_count: PositiveInt = Field(2, description="Values in fewer training rows count as unseen.")
    max_tokens: PositiveInt | None = Field(
        None, description="The largest number of ids, including those of missing and unseen values."
    )
    vocabulary: Vocabulary = Field(None, description="The known values, or a file with one per line; else learnt.")
    missing_values: MissingValues = Field((), description="Values that mean missing, such as NA.")
    fold_case: bool = Field(False, description="Whether texts that differ in case only are one value.")
    embed: Embed = None

    @model_validator(mode="after")
    def _one_kind(self) -> Category:
        wanted = str if self.dtype == "string" else int
        for key, value in (("vocabulary", self.vocabulary), ("missing_values", self.missing_values)):
            if isinstance(value, tuple) and not all(isinstance(item, wanted) for item in value):
                kinds = ("text", "`dtype: int64`") if wanted is str else ("integers", "`dtype: string`")
                raise invalid(f"must contain {kinds[0]}", f"or set {kinds[1]}", key=key)
        if self.fold_case and self.dtype != "string":
            raise invalid("needs texts", "set `dtype: string`", key="fold_case")
        if self.vocabulary is not None and "min_count" in self.model_fields_set:
            raise invalid("cannot be used with `vocabulary`, which is complete", "remove one of them", key="min_count")
        return self

    @property
    def input(self) -> tuple[str, list[int | None]]:
        """The dtype and the shape of the input."""
        return self.dtype, [1]

    def steps(self) -> list[Step]:
        """Return the layers of the column in order."""
        text = self.dtype == "string"
        arguments: dict[str, Any] = {"mask_token": "" if text else MISSING_INTEGER, "output_mode": "int"}
        if self.vocabulary is not None:
            arguments["vocabulary"] = self.vocabulary
        else:
            arguments["min_count"] = self.min_count
        if self.max_tokens is not None:
            arguments["max_tokens"] = self.max_tokens
        if self.missing_values:
            arguments["missing_tokens"] = self.missing_values
        if self.fold_case:
            arguments["fold_case"] = True
        lookup = Step("ids", "StringLookup" if text else "IntegerLookup", (None,), arguments)
        return [lookup, *encoded("ids", self.embed)]


def _no_sequence(value: Any) -> Any:
    if value == "int":
        text = "cannot be 'int', since a record is a vector and ids in order are a sequence"
        raise invalid(text, "give the text an input of its own, `{dtype: string}`, and a TextVectorization")
    return value


@COLUMNS.add("text")
class Text(Column):
    """Words, as numbers of their occurrences."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "embed": "give the text an input of its own, `{dtype: string}`, a TextVectorization and an Embedding",
        "missing": "a missing text has no words, and all its numbers are 0",
    }

    max_tokens: PositiveInt | None = Field(
        5000, description="The largest number of different words, with the unseen ones."
    )
    output_mode: Annotated[Literal["tf_idf", "multi_hot", "count"], BeforeValidator(_no_sequence)] = Field(
        "tf_idf", description="tf_idf: occurrences, weighted by rarity; multi_hot: ones; count: occurrences."
    )
    ngrams: PositiveInt | Annotated[tuple[PositiveInt, ...], FROM_LIST] | None = Field(
        None, description="Also up to n words in a row; or a list of these numbers of words."
    )
    standardize: Literal["lower_and_strip_punctuation", "lower", "strip_punctuation"] | None = Field(
        "lower_and_strip_punctuation", description="What is done to the text before it is split."
    )
    split: Literal["whitespace", "character"] | None = Field(
        "whitespace", description="How the text is split; null takes it as one word."
    )
    vocabulary: Annotated[tuple[str, ...], FROM_LIST] | str | None = Field(
        None, description="The known words, or a file with one per line; else learnt."
    )

    @model_validator(mode="after")
    def _weights(self) -> Text:
        if self.vocabulary is not None and self.output_mode == "tf_idf":
            text = "cannot be used with `output_mode: tf_idf`, whose weights are learnt with the words"
            raise invalid(text, "set `output_mode: multi_hot`, or leave `vocabulary` out", key="vocabulary")
        return self

    def steps(self) -> list[Step]:
        """Return the layers of the column in order."""
        arguments: dict[str, Any] = {"max_tokens": self.max_tokens, "output_mode": self.output_mode}
        for key in ("ngrams", "standardize", "split", "vocabulary"):
            if key in self.model_fields_set:
                arguments[key] = getattr(self, key)
        return [Step("", "TextVectorization", (None,), arguments)]


# Dates and images

DatePart = Literal["year", "month", "day", "weekday", "hour", "minute", "days"]


@COLUMNS.add("date")
class Date(Column):
    """A date, as numbers of its parts. A date that cannot be read is missing."""

    sources: ClassVar[Mapping[str, str]] = {"strategy": "missing", "fill_value": "missing"}

    format: str | None = Field(None, description="The order of the numbers, such as `%d/%m/%Y`; ISO 8601 without it.")
    parts: Annotated[
        Annotated[tuple[DatePart, ...], Field(min_length=1)],
        FROM_LIST,
        Field(description="The parts that become numbers; `days` counts the days since 1970-01-01."),
    ] = ("year", "month", "day", "weekday")
    cyclic: bool = Field(True, description="Whether all parts but `year` and `days` are sine and cosine.")
    missing: MissingPart = "median"
    indicator: Indicator = False

    @model_validator(mode="after")
    def _once(self) -> Date:
        twice = next((part for part in self.parts if self.parts.count(part) > 1), None)
        if twice is not None:
            raise invalid(f"contains '{twice}' twice", "remove one of them", key="parts")
        return self

    def steps(self) -> list[Step]:
        """Return the layers of the column in order."""
        arguments: dict[str, Any] = {} if self.format is None else {"format": self.format}
        arguments |= {"parts": self.parts, "cyclic": self.cyclic}
        layers = [
            Step("parts", "DateParts", (None,), arguments),
            Step("filled", "Impute", ("parts",), impute(self.missing, self.indicator)),
            Step("scaled", "Normalization", ("filled",), {}),
        ]
        return _finished(layers, self.indicator)


@COLUMNS.add("image")
class Image(Column):
    """An image of any size: resized in the graph, with values from 0 to 1. It is no part of the record's vector."""

    vector: ClassVar[bool] = False
    sources: ClassVar[Mapping[str, str]] = {"height": "shape", "width": "shape"}

    shape: Annotated[
        tuple[PositiveInt, PositiveInt, Literal[1, 3, 4]],
        FROM_LIST,
        WithJsonSchema({"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 3, "maxItems": 3}),
        Field(description="Height and width after resizing, and the channels: 1, 3 or 4."),
    ]

    @property
    def input(self) -> tuple[str, list[int | None]]:
        """The dtype and the shape of the input."""
        return "uint8", [None, None, self.shape[2]]

    def steps(self) -> list[Step]:
        """Return the layers of the column in order."""
        height, width, _ = self.shape
        return [
            # scaled first: Resizing rounds integers, and two runtimes may round a half differently
            Step("scaled", "Rescaling", (None,), {"scale": 1 / 255}),
            Step("", "Resizing", ("scaled",), {"height": height, "width": width}),
        ]


MAX_CROSSED = 8
"""The largest number of columns of a cross."""
EXAMPLE = "for example `columns: {age: number, job: category}`"


class RecordKeys(Config):
    """A record: each column is an input of its own, and the network reads their vector."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "shape": "the type of each column says its shape",
        "dtype": "the type of each column says its dtype; a category has `dtype: int64` for integers",
        "column": "write it at each column: `age: {type: number, column: Age}`",
    }

    columns: dict[str, Any] = Field(description="Columns by name: a type, or a mapping with `type` and its arguments.")
    crosses: list[Any] = Field([], description="Combinations of categories: lists of columns, or mappings.")


def _some(columns: tuple[str, ...]) -> tuple[str, ...]:
    if not 2 <= len(columns) <= MAX_CROSSED:
        raise invalid(f"must have 2 to {MAX_CROSSED} columns, not {len(columns)}", "for example `[job, city]`")
    return columns


class Cross(Config):
    """The combinations of the values of some category columns, hashed into bins."""

    sources: ClassVar[Mapping[str, str]] = {"output_dim": "embed", "input_dim": "num_bins"}

    columns: Annotated[
        tuple[str, ...], FROM_LIST, AfterValidator(_some), Field(description="The category columns, 2 to 8.")
    ]
    num_bins: PositiveInt = Field(1000, description="The number of bins; combinations may share one.")
    embed: Embed = None

    def steps(self) -> list[Step]:
        """Return the layers of the cross in order. None stands for its inputs."""
        if self.embed is None:
            return [Step("", "HashedCrossing", (None,), {"num_bins": self.num_bins, "output_mode": "one_hot"})]
        hashed = Step("ids", "HashedCrossing", (None,), {"num_bins": self.num_bins})
        return [hashed, *encoded("ids", self.embed, {"input_dim": self.num_bins})]


@dataclass(slots=True)
class Part:
    """A column or a cross of a record.

    Attributes:
        name: the column's key, or ``a_x_b``.
        input: the input of a column; None for a cross.
        nodes: entries of ``layers``; the last one has the name ``record/name``.
        wrong: whether it has a reported error. Its values are then unknown.
    """

    kind: Literal["column", "cross"]
    name: str
    mark: Mark
    path: str
    config: Column | Cross | None = None
    input: Tree | None = None
    nodes: list[Tree] = field(default_factory=list)
    wrong: bool = False


@dataclass(slots=True)
class Record:
    """An expanded record.

    Attributes:
        whole: the entry of the node with the record's name; None for a record of images.
        incomplete: whether the names of some columns are unknown because of an error.
    """

    name: str
    mark: Mark
    path: str
    parts: list[Part]
    whole: Tree | None
    incomplete: bool

    @property
    def wrong(self) -> bool:
        """Whether the values of the record are unknown."""
        return self.incomplete or any(part.wrong for part in self.parts)


def is_record(tree: Tree) -> bool:
    """Return whether an entry of ``inputs`` is a record, also with a misspelt ``columns``."""
    if not isinstance(tree.value, dict) or "shape" in tree.value:
        return isinstance(tree.value, dict) and "columns" in tree.value
    if not tree.value.keys().isdisjoint(("columns", "crosses")):
        return True
    nested = Tree({key: child for key, child in tree.value.items() if isinstance(child.value, dict)}, tree.mark)
    return bool(nested.value) and "columns" in intended_keys(nested, ("columns",))


def expand_record(name: str, tree: Tree, mark: Mark, problems: Problems) -> Record:
    """Return the parts of a record. Problems are collected, and wrong columns have no nodes but their own."""
    path = tree.path
    before = len(problems.found)
    subject = f"record '{name}'"
    validate(RecordKeys, tree, subject, problems)
    declared = tree.get("columns")
    parts: list[Part] = []
    if declared is not None and isinstance(declared.value, dict):
        if not declared.value:
            problems.value(declared, Code.VALUE_NOT_ALLOWED, f"`columns` of {subject} is empty", hint=EXAMPLE)
        parts = [_column(name, key, declared, problems) for key in declared.value]
    incomplete = (not parts and len(problems.found) > before) or tree.unknown
    columns = {part.name: part for part in parts}
    crosses = tree.get("crosses")
    if crosses is not None and isinstance(crosses.value, list):
        parts += [_cross(name, child, columns, problems) for child in crosses.value]
    vectors = [
        part for part in parts if part.nodes if part.wrong or not isinstance(part.config, Column) or part.config.vector
    ]
    whole = None
    if vectors or not parts:
        nodes = [f"{name}/{part.name}" for part in vectors]
        joined: tuple[str, dict[str, Any]] = ("Concatenate", {"axis": -1}) if len(nodes) > 1 else ("Identity", {})
        kind, arguments = ("", {}) if incomplete or any(part.wrong for part in parts) else joined
        whole = _entry(name, kind, arguments, nodes, Tree({}, mark, path=path), {})
    return Record(name, mark, path, parts, whole, incomplete)


def _column(record: str, name: str, columns: Tree, problems: Problems) -> Part:
    """Return the input and the nodes of a column."""
    tree: Tree = columns.value[name]
    part = Part("column", name, columns.key_marks.get(name, tree.mark), tree.path)
    before = len(problems.found)
    config = _config(name, tree, problems)
    if not is_name(name):
        message, hint = bad_name("column name", name)
        if len(name) <= MAX_NAME and hint.startswith("for example "):
            kind = tree.get("type") or tree
            key = hint.removeprefix("for example ").strip("'")
            word = kind.value if isinstance(kind.value, str) else "…"
            hint = f'write `{key}: {{column: "{name}", type: {word}}}`'
        problems.at(part.mark, Code.VALUE_NOT_ALLOWED, message, path=part.path, hint=hint)
    part.config = config
    part.wrong = config is None or len(problems.found) > before
    at = Tree(tree.value, part.mark, tree.key_marks, tree.path)
    if config is None or part.wrong:
        part.input = Tree(None, part.mark, path=part.path, unknown=True)
        part.nodes = [_entry(f"{record}/{name}", "", {}, [], at, {})]
        return part
    dtype, shape = config.input
    keys = {"shape": shape, "dtype": dtype} | ({} if config.column is None else {"column": config.column})
    keys |= {"description": config.description} if config.description else {}
    part.input = _grown(keys, at)
    part.nodes = _entries(f"{record}/{name}", config.steps(), [name], at, config.sources)
    return part


def _config(name: str, tree: Tree, problems: Problems) -> Column | None:
    """Return the parsed type of a column with its arguments, or None if it is wrong."""
    if tree.unknown and not isinstance(tree.value, dict):
        return None
    subject = f"column '{name}'"
    kind = tree.get("type") if isinstance(tree.value, dict) else tree
    if kind is None:
        for key in tree.value:
            if (close := did_you_mean(key, ("type",))) is not None:
                problems.key(tree, key, Code.UNKNOWN_KEY, f"unknown key '{key}' of {subject}", hint=close)
                return None
        hint = f"for example `{name}: {{type: number}}`"
        problems.node(tree, Code.MISSING_KEY, f"{subject} needs `type`", hint=hint, subject="type")
        return None
    if not isinstance(kind.value, str):
        if not kind.unknown:
            what = "`type` of " * (kind is not tree) + subject
            message = f"{what} must be the name of a type, not {describe(kind)}"
            hint = "delete the column to leave it out; " if kind.value is None else ""
            problems.value(kind, Code.WRONG_TYPE, message, hint=f"{hint}the types are {', '.join(COLUMNS.names())}")
        return None
    cls = COLUMNS.get(kind.value)
    if cls is None:
        message = f"{subject} has an unknown type '{kind.value}'"
        problems.value(kind, Code.UNKNOWN_CLASS, message, hint=type_hint(kind.value))
        return None
    body = tree if kind is not tree else Tree({}, tree.mark, path=tree.path)
    return validate(cls, body, subject, problems, without=("type",))


def _cross(record: str, tree: Tree, columns: Mapping[str, Part], problems: Problems) -> Part:
    """Return the nodes of a cross."""
    before = len(problems.found)
    subject = f"a cross of record '{record}'"
    body = Tree({"columns": tree}, tree.mark, {"columns": tree.mark}, tree.path) if _is_list(tree) else tree
    config: Cross | None = None
    if isinstance(body.value, dict):
        config = validate(Cross, body, subject, problems)
    elif not tree.unknown:
        message = f"{subject} must be a list of columns, not {describe(tree)}"
        problems.value(tree, Code.WRONG_TYPE, message, hint="for example `crosses: [[job, city]]`")
    listed = body.get("columns")
    items = listed.value if listed is not None and config is not None else []
    known = [name for name, part in columns.items() if isinstance(part.config, Category)]
    for k, item in enumerate(items):
        part = columns.get(item.value)
        if part is None and not columns:
            continue  # `columns` is missing or wrong, which is reported
        if part is None:
            hint = did_you_mean(item.value, known) or f"the categories are {format_names(known)}"
            message = f"{subject} names an unknown column '{item.value}'"
            problems.value(item, Code.UNKNOWN_NODE, message, hint=hint)
        elif item.value not in known and part.config is not None:
            kind = next(word for word in COLUMNS.names() if COLUMNS.get(word) is type(part.config))
            message = f"{subject} joins categories, but column '{item.value}' is a {kind}"
            hint = f"categories are {format_names(known)}" if known else "make it a category"
            problems.value(item, Code.VALUE_NOT_ALLOWED, message, hint=hint)
        elif any(other.value == item.value for other in items[:k]):
            message = f"{subject} names column '{item.value}' twice"
            problems.value(item, Code.VALUE_NOT_ALLOWED, message, hint="remove one of them")
    name = "_x_".join(config.columns) if config is not None else ""
    if len(name) > MAX_NAME:
        message = f"{subject} has a name of {len(name):,} characters, at most {MAX_NAME}"
        problems.value(tree, Code.VALUE_NOT_ALLOWED, message, hint="give its columns shorter names")
    mark = tree.first_key if isinstance(tree.value, dict) else tree.mark
    part = Part("cross", name, mark, tree.path, config, wrong=config is None or len(problems.found) > before)
    part.wrong = part.wrong or any(item.value not in columns or columns[item.value].wrong for item in items)
    at = Tree(body.value, mark, body.key_marks, tree.path)
    if config is None or part.wrong:
        part.nodes = [_entry(f"{record}/{name}", "", {}, [], at, {})] if name else []
    else:
        part.nodes = _entries(f"{record}/{name}", config.steps(), config.columns, at, config.sources)
    return part


def _is_list(tree: Tree) -> bool:
    return isinstance(tree.value, list)


# Trees


def _entries(
    prefix: str, steps: Iterable[Step], inputs: Sequence[str], at: Tree, sources: Mapping[str, str]
) -> list[Tree]:
    """Return the entries of ``layers`` for the steps of a column or a cross that reads ``inputs``."""
    entries = []
    for step in steps:
        names = [name for end in step.inputs for name in (inputs if end is None else [f"{prefix}/{end}"])]
        entries.append(_entry(f"{prefix}/{step.end}".rstrip("/"), step.type, step.arguments, names, at, sources))
    return entries


def _entry(
    name: str, kind: str, arguments: Mapping[str, Any], inputs: Sequence[str], at: Tree, sources: Mapping[str, str]
) -> Tree:
    """Return one entry. Arguments that the column sets have their position, all others that of the column."""
    plain = {"name": name, "type": kind, "inputs": [*inputs]}
    children: dict[str, Tree] = {key: _grown(value, at) for key, value in plain.items() if value != ""}
    for key, value in arguments.items():
        written = at.get(sources.get(key, key))
        if written is None:
            children[key] = _grown(value, at)
        else:
            children[key] = written if key not in sources else _grown(value, written)
    return Tree(children, at.mark, dict.fromkeys(children, at.mark), at.path)


def _grown(value: Any, at: Tree) -> Tree:
    """Return the tree of a plain value with the position of ``at``."""
    if isinstance(value, dict):
        children = {key: _grown(child, at) for key, child in value.items()}
        tree = Tree(children, at.mark, dict.fromkeys(children, at.mark), at.path)
    elif isinstance(value, list | tuple):
        tree = Tree([_grown(child, at) for child in value], at.mark, None, at.path)
    else:
        tree = Tree(value, at.mark, None, at.path)
    tree.origin = at.origin
    return tree


# Declare the inputs of the document and the nodes of its records.
MAX_PARTS = 10_000
"""The largest number of columns and crosses of a spec."""


def declare_inputs(top: Scope, inputs: Tree, problems: Problems) -> Tree:
    """Let the names of inputs, columns and nodes of records stand for them.

    Returns:
        The inputs, each record replaced by those of its columns.
    """
    if not isinstance(inputs.value, dict):
        top.incomplete = True
        return inputs
    declared: dict[str, Tree] = {}
    marks: dict[str, Mark] = {}
    parts = 0
    for name, tree in inputs.value.items():
        mark, path = inputs.key_marks.get(name, tree.mark), inputs.child_path(name)
        if is_record(tree):
            parts += sum(
                len(at.value) for key in ("columns", "crosses") if (at := tree.get(key)) is not None and _is_long(at)
            )
            if parts > MAX_PARTS:
                message = f"the records have more than {MAX_PARTS:,} columns and crosses"
                hint = "join columns of one kind: an input with a `shape` takes a list of columns in `data`"
                problems.at(mark, Code.DOCUMENT_TOO_LARGE, message, path=path, hint=hint)
                top.incomplete = True
                break
            _declare(top, expand_record(name, tree, mark, problems), declared, marks, problems)
        else:
            item = Item("input", name, top, tree)
            claim(top, name, item, mark, path, "input", problems)
            top.default_inputs[name] = item
            declared[name], marks[name] = tree, mark
    return Tree(declared, inputs.mark, marks, inputs.path, unknown=inputs.unknown or top.incomplete)


def _is_long(tree: Tree) -> bool:
    """Return whether a value has a length."""
    return isinstance(tree.value, dict | list)


def _declare(top: Scope, record: Record, declared: dict[str, Tree], marks: dict[str, Mark], problems: Problems) -> None:
    """Declare the inputs and nodes of a record, and add its inputs to ``declared``."""
    top.incomplete = top.incomplete or record.incomplete
    for part in record.parts:
        if part.input is not None:
            item = Item("input", part.name, top, part.input)
            item.label = "column"
            claim(top, part.name, item, part.mark, part.path, "column", problems)
            if top.names[part.name] is item:
                declared[part.name], marks[part.name] = part.input, part.mark
            else:
                part.wrong = True
        last = [_node(top, tree, part.kind, part, problems) for tree in part.nodes][-1:]
        if record.whole is None and last:
            top.default_inputs[last[0].name] = last[0]
    if record.whole is not None:
        whole = Part("column", record.name, record.mark, record.path, wrong=record.wrong)
        top.default_inputs[record.name] = _node(top, record.whole, "record", whole, problems)


def _node(top: Scope, tree: Tree, label: str, part: Part, problems: Problems) -> Item:
    """Declare a node of a record."""
    item = Item("node", tree.value["name"].value, top, tree)
    item.label, item.failed = label, part.wrong
    item.sources = [InputRef.named(top, name) for name in tree.value["inputs"].value]
    claim(top, item.name, item, part.mark, part.path, label, problems)
    top.items.append(item)
    return item
