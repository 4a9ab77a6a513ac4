"""Quick fixes: the hints of diagnostics as edits.

A hint is a sentence for people. :mod:`graphspec.editor.proposals` reads edits out of it, and a few of them do not fit. An
edit is offered only if the text after it has been checked, and the diagnostic is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic
from graphspec.editor.analysis import Analysis
from graphspec.editor.places import Edit, applied
from graphspec.editor.proposals import proposals
from graphspec.editor.value_proposals import Proposal

_TRIED = 12
"""The most edits that are checked for one diagnostic."""
_TRIED_IF_LARGE = 3
_LARGE = 60_000
"""Characters of a text from which a check takes long: fewer edits are tried."""
_OFFERED = 3
_NEW_MISTAKES = (Code.UNREADABLE_DOCUMENT, Code.UNKNOWN_KEY, Code.WRONG_TYPE, Code.DUPLICATE_KEY, Code.MISSING_KEY)


@dataclass(frozen=True)
class Fix:
    """An edit after which a diagnostic is gone.

    Attributes:
        title: what it does, as the editor's menu shows it.
        paths: the values that it changes, with all below them.
    """

    title: str
    edits: tuple[Edit, ...]
    paths: tuple[str, ...]
    diagnostic: Diagnostic


def fixes(analysis: Analysis, diagnostic: Diagnostic) -> list[Fix]:
    """Return the fixes of a diagnostic of the spec, the best one first."""
    found: list[Fix] = analysis.memo(f"fixes {diagnostic!r}", lambda: _fixes(analysis, diagnostic))
    return found


def _fixes(analysis: Analysis, diagnostic: Diagnostic) -> list[Fix]:
    if diagnostic.file != analysis.name or diagnostic not in analysis.diagnostics:
        return []
    most = _TRIED_IF_LARGE if len(analysis.text.text) > _LARGE else _TRIED
    found: list[Fix] = []
    for proposal in _different(proposals(analysis, diagnostic), most):
        if _solves(analysis, diagnostic, proposal):
            found.append(Fix(proposal.title, proposal.edits, proposal.paths, diagnostic))
        if len(found) == _OFFERED:
            break
    return found


def _different(proposed: Iterable[Proposal], most: int) -> list[Proposal]:
    """Return the first proposals, each edit once."""
    found: dict[tuple[Edit, ...], Proposal] = {}
    for proposal in proposed:
        if proposal.edits and len(found) < most:
            found.setdefault(proposal.edits, proposal)
    return [*found.values()]


def _solves(analysis: Analysis, diagnostic: Diagnostic, proposal: Proposal) -> bool:
    """Return whether the diagnostic is gone after an edit, and nothing that it wrote is wrong."""
    text = applied(analysis.text.text, proposal.edits)
    after = Analysis(text, analysis.name)
    if text == analysis.text.text or (after.checked.spec is None and analysis.checked.spec is not None):
        return False
    if after.checked.spec is None and diagnostic.code == Code.UNREADABLE_DOCUMENT:
        return False
    same = [(found.code, found.message) for found in analysis.diagnostics]
    still = [(found.code, found.message) for found in after.diagnostics]
    if Counter(still)[diagnostic.code, diagnostic.message] >= Counter(same)[diagnostic.code, diagnostic.message]:
        return False
    here = [d for d in analysis.diagnostics if (d.code, d.path) == (diagnostic.code, diagnostic.path)]
    left = [d for d in after.diagnostics if (d.code, d.path) == (diagnostic.code, diagnostic.path)]
    if len(left) >= len(here):
        return False
    return not any(
        d.code in _NEW_MISTAKES and (d.code, d.message) not in same and _below(d.path, proposal.written)
        for d in after.diagnostics
    )


def _below(path: str, above: str) -> bool:
    return path == above or path.startswith(f"{above}.")
