"""Prove an exported model: compare the runtime and onnxruntime on the same rows, at several batch sizes and lengths.

If they differ by more than a tolerance, float64 decides, see :mod:`graphspec.export.rounding`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, SpecError
from graphspec.base.text import count
from graphspec.export.labels import label_texts, predicted_classes, predicted_letters
from graphspec.export.rounding import MAX_RUNS, RUNS, Rounding, max_per_row
from graphspec.export.rows import RANDOM, Rows, batch_of, lengths_for, scaled_down
from graphspec.export.unusual import unusual_rows
from graphspec.graph.ir.graph import Array
from graphspec.graph.onnx_session import failure, runtime, session
from graphspec.language.declarations import LABEL

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session
    from graphspec.export.quantize_verdict import Verdict

BATCHES = (1, 2, 5)
ATOL, RTOL = 1e-5, 1e-4
SCALES = (2.0**-4, 2.0**-8, 2.0**-16)  # factors for the rows: a network may be less ill-conditioned on smaller values
# A row is conclusive if rounding explains at most this fraction of its largest value.
MAX_ROUNDING = 1e-2
WIDTH = 80  # characters of a line of the summary
_SCALED = ", also scaled down"
_REPORT = "no file was written; please report this with the spec: the exported graph should equal the trained one"
_OTHER_IDS = "the rows are generated, and their ids are out of range: use `--rows FILE`, or `export(rows=…)` in Python"
_OTHER_ROWS = "use rows on which float32 is accurate: `--rows FILE`, or `export(rows=…)` in Python"


@dataclass
class Proof:
    """The result of a comparison: the rows that were used, and the differences.

    Attributes:
        batches: the batch sizes.
        lengths: the lengths of the variable axes.
        differences: by head, the largest difference between onnxruntime and the runtime.
        rows: the origin of the rows.
        generated: whether the rows are random values.
        rounding: by head that float64 decided, the largest difference between onnxruntime and float64.
        unusual: the number of rows with missing, unseen and other unusual values.
        example: the first row, and what onnxruntime returns for it.
        quantized: what the quantized file loses; None if the proved file itself was written.
    """

    batches: list[int] = field(default_factory=list)
    lengths: list[dict[str, int]] = field(default_factory=list)
    differences: dict[str, float] = field(default_factory=dict)
    rows: str = RANDOM
    rounding: dict[str, float] = field(default_factory=dict)
    unusual: int = 0
    example: tuple[dict[str, Array], dict[str, Array]] = field(default_factory=lambda: ({}, {}), repr=False)
    generated: bool = False
    quantized: Verdict | None = None

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
            rows = (
                self.rows if len(self.rows) <= room else f"…{self.rows[1 - room :]}"
            )  # the end of a name identifies it better
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
    the values in the file.

    Args:
        rows: rows for the proof; generated ones by default.

    Raises:
        SpecError: GS701 with head, batch size and values if they differ by more; also if onnxruntime refuses the model,
            or if the rows are inconclusive.
    """
    rows = rows or Rows()
    try:
        return _Comparison(model, data, rows).proof()
    except SpecError as error:
        # Ids out of range, which only the lookup could detect.
        foreign = all(d.code == Code.OUT_OF_RANGE for d in error.diagnostics)
        if not foreign or rows.from_user:
            raise
        if rows.arrays is None:  # the user has never seen these rows
            raise SpecError(replace(d, hint=_OTHER_IDS) for d in error.diagnostics) from None
        return prove(model, data, rows.generated("have ids out of range"))


class _Comparison:
    """Compares one file with the runtime on some rows."""

    def __init__(self, model: Session, data: bytes, rows: Rows) -> None:
        self._model, self._rows, self._proved = model, rows, set[str]()
        self._session = _load(model, data)
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
            raise _refused(self._model, text, _OTHER_ROWS)
        self._proof.batches = list(BATCHES)
        return self._proof

    def _compare_unusual(self, feeds: Mapping[str, Array]) -> None:
        """Compare rows with unusual values, together and one by one: alone, no other row pads a text's words."""
        found = unusual_rows(self._model, feeds)
        if found is None:
            return
        self._compare(found)
        self._proof.unusual = count = len(next(iter(found.values())))
        for row in range(count):
            self._compare({name: array[row : row + 1] for name, array in found.items()})

    def _on(self) -> str:
        return self._proof.rows if self._proof.generated else f"rows of {self._proof.rows}"

    def _unproved(self) -> list[str]:
        """Return the heads without a conclusive row."""
        return [head for head in self._model.whole.outputs if head not in self._proved]

    def _compare(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compare the answers for one batch, and return onnxruntime's."""
        expected = self._model.run(feeds)
        names = [o.name for o in self._session.get_outputs()]
        given = {i.name: feeds[i.name] for i in self._session.get_inputs()}
        try:
            outputs = dict(zip(names, self._session.run(names, given), strict=True))
        except Exception as error:
            raise _refused(self._model, f"onnxruntime fails on {self._on()}: {failure(error)}") from error
        rounding: Rounding | None = None
        for head, b in expected.items():
            a = outputs[head]
            where = f"head '{head}' at batch size {len(b)}"
            if a.shape != b.shape:
                raise _refused(self._model, f"{where}: onnxruntime returns shape {a.shape}, the runtime {b.shape}")
            difference, both = _difference(a, b)
            finite = np.isfinite(b)
            allowed = ATOL + RTOL * float(np.max(np.abs(b), initial=0.0, where=finite))
            if float(difference.max(initial=0.0)) <= allowed:
                if not b.size or finite.any():
                    self._proved.add(head)
            else:
                rounding = rounding or Rounding(self._model, feeds)
                self._judge(where, head, (a, b), both, rounding)
            seen = float(np.max(difference, initial=0.0, where=np.isfinite(difference)))
            self._proof.differences[head] = max(seen, self._proof.differences.get(head, 0.0))
            if head + LABEL in outputs:
                masks = self._model.step_masks(feeds)
                ids = predicted_letters(a, masks[head]) if head in masks else predicted_classes(a)
                self._compare_labels(where, head, outputs[head + LABEL], ids, np.isfinite(a).all(-1))
        return outputs

    def _judge(self, where: str, head: str, answers: tuple[Array, Array], both: Array, rounding: Rounding) -> None:
        """Raise GS701 unless rounding explains, in each row, how far onnxruntime and the runtime are from float64."""
        exact = rounding.exact[head]
        allowed = ATOL + RTOL * float(np.max(np.abs(exact), initial=0.0, where=np.isfinite(exact)))
        for runs in (RUNS, MAX_RUNS):
            bound = allowed + rounding.bound(head, runs)
            errors = [np.where(both, 0.0, _difference(x, exact)[0]) for x in answers]
            errors[1][rounding.overflows[head]] = 0.0  # only for the runtime: a file that does not overflow is right
            wrong = [max_per_row(error) > bound for error in errors]
            if not any(w.any() for w in wrong):
                break
        else:
            raise self._differ(where, answers, exact, errors, wrong, bound)
        self._proof.rounding[head] = max(float(errors[0].max()), self._proof.rounding.get(head, 0.0))
        sizes = max_per_row(np.where(both | ~np.isfinite(exact), 0.0, np.abs(exact)))
        if (bound <= MAX_ROUNDING * sizes).any():
            self._proved.add(head)

    def _differ(
        self,
        where: str,
        answers: tuple[Array, Array],
        exact: Array,
        errors: list[Array],
        wrong: list[Array],
        bound: Array,
    ) -> SpecError:
        error = errors[0] if wrong[0].any() else errors[1]
        index = np.unravel_index(error.argmax(), error.shape)
        a, b, r = (float(x[index]) for x in (*answers, exact))
        text = f"{where}: onnxruntime returns {a:.6g}, the runtime {b:.6g}, float64 {r:.6g}"
        return _refused(self._model, f"{text}; rounding explains a difference of {float(bound[index[0]]):.1e}")

    def _compare_labels(self, where: str, head: str, labels: Array, ids: Array, finite: Array) -> None:
        letters = head in self._model.needed.ctc
        classes = np.array(label_texts(self._model.labels[head], letters=letters), object)
        wrong = (labels != classes[ids]) & finite
        if wrong.any():
            raise _refused(self._model, f"{where}: {int(wrong.sum())} labels do not match their values")


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
        raise _refused(model, f"onnxruntime does not load the model: {failure(error)}") from error
    text = f"onnxruntime {runtime().__version__} loads the model only without optimisations, which fail: {why}"
    hint = "this is a bug of onnxruntime: try another opset (`--opset`), or another onnxruntime version"
    raise _refused(model, text, hint)


def _refused(model: Session, text: str, hint: str = _REPORT) -> SpecError:
    return SpecError([Diagnostic(Code.EXPORT_DIFFERS, text, file=model.source, path="outputs", hint=hint)])
