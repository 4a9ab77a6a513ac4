"""Pictures are decoded as they are, and everything else is refused by its header."""

from __future__ import annotations

import builtins
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphspec.base.arrays.pictures import Pictures
from graphspec.data import folders as pictures
from graphspec.data.folders import decode
from graphspec.data.source import DataError, Request
from graphspec.graph.ir.graph import Type

Image = pytest.importorskip("PIL.Image")
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)


def request(*shape: int | str, dtype: str = "uint8") -> Request:
    return Request("x", ["image"], False, Type(dtype, ("N", *shape)), True)


def decoded(folder: Path, names: list[str], wanted: Request) -> Any:
    return decode([folder / name for name in names], names, wanted).pixels


def problems(folder: Path, names: list[str], wanted: Request) -> list[tuple[str, str]]:
    with pytest.raises(DataError) as caught:
        decoded(folder, names, wanted)
    return [(str(error.code), error.problem.message) for error in caught.value.all]


def png(path: Path, width: int, height: int, bits: int = 8) -> None:
    """Write the header of a picture that claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("shape", [(4, 6, 3), ("h", "w", 3), ("h", 6, 3)])
def test_pixels_stay(tmp_path: Path, shape: tuple[int | str, ...]) -> None:
    names = ["a.png", "b.bmp", "c.tif", "d.webp"]
    for name in names:
        Image.fromarray(PIXELS).save(tmp_path / name, **({"lossless": True} if name == "d.webp" else {}))
    found = decoded(tmp_path, names, request(*shape))
    assert found.dtype == np.uint8
    assert (found == PIXELS).all()


def test_channels(tmp_path: Path) -> None:
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(PIXELS).save(tmp_path / "colour.png")
    Image.fromarray(np.dstack([PIXELS, PIXELS[..., :1]])).save(tmp_path / "alpha.png")
    Image.fromarray(PIXELS).quantize(8).save(tmp_path / "palette.png")
    names = ["grey.png", "colour.png", "alpha.png", "palette.png"]
    assert (decoded(tmp_path, names, request(4, 6, 3))[[1, 2]] == PIXELS).all()
    grey = decoded(tmp_path, names, request(4, 6, 1))
    assert grey.shape == (4, 4, 6, 1)
    assert (grey[0, ..., 0] == PIXELS[..., 0]).all()
    luma = PIXELS @ [0.299, 0.587, 0.114]
    assert np.abs(grey[1, ..., 0] - luma).max() <= 1
    assert decoded(tmp_path, names, request(4, 6, 4))[2, 0, 0].tolist() == [*PIXELS[0, 0], PIXELS[0, 0, 0]]


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    found = decoded(tmp_path, ["a.png"], request(6, 4, 3))
    assert (found[0] == np.rot90(PIXELS, -1)).all()
    [(_, message)] = problems(tmp_path, ["a.png"], request(4, 6, 3))
    assert message == "has pictures of other sizes than 4 x 6: 'a.png' (1 of 6 x 4)"


def test_every_bad_file_is_named(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.fromarray(PIXELS[:2]).save(tmp_path / "small.png")
    names = ["good.png", "cut.png", "text.jpg", "empty.png", "small.png", "none.png"]
    for wanted in (request(4, 6, 3), request("h", "w", 3)):
        found = problems(tmp_path, names, wanted)
        assert [code for code, _ in found] == ["GS503", "GS501", "GS501", "GS501", "GS501"]
        for name, (_, message) in zip(["small.png", *names[1:4], "none.png"], found, strict=True):
            assert f"'{name}'" in message
        assert found[2][1].endswith("cannot be decoded: it is no picture")
        assert "than 4 x 6: 'small.png' (1 of 4 x 6, 1 of 2 x 6)" in found[0][1]
    found = problems(tmp_path, ["text.jpg"] * 50, request(4, 6, 3))
    assert len(found) == 5
    assert found[-1][1] == "has 46 more files that cannot be used"
    assert problems(tmp_path, ["text.jpg"] * 5, request(4, 6, 3))[-1][1] == "has 1 more file that cannot be used"


def test_bombs_and_wide_pictures(tmp_path: Path) -> None:
    png(tmp_path / "bomb.png", 60_000, 60_000)
    png(tmp_path / "large.png", 9_000, 9_000)
    png(tmp_path / "wide.png", 6, 4, bits=16)
    frames = [Image.fromarray(PIXELS), Image.fromarray(PIXELS[::-1])]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    found = problems(tmp_path, ["bomb.png", "large.png"], request("h", "w", 1))
    assert found[0][0] in ("GS501", "GS503")
    assert found[1] == ("GS503", "has 'large.png' of 9000 x 9000 pixels, more than 67,108,864")
    found = problems(tmp_path, ["wide.png", "film.gif"], request(4, 6, 1))
    assert found[0] == ("GS504", "has 'wide.png' with more than 8 bits per channel, which would be cut off")
    assert found[1] == ("GS503", "has 'film.gif' with several pictures")


def test_no_program_is_started_for_postscript(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\nshowpage\n%%EOF\n")
    assert problems(tmp_path, ["a.png"], request(4, 6, 3))[0][1].endswith("it is no picture")


@pytest.mark.parametrize("shape", [(4, 6, 2), (4, 6, "c"), (4, 6)])
def test_inputs_that_take_no_pictures(tmp_path: Path, shape: tuple[int | str, ...]) -> None:
    assert problems(tmp_path, [], request(*shape))[0][0] == "GS503"


def test_pictures_that_do_not_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    monkeypatch.setattr("graphspec.data.source.free", lambda: 100)
    assert problems(tmp_path, ["a.png"] * 9, request(4, 6, 3))[0][0] == "GS602"


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("PIL"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError) as caught:
        decoded(tmp_path, ["a.png"], request(4, 6, 3))
    assert 'pip install "pillow>=' in (caught.value.problem.hint or "")
    assert pictures.MAX_SHOWN == 20


def sized(folder: Path, **sizes: tuple[int, int]) -> list[str]:
    """Write a picture of ones for each size (height, width); return the names."""
    for name, size in sizes.items():
        Image.fromarray(np.ones(size, np.uint8)).save(folder / f"{name}.png")
    return [f"{name}.png" for name in sizes]


def test_narrower_pictures_are_padded_on_the_right(tmp_path: Path) -> None:
    names = sized(tmp_path, a=(4, 2), b=(4, 5), c=(4, 1))
    found = decode([tmp_path / name for name in names], names, request(4, "w", 1))
    assert found.pixels.shape == (3, 4, 5, 1)
    assert found.pixels[:, 0, :, 0].tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]
    assert (found.axis, found.sizes.tolist()) == (2, [2, 5, 1])


def test_lower_pictures_are_padded_below(tmp_path: Path) -> None:
    names = sized(tmp_path, a=(2, 3), b=(4, 3))
    found = decode([tmp_path / name for name in names], names, request("h", 3, 1))
    assert found.pixels[..., 0, 0].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert (found.axis, found.sizes.tolist()) == (1, [2, 4])


def test_only_the_axis_that_varies_may_differ(tmp_path: Path) -> None:
    names = sized(tmp_path, a=(4, 2), b=(5, 9), c=(4, 3))
    [(code, message)] = problems(tmp_path, names, request(4, "w", 1))
    sizes = "(1 of 4 x 2, 1 of 5 x 9, 1 of 4 x 3)"
    assert (code, message) == ("GS503", f"has pictures of other sizes than 4 x any: 'b.png' {sizes}")
    [(code, message)] = problems(tmp_path, names, request("h", "w", 1))
    assert (code, message) == ("GS503", f"has pictures of other sizes than 4 x 2: 'b.png', 'c.png' {sizes}")


def test_the_size_that_most_have_is_expected(tmp_path: Path) -> None:
    names = sized(
        tmp_path, **{f"p{k}": (8, 8) if k % 9 == 0 else (4, 4) for k in range(36)}, q=(2, 2), r=(2, 3), s=(1, 1)
    )
    with pytest.raises(DataError) as caught:
        decoded(tmp_path, names, request("h", "w", 1))
    [error] = caught.value.all
    assert "than 4 x 4: 'p0.png', 'p9.png', 'p18.png', … (32 of 4 x 4, 4 of 8 x 8, " in str(error)
    assert str(error).endswith(" 1 of 2 x 2, 2 of 2 other sizes)")
    assert "`{type: Resizing, height: 4, width: 4}`" in (error.problem.hint or "")


def test_pictures_of_any_size_are_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sized(tmp_path, a=(4, 2), b=(1, 9), c=(4, 2))
    anything = replace(request("h", "w", 1), any_size=True)
    found = decoded(tmp_path, names, anything)
    assert isinstance(found, Pictures)
    assert [row.shape for row in np.asarray(found)] == [(4, 2, 1), (1, 9, 1), (4, 2, 1)]
    assert (found.data == 1).all()
    alike = decoded(tmp_path, ["a.png", "c.png"], anything)
    assert (type(alike), alike.shape) == (np.ndarray, (2, 4, 2, 1))
    [(code, message)] = problems(tmp_path, names, replace(request(4, "w", 1), any_size=True))
    assert (code, message.partition(" (")[0]) == ("GS503", "has pictures of other sizes than 4 x any: 'b.png'")
    (tmp_path / "d.png").write_text("no picture")
    assert [code for code, _ in problems(tmp_path, [*names, "d.png"], anything)] == ["GS501"]
    monkeypatch.setattr("graphspec.data.source.free", lambda: 20)
    assert [code for code, _ in problems(tmp_path, names, anything)] == ["GS602"]


def test_the_widest_picture_may_lie_on_its_side(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ones((7, 4), np.uint8)).save(tmp_path / "a.png", exif=exif)
    names = ["a.png", *sized(tmp_path, b=(4, 2))]
    assert decoded(tmp_path, names, request(4, "w", 1)).shape == (2, 4, 7, 1)


def test_padded_pictures_need_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.data.source.free", lambda: 8_000)
    names = sized(tmp_path, a=(4, 1000), b=(4, 1), c=(4, 1))
    assert [code for code, _ in problems(tmp_path, names, request(4, "w", 1))] == ["GS602"]
