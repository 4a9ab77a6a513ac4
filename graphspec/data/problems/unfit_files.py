"""Files that are no data files, or that are not there: what they are, and what to do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path

from graphspec.base.codes import Code
from graphspec.base.files import DATA_SUFFIXES, DATABASES, suffix_of
from graphspec.base.text import shell
from graphspec.data.paths import PICTURES, TEXTS
from graphspec.data.source import DataError

_PANDAS = "pd.{read}({name!r}).to_csv({csv!r}, index=False)"
_KINDS: Mapping[str, tuple[str, str]] = {
    ".xlsx": ("an Excel file", _PANDAS.replace("{read}", "read_excel")),
    ".xls": ("an Excel file", _PANDAS.replace("{read}", "read_excel")),
    ".ods": ("a spreadsheet", _PANDAS.replace("{read}", "read_excel")),
    ".feather": ("an Arrow file", _PANDAS.replace("{read}", "read_feather")),
    ".arrow": ("an Arrow file", _PANDAS.replace("{read}", "read_feather")),
    ".orc": ("an ORC file", _PANDAS.replace("{read}", "read_orc")),
    ".dta": ("a Stata file", _PANDAS.replace("{read}", "read_stata")),
    ".sav": ("an SPSS file", _PANDAS.replace("{read}", "read_spss")),
    ".npy": ("a single array", "np.savez({npz!r}, x=np.load({name!r}))"),
    ".mat": ("a MATLAB file", "np.savez({npz!r}, x=scipy.io.loadmat({name!r})['x'])"),
    ".h5": ("an HDF5 file", "np.savez({npz!r}, x=h5py.File({name!r})['x'][:])"),
    ".hdf5": ("an HDF5 file", "np.savez({npz!r}, x=h5py.File({name!r})['x'][:])"),
}
"""What files with other suffixes are, and a line of Python that converts one."""
_PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth")
_MAX_COUNTED = 10_000
_NEAR = 0.8  # how alike names are, of 1, to suggest one for the other
_SCRIPT = "prepare.py"
_MAX_SCRIPT = 1 << 20  # bytes


def type_error(path: Path) -> DataError:
    """Return the error for a file whose suffix is not that of a data file: what it is, and how to convert it."""
    suffix, code = path.suffix.lower(), Code.VALUE_NOT_ALLOWED
    if suffix in _KINDS:
        what, line = _KINDS[suffix]
        names = {"name": path.name, "csv": f"{path.stem}.csv", "npz": f"{path.stem}.npz"}
        return DataError(code, f"is {what}, which is not read", f"convert it in Python: `{line.format(**names)}`")
    if suffix in _PICKLES:
        return DataError(code, "is a pickle, which is never read", "save arrays with np.savez, and tables as CSV")
    if suffix == ".json":
        target = f"{path.stem}.jsonl"
        line = f"pd.read_json({path.name!r}).to_json({target!r}, orient='records', lines=True)"
        return DataError(code, "is JSON; rows are JSON Lines", f"write one object per line: `{line}`")
    if suffix in DATABASES:
        return DataError(
            code, "is a database", 'choose its rows, for example `query: "SELECT * FROM orders ORDER BY id"`'
        )
    if suffix in PICTURES:
        hint = "name the folder of the pictures; in a spec: `{images: pictures, labels: folder}`"
        return DataError(code, "is one picture", hint)
    hint = f"data come from {', '.join(DATA_SUFFIXES)}"
    if suffix in TEXTS:
        hint += "; for a table with tabs or commas, change the name to .tsv or .csv"
    return DataError(code, "has an unknown file type", hint)


def folder_error(path: Path, name: str) -> DataError:
    """Return the error for a folder in place of a file: what it holds, and the source to write.

    Args:
        name: the folder as the spec names it.
    """
    counts, labelled, total = _count(path)
    for key, suffixes, noun in (("images", PICTURES, "pictures"), ("texts", TEXTS, "texts")):
        count = sum(counts.get(suffix, 0) for suffix in suffixes)
        if count and count * 2 >= total:
            labels = ", labels: folder" if labelled else ""
            what = f"is a folder of {'more than ' if total >= _MAX_COUNTED else ''}{count:,} {noun}"
            return DataError(Code.UNREADABLE_FILE, what, f"write `{{{key}: {name}{labels}}}` in place of `file`")
    tables = sorted(((count, suffix) for suffix, count in counts.items() if suffix in DATA_SUFFIXES), reverse=True)
    if tables:
        count, suffix = tables[0]
        what = f"is a folder of {count:,} {suffix} file{'s' if count > 1 else ''}"
        return DataError(Code.UNREADABLE_FILE, what, f"name the files: `{name.rstrip('/')}/*{suffix}`")
    return DataError(
        Code.UNREADABLE_FILE, "is a folder, not a file", "name a file, or `images:` or `texts:` of a folder"
    )


def _count(path: Path) -> tuple[dict[str, int], bool, int]:
    """Return the number of files by suffix, whether all are in subfolders, and the number of files."""
    counts: dict[str, int] = {}
    total, labelled = 0, True
    for place, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                suffix = suffix_of(Path(name))
                counts[suffix] = counts.get(suffix, 0) + 1
                total, labelled = total + 1, labelled and Path(place) != path
        if total >= _MAX_COUNTED:
            break
    return counts, labelled, total


def missing_error(path: Path) -> DataError:
    """Return the error for a file that does not exist, with the script that makes it or a name that is near."""
    return DataError(Code.UNREADABLE_FILE, "does not exist", where_it_may_be(path))


def where_it_may_be(path: Path) -> str:
    """Return the hint for a file that does not exist."""
    if not path.parent.is_dir():
        return f"there is no folder '{path.parent}'; files are named relative to the spec"
    script = path.parent / _SCRIPT
    run = f"make it first: `{shell('python', script.as_posix())}`"
    if script.is_file() and _mentions(script, path.name):
        return run
    known = [p.name for p in path.parent.iterdir() if suffix_of(p) in DATA_SUFFIXES and p.is_file()]
    scored = sorted((SequenceMatcher(None, name.lower(), path.name.lower()).ratio(), name) for name in known[:2000])
    if scored and (scored[-1][0] >= _NEAR or Path(scored[-1][1]).stem == path.stem):
        return f"did you mean '{scored[-1][1]}'?"
    same = [name for name in known if name.partition(".")[0] == path.name.partition(".")[0]]
    if same:
        return f"did you mean '{min(same)}'?"
    return run if script.is_file() else "files are named relative to the spec"


def _mentions(script: Path, name: str) -> bool:
    """Return whether a script contains the name of a file."""
    try:
        with script.open("rb") as file:
            return name.encode() in file.read(_MAX_SCRIPT)
    except OSError:
        return False
