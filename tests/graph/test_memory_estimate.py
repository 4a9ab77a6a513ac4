"""Memory: container limits are respected, and estimates follow the graph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.arrays.memory import _container_limits, _unused, available, free, human, peak
from graphspec.graph.analysis import activations, assumed_shapes, estimate
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value
from specs import dense_spec


def cgroup(root: Path, line: str, files: dict[str, str]) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(line)
    for name, text in files.items():
        (root / "sys/fs/cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "sys/fs/cgroup" / name).write_text(text)


@pytest.mark.parametrize(
    ("line", "files", "limits"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "1000\n"}, [(1000, 0)]),
        (
            "0::/\n",
            {"memory.max": "2000\n", "memory.current": "1500\n", "memory.stat": "anon 1200\ninactive_file 250\n"},
            [(2000, 1250)],
        ),
        ("5:memory:/docker/x\n0::/\n", {"memory/docker/x/memory.limit_in_bytes": "3000\n"}, [(3000, 0)]),
        (
            "5:memory:/gone\n",
            {"memory/memory.limit_in_bytes": "4000\n", "memory/memory.usage_in_bytes": "90\n"},
            [(4000, 90)],
        ),
        ("3:cpu:/a\n", {"a/memory.max": "5\n"}, []),
    ],
)
def test_limits_of_containers(tmp_path: Path, line: str, files: dict[str, str], limits: list[tuple[int, int]]) -> None:
    cgroup(tmp_path, line, files)
    assert _container_limits(tmp_path) == limits


def test_no_control_groups(tmp_path: Path) -> None:
    assert _container_limits(tmp_path) == []
    assert available() > 1 << 20


def test_used_memory_counts_only_for_new_allocations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "graphspec.base.arrays.memory._container_limits", lambda root, **_: [(5000, 3000), (6000, 1000)]
    )
    assert (available(), free()) == (5000, 2000)
    monkeypatch.setattr("graphspec.base.arrays.memory._container_limits", lambda root, **_: [(5000, 7000)])
    assert free() == 0


def test_unused_memory_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  900 kB\nMemFree: 10 kB\nMemAvailable:   70 kB\n")
    if sys.platform != "win32":
        assert _unused(tmp_path) == 70 * 1024
        assert _unused(tmp_path / "elsewhere") == available()  # without a report all memory is free


def test_the_peak_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        if sys.platform != "win32":
            found = peak()
            assert found is not None
            assert 10 << 20 < found < 1 << 42, "bytes, not kilobytes"
        monkeypatch.setattr("graphspec.base.arrays.memory._field", lambda *_: 0)  # no system but Linux has the table
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak() is None


def test_too_small_a_container_is_warned_of_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = dense_spec()
    assert gs.validate(spec) == []
    monkeypatch.setattr("graphspec.base.arrays.memory._container_limits", lambda root, **_: [(1000, 0)])
    (found,) = gs.validate(spec)
    assert (found.code, found.severity) == ("GS602", "warning")
    assert "1000 B" in found.message
    monkeypatch.setattr("graphspec.base.arrays.memory._container_limits", lambda root, **_: [(2000, 0)])
    model = gs.compile(spec)
    from specs import blobs

    with pytest.raises(gs.RunError, match="GS602"):
        model.fit(*blobs(), verbose=0)


def test_estimates_grow_with_the_batch() -> None:
    graph = gs.compile(dense_spec()).graph
    small, large = (estimate(graph, assumed_shapes(graph, n), 2) for n in (1, 1001))
    values = 4 + 8 + 8 + 3 + 3  # x, Gemm, Relu, Gemm, Softmax; Dropout is a view
    assert large - small == 1000 * 2 * 4 * values
    assert small == 2 * 4 * values + (4 * 8 + 8 + 8 * 3 + 3) * 4 * 4


def test_numbers_of_tokens_are_assumed() -> None:
    """They are not known before texts are read, and do not stop the estimate."""
    graph = Graph("test")
    x = graph.inputs["x"] = Value("x", Type("string", ("N", 1)), "input")
    tokens = Builder(graph, "y").Tokenizer(x, mark=0, mincharnum=1, pad_value="", tokenexp="[0-9]")
    found = activations(graph.with_outputs({"y": tokens}), {"x": (3, 1)})
    assert found == Type("string", (3, 1)).nbytes + Type("string", (3, 1, 16)).nbytes


def test_human() -> None:
    assert [human(n) for n in (5, 2048, 3 << 30)] == ["5 B", "2.0 KiB", "3.0 GiB"]


@pytest.mark.slow
def test_the_peak_is_that_of_this_process_and_not_of_the_one_that_started_it() -> None:
    held = np.ones(150 << 20, np.uint8)
    code = "from graphspec.base.arrays.memory import peak; print(peak() or 0)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) < held.nbytes
    assert (peak() or 1 << 40) > held.nbytes
