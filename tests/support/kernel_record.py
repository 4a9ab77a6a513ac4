"""Which tests do the same without any fast kernel: `.ci/run` does not run these a second time.

A run whose kernels are not forced writes them to the folder that ``RECORD_OF_KERNELS`` names; a run of the same tests
with ``GRAPHSPEC_KERNELS=reference`` and ``--workers 2`` leaves them out. A test does the same if it passes and, until its
end, no choice of a fast kernel was one that pays (the reference kernels are what is used otherwise), nothing trained, which
the other run does in two processes, and no process was started, whose choices are not seen. If something was chosen
for a fixture, which other tests may share, all tests of the file are run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

FOLDER = os.environ.get("RECORD_OF_KERNELS")
STARTS = ("subprocess.Popen", "os.fork", "os.posix_spawn")
"""What Python audits when it starts a process."""


class KernelRecord:
    """A plugin that notes what the tests of one process ask."""

    def __init__(self) -> None:
        self.asked = False  # by the phase of a test that runs now
        self.same: dict[str, list[str]] = {}  # by file, the ids of its tests
        self.shared: set[str] = set()  # files with a fixture for which something was asked

    def watch(self) -> None:
        """Note, from now on to the end of this process, what is asked of the package and which processes start."""
        from graphspec.engine.training import trainer
        from graphspec.graph.kernels import compiled

        for function in (compiled.use_fast_kernel, compiled.mode, trainer.choose_workers):
            watched = self.noting(function)
            for module in list(sys.modules.values()):  # each that has imported it
                if getattr(module, "__dict__", {}).get(function.__name__) is function:
                    setattr(module, function.__name__, watched)
        sys.addaudithook(lambda event, _: self.note() if event in STARTS else None)

    def note(self) -> None:
        self.asked = True

    def noting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which notes that it was asked, unless for a fast kernel that does not pay."""

        @wraps(function)
        def watched(*args: Any, **options: Any) -> Any:
            self.asked |= args != (False,)
            return function(*args, **options)

        return watched

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        self.asked = False
        try:
            yield
        finally:
            if self.asked:
                self.shared.add(str(item.path))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        self.asked = False
        yield  # raises for a test that fails or is skipped
        if not self.asked:
            self.same.setdefault(str(item.path), []).append(item.nodeid)

    def write(self, folder: Path, process: str) -> None:
        """Write two files of this process: the tests, and those of the files that share something."""
        folder.mkdir(parents=True, exist_ok=True)
        names = [name for names in self.same.values() for name in names]
        (folder / f"same-{process}").write_text("\n".join(names), encoding="utf-8")
        (folder / f"shared-{process}").write_text("\n".join(self.shared), encoding="utf-8")


def same_tests(folder: Path, items: list[pytest.Item]) -> list[pytest.Item]:
    """Those of the tests that a run recorded to do the same; none if there is no record."""

    def lines(kind: str) -> set[str]:
        return {line for path in folder.glob(f"{kind}-*") for line in path.read_text(encoding="utf-8").splitlines()}

    same, shared = lines("same"), lines("shared")
    return [item for item in items if item.nodeid in same and str(item.path) not in shared]
