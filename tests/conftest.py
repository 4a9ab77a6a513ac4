"""Fixtures of all tests, and what is printed after a run."""

from __future__ import annotations

import gc
import os
import pickle
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import kernel_record
import pytest
import warm_workers
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.entropy import deterministic_PRNG
from paths import TESTS

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # read when NumPy is imported, which is later: as graphspec itself does
# Hundreds of tests start commands: each would compile the package anew where a container forbids bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ.pop("COLUMNS", None)  # set by whoever starts the tests: output to a pipe is not wrapped without it

if (
    signal.getsignal(signal.SIGINT) == signal.SIG_IGN
):  # started by `… &`: commands that tests start would ignore Ctrl-C too
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Every run draws the same examples, and none fails because the machine is busy.
settings.register_profile("tests", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
if hasattr(providers, "_get_local_constants"):
    # It parses each module that was imported and draws its numbers: seconds, and the examples of a test would depend on
    # which tests ran before it in the same process.
    providers._get_local_constants = lambda: providers._local_constants

node_counts: Counter[str] = Counter()
"""How many of ONNX's node tests passed, and how many were excluded, by reason."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--workers", type=int, default=1, help="processes that train where a spec does not say (1)")


def pytest_configure(config: pytest.Config) -> None:
    """The processes of a run send what is counted or printed: three of six messages for each of twenty thousand tests."""
    if kernel_record.FOLDER is not None and not os.environ.get("GRAPHSPEC_KERNELS"):
        record = kernel_record.KernelRecord()
        record.watch()
        config.pluginmanager.register(record)
        process = os.environ.get("PYTEST_XDIST_WORKER", "main")
        config.add_cleanup(lambda: record.write(Path(kernel_record.FOLDER), process))
    options = config.option
    if options.verbose >= 0 or options.durations is not None or options.xmlpath is not None:  # need the others, too
        return
    for plugin in config.pluginmanager.get_plugins():
        if type(plugin).__name__ == "WorkerInteractor":
            plugin.sendevent = partial(send_what_counts, plugin.sendevent)


def send_what_counts(send: Callable[..., None], name: str, **told: Any) -> None:
    """Send a message of pytest-xdist unless it says that a test starts, or that nothing happened before or after it."""
    report = told.get("data") if name == "testreport" else None
    if name != "logstart" and (report is None or report["when"] == "call" or report["outcome"] != "passed"):
        send(name, **told)


@pytest.fixture(scope="session", autouse=True)
def workers(request: pytest.FixtureRequest) -> Iterator[None]:
    """``--workers N``: what trains in one process by default trains in N."""
    count: int = request.config.getoption("--workers")
    with pytest.MonkeyPatch.context() as patch:
        if count > 1:
            from graphspec.engine.compiler.training_checks import mixing
            from graphspec.engine.training import trainer as train

            def choose_workers(steps: Any, asked: Any, *rest: Any, exactly: bool) -> Any:
                tree = steps.common.network.spec.training.tree
                said = exactly or (tree is not None and "workers" in tree.value)
                said = said or mixing(steps.model.spec, steps.model.full) is not None  # one process has to do
                return choose(steps, asked if said else count, *rest, exactly=exactly)

            choose = train.choose_workers
            patch.setattr(train, "choose_workers", choose_workers)
        yield


@pytest.fixture(scope="session", autouse=True)
def warm() -> Iterator[None]:
    """Worker processes are forks of one that has imported what they need; but where :func:`new_processes` is asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", warm_workers.Popen)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_disks() -> Iterator[None]:
    """No test ends with the machine's power: where files are synchronized, `trust/test_writing.py` shows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def new_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of how workers start: by themselves."""
    monkeypatch.setattr(subprocess, "Popen", warm_workers.REAL)


@pytest.fixture
def kernels_that_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of which kernels are chosen: neither forces any (``GRAPHSPEC_KERNELS``)."""
    from graphspec.graph.kernels import compiled as choice

    monkeypatch.setattr(choice, "FAST", None)
    monkeypatch.delenv(choice.KERNELS, raising=False)


@pytest.fixture
def calls_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that look at the calls of a program: no compiled kernels take their place."""
    from graphspec.graph.kernels import compiled

    monkeypatch.setattr(compiled, "LIBRARY", None)


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of two processes on a machine with one core."""
    from graphspec.engine.training import choose_workers

    monkeypatch.setattr(choose_workers, "usable_cores", lambda: 2)
    monkeypatch.setattr(choose_workers, "MEASURED", {})


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a run share, for what takes seconds to make: with a `FileLock`."""
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    shared.mkdir(exist_ok=True)
    return shared


@pytest.fixture(scope="session")
def node_cases(pytestconfig: pytest.Config) -> Mapping[str, list[Any]]:
    """ONNX's node tests of one operator each, by operator: made once, in some seconds, and kept in pytest's cache."""
    import onnx
    from filelock import FileLock
    from oracles import load_node_cases

    from graphspec.base.files import write_atomic

    kept = pytestconfig.cache.mkdir("onnx") / f"node_cases_by_operator-{onnx.__version__}.pickle"
    with FileLock(f"{kept}.lock"):  # the other process of this run waits for them
        if not kept.exists():
            write_atomic(kept, pickle.dumps({op: pickle.dumps(cases) for op, cases in load_node_cases().items()}))
    return Unpickled(pickle.loads(kept.read_bytes()))


class Unpickled(Mapping[str, Any]):
    """A mapping whose values are unpickled when they are asked for: each process of the tests asks for some."""

    def __init__(self, texts: dict[str, bytes]) -> None:
        self.texts = texts

    def __getitem__(self, key: str) -> Any:
        return pickle.loads(self.texts[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)


def pytest_sessionstart() -> None:
    with deterministic_PRNG():  # it makes a generator; on Python 3.14 it warns if what holds it is frozen, as below
        pass
    gc.disable()  # collecting tests makes a million objects that stay, and little that could be freed


def pytest_collection_finish() -> None:
    gc.freeze()  # else each `gc.collect()` of a test would look at all of them
    gc.enable()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect what tests of operators say of ONNX's node tests, in whichever process they run."""
    if report.when == "call":
        for name, counts in report.user_properties:
            if name == "node tests":
                node_counts.update(counts)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not node_counts:
        return
    excluded = {reason: n for reason, n in node_counts.items() if reason != "passed"}
    terminalreporter.write_line(f"ONNX node tests: {node_counts['passed']} passed, {sum(excluded.values())} excluded")
    for reason, n in sorted(excluded.items(), key=lambda item: -item[1]):
        terminalreporter.write_line(f"  {n:4} {reason}")


NUMERICS = tuple(
    TESTS / name for name in ("engine/runtime", "graph", "models", "vocabulary/layers", "vocabulary/losses")
)
"""Folders whose results depend on the kernels: CI runs them with other kernels, too, and by two processes."""
ALL_SLOW = re.compile(r"^pytestmark = \[?pytest\.mark\.slow\b", re.M)


def in_numerics(path: Path) -> bool:
    return any(folder == path or folder in path.parents for folder in NUMERICS)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Each process imports only files with tests of ``-m slow``, ``-m "not slow"`` and ``-m "numerics and …"``."""
    chosen: str = config.option.markexpr
    if not collection_path.is_relative_to(TESTS):
        return None
    if chosen.startswith("numerics") and not in_numerics(collection_path):
        return None if any(collection_path in folder.parents for folder in NUMERICS) else True
    if collection_path.suffix == ".py" and chosen.endswith("slow"):
        text = collection_path.read_text(encoding="utf-8")
        return (True if ALL_SLOW.search(text) else None) if "not" in chosen else None if "mark.slow" in text else True
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for path, of_file in groupby(items, lambda item: item.path):
        if in_numerics(path):
            for item in of_file:
                item.add_marker("numerics")
    if kernel_record.FOLDER is not None and os.environ.get("GRAPHSPEC_KERNELS") == "reference":
        again = kernel_record.same_tests(Path(kernel_record.FOLDER), items)
        config.hook.pytest_deselected(items=again)
        left_out = {*again}
        items[:] = [item for item in items if item not in left_out]
