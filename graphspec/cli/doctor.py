"""``graphspec doctor``: whether this installation works here, and what a report of a problem should say."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from graphspec.base.arrays.cores import cpu_quota, threads_set, usable_cores
from graphspec.base.config import load_plugins
from graphspec.base.errors import UsageError
from graphspec.base.libraries import DISTRIBUTION, missing_library, other_distribution
from graphspec.base.text import paragraph, printable, terminal_width
from graphspec.base.version import __version__
from graphspec.cli.console import out, write_json
from graphspec.cli.options import flag

_LITTLE = 1 << 29  # bytes of free memory below which small networks fail, too


class Finding(NamedTuple):
    """The answer to one question; ``hint`` is what to do."""

    level: Literal["ok", "note", "problem"]
    topic: str
    text: str
    hint: str | None = None


def doctor(json: Annotated[bool, flag("--json", "Print everything as JSON.")] = False) -> int:
    """Check this installation: libraries, cores, memory, rights to write, and a small network in onnxruntime.

    Paste what it prints into a report of a problem. The status is 1 if something must be mended.
    """
    found = list(findings())
    if json:
        write_json({"format": 1, "findings": [finding._asdict() for finding in found]})
    else:
        for level, topic, text, hint in found:
            out(*paragraph(_short(text), terminal_width(sys.stdout), 9, f"{level:<8} {topic}: "))
            if hint is not None:
                out(*paragraph(hint, terminal_width(sys.stdout), 9, f"{'':8} = help: "))
    return int(any(finding.level == "problem" for finding in found))


def findings() -> Iterator[Finding]:
    """Ask everything, the cheapest first."""
    where = Path(__file__).parents[1]
    yield Finding("ok", "graphspec", f"{__version__} in {where}")
    yield Finding(
        "ok", "python", f"{platform.python_version()} on {platform.platform(terse=True)} {platform.machine()}"
    )
    if (other := other_distribution()) is not None:
        yield Finding("problem", "distribution", other)
    yield from _libraries()
    for text in load_plugins():
        yield Finding("problem", "plugins", text, "correct or uninstall it")
    yield from _machine()
    for topic, folder in (("this folder", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        yield _writes(topic, folder)
    yield _computes()


def _libraries() -> Iterator[Finding]:
    """Yield a finding about the libraries that are needed, and one about those of the extras."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in requires(DISTRIBUTION) or ()]
    except PackageNotFoundError:
        text = "there are no metadata of graphspec, so versions of libraries cannot be compared"
        yield Finding("note", "libraries", text, "install it: `pip install .` in its source")
        return
    there, extras, missing = list[str](), list[str](), list[str]()
    for needed in wanted:
        extra = f"{needed.marker}".rpartition("extra == ")[2].strip('"') if needed.marker else ""
        if extra in ("all", "bench", "docs", "test") or (
            needed.marker and not needed.marker.evaluate({"extra": extra})
        ):
            continue
        try:
            current = version(needed.name)
        except PackageNotFoundError:
            if extra:
                missing.append(f"{extra} ({needed.name})")
            else:
                yield Finding("problem", needed.name, "is not installed", missing_library(needed.name))
            continue
        (extras if extra else there).append(f"{needed.name} {current}")
        if not needed.specifier.contains(current, prereleases=True):
            text = f"{current} is here, and graphspec needs {needed.specifier}"
            yield Finding("problem", needed.name, text, missing_library(needed.name))
    yield Finding("ok", "libraries", ", ".join(there))
    text = f"{', '.join(extras) or 'none'}" + (f"; not installed: {', '.join(missing)}" if missing else "")
    yield Finding("ok", "extras", text)


def _machine() -> Iterator[Finding]:
    """Yield what the machine gives this process: cores, threads of BLAS, kernels and memory."""
    from graphspec.base.arrays import blas, memory

    quota, cores, threads = cpu_quota(), os.cpu_count() or 1, threads_set()
    limit = "no quota" if quota is None else f"a quota of {quota:g}"
    yield Finding("ok", "cores", f"{usable_cores()} of {cores} may be used, with {limit}")
    library = "not OpenBLAS" if (found := blas.openblas()) is None else f"OpenBLAS for {found.core}"
    several = (threads or 1) > 1
    hint = "leave OPENBLAS_NUM_THREADS and the like unset: a thread for each process is faster" if several else None
    yield Finding("note" if several else "ok", "BLAS", f"{library}, {threads or 1} thread{'s' * several}", hint)
    try:
        from graphspec.graph.kernels import compiled
    except UsageError as error:  # the variable that chooses kernels is wrong: nothing can be computed
        yield Finding("problem", "kernels", str(error))
    else:
        version = compiled.version()
        yield Finding("ok", "kernels", "NumPy's alone" if version is None else f"compiled, {version}")
    free, size = memory.free(), memory.available()
    hint = "end other programs, or allow this process more memory" if free < _LITTLE else None
    yield Finding("problem" if hint else "ok", "memory", f"{memory.human(free)} of {memory.human(size)} are free", hint)


def _writes(topic: str, folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(1 << 16))
    except OSError as error:
        return Finding("problem", topic, f"{folder} cannot be written to: {error.strerror}", "choose another folder")
    return Finding("ok", topic, f"{folder} can be written to")


def _computes() -> Finding:
    """Train a network for a step, and export it, which compares onnxruntime's answers with the runtime's."""
    import numpy as np

    layers = [{"type": "Dense", "units": 4, "activation": "relu"}, {"name": "y", "type": "Dense", "units": 1}]
    spec = {"graphspec": 1, "name": "doctor", "inputs": {"x": {"shape": [3]}}, "layers": layers}
    try:
        from graphspec.api.model import compile as compiled

        with tempfile.TemporaryDirectory() as folder:
            model = compiled(spec | {"outputs": {"y": {"loss": "mean_squared_error"}}})
            model.fit(np.ones((8, 3), np.float32), np.ones((8, 1), np.float32), epochs=1, verbose=0)
            model.export(Path(folder) / "doctor.onnx")
    except Exception as error:  # whatever is wrong here is the answer
        hint = "run it again with GRAPHSPEC_DEBUG=1 and `graphspec init`, `train`, and report what they print"
        return Finding("problem", "onnxruntime", f"a small network fails: {type(error).__name__}: {error}", hint)
    return Finding("ok", "onnxruntime", "a small network is trained, exported, and computed with the same numbers")


def _short(text: str) -> str:
    """Return a text for others to read: the home folder is ``~``, and no character steers a terminal."""
    home = str(Path.home())
    return printable(text if len(home) < 2 else re.sub(rf"(?<![^\s'\"(]){re.escape(home)}(?![^/\\\s'\")])", "~", text))
