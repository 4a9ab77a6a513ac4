"""With ``shards``, any number of workers of either kind gives the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi import HERE, job, trained, why_not
from resuming import assert_same_files, interrupt, resume, whole
from sharing import CASES

import graphspec as gs
from graphspec.base.arrays import cores
from graphspec.engine.parallel.shards import ShardGroup, in_step
from graphspec.engine.training import choose_workers
from graphspec.engine.training import choose_workers as auto_workers
from graphspec.graph.kernels.context import LocalGroup
from specs import blobs, dense_spec

OPTIMIZERS = ("Adam", "Lamb", "Muon")  # elementwise; whole weights; state of single weights


def test_calls_of_two_shards_are_made_in_step() -> None:
    made: list[Any] = []

    class Workers:
        def all_reduce(self, *arrays: Any) -> None:
            made.append(("sum", *arrays))

        def barrier(self) -> None:
            made.append("barrier")

    shards = [ShardGroup(k, 4, writes_state=not k) for k in (0, 1)]
    other = LocalGroup()
    programs = [
        [(made.append, f"a{k}"), (s.all_reduce, k), (made.append, f"b{k}"), (s.barrier,), (other.barrier,)]
        for k, s in enumerate(shards)
    ]
    for f, *operands in in_step(programs, shards, Workers()):
        f(*operands)
    assert made == ["a0", "a1", ("sum", 0, 1), "b0", "b1", "barrier"]


def test_shards_that_wait_at_different_places_are_a_mistake() -> None:
    shards = [ShardGroup(k, 2, writes_state=not k) for k in (0, 1)]
    with pytest.raises(AssertionError, match="different places"):
        in_step([[(shards[0].barrier,)], [(shards[1].all_reduce, None)]], shards, LocalGroup())


@pytest.fixture(scope="module")
def many_cores() -> Any:
    """Let more workers start than there are cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose_workers, "usable_cores", lambda: 8)
        patch.setattr(cores, "usable_cores", lambda: 8)
        yield


@pytest.fixture(scope="module")
def alone() -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """Return each case trained by one process with four shards."""
    return {name: trained(name, 1, shards=4) for name in (*CASES, *OPTIMIZERS)}


def differing(a: dict[str, Any], b: Any) -> list[str]:
    assert a.keys() == b.keys()
    return [key for key in a if not np.array_equal(a[key], b[key], equal_nan=True)]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CASES, *OPTIMIZERS])
def test_two_workers_give_the_bits_of_one(name: str, alone: Any, many_cores: None) -> None:
    assert differing(trained(name, 2, shards=4), alone[name]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["images", "Adam"])
def test_four_workers_give_the_bits_of_one(name: str, alone: Any, many_cores: None) -> None:
    assert differing(trained(name, 4, shards=4), alone[name]) == []


@pytest.mark.slow
def test_results_are_those_without_shards(alone: Any) -> None:
    for name in CASES:
        for key, values in trained(name, 1).items():
            np.testing.assert_allclose(alone[name][key], values, rtol=1e-3, atol=1e-5, err_msg=f"{name} {key}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ranks", "local", "names"),
    [
        (4, 1, (*CASES, *OPTIMIZERS)),
        (2, 2, ("images", "sentences", "catalogue", "Muon")),
    ],
    ids=["four", "two of two"],
)
def test_ranks_give_the_bits_of_one_process(
    ranks: int, local: int, names: tuple[str, ...], alone: Any, tmp_path: Path
) -> None:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    result = job([HERE / "mpi.py", tmp_path, 4, local, *names], ranks=ranks)
    assert result.returncode == 0, result.stderr
    for name in names:
        with np.load(tmp_path / f"{name}.npz") as found:
            assert differing(alone[name], found) == [], name


@pytest.mark.slow
def test_auto_gives_the_bits_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_workers, "MIN_STEP_SECONDS", 0.0)
    monkeypatch.setattr(auto_workers, "MIN_RUN_SECONDS", 0.0)
    x, y = blobs()
    found = []
    for workers in (1, "auto"):
        model = gs.compile(dense_spec(), [f"training.workers={workers}", "training.shards=2", "training.epochs=2"])
        model.fit(x, y, verbose=0)
        found.append(model.weights)
    assert differing(*found) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shards": 3}, "must be 2, 4, 8, 16, 32 or 64"),
        ({"shards": 4, "workers": 3}, "4 shards cannot be divided equally among 3 workers"),
        ({"shards": 8, "workers": 16}, "8 shards cannot be divided equally among 16 workers"),
        ({"shards": 8, "batch_size": 4}, "a batch of 4 rows cannot be cut into 8 shards"),
    ],
)
def test_what_cannot_be_divided_is_refused(settings: dict[str, Any], message: str) -> None:
    spec = dense_spec()
    spec["training"] = {**spec.get("training", {}), **settings}
    with pytest.raises(gs.SpecError) as caught:
        gs.compile(spec)
    assert message in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(1, 2), (4, 1)])
def test_a_run_resumes_with_other_workers(before: int, after: int, tmp_path: Path, many_cores: None) -> None:
    spec, (x, y, _) = CASES["images"]()
    np.savez(tmp_path / "rows.npz", **x, **y)
    spec["data"] = {"train": {"file": str(tmp_path / "rows.npz")}}

    def with_workers(workers: int) -> dict[str, Any]:
        return spec | {"training": spec["training"] | {"epochs": 3, "workers": workers, "shards": 4}}

    whole(with_workers(2), tmp_path / "whole")
    interrupt(with_workers(before), tmp_path / "parts", 7)
    run = resume(with_workers(after), tmp_path / "parts")
    assert run.model.workers == after
    assert_same_files(tmp_path / "whole", tmp_path / "parts")
    with pytest.raises(gs.UsageError, match=r"training\.shards"):
        resume(spec | {"training": spec["training"] | {"epochs": 3, "shards": 8}}, tmp_path / "parts")
