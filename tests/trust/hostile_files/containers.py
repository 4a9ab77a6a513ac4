"""Hostile containers of Keras: the archive ``.keras``, and the HDF5 files in it and of their own."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from typing import Any

import numpy as np

from trust.hostile_files import hdf5
from trust.hostile_files.arrays import Canary
from trust.hostile_files.case import Table
from trust.hostile_files.hdf5 import Array, Group, Message, Outside, Soft, attribute, chunked, file_of, filters
from trust.hostile_files.keras_models import base, keras, parts, text, weights, whole_h5
from trust.hostile_files.zips import CENTRAL, LOCAL, archive, claims, encrypted, method, of_zeros, patched

KERAS = Table("net.keras", "GS801", "GS802")
H5 = Table("net.h5", "GS801", "GS802")


def _archives() -> None:
    add, whole = KERAS.add, keras()
    add("empty", b"", "no model that Keras saved")
    add("zeros", bytes(1000), "archive")
    for k in (4, 100, len(whole) // 2, len(whole) - 22, len(whole) - 1):
        add(f"cut at {k}", whole[:k], "archive")
    add("a pickle", pickle.dumps(Canary()), "archive")
    add("HDF5 with the wrong suffix", file_of(whole_h5()), "it can be imported", sound=True)
    add("only a configuration", archive({"config.json": text(base())}), "model.weights.h5")
    add("no configuration", archive({"model.weights.h5": file_of(weights())}), "config.json")
    add("nothing", archive({}), "config.json")
    add("a folder in an archive", archive({f"net/{k}": v for k, v in parts().items()}), "config.json")
    add("a name twice", archive([*parts().items(), ("config.json", b"{}")]), "two entries 'config.json'")
    add("another name inside", patched(whole, LOCAL, 30, b"evil", 1), "config.json")
    add("encrypted", encrypted(whole, 1), "encrypted")
    add("packed by method 99", method(whole, 99, 1), "config.json")
    add("packed, and is not", method(whole, zipfile.ZIP_DEFLATED, 2), "model.weights.h5")
    add("packed by LZMA", archive(parts(), zipfile.ZIP_LZMA), "unusual method")
    add("claims 4 GiB", claims(whole, 0xFFFFFFF0, 1), "claim")
    add("claims 4 GiB of weights", claims(whole, 0xFFFFFFF0, 2), "claim")
    add("claims one byte", claims(whole, 1, 1), "config.json")
    add("a wrong checksum", patched(patched(whole, CENTRAL, 16, b"evil", 1), LOCAL, 14, b"evil", 1), "config.json")
    add("a place beyond the end", patched(whole, CENTRAL, 42, struct.pack("<I", 2**31), 1), "")
    add("a configuration of zeros", lambda: of_zeros("config.json", b"", 1 << 26), "config.json")
    add("an archive in an archive", archive({**parts(), "config.json": whole}), "JSON")
    add("a configuration of nothing", archive(parts(b"")), "JSON")
    add("a list as a configuration", archive(parts([])), "config.json")
    add("another program's JSON", archive(parts({"graphspec": 1})), "config.json")
    add("metadata that are no JSON", archive({**parts(), "metadata.json": b"{"}), "metadata.json")
    add(
        "names that lead out",
        archive({**parts(), "../../evil": b"", "/etc/evil": b"", "assets/../../x": b""}),
        "",
        sound=True,
    )
    if hasattr(os, "mkfifo"):
        KERAS.folder("a pipe", lambda folder: os.mkfifo(folder / "net.keras"), "regular file", "GS801", "usage")
    KERAS.folder("a folder", lambda folder: (folder / "net.keras").mkdir(), "", "usage")


def _weights() -> None:
    """Files of weights, as an entry of an archive."""

    def add(name: str, root: Group | bytes, words: str, *codes: str, sound: bool = False) -> None:
        KERAS.add(f"weights: {name}", lambda: keras(None, root), words, *codes, sound=sound)

    ones, whole, h5 = np.ones((4, 3), np.float32), file_of(weights()), "model.weights.h5"
    for k in (0, 4, 60, 96, 300, len(whole) - 48, len(whole) - 8):
        add(f"cut at {k}", whole[:k], h5)
    add("zeros", bytes(1000), h5)
    add("a pickle", pickle.dumps(Canary()), h5)
    add("another superblock", file_of(weights(), superblock=hdf5.MAGIC + bytes([9]) + bytes(87)), h5)
    add("a root beyond the end", whole[:64] + struct.pack("<Q", 1 << 40) + whole[72:], h5)
    add("a root within itself", whole[:64] + struct.pack("<Q", 8) + whole[72:], h5)
    add("no layers", Group(), "dense")
    add("layers that are an array", Group({"layers": Array(ones)}), "an array, not a group")
    add("a layer that is an array", Group({"layers": Group({"dense": Array(ones)})}), "dense")
    add("no kernel", weights(**{"0": Group()}), "dense")
    # Links.
    add("a soft link to itself", weights(**{"0": Soft("0")}), h5)
    add("soft links in a circle", weights(**{"0": Soft("1"), "1": Soft("0")}), h5)
    add("a soft link to the root", weights(**{"0": Soft("/")}), h5)
    add("a soft link that leads out", weights(**{"0": Soft("../../../../etc/passwd")}), h5)
    add("a soft link to nothing", weights(**{"0": Soft("/nothing")}), h5)
    add("a link to another file", weights(**{"0": Outside("/etc/passwd")}), h5)
    add("a link to a file above", weights(**{"0": Outside("../evil.h5", "/layers")}), h5)
    add("a group that contains itself", Group({"layers": Group({"dense": "again"}, name="again")}), "dense")
    add("a group that contains the root", Group({"layers": Group({"dense": Group({"vars": "/"})})}), "dense")
    add("a link to the superblock", weights(**{"0": 0}), h5)
    add("a link beyond the end", weights(**{"0": 1 << 50}), h5)
    add("a link to numbers", weights(**{"0": 96}), h5)
    # Arrays.
    add("another shape", weights(**{"0": Array(np.ones((3, 4), np.float32))}), "dense")
    add("a shape of 10^18", weights(**{"0": Array(ones, shape=(10**9, 10**9))}), h5)
    add("a shape of 2^64 - 1", weights(**{"0": Array(ones, shape=(2**64 - 1,))}), h5)
    add("more than its bytes", weights(**{"0": Array(ones, shape=(4, 30))}), "dense")
    add("200 axes", weights(**{"0": Array(ones, shape=(1,) * 200)}), h5)
    add("bytes beyond the end", weights(**{"0": Array(ones, layout=struct.pack("<BBQQ", 3, 1, 1 << 40, 48))}), h5)
    add("texts", weights(**{"0": Array(np.full((4, 3), b"x"))}), "dtype")
    add("whole numbers", weights(**{"0": Array(np.ones((4, 3), np.int32))}), "it can be imported", sound=True)
    add("not a number", weights(**{"0": Array(np.full((4, 3), np.nan, np.float32))}), "it can be imported", sound=True)
    add("a type of 2^31 bytes", weights(**{"0": Array(ones, type=struct.pack("<BBBBI", 0x13, 1, 0, 0, 2**31))}), h5)
    add("a type that is unknown", weights(**{"0": Array(ones, type=b"\x1f" + bytes(15))}), h5)
    add("a type of 3 bytes", weights(**{"0": Array(ones, type=struct.pack("<BBBBI12x", 0x11, 0, 0, 0, 3))}), h5)
    add("a type that is a reference", weights(**{"0": Array(ones, type=struct.pack("<BBBBI", 0x17, 0, 0, 0, 8))}), h5)
    add("a layout that is unknown", weights(**{"0": Array(ones, layout=struct.pack("<BBQQ", 3, 7, 96, 48))}), h5)
    add("in pieces", weights(**{"0": Array(ones, layout=chunked((1, 1, 4)))}), "pieces")
    add(
        "in packed pieces",
        weights(**{"0": Array(ones, layout=chunked((2**31, 2**31, 4)), messages=[filters(1)])}),
        "pieces",
    )
    add(
        "200 filters",
        weights(**{"0": Array(ones, layout=chunked((4, 3, 4)), messages=[filters(*[1] * 200)])}),
        "pieces",
    )
    outside = struct.pack("<BxxxHHQ", 1, 1, 1, 96)
    add("values in another file", weights(**{"0": Array(ones, messages=[Message(hdf5.EXTERNAL, outside)])}), h5)
    # Attributes and headers.
    bomb = attribute("name", b"dense", shape=(2**40,))
    add("an attribute of a terabyte", _named(bomb), h5)
    add("an attribute of 2^64 - 1", _named(attribute("name", b"dense", shape=(2**64 - 1,))), h5)
    lists = struct.pack("<BBBBI", 0x19, 1, 0, 0, 16) + hdf5.type_of("S1")
    add("an attribute of 2^32 texts", _named(attribute("name", b"dense", shape=(2**32,), kind=lists)), h5)
    add(
        "an attribute of 2^31 bytes",
        _named(attribute("name", b"d", kind=struct.pack("<BBBBI", 0x13, 1, 0, 0, 2**31))),
        h5,
    )
    add("a name that is no text", _named(attribute("name", [1.5, 2.5])), "it can be imported", sound=True)
    again = Message(hdf5.MORE, struct.pack("<QQ", 0, 1 << 40))
    add("a header that goes on at itself", Group(messages=[again] * 400), "no weights")
    long = Message(hdf5.MORE, struct.pack("<QQ", 0, 2000))
    add("60,000 headers in a header", _long_header(long), h5)
    symbols = Message(hdf5.SYMBOLS, struct.pack("<QQ", 96, 96))
    add("a table of names that is none", Group(messages=[symbols]), h5)


def _named(message: Message) -> Group:
    found = weights()
    inner: Any = found.members["layers"].members["dense"].members["vars"]
    inner.attributes, inner.messages = {}, [message]
    return found


def _long_header(message: Message) -> bytes:
    """A file whose root says that it has more messages than its header holds: they go on in the same bytes."""
    data = bytearray(file_of(Group(messages=[message])))
    at = struct.unpack_from("<Q", data, 64)[0]
    struct.pack_into("<H", data, at + 2, 60_000)
    return bytes(data)


def _h5() -> None:
    """Files ``.h5`` with a model."""
    add, whole = H5.add, file_of(whole_h5())
    add("empty", b"", "no model that Keras saved")
    add("zeros", bytes(1000), "no model that Keras saved")
    add("a text", b"graphspec: 1\n", "no model that Keras saved")
    add("an archive", keras(), "it can be imported", sound=True)
    for k in (8, 60, 200, len(whole) // 2, len(whole) - 8):
        add(f"cut at {k}", whole[:k], "")
    add("no model", file_of(weights()), "no configuration of a model")
    add("a model that is no JSON", file_of(whole_h5("{")), "JSON")
    add("a model that is a list", file_of(whole_h5("[]")), "")
    add("a model that is a number", _with("model_config", 7), "")
    add("a model of a terabyte", _with("model_config", b"{}", shape=(2**40,)), "")
    add("a model of numbers", _with("model_config", [1, 2, 3]), "")
    add("no weights", file_of(Group({}, whole_h5().attributes)), "has no weights")
    add("weights that are an array", file_of(Group({"model_weights": Array(np.ones(3))}, whole_h5().attributes)), "")
    add("weights that are the root", file_of(Group({"model_weights": "/"}, whole_h5().attributes)), "")
    add("weights in another file", file_of(Group({"model_weights": Outside("/etc/passwd")}, whole_h5().attributes)), "")
    add("a kernel of another shape", file_of(whole_h5(**{"kernel:0": Array(np.ones((9, 3), np.float32))})), "dense")
    add("a kernel that is a group", file_of(whole_h5(**{"kernel:0": Group()})), "dense")
    add("a kernel that is a link", file_of(whole_h5(**{"kernel:0": Soft("bias:0")})), "")
    inner = whole_h5()
    inner.members["model_weights"].members["dense"].attributes = {
        "weight_names": np.array([b"../../evil", b"/etc/passwd"])
    }
    add("names of weights that lead out", file_of(inner), "dense")
    numbers = whole_h5()
    numbers.members["model_weights"].attributes["layer_names"] = np.array([1, 2])
    add("names of layers that are numbers", file_of(numbers), "it can be imported", sound=True)
    H5.folder("a folder", lambda folder: (folder / "net.h5").mkdir(), "", "usage")


def _with(name: str, value: Any, **more: Any) -> bytes:
    root = whole_h5()
    del root.attributes[name]
    root.messages = [attribute(name, value, **more)]
    return file_of(root)


_archives()
_weights()
_h5()
