"""graphspec's ``fit`` beside other frameworks, on the same networks, first weights and batches."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import report
from benchmarks.networks import ROWS
from benchmarks.prepare import prepare, rate
from benchmarks.race import entries, race
from benchmarks.tables import add_page, publish, where
from benchmarks.workload import write


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"of {', '.join(ROWS)}; all by default")
    parser.add_argument("--rounds", type=int, default=5, help="windows of each contender (5)")
    parser.add_argument("--seconds", type=float, default=0.4, help="how long a window lasts (0.4)")
    parser.add_argument("--workers", default="auto", metavar="N", help="graphspec's `training.workers` (auto)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these contenders beside graphspec")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    add_page(parser)
    parser.add_argument("--patience", type=float, default=180, help="seconds that getting ready may take (180)")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="another interpreter for torch, jax, keras-tensorflow, keras-jax, sklearn; it needs no graphspec",
    )
    options = parser.parse_args()
    unknown = set(options.workloads) - ROWS.keys()
    if unknown:
        parser.error(f"no workload {', '.join(sorted(unknown))}: there are {', '.join(ROWS)}")
    field = entries(options.workers)
    families = {entry.python for entry in field}
    options.pythons = dict(p.partition("=")[::2] for p in options.python)
    if not options.pythons.keys() <= families:
        parser.error(f"--python takes NAME=PATH for {', '.join(sorted(families))}")
    if options.only and not set(options.only) <= {entry.name for entry in field}:
        parser.error(f"--only takes {', '.join(repr(entry.name) for entry in field)}")
    options.field = [e for e in field if not options.only or e.name in ("graphspec", *options.only)]
    return options


def main() -> None:
    options = arguments()
    results, best = list[report.Result](), 0.0
    counts: dict[str, int] = {}
    for name in options.workloads or ROWS:
        print(name, file=sys.stderr, flush=True)
        workload, counts[name] = prepare(name)
        best = max(best, rate())
        with TemporaryDirectory() as folder:
            write(workload, Path(folder))
            scores = race(
                Path(folder), options.field, options.pythons, options.rounds, options.seconds, options.patience
            )
        results.append(report.Result(name, scores, None))
    for result in results:
        if result.workload != "W3ids":  # whose products are looked up, not multiplied
            result.limit = counts[result.workload] / best
    about = f"{where()}; matrix products {best * 2e-9:.0f} GFLOP/s"
    publish("race", report.page(results, about), options.markdown)
    if options.json:
        options.json.write_text(json.dumps(report.as_json(results, best), indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
