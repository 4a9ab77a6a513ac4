"""The files that a run has written to its folder; only these are removed with the run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from graphspec.base.files import LOCK, is_leftover
from graphspec.vocabulary.callbacks.base import ONNX_FILES, RUN_FILES, Output, is_called

_MARKERS = ("spec.json", "run.json")  # mark the folder as a run directory until the next run replaces them


def remove_run(directory: Path) -> list[str]:
    """Remove the files of the run in ``directory``, except its markers, and return the names of all other files."""
    outputs = _outputs(directory / "spec.json")
    # The checkpoint goes first: if this is interrupted, nobody can resume the incomplete run.
    (directory / "checkpoint.safetensors").unlink(missing_ok=True)
    kept = []
    for path, parts in _files(directory):
        if _is_own(path, parts) or any(_wrote(output, path, parts) for output in outputs):
            path.unlink()
            with suppress(OSError):  # the folder contains other files
                for folder in list(path.parents)[: len(parts) - 1]:
                    folder.rmdir()
        elif parts not in [(name,) for name in (*_MARKERS, LOCK)]:
            kept.append("/".join(parts))
    return kept


def _outputs(path: Path) -> list[Output]:
    """Return the outputs of a spec's callbacks; none if the spec cannot be read."""
    from graphspec.language.parse import parse

    spec, _ = parse(str(path))
    callbacks = [] if spec is None else spec.training.callbacks
    return [output for callback in callbacks for output in callback.outputs()]


def _files(directory: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield every file in a folder and its subfolders, deepest first, without following links."""
    for folder, folders, names in os.walk(directory, topdown=False):
        for name in sorted([*names, *(n for n in folders if Path(folder, n).is_symlink())]):
            path = Path(folder, name)
            yield path, path.relative_to(directory).parts


def _is_own(path: Path, parts: Sequence[str]) -> bool:
    """Return whether every run writes this file, or it is the temporary file of a killed run."""
    if len(parts) == 1:
        return (parts[0] in RUN_FILES and parts[0] not in _MARKERS) or is_leftover(path)
    copied = parts[0] == ONNX_FILES and re.fullmatch(r"[0-9a-f]{64}\.onnx", parts[-1]) is not None
    return copied or parts[-1] == LOCK or is_leftover(path)


def _wrote(output: Output, path: Path, parts: Sequence[str]) -> bool:
    """Return whether a callback with this output wrote the file, judging by its name and content."""
    *above, name = parts
    if path.is_symlink() or not path.is_file():
        return False
    if output.shared:
        return is_called(output, above) and output.is_own(path)
    if is_called(output, parts):
        return output.is_own(path)
    return name in RUN_FILES and is_called(output, above) and output.is_own(path.parent)
