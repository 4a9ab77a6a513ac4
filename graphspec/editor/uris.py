"""Paths of files from the addresses that editors use for documents."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

_DRIVE = re.compile(r"/([A-Za-z]):")


def path_of(uri: str, *, windows: bool = os.name == "nt") -> str:
    r"""Return the path of a document.

    A document that is not a file, such as ``untitled:Untitled-1``, gets its last part as its name: what its spec names is
    then relative to the folder in which the server was started.

    >>> path_of("file:///home/me/my%20net.yaml", windows=False)
    '/home/me/my net.yaml'
    >>> print(path_of("file:///c%3A/nets/a.yaml", windows=True), path_of("file://host/share/a.yaml", windows=True))
    C:\\nets\\a.yaml \\\\host\\share\\a.yaml
    """
    parts = urlsplit(uri)
    if parts.scheme.lower() != "file":
        return unquote(parts.path or uri).rpartition("/")[2] or "untitled"
    path = unquote(parts.path)
    if not windows:
        return path
    if match := _DRIVE.match(path):
        path = f"{match[1].upper()}:{path[match.end() :]}"
    elif parts.netloc and parts.netloc != "localhost":
        path = f"//{parts.netloc}{path}"
    return path.replace("/", "\\")
