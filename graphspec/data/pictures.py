"""How the pictures of a folder become a spec: what they look like, and a network of a fitting size, or behind a backbone."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.errors import ProblemError, UsageError
from graphspec.data.fill import Change, Changes, changed, line, section
from graphspec.data.folders import Folder, decoded
from graphspec.data.source import DataError
from graphspec.language.write import literal
from graphspec.vocabulary.onnx_files.reading import OnnxFile

_LOOKED_AT = 1000  # pictures
_THUMBNAIL = 12  # pixels of a side, by which pictures are compared
_MOST = 64  # pixels of a side: a network of seconds or minutes sees no more
_LARGE = 40  # pixels from which the first convolution takes every second one
_MIRRORED = 0.6  # of the pictures that are known by their neighbour; letters: 0.3, garments: 0.75
_VISITS = 1_000_000  # rows times epochs
_IMAGENET = {"mean": [123.675, 116.28, 103.53], "variance": [3409.98, 3262.69, 3291.89]}  # of torchvision's and timm's


def changes(spec: Path, backbone: Path | None) -> Change:
    """Return what fits the template of pictures to a folder: a network of its own, or one behind the file ``backbone``."""
    if backbone is not None:
        return lambda text, files, sizes: behind(text, spec, backbone)
    return lambda text, files, sizes: fitted(text, look(files, sizes), len(files.paths)) if sizes else text


@dataclass(frozen=True)
class Look:
    """What the pictures of a folder look like."""

    channels: int  # 1 if all are grey
    height: int  # of the median picture, both
    width: int
    flips: bool  # whether a mirrored picture resembles those of its class
    note: str  # how this was seen


def look(files: Folder, sizes: Counter[tuple[int, int]]) -> Look:
    """Look at some pictures of a labelled folder; those that cannot be read do not count.

    Half of them are compared with the others as thumbnails, as they are and mirrored: how often is the nearest one of
    the same class? Where mirrored ones seldom are, such as letters, a flip makes no new picture of a class.
    """
    from PIL import Image

    labels, grey = files.column("label"), True
    small, classes = list[Array](), list[Any]()
    for k in range(0, len(files.paths), -(-len(files.paths) // _LOOKED_AT)):
        with suppress(DataError):
            pixels = decoded(files.folder / files.paths[k], files.paths[k].as_posix(), 3)
            grey = grey and bool((pixels == pixels[..., :1]).all())
            thumbnail = Image.fromarray(pixels).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
            small.append(np.asarray(thumbnail, np.float32))
            classes.append(labels[k])
    high, wide = (int(np.median(np.repeat([s[k] for s in sizes], list(sizes.values())))) for k in (0, 1))
    pictures, named = np.array(small, np.float32).reshape(-1, _THUMBNAIL, _THUMBNAIL, 3), np.array(classes, object)
    thumbnails, mirrored = (each.reshape(-1, 3 * _THUMBNAIL**2) for each in (pictures, pictures[1::2, :, ::-1]))
    known, also = (_known(thumbnails[::2], named[::2], asked, named[1::2]) for asked in (thumbnails[1::2], mirrored))
    note = f"{100 * also:.0f} % look like their class mirrored, {100 * known:.0f} % as they are"
    return Look(1 if grey else 3, high, wide, also >= _MIRRORED * known > 0, note)


def _known(pictures: Array, labels: Array, asked: Array, truth: Array) -> float:
    """Return the part of the pictures ``asked`` (n, pixels) whose nearest one is of their class."""
    distances = (pictures**2).sum(1) - 2 * asked @ pictures.T
    return float((labels[distances.argmin(1)] == truth).mean()) if len(asked) else 0.0


def fitted(template: str, found: Look, rows: int, largest_batch: int = 128) -> str:
    """Return the template of pictures with the sizes that fit ``rows`` pictures of this look."""
    scale = min(1.0, _MOST / max(found.height, found.width))
    high, wide = (max(round(n * scale), 1) for n in (found.height, found.width))
    large = max(high, wide) > _LARGE
    side, stages = min(high, wide) // (2 if large else 1), 0
    while side >= 4 and stages < 3:
        side, stages = side // 2, stages + 1
    few = rows < 500
    batch = min(16 if few else 32 if rows < 2000 else 64 if rows < 10_000 else 128, largest_batch)
    held_out = 0.25 if few else 0.1 if rows < 20_000 else 0.05
    epochs = min(max(round(_VISITS / rows), 12), 60 if few else 40)
    steps = -(-int(rows * (1 - held_out)) // batch) * epochs
    rate = {"type": "OneCycle", "max_learning_rate": 0.005, "total_steps": steps}
    training = [
        f"  optimizer: {literal({'type': 'Adam', 'learning_rate': rate})}",
        f"  epochs: {epochs:<26}# the rate rises, then falls to 0 in their steps",
        f"  batch_size: {batch}",
        "  seed: 1",
        *(["  workers: auto                     # all cores"] if rows >= 2000 else []),
    ]
    flipped = f"  - {{name: flipped, type: RandomFlip, mode: horizontal}}    # {found.note}\n"
    fitting: Changes = {
        "null, 3]": f"null, {found.channels}]",
        ", colours:": ", grey:" if found.channels == 1 else ", colours:",
        line("  - {name: resized"): f"  - {{name: resized, type: Resizing, height: {high}, width: {wide}}}\n",
        line("  - {name: flipped"): flipped if found.flips else "",
        "type: Whitening,": f"type: Whitening,{' strides: 2,' if large else ''}",
        section("  optimizer: "): "\n".join(training) + "\n\n",
        "split: 0.1": f"split: {held_out}",
    }
    if not found.flips:
        fitting[line("  - {name: both")] = ""
    fitting |= {line(f"  - {{name: stage_{k}"): "" for k in range(stages + 1, 4)}
    return changed(template, fitting if stages else fitting | {section("blocks:"): ""})


def behind(template: str, spec: Path, backbone: Path) -> str:
    """Return the template of pictures with a frozen ONNX file in place of its convolutions.

    ``spec``: the spec's path: the file is in its folder or below it; ``backbone``: a file that reads pictures: float32
    (N, 3, height, width), or channels last.

    Raises UsageError: the file cannot be read, or reads no pictures.
    """
    from graphspec.vocabulary.onnx_files.reading import read_onnx

    try:
        folder = spec.parent.resolve()
        name = backbone.resolve().relative_to(folder).as_posix() if backbone.resolve().is_relative_to(folder) else None
        if name is None:
            raise UsageError(f"{backbone} is not beside the spec or below its folder: copy it there")
        file = read_onnx(folder, name)
    except ProblemError as error:
        raise UsageError(f"{backbone} {error.problem.message}") from None
    shape = file.inputs[0].shape if len(file.inputs) == 1 else None
    first = shape is not None and len(shape) == 4 and shape[1] in (1, 3)
    if shape is None or len(shape) != 4 or file.inputs[0].dtype != "float32" or shape[1 if first else 3] not in (1, 3):
        given = ", ".join(map(str, file.inputs))
        raise UsageError(f"{backbone} reads no pictures: float32 (N, 3, height, width), but {given}")
    channels = int(shape[1 if first else 3] or 3)
    high, wide = (n if isinstance(n, int) else 224 for n in (shape[2:] if first else shape[1:3]))
    layers = [
        f"  - {{name: resized, type: Resizing, height: {high}, width: {wide}}}",
        f"  - {literal({'name': 'scaled', 'type': 'Normalization', **_IMAGENET})}" if channels == 3
        else "  - {name: scaled, type: Rescaling, scale: 0.00392156862745098}",
        *(["  - {name: turned, type: Permute, dims: [3, 1, 2]}"] if first else []),
        f"  - {literal({'name': 'features', 'type': 'Onnx', 'file': name, **_features(file)})}",
        "  - {name: flat, type: Flatten}",
    ]  # fmt: skip
    layers[1:1] = ["  # below: as most networks of photos were trained; see the page of yours"]
    layers[-2:-2] = ["  # a network that is trained already, frozen: computed once for each picture"]
    own = re.compile(r"(?ms)^  - \{name: resized.*?(?=^  - \{name: kind)")
    changes: Changes = {own: "\n".join(layers) + "\n", "null, 3]": f"null, {channels}]"}
    return changed(template, changes | {section("blocks:"): ""})


def _features(file: OnnxFile) -> dict[str, str]:
    """Return what the last product of a classifier reads, as ``output`` of the layer; nothing without such a product."""
    makers = {value: node for node in file.model.graph.node for value in node.output}
    node = makers.get(file.outputs[0].name)
    while node is not None and node.op_type in ("Add", "Cast", "Identity", "LogSoftmax", "Softmax"):
        node = makers.get(node.input[0])
    return {"output": node.input[0]} if node is not None and node.op_type in ("Gemm", "MatMul") else {}
