"""Read, convert and check files and arrays for a graph; one run reports every problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphspec.base.arrays.memory import Allocate
from graphspec.base.arrays.pictures import Pictures
from graphspec.base.arrays.strings import Strings
from graphspec.base.config import with_article
from graphspec.base.errors import Code, Diagnostic, Problem, RunError, SpecError, did_you_mean
from graphspec.data import convert
from graphspec.data import targets as of_targets
from graphspec.data.batches import Dataset, Loaded
from graphspec.data.convert import FILL_IN, check_range, raise_counted, reshape
from graphspec.data.files import open_rows
from graphspec.data.folders import sizes_of_pictures, with_columns
from graphspec.data.problems import Finding, Reporter, can_be_surveyed, noun_of, section_of, survey
from graphspec.data.source import NO_ROWS, NOT_GIVEN, DataError, DataErrors, DataSignature, Request, Source, at, placed
from graphspec.data.tables import FrameColumn, fill_from_frames
from graphspec.data.targets import encode_labels, encode_texts, keep_rows, problem_of, rows_without, steps_of_rows
from graphspec.data.windows import WindowSource
from graphspec.graph.ir.graph import MISSING_INTEGER, Array, Range, Type
from graphspec.language.declarations import LENGTH, STEPS, WEIGHT, Columns, DataSource

ByName = Mapping[str, Any]  # arrays, or what becomes one
_NO_ROWS = Problem(Code.TOO_FEW_ROWS, "has no rows", NO_ROWS)


def load(
    source: DataSource, signature: DataSignature, max_rows: int | None = None, allocate: Allocate | None = None
) -> Loaded:
    """Read a data file; return its rows, or None after an error, and all problems.

    Columns of text come back as :class:`graphspec.base.arrays.strings.Strings`.

    ``max_rows``: the number of rows to read from the start, by default all; ``allocate``: provides the arrays that are
    filled, by default in memory. Arrays of an ``.npz`` file are not filled: large ones are memory maps of the file.
    """
    check = _Check(signature, source)
    try:
        table = open_rows(source, max_rows)
    except DataError as error:
        for one in error.all:
            check.report("file", "", one.problem, check.file)
        return None, check.found
    return load_from(table, source, signature, allocate)


def load_from(table: Source, source: DataSource, signature: DataSignature, allocate: Allocate | None = None) -> Loaded:
    """Do the work of :func:`load` for an opened file."""
    source = with_columns(source, table, signature)
    check = _Check(signature, source, allocate, table)
    requests = [check.request(*wanted) for wanted in requested(source, signature, table)]
    # The names of a trained network's columns are right: none of the file's that is asked for is another one misspelt.
    asked = () if signature.targets else {column for request in requests for column in request.columns}
    requests = [request for request in requests if check.has_columns(request, table, asked)]
    check.tell_absent(table)
    try:
        found = table.fill(requests)
        check.groups = None if source.group is None else table.stored.groups(source.group)[1][: table.max_rows]
    except DataError as error:
        for one in error.all:
            at = ("windows", "order") if one.code == Code.IRREGULAR_STEPS else ("file", "")
            check.report(*at, placed(one, table.place).problem, check.file)
        return None, check.found
    if found and all(isinstance(a, np.ndarray) and a.ndim and not len(a) for a in found.values()):
        check.report("file", "", _NO_ROWS, check.file)
        return None, check.found
    for request in requests:
        if request.name in found:  # windows are made only if no column has a problem
            check.add_columns(request, table, found[request.name])
    check.tell_columns()
    check.sizes = {n: each for n, each in sizes_of_pictures(table).items() if n in check.arrays}
    arrays = check.finish()
    if arrays is None or not isinstance(table, WindowSource):
        return arrays, check.found
    if table.warning is not None:
        check.report("windows", "order", table.warning.problem, check.file)
        check.found[-1] = check.found[-1].as_warning()
    return replace(arrays, chosen=table.chosen, times=table.times), check.found


def refused(found: Sequence[Diagnostic]) -> SpecError | RunError:
    """Return the error to raise for problems of data: RunError if there is only too little memory, else SpecError."""
    errors = [d for d in found if d.is_error]
    if errors and all(d.code == Code.NOT_ENOUGH_MEMORY for d in errors):
        return RunError(Code.NOT_ENOUGH_MEMORY, errors[0].message, errors[0].hint)
    return SpecError(found)


def requested(source: DataSource, signature: DataSignature, table: Source) -> Iterator[tuple[str, str, Columns]]:
    """Yield the section, the name, and the column or columns of each array to read."""
    for section, mapped, names in (
        ("inputs", source.inputs or {}, list(signature.inputs)),
        ("targets", source.targets or {}, [*signature.targets, *signature.extras()]),
    ):
        for name in names:
            if name in mapped or name in table.names or name not in signature.extras():
                yield section, name, columns_of(name, mapped, signature, table.names)


def columns_of(name: str, mapped: Mapping[str, Columns], signature: DataSignature, names: Collection[str]) -> Columns:
    """Return the columns of an input or a target: those of the mapping, else that of its declaration, else its name."""
    column = signature.columns.get(name, name)
    return mapped.get(name) or (column if column in names or name not in names else name)


def check_arrays(x: ByName, y: ByName | None, signature: DataSignature, sample_weight: ByName | None = None) -> Loaded:
    """Check arrays by input and head name, like :func:`load`; ``y`` may also contain ``<head>_length`` and similar."""
    check = _Check(signature, None)
    targets = dict(y or {}) | {head + WEIGHT: w for head, w in (sample_weight or {}).items()}
    found = dict[str, tuple[str, Any]]()
    for section, what, given, required, optional, unread in (
        ("inputs", "input", x, list(signature.inputs), [], signature.unread),
        ("targets", "head", targets, list(signature.targets), signature.extras(), ()),
    ):
        for name in given:
            if name not in required and name not in optional and name not in unread:
                hint = did_you_mean(name, required) or f"the {what}s are {', '.join(required) or 'none'}"
                unknown = Problem(Code.MISSING_ARRAY, f"is given for {with_article(what)} that does not exist", hint)
                check.report(section, name, unknown, f"array '{name}'")
        for name in [*required, *(n for n in optional if n in given)]:
            if name in given:
                found[name] = section, given[name]
            else:
                check.report(section, name, NOT_GIVEN, f"{what} '{name}'")
    check.add_given(found)
    return check.finish(), check.found


def _as_array(value: Any, request: Request) -> Any:
    try:
        if request.any_size and (pictures := Pictures.of(value)) is not None:
            return pictures
        value = convert.padded(value) if request.lists else value
        return convert.as_array(value, gaps=request.gaps or request.type.is_string)
    except DataError as error:
        return error


class _Check(Reporter):
    """Collects arrays and diagnostics; a diagnostic points at the value of the mapping, else at ``file``."""

    def __init__(
        self,
        signature: DataSignature,
        source: DataSource | None,
        allocate: Allocate | None = None,
        table: Source | None = None,
    ) -> None:
        super().__init__(signature, source, table)
        self._allocate = allocate
        self.arrays: dict[str, Array] = {}
        self._places: dict[str, tuple[str, str]] = {}  # the section and the subject of each array
        self._sizes: dict[str, int] = {}
        self._missing: dict[str, Array] = {}
        self._lists: dict[str, tuple[str, Array]] = {}  # by axis: the first lists, and how many texts each row has
        self.sizes: dict[str, tuple[int, Array]] = {}
        self.groups: Array | None = None

    def request(self, section: str, name: str, column: Columns) -> Request:
        signature, kind, is_input = self.signature, self._type(name), section == "inputs"
        columns = [column] if isinstance(column, str) else column
        is_sequence = not is_input and name in signature.ctc
        may_miss = name in (signature.gaps if is_input else signature.targets)
        return Request(
            name,
            columns,
            not isinstance(column, str),
            kind,
            is_input,
            None if is_input or is_sequence else signature.labels.get(name),
            learns_labels=not is_input and name in signature.text_labels,
            is_sequence=is_sequence,
            lists=signature.has_lists(name) and isinstance(column, str),
            gaps=may_miss and (kind.is_float or kind.dtype == "int64"),
            any_size=name in signature.any_size,
            missing=signature.missing.get(name, ()) if is_input else (),
            allocate=self._allocate,
        )

    def add_columns(self, request: Request, table: Source, found: Array | Strings | DataErrors) -> None:
        """Add the result of a request: an array of the right type, or the problems of its columns."""
        assert self.source is not None
        columns, where = request.columns, self.source.where
        if isinstance(found, dict):
            for k, error in found.items():
                findings = self._survey(table, columns[k], request, error)
                self.add_problem(request, k, error, findings, (table.item, columns[k], where))
            return
        subject = f"{table.item} '{columns[0]}' of {where}"
        if request.stacked:
            few = ", ".join(columns[:4]) + (", …" if len(columns) > 4 else "")
            subject = f"the table of {table.item}s {few} of {where}"
        self.add(section_of(request), request.name, found, subject)

    def _survey(self, rows: Source | Array, column: str, request: Request, error: DataError) -> list[Finding]:
        """Return what is wrong in a column, where a survey may tell more than its error."""
        of_source = self.source is not None and self.source.drop_missing_targets
        may_miss = request.gaps if request.is_input else of_source
        return survey(rows, column, request, error, may_miss=may_miss) if can_be_surveyed(error, request) else []

    def _type(self, name: str) -> Type:
        signature = self.signature
        if name in signature.inputs:
            return signature.inputs[name]
        if name in signature.ctc:
            return Type("int64", ("N", f"<labels of {name}>"))  # a symbol that no other head or input shares
        if name in signature.targets:
            return signature.targets[name]
        return Type("float32" if name.endswith(WEIGHT) else "int64", ("N",))

    def add_given(self, values: Mapping[str, tuple[str, Any]]) -> None:
        """Convert the values from Python, each with its section, and check them like arrays from a file."""
        requests = {name: self.request(section, name, name) for name, (section, _) in values.items()}
        columns = {name: value for name, (_, value) in values.items() if isinstance(value, FrameColumn)}
        read = fill_from_frames({name: (requests[name], column) for name, column in columns.items()})
        for name, (section, value) in values.items():
            request, subject = requests[name], noun_of(section, name)
            of_frame = isinstance(value, FrameColumn)
            rows, column = (value.frame, value.column) if of_frame else (_as_array(value, request), name)
            found = read[name] if name in read else convert.assemble(request, [rows])
            if not isinstance(found, dict):
                self.add(section, name, found, subject)
                continue
            findings = [] if isinstance(rows, DataError) else self._survey(rows, column, request, found[0])
            self.add_problem(request, 0, found[0], findings, (subject.partition(" ")[0], name, ""))
        self.tell_columns()

    def add(self, section: str, name: str, converted: Any, subject: str) -> None:
        """Check the shape and values of an array of the right type, and add it."""
        expected, signature, is_input = self._type(name), self.signature, section == "inputs"
        try:
            if isinstance(converted, Strings) and not expected.is_string:
                expected = Type("string", expected.shape if signature.has_lists(name) else ("N",))
            if isinstance(converted, Strings) and signature.has_lists(name) and converted.ndim == 2:
                axis = str(expected.shape[1])
                self._compare_lists(name, axis, converted)
                if converted.shape[1] < (width := self._sizes.get(axis, 0)):  # the longest row has no target
                    converted = convert.widened(converted, np.full(len(converted), converted.shape[1]), width)
            if name.endswith(WEIGHT) and name not in signature.targets:
                weighted = signature.weighted[name.removesuffix(WEIGHT)]
                converted = convert.checked_weights(converted, weighted, self._sizes)
            elif not isinstance(converted, Pictures):
                converted = reshape(converted, expected, self._sizes, squeeze=not is_input, is_input=is_input)
            if is_input and name in signature.limits and converted.dtype.kind != "b":
                hint = "set `input_dim` of the Embedding above the largest id"
                if name in signature.class_inputs:
                    hint = "the head that compares with it needs a unit for each class, counted from 0"
                spare = (MISSING_INTEGER,) if name in signature.gaps else ()
                check_range(converted, signature.limits[name], "id", f"{hint}, or correct the ids", spare)
            if name in signature.targets and not is_input:
                converted = self._checked_target(name, converted, subject)
        except DataError as error:
            self.report(section, name, placed(error, self.place).problem, subject)
            return
        self.arrays[name], self._places[name] = converted, (section, subject)

    def _compare_lists(self, name: str, axis: str, texts: Strings) -> None:
        """Raise GS507 unless lists have as many texts in each row as those that were added before for the same axis."""
        counts = convert.counts_of(texts)
        if name in self.signature.targets and counts.sum() > np.count_nonzero(texts.lengths()):
            row = int((np.count_nonzero(texts.lengths(), axis=1) < counts).argmax())
            raise DataError(Code.MISSING_VALUE, f"has an empty text in the list of {at(row)}", FILL_IN)
        other, before = self._lists.setdefault(axis, (name, counts))
        if len(before) == len(counts) and (bad := (before != counts)).any():
            row = int(bad.argmax())
            if self.source is not None and self.source.drop_missing_targets and not counts[bad].any():
                return
            text = f"has {counts[row]} texts in {at(row)}, where '{other}' has {before[row]}"
            raise DataError(Code.WRONG_LENGTH, text, "write one for each, or remove the row")

    def _checked_target(self, name: str, target: Any, subject: str) -> Any:
        """Return a target; of a CTC head whose labels are known, ids for texts."""
        signature = self.signature
        if (missing := rows_without(target, lists=signature.has_lists(name))) is not None:
            self._missing[name] = missing
            if self.source is None or not self.source.drop_missing_targets:
                problem = problem_of(missing, self.place, in_file=self.source is not None)
                self.report("targets", name, problem, subject)
        if isinstance(target, Strings):
            if name in signature.labels and signature.has_lists(name):
                return encode_labels(target, signature.labels[name], learnt=False)
            known = name in signature.ctc and name in signature.labels
            return encode_texts(target, signature.labels[name], learnt=False) if known else target
        if name in signature.classes:
            hint = "class ids count from 0; the head needs a unit for each class"
            spare = [MISSING_INTEGER, *([signature.ignored[name]] if name in signature.ignored else ())]
            check_range(target, Range(0, signature.classes[name] - 1), "class", hint, spare)
        if name in signature.probabilities:
            hint = "binary classes are 0 and 1; for class ids use sparse_categorical_crossentropy"
            raise_counted(target, lambda x: (x < 0) | (x > 1), "has values outside 0 … 1", hint)
        return target

    def finish(self) -> Dataset | None:
        """Return the collected arrays; None after a problem."""
        self._check_rows()
        try:
            if self.found:
                return None
            self._count_steps()
            signature, arrays = self.signature, self.arrays
            lengths = {h + s for h in signature.ctc for s in (LENGTH, STEPS)} - signature.targets.keys()
            data = Dataset(
                {n: arrays[n] for n in signature.inputs},
                {n: arrays[n] for n in signature.targets},
                {h: arrays[h + WEIGHT] for h in signature.weighted if h + WEIGHT in arrays},
                {n: a for n, a in arrays.items() if n in lengths},
                groups=self.groups,
            )
            if self._missing:  # the rows that have all targets are left
                keep = ~np.any(list(self._missing.values()), axis=0)
                if not keep.any():
                    raise DataError(Code.TOO_FEW_ROWS, "has no row with a target", NO_ROWS)
                data = keep_rows(data, keep, self._allocate)
                self.arrays = {n: data.feeds()[n] for n in arrays}
        except DataError as error:
            self.report("file", "", error.problem, self.file)
            return None
        for head in self.signature.ctc & self.arrays.keys():
            self._check_ctc(head)
        return None if self.found else data

    def _count_steps(self) -> None:
        """Add the time steps of CTC heads that depend on the sizes of a row's pictures."""
        heads, steps = sorted(self.signature.ctc), self.signature.steps
        if heads and self.sizes and steps is not None:
            counted = steps_of_rows(heads, self._shapes(), self.sizes, steps)
            self.arrays = {head + STEPS: count for head, count in counted.items()} | self.arrays

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {n: self.arrays[n].shape for n in self.signature.inputs}

    def _check_rows(self) -> None:
        if not self.arrays:
            return
        counts = {name: len(array) for name, array in self.arrays.items()}
        common = Counter(counts.values()).most_common(1)[0][0]
        first = next(name for name, n in counts.items() if n == common)
        for name, n in counts.items():
            if n != common:
                text = f"has {n} rows, but {self._places[first][1]} has {common}"
                hint = "all arrays have one row for each sample, in the same order"
                section, subject = self._places[name]
                self.report(section, name, Problem(Code.WRONG_LENGTH, text, hint), subject)
        if common == 0:
            self.report("file", first, _NO_ROWS, self.file if self.source else self._places[first][1])

    def _check_ctc(self, head: str) -> None:
        """Report a label sequence that has no path through its time steps."""
        steps = self.signature.steps(self._shapes()).get(head) if self.signature.steps is not None else None
        lengths, given = self.arrays.get(head + LENGTH), self.arrays.get(head + STEPS)
        try:
            of_targets.check_sequences(head, self.arrays[head], lengths, given, steps)
        except DataError as error:
            self.report("targets", head, placed(error, self.place).problem, self._places[head][1])
