"""Whether the signature beside a file, ``FILE.sig`` of ``model_signing``, verifies with a key that the user names."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from graphspec.base.errors import UsageError
from graphspec.base.files import is_regular
from graphspec.base.libraries import missing_library
from graphspec.graph.onnx_session import sanitized

_LIMIT = 1 << 24  # bytes of a signature
_REASON = 200  # characters


def signed_record(path: Path, key: Path | None, others: Sequence[str] = ()) -> dict[str, Any] | None:
    """Return what is known of the signature beside a file or a run; None if there is none, and no key is given.

    ``key`` is the public key, or the certificate of who signs, in PEM. None is looked for: who replaces a file can replace
    the key beside it. ``others`` are further files that belong to the file, which its signature does not cover.

    The record is ``{file, key, status, reason}``; ``status`` is ``verifies``, ``fails``, ``missing`` or ``not checked``.
    Raise UsageError if the key cannot be used, or without the library.
    """
    place = Path(f"{path if path.name else path.resolve()}.sig")
    record: dict[str, Any] = {"file": str(place), "key": None if key is None else str(key), "reason": None}
    if key is None:
        return {**record, "status": "not checked"} if is_regular(place) else None
    verifier = _verifier(key)
    if not is_regular(place):
        return {**record, "status": "missing"}
    partly = f"it does not cover '{sanitized(others[0])}'; sign the folder" if others else None
    reason = partly or _failure(verifier, path, place)
    if reason is None and key.resolve().parent == path.resolve().parent:
        return {**record, "status": "verifies", "reason": "the key lies beside the file: is it the maker's?"}
    return {**record, "status": "fails" if reason else "verifies", "reason": reason}


def _failure(verifier: Any, path: Path, place: Path) -> str | None:
    """Return why a signature, which may be of anyone, does not verify; None if it does."""
    if place.stat().st_size > _LIMIT:
        return f"it is larger than {_LIMIT >> 20} MiB"
    try:
        with redirect_stdout(io.StringIO()):  # of old signatures the library prints a warning
            verifier.verify(path, place)
    except Exception as error:
        text = " ".join(str(error).split())
        known = {"Signature mismatch": "the file has changed", "Key mismatch": "it was made with another key"}
        said = next((words for begin, words in known.items() if text.startswith(begin)), None)
        return said or f"it is not valid ({sanitized(text, _REASON) or type(error).__name__})"
    return None


def _verifier(key: Path) -> Any:
    try:
        from model_signing.verifying import Config
    except ImportError as error:  # it imports OpenSSL, too, which its metadata do not name
        name = "pyopenssl" if error.name == "OpenSSL" else "model-signing"
        second = "" if name == "pyopenssl" else f"; it needs pyopenssl, too: {missing_library('pyopenssl')}"
        raise UsageError(f"--key needs {name}; {missing_library(name)}{second}") from None
    try:
        if b"BEGIN CERTIFICATE" in key.read_bytes():
            return Config().use_certificate_verifier(certificate_chain=[key])
        return Config().use_elliptic_key_verifier(public_key=key)
    except (ValueError, AttributeError):  # the second is of keys of other kinds, such as RSA
        raise UsageError(f"{key} is no public key of an elliptic curve, and no certificate; name one, in PEM") from None
