"""Prove an exported model: the runtime and onnxruntime on the same rows, at several batch sizes and lengths.

Where they differ by more than a tolerance, float64 decides, see :mod:`graphspec.export.rounding`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.codes import Code
from graphspec.errors import Diagnostic, SpecError
from graphspec.export.labels import answers
from graphspec.export.rounding import MOST_RUNS, RUNS, Rounding, by_row
from graphspec.export.rows import Rows, batch_of, lengths_for, tamer
from graphspec.export.session import failure, runtime, session
from graphspec.ir.graph import Array
from graphspec.language.head_arrays import LABEL

if TYPE_CHECKING:
    from graphspec.runtime.session import Session

BATCHES = (1, 2, 5)
ATOL, RTOL = 1e-5, 1e-4
TAMER = (2.0**-4, 2.0**-8, 2.0**-16)
"""Factors for rows on which a network that is ill-conditioned may be less so."""
TELLING = 1e-2
"""What rounding may explain of a row's answers, at most, for the row to tell right from wrong."""
WIDTH = 80
_SMALLER = ", also made smaller"
_REPORT = "no file was written; please report this with the spec: the exported graph should be the trained one"
_OTHER_IDS = "the rows are made up, and their ids have no row: give others, by `--rows FILE`, or `export(rows=…)`"
_OTHER_ROWS = "give other rows, on which float32 computes it well: `--rows FILE`, or `export(rows=…)` in Python"


@dataclass
class Proof:
    """What was compared, on which rows, and how near the answers are.

    Attributes:
        batches: the batch sizes.
        lengths: the lengths of the axes that vary.
        differences: by head, the largest difference between onnxruntime and the runtime.
        rows: where the rows come from.
        rounding: by head where float64 decided, the largest difference of onnxruntime's answers from those in float64.
    """

    batches: list[int] = field(default_factory=list)
    lengths: list[dict[str, int]] = field(default_factory=list)
    differences: dict[str, float] = field(default_factory=dict)
    rows: str = "a seed"
    rounding: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "onnxruntime": runtime().__version__,
            "rows": self.rows,
            "batches": self.batches,
            "lengths": self.lengths,
            "max_abs_difference": self.differences,
            "tolerance": f"{ATOL:g} + {RTOL:g}*max|b|",
            "decided_by_float64": self.rounding,
        }

    def __str__(self) -> str:
        heads = ", ".join(f"{h} {d:.1e}" for h, d in self.differences.items())
        lengths = "" if not self.lengths else f", {len(self.lengths)} lengths"
        batches = ", ".join(map(str, self.batches))
        lines = [f"equal to the runtime at batch sizes {batches}{lengths}; largest difference: {heads}"]
        room = WIDTH - len("proved on rows of ")
        rows = self.rows if len(self.rows) <= room else f"…{self.rows[1 - room :]}"  # of a path the end tells more
        lines.append(f"proved on rows of {rows}")
        if self.rounding:
            heads = f"of {len(self.rounding)} heads" if len(self.rounding) > 1 else "of one head"
            lines.append(f"float64 decided {heads}: what differs there is rounding")
        return "\n".join(lines)


def prove(model: Session, data: bytes, rows: Rows | None = None) -> Proof:
    """Compare the serialised model ``data`` with the runtime.

    Right is what differs from the runtime by ``1e-5 + 1e-4·max|b|`` at most, or, row by row, from the runtime in float64
    by no more than rounding explains. Numbers that are not finite must be so in both. Labels must be those of the file's
    own answers.

    Args:
        rows: rows to prove on; made-up ones by default.

    Raises:
        SpecError: GS701, naming head, batch size and the numbers, where they differ by more than that; where onnxruntime
            refuses the model; or where the rows cannot tell right from wrong.
    """
    rows = rows or Rows()
    try:
        return _Comparison(model, data, rows).proof()
    except SpecError as error:
        foreign = all(
            d.code == Code.OUT_OF_RANGE for d in error.diagnostics
        )  # an id that only the lookup itself could refuse
        if not foreign or rows.given:
            raise
        if rows.arrays is None:  # which the user has never seen
            raise SpecError(replace(d, hint=_OTHER_IDS) for d in error.diagnostics) from None
        return prove(model, data, rows.made_up("have ids out of range"))


class _Comparison:
    """One file beside the runtime, on some rows."""

    def __init__(self, model: Session, data: bytes, rows: Rows) -> None:
        self._model, self._rows, self._told = model, rows, set[str]()
        self._session = _load(model, data)
        self._proof = Proof(rows=rows.origin + (f" ({rows.instead})" if rows.instead else ""))

    def proof(self) -> Proof:
        feeds: dict[str, Array] = {}
        for lengths in lengths_for(self._model, self._rows):
            if lengths:
                self._proof.lengths.append(lengths)
            for batch in BATCHES:
                feeds = batch_of(self._model, self._rows, batch, lengths)
                self._compare(feeds)
        for factor in TAMER:
            if not self._untold() or (less := tamer(feeds, factor)) is None:
                break
            self._proof.rows += "" if self._proof.rows.endswith(_SMALLER) else _SMALLER
            self._compare(less)
        if untold := self._untold():
            text = (
                f"nothing can be proved of head '{untold[0]}' on rows of {self._proof.rows}: its values are not finite"
            )
            text += f", or rounding to float32 changes them by more than {TELLING:.0%}"
            raise _refused(self._model, text, _OTHER_ROWS)
        self._proof.batches = list(BATCHES)
        return self._proof

    def _untold(self) -> list[str]:
        """Heads of which no row has told yet whether they are right."""
        return [head for head in self._model.graph.outputs if head not in self._told]

    def _compare(self, feeds: Mapping[str, Array]) -> None:
        expected = self._model.run(feeds)
        names = [o.name for o in self._session.get_outputs()]
        given = {i.name: feeds[i.name] for i in self._session.get_inputs()}
        try:
            got = dict(zip(names, self._session.run(names, given), strict=True))
        except Exception as error:
            raise _refused(self._model, f"onnxruntime fails on rows of {self._proof.rows}: {failure(error)}") from error
        rounding: Rounding | None = None
        for head, b in expected.items():
            a = got[head]
            where = f"head '{head}' at batch size {len(b)}"
            if a.shape != b.shape:
                raise _refused(self._model, f"{where}: onnxruntime gives shape {a.shape}, the runtime {b.shape}")
            difference, both = _difference(a, b)
            finite = np.isfinite(b)
            allowed = ATOL + RTOL * float(np.max(np.abs(b), initial=0.0, where=finite))
            if float(difference.max(initial=0.0)) <= allowed:
                if not b.size or finite.any():
                    self._told.add(head)
            else:
                rounding = rounding or Rounding(self._model, feeds)
                self._judge(where, head, (a, b), both, rounding)
            seen = float(np.max(difference, initial=0.0, where=np.isfinite(difference)))
            self._proof.differences[head] = max(seen, self._proof.differences.get(head, 0.0))
            if head + LABEL in got:
                self._compare_labels(where, head, got[head + LABEL], a)

    def _judge(self, where: str, head: str, answers: tuple[Array, Array], both: Array, rounding: Rounding) -> None:
        """GS701 unless rounding explains, in each row, what onnxruntime's and the runtime's answers lack to float64."""
        exact = rounding.exact[head]
        allowed = ATOL + RTOL * float(np.max(np.abs(exact), initial=0.0, where=np.isfinite(exact)))
        for runs in (RUNS, MOST_RUNS):
            bound = allowed + rounding.bound(head, runs)
            errors = [np.where(both, 0.0, _difference(x, exact)[0]) for x in answers]
            errors[1][rounding.overflows[head]] = 0.0  # the runtime alone: a file that does not overflow is right
            wrong = [by_row(error) > bound for error in errors]
            if not any(w.any() for w in wrong):
                break
        else:
            raise self._differ(where, answers, exact, errors, wrong, bound)
        self._proof.rounding[head] = max(float(errors[0].max()), self._proof.rounding.get(head, 0.0))
        sizes = by_row(np.where(both | ~np.isfinite(exact), 0.0, np.abs(exact)))
        if (bound <= TELLING * sizes).any():
            self._told.add(head)

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
        place = np.unravel_index(error.argmax(), error.shape)
        a, b, r = (float(x[place]) for x in (*answers, exact))
        text = f"{where}: onnxruntime gives {a:.6g}, the runtime {b:.6g}, float64 {r:.6g}"
        return _refused(self._model, f"{text}; rounding explains a difference of {float(bound[place[0]]):.1e}")

    def _compare_labels(self, where: str, head: str, labels: Array, a: Array) -> None:
        words = np.array(self._model.labels[head], object)
        wrong = (labels != words[answers(a)]) & np.isfinite(a).all(-1)
        if wrong.any():
            raise _refused(self._model, f"{where}: {int(wrong.sum())} labels are not those of the values beside them")


def _difference(a: Array, b: Array) -> tuple[Array, Array]:
    """|a − b| in float64, infinite where one alone is no finite number; and where both are the same such number."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    both = (np.isnan(a) & np.isnan(b)) | (np.isinf(a) & (a == b))
    with np.errstate(all="ignore"):
        difference = np.where(both, 0.0, np.abs(a - b))
    difference[np.isnan(difference)] = np.inf
    return difference, both


def _load(model: Session, data: bytes) -> Any:
    try:
        return session(data, threads=2)
    except Exception as error:
        why = failure(error)
    try:
        session(data, threads=2, optimised=False)
    except Exception as error:
        raise _refused(model, f"onnxruntime does not load the model: {failure(error)}") from error
    text = f"onnxruntime {runtime().__version__} loads the model only without its optimisations, which fail: {why}"
    hint = "that is a mistake of this onnxruntime: try another opset (`--opset`), or another version of it"
    raise _refused(model, text, hint)


def _refused(model: Session, text: str, hint: str = _REPORT) -> SpecError:
    return SpecError([Diagnostic(Code.EXPORT_DIFFERS, text, file=model.source, path="outputs", hint=hint)])
