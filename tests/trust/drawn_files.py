"""Data files at random: right ones, odd ones, damaged ones, and names behind which there is none."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from graphspec.data import archives

MARK = "unpickled"
Rows = dict[str, list[Any]]
Truth = dict[str, list[Any]] | None
"""What a file holds by an independent reading; None where it is not known."""
READ, REFUSE, EITHER = "read", "refuse", "either"
"""What must become of a file. One that may be read must still have the numbers of its truth, if that is known."""
Made = tuple[Path, list[str], Truth, str]
"""A file, its columns, what they hold, and what must become of it."""
NAMES = ("a", "b", "y", "bill [mm]", 'v"', "it's", "limit", "project", "rowid", "c0")
NAMES += ("ä", "a.b", "select", "x,y", "📏", "1", "*")


def _table(random: Random, plain: bool = False) -> Rows:
    """Columns of numbers, the last of them of integers; of odd ones, unless ``plain``."""
    names = random.sample(NAMES, random.randint(2, 4))
    n = random.choice([1, 2, 3, 7, 40, 3000 if random.random() < 0.2 else 5])
    table: Rows = {}
    for name in names[:-1]:
        kinds = [lambda: random.randint(-9, 9), lambda: random.gauss(0, 1), lambda: random.randint(-(2**53), 2**53)]
        make = random.choice(kinds)
        table[name] = [make() for _ in range(n)]
    scale = random.choice([3, 300, 2**31, 2**53, 2**62])
    table[names[-1]] = [random.randint(-scale, scale) for _ in range(n)]
    if not plain and random.random() < 0.4:
        odd = random.choice(ODD)
        table[random.choice(names)][random.randrange(n)] = odd
    return table


ODD: list[Any] = [2**53 + 1, 2**63, 2**64 + 1, 10**30, "1e3", "1_000", "+5", "0x10", "NA", "", "nan", "inf"]
ODD += ["-Infinity", "1.5", "x", "true", " 7 ", "1e400", "\u0663", "7\x00", "1,5", "'", '"', "a\nb", "1e18"]
ODD += ["9007199254740993.0", "-0", ".5", "5.", "\u2028"]


def _truth(table: Rows) -> tuple[Truth, bool]:
    """The table as numbers, and whether it must be read: every cell is a plain number, integers where they are wanted."""
    *features, target = table
    good = True
    for name in table:
        for cell in table[name]:
            number = _plain_number(cell)
            if number is None or (name == target and (number != int(number) or not -(2**63) <= int(number) < 2**63)):
                good = False
            if number is not None and name in features and abs(number) > 3e38:
                good = False
    return {name: [_cell(c) for c in column] for name, column in table.items()}, good


def _plain_number(cell: Any) -> Any:
    if isinstance(cell, int | float):
        return Decimal(cell)
    text = cell.strip(" ")
    if not text.isascii() or "_" in text or not text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _cell(cell: Any) -> Any:
    return cell if isinstance(cell, int | float) else cell.strip(" ")


INSERTED = (b"\0", b'"', b"\n", b"\r", b",", b"\xff", b"9" * 30, b"[", b"{}", b"\xef\xbb\xbf")


def _damage(random: Random, content: bytes) -> bytes:
    """Some bytes flipped, cut off, put in, or repeated."""
    data = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 5])):
        if not data:
            break
        place = random.randrange(len(data))
        match random.randrange(5):
            case 0:
                data[place] = random.randrange(256)
            case 1:
                del data[place:]
            case 2:
                data[place:place] = random.choice(INSERTED)
            case 3:
                del data[place : place + random.randint(1, 9)]
            case _:
                data[place:place] = data[max(place - random.randint(1, 60), 0) : place]
    return bytes(data)


def _delimited(random: Random, folder: Path) -> Made:
    table = _table(random)
    suffix = random.choice([".csv", ".csv", ".tsv"])
    separator = "\t" if suffix == ".tsv" else random.choice(",,;|\t")
    path = folder / f"d{suffix}"
    text = io.StringIO()
    quoting = random.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    writer = csv.writer(
        text, delimiter=separator, lineterminator=random.choice(["\n", "\n", "\r\n", "\r"]), quoting=quoting
    )
    names = list(table)
    extra = random.random() < 0.2
    writer.writerow([*names, "more"] if extra else names)
    for row in zip(*table.values(), strict=True):
        writer.writerow([*row, "text"] if extra else row)
    content = text.getvalue()
    header = content.splitlines()[0]
    clear = all(header.count(c) < len(names) - 1 + extra for c in ",;\t|" if c != separator) or suffix == ".tsv"
    truth, good = _truth(table)
    if random.random() < 0.2:
        content = content.rstrip("\r\n")
    if random.random() < 0.15:
        content = "\ufeff" + content
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    return path, names, truth if good else _independent(path, names, separator), READ if good and clear else EITHER


def _read_csv(content: str, separator: str, names: list[str]) -> Truth:
    """The cells of a table by the standard library."""
    rows = [
        row for row in csv.reader(io.StringIO(content.removeprefix("\ufeff"), newline=""), delimiter=separator) if row
    ]
    places = [[n.strip() for n in rows[0]].index(name) for name in names]
    return {name: [row[k] for row in rows[1:]] for name, k in zip(names, places, strict=True)}


def _damaged_table(random: Random, folder: Path) -> Made:
    path, names, _, _ = random.choice([_delimited, _lines])(random, folder)
    before = path.read_text(encoding="utf-8-sig").splitlines()[:1]
    path.write_bytes(_damage(random, path.read_bytes()))
    return path, names, _independent(path, names, max(",;\t|", key="".join(before).count)), EITHER


def _independent(path: Path, names: list[str], separator: str) -> Truth:
    """The numbers of these columns by the standard library; None where it does not read the file as a table."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
            return {n: [row[n] for row in rows] for n in names}
        return _read_csv(text, "\t" if path.suffix == ".tsv" else separator, names)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, csv.Error):
        return None


def _lines(random: Random, folder: Path) -> Made:
    table = _table(random)
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    lines = [json.dumps(row, ensure_ascii=random.random() < 0.5) for row in rows]
    truth, good = _truth(table)
    if any(isinstance(cell, str) for column in table.values() for cell in column):
        good = False  # text in JSON is no number
    if random.random() < 0.3:
        place, odd = random.randrange(len(lines) + 1), random.choice(ODD_LINES)
        lines.insert(place, odd)
        blank = not odd.strip(" ")
        good, truth = good and blank, truth if blank else None
    path = folder / "d.jsonl"
    path.write_text("\n".join(lines) + random.choice(["", "\n"]), encoding="utf-8")
    return path, list(table), truth, READ if good else EITHER


ODD_LINES = ["", "   ", "[1, 2]", "3", "null", '"a"', "{", "{}", '{"a": 1, "a": 2}', '{"a": {"b": [1]}}', "[" * 5000]
ODD_LINES += ['{"a":' * 3000, '{"y": NaN}', '{"A": 1}', '{"a": [1, [2]]}', '{"y": true}', "\u2028", "// no", "{'a': 1}"]
ODD_LINES += ['{"a": "\\ud800"}']


def _parquet(random: Random, folder: Path) -> Made:
    import duckdb

    table = _table(random, plain=True)
    path = folder / "d.parquet"
    kinds = {name: _kind(random, column) for name, column in table.items()}
    rows = ", ".join("(" + ", ".join(map(repr, row)) + ")" for row in zip(*table.values(), strict=True))
    quoted = ['"' + name.replace('"', '""') + '"' for name in table]
    columns = ", ".join(f"k{k}::{kind} AS {q}" for k, (q, kind) in enumerate(zip(quoted, kinds.values(), strict=True)))
    if random.random() < 0.15:
        columns += ", " + random.choice(EXTRA)
    options = random.choice(["", ", ROW_GROUP_SIZE 2048", ", CODEC 'zstd'", ", CODEC 'uncompressed'"])
    base = duckdb.connect()
    names = ", ".join(f"k{k}" for k in range(len(table)))
    base.execute(f"COPY (SELECT {columns} FROM (VALUES {rows}) t({names})) TO '{path}' (FORMAT parquet{options})")
    truth = {
        name: [row[0] for row in base.execute(f"SELECT {q} FROM '{path}'").fetchall()]
        for name, q in zip(table, quoted, strict=True)
    }
    if random.random() < 0.5:
        path.write_bytes(_damage(random, path.read_bytes()))
        return path, list(table), None, EITHER
    return (
        path,
        list(table),
        truth,
        EITHER if {"VARCHAR", "HUGEINT"} & {*kinds.values()} else READ,
    )  # 128 bits are written as doubles


def _kind(random: Random, column: list[Any]) -> str:
    if any(isinstance(v, float) for v in column):
        return random.choice(["DOUBLE", "FLOAT", "DECIMAL(18, 6)"])
    largest = max(map(abs, column))
    fitting = ["BIGINT", "HUGEINT", "DECIMAL(38, 0)", "VARCHAR"]
    fitting += ["TINYINT", "DOUBLE"] if largest < 100 else ["DOUBLE"] if largest < 2**53 else []
    return random.choice(fitting)


EXTRA = ["uuid() AS u", "{'x': 1} AS s", "map {'a': 1} AS m", "now() AS t", "'x'::BLOB AS bl", "NULL AS n"]
EXTRA += ["[1, 2]::INT[2] AS f"]


def _archive(random: Random, folder: Path) -> Made:
    table = _table(random, plain=True)
    path = folder / "d.npz"
    arrays = {name: _array(random, column) for name, column in table.items()}
    with zipfile.ZipFile(path, "w", random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name, array in arrays.items():
            archive.writestr(name + random.choice([".npy", ".npy", ""]), _npy(array, random))
    truth = {name: array.tolist() for name, array in arrays.items()}
    return path, list(table), truth, READ


def _array(random: Random, column: list[Any]) -> Any:
    if any(isinstance(v, float) for v in column):
        return np.array(column, random.choice(["f4", "f8", ">f8", ">f4"]))
    small = max(map(abs, column)) < 100
    return np.array(column, random.choice(["i1", "f2", "f4", ">i2"] if small else ["i8", ">i8"]))


def _npy(array: Any, random: Random) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=random.choice([(1, 0), (2, 0), (3, 0), None]))
    return file.getvalue()


class Bomb:
    """An object whose pickle leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def _hostile_archive(random: Random, folder: Path) -> Made:
    """An archive with one entry that is none of an array of numbers, or lies about it."""
    mark = Bomb(folder / MARK)
    entries: dict[str, bytes] = {n: _npy(np.arange(3), random) for n in ("a", "b", "y")}
    victim = random.choice(list(entries))
    objects = io.BytesIO()
    np.save(objects, np.array([mark, 1, 2], object), allow_pickle=True)
    lie, dtype = random.choice(LIES), random.choice(DTYPES)
    choices: list[Callable[[], bytes]] = [
        lambda: pickle.dumps(mark),
        objects.getvalue,
        lambda: random.choice([b"", b"text", b"\x93NUMPY", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x09\x00\x00\x00"]),
        lambda: _header("'<i8'", lie) + bytes(24),
        lambda: _header(dtype, "(3,)") + bytes(24),
        lambda: _npy(np.array(5), random),
        lambda: _npy(np.zeros((0,)), random),
        lambda: _npy(np.asfortranarray(np.zeros((3, 2))), random),
        lambda: _npy(np.array([1.0, np.nan, 2.0]), random),
        lambda: _npy(np.array([2**63, 0, 1], np.uint64), random),
    ]
    entries[victim] = random.choice(choices)()
    path = folder / "d.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name + ".npy", content)
        if random.random() < 0.3:
            archive.writestr(random.choice(["a.npy", "../a.npy", "/etc/passwd", "a/b.npy", "y"]), b"x")
    if random.random() < 0.2:
        data = bytearray(path.read_bytes())
        for place in range(len(data) - 12):
            if data.startswith(b"PK\x01\x02", place) and random.random() < 0.7:
                field = random.choice(["<8xH", "<24xI", "<20xI", "<42xI"])
                struct.pack_into(field, data, place, random.choice([1, 0xFFFF, 7]))
        path.write_bytes(data)
    return path, list("aby"), None, EITHER


LIES = ("(10**18,)", "(1000000000000000000,)", "(3, -1)", "(-3,)", "(4,)", "(2,)", "(3.0,)", "'abc'", "(True, 3)", "(3")
LIES += ("(" * 3000, "[3]", "(4611686018427387904, 8)")
DTYPES = ("'|O'", "'<M8[s]'", "'<U2'", "'|V8'", "'<c8'", "[('f', '<i8')]", "'|b1'", "'i8,i8'")


def _header(dtype: str, shape: str) -> bytes:
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".ljust(53) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def _damaged_archive(random: Random, folder: Path) -> Made:
    path, names, _, _ = _archive(random, folder)
    path.write_bytes(_damage(random, path.read_bytes()))
    try:
        with np.load(path, allow_pickle=False) as archive:
            return path, names, {name: archive[name].tolist() for name in names}, EITHER
    except Exception:
        return path, names, None, REFUSE if archives.MAPPED > 64 else EITHER  # what is mapped, no checksum is made of


def _junk(random: Random, folder: Path) -> Made:
    path = folder / f"d{random.choice(['.npz', '.csv', '.tsv', '.jsonl', '.parquet'])}"
    starts = [b"", b"PK\x03\x04", b"PAR1", b"\xff\xfe", b"\xef\xbb\xbf", b"{", b"\x93NUMPY\x01\x00", b"a,b,y\n"]
    start = random.choice(starts)
    path.write_bytes(
        start + random.randbytes(random.choice([0, 1, 8, 300, 5000])) + random.choice([b"", b"PAR1", b"\n"])
    )
    return path, list("aby"), None, EITHER


def _no_file(random: Random, folder: Path) -> Made:
    """A name behind which there is no regular file, beside one that must not be read in its place."""
    suffix = random.choice([".npz", ".csv", ".jsonl", ".parquet"])
    (folder / "dab.csv").write_text("a,b,y\n1,2,3\n")
    path = folder / f"d{suffix}"
    match random.randrange(8):
        case 0:
            path.mkdir()
        case 1 if hasattr(os, "mkfifo"):
            os.mkfifo(path)
        case 2:
            path = folder / ("n" * random.choice([240, 252, 300, 5000]) + suffix)
        case 3:
            path = folder / f"a\0b{suffix}"
        case 4:
            path = folder / random.choice(
                ["d*.csv", "d?b.csv", "d[a]b.csv", "**/*.csv", "{dab,x}.csv", "dab.csv'; --.csv"]
            )
        case 5:
            path = folder / f"\ud800{suffix}"
        case 6:
            path.symlink_to(random.choice(["/dev/zero", path.name, "missing.csv", "."]))
        case _:
            path = folder / "none" / f"d{suffix}"
    return path, list("aby"), None, REFUSE


KINDS: list[tuple[str, Callable[[Random, Path], Made]]] = [
    ("delimited", _delimited),
    ("delimited", _delimited),
    ("lines", _lines),
    ("parquet", _parquet),
    ("archive", _archive),
    ("hostile archive", _hostile_archive),
    ("damaged archive", _damaged_archive),
    ("damaged table", _damaged_table),
    ("junk", _junk),
    ("no file", _no_file),
]
