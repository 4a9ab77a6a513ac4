"""Find the problems of a spec, of its data files, and of its export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.base.arguments import flag, folders, path_of, texts
from graphspec.base.errors import Diagnostic, Diagnostics, GivenText, SpecError, bounded_search
from graphspec.engine.compiler.check import Checked, SpecSource, check, once
from graphspec.language.declarations import Spec

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset
    from graphspec.engine.compiler.lowered_network import Lowered


def validate(
    source: SpecSource,
    sets: Sequence[str] = (),
    *,
    data: bool = False,
    opset: int | None = None,
    target: str | None = None,
    allow_outside: bool = False,
    allow: Sequence[str | Path] = (),
) -> Diagnostics:
    """Return all problems of a spec, sorted by position: a list, which a notebook shows as the command line does.

    Example::

        gs.validate("specs/penguins.yaml")  # [] if all is well
        gs.validate("specs/penguins.yaml", data=True, target="ort-1.20")

    Args:
        source: a path, a dict, or a parsed ``Spec``.
        sets: overrides such as ``"training.epochs=5"``.
        data: check the data files, too.
        opset, target: check the export, too: for this ONNX opset, or for a target such as ``ort-1.20``.
        allow_outside: let callbacks write outside the run directory.
        allow: folders besides the spec's in which files that a query names may be.
    """
    from graphspec.export.targets import has_contrib, opset_of

    outside = flag("allow_outside", allow_outside, False)
    with_data, level = flag("data", data, False), opset_of(opset, target)
    sets = texts("sets", sets, 'a list of overrides, `["training.epochs=5"]`')
    checked = check(source_of(source), sets, allow_outside=outside, allow=folders(allow))
    contrib = has_contrib(target)
    return Diagnostics(check_further(checked, data=with_data, opset=level, contrib=contrib, allow_outside=outside))


def source_of(source: Any) -> Any:
    """Return ``source`` in a form that :func:`check` accepts: a dict, a ``Spec``, a path, or a text with a name."""
    return source if isinstance(source, Mapping | Spec | GivenText) else path_of("source", source)


@bounded_search()
def check_further(
    checked: Checked, *, data: bool = False, opset: int | None = None, contrib: bool = True, allow_outside: bool = False
) -> list[Diagnostic]:
    """Return the diagnostics of a spec. If none is an error, check its ``search``, and its data and export if asked to.

    Args:
        opset, contrib: check the export, too, for this opset, and a runtime that may have onnxruntime's own operators.
        allow_outside: let callbacks of a search's trials write outside their run directories.
    """
    if checked.errors or checked.spec is None or checked.lowered is None:
        return checked.diagnostics
    problems = [*checked.diagnostics]
    if checked.spec.search is not None:
        from graphspec.engine.compiler.search_check import check_search

        problems += check_search(checked, allow_outside=allow_outside)
    if data:
        problems += _check_data(checked.spec, checked.lowered)
    if opset is not None:
        from graphspec.export.onnx import check_export

        problems += check_export(checked.spec, checked.lowered.graph, opset, contrib=contrib)
    return sorted(once(problems), key=Diagnostic.sort_key)


def _check_data(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """Return the problems of the data files, and those that appear once layers have learnt from the training rows."""
    from graphspec.data.signature import load_all

    parts, problems = load_all(spec, lowered.graph)
    if any(d.is_error for d in problems) or "train" not in parts:
        return problems
    try:
        _check_learnt(spec, lowered, parts)
    except SpecError as error:
        problems += error.diagnostics
    return problems


def _check_learnt(spec: Spec, lowered: Lowered, parts: Mapping[str, Dataset]) -> None:
    """Let layers and heads learn from the training rows; raise SpecError unless network and labels fit what was learnt."""
    from graphspec.data.signature import data_signature
    from graphspec.data.targets import with_class_ids
    from graphspec.engine.training.adapt import has_to_learn
    from graphspec.engine.training.prepare import adapted_to

    if not has_to_learn(spec, lowered.graph, parts["train"]):
        return
    spec, lowered = check(spec, allow_outside=True, adapted=adapted_to(spec, parts)).require()
    labels = {h.name: h.labels for h in spec.heads.values() if h.labels is not None}
    needed = data_signature(spec, lowered.graph)
    for part, rows in parts.items():
        with_class_ids(rows, labels, needed.targets, needed.ctc, spec.data[part])
