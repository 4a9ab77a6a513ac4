"""Learning medians, means and deviations of a wide table of numbers, beside DuckDB.

``python -m benchmarks.records --numbers [--rows N] [--markdown]`` writes 40 columns of float32, every fourth with gaps, as
Parquet. graphspec reads them, and learns what `number` columns need: the median of each, and the mean and deviation with the
gaps filled. DuckDB computes ``median``, ``avg`` and ``stddev_pop`` of all columns from the same file in one query. Each is a
process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.tables import publish, table, where

COLUMNS = 40
CONTENDERS = ("graphspec", "DuckDB, 1 thread", "DuckDB, 2 threads")


def write(path: Path, rows: int) -> None:
    """The table."""
    import duckdb

    def column(k: int) -> str:
        number = f"(random() * {10 ** (k % 5)})::FLOAT"
        return f"{number if k % 4 else f'CASE WHEN random() < 0.1 THEN NULL ELSE {number} END'} n{k}"

    columns = [*map(column, range(COLUMNS)), "random()::FLOAT answer"]
    with duckdb.connect(config={"threads": "2"}) as base:
        base.execute(f"COPY (SELECT {', '.join(columns)} FROM range({rows})) TO '{path}'")


def ours(path: Path) -> list[float]:
    """The times at which graphspec begins, has read, and has learnt; and the seconds of the processor."""
    import graphspec as gs
    from graphspec.data import stored
    from graphspec.engine.training.adapt import adapt

    spec: dict[str, Any] = {
        "graphspec": 1,
        "name": "numbers",
        "inputs": {"row": {"columns": {f"n{k}": "number" for k in range(COLUMNS)}}},
        "layers": [{"name": "answer", "type": "Dense", "units": 1}],
        "outputs": {"answer": {"loss": "mse"}},
        "data": {"train": {"file": str(path)}},
    }
    stored.SHARE = 1e9  # in memory
    model = gs.compile(spec)
    used, times = time.process_time(), [time.perf_counter()]
    rows = model.part("train")
    times.append(time.perf_counter())
    adapt(model.spec, rows)
    return [*times, time.perf_counter(), time.process_time() - used]


def theirs(path: Path, threads: int) -> list[float]:
    """The same of DuckDB, which learns while it reads."""
    import duckdb

    wanted = ", ".join(f"median(n{k}), avg(n{k}), stddev_pop(n{k})" for k in range(COLUMNS))
    with duckdb.connect(config={"threads": str(threads)}) as base:
        used, start = time.process_time(), time.perf_counter()
        base.execute(f"SELECT {wanted} FROM '{path}'").fetchall()
        return [start, start, time.perf_counter(), time.process_time() - used]


def measure(contender: str, path: Path) -> dict[str, float]:
    """Seconds of one contender, and its memory in MiB, in this process."""
    import resource

    start, middle, end, cpu = ours(path) if contender == "graphspec" else theirs(path, int(contender.split()[1]))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"read": middle - start, "learn": end - middle, "cpu": cpu, "memory": memory}


def compare(rows: int, page: Path | None, rounds: int = 3) -> None:
    """Print a table, in which the fastest round of each contender counts, and put it into ``page``."""
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "numbers.parquet"
        write(path, rows)
        for name in CONTENDERS:
            command = [sys.executable, "-m", "benchmarks.numbers", name, str(path)]
            environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
            done = [
                json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment).stdout)
                for _ in range(rounds)
            ]
            best = min(done, key=lambda r: r["read"] + r["learn"])
            together = best["read"] + best["learn"]
            cells = [f"{best['read']:.1f}" if best["read"] else "", f"{best['learn']:.1f}", f"{together:.1f}"]
            cells += [f"{min(r['cpu'] for r in done):.1f}", f"{rows * COLUMNS * 4 / 1e6 / together:,.0f}"]
            lines.append([name, *cells, f"{best['memory']:,.0f}"])
    head = ["", "read, s", "learn, s", "together, s", "of the processor, s", "MB of numbers/s", "memory, MiB"]
    text = f"{where()}\n\n{rows:,} rows, {COLUMNS} columns of float32.\n\n{table(head, lines)}"
    publish("numbers", text, page)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
