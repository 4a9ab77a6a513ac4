"""Jobs of several MPI ranks on this machine, for tests; and, as a program, one rank of a job that trains cases.

``mpiexec -n 2 python tests/support/mpi.py FOLDER SHARDS WORKERS NAME …`` trains cases of ``sharing``, with 0 for no
``shards``, and writes ``FOLDER/NAME.npz``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

HERE = Path(__file__).parent
_NOTHING = subprocess.DEVNULL  # mpiexec reads all of its input, also what is meant for the process that starts it
_AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}  # containers


def mpiexec() -> str | None:
    """Return the launcher beside this Python, else the one on the path."""
    return shutil.which("mpiexec", path=Path(sys.executable).parent) or shutil.which("mpiexec")


def _command(programs: Sequence[Sequence[object]], ranks: int) -> list[str]:
    command: list[str] = [str(mpiexec()), "--oversubscribe"]
    for k, program in enumerate(programs):
        count = ranks if len(programs) == 1 else 1
        command += [*([":"] if k else []), "-n", str(count), sys.executable, *(str(word) for word in program)]
    return command


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    paths = os.pathsep.join([str(HERE.parent.parent), str(HERE)])
    limits = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return os.environ | _AS_ROOT | limits | {"PYTHONPATH": paths} | variables


def job(*programs: Sequence[object], ranks: int = 2, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a job of ``ranks`` processes of a Python program; several programs get one process each."""
    command, environment = _command(programs, ranks), _environment(variables)
    return subprocess.run(
        command, stdin=_NOTHING, capture_output=True, text=True, env=environment, timeout=120, check=False
    )


def started(program: Sequence[object], output: IO[bytes], ranks: int = 2) -> subprocess.Popen[bytes]:
    """Start a job of ``ranks`` processes of a Python program, and return the launcher."""
    command = _command([program], ranks)
    return subprocess.Popen(command, stdin=_NOTHING, stdout=output, stderr=output, env=_environment({}))


@cache
def why_not() -> str | None:
    """Return why no job can be run here; None if one can."""
    if mpiexec() is None:
        return "there is no mpiexec"
    try:
        result = job(["-c", "from mpi4py import MPI; assert MPI.COMM_WORLD.size == 2"])
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if result.returncode == 0 else result.stderr[-300:]


def trained(
    name: str, workers: int, ranks: Any = None, shards: int | None = None, local: int = 1
) -> dict[str, np.ndarray[Any, Any]]:
    """Train a case by local workers, or by ranks of ``local`` workers, and return weights, slots and history."""
    from sharing import CASES, with_optimizer

    import graphspec as gs
    from graphspec.engine.training.prepare import FitData, prepare_fit
    from graphspec.engine.training.reporting import Silent

    spec, (x, y, weights) = CASES[name]() if name in CASES else with_optimizer(name)
    sets = [f"training.workers={workers if ranks is None else 'mpi' if local == 1 else local}"]
    model = gs.compile(spec, sets if shards is None else [*sets, f"training.shards={shards}"])
    held = tuple(part for part in (x, y, weights) if part is not None)
    trainer = prepare_fit(model, FitData(x, y, weights, validation_data=held), observer=Silent())
    trainer.steps.ranks = ranks
    trainer.run()
    assert model.workers == workers, (model.workers, workers)
    history = {f"history/{key}": np.array(values) for key, values in trainer.history.items()}
    return {f"weight/{n}": a for n, a in model.weights.items()} | model.optimizer_state.arrays() | history


def main(folder: str, shards: str, local: str, *names: str) -> None:
    from graphspec.engine.parallel.ranks import connect, serve

    ranks = connect(None)
    if ranks.rank:
        serve(ranks)
        return
    for name in names:
        arrays = trained(name, ranks.size * int(local), ranks, int(shards) or None, int(local))
        np.savez(Path(folder) / f"{name}.npz", **arrays)
    ranks.end()
    print(json.dumps(names))


if __name__ == "__main__":
    main(*sys.argv[1:])
