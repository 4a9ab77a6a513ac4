"""Write a bill of materials in CycloneDX's JSON, version 1.6: https://cyclonedx.org/docs/1.6/json/.

There is no time in it, and its serial number follows from its content: the same facts give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from graphspec.base.text import printable

VERSION = "1.6"
Component = Mapping[str, Any]  # as in the schema, with a ``bom-ref`` of its own


def bill(
    subject: Component,
    components: Sequence[Component] = (),
    tools: Sequence[Component] = (),
    needs: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Return a bill of materials of ``subject``, of what that is made of or depends on, and of what has made it, as JSON.

    ``needs``: the references on which each component depends; by default the subject depends on all ``components``.
    Keys whose value is None or empty are left out. In texts, � stands for what controls a terminal or the direction of text.
    """
    needs = {subject["bom-ref"]: [each["bom-ref"] for each in components]} if needs is None else needs
    content = {
        "metadata": {"tools": {"components": tools}, "component": subject},
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": sorted(needs.get(ref, ()))} for ref in sorted(needs)],
    }
    content = _clean(content)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    opening = {
        "$schema": f"http://cyclonedx.org/schema/bom-{VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": VERSION,
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, digest).urn,
        "version": 1,
    }
    return json.dumps(opening | content, indent=1, ensure_ascii=False) + "\n"


def hashes(sha256: str | None) -> list[dict[str, str]]:
    """Return the ``hashes`` of a component whose bytes have this SHA-256, in hexadecimal digits; none for None."""
    return [{"alg": "SHA-256", "content": sha256}] if sha256 else []


def licences(text: str | None) -> list[dict[str, Any]]:
    """Return the ``licenses`` of a component: an expression of SPDX in its own spelling, such as MIT for mit, or a name."""
    if not text:
        return []
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return [{"expression": canonicalize_license_expression(text)}]
    except InvalidLicenseExpression:
        return [{"license": {"name": text}}]


def properties(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return ``properties`` with names of graphspec; values that are None or empty are left out."""
    return [
        {"name": f"graphspec:{key}", "value": str(value)} for key, value in values.items() if value not in (None, "")
    ]


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        cleaned = {key: _clean(each) for key, each in value.items()}
        return {key: each for key, each in cleaned.items() if each not in (None, "", [], {})}
    if isinstance(value, list | tuple):
        return list(map(_clean, value))
    return printable(value) if isinstance(value, str) else value
