"""Tests of the number of usable cores, with files as Linux has them, and of the number of threads that the user sets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from graphspec.base.arrays import cores
from graphspec.base.arrays.cores import ONE_THREAD, cpu_quota, threads_set, usable_cores


def system(folder: Path, group: str, files: dict[str, str]) -> Path:
    for name, content in {"proc/self/cgroup": group, **{f"sys/fs/cgroup/{k}": v for k, v in files.items()}}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("group", "files", "limit"),
    [
        pytest.param("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5, id="version 2, in a container"),
        pytest.param("0::/a/b\n", {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}, 2, id="a parent's"),
        pytest.param("0::/a/b\n", {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "50000 100000"}, 0.5, id="the least"),
        pytest.param("0::/docker/1f\n", {"cpu.max": "300000 100000\n"}, 3, id="the host's path in a container"),
        pytest.param("0::/a\n", {"a/cpu.max": "max 100000\n"}, None, id="no limit"),
        pytest.param("0::/a\n", {"a/cpu.max": "no\n"}, None, id="nonsense"),
        pytest.param("0::/a\n", {"a/cpu.max": "100000 0\n"}, None, id="no period"),
        pytest.param("", {"cpu.max": "100000 100000\n"}, None, id="no group"),
        pytest.param("?\n", {}, None, id="nonsense for a group"),
        pytest.param(
            "4:memory:/m\n3:cpu,cpuacct:/a\n",
            {
                "cpu/a/cpu.cfs_quota_us": "250000\n",
                "cpu/a/cpu.cfs_period_us": "100000\n",
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "cpu/m/cpu.cfs_quota_us": "10000\n",
                "cpu/m/cpu.cfs_period_us": "100000\n",
            },
            2.5,
            id="version 1",
        ),
        pytest.param(
            "2:cpu,cpuacct:/\n0::/\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "400000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            4,
            id="version 1 without a link",
        ),
        pytest.param(
            "1:name=systemd:/\n0::/a\n", {"unified/a/cpu.max": "100000 100000\n"}, 1, id="version 2 beside version 1"
        ),
    ],
)
def test_the_quota_of_a_container(group: str, files: dict[str, str], limit: float | None, tmp_path: Path) -> None:
    assert cpu_quota(system(tmp_path, group, files)) == limit


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(("quota", "expected"), [(None, 4), (0.5, 1), (2.5, 2), (9.0, 4)])
def test_usable_cores_are_those_of_affinity_and_quota(
    quota: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores.os, "process_cpu_count", lambda: 4, raising=False)
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert usable_cores() == expected


@pytest.mark.parametrize(
    ("variables", "number"),
    [
        ({}, None),
        ({"OMP_NUM_THREADS": ""}, None),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "8"}, 2),
        ({"VECLIB_MAXIMUM_THREADS": "0"}, 1),
        ({"OPENBLAS_NUM_THREADS": "many"}, 1),
    ],
)
def test_the_number_that_the_user_sets(
    variables: dict[str, str], number: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ONE_THREAD:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert threads_set() == number


@pytest.mark.slow
def test_what_the_command_line_imports_first_does_not_import_numpy() -> None:
    code = "import sys, graphspec.__main__, graphspec.base.arrays.cores; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
