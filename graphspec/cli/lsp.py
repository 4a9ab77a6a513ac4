"""``graphspec lsp``: a language server, which shows an editor what it needs to write specs."""

from __future__ import annotations

from typing import Annotated

from graphspec.cli.options import flag


def lsp(
    data: Annotated[bool, flag("--data", "Check the data files too, when a spec is opened and saved.")] = False,
    stdio: Annotated[bool, flag("--stdio", "Accepted; there is no other way.", hidden=True)] = False,
) -> int:
    """Serve an editor: problems, fixes, shapes, completions, by the Language Server Protocol over stdin and stdout.

    An editor starts it. It needs pygls.
    """
    from graphspec.base.errors import UsageError
    from graphspec.base.libraries import missing_library

    try:
        from graphspec.editor.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pygls", "lsprotocol", "cattrs", "attrs"):
            raise
        hint = missing_library("pygls")
        raise UsageError(f"the language server needs pygls, which is not installed; {hint}") from None
    return serve(data=data)
