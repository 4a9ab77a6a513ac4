"""The key of a slice, ``x[:, 0]``, as the text that a spec has."""

from __future__ import annotations

from typing import Any


def key_text(key: Any) -> str | None:
    """Return the text between the brackets, such as ``":, 0"``; None if a part is no number, slice, ``...`` or None."""
    parts = key if isinstance(key, list) else [key]
    if isinstance(key, dict) and key.get("class_name") == "__tuple__":
        parts = key.get("items") or key.get("config", {}).get("value") or []
    found = [_part(part) for part in parts]
    return None if not found or None in found else f"[{', '.join(part for part in found if part is not None)}]"


def _part(part: Any) -> str | None:
    if part is None:
        return "None"
    if isinstance(part, bool):
        return None
    if isinstance(part, int):
        return str(part)
    if not isinstance(part, dict):
        return None
    if part.get("class_name") == "__ellipsis__":
        return "..."
    config = part.get("config")
    if part.get("class_name") != "__slice__" or not isinstance(config, dict):
        return None
    ends = [config.get(name) for name in ("start", "stop", "step")]
    if any(not (end is None or (isinstance(end, int) and not isinstance(end, bool))) for end in ends):
        return None
    start, stop, step = ("" if end is None else str(end) for end in ends)
    return f"{start}:{stop}" + (f":{step}" if step else "")
