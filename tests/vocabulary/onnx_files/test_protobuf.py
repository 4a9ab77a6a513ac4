"""Fields of protobuf messages: numbers, packed numbers, texts, and damage."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from onnx import TensorProto

from graphspec.vocabulary.onnx_files.model_file import Fields


@contextmanager
def fields(folder: Path, content: bytes, most: int = 100) -> Iterator[Fields]:
    path = folder / "a.bin"
    path.write_bytes(content)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield Fields(mapped, most)


def test_numbers_of_64_bits_with_signs(tmp_path: Path) -> None:
    numbers = [0, 1, 127, 128, 2**62, -1, -(2**63)]
    content = TensorProto(dims=numbers).SerializeToString()
    with fields(tmp_path, content) as read:
        assert [read.number(f) for f in read((0, len(content)))] == numbers


def test_packed_numbers(tmp_path: Path) -> None:
    with fields(tmp_path, b"\x0a\x03\x05\x80\x01") as read:
        (found,) = read((0, 5))
        assert list(read.numbers(found, 2)) == [5, 128]
        with pytest.raises(ValueError, match="more than 1 numbers"):
            list(read.numbers(found, 1))
        with pytest.raises(ValueError, match="bytes in place of a number"):
            read.number(found)


def test_a_text_is_cut_and_may_be_wrong(tmp_path: Path) -> None:
    with fields(tmp_path, b"\x0a\x04ab\xffc") as read:
        (found,) = read((0, 6))
        assert read.text(found, 100) == "ab\ufffdc"
        assert read.text(found, 2) == "ab"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x0a\x7f", "truncated"),
        (b"\x0a", "truncated"),
        (b"\x08" + b"\xff" * 20, "more than 64 bits"),
        (b"\x0b\x01", "wire type 3"),
        (b"\x08\x01" * 101, "more than 100 fields"),
    ],
)
def test_damage(content: bytes, words: str, tmp_path: Path) -> None:
    with fields(tmp_path, content) as read, pytest.raises(ValueError, match=words):
        list(read((0, len(content))))
