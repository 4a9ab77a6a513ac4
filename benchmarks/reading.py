"""How much memory and time reading a table takes: ``python -m benchmarks.reading [--rows N]``.

It writes a table of 20 columns (19 inputs of float32, class ids of int64) as CSV and as Parquet, and reads each in a
process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

INPUTS = [f"c{k}" for k in range(19)]


def write(folder: Path, rows: int) -> list[Path]:
    """The table, with decimals of six digits and integers."""
    import duckdb

    decimals = (f"round((random() * 2 - 1) * {10 ** (k % 4)}, 6) c{k}" for k in range(17))
    integers = ("(random() * 1000)::BIGINT c17", "(random() * 1000000)::BIGINT c18", "(random() * 2)::BIGINT y")
    paths = [folder / "rows.parquet", folder / "rows.csv"]
    base = duckdb.connect(config={"threads": "1"})
    base.execute(f"COPY (SELECT {', '.join([*decimals, *integers])} FROM range({rows})) TO '{paths[0]}'")
    base.execute(f"COPY (FROM '{paths[0]}') TO '{paths[1]}' (HEADER)")
    return paths


def read(path: Path) -> dict[str, float]:
    """Read the file as ``train`` does: seconds, the arrays' bytes, and the peak of the process."""
    import resource

    from graphspec.base.errors import Mark
    from graphspec.data.check import load
    from graphspec.data.source import DataSignature
    from graphspec.graph.ir.graph import Type
    from graphspec.language.declarations import DataSource
    from graphspec.language.tree import Tree

    wanted = DataSignature({"x": Type("float32", ("N", len(INPUTS)))}, {"y": Type("int64", ("N",))}, classes={"y": 3})
    source = DataSource(path, {"x": INPUTS}, None, None, None, Tree({}, Mark(str(path))))
    start, cpu = time.perf_counter(), time.process_time()
    arrays, found = load(source, wanted)
    if arrays is None:
        raise SystemExit("\n".join(map(str, found)))
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "numbers": sum(a.nbytes for a in arrays.feeds().values()),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where files are kept, and found again")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read is not None:
        print(json.dumps(read(given.read)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        paths = [folder / "rows.parquet", folder / "rows.csv"]
        for path in paths if all(p.exists() for p in paths) else write(folder, given.rows):
            command = [sys.executable, "-m", "benchmarks.reading", "--read", str(path)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(
                f"{path.suffix[1:]:<8} {found['seconds']:6.1f} s ({found['cpu']:.1f} s of a core)"
                f"   numbers {found['numbers'] / 2**20:,.0f} MiB, peak {found['peak'] / 2**20:,.0f} MiB"
                f" ({found['peak'] / found['numbers']:.2f} times)"
            )


if __name__ == "__main__":
    main()
