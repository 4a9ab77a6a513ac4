"""Names of data files: patterns, files that are missing or unfit, and where the files of a spec lie after a move."""

from __future__ import annotations

import glob
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from graphspec.base.errors import Code, Mark, UsageError
from graphspec.base.files import DATA_SUFFIXES, DATABASES, is_regular, suffix_of
from graphspec.base.text import shell
from graphspec.data.source import DataError, unreadable
from graphspec.language.declarations import DataSource, Spec
from graphspec.language.tree import Tree

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")  # suffixes of pictures
TEXTS = (".txt",)  # suffixes of texts
MAX_FILES = 100_000
_MARKS = "*?["


def has_marks(path: Path) -> bool:
    """Return whether a name has ``*``, ``?`` or ``[``."""
    return any(mark in str(path) for mark in _MARKS)


def matching(pattern: Path) -> list[Path]:
    """Return the files of a pattern, sorted; ``**`` is any folders. Raises DataError: GS501, none, or too many."""
    try:
        names = glob.iglob(str(pattern), recursive=True)  # noqa: PTH207 (a folder of the pattern may be a pattern, too)
        found = sorted(islice((path for path in map(Path, names) if path.is_file()), MAX_FILES + 1))
    except (OSError, ValueError) as error:
        raise unreadable(f"cannot be searched: {error}") from None
    if not found:
        hint = "files are named relative to the spec; `*` stands for any characters of a name"
        raise unreadable("does not exist: no file matches this pattern", hint)
    if len(found) > MAX_FILES:
        raise unreadable(f"has too many files: more than {MAX_FILES:,} match", "join some of them")
    return found


def is_glob(path: Path) -> bool:
    """Return whether a name is a pattern (``visits/*.parquet``): it has ``*``, ``?`` or ``[``, and no file has this name."""
    return has_marks(path) and not is_regular(path)


# Files that are no data files, or that are not there: what they are, and what to do.
_PANDAS = "pd.{read}({name!r}).to_csv({csv!r}, index=False)"
_KINDS: Mapping[str, tuple[str, str]] = {  # by other suffixes, what files are, and the line of Python that converts one
    **dict.fromkeys((".xlsx", ".xls"), ("an Excel file", _PANDAS.replace("{read}", "read_excel"))),
    ".ods": ("a spreadsheet", _PANDAS.replace("{read}", "read_excel")),
    **dict.fromkeys((".feather", ".arrow"), ("an Arrow file", _PANDAS.replace("{read}", "read_feather"))),
    ".orc": ("an ORC file", _PANDAS.replace("{read}", "read_orc")),
    ".dta": ("a Stata file", _PANDAS.replace("{read}", "read_stata")),
    ".sav": ("an SPSS file", _PANDAS.replace("{read}", "read_spss")),
    ".npy": ("a single array", "np.savez({npz!r}, x=np.load({name!r}))"),
    ".mat": ("a MATLAB file", "np.savez({npz!r}, x=scipy.io.loadmat({name!r})['x'])"),
    **dict.fromkeys((".h5", ".hdf5"), ("an HDF5 file", "np.savez({npz!r}, x=h5py.File({name!r})['x'][:])")),
}
_PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth")
_MAX_COUNTED = 10_000
_NEAR = 0.8  # how alike names are, of 1, to suggest one for the other
_SCRIPT = "prepare.py"
_MAX_SCRIPT = 1 << 20  # bytes


def type_error(path: Path) -> DataError:
    """Return the error for a file whose suffix is not that of a data file: what it is, and how to convert it."""
    suffix = path.suffix.lower()
    if suffix in _KINDS:
        what, line = _KINDS[suffix]
        line = line.format(name=path.name, csv=f"{path.stem}.csv", npz=f"{path.stem}.npz")
        found = f"is {what}, which is not read", f"convert it in Python: `{line}`"
    elif suffix in _PICKLES:
        found = "is a pickle, which is never read", "save arrays with np.savez, and tables as CSV"
    elif suffix == ".json":
        target = f"{path.stem}.jsonl"
        line = f"pd.read_json({path.name!r}).to_json({target!r}, orient='records', lines=True)"
        found = "is JSON; rows are JSON Lines", f"write one object per line: `{line}`"
    elif suffix in DATABASES:
        found = "is a database", 'choose its rows, for example `query: "SELECT * FROM orders ORDER BY id"`'
    elif suffix in PICTURES:
        hint = "name the folder of the pictures; in a spec: `{images: pictures, labels: folder}`"
        found = "is one picture", hint
    else:
        more = "; for a table with tabs or commas, change the name to .tsv or .csv" if suffix in TEXTS else ""
        found = "has an unknown file type", f"data come from {', '.join(DATA_SUFFIXES)}{more}"
    return DataError(Code.VALUE_NOT_ALLOWED, *found)


def folder_error(path: Path, name: str) -> DataError:
    """Return the error for a folder in place of a file, as the spec names it: what it holds, and the source to write."""
    counts, labelled = _count(path)
    total = counts.total()
    for key, suffixes, noun in (("images", PICTURES, "pictures"), ("texts", TEXTS, "texts")):
        count = sum(counts[suffix] for suffix in suffixes)
        if count and count * 2 >= total:
            labels = ", labels: folder" if labelled else ""
            what = f"is a folder of {'more than ' if total >= _MAX_COUNTED else ''}{count:,} {noun}"
            return unreadable(what, f"write `{{{key}: {name}{labels}}}` in place of `file`")
    if tables := [(count, suffix) for suffix, count in counts.items() if suffix in DATA_SUFFIXES]:
        count, suffix = max(tables)
        what = f"is a folder of {count:,} {suffix} file{'s' if count > 1 else ''}"
        return unreadable(what, f"name the files: `{name.rstrip('/')}/*{suffix}`")
    return unreadable("is a folder, not a file", "name a file, or `images:` or `texts:` of a folder")


def _count(path: Path) -> tuple[Counter[str], bool]:
    """Return the number of files by suffix, and whether all are in subfolders."""
    counts, labelled = Counter[str](), True
    for place, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        suffixes = [suffix_of(Path(name)) for name in names if not name.startswith(".")]
        counts.update(suffixes)
        labelled = labelled and (not suffixes or Path(place) != path)
        if counts.total() >= _MAX_COUNTED:
            break
    return counts, labelled


def where_it_may_be(path: Path) -> str:
    """Return the hint for a file that does not exist: the script that makes it, or a name that is near."""
    if not path.parent.is_dir():
        return f"there is no folder '{path.parent}'; files are named relative to the spec"
    script = path.parent / _SCRIPT
    run = f"make it first: `{shell('python', script.as_posix())}`"
    if script.is_file() and _mentions(script, path.name):
        return run
    names = [p.name for p in path.parent.iterdir() if suffix_of(p) in DATA_SUFFIXES and p.is_file()]
    scored = sorted((SequenceMatcher(None, name.lower(), path.name.lower()).ratio(), name) for name in names[:2000])
    if scored and (scored[-1][0] >= _NEAR or Path(scored[-1][1]).stem == path.stem):
        return f"did you mean '{scored[-1][1]}'?"
    if same := [name for name in names if name.partition(".")[0] == path.name.partition(".")[0]]:
        return f"did you mean '{min(same)}'?"
    return run if script.is_file() else "files are named relative to the spec"


def _mentions(script: Path, name: str) -> bool:
    try:
        with script.open("rb") as file:
            return name.encode() in file.read(_MAX_SCRIPT)
    except OSError:
        return False


_FILE_TYPES = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


def size_of(path: Path) -> int:
    """Return a file's size. Raises DataError: GS501, there is no such file, or it is not regular or readable."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise unreadable("does not exist", where_it_may_be(path)) from None
    except (OSError, ValueError) as error:  # an embedded null byte, half a character
        raise unreadable(f"cannot be opened: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(found.st_mode):
        what = next((what for test, what in _FILE_TYPES if test(found.st_mode)), "a device")
        raise unreadable(f"is {what}, not a regular file", "write the data to a file")
    if not os.access(path, os.R_OK):
        raise unreadable(f"cannot be opened: {os.strerror(13)}")
    return found.st_size


# Where the data files of a spec lie: a run names them relative to its own directory, so a project can be moved or copied
# as a whole. An exported file has only their names, as short as they can be told apart.
_ROWS = ("file", "images", "texts")
_CALLBACK_PATHS = ("filepath", "filename", "log_dir", "backup_dir")
_VARIABLE = re.compile(r"\$\{\s*([^}\s]+)\s*\}")


def document_for(spec: Spec, directory: Path) -> dict[str, Any]:
    """Return the spec with its data relative to ``directory``, as the directory's ``spec.json`` has it.

    Absolute names of the spec, and files on another drive, stay absolute.
    """
    document: dict[str, Any] = json.loads(json.dumps(spec.document))
    home = Path(os.path.realpath(directory))
    for part, source in spec.data.items():
        for key, path in _places(source).items():
            document["data"][part][key] = _relative(path, home, _as_written(source, key)).replace("${", "$${")
    return document


def _places(source: DataSource) -> dict[str, Path]:
    """Return the files and folders of a source, by key; of a query also the folder in which it looks."""
    keys = (*_ROWS, *(["folder"] if source.query is not None else []))
    return {key: path for key in keys if (path := getattr(source, key)) is not None}


def _as_written(source: DataSource, key: str) -> str:
    tree = source.tree.get(key)
    return tree.value if tree is not None and isinstance(tree.value, str) else ""


def _relative(path: Path, home: Path, written: str) -> str:
    if _is_absolute(written) and path == Path(written):
        return written
    real = os.path.realpath(path)
    # Links to data stay names of links: a project with such a link can be moved, too.
    direct = os.path.normpath(Path(os.path.realpath("."), path))
    chosen = direct if os.path.realpath(direct) == real else real
    try:
        return Path(os.path.relpath(chosen, home)).as_posix()
    except ValueError:  # on another drive
        return chosen


def tidied(spec: Spec) -> Spec:
    """Return the spec of a run with paths such as ``runs/net/../../rows.csv`` as ``rows.csv``, for messages."""

    def tidy(path: Path) -> Path:
        short = Path(os.path.normpath(path))
        return short if os.path.realpath(short) == os.path.realpath(path) else path

    return replace(spec, data={part: _each(source, tidy) for part, source in spec.data.items()})


def _each(source: DataSource, change: Callable[[Path], Path]) -> DataSource:
    changed: dict[str, Any] = {key: change(path) for key, path in _places(source).items()}
    return replace(source, **changed)


def comparable(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document in which data have no paths: two specs are equal if they differ only in where their data lie."""
    data = document.get("data")
    parts = {}
    for part, keys in data.items() if isinstance(data, Mapping) else ():
        parts[part] = keys
        if isinstance(keys, Mapping):
            kept = {key: value for key, value in keys.items() if key != "folder"}
            parts[part] = kept | {key: "…" for key in _ROWS if isinstance(kept.get(key), str)}
    return {**document, "data": parts} if isinstance(data, Mapping) else dict(document)


def portable_document(spec: Spec) -> dict[str, Any]:
    """Return the spec as an exported file contains it: data and callbacks have no folders of this machine."""
    document: dict[str, Any] = json.loads(json.dumps(spec.document))
    names, used = _names(spec), set[str]()
    for part, source in spec.data.items():
        keys = document["data"].get(part, {})  # folds have none
        for key in (*_ROWS, "folder"):
            used.update(_VARIABLE.findall(str(keys.get(key, ""))))
        keys.pop("folder", None)
        named = {key: path for key in _ROWS if (path := getattr(source, key)) is not None}
        keys.update({key: names[str(path)].replace("${", "$${") for key, path in named.items()})
    variables, training, blocks = (document.get(key) for key in ("vars", "training", "blocks"))
    if isinstance(variables, dict):
        variables.update({name: _last(variables[name]) for name in used & variables.keys()})
    if isinstance(training, dict):
        _without_folder(training, "initial_weights")
        for callback in _mappings(training.get("callbacks")):
            callback.update({key: _last(callback[key]) for key in _CALLBACK_PATHS if key in callback})
    bodies = [document, *(_mappings(list(blocks.values())) if isinstance(blocks, dict) else [])]
    for layer in (layer for body in bodies for layer in _mappings(body.get("layers"))):
        for key in ("vocabulary", "file"):
            if isinstance(layer.get(key), str):
                layer[key] = _last(layer[key])
        _without_folder(layer, "weights")
    return document


def _without_folder(keys: dict[str, Any], key: str) -> None:
    """Leave the last part of an absolute path, in a file of weights or its mapping."""
    value = keys.get(key)
    if isinstance(value, dict) and "file" in value:
        value["file"] = _last(value["file"])
    elif isinstance(value, str):
        keys[key] = _last(value)


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _is_absolute(name: str) -> bool:
    return PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()


def _last(value: Any) -> Any:
    """Return the last part of an absolute path; other values stay."""
    if not isinstance(value, str) or not _is_absolute(value):
        return value
    return (PurePosixPath(value) if PurePosixPath(value).is_absolute() else PureWindowsPath(value)).name or value


def _names(spec: Spec) -> dict[str, str]:
    """Return the shortest ends of the paths of data that tell them apart, by path."""
    paths = {}
    for path in (path for source in spec.data.values() for path in source.paths):
        whole = PurePath(os.path.abspath(path))  # noqa: PTH100 (it removes `..`, and no link is followed)
        paths[str(path)] = whole.parts[1:] or whole.parts
    distinct = set(paths.values())
    length = 1
    while len({tail[-length:] for tail in distinct}) < len(distinct):
        length += 1
    # A pattern needs the folders of its marks: `2024/*.csv` and `*/rows.csv` are more than a name.
    return {path: PurePosixPath(*tail[-max(length, _marked(tail)) :]).as_posix() for path, tail in paths.items()}


def _marked(tail: tuple[str, ...]) -> int:
    """Return how many parts at the end of a path begin with the first that has marks of a pattern."""
    return next((len(tail) - k for k, part in enumerate(tail) if has_marks(Path(part))), 1)


def unmapped(file: Path) -> DataSource:
    """Return a source whose columns have the names of inputs and heads."""
    return DataSource(file, {}, None, None, None, Tree({}, Mark(str(file))), beside=file.parent)


def moved(spec: Spec, place: Path, only: str | None = None) -> Spec:
    """Return the spec with its data in the folder ``place``; or, if it names one data file only, in the file ``place``.

    A file is looked up by its name in the spec, then by the end of its path, then by its name alone. Files of queries and
    tables are below ``place``.

    ``only``: the part that must be there; all parts by default. Others keep their places.

    Raises UsageError: a file is not there, or ``place`` is one file, but the spec names several.
    """
    if not place.exists():
        raise UsageError(f"{place} does not exist; name the folder or the file of the data")
    if not place.is_dir():
        paths = {str(path) for source in spec.data.values() for path in source.paths}
        if len(paths) != 1:
            raise UsageError(f"the spec has {len(paths)} data files: name the folder in which they are, not {place}")
        return replace(spec, data={p: _each(s, lambda _: place) if s.paths else s for p, s in spec.data.items()})
    names = _names(spec)
    data = dict(spec.data)
    for part, source in spec.data.items():
        if only is None or part == only:
            data[part] = _moved(source, part, place, names)
    return replace(spec, data=data)


def _moved(source: DataSource, part: str, place: Path, names: Mapping[str, str]) -> DataSource:
    changed: dict[str, Any] = {"beside": place}
    for key, path in _places(source).items():
        if key == "folder":
            changed[key] = place
            continue
        ends = dict.fromkeys([_inner(_as_written(source, key)), names[str(path)], path.name])
        changed[key] = next((place / end for end in ends if end and _exists(place / end)), None)
        if changed[key] is None:
            raise UsageError(f"{place} has no '{names[str(path)]}', the {part} data of the spec")
    return replace(source, **changed)


def _inner(written: str) -> str:
    """Return a relative name without the ``..`` at its start; nothing for a name that leads elsewhere."""
    parts = list(PurePosixPath(written).parts)
    while parts and parts[0] == "..":
        parts.pop(0)
    return "" if _is_absolute(written) or ".." in parts else "/".join(parts)


def _exists(path: Path) -> bool:
    try:
        return path.exists() or (has_marks(path) and bool(matching(path)))
    except DataError:
        return False
