"""Templates of new specs, filled with what a series or a folder of pictures or texts holds."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphspec.cli.spec_text import scalar
from graphspec.data.profile_sql import ISO
from graphspec.errors import UsageError

if TYPE_CHECKING:
    from graphspec.data.profile import ColumnProfile, Profile

WIDTH = 120
_SOME = 8  # names in a message


@dataclass(frozen=True)
class Filled:
    """A spec from a template.

    Attributes:
        text: the spec, without its name and schema.
        found: what was looked at, as the rest of a sentence.
        warnings: what the reader should know.
    """

    text: str
    found: str
    warnings: tuple[str, ...] = ()


def series(template: str, table: Profile, target: str, file: str, form: Sequence[str] = ()) -> Filled:
    """Fill the template of a series from the profile of a table.

    ``form`` are the lines that say how the table's text is read.

    The columns of numbers without gaps are read, the target first. The first column of dates is the time. If times
    occur more than once, the column of texts or integers that tells such rows apart separates the series.

    Raises:
        UsageError: the target is no column of numbers without gaps, or the dates of several series cannot be sorted.
    """
    numbers = [name for name, c in table.columns.items() if c.is_number and not c.absent and not c.constant]
    if target not in numbers:
        some = ", ".join(numbers[:_SOME]) + (", …" if len(numbers) > _SOME else "")
        raise UsageError(f"'{target}' is not a column of numbers without gaps; such columns are {some or 'not there'}")
    time = next((c for c in table.columns.values() if c.kind == "date" and not c.absent), None)
    group = None if time is None else _group(table, time, target)
    inputs = [target, *(n for n in numbers if n not in (target, group))]
    steps = table.rows if time is None else time.distinct
    past, future = max(1, min(48, steps // 8)), max(1, min(24, steps // 16))
    sorted_by = time if time is not None and _is_iso(time) else None
    if time is not None and sorted_by is None and group is not None:
        raise UsageError(
            f"the series of '{group}' are sorted by '{time.name}', whose dates are not ISO 8601: write them as 2024-12-31"
        )
    order = "}   # in the order of the rows" if sorted_by is None else f", order: {scalar(sorted_by.name)}"
    if sorted_by is not None:
        order += ("" if group is None else f", group: {scalar(group)}") + "}"
    text = template
    for old, new in {
        "The next values of a series, from the last ones.": f"The next values of {target}, from the last ones.",
        "past: 48, future: 24}": f"past: {past}, future: {future}}}",
        '["${past}", 3]}': f'["${{past}}", {len(inputs)}]}}',
        "file: data/train.csv": "\n".join([f"file: {scalar(file)}", *form]),
        ", order: time}   # `order` is the column of the time": order,
        "    inputs: {past: [load, temperature, wind]}": _flow("    inputs: {past: [", inputs, "]}"),
        "targets: {next: load}": f"targets: {{next: {scalar(target)}}}",
    }.items():
        text = _replaced(text, old, new)
    rows = f"{target} from {len(inputs)} column{'s' if len(inputs) > 1 else ''} of {table.rows:,} rows"
    return Filled(text, rows + ("" if group is None else f", a series for each {group}"), _warnings(time, sorted_by))


_FEW = 500
"""Pictures or texts below which an epoch has few steps, and a tenth of them says little."""
_FOR_FEW = {
    "batch_size: 64": "batch_size: 16",
    "epochs: 30 ": "epochs: 100",
    "patience: 3": "patience: 10",
    "{split: 0.1,": "{split: 0.25,",
}


def folder(template: str, path: Path, file: str, kind: str) -> Filled:
    """Fill the template of pictures or of texts from a folder with a folder for each class, or its subfolder ``train``.

    Args:
        kind: ``images`` or ``texts``.

    Raises:
        UsageError: there are not two classes.
    """
    from graphspec.data.folders import Folder

    if (path / "train").is_dir():
        path, file = path / "train", f"{file}/train"
    files = Folder(path, kind.removesuffix("s"), labelled=True)
    classes = sorted(set(files.column("label")))
    if len(classes) < 2:
        raise UsageError(f"{path} has one folder, '{classes[0]}': name the folder with a folder for each class")
    whole = f"{{{kind}: {scalar(file)}, labels: folder}}"
    old, head, units = {
        "images": (
            "{images: data/train, labels: folder}         # or {file: data/train.npz} with arrays `image` and `kind`",
            "kind",
            10,
        ),
        "texts": (
            "{file: data/train.csv}     # columns `text` and `opinion`; or folders: {texts: data/train, labels: folder}",
            "opinion",
            2,
        ),
    }[kind]
    text = _replaced(template, old, whole)
    text = _replaced(
        text, f"name: {head}, type: Dense, units: {units},", f"name: {head}, type: Dense, units: {len(classes)},"
    )
    start = text.index("  # test: ")
    text = text[:start]
    beside = path.parent / "test"
    if path.name != "test" and beside.is_dir():
        test = f"{file.rpartition('/')[0]}/test".removeprefix("/")
        text += f"  test: {{{kind}: {scalar(test)}, labels: folder}}\n"
    count = len(files.column("label"))
    for old, new in (_FOR_FEW if count < _FEW else {}).items():
        text = _replaced(text, old, new)
    if kind == "texts":
        text = text.replace(head, "kind")  # folders are of any kind, not of opinions
    noun = "pictures" if kind == "images" else "texts"
    return Filled(text, f"{count:,} {noun} of {len(classes)} classes")


def _is_iso(column: ColumnProfile) -> bool:
    return not column.date_formats or column.date_formats.get(ISO, 0.0) == 1.0


def _group(table: Profile, time: ColumnProfile, target: str) -> str | None:
    """Return the column that separates several series: the one with the fewest values that can tell their rows apart."""
    if time.distinct >= table.rows:
        return None
    candidates = [
        c
        for c in table.columns.values()
        if c.kind in ("text", "integer")
        and c.name != target
        and not c.absent
        and c.distinct * time.distinct >= table.rows
    ]
    return min(candidates, key=lambda c: (c.kind != "text", c.distinct)).name if candidates else None


def _warnings(time: ColumnProfile | None, sorted_by: ColumnProfile | None) -> tuple[str, ...]:
    if time is None or sorted_by is not None:
        return ()
    return (f"the dates of column '{time.name}' are not ISO 8601 (2024-12-31): the rows must be in the order of time",)


def _flow(start: str, names: list[str], end: str) -> str:
    """Return a list of names as lines that fit an editor."""
    line = start + ", ".join(map(scalar, names)) + end
    if len(line) <= WIDTH:
        return line
    words = ", ".join(map(scalar, names))
    return textwrap.fill(start + words + end, WIDTH, subsequent_indent=" " * len(start), break_long_words=False)


def _replaced(text: str, old: str, new: str) -> str:
    if old not in text:
        raise AssertionError(f"the template has no {old!r}")
    return text.replace(old, new, 1)
