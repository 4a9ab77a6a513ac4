"""Hostile files of arrays: safetensors and NPZ."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from trust.hostile_files.case import Table
from trust.hostile_files.zips import LOCAL, archive, claims, encrypted, method, of_zeros, patched

SAFETENSORS = Table("w.safetensors", "GS501", "GS504")
NPZ = Table("w.npz", "GS501", "GS504")


class Canary:
    """A pickle that makes a file when it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("canary",)


# safetensors


def packed(header: Any, data: bytes = bytes(8), length: int | None = None) -> bytes:
    """A file of safetensors with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def one(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8), data: bytes = bytes(8)) -> bytes:
    return packed({"dense/kernel": entry(dtype, shape, offsets)}, data)


WHOLE = one()


def _safetensors() -> None:
    add = SAFETENSORS.add
    start = "does not start like a file of safetensors"
    add("empty", b"", start)
    add("one byte", b"\0", start)
    add("seven bytes", bytes(7), start)
    add("zeros", bytes(1000), start)
    add("header of no bytes", packed({}, length=0), start)
    add("header beyond the end", packed({}, length=100), start)
    add("header of an exabyte", packed({}, length=2**60), start)
    add("header of 2^64 - 1 bytes", packed({}, length=2**64 - 1), start)
    add("header larger than any", lambda: packed(b" " * (1 << 24) + b"{}", b""), start)
    for k in (4, 8, 12, 40, len(WHOLE) - 9):
        add(f"cut at {k}", WHOLE[:k], start)
    add("cut in the values", WHOLE[:-1], "shorter than it says")
    add("no text", packed(b"\xff\xfe\x00{}"), "is not a file of safetensors")
    add("no JSON", packed(b"{]"), "is not a file of safetensors")
    add("a list", packed([]), "not a mapping")
    add("null", packed(b"null"), "not a mapping")
    add("100,000 levels", packed(b'{"a":' * 100_000), "is not a file of safetensors")
    add("a name twice", packed(json.dumps({"a": entry()}).encode()[:-1] + b',"a":[]}'), "'a' twice")
    add("a number of 5,000 digits", packed(b'{"a": ' + b"9" * 5000 + b"}"), "is not a file of safetensors")
    add("an array that is a list", packed({"a": []}), "not a mapping of mappings")
    add("an array that is a number", packed({"a": 7}), "not a mapping of mappings")
    add("dtype that is a mapping", one(dtype={"a": 1}), "dtype")
    add("dtype that is a list", one(dtype=["F32"]), "dtype")
    add("dtype of Python", one(dtype="object"), "none of its arrays are floats", sound=True)
    add("no shape", packed({"a": {"dtype": "F32", "data_offsets": [0, 8]}}), "no shape")
    add("no offsets", packed({"a": {"dtype": "F32", "shape": [2]}}), "no offsets")
    for name, shape in {
        "negative": [-2],
        "true": [True],
        "a float": [2.0],
        "a text": ["2"],
        "NaN": [float("nan")],
        "a number": 2,
        "null": None,
    }.items():
        add(f"shape: {name}", one(shape=shape), "no shape")
    for name, offsets in {
        "one": [0],
        "three": [0, 8, 8],
        "none": [],
        "negative": [-8, 0],
        "infinite": [0, float("inf")],
        "a mapping": {"0": 8},
    }.items():
        add(f"offsets: {name}", one(offsets=offsets), "is not a file of safetensors")
    add("offsets in reverse", one(offsets=[8, 0]), "is not a file of safetensors")
    add("offsets beyond the end", one(offsets=[1 << 40, (1 << 40) + 8]), "gap")
    add("shape larger than its bytes", one(shape=[3]), "its shape and its size differ")
    add("shape of an exabyte", one(shape=[2**30, 2**30]), "its shape and its size differ")
    add("dtype of twice the bytes", one(dtype="F64"), "its shape and its size differ")
    add("dtype of half the bytes", one(dtype="F16"), "its shape and its size differ")
    add("sizes of 2^64", one(shape=[2**64, 0], offsets=[0, 0], data=b""), "no shape")
    add("1,000 axes", one(shape=[1] * 999 + [2]), "axes")
    add(
        "sizes of 4,000 digits",
        lambda: packed(
            b'{"a": {"dtype": "F32", "shape": [' + b",".join([b"9" * 4000] * 200) + b'], "data_offsets": [0, 8]}}'
        ),
        "no shape",
    )
    add("overlapping arrays", packed({"a": entry(), "b": entry(offsets=[4, 8], shape=[1])}), "overlap")
    add("the same bytes twice", packed({"a": entry(), "b": entry()}), "overlap")
    add("a gap", packed({"a": entry(offsets=[8, 16])}, bytes(16)), "gap")
    add("bytes that nothing names", packed({"a": entry()}, bytes(64)), "gap")
    add("a pickle", pickle.dumps(Canary()), start)
    add("a pickle of protocol 0", pickle.dumps(Canary(), 0), start)
    add("an archive", archive({"data.pkl": pickle.dumps(Canary())}), start)
    add("a pointer of Git LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", start)
    add("a page", b"<!DOCTYPE html><html>404</html>", start)
    add("metadata that are a list", packed({"__metadata__": [], "a": entry()}), "metadata")
    add("metadata that are numbers", packed({"__metadata__": {"a": 1}, "a": entry()}), "metadata")
    add(
        "names of the terminal",
        packed({"\x1b[2J\x1b]0;x\x07/kernel": entry()}),
        "a network can start from it",
        sound=True,
    )
    add("a name with NUL", packed({"a\0b/../../c": entry()}), "a network can start from it", sound=True)
    add("a name of a megabyte", lambda: packed({"n" * (1 << 20): entry()}), "a name of 1,048,576 characters")
    add(
        "an unpaired surrogate",
        packed(b'{"\\ud800/kernel": ' + json.dumps(entry()).encode() + b"}"),
        "a network can start from it",
        sound=True,
    )
    add("no arrays", packed({}, b""), "has no arrays", sound=True)
    SAFETENSORS.folder("a folder", lambda folder: (folder / "w.safetensors").mkdir(), "", "usage")


# NPZ


def member(shape: Any = (2,), descr: Any = "<f4", data: bytes = bytes(8), order: Any = False) -> bytes:
    """A member of an archive with any header."""
    return literal(repr({"descr": descr, "fortran_order": order, "shape": shape}), data)


def literal(text: str, data: bytes = bytes(8), version: int = 1) -> bytes:
    encoded = text.encode("latin-1") + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(encoded))
    return b"\x93NUMPY" + bytes([version, 0]) + size + encoded + data


def npz(*members: bytes, name: str = "dense/kernel") -> bytes:
    return archive({f"{name}{k or ''}.npy": data for k, data in enumerate(members)})


def _pickled() -> bytes:
    file = io.BytesIO()
    array = np.empty(1, object)
    array[0] = Canary()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return npz(file.getvalue())


def _npz() -> None:
    add: Callable[..., None] = NPZ.add
    whole, start = npz(member()), "does not start like an .npy file"
    other = "is not an array of NumPy"
    add("empty", b"", other)
    add("zeros", bytes(1000), other)
    for k in (3, 30, 80, len(whole) // 2, len(whole) - 22, len(whole) - 1):
        add(f"cut at {k}", whole[:k], other)
    add("another kind of array", member(), other)
    add("a pickle", pickle.dumps({"w": Canary()}), other)
    add("a pickle as a member", archive({"a.npy": pickle.dumps(Canary())}), start)
    add("objects", _pickled, "never read", "GS504")
    add("a member without a start", archive({"a.npy": b""}), start)
    add("a text as a member", archive({"readme.txt": b"hello"}), start)
    add("code as a header", npz(literal("__import__('os').mkdir('canary')")), other)
    add(
        "a call in a header",
        npz(literal("{'descr': open('canary', 'w'), 'fortran_order': False, 'shape': (2,)}")),
        other,
    )
    add("an open bracket in a header", npz(literal("{'descr': '<f4', 'fortran_order': False, 'shape': (2,")), other)
    add("5,000 brackets as a header", npz(literal("(" * 5000 + ")" * 5000)), other)
    add("a header of 4 GiB", npz(b"\x93NUMPY\2\0" + b"\xff\xff\xff\xff" + b"{" * 100), other)
    add("a header of another version", npz(literal("{}", version=9)), other)
    add("a header with no shape", npz(literal("{'descr': '<f4', 'fortran_order': False}")), other)
    add("a list as a shape", npz(member(shape=[2])), other)
    for name, shape in {"negative": (-2,), "a text": ("2",), "a float": (2.0,), "nested": ((2,),)}.items():
        add(f"shape: {name}", npz(member(shape=shape)), other)
    add("shape of an exabyte", npz(member(shape=(2**30, 2**30))), "its shape and its size differ")
    add(
        "shape of 4,000 digits",
        npz(literal("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 4000 + ",)}")),
        other,
    )
    add("shape larger than its bytes", npz(member(shape=(3,))), "its shape and its size differ")
    add("order that is a text", npz(member(order="yes")), other)
    for descr in ("<f3", "O8", "|V0", "nonsense", [("a", "O")], ["<f4"], 7, None, ("<f4", (2**40,))):
        add(f"dtype {descr!r}", npz(member(descr=descr)), "")
    add("texts", npz(member(descr="<U1")), "none of its arrays are floats", sound=True)
    add("records", npz(member(descr=[("a", "<f4")])), "none of its arrays are floats", sound=True)
    add("a name twice", archive([("a.npy", member()), ("a.npy", member())]), "twice")
    add("the same name twice", archive([("a.npy", member()), ("a", member())]), "twice")
    add("encrypted", encrypted(whole), other)
    add("packed by method 99", method(whole, 99), other)
    add("packed, and is not", method(whole, zipfile.ZIP_DEFLATED), other)
    add("packed by LZMA, and is not", method(whole, zipfile.ZIP_LZMA), other)
    add("claims 4 GiB", claims(whole, 0xFFFFFFF0), other)
    add("another name inside", patched(whole, LOCAL, 30, b"evil"), other)
    add(
        "64 MiB of zeros",
        lambda: of_zeros("a.npy", member(shape=(2**24,), data=b""), 1 << 26),
        "a network can start from it",
        sound=True,
    )
    add("an archive in an archive", archive({"a.npy": whole}), start)
    add(
        "names that lead out",
        archive({"../../evil.npy": member(), "/etc/evil.npy": member()}),
        "a network can start from it",
        sound=True,
    )
    add("no members", archive({}), "no arrays", sound=True)
    NPZ.folder("a folder", lambda folder: (folder / "w.npz").mkdir(), "", "usage")


_safetensors()
_npz()
