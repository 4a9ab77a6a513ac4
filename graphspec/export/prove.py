"""Prove an exported model: compare the runtime and onnxruntime on the same rows, at several batch sizes and lengths.

If they differ by more than a tolerance, float64 decides. The rows are those of the user, else of the last training,
else of the spec's data, else generated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arrays.calls import settings
from graphspec.base.arrays.random import generator
from graphspec.base.errors import Code, Diagnostic, ShapeError, SpecError
from graphspec.base.text import count
from graphspec.data.check import load
from graphspec.data.signature import SAMPLE_ROWS, Data, user_inputs
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.session import Session
from graphspec.export.onnx import labels_of
from graphspec.export.quantize import Verdict
from graphspec.graph.analysis import input_bounds
from graphspec.graph.builder import Target
from graphspec.graph.ir.dims import divided_exactly, evaluate, factors
from graphspec.graph.ir.graph import MISSING_INTEGER, STRING, Array, Graph, numpy_dtype
from graphspec.graph.onnx_session import failure, runtime, session
from graphspec.language.declarations import LABEL

# Values for the proof of an export: texts that the graph knows, and missing, unseen and otherwise unusual ones.
_LONG = 5000  # characters of a very long text
_MAX_KEYS = 1000  # known texts to draw from
_MAX_WORDS = 8
_KNOWN_ROWS = 3
TEXTS = ("a", "A b c", "7", "-1.5e3", "2024-02-29", "1999-12-31T23:59:58", "31/01/2001", "true", "the end, of it")
"""Ordinary texts."""
UNUSUAL_TEXTS = (  # missing, unseen, capitals, other alphabets, control characters, quotes, and very long
    "",
    " ",
    "never seen before",
    "SHOUTED, IN CAPITALS",
    "Élan ÉLAN ǅ straße İı 北京 и́ 🙂 e\u0301",
    "tab\tnew line\nreturn\rbell\x07escape\x1b[31m\x7f\u200b\u2028\ufeff",
    "''\"\\`${x}<b>&amp;%s",
    ("long and longer " * _LONG)[:_LONG],
    "x" * _LONG,
)


@dataclass(frozen=True)
class Keys:
    """The elements that the lookups of an input know; ``words``: they are words of a longer text."""

    elements: Sequence[Any]
    words: bool = False


def keys_of(graph: Graph, name: str) -> Keys | None:
    """Return what the lookups that read the input ``name`` know, None if there are none."""
    reached, words, elements = {name}, False, dict[Any, None]()
    for node in graph.nodes:
        if not any(v.name in reached for v in node.sources):
            continue
        keys = node.attrs.get("keys_strings") or node.attrs.get("keys_int64s") or ()
        if node.op == "LabelEncoder":  # what it returns are ids, not elements of the input
            elements |= dict.fromkeys(islice(keys, _MAX_KEYS))
        else:
            words = words or node.op == "Tokenizer"
            reached.update(v.name for v in node.outputs)
    return Keys([key for key in elements if key != ""] or list(elements), words) if elements else None


def drawn(name: str, keys: Keys, shape: Sequence[int]) -> Array:
    """Return an array of random known elements: texts, single or of several words, or integers."""
    random = generator(0, "proof", name)
    count = math.prod(shape)
    chosen = random.integers(0, len(keys.elements), (count, _MAX_WORDS))
    if not isinstance(keys.elements[0], str):
        return np.array([keys.elements[row[0]] for row in chosen], np.int64).reshape(shape)
    lengths = random.integers(1, _MAX_WORDS + 1, count) if keys.words else np.ones(count, np.int64)
    texts = [" ".join(keys.elements[k] for k in row[:n]) for row, n in zip(chosen, lengths, strict=True)]
    return np.array(texts, object).reshape(shape)


def unusual_rows(model: Session, ordinary: Mapping[str, Array]) -> dict[str, Array] | None:
    """Return rows in which texts and numbers are missing or unusual; None if the network takes no texts and no gaps.

    Each row has one of the unusual texts in all its inputs of texts; then come rows of texts that the network knows. Every
    other number that may be missing is missing. All else is as in the first of the ``ordinary`` rows.
    """
    inputs, gaps = model.whole.inputs, model.needed_inputs.gaps
    texts = any(value.type.is_string for value in inputs.values())
    if not texts and not gaps:
        return None
    special = len(UNUSUAL_TEXTS) if texts else 1
    feeds = {name: np.repeat(array[:1], special + _KNOWN_ROWS, axis=0) for name, array in ordinary.items()}
    for k, (name, array) in enumerate(feeds.items()):
        if inputs[name].dtype == STRING:
            for row, text in enumerate(UNUSUAL_TEXTS):
                array[row] = text
            if (keys := keys_of(model.whole, name)) is not None:
                array[special:] = drawn(name, keys, array[special:].shape)
        elif name in gaps:
            array[k % 2 :: 2] = array[0] = np.nan if array.dtype.kind == "f" else MISSING_INTEGER
    return feeds


# The rows for the proof of an export: from the user, else the last training, else the spec's data, else generated.
LENGTHS = (3, 7, 16, 40, 100)  # sizes to try for variable axes
_LARGEST = 512  # a size to try
RANDOM = "random rows"
_PARTS = {"test": "the test data", "train": "the training data"}


@dataclass(frozen=True)
class Rows:
    """Rows for a proof: arrays by input, or None to generate them."""

    arrays: Mapping[str, Array] | None = None
    origin: str = RANDOM  # `the last fit`, `the test data`, a file's name
    from_user: bool = False  # the user provided them: they are never replaced
    replaces: str = ""  # why these rows replace others


def rows_for(model: Session, wanted: Data | str | Path = None) -> Rows:
    """Return the ``wanted`` rows (GS5 if they do not fit), else the best available: the spec's data may no longer exist."""
    if isinstance(wanted, str | Path):
        from graphspec.data.new_rows import read_inputs

        return Rows(read_inputs(model.spec, model.whole, Path(wanted), SAMPLE_ROWS), Path(wanted).name, from_user=True)
    if wanted is not None:
        return Rows(user_inputs(model.needed_inputs, wanted), "the rows given", from_user=True)
    if model.sample_rows is not None:
        return Rows(model.sample_rows, "the last fit")
    failed = ""
    for part, origin in _PARTS.items():
        source = model.spec.data.get(part)
        if source is None or not source.has_rows:
            continue
        arrays, _ = load(source, model.needed_inputs, SAMPLE_ROWS)
        if arrays is not None:
            return Rows(arrays.sample(SAMPLE_ROWS), origin, replaces=failed)
        failed = failed or f"{origin} cannot be read"
    return Rows(replaces=failed or "the spec names no data")


def lengths_for(model: Session, rows: Rows) -> list[dict[str, int]]:
    """Return sizes for the variable axes: at most three that the network accepts, none longer than the rows."""
    shapes = {name: v.shape for name, v in model.whole.inputs.items()}
    symbols = sorted({d for shape in shapes.values() for d in shape[1:] if isinstance(d, str)})
    if not symbols:
        return [{}]
    attempts = [{s: n + k for k, s in enumerate(symbols)} for n in LENGTHS]
    if rows.arrays is not None:
        read = [(shapes[name], a.shape) for name, a in rows.arrays.items() if name in shapes]  # losses may read others
        own = {d: n for shape, sizes in read for d, n in zip(shape, sizes, strict=True)}
        longest = {s: int(own[s]) for s in symbols}
        attempts = [a for a in attempts if all(a[s] <= longest[s] for s in symbols)] + [longest]
    accepted = [a for a in attempts if _accepts(model, a)]
    if len(accepted) < 2 and rows.arrays is None and (step := _divisor(model.whole)) > 1:
        multiples = ({s: step * (n + k) for k, s in enumerate(symbols)} for n in (1, 2, 5))
        accepted += [m for m in multiples if m not in attempts and _accepts(model, m)]
    return accepted[:3]


def _divisor(graph: Graph) -> int:
    """Return a common multiple of the numbers that Reshape divides sizes by; 1 if it is large."""
    dims = {d for node in graph.nodes for v in node.outputs for d in v.shape if isinstance(d, str)}
    divided = [divided_exactly(name) for d in dims for name in factors(d)[1]]
    common = math.lcm(*(each[1] for each in divided if each))
    return common if common <= _LARGEST else 1


def _accepts(model: Session, lengths: Mapping[str, int]) -> bool:
    shapes = {name: (1, *_sized(v.shape[1:], lengths)) for name, v in model.whole.inputs.items()}
    try:
        model.infer_shapes(shapes)
    except ShapeError:
        return False
    for node in model.whole.nodes:  # positions beyond the last that a table has, which no shape shows
        ids = node.inputs[0] if node.op == "CheckIds" else None
        if ids is not None and ids.node is not None and ids.node.op == "Range":
            longest = evaluate(ids.shape[0], lengths)
            if longest is not None and longest > node.attrs["size"]:
                return False
    return True


def _sized(shape: Sequence[Any], lengths: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(lengths[d] if isinstance(d, str) else d for d in shape)


def batch_of(model: Session, rows: Rows, count: int, lengths: Mapping[str, int]) -> dict[str, Array]:
    """Return ``count`` rows: spread evenly over the available ones (with repeats) and cut to ``lengths``, or generated."""
    bounds = input_bounds(model.whole) if rows.arrays is None else {}
    places = {name: evaluate(d, lengths) for name, d in places_of(model.whole).items()}
    feeds = {}
    for name, value in model.whole.inputs.items():
        sizes = _sized(value.shape[1:], lengths)
        size = places.get(name)
        if rows.arrays is not None:
            array = rows.arrays[name]
            chosen = array[np.linspace(0, len(array) - 1, count).astype(np.int64)]
            feeds[name] = chosen[:, *(slice(0, n) for n in sizes)].astype(numpy_dtype(value.dtype))
            if size is not None:  # the axis has been cut, too
                feeds[name] = np.minimum(feeds[name], size - 1)
        elif keys := keys_of(model.whole, name):
            feeds[name] = drawn(name, keys, (count, *sizes))
        else:
            limits = bounds.get(name) if size is None else (0, size)
            feeds[name] = seeded(name, value.dtype, (count, *sizes), limits)
    return feeds


def places_of(graph: Graph) -> dict[str, str]:
    """Return ``input → size`` for the inputs that are places on an axis whose size varies, such as edges of graphs."""
    places: dict[str, str] = {}
    for node in graph.nodes:
        data = node.inputs[0] if node.op == "GatherND" else None
        axis = int(node.attrs.get("batch_dims", 0))
        if data is not None and axis < data.rank and isinstance(size := data.shape[axis], str) and size != "N":
            ids = node.inputs[1]
            while ids is not None and ids.node is not None:
                ids = ids.node.inputs[0]
            if ids is not None and ids.kind == "input":
                places[ids.name] = size
    return places


def seeded(name: str, dtype: str, shape: Sequence[Any], bounds: tuple[int, int] | None) -> Array:
    """Return random values that an input of ``dtype`` accepts: ids within ``bounds``, bytes, bits, texts, normal floats."""
    random = generator(0, "proof", name)
    size = tuple(int(d) for d in shape)
    if dtype == STRING:
        return drawn(name, Keys([*TEXTS, *UNUSUAL_TEXTS]), size)
    if dtype == "bool":
        return random.integers(0, 2, size).astype(bool)
    if dtype == "float32" and bounds is None:
        return random.standard_normal(size).astype(np.float32)
    low, high = bounds if bounds is not None else (0, 256 if dtype == "uint8" else 10)
    return random.integers(low, high, size).astype(dtype)


def scaled_down(feeds: Mapping[str, Array], factor: float) -> dict[str, Array] | None:
    """Return the rows with smaller floats, but equal whole numbers, which may be ids or masks; None without such floats."""
    floats = {n: a * np.float32(factor) for n, a in feeds.items() if a.dtype == np.float32 and not is_whole(a).all()}
    return {**feeds, **floats} if floats else None


def is_whole(array: Array) -> Array:
    """Return the mask of the whole numbers in ``array``."""
    return np.asarray(array == np.rint(array))


# Measure the effect of rounding to float32 on a network's outputs: run once in float64 and often in float32.
RUNS, MAX_RUNS = 8, 64  # float32 runs: at first, and before a difference counts as more than rounding
FACTOR = 4.0  # ratio of the errors of another float32 program and of the runtime: it sums in another order
_LAST_BIT = np.float32(2**-23)


class Rounding:
    """The outputs for some rows in float64, and the distance of float32 from them.

    The error of float32 is measured, not derived: the runtime runs in float32 with a random change of the last bit of
    each weight and each input. Every intermediate result is then rounded differently, and the outputs of a network that
    is ill-conditioned on these rows scatter. Whole numbers in the inputs stay, since they may be ids or mask values. Only
    what NumPy computes is rounded otherwise: the prelude, which onnxruntime computes, is the same in runtime and file.
    """

    def __init__(self, model: Session, feeds: Mapping[str, Array]) -> None:
        self._model, self._feeds = model, model.through_prelude(feeds)
        runner = _Runner(model, self._feeds, np.float64)
        runner.set_weights(lambda vector: vector)
        self.exact = runner(self._feeds)
        self._runner: _Runner | None = None
        self._runs = 0
        self._errors = {head: np.zeros(len(r)) for head, r in self.exact.items()}
        self.overflows = {head: np.zeros(r.shape, bool) for head, r in self.exact.items()}  # not finite in some run

    def bound(self, head: str, runs: int) -> Array:
        """Return, per row, the largest difference from float64 that rounding explains, measured in ``runs`` runs."""
        while self._runs < runs:
            self._draw()
        return FACTOR * self._errors[head]

    def _draw(self) -> None:
        self._runner = self._runner or _Runner(self._model, self._feeds, np.float32)
        random = generator(0, "rounding", str(self._runs))
        self._runner.set_weights(lambda vector: changed(vector, random))
        floats = {n: a for n, a in self._feeds.items() if a.dtype == np.float32}
        feeds = self._feeds | {n: np.where(is_whole(a), a, changed(a, random)) for n, a in floats.items()}
        for head, b in self._runner(feeds).items():
            with np.errstate(all="ignore"):
                error = np.abs(b - self.exact[head])
            self.overflows[head] |= ~np.isfinite(b.astype(np.float64))
            largest = max_per_row(np.where(np.isfinite(error), error, 0.0))
            self._errors[head] = np.maximum(self._errors[head], largest)
        self._runs += 1


class _Runner:
    """The graph in inference mode, bound in one precision."""

    def __init__(self, model: Session, feeds: Mapping[str, Array], dtype: Any) -> None:
        self._source, self._parameters = model.parameters, Parameters(model.graph, dtype)
        shapes = {name: feeds[name].shape for name in model.answering.inputs}
        self._program = build_program(model.answering, self._parameters, Target(shapes), seed=model.seed)

    def set_weights(self, change: Callable[[Array], Array]) -> None:
        """Set the weights to those of the model, with a change."""
        for group, vector in self._source.vectors.items():
            self._parameters.vectors[group][...] = change(vector)

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        for name, buffer in self._program.feeds.items():
            buffer[...] = feeds[name]
        with settings():
            self._program.run()
        return {head: array.copy() for head, array in self._program.fetches.items()}


def changed(array: Array, random: np.random.Generator) -> Array:
    """Return each element one last bit lower, higher, or unchanged."""
    return np.asarray(array * (1 + random.integers(-1, 2, array.shape, np.int8) * _LAST_BIT))


def max_per_row(difference: Array) -> Any:
    """Return the largest element of every row."""
    return difference.reshape(len(difference), -1).max(1, initial=0.0)


BATCHES = (1, 2, 5)
ATOL, RTOL = 1e-5, 1e-4
SCALES = (2.0**-4, 2.0**-8, 2.0**-16)  # factors for the rows: a network may be less ill-conditioned on smaller values
MAX_ROUNDING = 1e-2  # a row is conclusive if rounding explains at most this fraction of its largest value
WIDTH = 80  # characters of a line of the summary
_SCALED = ", also scaled down"
_REPORT = "no file was written; please report this with the spec: the exported graph should equal the trained one"
_OTHER_IDS = "the rows are generated, and their ids are out of range: use `--rows FILE`, or `export(rows=…)` in Python"
_OTHER_ROWS = "use rows on which float32 is accurate: `--rows FILE`, or `export(rows=…)` in Python"


@dataclass
class Proof:
    """The result of a comparison; the ``example`` is the first row, and what onnxruntime returns for it."""

    batches: list[int] = field(default_factory=list)
    lengths: list[dict[str, int]] = field(default_factory=list)  # of the variable axes
    differences: dict[str, float] = field(default_factory=dict)  # the largest from the runtime by head
    rows: str = RANDOM  # where they are from
    rounding: dict[str, float] = field(default_factory=dict)  # the largest from float64, where that has decided
    unusual: int = 0  # the number of rows with missing, unseen and other unusual values
    example: tuple[dict[str, Array], dict[str, Array]] = field(default_factory=lambda: ({}, {}), repr=False)
    generated: bool = False  # the rows are random values
    quantized: Verdict | None = None  # what the quantized file loses; None if the proved file itself was written

    def to_json(self) -> dict[str, Any]:
        """Return the proof as it is stored in the file's metadata."""
        return {
            "onnxruntime": runtime().__version__,
            "rows": self.rows,
            **({"random_rows": True} if self.generated else {}),
            "batches": self.batches,
            "lengths": self.lengths,
            "max_abs_difference": self.differences,
            "tolerance": f"{ATOL:g} + {RTOL:g}*max|b|",
            "decided_by_float64": self.rounding,
            **({"unusual_rows": self.unusual} if self.unusual else {}),
        }

    def __str__(self) -> str:
        heads = ", ".join(f"{h} {d:.1e}" for h, d in self.differences.items())
        lengths = f", with open axes of {count(len(self.lengths), 'size')}" if self.lengths else ""
        batches = ", ".join(map(str, self.batches))
        equal = f"equal to the runtime at batch sizes {batches}{lengths}"
        if self.generated:  # a small difference says little there: random values may saturate a network
            lines = [equal, f"proved only on {self.rows}"]
        else:
            room = WIDTH - len("proved on rows of ")
            # The end of a name identifies it better.
            rows = self.rows if len(self.rows) <= room else f"…{self.rows[1 - room :]}"
            lines = [f"{equal}; largest difference: {heads}", f"proved on rows of {rows}"]
        if self.unusual:
            lines.append(f"and on {self.unusual} rows with missing, unseen, very long and other unusual values")
        if self.rounding:
            heads = f"of {len(self.rounding)} heads" if len(self.rounding) > 1 else "of one head"
            lines.append(f"float64 decided {heads}: the differences there are rounding")
        if self.generated:
            lines.append("prove it on real rows with `export --rows FILE`, or `export(rows=…)` in Python")
        if self.quantized is not None:
            lines[0] = f"the float32 file is {lines[0]}"
            lines.append(str(self.quantized))
        return "\n".join(lines)


def prove(model: Session, data: bytes, rows: Rows | None = None) -> Proof:
    """Compare the serialised model ``data`` with the runtime.

    A value is right if it differs from the runtime by at most ``1e-5 + 1e-4·max|b|``, or if, row by row, it differs from
    the runtime in float64 by no more than rounding explains. Non-finite values must be equal in both. Labels must match
    the values in the file. By default the rows are generated. Raise SpecError (GS701) with head, batch size and values if
    they differ by more; also if onnxruntime refuses the model, or if the rows are inconclusive.
    """
    rows = rows or Rows()
    try:
        return _Comparison(model, data, rows).proof()
    except SpecError as error:
        # Ids out of range, which only the lookup could detect.
        if rows.from_user or any(d.code != Code.OUT_OF_RANGE for d in error.diagnostics):
            raise
        if rows.arrays is None:  # the user has never seen these rows
            raise SpecError(replace(d, hint=_OTHER_IDS) for d in error.diagnostics) from None
        return prove(model, data, Rows(replaces=f"{rows.origin} have ids out of range"))


class _Comparison:
    def __init__(self, model: Session, data: bytes, rows: Rows) -> None:
        self._model, self._rows, self._session = model, rows, _load(model, data)
        self._proved = set[str]()  # the heads with a conclusive row
        origin = rows.origin + (f" ({rows.replaces})" if rows.replaces else "")
        self._proof = Proof(rows=origin, generated=rows.arrays is None)

    def proof(self) -> Proof:
        feeds: dict[str, Array] = {}
        for lengths in lengths_for(self._model, self._rows):
            if lengths:
                self._proof.lengths.append(lengths)
            for batch in BATCHES:
                feeds = batch_of(self._model, self._rows, batch, lengths)
                outputs = self._compare(feeds)
                if not self._proof.example[0]:
                    self._proof.example = {name: a[:1] for name, a in feeds.items()}, outputs
            self._compare_unusual(feeds)
        for factor in SCALES:
            if not self._unproved() or (less := scaled_down(feeds, factor)) is None:
                break
            self._proof.rows += "" if self._proof.rows.endswith(_SCALED) else _SCALED
            self._compare(less)
        if unproved := self._unproved():
            text = f"head '{unproved[0]}' cannot be proved on {self._on()}: its values are not finite"
            text += f", or rounding to float32 changes them by more than {MAX_ROUNDING:.0%}"
            raise failed(self._model, text, _OTHER_ROWS)
        self._proof.batches = list(BATCHES)
        return self._proof

    def _compare_unusual(self, feeds: Mapping[str, Array]) -> None:
        """Compare rows with unusual values, together and one by one: alone, no other row pads a text's words."""
        if (rows := unusual_rows(self._model, feeds)) is None:
            return
        self._compare(rows)
        self._proof.unusual = count = len(next(iter(rows.values())))
        for k in range(count):
            self._compare({name: array[k : k + 1] for name, array in rows.items()})

    def _on(self) -> str:
        return self._proof.rows if self._proof.generated else f"rows of {self._proof.rows}"

    def _unproved(self) -> list[str]:
        return [head for head in self._model.whole.outputs if head not in self._proved]

    def _compare(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compare the answers for one batch, and return onnxruntime's."""
        expected = self._model.run(feeds)
        names = [o.name for o in self._session.get_outputs()]
        inputs = {i.name: feeds[i.name] for i in self._session.get_inputs()}
        try:
            outputs = dict(zip(names, self._session.run(names, inputs), strict=True))
        except Exception as error:
            raise failed(self._model, f"onnxruntime fails on {self._on()}: {failure(error)}") from error
        rounding: Rounding | None = None
        for head, b in expected.items():
            a = outputs[head]
            where = f"head '{head}' at batch size {len(b)}"
            if a.shape != b.shape:
                raise failed(self._model, f"{where}: onnxruntime returns shape {a.shape}, the runtime {b.shape}")
            difference, both = _difference(a, b)
            if float(difference.max(initial=0.0)) <= _tolerance(b):
                if not b.size or np.isfinite(b).any():
                    self._proved.add(head)
            else:
                rounding = rounding or Rounding(self._model, feeds)
                self._judge(where, head, (a, b), both, rounding)
            seen = float(np.max(difference, initial=0.0, where=np.isfinite(difference)))
            self._proof.differences[head] = max(seen, self._proof.differences.get(head, 0.0))
            if head + LABEL in outputs:
                texts = labels_of(head, a, self._model, self._model.step_masks(feeds).get(head))
                wrong = (outputs[head + LABEL] != texts.astype(object)) & np.isfinite(a).all(-1)
                if wrong.any():
                    raise failed(self._model, f"{where}: {int(wrong.sum())} labels do not match their values")
        return outputs

    def _judge(self, where: str, head: str, answers: tuple[Array, Array], both: Array, rounding: Rounding) -> None:
        """Raise GS701 unless rounding explains, in each row, how far onnxruntime and the runtime are from float64."""
        exact = rounding.exact[head]
        for runs in (RUNS, MAX_RUNS):
            bound = _tolerance(exact) + rounding.bound(head, runs)
            errors = [np.where(both, 0.0, _difference(x, exact)[0]) for x in answers]
            errors[1][rounding.overflows[head]] = 0.0  # only for the runtime: a file that does not overflow is right
            wrong = [max_per_row(error) > bound for error in errors]
            if not any(w.any() for w in wrong):
                break
        else:
            error = errors[0] if wrong[0].any() else errors[1]
            index = np.unravel_index(error.argmax(), error.shape)
            a, b, r = (float(x[index]) for x in (*answers, exact))
            text = f"{where}: onnxruntime returns {a:.6g}, the runtime {b:.6g}, float64 {r:.6g}"
            raise failed(self._model, f"{text}; rounding explains a difference of {float(bound[index[0]]):.1e}")
        self._proof.rounding[head] = max(float(errors[0].max()), self._proof.rounding.get(head, 0.0))
        sizes = max_per_row(np.where(both | ~np.isfinite(exact), 0.0, np.abs(exact)))
        if (bound <= MAX_ROUNDING * sizes).any():
            self._proved.add(head)


def _tolerance(values: Array) -> float:
    """Return how far another float32 program may be from these values."""
    return ATOL + RTOL * float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values)))


def _difference(a: Array, b: Array) -> tuple[Array, Array]:
    """Return |a − b| in float64 (infinite if only one is finite), and the mask of equal non-finite elements."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    both = (np.isnan(a) & np.isnan(b)) | (np.isinf(a) & (a == b))
    with np.errstate(all="ignore"):
        difference = np.where(both, 0.0, np.abs(a - b))
    difference[np.isnan(difference)] = np.inf
    return difference, both


def _load(model: Session, data: bytes) -> Any:
    try:
        return session(data)
    except Exception as error:
        why = failure(error)
    try:
        session(data, optimised=False)
    except Exception as error:
        raise failed(model, f"onnxruntime does not load the model: {failure(error)}") from error
    text = f"onnxruntime {runtime().__version__} loads the model only without optimisations, which fail: {why}"
    hint = "this is a bug of onnxruntime: try another opset (`--opset`), or another onnxruntime version"
    raise failed(model, text, hint)


def failed(model: Session, text: str, hint: str = _REPORT) -> SpecError:
    """Return GS701."""
    return SpecError([Diagnostic(Code.EXPORT_DIFFERS, text, file=model.source, path="outputs", hint=hint)])
