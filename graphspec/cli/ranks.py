"""A command as one process of an MPI job: rank 0 runs it, the others compute their shards of its steps."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from graphspec.base.errors import GraphspecError, SpecError, UsageError
from graphspec.cli.console import attempt, complain, err
from graphspec.engine.parallel.launch import Launch, launch_of

if TYPE_CHECKING:
    from graphspec.engine.parallel.ranks import Ranks

P = ParamSpec("P")
_joined: list[Ranks] = []  # the connection to the other ranks, if there are some: a process belongs to one MPI job


def joined() -> Ranks | None:
    """Return the connection to the other ranks; None if this process trains alone."""
    return _joined[0] if _joined else None


def launcher() -> list[str]:
    """Return the words with which a command line starts that starts as many ranks as there are now; none if it is alone."""
    if (ranks := joined()) is None:
        return []
    launch = launch_of(os.environ)
    return ["mpiexec" if launch is None else launch.command, "-n", str(ranks.size)]


def by_ranks(command: Callable[P, int | None]) -> Callable[P, int | None]:
    """Let a command that trains take part in an MPI job, with ``--mpi`` or ``workers: mpi``; else nothing loads MPI."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> int | None:
        launch = launch_of(os.environ)
        if not kwargs.get("mpi") and launch is None:  # also where the function is called, not the command
            return command(*args, **kwargs)
        if not kwargs["mpi"] and launch is not None:
            try:
                declared = _declares_mpi(kwargs)
            except SpecError:
                if launch.rank == 0 or not Path(str(kwargs["spec"])).is_file():
                    raise
                return None  # rank 0 reports it
            if not declared and launch.rank:
                return None  # a status other than 0 could end rank 0 before it has reported this
            if not declared:
                text = f"{launch.command} has started {launch.size} processes, and each would train and write the run"
                do = "add --mpi, or `training: {workers: mpi}` to the spec, and they share each batch"
                raise UsageError(f"{text} directory: {do}")
        return _in_job(lambda: command(*args, **kwargs), launch, kwargs)

    return run


def _declares_mpi(options: Any) -> bool:
    from graphspec.engine.compiler.check import check

    sets, outside, allow = options["sets"] or (), options["allow_outside"], options["allow"] or ()
    checked = check(str(options["spec"]), sets, allow_outside=outside, allow=allow)
    return checked.require()[0].training.workers == "mpi"


def _in_job(command: Callable[[], int | None], launch: Launch | None, options: Any) -> int | None:
    from graphspec.engine.parallel.ranks import connect

    quiet = launch is not None and launch.rank > 0  # rank 0 reports what all ranks refuse
    try:
        ranks = connect(launch)
        ranks.agree(_known(options))
    except GraphspecError:
        if quiet:
            return None
        raise
    if ranks.size == 1:
        complain("note: there is one rank; `mpiexec -n 4 graphspec train …` starts four")
        return command()
    if ranks.rank > 0:
        _follow(ranks)
        return None
    _joined[:] = [ranks]

    def lead() -> int | None:
        try:
            return command()
        except Exception as error:
            raise ranks.broken(error) or error from None

    status = attempt(lead)
    if ranks.busy:
        ranks.abort(status)
    ranks.end()
    return status


def _follow(ranks: Ranks) -> None:
    """Serve rank 0. An error ends the whole job: the other ranks may wait for this one."""
    from graphspec.engine.parallel.ranks import serve

    def action() -> None:
        try:
            serve(ranks)
        except Exception as error:
            failed.append(error)
            raise ranks.broken(error) or error from None

    failed: list[Exception] = []
    status = attempt(action)
    if failed:
        err(f"  (rank {ranks.rank} of {ranks.size})")
        ranks.abort(status)


def _known(options: Any) -> dict[str, str | None]:
    from graphspec.engine.parallel.agreement import installation

    spec = Path(str(options["spec"]))
    return {
        **installation(),
        "the command line": " ".join(sys.argv[1:]),
        "the spec": hashlib.sha256(spec.read_bytes()).hexdigest()[:12] if spec.is_file() else None,
    }
