"""Records: the types of their columns, and the inputs and nodes ``record/column`` that they are expanded to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from graphspec.base.config import FROM_LIST, Config, Ints, PositiveInt, Registry, Texts, described, invalid, setting
from graphspec.base.errors import Code, Mark, Problems, did_you_mean
from graphspec.graph.ir.graph import MISSING_INTEGER
from graphspec.language.explain import validate
from graphspec.language.names import MAX_NAME, InputRef, Item, Position, Scope, bad_name, claim, is_name
from graphspec.language.tree import Tree, each, format_names, intended_keys, not_allowed, wrong_type

# Arguments of columns that say what stands for a missing number, and how numbers are scaled.
_NEIGHBOURS = (
    *("bfill", "ffill", "backfill", "pad", "backward", "forward", "previous", "next"),
    *("interpolate", "linear", "nearest", "knn"),
)
_DROPS = ("drop", "drop_row", "drop_rows", "dropna", "skip", "ignore")
_NOT_MISSING = {
    **dict.fromkeys(_NEIGHBOURS, ": a single record has no neighbours"),
    **dict.fromkeys(_DROPS, ": a single record needs an answer and cannot be left out"),
}
_NO_ERROR = ", since only the graph reads dates: one that it cannot read is missing"
_FILL = "write `median`, `mean`, `zero` or a number; `indicator: true` tells the network which ones were missing"


def _without(reasons: Mapping[str, str], hint: str) -> BeforeValidator:
    """Return a validator that refuses some words, each for its reason."""

    def checked(value: Any) -> Any:
        if isinstance(value, str) and value in reasons:
            raise invalid(f"cannot be '{value}'{reasons[value]}", hint)
        return value

    return BeforeValidator(checked)


Missing = Annotated[
    Literal["median", "mean", "zero", "error"] | float,
    _without(_NOT_MISSING, _FILL),
    described("What stands for a missing number: learnt from the training rows, zero, this number; or an error."),
]
MissingPart = Annotated[
    Literal["median", "mean", "zero"] | float,
    _without(_NOT_MISSING | {"error": _NO_ERROR}, _FILL),
    described("What stands for the parts of a missing or unreadable date."),
]
Indicator = Annotated[bool, described("Whether a further number is 1 where the value was missing.")]


def impute(missing: str | float, indicator: bool) -> dict[str, Any]:
    """Return the arguments of Impute."""
    arguments: dict[str, Any] = {"strategy": missing}
    if not isinstance(missing, str):
        arguments = {"strategy": "constant", "fill_value": float(missing)}
    return arguments | ({"indicator": True} if indicator else {})


_SCALING = {  # the layers of each scale, by the ends of their names
    "standard": {"scaled": "Normalization"},
    "robust": {"scaled": "RobustScaling"},
    "minmax": {"scaled": "MinMaxScaling"},
    "log1p": {"log": "Log1p", "scaled": "Normalization"},
    "none": {},
}
_SCALE = f"write {', '.join(f'`{scale}`' for scale in _SCALING)} or `{{bins: 10}}`"


def _scale(value: Any) -> str | int:
    """Return a word, or the number of intervals with equally many training rows."""
    if isinstance(value, str):
        if value not in _SCALING:
            text = f"must be one of {', '.join(_SCALING)} or {{bins: n}}"
            raise invalid(text, did_you_mean(value, _SCALING) or _SCALE, show_value=True)
        return value
    return _counted(value, "bins", "a word or {bins: n} with 2 to 10,000 bins", _SCALE)


def _counted(value: Any, key: str, wanted: str, hint: str) -> int:
    """Return the integer from 2 to 10,000 that the only key of a mapping has."""
    count = value.get(key) if isinstance(value, dict) and len(value) == 1 else None
    if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= 10_000:
        raise invalid(f"must be {wanted}", hint, show_value=True)
    return count


def _counts(key: str) -> dict[str, Any]:
    counts = {key: {"type": "integer", "minimum": 2, "maximum": 10_000}}
    return {"type": "object", "properties": counts, "required": [key], "additionalProperties": False}


Scale = Annotated[
    Any,
    BeforeValidator(_scale),
    WithJsonSchema({"anyOf": [{"type": "string", "enum": list(_SCALING)}, _counts("bins")]}),
    described("standard: mean 0, deviation 1; log1p, robust: for a few large numbers; minmax; bins."),
]
_EMBED = "such as `{pieces: 16}`: a slope of its own in each of 16 bins"
EmbedNumber = Annotated[
    Any,
    BeforeValidator(lambda v: v if v is None else _counted(v, "pieces", "{pieces: n} with n from 2 to 10,000", _EMBED)),
    WithJsonSchema({"anyOf": [_counts("pieces"), {"type": "null"}]}),
    described("What the network reads beside the scaled number: {pieces: n} slopes."),
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

    vector: ClassVar[bool] = True  # whether the column becomes a part of the record's vector
    sources: ClassVar[Mapping[str, str]] = {}  # keys from which arguments of layers with another name come

    column: str | None = setting(None, "The column's name in files, if it is not its name here.")
    description: str = setting("", "What it is, in which unit: the exported file has this text.")

    @property
    def input(self) -> tuple[str, list[int | None]]:
        return "string", [1]

    def steps(self) -> list[Step]:
        raise NotImplementedError


COLUMNS: Registry[Column] = Registry("column type", "number")  # all types of columns by name
OTHER_WORDS = {  # words of other tools for the types of columns
    **dict.fromkeys(("float", "float32", "float64", "int", "integer", "numeric", "numerical", "continuous"), "number"),
    **dict.fromkeys(("categorical", "enum", "bool", "boolean", "int64", "ordinal"), "category"),
    **dict.fromkeys(("datetime", "timestamp", "time"), "date"),
    **dict.fromkeys(("picture", "photo"), "image"),
}


def _hint_of(name: str) -> str:
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
        "pieces": "write `embed: {pieces: 16}`",
    }
    sources: ClassVar[Mapping[str, str]] = {"strategy": "missing", "fill_value": "missing", "num_bins": "scale"}

    missing: Missing = "median"
    indicator: Indicator = False
    scale: Scale = "standard"
    clip: Literal["smooth"] | None = setting(None, "smooth: far numbers come close to ±3 after scaling, not beyond.")
    embed: EmbedNumber = None
    missing_values: Annotated[tuple[float | int | str, ...], FROM_LIST] = setting(
        (), "Numbers that mean missing, such as -1, and texts of data files, such as unknown."
    )

    def check_arguments(self) -> None:
        hint = "set `missing: median`"
        if self.missing == "error" and self.missing_values:
            raise invalid("cannot be used with `missing: error`, which fills nothing", hint, key="missing_values")
        if self.missing == "error" and self.indicator:
            raise invalid("cannot be true where a missing number is an error", hint, key="indicator")
        for key in ("clip", "embed"):
            if isinstance(self.scale, int) and getattr(self, key) is not None:
                raise invalid("cannot be used with bins, which are no number", "write `scale: standard`", key=key)

    @property
    def input(self) -> tuple[str, list[int | None]]:
        return "float32", [1]

    def steps(self) -> list[Step]:
        layers: list[Step] = []
        if self.missing != "error":
            arguments = impute(self.missing, self.indicator)
            if self.missing_values:
                arguments["missing_values"] = list(self.missing_values)
            layers.append(Step("filled", "Impute", (None,), arguments))
        clip, arguments = {} if self.clip is None else {"clipped": "SmoothClip"}, {}
        if isinstance(self.scale, int):
            arguments = {"num_bins": self.scale, "output_mode": "one_hot"}
        for end, kind in (_SCALING.get(self.scale, {"scaled": "Discretization"}) | clip).items():
            layers.append(Step(end, kind, (layers[-1].end if layers else None,), arguments))
        return _finished(layers, self.indicator and self.embed is None)


def _finished(layers: list[Step], indicator: bool) -> list[Step]:
    """Return ``layers`` with the column's own node as the last one, joined to the indicators if there are any."""
    if indicator:
        return [*layers, Step("", "Concatenate", (layers[-1].end, "filled:1"), {"axis": -1})]
    return [*layers[:-1], layers[-1]._replace(end="")] if layers else [Step("", "Identity", (None,), {})]


MissingValues = Texts | Ints
Vocabulary = MissingValues | str | None
Embed = Annotated[PositiveInt | None, described("The size of a trained vector for each value; without it, one-hot.")]


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

    dtype: Literal["string", "int64"] = setting("string", "Data type of the values in apps.")
    min_count: PositiveInt = setting(2, "Values in fewer training rows count as unseen.")
    max_tokens: PositiveInt | None = setting(None, "The most ids, including those of missing and unseen values.")
    vocabulary: Vocabulary = setting(None, "The known values, or a file with one per line; else learnt.")
    missing_values: MissingValues = setting((), "Values that mean missing, such as NA.")
    fold_case: bool = setting(False, "Whether texts that differ in case only are one value.")
    embed: Embed = None

    def check_arguments(self) -> None:
        wanted = str if self.dtype == "string" else int
        for key, value in (("vocabulary", self.vocabulary), ("missing_values", self.missing_values)):
            if isinstance(value, tuple) and not all(isinstance(item, wanted) for item in value):
                kinds = ("text", "`dtype: int64`") if wanted is str else ("integers", "`dtype: string`")
                raise invalid(f"must contain {kinds[0]}", f"or set {kinds[1]}", key=key)
        if self.fold_case and self.dtype != "string":
            raise invalid("needs texts", "set `dtype: string`", key="fold_case")
        if self.vocabulary is not None and "min_count" in self.model_fields_set:
            raise invalid("cannot be used with `vocabulary`, which is complete", "remove one of them", key="min_count")

    @property
    def input(self) -> tuple[str, list[int | None]]:
        return self.dtype, [1]

    def steps(self) -> list[Step]:
        text = self.dtype == "string"
        arguments: dict[str, Any] = {"mask_token": "" if text else MISSING_INTEGER, "output_mode": "int"}
        known = {"min_count": self.min_count} if self.vocabulary is None else {"vocabulary": self.vocabulary}
        optional = {"max_tokens": self.max_tokens, "missing_tokens": self.missing_values, "fold_case": self.fold_case}
        arguments |= known | {key: value for key, value in optional.items() if value}
        lookup = Step("ids", "StringLookup" if text else "IntegerLookup", (None,), arguments)
        return [lookup, *encoded("ids", self.embed)]


_IDS = {"int": ", since a record is a vector and ids in order are a sequence"}
_OWN_INPUT = "give the text an input of its own, `{dtype: string}`, and a TextVectorization"


@COLUMNS.add("text")
class Text(Column):
    """Words, as numbers of their occurrences."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "embed": "give the text an input of its own, `{dtype: string}`, a TextVectorization and an Embedding",
        "missing": "a missing text has no words, and all its numbers are 0",
    }
    sources: ClassVar[Mapping[str, str]] = {"ngrams": "characters", "split": "characters"}

    max_tokens: PositiveInt | None = setting(5000, "The largest number of different words, with the unseen ones.")
    output_mode: Annotated[Literal["tf_idf", "multi_hot", "count"], _without(_IDS, _OWN_INPUT)] = setting(
        "tf_idf", "tf_idf: occurrences, weighted by rarity; multi_hot: ones; count: occurrences."
    )
    ngrams: PositiveInt | Annotated[tuple[PositiveInt, ...], FROM_LIST] | None = setting(
        None, "Also up to n words in a row; or a list of these numbers of words."
    )
    standardize: Literal["lower_and_strip_punctuation", "lower", "strip_punctuation"] | None = setting(
        "lower_and_strip_punctuation", "What is done to the text before it is split."
    )
    split: Literal["whitespace", "character", "word_characters"] | None = setting(
        "whitespace", "How the text is split; word_characters: `ngrams` stay within words; null takes it as one word."
    )
    characters: Annotated[tuple[PositiveInt, ...], FROM_LIST] | None = setting(
        None, "Beside the words, runs of these numbers of characters within words, such as `[2, 3, 4, 5]`."
    )
    sublinear_tf: bool = setting(False, "Whether n occurrences count as 1 + log n.")
    norm: Literal["l2"] | None = setting(None, "l2: the vector is divided by its length.")
    vocabulary: Texts | str | None = setting(None, "The known words, or a file with one per line; else learnt.")

    def check_arguments(self) -> None:
        if self.vocabulary is not None and self.output_mode == "tf_idf":
            text = "cannot be used with `output_mode: tf_idf`, whose weights are learnt with the words"
            raise invalid(text, "set `output_mode: multi_hot`, or leave `vocabulary` out", key="vocabulary")

    def steps(self) -> list[Step]:
        keys = ("ngrams", "standardize", "split", "sublinear_tf", "norm", "vocabulary")
        optional = [key for key in keys if key in self.model_fields_set]
        arguments = {key: getattr(self, key) for key in ("max_tokens", "output_mode", *optional)}
        if self.characters is None:
            return [Step("", "TextVectorization", (None,), arguments)]
        runs = {"split": "word_characters", "ngrams": self.characters}
        runs = {key: value for key, value in arguments.items() if key != "vocabulary"} | runs
        each = {"words": arguments, "runs": runs}
        layers = [Step(end, "TextVectorization", (None,), own) for end, own in each.items()]
        return [*layers, Step("", "Concatenate", ("words", "runs"), {"axis": -1})]


DatePart = Literal["year", "month", "day", "weekday", "hour", "minute", "yearday", "days"]


@COLUMNS.add("date")
class Date(Column):
    """A date, as numbers of its parts. A date that cannot be read is missing."""

    sources: ClassVar[Mapping[str, str]] = {"strategy": "missing", "fill_value": "missing"}

    format: str | None = setting(None, "The order of the numbers, such as `%d/%m/%Y`; ISO 8601 without it.")
    parts: Annotated[Annotated[tuple[DatePart, ...], Field(min_length=1)], FROM_LIST] = setting(
        ("year", "month", "day", "weekday"), "The parts that become numbers; `days` counts the days since 1970-01-01."
    )
    cyclic: bool = setting(True, "Whether all parts but `year` and `days` are sine and cosine.")
    missing: MissingPart = "median"
    indicator: Indicator = False

    def check_arguments(self) -> None:
        twice = next((part for part in self.parts if self.parts.count(part) > 1), None)
        if twice is not None:
            raise invalid(f"contains '{twice}' twice", "remove one of them", key="parts")

    def steps(self) -> list[Step]:
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
    ] = setting(..., "Height and width after resizing, and the channels: 1, 3 or 4.")

    @property
    def input(self) -> tuple[str, list[int | None]]:
        return "uint8", [None, None, self.shape[2]]

    def steps(self) -> list[Step]:
        height, width, _ = self.shape
        return [
            # scaled first: Resizing rounds integers, and two runtimes may round a half differently
            Step("scaled", "Rescaling", (None,), {"scale": 1 / 255}),
            Step("", "Resizing", ("scaled",), {"height": height, "width": width}),
        ]


MAX_CROSSED = 8  # the largest number of columns of a cross
EXAMPLE = "for example `columns: {age: number, job: category}`"


class RecordKeys(Config):
    """A record: each column is an input of its own, and the network reads their vector."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "shape": "the type of each column says its shape",
        "dtype": "the type of each column says its dtype; a category has `dtype: int64` for integers",
        "column": "write it at each column: `age: {type: number, column: Age}`",
    }

    columns: dict[str, Any] = setting(..., "Columns by name: a type, or a mapping with `type` and its arguments.")
    crosses: list[Any] = setting([], "Combinations of categories: lists of columns, or mappings.")
    numbers: dict[str, Any] = setting({}, "Arguments of every column of type number that does not set them itself.")


def _some(columns: tuple[str, ...]) -> tuple[str, ...]:
    if not 2 <= len(columns) <= MAX_CROSSED:
        raise invalid(f"must have 2 to {MAX_CROSSED} columns, not {len(columns)}", "for example `[job, city]`")
    return columns


class Cross(Config):
    """The combinations of the values of some category columns, hashed into bins."""

    sources: ClassVar[Mapping[str, str]] = {"output_dim": "embed", "input_dim": "num_bins"}

    columns: Annotated[Texts, AfterValidator(_some)] = setting(..., "The category columns, 2 to 8.")
    num_bins: PositiveInt = setting(1000, "The number of bins; combinations may share one.")
    embed: Embed = None

    def steps(self) -> list[Step]:
        """Return the layers of the cross in order. None stands for its inputs."""
        if self.embed is None:
            return [Step("", "HashedCrossing", (None,), {"num_bins": self.num_bins, "output_mode": "one_hot"})]
        hashed = Step("ids", "HashedCrossing", (None,), {"num_bins": self.num_bins})
        return [hashed, *encoded("ids", self.embed, {"input_dim": self.num_bins})]


@dataclass(slots=True)
class RecordPart:
    """A column or a cross of a record: its key or ``a_x_b``, its position, the input of a column, its nodes.

    The last one of ``nodes`` has the name ``record/name``. ``wrong``: it has a reported error, and its values are unknown.
    """

    kind: Literal["column", "cross"]
    name: str
    at: Position
    config: Column | Cross | None = None
    input: Tree | None = None
    nodes: list[Tree] = field(default_factory=list)
    wrong: bool = False


def is_record(tree: Tree) -> bool:
    """Return whether an entry of ``inputs`` is a record, also with a misspelt ``columns``."""
    if not isinstance(tree.value, dict) or "shape" in tree.value:
        return tree.get("columns") is not None
    if not tree.value.keys().isdisjoint(("columns", "crosses")):
        return True
    nested = Tree({key: child for key, child in tree.value.items() if isinstance(child.value, dict)}, tree.mark)
    return "columns" in intended_keys(nested, ("columns",))


def _parts(record: str, tree: Tree, problems: Problems) -> tuple[list[RecordPart], bool]:
    """Return the parts of a record, and whether the names of some columns are unknown because of an error."""
    before = len(problems.found)
    subject = f"record '{record}'"
    validate(RecordKeys, tree, subject, problems)
    columns, crosses, numbers = tree.get("columns"), tree.get("crosses"), tree.get("numbers")
    if numbers is not None and isinstance(numbers.value, dict):
        for key in ("column", "description"):
            if key in numbers.value:
                not_allowed(numbers, f"`numbers` of {subject} has `{key}`", problems, "write it at each column")
        validate(Number, numbers, f"`numbers` of {subject}", problems)
    shared = None if len(problems.found) > before else numbers
    parts: list[RecordPart] = []
    if columns is not None and isinstance(columns.value, dict):
        if not columns.value:
            not_allowed(columns, f"`columns` of {subject} is empty", problems, EXAMPLE)
        parts = [_column(record, key, columns, problems, shared) for key in columns.value]
    incomplete = (not parts and len(problems.found) > before) or tree.unknown
    by_name = {part.name: part for part in parts}
    if crosses is not None and isinstance(crosses.value, list):
        parts += [_cross(record, child, by_name, problems) for child in crosses.value]
    return parts, incomplete


def _with(numbers: Tree | None, tree: Tree) -> Tree:
    """Return a column with the arguments that it shares with all columns of numbers."""
    kind = tree.get("type") if isinstance(tree.value, dict) else tree
    if numbers is None or not numbers.value or kind is None or kind.value != "number":
        return tree
    own = tree.value if isinstance(tree.value, dict) else {}
    return Tree({"type": kind, **numbers.value, **own}, tree.mark, numbers.key_marks | tree.key_marks, tree.path)


def _column(record: str, name: str, columns: Tree, problems: Problems, numbers: Tree | None = None) -> RecordPart:
    tree = _with(numbers, columns.value[name])
    mark = columns.key_marks.get(name, tree.mark)
    before = len(problems.found)
    config = _config(name, tree, problems)
    if not is_name(name):
        message, hint = bad_name("column name", name)
        if len(name) <= MAX_NAME:
            kind = tree.value if isinstance(tree.value, str) else tree.text("type")
            key = hint.removeprefix("for example ").strip("'")
            hint = f'write `{key}: {{column: "{name}", type: {"…" if kind is None else kind}}}`'
        problems.at(mark, Code.VALUE_NOT_ALLOWED, message, path=tree.path, hint=hint)
    wrong = config is None or len(problems.found) > before
    at = Tree(tree.value, mark, tree.key_marks, tree.path)
    if config is None or wrong:
        source = Tree(None, mark, path=tree.path, unknown=True)
    else:
        dtype, shape = config.input
        optional = {"column": config.column, "description": config.description or None}
        source = _grown({"shape": shape, "dtype": dtype} | {k: v for k, v in optional.items() if v is not None}, at)
    nodes = _nodes(f"{record}/{name}", None if wrong else config, [name], at)
    return RecordPart("column", name, (mark, tree.path), config, source, nodes, wrong)


def _config(name: str, tree: Tree, problems: Problems) -> Column | None:
    """Return the parsed type of a column with its arguments, or None if it is wrong."""
    if tree.unknown and not isinstance(tree.value, dict):
        return None
    subject = f"column '{name}'"
    kind = tree.get("type") if isinstance(tree.value, dict) else tree
    if kind is None:
        near = ((key, hint) for key in tree.value if (hint := did_you_mean(key, ("type",))) is not None)
        if (misspelt := next(near, None)) is not None:
            key, close = misspelt
            problems.key(tree, key, Code.UNKNOWN_KEY, f"unknown key '{key}' of {subject}", hint=close)
        else:
            hint = f"for example `{name}: {{type: number}}`"
            problems.node(tree, Code.MISSING_KEY, f"{subject} needs `type`", hint=hint, subject="type")
        return None
    if not isinstance(kind.value, str):
        if not kind.unknown:
            what = "`type` of " * (kind is not tree) + subject
            hint = "delete the column to leave it out; " if kind.value is None else ""
            hint += f"the types are {', '.join(COLUMNS.names())}"
            wrong_type(kind, f"{what} must be the name of a type", problems, hint)
        return None
    cls = COLUMNS.get(kind.value)
    if cls is None:
        message = f"{subject} has an unknown type '{kind.value}'"
        problems.value(kind, Code.UNKNOWN_CLASS, message, hint=_hint_of(kind.value), old=COLUMNS.old.get(kind.value))
        return None
    body = tree if kind is not tree else Tree({}, tree.mark, path=tree.path)
    return validate(cls, body, subject, problems, without=("type",))


def _cross(record: str, tree: Tree, columns: Mapping[str, RecordPart], problems: Problems) -> RecordPart:
    before = len(problems.found)
    subject = f"a cross of record '{record}'"
    is_list = isinstance(tree.value, list)
    body = Tree({"columns": tree}, tree.mark, {"columns": tree.mark}, tree.path) if is_list else tree
    config: Cross | None = None
    if isinstance(body.value, dict):
        config = validate(Cross, body, subject, problems)
    elif not tree.unknown:
        wrong_type(tree, f"{subject} must be a list of columns", problems, "for example `crosses: [[job, city]]`")
    listed = body.get("columns")
    items = listed.value if listed is not None and config is not None else []
    if columns:  # else `columns` is missing or wrong, which is reported
        _check_crossed(items, subject, columns, problems)
    name = "_x_".join(config.columns) if config is not None else ""
    if len(name) > MAX_NAME:
        message = f"{subject} has a name of {len(name):,} characters, at most {MAX_NAME}"
        not_allowed(tree, message, problems, "give its columns shorter names")
    mark = tree.first_key if isinstance(tree.value, dict) else tree.mark
    wrong = config is None or len(problems.found) > before
    wrong = wrong or any(item.value not in columns or columns[item.value].wrong for item in items)
    at = Tree(body.value, mark, body.key_marks, tree.path)
    inputs = [] if config is None else config.columns
    nodes = _nodes(f"{record}/{name}", None if wrong else config, inputs, at) if name else []
    return RecordPart("cross", name, (mark, tree.path), config, None, nodes, wrong)


def _check_crossed(items: list[Tree], subject: str, columns: Mapping[str, RecordPart], problems: Problems) -> None:
    """Report the columns of a cross that do not exist, are no categories, or occur twice."""
    known = [name for name, part in columns.items() if isinstance(part.config, Category)]
    for k, item in enumerate(items):
        part = columns.get(item.value)
        if part is None:
            hint = did_you_mean(item.value, known) or f"the categories are {format_names(known)}"
            problems.value(item, Code.UNKNOWN_NODE, f"{subject} names an unknown column '{item.value}'", hint=hint)
        elif item.value not in known and part.config is not None:
            kind = next(word for word in COLUMNS.names() if COLUMNS.get(word) is type(part.config))
            hint = f"categories are {format_names(known)}" if known else "make it a category"
            not_allowed(item, f"{subject} joins categories, but column '{item.value}' is a {kind}", problems, hint)
        elif any(other.value == item.value for other in items[:k]):
            not_allowed(item, f"{subject} names column '{item.value}' twice", problems, "remove one of them")


def _nodes(prefix: str, config: Column | Cross | None, inputs: Sequence[str], at: Tree) -> list[Tree]:
    """Return the entries of ``layers`` for a column or a cross that reads ``inputs``; of a wrong one, one without type."""
    if config is None:
        return [_entry(prefix, Step("", "", (), {}), [], at)]
    entries = []
    for step in config.steps():
        names = [name for end in step.inputs for name in (inputs if end is None else [f"{prefix}/{end}"])]
        entries.append(_entry(f"{prefix}/{step.end}".rstrip("/"), step, names, at, config.sources))
    return entries


def _entry(
    name: str, step: Step, inputs: Sequence[str], at: Tree, sources: Mapping[str, str] = MappingProxyType({})
) -> Tree:
    """Return one entry. Arguments that the column sets have their position, all others that of the column."""
    plain = {"name": name, "type": step.type, "inputs": [*inputs]}
    children: dict[str, Tree] = {key: _grown(value, at) for key, value in plain.items() if value != ""}
    for key, value in step.arguments.items():
        written = at.get(sources.get(key, key))
        children[key] = written if written is not None and key not in sources else _grown(value, written or at)
    return Tree(children, at.mark, dict.fromkeys(children, at.mark), at.path)


def _grown(value: Any, at: Tree) -> Tree:
    marks = dict.fromkeys(value, at.mark) if isinstance(value, dict) else None
    children = each(lambda child: _grown(child, at), list(value) if isinstance(value, tuple) else value)
    tree = Tree(children, at.mark, marks, at.path)
    tree.origin = at.origin
    return tree


# Declare the inputs of the document and the nodes of its records.
MAX_PARTS = 10_000  # the largest number of columns and crosses of a spec
Declared = dict[str, tuple[Tree, Mark]]  # inputs by name, each with its position


def declare_inputs(top: Scope, inputs: Tree, problems: Problems) -> Tree:
    """Let the names of inputs, columns and nodes of records stand for them. Return the inputs, with columns for records."""
    if not isinstance(inputs.value, dict):
        top.incomplete = True
        return inputs
    declared: Declared = {}
    count = 0
    for name, tree in inputs.value.items():
        at = (inputs.key_marks.get(name, tree.mark), inputs.child_path(name))
        if not is_record(tree):
            item = Item("input", name, top, tree)
            claim(top, name, item, at, "input", problems)
            top.default_inputs[name] = item
            declared[name] = tree, at[0]
            continue
        count += sum(1 for key in ("columns", "crosses") if (part := tree.get(key)) for _ in part.children())
        if count > MAX_PARTS:
            message = f"the records have more than {MAX_PARTS:,} columns and crosses"
            hint = "join columns of one kind: an input with a `shape` takes a list of columns in `data`"
            problems.at(at[0], Code.DOCUMENT_TOO_LARGE, message, path=at[1], hint=hint)
            top.incomplete = True
            break
        declared |= _declare_record(top, name, tree, at, problems)
    children = {name: tree for name, (tree, _) in declared.items()}
    marks = {name: mark for name, (_, mark) in declared.items()}
    return Tree(children, inputs.mark, marks, inputs.path, unknown=inputs.unknown or top.incomplete)


def _declare_record(top: Scope, name: str, tree: Tree, at: Position, problems: Problems) -> Declared:
    """Declare the columns and the nodes of a record. Return the inputs that it adds, with their positions."""
    parts, incomplete = _parts(name, tree, problems)
    top.incomplete = top.incomplete or incomplete
    named = [part for part in parts if part.nodes]
    vectors = [part for part in named if part.wrong or not isinstance(part.config, Column) or part.config.vector]
    has_vector = bool(vectors) or not parts  # a record of images alone has no node of its own
    is_unknown = incomplete or any(part.wrong for part in parts)
    inputs = {}
    for part in parts:
        if part.input is not None:
            item = Item("input", part.name, top, part.input)
            item.label = "column"
            claim(top, part.name, item, part.at, "column", problems)
            if top.names[part.name] is item:
                inputs[part.name] = part.input, part.at[0]
            else:
                part.wrong = True
        last = [_declare_node(top, node, part.kind, part.at, part.wrong, problems) for node in part.nodes][-1:]
        if not has_vector and last:
            top.default_inputs[last[0].name] = last[0]
    if has_vector:
        at_record = Tree({}, at[0], path=tree.path)
        nodes, added = _vector(name, vectors, at_record)
        for entry in added:
            _declare_node(top, entry, "record", (at[0], tree.path), is_unknown, problems)
        step = Step("", "Concatenate", (), {"axis": -1}) if len(nodes) > 1 else Step("", "Identity", (), {})
        whole = _entry(name, Step("", "", (), {}) if is_unknown else step, nodes, at_record)
        wrong = incomplete or any(part.wrong for part in parts)
        top.default_inputs[name] = _declare_node(top, whole, "record", (at[0], tree.path), wrong, problems)
    return inputs


def _vector(name: str, parts: Sequence[RecordPart], at: Tree) -> tuple[list[str], list[Tree]]:
    """Return the inputs of a record's own node, and entries for what joins and embeds numbers, if a column has ``embed``.

    Numbers with an equal ``embed``, and those without, are one vector each: it can cross the cut, and has one embedding.
    """
    nodes, groups, entries = list[str](), dict[int | None, list[str]](), list[Tree]()
    embedded = any(isinstance(part.config, Number) and part.config.embed is not None for part in parts)
    for part in parts:
        node, column = f"{name}/{part.name}", part.config
        if embedded and isinstance(column, Number):
            groups.setdefault(column.embed, []).append(node)
            if column.embed is not None and column.indicator:
                groups.setdefault(None, []).append(f"{part.nodes[0].value['name'].value}:1")
        else:
            nodes.append(node)
    for embed, numbers in groups.items():
        whole = f"{name}/numbers/{'plain' if embed is None else f'pieces_{embed}'}"
        if len(numbers) > 1:
            entries.append(_entry(f"{whole}/joined", Step("", "Concatenate", (), {"axis": -1}), numbers, at))
            numbers = [f"{whole}/joined"]
        nodes += numbers
        if embed is not None:
            entries.append(_entry(whole, Step("", "PiecewiseLinear", (), {"num_bins": embed}), numbers, at))
            nodes.append(whole)
    return nodes, entries


def _declare_node(top: Scope, tree: Tree, label: str, at: Position, failed: bool, problems: Problems) -> Item:
    item = Item("node", tree.value["name"].value, top, tree)
    item.label, item.failed = label, failed
    item.sources = [InputRef(top, name) for name in tree.value["inputs"].value]
    claim(top, item.name, item, at, label, problems)
    top.items.append(item)
    return item
