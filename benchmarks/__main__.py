"""graphspec's ``fit`` beside other frameworks, on the same networks, first weights and batches."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import record, report
from benchmarks.busy import busy
from benchmarks.networks import OLD, ROWS
from benchmarks.prepare import prepare, rate
from benchmarks.race import BrokenError, ContenderError, entries, race
from benchmarks.tables import add_page, publish, where
from benchmarks.workload import write

LOOKED_UP = ("W3ids", "recommender", "recommender-small")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"of {', '.join(ROWS)}; all by default")
    parser.add_argument("--rounds", type=int, default=5, help="windows of each contender (5)")
    parser.add_argument("--seconds", type=float, default=0.4, help="how long a window lasts (0.4)")
    parser.add_argument("--workers", default="auto", metavar="N", help="graphspec's `training.workers` (auto)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these contenders beside graphspec")
    parser.add_argument(
        "--without", nargs="+", default=[], metavar="NAME", help="not these frameworks, which are not installed"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured, after each network")
    parser.add_argument(
        "--more", action="store_true", help="keep the networks of FILE of --json, and measure the others"
    )
    parser.add_argument("--busy", action="store_true", help="with a loop of the lowest priority on each core")
    add_page(parser)
    parser.add_argument("--patience", type=float, default=600, help="seconds that getting ready may take (600)")
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
    if not set(options.without) <= families - {"graphspec"}:
        parser.error(f"--without takes {', '.join(sorted(families - {'graphspec'}))}")
    if options.only and not set(options.only) <= {entry.name for entry in field}:
        parser.error(f"--only takes {', '.join(repr(entry.name) for entry in field)}")
    if options.more and not options.json:
        parser.error("--more takes --json FILE")
    field = [e for e in field if e.python not in options.without]
    options.field = [e for e in field if not options.only or e.name in ("graphspec", *options.only)]
    return options


def main() -> None:
    options = arguments()
    results, best = list[report.Result](), 0.0
    if options.more and options.json.exists():
        results, best = record.read(options.json, options.busy)
    measured = {r.workload for r in results}
    for name in options.workloads or ROWS:
        if name in measured:
            continue
        print(name, file=sys.stderr, flush=True)
        workload, count = prepare(name)
        best = max(best, rate())
        embeds = any(node.type == "Embedding" for node in workload.nodes)
        field = [entry for e in options.field if (entry := e.on(name, embeds))]
        with TemporaryDirectory() as folder, busy(options.busy):
            write(workload, Path(folder))
            try:
                scores = race(Path(folder), field, options.pythons, options.rounds, options.seconds, options.patience)
            except (BrokenError, ContenderError) as error:  # a peer that is broken, or graphspec in any case
                sys.exit(f"error: the race of {name} ends (`--without torch` and `--only` choose contenders)\n{error}")
        # The products of W3ids and of the recommender are looked up, not multiplied.
        results.append(report.Result(name, scores, None if name in LOOKED_UP else count / best))
        if options.json:
            text = json.dumps(record.as_json(results, best, options.busy), indent=1)
            options.json.write_text(text, encoding="utf-8")
    results.sort(key=lambda r: list(ROWS).index(r.workload))
    about = f"{where()}; matrix products {best * 2e-9:.0f} GFLOP/s"
    if options.busy:
        publish("busy", report.page(results, about), options.markdown)
        return
    for section, old in (("race", True), ("networks", False)):
        if shown := [r for r in results if (r.workload in OLD) is old]:
            publish(section, report.page(shown, about), options.markdown)


if __name__ == "__main__":
    main()
