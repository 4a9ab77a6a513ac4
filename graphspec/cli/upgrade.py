"""``graphspec upgrade``: replace names of earlier versions in the text of specs."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Annotated

from graphspec.base.errors import Diagnostic, GivenText, SpecError, UsageError
from graphspec.base.files import is_regular, write_atomic
from graphspec.base.text import count
from graphspec.cli.console import out_wrapped, print_diagnostics
from graphspec.cli.options import argument, flag, output_file
from graphspec.cli.targets import is_run

_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def upgrade(
    specs: Annotated[list[Path], argument("SPEC", "Specs, YAML or JSON files.")],
    output: Annotated[Path | None, output_file("Write this file, and leave the spec as it is.")] = None,
    check: Annotated[bool, flag("--check", "Write nothing; end with status 1 if something would change.")] = False,
) -> int:
    """Replace names of earlier versions in specs by those of today. Comments, order, quotes and anchors stay.

    Such a name of a key, a class or a word works as before, with a warning (GS112).
    """
    if check and output is not None:
        raise UsageError("--check writes nothing: leave out --output")
    if output is not None and len(specs) > 1:
        raise UsageError("--output takes one spec; without it, each of several is rewritten in its place")
    for spec in specs:
        if is_run(spec) or (spec.name == "spec.json" and is_run(spec.parent)):
            raise UsageError(f"{spec} is of a run, which keeps the names it was trained with; name the spec itself")
        if output is None and not check and spec.exists() and not is_regular(spec):
            raise UsageError(f"{spec} is no regular file; name another one to write with --output")
    return max([_upgraded(spec, output or spec, check=check) for spec in specs])


def _upgraded(spec: Path, output: Path, *, check: bool) -> int:
    from graphspec.language.parse import parse_renamed
    from graphspec.language.read import load, read
    from graphspec.language.upgrade import renamed, rewritten

    try:
        source = GivenText(str(spec), load(str(spec)).text)
        tree = read(source)
    except SpecError as error:
        print_diagnostics(error.diagnostics)
        return SpecError.status
    _, found, names = parse_renamed(tree, spec.parent)
    text, changed = rewritten(source.text, names)
    if repr(read(GivenText(source, text)).plain()) != repr(renamed(tree, changed)[0].plain()):
        text, changed = source.text, []
    left = [name for name in names if name not in changed]
    problems = [d for d in found if d.is_error]
    problems += [name.diagnostic("; it cannot be rewritten here") for name in left]
    for name in changed:
        out_wrapped(f"{source}:{name.mark.line}:{name.mark.column}: {name.diagnostic().message}")
    print_diagnostics(sorted(problems, key=Diagnostic.sort_key))
    if not check and (changed or output != spec):
        write_atomic(output, _encoded(text, spec))
    done = "would change" if check else "changed"
    out_wrapped(f"{output}: {count(len(changed), 'name')} {done}" if changed else f"{spec}: nothing to change")
    return SpecError.status if problems or (check and changed) else 0


def _encoded(text: str, spec: Path) -> bytes:
    """Return a text in the encoding of a file, with its byte-order mark."""
    with spec.open("rb") as file:
        head = file.read(3)
    mark = next((mark for mark in _MARKS if head.startswith(mark)), b"")
    return mark + text.encode(_MARKS.get(mark, "utf-8"))
