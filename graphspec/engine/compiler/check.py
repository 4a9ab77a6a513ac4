"""Run all stages that need no data: read, expand, parse, link, lower. Collect every problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.base.errors import Code, Diagnostic, SpecError, bounded_search
from graphspec.base.gc_pause import gc_paused

if TYPE_CHECKING:
    from graphspec.engine.compiler.adaptation import Adapted
    from graphspec.engine.compiler.lowered_network import Lowered
    from graphspec.language.declarations import Spec

SpecSource = str | Path | dict[str, Any]


@dataclass
class Checked:
    """The result of checking a source. ``spec`` and ``lowered`` are complete only if no diagnostic is an error."""

    spec: Spec | None
    lowered: Lowered | None
    diagnostics: list[Diagnostic] = field(default_factory=list)
    adapted: Adapted | None = None  # what the network of a run or a file has learnt from its rows

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.is_error]

    def require(self) -> tuple[Spec, Lowered]:
        """Return the spec and its graph. Raises SpecError with all diagnostics: one is an error."""
        if self.errors or self.spec is None or self.lowered is None:
            raise SpecError(self.diagnostics)
        return self.spec, self.lowered


@gc_paused()
@bounded_search()
def check(
    source: SpecSource | Spec,  # a path, a dict, a parsed ``Spec``, or a text, a ``GivenText``
    sets: Sequence[str] = (),  # overrides such as ``"training.epochs=5"``
    *,
    allow_outside: bool = False,  # let callbacks write outside the run directory
    adapted: Adapted | None = None,  # what was learnt; files of vocabularies and constants are not opened then
    allow: Sequence[Path] = (),  # folders besides the spec's in which files that a query names may be
    draws: bool = True,  # whether weights will be drawn; if not, they exist: files of initial values are not opened
    base: Path | None = None,  # the folder of the spec, if the source does not tell: files of layers are in it or below
) -> Checked:
    """Check a spec and collect all diagnostics, sorted by position. A wrong spec does not raise.

    Raises UsageError: an override is malformed or leads nowhere. ValueError: ``adapted`` does not fit the spec.
    """
    from graphspec.language.declarations import Spec
    from graphspec.language.parse import of_form, parse

    spec, found = (source, []) if isinstance(source, Spec) else parse(source, sets)
    if spec is not None:
        spec = spec if base is None else replace(spec, base=base)
        spec = spec.allowing(allow) if allow else spec
        spec = spec if spec.draws == draws else replace(spec, draws=draws)
    chosen = None if adapted is None else adapted.form
    if spec is not None and chosen not in (None, spec.form):
        spec, found = of_form(spec, str(chosen))
    checked = check_one(spec, found, adapted, allow_outside=allow_outside)
    if spec is not None and adapted is None:
        found = checked.diagnostics
        for name in (name for name in spec.training.forms if name != spec.form):
            other = check_one(*of_form(spec, name), allow_outside=allow_outside)
            found += other.diagnostics
            if other.spec is not None and _compared(other.spec) != _compared(spec):
                at = spec.tree.find(("training", "forms", name))[0] or spec.tree
                text = f"form '{name}' has other inputs, heads, losses or metrics than '{spec.form}'"
                hint = "forms are trained on the same data, and compared: set these outside of the forms"
                found.append(Diagnostic.at(at.mark, Code.VALUE_NOT_ALLOWED, text, path=at.path, hint=hint))
        checked.diagnostics = sorted(dict.fromkeys(found), key=Diagnostic.sort_key)
    return checked


def _compared(spec: Spec) -> list[Any]:
    """Return what the forms of a spec have in common."""
    inputs = [(v.name, v.shape, v.dtype, v.column) for v in spec.inputs.values()]
    return [*inputs, *((h.name, h.loss, h.metrics, h.labels) for h in spec.all_heads.values())]


def check_one(
    spec: Spec | None, found: Sequence[Diagnostic] = (), adapted: Adapted | None = None, *, allow_outside: bool = False
) -> Checked:
    """Check a parsed spec, one of its forms if it has several; ``found`` are the diagnostics so far, see :func:`check`."""
    from graphspec.engine.compiler import training_checks as checks
    from graphspec.engine.compiler.adaptation import fill_in
    from graphspec.engine.compiler.heads import check_callbacks, check_heads
    from graphspec.engine.compiler.lower import link, lower
    from graphspec.engine.compiler.spec_files import read_arrays, read_onnx_files, read_vocabularies

    if spec is None:
        return Checked(None, None, sorted(set(found), key=Diagnostic.sort_key))
    if adapted is not None:  # it contains the vocabularies and arrays of files
        spec = fill_in(spec, adapted)
    for read in (*(() if adapted is not None else (read_vocabularies, read_arrays)), read_onnx_files):
        spec, unread = read(spec)
        found = [*found, *unread]
    order, linked = link(spec)
    lowered = lower(spec, order)
    later = [*(lowered.with_shapes(d) for d in linked), *lowered.diagnostics, *check_heads(spec, lowered)]
    rules = checks.check_training, checks.check_sparse, checks.check_groups, checks.check_means, checks.check_workers
    for rule in rules:
        later += rule(spec, lowered)
    found = [*found, *once([*later, *check_callbacks(spec, lowered, allow_outside)])]
    if spec.draws and spec.weight_files:
        from graphspec.data.weights.plan import plan_weights

        lowered.initial, unfit = plan_weights(spec, lowered.graph, complete=not any(d.is_error for d in found))
        found += once(unfit)
    if not any(d.is_error for d in found) and not lowered.graph.learnt:
        found += checks.check_memory(spec, lowered)
    return Checked(spec, lowered, sorted(dict.fromkeys(found), key=Diagnostic.sort_key), adapted)


def once(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return ``found`` without duplicates. A problem of a block's node is kept for the first instance only."""
    seen: dict[object, Diagnostic] = {}
    for d in found:
        seen.setdefault((d.code, d.file, d.line, d.column, d.path) if d.path.startswith("blocks.") else d, d)
    return list(seen.values())
