"""How much memory training takes, estimated from the graph before anything is allocated, and how much there is."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from graphspec.errors import Diagnostic, ShapeError
from graphspec.ir.dims import Shape, show
from graphspec.ir.graph import Graph
from graphspec.language.declarations import Ref

if TYPE_CHECKING:
    from graphspec.compiler.lower import Lowered
    from graphspec.language.declarations import Spec

VIEWS = frozenset(
    ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Slice", "Split", "Shape", "Dropout")
)
_VARIED = 16  # elements assumed on an axis whose size only the data will tell


def estimate(graph: Graph, shapes: Mapping[str, Shape], slots: int = 1, *, training: bool = True) -> int:
    """Bytes of a training run: weights, gradients and optimizer slots, then every value and its gradient, float32.

    Args:
        shapes: the shape of every input of a batch.
        slots: state vectors of the optimizer.
    """
    weights = sum(p.size * 4 for p in graph.params.values())
    trained = sum(p.size * 4 for p in graph.params.values() if p.trainable)
    return weights + (trained * (1 + slots) if training else 0) + activations(graph, shapes) * (2 if training else 1)


def assumed_shapes(graph: Graph, batch_size: int) -> dict[str, Shape]:
    """Input shapes before data are seen: an axis that varies counts as 16 steps, a lower bound."""
    return {
        n: tuple(d if isinstance(d, int) else batch_size if d == "N" else _VARIED for d in v.shape)
        for n, v in graph.inputs.items()
    }


def activations(graph: Graph, shapes: Mapping[str, Shape]) -> int:
    """Bytes of all values of a batch, views not counted."""
    from graphspec.graph.pipelines import FOR_PRODUCTS, prepare
    from graphspec.graph.shapes import concrete
    from graphspec.graph.target import Target

    graph = prepare(graph, FOR_PRODUCTS, Target(shapes))
    nodes = graph.needed(graph.outputs.values())
    try:
        types = concrete(graph, nodes, shapes)
    except ShapeError:  # a window longer than the 16 steps assumed: the data will tell
        return 0
    total = sum(_bytes(shapes[n], v.dtype) for n, v in graph.inputs.items())
    for node in nodes:
        if node.op not in VIEWS:
            total += sum(_bytes(types[v.name].shape, v.dtype) for v in node.outputs)
        if node.op == "Attention":  # the scores, which it keeps to itself
            Q, K = (types[v.name].shape for v in node.inputs[:2] if v is not None)
            total += _bytes((Q[0], node.attrs["q_num_heads"] or Q[1], Q[-2], K[-2]), "float32")
    return total


def _bytes(shape: tuple[int | str, ...], dtype: str) -> int:
    return math.prod(int(d) for d in shape) * np.dtype(dtype).itemsize


def available() -> int:
    """Bytes that this process may ever use: the machine's memory, or the limit of its container if that is less.

    The measure of what a spec needs: the same answer whatever else is running.
    """
    return min([_physical(), *(limit for limit, _ in _container_limits(Path("/")))])


def free() -> int:
    """Bytes that may be taken now without swapping: the measure of what is about to be allocated.

    Where the system does not tell, the whole of its memory.
    """
    return max(min([_unused(Path("/")), *(limit - used for limit, used in _container_limits(Path("/")))]), 0)


def _container_limits(root: Path) -> list[tuple[int, int]]:
    """The memory limits of this process's control group and of those above it, and what is in use of each.

    cgroup v2 and v1; none elsewhere. Pages of files that can be dropped are not in use.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    limits = []
    for line in groups:
        controllers, path = line.split(":", 2)[1:]
        if controllers in ("", "memory"):
            mount = root / ("sys/fs/cgroup/memory" if controllers else "sys/fs/cgroup")
            limit, usage, cache = _V1 if controllers else _V2
            group = Path(path.lstrip("/"))
            for folder in {mount / part for part in (group, *group.parents)}:
                most = _number(folder / limit)
                if most is not None:
                    used = (_number(folder / usage) or 0) - _field(folder / "memory.stat", cache)
                    limits.append((most, max(used, 0)))
    return limits


_V1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
_V2 = "memory.max", "memory.current", "inactive_file"


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max" where there is no limit


def _field(file: Path, name: str) -> int:
    """The first number behind a name in a table of the kernel; 0 where there is none."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    found = (line.split() for line in lines)
    return next((int(words[1]) for words in found if len(words) > 1 and words[0].rstrip(":") == name), 0)


def _unused(root: Path) -> int:
    """What the machine has left, its caches included."""
    if sys.platform == "win32":
        return _windows().unused
    return _field(root / "proc/meminfo", "MemAvailable") * 1024 or _physical()


def _physical() -> int:
    if sys.platform == "win32":
        return _windows().total
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 1 << 62  # unknown: nothing is refused


class _Memory(NamedTuple):
    total: int
    unused: int


def _windows() -> _Memory:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong),
            ("unused", ctypes.c_ulonglong),
            ("rest", ctypes.c_ulonglong * 5),
        )

    status = Status()
    status.length = ctypes.sizeof(Status)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return _Memory(status.total, status.unused)


def human(nbytes: int) -> str:
    """``1.5 GiB``."""
    size = float(min(nbytes, 1 << 100))
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"


def check_memory(spec: Spec, lowered: Lowered) -> list[Diagnostic]:
    """GS602 as a warning where training cannot fit; ``train`` makes it a refusal."""
    graph = lowered.graph
    shapes = assumed_shapes(graph, spec.training.batch_size)
    need = estimate(graph, shapes, len(spec.training.optimizer.slots()))
    have = available()
    if need <= have:
        return []
    text = f"training needs about {human(need)} of memory, there is {human(have)}"
    values = activations(graph, shapes) * 2
    batch = f"a smaller `batch_size` (now {spec.training.batch_size})"
    if need - values > values:
        weight = max(graph.params.values(), key=lambda p: p.size)
        owner = _owner(weight.name, lowered)
        hint = f"its weight '{weight.name}' {show(weight.shape)} alone takes {human(weight.size * 4)}: make it smaller"
    else:
        owner = _largest(graph, shapes)
        hint = f"use {batch}, or make the output of '{owner}' smaller" if owner else f"use {batch} or smaller layers"
    decl = lowered.declared.get(owner)
    mark, path = (spec.tree.first_key, "") if decl is None else (decl.mark, decl.tree.path)
    nodes = () if decl is None else (lowered.node_ref(Ref(owner, 0, decl.mark)),)
    return [Diagnostic.at(mark, "GS602", text, path=path, hint=hint, nodes=nodes).as_warning()]


def _owner(weight: str, lowered: Lowered) -> str:
    """The node that a weight belongs to: its name may have slashes, and so may the weight's role."""
    while weight not in lowered.declared and "/" in weight:
        weight = weight.rpartition("/")[0]
    return weight


def _largest(graph: Graph, shapes: Mapping[str, Shape]) -> str:
    """The node whose values take most memory."""
    from graphspec.graph.shapes import concrete

    nodes = graph.needed(graph.outputs.values())
    types = concrete(graph, nodes, shapes)
    sizes = {n: sum(_bytes(types[v.name].shape, v.dtype) for v in n.outputs) for n in nodes if n.op not in VIEWS}
    return max(sizes, key=sizes.__getitem__).owner if sizes else ""
