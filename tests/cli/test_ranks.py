"""``graphspec train --mpi``: who trains, who reports, and what remains after a rank was stopped or killed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import SPEC, graphspec, project
from mpi import HERE, job, why_not
from same_products import SAME_PRODUCTS

from graphspec.base.errors import UsageError
from graphspec.base.libraries import missing_library
from graphspec.cli import ranks
from graphspec.engine.parallel.launch import Launch
from graphspec.engine.training.checkpoint import load_arrays
from graphspec.engine.training.choose_workers import refuse_other_ranks
from graphspec.graph.kernels import compiled

GRAPHSPEC = ("-m", "graphspec")


@pytest.fixture(autouse=True)
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return project(tmp_path).relative_to(tmp_path)


@pytest.fixture
def mpi() -> None:
    if (reason := why_not()) is not None:
        pytest.skip(reason)


def launched(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    monkeypatch.setattr("graphspec.cli.ranks.launch_of", lambda environment: Launch("srun", rank, 4))


def test_several_processes_without_mpi_are_refused_by_one_of_them(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, 0)
    first = graphspec("train", spec)
    assert first.exit_code == 2
    assert "srun has started 4 processes" in first.stderr
    assert "add --mpi" in " ".join(first.stderr.split())
    launched(monkeypatch, 3)
    other = graphspec("train", spec)
    assert (other.exit_code, other.output) == (0, "")  # another status could end rank 0 before it has written
    assert not Path("runs").exists()


def test_a_wrong_spec_is_reported_by_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("wrong.yaml").write_text(SPEC.replace("Dense", "Dence"), encoding="utf-8")
    launched(monkeypatch, 0)
    assert "Dence" in graphspec("train", "wrong.yaml").stderr
    launched(monkeypatch, 1)
    assert graphspec("train", "wrong.yaml").output == ""
    missing = graphspec("train", "missing.yaml")  # on this rank alone, perhaps
    assert missing.exit_code != 0
    assert "missing.yaml" in missing.stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [("workers=auto", "the spec has `workers: auto`"), ("seeds=2", "--mpi trains no copies or forms: leave it out")],
)
def test_what_ranks_do_not_train(change: str, says: str, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.cli.ranks._in_job", lambda command, launch, options: command())
    result = graphspec("train", spec, "--mpi", "--set", f"training.{change}")
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())


@pytest.mark.slow
def test_ranks_with_workers_of_their_own_give_the_bits_of_as_many_workers(spec: Path, mpi: None) -> None:
    """Two ranks of two workers: stopped, continued, and compared with four ranks."""
    both = ("--no-report", "--set", "training.workers=2")
    stopped = job([HERE / "mpi_stopped.py", "SIGTERM", 5, "train", spec, "--mpi", *both])
    assert stopped.returncode == 143, stopped.stderr
    assert "2 ranks of 2 processes" in " ".join(stopped.stdout.split())
    assert json.loads(Path("runs/tiny/run.json").read_text())["workers"] == 4
    resumed = job([*GRAPHSPEC, "train", spec, "--mpi", *both, "--resume"])
    assert resumed.returncode == 0, resumed.stderr
    four = job([*GRAPHSPEC, "train", spec, "--mpi", "--no-report", "--out", "four"], ranks=4)
    assert four.returncode == 0, four.stderr
    for name in ("history.csv", "weights.safetensors"):
        assert Path("runs/tiny", name).read_bytes() == Path("four", name).read_bytes(), name
    with pytest.raises(UsageError, match="started with 4 workers, but there are 3 ranks of 2"):
        refuse_other_ranks(4, 3, Path("runs/tiny"), 2)


def test_a_process_that_was_started_alone_trains_alone_without_mpi(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mpi4py", None)  # importing it fails
    result = graphspec("train", spec, "--set", "training.workers=mpi", "--no-report")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[3].endswith("1 rank")
    assert json.loads(Path("runs/tiny/run.json").read_text())["workers"] == 1
    result = graphspec("train", spec, "--mpi", "--overwrite")
    assert result.exit_code == 2
    assert missing_library("mpi4py") in " ".join(result.stderr.split())


@pytest.mark.slow
@SAME_PRODUCTS
def test_a_stopped_and_a_killed_job_resume_to_the_bits_of_local_workers(spec: Path, mpi: None, two_cores: None) -> None:
    """Rank 1 is asked to stop in one job, and killed in the next; the third ends as two local workers do."""
    stopped = job([HERE / "mpi_stopped.py", "SIGTERM", 5, "train", spec, "--mpi", "--no-report"])
    assert stopped.returncode == 143, stopped.stderr
    assert "has a checkpoint of epoch 2, step 1" in stopped.stderr
    assert "mpiexec -n 2 graphspec train tiny.yaml --resume --no-report --mpi" in stopped.stderr
    assert stopped.stdout.count("train: 60 rows") == 1
    killed = job([HERE / "mpi_stopped.py", "SIGKILL", 5, "train", spec, "--mpi", "--no-report", "--resume"])
    assert killed.returncode == 137
    assert json.loads(Path("runs/tiny/checkpoint.json").read_text())["epoch"] == 2
    alone = graphspec("train", spec, "--set", "training.workers=mpi", "--resume")
    assert alone.exit_code == 2
    assert "started with 2 ranks, but there is 1" in " ".join(alone.stderr.split())
    resumed = job([*GRAPHSPEC, "train", spec, "--mpi", "--no-report", "--resume"])
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert "resuming after epoch 2 of 3" in resumed.stdout
    assert json.loads(Path("runs/tiny/run.json").read_text())["workers"] == 2
    local = graphspec("train", spec, "--set", "training.workers=2", "--out", "local", "--no-report")
    assert local.exit_code == 0
    assert Path("runs/tiny/history.csv").read_text() == Path("local/history.csv").read_text()
    found, expected = (load_arrays(Path(run) / "checkpoint.safetensors")[0] for run in ("runs/tiny", "local"))
    assert found.keys() == expected.keys()
    assert [name for name, array in expected.items() if not np.array_equal(found[name], array)] == []


def test_ranks_compare_their_kernels(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for version in ("0.1.0", None):
        monkeypatch.setattr(compiled, "version", lambda version=version: version)
        found.append(ranks._known({"spec": spec}))
    assert [known["compiled kernels"] for known in found] == ["0.1.0", None]
    assert {key for key in found[0] if found[0][key] != found[1][key]} == {"compiled kernels"}


@pytest.mark.slow
def test_with_shards_a_job_resumes_with_other_workers(spec: Path, mpi: None, two_cores: None) -> None:
    """A job of two ranks is killed; one process goes on, and ends with the bits of two local workers."""
    shards = ("--no-report", "--set", "training.shards=4")
    killed = job([HERE / "mpi_stopped.py", "SIGKILL", 9, "train", spec, "--mpi", *shards])
    assert killed.returncode == 137
    resumed = graphspec("train", spec, *shards, "--resume")
    assert resumed.exit_code == 0, resumed.stderr
    assert "resuming after epoch" in resumed.stdout
    assert json.loads(Path("runs/tiny/run.json").read_text())["workers"] == 1
    local = graphspec("train", spec, *shards, "--set", "training.workers=2", "--out", "local")
    assert local.exit_code == 0
    assert "4 shards in 2 processes" in " ".join(local.stdout.split())
    for name in ("history.csv", "weights.safetensors"):
        assert Path("runs/tiny", name).read_bytes() == Path("local", name).read_bytes(), name
    three = job([*GRAPHSPEC, "train", spec, "--mpi", *shards, "--overwrite"], ranks=3)
    assert three.returncode == 2
    assert "3 ranks cannot divide `shards: 4` equally" in " ".join(three.stderr.split())


@pytest.mark.slow
def test_ranks_that_differ_are_refused(spec: Path, mpi: None) -> None:
    script = "import sys; from graphspec.base import version; version.__version__ = {!r}; "
    script += "sys.argv[0] = 'graphspec'; from graphspec.__main__ import main; main()"
    programs = [["-c", script.format(version), "train", spec, "--mpi"] for version in ("7.1", "7.2")]
    result = job(*programs)
    assert result.returncode == 3
    said = " ".join(result.stderr.split())
    assert (
        "error[GS606]: rank 0 and rank 1 differ in the version of graphspec: '7.1' on rank 0, '7.2' on rank 1" in said
    )
    assert said.count("GS606") == 1
    assert not Path("runs").exists()


@pytest.mark.slow
def test_an_error_on_one_rank_ends_the_job_with_its_message(spec: Path, mpi: None) -> None:
    script = "import sys; sys.argv[0] = 'graphspec'; from graphspec.engine.parallel import ranks; "
    script += "ranks.Exchange.wait = lambda self: 1 // (1 - self.group.rank); "
    script += "from graphspec.__main__ import main; main()"
    result = job(["-c", script, "train", spec, "--mpi"])
    assert result.returncode == 70
    assert "ZeroDivisionError" in result.stderr
    assert "(rank 1 of 2)" in result.stderr
