"""The types of the columns of a record. Their arguments are the fields of classes, and each names its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from graphspec.base.config import FROM_LIST, Config, PositiveInt, Registry, invalid
from graphspec.base.errors import did_you_mean
from graphspec.graph.ir.graph import MISSING_INTEGER
from graphspec.language.column_arguments import Bins, Indicator, Missing, MissingPart, Scale, impute


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

Part = Literal["year", "month", "day", "weekday", "hour", "minute", "days"]


@COLUMNS.add("date")
class Date(Column):
    """A date, as numbers of its parts. A date that cannot be read is missing."""

    sources: ClassVar[Mapping[str, str]] = {"strategy": "missing", "fill_value": "missing"}

    format: str | None = Field(None, description="The order of the numbers, such as `%d/%m/%Y`; ISO 8601 without it.")
    parts: Annotated[
        Annotated[tuple[Part, ...], Field(min_length=1)],
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
