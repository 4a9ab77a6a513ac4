"""``graphspec validate``: report all problems of specs, with one line for each spec."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from graphspec.base.errors import NOWHERE, SET, Code, Diagnostic, render_json
from graphspec.base.gc_pause import gc_paused
from graphspec.base.text import count
from graphspec.base.version import __version__
from graphspec.cli.console import out_wrapped, print_diagnostics, write_data
from graphspec.cli.targets import checked_whole, is_onnx, is_run
from graphspec.graph.ir.dims import LearntSize

if TYPE_CHECKING:  # the command also runs without typer
    import typer

    from graphspec.cli.options import Allow, AllowOutside, Opset, Sets, Target, argument, flag
    from graphspec.engine.compiler.check import Checked

# Diagnostics in the formats of other programs: GitHub's workflow commands, and SARIF 2.1.0. Sources: "Workflow
# commands for GitHub Actions" (`::error file=…,line=…::text`), and OASIS, "Static Analysis Results Interchange Format
# (SARIF) Version 2.1.0".
NO_FILES = (NOWHERE.file, SET)  # where values come from that are in no file: a dict, and ``--set``


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """Return one workflow command per diagnostic: GitHub shows it at the line of the changed file."""
    return "\n".join(map(_command, diagnostics))


def _command(diagnostic: Diagnostic) -> str:
    properties: dict[str, object] = {}
    if diagnostic.file not in NO_FILES:
        properties["file"] = PurePath(diagnostic.file).as_posix()
    if diagnostic.line is not None and "file" in properties:
        properties |= {"line": diagnostic.line, "endLine": diagnostic.line}
        # GitHub's last column is the last character, not the one after it.
        properties |= {"col": diagnostic.column, "endColumn": (diagnostic.end_column or 2) - 1}
    properties["title"] = f"{diagnostic.code}: {Code(diagnostic.code).summary}"
    given = ",".join(f"{key}={_escaped(str(value), in_property=True)}" for key, value in properties.items())
    return f"::{diagnostic.severity} {given}::{_escaped(_text(diagnostic))}"


def _escaped(text: str, *, in_property: bool = False) -> str:
    """Return ``text`` as workflow commands escape it: no text of a spec can begin a command of its own."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if in_property else text


def render_sarif(diagnostics: Iterable[Diagnostic]) -> str:
    """Return a SARIF log with one run: code scanning of GitHub, GitLab, Azure DevOps and editors read it."""
    found = list(diagnostics)
    codes = sorted({d.code for d in found})
    driver = {"name": "graphspec", "semanticVersion": __version__, "rules": [_rule(Code(code)) for code in codes]}
    results = [_result(d, codes.index(d.code)) for d in found]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False)


def _rule(code: Code) -> dict[str, Any]:
    texts = {"shortDescription": code.summary, "fullDescription": code.explanation, "help": code.remedy}
    return {"id": str(code)} | {key: {"text": text} for key, text in texts.items()}


def _result(diagnostic: Diagnostic, rule: int) -> dict[str, Any]:
    result: dict[str, Any] = {"ruleId": str(diagnostic.code), "ruleIndex": rule, "level": diagnostic.severity}
    result["message"] = {"text": _text(diagnostic)}
    if diagnostic.file in NO_FILES:
        return result
    result["locations"] = [_location(diagnostic.file, diagnostic.line, diagnostic.column, diagnostic.end_column)]
    related = [
        _location(diagnostic.file, node.line) | {"id": number, "message": {"text": node.describe()}}
        for number, node in enumerate((n for n in diagnostic.nodes if n.line is not None), start=1)
    ]
    return result | ({"relatedLocations": related} if related else {})


def _location(file: str, line: int | None, column: int | None = None, end: int | None = None) -> dict[str, Any]:
    uri = Path(file).as_uri() if Path(file).is_absolute() else quote(PurePath(file).as_posix())
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if line is not None:
        region = {"startLine": line, "startColumn": column, "endLine": line, "endColumn": end}
        physical["region"] = {key: value for key, value in region.items() if value is not None}
    return {"physicalLocation": physical}


def _text(diagnostic: Diagnostic) -> str:
    """Return the message with the nodes involved and the hint."""
    at = [f"at {diagnostic.path}"] if diagnostic.line is None and diagnostic.path else []
    hint = [] if diagnostic.hint is None else [f"help: {diagnostic.hint}"]
    return "\n".join([diagnostic.message, *at, *(node.describe() for node in diagnostic.nodes), *hint])


Format = StrEnum("Format", ["text", "json", "github", "sarif"])  # how diagnostics are printed


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

    level, contrib = None, True
    if opset is not None or target is not None:
        from graphspec.export.targets import has_contrib, opset_of

        level, contrib = opset_of(opset, target), has_contrib(target)
    everything: list[Diagnostic] = []
    wrong = False
    for spec in specs:
        if is_run(spec) or (is_onnx(spec) and spec.exists()):
            checked = checked_whole(spec, sets or (), allow=allow or (), data=data)
        else:
            checked = check(str(spec), sets or (), allow_outside=allow_outside, allow=allow or ())
        found = check_further(checked, data=data, opset=level, contrib=contrib, allow_outside=allow_outside)
        wrong = wrong or any(d.is_error or strict for d in found)
        if output is Format.text:
            print_diagnostics(found, sys.stdout)
            out_wrapped(f"{spec}: {_verdict(checked, found)}")
            for plan in checked.lowered.initial if checked.lowered is not None and not checked.errors else ():
                out_wrapped(str(plan.report()))
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
    layers = count(len(spec.nodes), "layer")
    if isinstance(size, LearntSize):
        return f"ok{warned} ({layers}; the number of parameters is learnt from the training rows)"
    return f"ok{warned} ({count(size, 'parameter')}, {layers})"


def _for_programs(found: list[Diagnostic], output: Format) -> bytes:
    renderers = {Format.json: render_json, Format.github: render_github, Format.sarif: render_sarif}
    text = renderers[output](found)
    text += "\n" if text else ""
    try:
        return text.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8: escapes preserve every character
        if output is Format.github:
            return text.encode(errors="backslashreplace")
        return json.dumps(json.loads(text), indent=2).encode() + b"\n"
