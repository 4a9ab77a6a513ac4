"""``graphspec schema``: print the JSON Schema of specs, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphspec.cli.console import write_data
from graphspec.cli.options import writable


def schema(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", callback=writable, help="Write a file instead.", show_default=False
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of specs, with which an editor completes and checks them."""
    from graphspec.files import write_atomic

    text = schema_text()
    if output is None:
        write_data(text.encode())
    else:
        write_atomic(output, text)


def schema_text() -> str:
    """Return the schema as JSON text."""
    import json

    from graphspec.language.schema import schema

    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
