"""The inputs and targets that a graph requires, and checks of files and arrays against them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arguments import both, mapping
from graphspec.base.arrays.memory import map_of
from graphspec.base.errors import Code, Diagnostic, Mark, SpecError, UsageError
from graphspec.base.libraries import missing_library
from graphspec.data.batches import Dataset
from graphspec.data.check import check_arrays
from graphspec.data.convert import as_array, pack, reshape, same_numbers
from graphspec.data.odd_values import odd_values
from graphspec.data.source import NOT_GIVEN, DataError, DataSignature
from graphspec.data.stored import load_rows
from graphspec.data.tables import column_or_value, columns_of, is_frame
from graphspec.graph.analysis import id_ranges, infer_shapes
from graphspec.graph.cuts import any_size
from graphspec.graph.ir.graph import Array, Graph, Range, Type
from graphspec.graph.kernels import compiled
from graphspec.language.declarations import HeadDecl, Spec, nodes_of
from graphspec.vocabulary.layers.columns import Impute
from graphspec.vocabulary.metrics import targets_of

Data = Array | Mapping[str, Array] | Any | None  # from Python: arrays or columns by name, a data frame, or one array


def data_signature(spec: Spec, graph: Graph, *, targets: bool = True) -> DataSignature:
    """Return the data that a graph requires: types of inputs, targets of heads with a loss, and ranges of ids."""
    trained = [h for h in spec.all_heads.values() if h.needs_data] if targets else []
    others = [h for h in spec.trained if not h.needs_data] if targets else []
    values = {h.name: nodes_of(graph, h)[0] for h in trained}
    losses = {h.name: h.loss for h in trained if h.loss is not None}
    kinds = {name: targets_of(loss) for name, loss in losses.items()}
    ctc = frozenset(h.name for h in spec.heads.values() if h.loss is not None and targets_of(h.loss) == "labels")
    axes = {name: loss.class_axis(values[name]) for name, loss in losses.items() if kinds[name] in ("ids", "labels")}
    classes = {name: values[name].shape[axis] for name, axis in axes.items() if axis is not None}
    ignored = {h.name: getattr(h.loss, "ignore_class", None) for h in trained}
    imputing = [(n.inputs, n.layer.missing_texts) for n in spec.nodes if isinstance(n.layer, Impute)]
    # a head may learn labels from texts if it has classes
    learning = {n for n, loss in losses.items() if kinds[n] in ("ids", "one_hot") or loss.binary}
    return DataSignature(
        inputs={n: v.type for n, v in graph.inputs.items()},
        targets={name: loss.target(values[name]) for name, loss in losses.items()},
        classes={n: k for n, k in classes.items() if isinstance(k, int)},
        ignored={n: k for n, k in ignored.items() if k is not None},
        probabilities=frozenset(name for name, loss in losses.items() if loss.probability_targets),
        limits=id_ranges(graph),
        labels={h.name: h.labels for h in trained if h.labels is not None},
        ctc=ctc,
        gaps=_gaps(spec),
        any_size=frozenset(any_size(graph)),
        missing={refs[0].name: texts for refs, texts in imputing if texts and refs[0] is not None},
        folded=frozenset(r.name for n in spec.nodes if getattr(n.layer, "fold_case", False) for r in n.inputs if r),
        text_labels=frozenset(h.name for h in trained if h.labels is None and h.name in learning),
        columns={n: d.column for n, d in spec.inputs.items() if d.column is not None},
        records={n: (d.mark, d.tree.path) for n, d in spec.inputs.items() if ".columns." in d.tree.path},
        unlabelled={h.name: _compared(graph, h) for h in others},
        class_inputs=frozenset(h.target.name for h in others if h.target is not None and h.loss is not None),
        unread=frozenset() if targets else frozenset(spec.inputs) - graph.inputs.keys(),
        steps=lambda shapes: _steps(graph, ctc, shapes),
    )


def _compared(graph: Graph, head: HeadDecl) -> Type:
    """Return the type of what a head without targets in the data compares: sample weights have its leading axes."""
    value = nodes_of(graph, head)[0]
    assert head.loss is not None
    if head.target is not None:
        return head.loss.target(value)
    return value.type if head.loss.nodes == (1, 1) else Type("float32", value.shape[:1])


def _gaps(spec: Spec) -> frozenset[str]:
    """Return the inputs in which a value may be missing: all layers that read them know what to do with it.

    Missing numbers are NaN, missing integers the smallest int64: other dtypes have no value for them.
    """
    readers: dict[str, list[bool]] = {}
    layers = {node.name: node.layer for node in spec.nodes}
    for node in spec.nodes:
        layer = node.layer if node.share is None else layers.get(node.share)
        for ref in node.inputs:
            if ref is not None:
                readers.setdefault(ref.name, []).append(layer is not None and layer.gaps_allowed)
    heads = {ref.name for h in spec.all_heads.values() for ref in (*h.layers, h.target) if ref is not None}
    able = [n for n, declared in spec.inputs.items() if declared.dtype in ("float32", "int64", "string")]
    return frozenset(n for n in able if n not in heads and all(readers.get(n, [False])))


def _steps(graph: Graph, heads: frozenset[str], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Return the time steps of CTC heads for these input shapes."""
    known = infer_shapes(graph, graph.needed(graph.outputs[h] for h in heads), shapes)
    return {h: int(known[graph.outputs[h].name].shape[1]) for h in heads if graph.outputs[h].name in known}


def load_all(spec: Spec, graph: Graph, cache: Path | None = None) -> tuple[dict[str, Dataset], list[Diagnostic]]:
    """Read every file of the spec, with the ``cache`` of :func:`load_rows`; return rows by part, and problems."""
    found: list[Diagnostic] = []
    parts = {}
    for part, source in spec.data.items():
        if not source.has_rows:
            continue
        arrays, problems = load_rows(source, data_signature(spec, graph), cache)
        # one package that is not installed is one problem of all parts
        is_told = any(other.hint == missing_library("pillow") for other in found)
        found += [problem for problem in problems if not is_told or problem.hint != missing_library("pillow")]
        if arrays is not None:
            parts[part] = arrays
            found += odd_values(spec, source, arrays)
    return parts, found


def by_name(data: Data, names: Sequence[str], what: str, columns: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return arrays and columns by name: from a mapping, a data frame, or a bare array if there is one name.

    ``columns``: names of columns, for names that are not given themselves.
    """
    if data is None:
        return {}
    others = {column: name for name, column in (columns or {}).items()}
    if isinstance(data, Mapping):
        given = dict(mapping(f"{what}s", data, "a dict of arrays"))
        renamed = {key: others[key] for key in given if key in others and others[key] not in given}
        return {renamed.get(key, key): column_or_value(value) for key, value in given.items()}
    if is_frame(data):
        found = columns_of(data, [*names, *others])
        found = {others[key] if key in others and others[key] not in found else key: c for key, c in found.items()}
        found = {name: column for name, column in found.items() if name in names}
        if found or not hasattr(data, "__array__"):
            return found
    if isinstance(data, list) and data and isinstance(data[0], Mapping):
        raise UsageError("a list of records has no columns: make a data frame of it, `pandas.DataFrame(rows)`")
    data = column_or_value(data)
    if len(names) != 1:
        raise UsageError(f"a bare array is not enough: give a dict of arrays for the {what}s {', '.join(names)}")
    return {names[0]: data}


def x_and_y(call: str, needed: DataSignature, x: Data, y: Data, spec: Spec) -> tuple[Data, Data]:
    """Return inputs and targets of a call; without ``y``, targets are columns of ``x``, else UsageError is raised."""
    if y is not None or not needed.targets or not (isinstance(x, Mapping) or is_frame(x)):
        both(call, x, y, needed.targets)
        return x, y
    named = spec.data["train"].targets if "train" in spec.data else None
    columns = {name: name for name in [*needed.targets, *needed.extras()]}
    columns |= {name: column for name, column in (named or {}).items() if isinstance(column, str) and name in columns}
    inputs = {*needed.inputs, *needed.columns.values()}
    given = dict(x) if isinstance(x, Mapping) else columns_of(x, [*inputs, *columns.values()])
    if absent := [f"'{columns[head]}'" for head in needed.targets if columns[head] not in given]:
        lacks = f"`x` has no column {', '.join(absent)}"
        raise UsageError(f"`{call}` got `x` without `y`, and {lacks}: add it, or pass the targets, `{call}(x, y)`")
    targets = {name: given[column] for name, column in columns.items() if column in given}
    others = {*columns.values()} - inputs
    return {name: value for name, value in given.items() if name not in others}, targets


def user_arrays(needed: DataSignature, x: Data, y: Data, sample_weight: Data = None) -> Dataset:
    """Check arrays of inputs, targets and weights; raise SpecError with all GS5 problems of them."""
    heads = list(needed.targets)
    arrays, found = check_arrays(
        by_name(x, list(needed.inputs), "input", needed.columns),
        by_name(y, [*heads, *needed.extras()] if is_frame(y) else heads, "head"),
        needed,
        by_name(sample_weight, list(needed.weighted), "head"),
    )
    if arrays is None:
        raise SpecError(found)
    return arrays


def user_inputs(needed: DataSignature, x: Data) -> dict[str, Array]:
    """Check arrays of inputs, where ``needed`` has no targets; raise SpecError with all GS5 problems of them."""
    return user_arrays(needed, x, None).inputs


def batch_inputs(needed: DataSignature, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Check the inputs of one batch, of which none is changed silently. Raises SpecError: all GS5 problems of them."""
    checked, found, sizes = {}, [], dict[str, int]()
    for name, expected in needed.inputs.items():
        try:
            if name not in feeds:
                raise DataError(Code.MISSING_ARRAY, NOT_GIVEN.message, NOT_GIVEN.hint)
            if expected.is_string:
                texts: Array = pack(as_array(feeds[name], gaps=True))[:]
                checked[name] = reshape(texts, expected, sizes, squeeze=False)
            else:
                limits, gaps = needed.limits.get(name), name in needed.gaps
                checked[name] = same_numbers(feeds[name], expected, sizes, limits, gaps=gaps)
        except DataError as error:
            found.append(Diagnostic.of(f"input '{name}'", error.problem, Mark("<arrays>"), path=name))
    if found:
        raise SpecError(found)
    return checked


SAMPLE_ROWS = 5  # training rows that a model keeps for the proof of an export: the largest batch of the proof


# Inputs of a few rows in a form that has been checked before: only their values are checked again. The complete check of
# arrays takes 20 µs per input, longer than a small network, and most of the time of an answer for one row.
_MAX_FORMS = 256  # forms to remember; a caller has one, or one for each number of rows
_Check = Callable[["Array"], "Array | None"]


class KnownForms:
    """The forms of inputs that the complete check has accepted.

    A form is the shape of every input. Whatever the short check here does not accept, such as a new form, a value that is
    not finite, or a data frame, is left to the complete check, which accepts it or reports it. So errors do not depend
    on what was asked before.

    ``needed``: the inputs of the network; it has no targets.
    """

    def __init__(self, needed: DataSignature) -> None:
        self._names = list(needed.inputs)
        limits, gaps = needed.limits, needed.gaps
        self._checks = [_check_of(t, limits.get(name), gaps=name in gaps) for name, t in needed.inputs.items()]
        self._forms: dict[tuple[tuple[int, ...], ...], list[tuple[str, _Check, tuple[int, ...]]]] = {}

    def feeds(self, x: Any, most: int) -> dict[str, Array] | None:
        """Return the arrays of 1 to ``most`` rows by input, as the complete check returns them; None if it must decide."""
        arrays = self._arrays(x)
        if arrays is None:
            return None
        form = self._forms.get(tuple([array.shape for array in arrays]))
        if form is None or form[0][2][0] > most:
            return None
        feeds = {}
        for array, (name, check, shape) in zip(arrays, form):  # noqa: B905 (a microsecond counts)
            found = check(array)
            if found is None or (array.base is not None and map_of(array) is not None):
                return None
            feeds[name] = found if found.shape == shape else found.reshape(shape)
        return feeds

    def remember(self, x: Any, accepted: Mapping[str, Any]) -> None:
        """Remember the form of inputs that the complete check has accepted, with the arrays it returned."""
        arrays = self._arrays(x)
        if arrays:
            if len(self._forms) >= _MAX_FORMS:
                self._forms = {}
            form = list(zip(self._names, self._checks, [accepted[name].shape for name in self._names], strict=True))
            self._forms[tuple([array.shape for array in arrays])] = form

    def _arrays(self, x: Any) -> Sequence[Array] | None:
        """Return the inputs as arrays, in the order of the network; None if a name or a kind of value is another one."""
        is_dict = type(x) is dict
        if (len(x) if is_dict else 1) != len(self._names):
            return None
        values: list[Any] = [x.get(name) for name in self._names] if is_dict else [x]
        for k, value in enumerate(values):
            if type(value) is list:
                try:
                    values[k] = np.asarray(value)
                except ValueError:
                    return None
            elif type(value) is not np.ndarray:
                return None
        return values


def _check_of(kind: Type, limits: Range | None, *, gaps: bool) -> _Check:
    """Return a function that returns an array as it is fed, or None if the complete check must look at its values."""
    if kind.is_string:
        return _texts
    if kind.is_float:
        return partial(_numbers, gaps=True) if gaps else _numbers
    dtype = np.dtype(kind.dtype)

    def integers(array: Array) -> Array | None:
        if array.dtype is not dtype and (array.dtype.kind not in "iu" or not np.can_cast(array.dtype, dtype, "safe")):
            return None
        if limits is None or not array.size or dtype.kind == "b":
            return array
        if array.size == 1:
            low = high = array.item()
        else:
            low, high = array.min(), array.max()
        return array if limits.low <= low and high <= limits.high else None

    return integers


def _texts(array: Array) -> Array | None:
    if array.dtype.kind not in "OU":
        return None
    texts = array.reshape(-1).tolist()
    for text in texts:
        if type(text) is not str:
            return None
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return None
    return array if array.dtype.kind == "O" else array.astype(object)


def _numbers(array: Array, *, gaps: bool = False) -> Array | None:
    """Return numbers, of which some may be NaN with ``gaps``."""
    found = array if array.dtype is _FLOAT32 else _float32(array)
    if found is None or found.dtype is not _FLOAT32:
        return found
    if not gaps and compiled.LIBRARY is not None and compiled.LIBRARY.is_finite(found):
        return found
    if found.size == 1:
        value = found.item()
        return found if math.isfinite(value) or (gaps and math.isnan(value)) else None
    if gaps:
        return None if np.logical_or.reduce(np.isinf(found), None) else found
    return found if math.isfinite(np.vdot(found, found)) else None  # else it may be that the sum is too large


def _float32(array: Array) -> Array | None:
    """Return floats as float32, where one that is too large is infinite, and integers as they are."""
    dtype = array.dtype
    if dtype is _FLOAT32 or dtype.kind in "iub":
        return array
    if dtype is not _FLOAT64:
        return None
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
