"""Write a folder as a whole, and replace one that graphspec has written before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from graphspec.base.errors import UsageError
from graphspec.base.files import make_folder, new_folder, write_atomic


def refuse_foreign(folder: Path, names: Iterable[str], marks: Mapping[str, str], what: str) -> None:
    """Raise UsageError for a place that must not be replaced: a file, or a folder with files that we do not write.

    Args:
        names: the files that we write into the folder, relative to it.
        marks: a text that a file of ours contains, by the file's name. The file must be there.
        what: what the folder would become: ``an MLflow model``.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name one for {what}")
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())
    found = [name for name in found if "__pycache__" not in name.split("/")]  # of a loader that has run
    known = set(names)
    other = [name for name in found if name not in known]
    ours = all(_contains(folder / name, text) for name, text in marks.items())
    if found and (other or not ours):
        why = f"it has {other[0]}" if other else "graphspec has not written it"
        raise UsageError(f"{folder} is not replaced by {what}: {why}; name a new folder")


def _contains(path: Path, text: str) -> bool:
    try:
        return text in path.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return False


def write_folder(folder: Path, files: Mapping[str, bytes | str]) -> None:
    """Write a folder with these files. An old one, which :func:`refuse_foreign` allows, is replaced when all are written.

    Args:
        files: contents by path, relative to the folder.

    Raises:
        OSError: something cannot be written. The old folder remains.
    """
    target = Path(os.path.realpath(folder))
    # Names of leftovers, see graphspec.base.files.
    fresh, aside = (target.with_name(f".graphspec-{os.urandom(6).hex()}.tmp") for _ in range(2))
    try:
        with new_folder(fresh) as temporary:
            for name, content in files.items():
                make_folder((temporary / name).parent)
                write_atomic(temporary / name, content)
        _exchange(target, fresh, aside)
    except OSError as error:
        error.filename, error.filename2 = str(folder), None
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)


def _exchange(target: Path, fresh: Path, aside: Path) -> None:
    """Give the new folder its name; after an error the old folder has it again."""
    if not target.exists():
        fresh.rename(target)
        return
    target.rename(aside)
    try:
        fresh.rename(target)
    except BaseException:
        aside.rename(target)
        raise
