"""What the data files of a spec hold, and how it fits what the spec reads from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from graphspec.base.errors import did_you_mean, shorten
from graphspec.base.text import count as _count
from graphspec.data.check import requested
from graphspec.data.convert import whole_labels
from graphspec.data.database import Table
from graphspec.data.files import Files, plain_rows
from graphspec.data.folders import with_columns
from graphspec.data.odd_values import leaks
from graphspec.data.profile import OCCURRENCES, ArrayProfile, ColumnProfile, FileProfile, Profile, profile_of
from graphspec.data.source import DataError, DataSignature, Source
from graphspec.data.suggest import is_year, words_of
from graphspec.data.targets import small_classes
from graphspec.language.declarations import DataSource, NodeDecl, Spec
from graphspec.vocabulary.metrics import targets_of


def preview(spec: Spec, columns: Mapping[str, Any], uses: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """Return what layers and heads would learn, by column; ``columns``, ``uses``: their profiles and uses by name."""
    found: dict[str, list[str]] = {}
    for name, of in uses.items():
        if isinstance(column := columns.get(name), ColumnProfile) and column.kind != "list":
            ways = ((_of_chain if use.section == "input" else _of_head)(spec, use.name, column) for use in of)
            if texts := dict.fromkeys(chain.from_iterable(ways)):
                found[name] = list(texts)
    return found


def _of_chain(spec: Spec, name: str, column: ColumnProfile) -> Iterator[str]:
    """Yield what the nodes that compute with an input alone would learn from it; pieces also if columns are joined."""
    names, joined = {name}, set[str]()
    for node in spec.nodes:
        refs = [ref.name if ref is not None else "" for ref in node.inputs]
        if refs and names.issuperset(refs):
            names.add(node.name)
        elif node.type == "Concatenate" and not names.isdisjoint(refs):
            joined.add(node.name)
        if node.name in names or (node.type == "PiecewiseLinear" and not joined.isdisjoint(refs)):
            yield from _of_layer(node, column)


def _of_layer(node: NodeDecl, column: ColumnProfile) -> Iterator[str]:
    layer = node.layer
    if layer is None or not getattr(layer, "learns", False):
        return
    numbers = column.numbers
    match node.type:
        case "StringLookup" | "IntegerLookup":
            yield _vocabulary(column.at_least, column.distinct, "value", layer)
        case "TextVectorization" if column.words is not None:
            yield _vocabulary(column.words.at_least, sum(column.words.at_least[:1]), "word", layer)
        case "Impute" if numbers is not None and column.absent:
            strategy = getattr(layer, "strategy", "median")
            value = numbers.median if strategy == "median" else numbers.mean
            yield f"missing: {strategy} {value:.6g}"
        case "Normalization" if numbers is not None:
            yield f"mean {numbers.mean:.6g}, deviation {numbers.deviation:.6g}"
        case "MinMaxScaling" if numbers is not None:
            yield f"range {numbers.low:.6g} … {numbers.high:.6g}"
        case "RobustScaling" if numbers is not None:
            yield f"quartiles {', '.join(f'{number:.6g}' for number in numbers.quartiles)}"
        case "Discretization" | "PiecewiseLinear":
            yield f"{getattr(layer, 'num_bins', None) or 'some'} {'bins' if node.type == 'Discretization' else 'pieces'}"


def _vocabulary(at_least: Sequence[int], distinct: int, noun: str, layer: Any) -> str:
    """Return the size of a vocabulary: values that occur often enough, the most frequent ones."""
    often, most = getattr(layer, "min_count", 1), getattr(layer, "max_tokens", None)
    size = at_least[min(often, OCCURRENCES) - 1] if at_least else distinct
    size = size if most is None else min(size, most)
    if size == distinct:
        return _count(size, noun)
    return f"{'at most ' if often > OCCURRENCES else ''}{size:,} of {distinct:,} {noun}s"


def _of_head(spec: Spec, name: str, column: ColumnProfile) -> Iterator[str]:
    head = spec.heads.get(name)
    if head is None:
        return
    if column.kind == "text" and head.labels is None and column.listed:
        labels = sorted(value for value, _ in column.frequent)
        if head.loss is not None and targets_of(head.loss) == "labels":
            yield f"labels {''.join(sorted(set().union(*labels)))}, and the blank"
        else:
            yield f"labels {', '.join(labels[:12])}" + (", …" if len(labels) > 12 else "")
    elif getattr(head, "scale", None) and column.numbers is not None:
        yield f"mean {column.numbers.mean:.6g}, deviation {column.numbers.deviation:.6g}"


_FEW = 16  # an integer column with at most this many values may be one of codes
_UNEVEN = 10  # times as many rows as the rarest class has


@dataclass(frozen=True)
class Use:
    """What the spec reads a column for: an ``input`` or a ``target``, in the graph's dtype; a ``column`` without a spec."""

    name: str
    section: str
    dtype: str


@dataclass
class Overview:
    """What one part of the data holds."""

    name: str  # ``train``, ``validation`` or ``test``
    source: str = ""  # its file; empty for a split
    share: float | None = None  # for a split, the part of the training rows
    notes: list[str] = field(default_factory=list)  # what becomes of the rows: windows, rows that are left out
    rows: int | None = None  # their number, if it is known
    columns: Mapping[str, ColumnProfile | ArrayProfile | FileProfile] = field(default_factory=dict)  # all, by name
    uses: dict[str, list[Use]] = field(default_factory=dict)  # what columns are read for, by column
    unused: list[str] = field(default_factory=list)  # the columns that are not read
    learnt: dict[str, list[str]] = field(default_factory=dict)  # what layers and heads would learn, by column
    problems: list[str] = field(default_factory=list)  # what would stop training
    hints: list[str] = field(default_factory=list)  # what should be looked at


def overviews(spec: Spec, signature: DataSignature, max_rows: int | None = None) -> list[Overview]:
    """Look at every part of a spec's data; at ``max_rows`` rows from the start of each file."""
    used = {part: source for part, source in spec.data.items() if source.has_rows or source.is_split}  # no folds
    found = {part: _overview(part, source, spec, signature, max_rows) for part, source in used.items()}
    train = found.get("train")
    for part in found.values():
        if train is not None and part is not train:
            part.hints += _new_values(part, train)
    return list(found.values())


def _overview(name: str, source: DataSource, spec: Spec, signature: DataSignature, max_rows: int | None) -> Overview:
    if not source.has_rows:
        last = "the last part of the time" if source.by_time else "the last rows" if source.in_order else None
        notes = [last] if last and not source.at_origins else []
        return Overview(name, source.at_origins, share=source.split, notes=notes)
    part = Overview(name, ", ".join(path.name for path in source.paths))
    if source.query is not None:
        of_file = "" if source.file is None else f" of {source.file.name}"
        part.source = f"query {shorten(' '.join(source.query.split()), 80)}{of_file}"
    if (windows := source.windows) is not None:
        by = f" of each '{windows.group}'" if windows.group else ""
        order = f", in the order of '{windows.order}'" if windows.order else ""
        step = f", every {windows.every}" if windows.every else ""
        size = f"{_count(windows.length, 'row')} and the next {windows.horizon:,}"
        part.notes.append(f"windows of {size}{by}{order}{step}")
        known = [f"{key}: {', '.join(names)}" for key in ("future", "static") if (names := getattr(windows, key))]
        part.notes += ["; ".join(known)] if known else []
    try:
        table = plain_rows(source, max_rows)
        part.rows, part.columns = profile_of(table, max_rows)
    except DataError as error:
        part.problems += [_sentence(part.source, one) for one in error.all]
        return part
    source = with_columns(source, table, signature)
    for section, use_name, columns in requested(source, signature, table):
        expected = (signature.inputs if section == "inputs" else signature.targets).get(use_name)
        use = Use(use_name, section.removesuffix("s"), "float32" if expected is None else expected.dtype)
        several = [] if expected is None else columns  # weights and lengths are single columns
        for column in [columns] if isinstance(columns, str) else several:
            if column in table.ambiguous:
                part.problems.append(f"{part.source} {table.ambiguous[column]}: give each a unique name")
            elif column not in table.names:
                hint = did_you_mean(column, table.names)
                missing = f"{part.source} has no {table.item} '{column}' for {use.section} '{use.name}'"
                part.problems.append(f"{missing}; {hint}" if hint else missing)
            else:
                part.uses.setdefault(column, []).append(use)
    part.notes += [f"rows of each '{source.group}' stay together"] if source.group else []
    needed = {source.group} if windows is None else {windows.group, windows.order}
    part.unused = [column for column in table.names if column not in part.uses and column not in needed]
    for column, uses in part.uses.items():
        filled = windows is not None and windows.filling(column) is not None
        for use in uses:
            _compare(part, column, use, replace(signature, gaps=signature.gaps | {use.name}) if filled else signature)
    if name == "train":
        part.learnt = preview(spec, part.columns, part.uses)
        part.hints += _leaks(part, table, signature) if windows is None else ()
    return part


def overview_of(table: Source, name: str, max_rows: int | None = None) -> Overview:
    """Look at all columns or arrays of a file that no spec reads."""
    part = Overview("file", name)
    try:
        part.rows, part.columns = profile_of(table, max_rows)
    except DataError as error:
        part.problems.append(_sentence(name, error))
    part.uses = {column: [Use(column, "column", "")] for column in part.columns}
    for column, found in part.columns.items():
        if isinstance(found, ColumnProfile):
            texts = [*_column_hints(found, part.uses[column][0]), *_case(found)]
            part.hints += [f"column '{column}' {text}" for text in texts]
    return part


def _sentence(subject: str, error: DataError) -> str:
    return f"{subject} {error}" + (f"; {error.problem.hint}" if error.problem.hint else "")


# Whether a column fits


def _compare(part: Overview, column: str, use: Use, signature: DataSignature) -> None:
    """Add the problems of a column for what it is read for, and hints."""
    found = part.columns.get(column)
    if isinstance(found, FileProfile):
        return
    subject = f"column '{column}'"
    if isinstance(found, ArrayProfile):
        subject = f"array '{column}'"
        if found.problem is not None:
            part.problems.append(f"{subject} {found.problem}")
        elif found.missing and use.name not in signature.gaps:
            part.problems.append(f"{subject} has {_count(found.missing, 'missing value')}")
        if use.section == "target" and use.name in signature.classes:
            part.hints += _uneven(part, subject, found.frequent)
    elif found is not None:
        part.problems += [f"{subject} {text}" for text in _column_problems(found, use, signature)]
        part.hints += [f"{subject} {text}" for text in _column_hints(found, use)]
        part.hints += [] if use.name in signature.folded else [f"{subject} {text}" for text in _case(found)]
        classes = (signature.classes.keys() | signature.text_labels) - signature.ctc
        if use.section == "target" and use.name in classes:
            part.hints += _uneven(part, subject, found.frequent if found.listed else ())


def _column_problems(found: ColumnProfile, use: Use, signature: DataSignature) -> Iterator[str]:
    labels = signature.labels.get(use.name) if use.section == "target" else None
    may_be_text = use.dtype == "string" or labels is not None
    may_be_text = may_be_text or (use.section == "target" and use.name in signature.text_labels | signature.ctc)
    pictures = use.section == "input" and len(signature.inputs[use.name].shape) == 4  # the texts are names of files
    if found.is_mixed and not may_be_text:
        unread = {text: n for text, n in found.others.items() if text not in signature.missing.get(use.name, ())}
        if unread:
            yield f"has texts among its numbers: {words_of(unread)}"
    elif found.kind in ("text", "date") and not may_be_text and not pictures:
        example = next((value for value, _ in found.frequent), "")
        yield f"has texts, such as '{example[:40]}', where {use.section} '{use.name}' takes numbers"
    elif found.kind == "float" and use.dtype.startswith("int"):
        yield f"has numbers that are not whole, where {use.section} '{use.name}' takes integers"
    if found.absent and use.dtype != "string" and use.name not in signature.gaps:
        absent = found.absent if not may_be_text else found.missing
        if absent:
            yield f"has no value in {_count(absent, 'row')}"
    if found.infinite:
        yield f"has {_count(found.infinite, 'infinite value')}, or too large for float32"
    if labels is not None and found.listed and found.kind == "text":
        unknown = [value for value, _ in found.frequent if value not in labels]
        if unknown:
            hint = did_you_mean(unknown[0], labels) or f"the labels are {', '.join(labels[:12])}"
            yield f"has '{unknown[0]}', which is not a label; {hint}"
    if use.section == "target" and found.listed and use.name in signature.classes:
        units = signature.classes[use.name]
        if found.kind == "text" and labels is None and found.distinct > units:
            yield f"has {found.distinct} classes, but '{use.name}' has {_count(units, 'unit')}"
        elif found.kind == "integer" and (known := whole_labels(labels or [])):
            if wrong := sorted({int(float(value)) for value, _ in found.frequent} - {*known}):
                yield f"has {wrong[0]}, which is not a label; the labels are {', '.join(map(str, known[:12]))}"
        elif found.numbers is not None and found.is_number and found.numbers.high >= units:
            yield f"has the class {found.numbers.high:.0f}, but '{use.name}' has {_count(units, 'unit')}: 0 to {units - 1}"


def _case(found: ColumnProfile) -> list[str]:
    pair = found.same_but_for_case
    return [] if pair is None else [f"has '{pair[0]}' and '{pair[1]}', which differ in case only: see `fold_case`"]


def _column_hints(found: ColumnProfile, use: Use) -> Iterator[str]:
    if found.constant and found.present and found.kind != "list":
        yield "is the same in every row: nothing can be learnt from it"
    if use.section == "target":
        return
    is_float, is_string = use.dtype.startswith("float"), use.dtype == "string"
    if found.marker is not None and is_float:
        yield f"has {found.marker:g}, beside which all others are equal: `missing_values`?"
    is_word = found.kind in ("text", "integer") and (found.words is None or found.words.mean < 2)
    if found.unique and found.present > 20 and is_word:
        yield "is different in every row, like an id: leave it out"
    if is_float and found.kind == "integer" and 3 <= found.distinct <= _FEW and not is_year(found):
        yield f"has {found.distinct} whole numbers: `{{type: category, dtype: int64}}` if they are codes"
    if is_string and found.is_mixed:
        yield f"is of numbers, but for {words_of(found.others)}: `number` with `missing_values`"
    if is_string and found.is_number and found.stored == "text" and found.distinct > 100:
        yield f"has {found.distinct:,} different numbers: `number` if they are amounts"


def _uneven(part: Overview, subject: str, frequent: tuple[tuple[str, int], ...]) -> list[str]:
    small = small_classes(dict(frequent)) if part.name == "train" else None
    found = [] if small is None else [f"{subject}: {small}"]
    if len(frequent) > 1 and frequent[0][1] > _UNEVEN * frequent[-1][1]:
        (most, n), (rarest, k) = frequent[0], frequent[-1]
        rows = f"'{most}' in {_count(n, 'row')}, '{rarest}' in {k:,}"
        found.append(f"{subject} is uneven: {rows}; see `class_weight: balanced`")
    return found


def _leaks(part: Overview, table: Source, signature: DataSignature) -> Iterator[str]:
    if not isinstance(table, Table | Files):
        return
    uses = [(column, use) for column, of in part.uses.items() for use in of]
    inputs = {column for column, use in uses if use.section == "input"}
    for target, use in uses:
        if use.section == "target" and isinstance(part.columns.get(target), ColumnProfile):
            kept = {n: c for n, c in part.columns.items() if isinstance(c, ColumnProfile) and n in {*inputs, target}}
            classes = use.name in signature.classes.keys() | signature.text_labels | signature.probabilities
            for column, why in leaks(table, Profile(part.rows or 0, kept, True), target, classes=classes).items():
                yield f"column '{column}' {why}; would you know it when you ask?"


def _new_values(part: Overview, train: Overview) -> Iterator[str]:
    """Yield hints about values that do not occur in the training rows."""
    for column, uses in part.uses.items():
        here, there = part.columns.get(column), train.columns.get(column)
        if not isinstance(here, ColumnProfile) or not isinstance(there, ColumnProfile):
            continue
        if here.kind == "text" and here.listed and there.listed and here.distinct:
            seen = {value for value, _ in there.frequent}
            new = [value for value, _ in here.frequent if value not in seen]
            if new and any(use.section == "target" or use.dtype == "string" for use in uses):
                values = f"{_count(len(new), 'value')} that no training row has, such as '{new[0][:40]}'"
                yield f"column '{column}' has {values}"
