"""What a run leaves out because another one showed it: `support/kernel_record.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kernel_record import KernelRecord, same_tests


def run(record: KernelRecord, item: Any, test: Callable[[], object], fixture: Callable[[], object] = int) -> None:
    """Run a test as pytest does."""
    for hook, phase in ((record.pytest_runtest_setup, fixture), (record.pytest_runtest_call, test)):
        steps = hook(item)
        next(steps)
        try:
            phase()
        except BaseException as error:
            with suppress(type(error)):
                steps.throw(error)
            return
        with suppress(StopIteration):
            next(steps)


def test_tests_that_chose_no_fast_kernel_are_left_out(tmp_path: Path) -> None:
    record = KernelRecord()
    pays, other = record.noting(lambda pays: pays), record.noting(lambda: "mode")
    assert [pays(True), pays(False), other()] == [True, False, "mode"]
    tests: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "a::nothing": (int, int),
        "a::slower": (lambda: pays(False), int),
        "a::faster": (lambda: pays(True), int),
        "a::mode": (other, int),
        "a::process": (record.note, int),
        "a::fails": (lambda: 1 / 0, int),
        "a::skipped": (lambda: pytest.skip("no"), int),
        "b::fixture": (int, lambda: pays(True)),
        "b::shares_it": (int, int),
    }
    items: list[Any] = [SimpleNamespace(nodeid=name, path=Path(name[0])) for name in [*tests, "a::new"]]
    assert same_tests(tmp_path / "none", items) == []
    for item in items[:-1]:
        run(record, item, *tests[item.nodeid])
    record.write(tmp_path, "gw0")
    KernelRecord().write(tmp_path, "gw1")
    assert [item.nodeid for item in same_tests(tmp_path, items)] == ["a::nothing", "a::slower"]


def test_the_package_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphspec.engine.training import trainer
    from graphspec.graph.kernels import compiled, softmax

    monkeypatch.setattr(sys, "addaudithook", lambda hook: hooks.append(hook))
    hooks: list[Callable[[str, object], None]] = []
    for module, name in ((compiled, "use_fast_kernel"), (compiled, "mode"), (trainer, "choose_workers")):
        for holder in [
            m for m in list(sys.modules.values()) if getattr(m, "__dict__", {}).get(name) is getattr(module, name)
        ]:
            monkeypatch.setattr(holder, name, getattr(module, name))  # as it was, afterwards
    record = KernelRecord()
    record.watch()
    for act in (lambda: softmax.use_fast_kernel(True), compiled.mode, lambda: hooks[0]("subprocess.Popen", ())):
        record.asked = False
        act()
        assert record.asked
    record.asked = False
    softmax.use_fast_kernel(False)
    hooks[0]("open", ())
    assert not record.asked
