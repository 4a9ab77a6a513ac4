"""``graphspec validate``: report all problems of specs, with one line for each spec."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.base.gc_pause import gc_paused
from graphspec.cli.console import count, out_wrapped, print_diagnostics, write_data
from graphspec.cli.options import Allow, AllowOutside, Opset, Sets, Target, argument, flag
from graphspec.cli.targets import checked_whole, is_onnx, is_run
from graphspec.data.weights.report import reported
from graphspec.graph.ir.learnt_size import LearntSize

if TYPE_CHECKING:
    from graphspec.base.errors import Diagnostic
    from graphspec.engine.compiler.check import Checked


class Format(StrEnum):
    """How diagnostics are printed."""

    text = "text"
    json = "json"
    github = "github"
    sarif = "sarif"


@gc_paused()
def validate(  # noqa: PLR0913 (the options of the command)
    specs: Annotated[list[Path], argument("SPEC|RUN|ONNX", "Specs, run directories or ONNX files.")],
    data: Annotated[bool, flag("--data", "Check the data files too.")] = False,
    strict: Annotated[bool, flag("--strict", "End with status 1 for warnings, too.")] = False,
    output: Annotated[Format, typer.Option("--format", help="How problems are printed.")] = Format.text,
    opset: Opset = None,
    target: Target = None,
    allow_outside: AllowOutside = False,
    allow: Allow = None,
    sets: Sets = None,
) -> int:
    """Check specs and report every problem, with --opset or --target also of their export. Nothing is trained or written.

    Of a run, its files are checked, too: whether weights and checkpoint are whole and belong to its spec.
    """
    from graphspec.api.validation import check_further
    from graphspec.engine.compiler.check import check
    from graphspec.export.targets import has_contrib, opset_of

    level = opset_of(opset, target)
    everything: list[Diagnostic] = []
    wrong = False
    for spec in specs:
        if is_run(spec) or (is_onnx(spec) and spec.exists()):
            checked = checked_whole(spec, sets or (), allow=allow or (), data=data)
        else:
            checked = check(str(spec), sets or (), allow_outside=allow_outside, allow=allow or ())
        found = check_further(checked, data=data, opset=level, contrib=has_contrib(target), allow_outside=allow_outside)
        wrong = wrong or any(d.is_error or strict for d in found)
        if output is Format.text:
            print_diagnostics(found, sys.stdout)
            out_wrapped(f"{spec}: {_verdict(checked, found)}")
            for plan in checked.lowered.initial if checked.lowered is not None and not checked.errors else ():
                out_wrapped(str(reported(plan)))
        everything += found
    if output is not Format.text:
        write_data(_for_programs(everything, output))
    return 1 if wrong else 0


def _verdict(checked: Checked, found: list[Diagnostic]) -> str:
    """Return ``ok (12,345 parameters, 4 layers)`` or ``2 errors, 1 warning``."""
    errors = sum(d.is_error for d in found)
    warnings = len(found) - errors
    warned = f", {count(warnings, 'warning')}" if warnings else ""
    if errors:
        return count(errors, "error") + warned
    spec, lowered = checked.require()
    size = sum(p.size for p in lowered.graph.params.values())
    if isinstance(size, LearntSize):
        return (
            f"ok{warned} ({count(len(spec.nodes), 'layer')}; the number of parameters is learnt from the training rows)"
        )
    return f"ok{warned} ({count(size, 'parameter')}, {count(len(spec.nodes), 'layer')})"


def _for_programs(found: list[Diagnostic], output: Format) -> bytes:
    from graphspec.base.rendering import render_json
    from graphspec.cli.annotations import render_github, render_sarif

    renderers = {Format.json: render_json, Format.github: render_github, Format.sarif: render_sarif}
    text = renderers[output](found)
    text += "\n" if text else ""
    try:
        return text.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8: escapes preserve every character
        import json

        if output is Format.github:
            return text.encode(errors="backslashreplace")
        return json.dumps(json.loads(text), indent=2).encode() + b"\n"
