"""For editors: ``graphspec schema``, the JSON Schema of specs, and ``graphspec lsp``, a language server."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any

from graphspec.base.errors import UsageError
from graphspec.base.files import write_atomic
from graphspec.base.libraries import missing_library
from graphspec.cli.console import out, write_data
from graphspec.cli.options import flag, option, output_file

FILE = "graphspec.schema.json"
_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*(?:#[^\n]*)?\r?\n)*")  # the comments above a document
_LINE = re.compile(rb"(#[ \t]+yaml-language-server[ \t]*:[ \t]*\$schema[=:][ \t]*)(\S*)")
"""The comment by which a spec names its schema: yaml-language-server, which most editors use, reads it in the header."""
_BOM = b"\xef\xbb\xbf"


def schema(
    output: Annotated[Path | None, output_file("Write a file instead.")] = None,
    spec: Annotated[Path | None, option("SPEC", "Write it beside this spec, and name it there.", "--for")] = None,
) -> None:
    """Print the JSON Schema of specs, with which an editor completes and checks them."""
    if spec is not None and output is not None:
        raise UsageError("--for writes the schema beside the spec: leave out --output")
    if spec is not None:
        _name_in(spec)
    elif output is None:
        write_data(schema_text().encode())
    else:
        write_atomic(output, schema_text())


def place(spec: Path) -> str:
    """Return the path of the schema from a spec: in ``schemas/`` of a parent folder, else beside the spec.

    A missing schema is written beside the spec. So is this version's, if another version has written the one there.
    """
    folder = spec.parent.resolve()
    for above in (folder, *folder.parents):
        if (above / "schemas" / FILE).is_file():
            return Path(os.path.relpath(above / "schemas" / FILE, folder)).as_posix()
    text = stored_schema()
    if not (folder / FILE).is_file() or (folder / FILE).read_bytes() != text.encode():
        write_atomic(folder / FILE, text)
    return f"./{FILE}"


def _name_in(spec: Path) -> None:
    """Place the schema for a spec, and add the line that names it, or correct a line that names no file."""
    if spec.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{spec}: only a YAML file has a line that names its schema; write the schema with --output")
    if not spec.is_file():
        raise UsageError(f"there is no spec {spec}")
    content = spec.read_bytes()
    header = _HEADER.match(content)
    line = None if header is None else _LINE.search(content, 0, header.end())
    named = None if line is None else line[2].decode(errors="replace")
    if named is not None:
        other = spec.parent / named
        is_own = other.resolve() == spec.parent.resolve() / FILE  # which :func:`place` keeps current
        if re.match(r"\w{2,}:", named) is not None or (other.is_file() and not is_own):
            out(f"{spec} already names its schema: {named}")
            return
    path = place(spec)
    if line is not None:
        changed = content[: line.start(2)] + path.encode() + content[line.end(2) :]
    else:
        mark = _BOM if content.startswith(_BOM) else b""
        end = b"\r\n" if b"\r\n" in content else b"\n"
        changed = mark + f"# yaml-language-server: $schema={path}".encode() + end + content.removeprefix(mark)
    if changed != content:
        write_atomic(spec, changed)
    out(f"{spec}: editors complete and check it with {path}")


def stored_schema() -> str:
    """Return the schema that is stored with the package: making one takes seconds. With plugins, it is made."""
    from importlib.resources import files

    from graphspec.base.config import load_plugins
    from graphspec.language.explain import REGISTRIES

    load_plugins()
    plugins = any(registry.plugins() for registry in REGISTRIES.values())
    package = files("graphspec")
    for place in (package.joinpath(FILE), package.joinpath("..", "schemas", FILE)):  # in a wheel, and in a checkout
        if not plugins and place.is_file():
            return place.read_text(encoding="utf-8")
    return schema_text()


def schema_text() -> str:
    """Return the schema as JSON text: small, for editors, with one line per definition, for comparisons."""
    from graphspec.language.schema import schema

    def line(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def lines(part: dict[str, Any]) -> str:
        return "{\n" + ",\n".join(f"{line(key)}: {line(value)}" for key, value in part.items()) + "\n}"

    parts = {key: lines(value) if key in ("properties", "$defs") else line(value) for key, value in schema().items()}
    return "{\n" + ",\n".join(f"{line(key)}: {text}" for key, text in parts.items()) + "\n}\n"


def lsp(
    data: Annotated[bool, flag("--data", "Check the data files too, when a spec is opened and saved.")] = False,
    stdio: Annotated[bool, flag("--stdio", "Accepted; there is no other way.", hidden=True)] = False,
) -> int:
    """Serve an editor: problems, fixes, shapes, completions, by the Language Server Protocol over stdin and stdout.

    An editor starts it. It needs pygls.
    """
    try:
        from graphspec.editor.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pygls", "lsprotocol", "cattrs", "attrs"):
            raise
        hint = missing_library("pygls")
        raise UsageError(f"the language server needs pygls, which is not installed; {hint}") from None
    return serve(data=data)
