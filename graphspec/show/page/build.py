"""A page as one HTML file: the form, the network, and the engine or where to get it.

A visitor's values stay in the browser: the policy of the page (Content-Security-Policy) lets no script run but its own and
the engine's, and it may fetch nothing but the engine. Without a server a browser neither loads modules nor fetches files, so
that everything stands in the page itself.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from graphspec.base.errors import UsageError
from graphspec.base.files import make_folder, write_atomic
from graphspec.base.version import __version__
from graphspec.show.html import GENERATOR, refuse_foreign, text
from graphspec.show.page.form import form_of

VERSION = "1.30.0"
"""Of onnxruntime-web, whose files the hashes are of."""
_SOURCE = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist/"
ENGINE = {"code": "ort.wasm.bundle.min.mjs", "binary": "ort-wasm-simd-threaded.wasm"}
_HASHES = {
    "code": "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
    "binary": "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
}
LARGEST = 1 << 28
"""Bytes of a network that a page may hold."""


def page_of(file: Path, engine: Path | None = None) -> str:
    """Return the page of an exported file.

    Args:
        engine: the folder of npm's package onnxruntime-web, or its `dist`, whose engine is put into the page; without it the
            page fetches that of :data:`VERSION` from a content delivery network, by hashes.

    Raises:
        UsageError: graphspec has not written the file, it is too large for a page, or the engine's files are not there.
        SpecError: GS703, it cannot be read.
    """
    about = form_of(file)
    if (size := file.stat().st_size) > LARGEST:
        raise UsageError(f"{file} has {size >> 20:,} MB: a page holds at most {LARGEST >> 20} MB")
    parts = {"model": file.read_bytes()}
    if engine is None:
        about["engine"] = {part: {"url": _SOURCE + name, "integrity": _HASHES[part]} for part, name in ENGINE.items()}
    else:
        parts |= {f"engine-{part}": _found(engine, name).read_bytes() for part, name in ENGINE.items()}
    return html_of(about, parts)


def write_page(path: Path, html: str) -> Path:
    """Write a page, and the folder that it is in; a file of its name that graphspec has not written is UsageError."""
    if path.parent.exists():
        refuse_foreign(path, "page")
    make_folder(path.parent)
    write_atomic(path, html)
    return path


def contents(names: Sequence[str]) -> str:
    """Return the page with a link to ``<name>.html`` for each name."""
    links = "".join(f'<li><a href="{text(quote(name))}.html">{text(name)}</a></li>' for name in names)
    return _framed("Networks to try", f"<main><ul>{links}</ul></main>", f"style-src '{_digest(_asset('page.css'))}'")


def _found(engine: Path, name: str) -> Path:
    found = next((path for path in (engine / name, engine / "dist" / name) if path.is_file()), None)
    if found is None:
        raise UsageError(f"{engine} has no {name}: name the folder of npm's package onnxruntime-web, or its `dist`")
    return found


def html_of(about: dict[str, Any], parts: dict[str, bytes]) -> str:
    """Return the page of a record (:func:`form_of`) with ``parts`` of bytes by the id of their element."""
    script, style = (_asset(f"page.{suffix}") for suffix in ("js", "css"))
    source = _SOURCE if "engine" in about else "'none'"
    policy = (
        f"script-src '{_digest(script)}' blob: 'wasm-unsafe-eval'; style-src '{_digest(style)}'; img-src blob: data:; "
        f"connect-src {source}"
    )
    record = json.dumps(about).replace("<", "\\u003c")  # no text of a file ends the element
    data = "".join(
        f'<script type="text/plain" id="{name}">{b64encode(content).decode()}</script>\n'
        for name, content in parts.items()
    )
    description = f"<p>{text(about['description'])}</p>" if about["description"] else ""
    body = (
        f"{description}\n<main>{_asset('page.html')}</main>\n<footer>Made by graphspec {text(__version__)}. "
        f'What you enter stays in this browser.</footer>\n<script type="application/json" id="about">{record}</script>\n'
        f"{data}<script>{script}</script>"
    )
    return _framed(about["title"], body, policy)


def _framed(title: str, body: str, policy: str) -> str:
    policy = f"default-src 'none'; {policy}; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'{GENERATOR}<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{text(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_asset('page.css')}</style></head>\n<body><h1>{text(title)}</h1>{body}</body></html>\n"
    )


def _asset(name: str) -> str:
    return files("graphspec.show.page").joinpath(name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
