"""What a run has written into its folder: what may be removed with it, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from graphspec.callbacks.outputs import RUN_FILES, Output, is_called
from graphspec.files import LOCK, is_leftover

_STAY = ("spec.json", "run.json")  # replaced by those of the next run: until then the folder is seen to be a run's


def remove_run(directory: Path) -> list[str]:
    """Remove what the run in ``directory`` has written, but what says that it is one; the names of the files that stay."""
    outputs = _outputs(directory / "spec.json")
    (directory / "checkpoint.safetensors").unlink(
        missing_ok=True
    )  # first: nobody can resume a run of which a part is gone
    kept = []
    for path, parts in _files(directory):
        if _is_own(path, parts) or any(_wrote(output, path, parts) for output in outputs):
            path.unlink()
            with suppress(OSError):  # others lie beside it
                for folder in list(path.parents)[: len(parts) - 1]:
                    folder.rmdir()
        elif parts not in [(name,) for name in (*_STAY, LOCK)]:
            kept.append("/".join(parts))
    return kept


def _outputs(path: Path) -> list[Output]:
    """What the callbacks of a spec write; nothing where it cannot be read."""
    from graphspec.language.parse import parse

    spec, _ = parse(str(path))
    callbacks = [] if spec is None else spec.training.callbacks
    return [output for callback in callbacks for output in callback.outputs()]


def _files(directory: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """All that lies in a folder but folders, the deepest first; links are not followed."""
    for folder, folders, names in os.walk(directory, topdown=False):
        for name in sorted([*names, *(n for n in folders if Path(folder, n).is_symlink())]):
            path = Path(folder, name)
            yield path, path.relative_to(directory).parts


def _is_own(path: Path, parts: Sequence[str]) -> bool:
    """Whether every run writes this file; temporary names are those of files that a killed one was writing."""
    if len(parts) == 1:
        return (parts[0] in RUN_FILES and parts[0] not in _STAY) or is_leftover(path)
    return parts[-1] == LOCK or is_leftover(path)


def _wrote(output: Output, path: Path, parts: Sequence[str]) -> bool:
    """Whether a callback with this output wrote the file, by its name and by what it holds."""
    *above, name = parts
    if path.is_symlink() or not path.is_file():
        return False
    if output.shared:
        return is_called(output, above) and output.is_own(path)
    if is_called(output, parts):
        return output.is_own(path)
    return name in RUN_FILES and is_called(output, above) and output.is_own(path.parent)
