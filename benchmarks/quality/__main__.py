"""How good the answers are: what ``graphspec init`` writes for a kind of data, beside other tools with their defaults.

A kind of data is a module with ``TABLES`` (its sets by name), ``REPEATS``, ``SLOW`` (contenders that take longer than
imports), ``text`` (the page of what was measured), and commands; ``data`` and ``peers`` run under ``--python``:

- ``data FOLDER WHEELS REPEATS SET…`` writes ``FOLDER/SET/REPEAT/meta.json``, which has ``table`` (where the set is from),
  ``task``, ``rows``, ``columns``, and ``digest``, a hash of the files beside it;
- ``peers`` prints the contenders there are, with their versions, as JSON;
- ``peers NAME`` and ``ours PYTHON SOURCE``, then ``REPEAT FOLDER OUT`` for each run: train, answer, and write to OUT
  ``digest``, ``scores``, ``seconds`` and ``cpu`` of training, ``size`` in bytes if there is one, and what is to be kept.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality import page, pictures, series, tables, texts
from benchmarks.race import ONE, ROOT
from benchmarks.tables import publish, where

HERE = Path(__file__).parent
KINDS = {"tables": tables, "series": series, "texts": texts, "pictures": pictures}
"""By name; what is slow is run after the others, all sets of the first repeat first."""


@dataclass(frozen=True)
class Job:
    """One contender on one table of one repeat; its result is a file, kept until the table or the version changes."""

    contender: str
    version: str
    table: str
    repeat: int
    data: Path
    results: Path

    @property
    def folder(self) -> Path:
        return self.data / self.table / str(self.repeat)

    @property
    def out(self) -> Path:
        return self.results / f"{self.contender}@{self.version}" / f"{self.table}-{self.repeat}.json"

    def result(self) -> dict[str, Any] | None:
        """What was measured, None if it was not, or on other rows."""
        if not self.out.exists():
            return None
        said: dict[str, Any] = json.loads(self.out.read_text(encoding="utf-8"))
        digest = json.loads((self.folder / "meta.json").read_text(encoding="utf-8"))["digest"]
        return said if said["digest"] == digest else None


def run(jobs: list[Job], options: argparse.Namespace, cores: queue.Queue[int]) -> str:
    """Run jobs of one contender in one process, on one core; what went wrong, nothing if all went well."""
    contender = jobs[0].contender
    if contender == "graphspec":
        command: list[Any] = [sys.executable, "-m", f"benchmarks.quality.{options.kind}", "ours"]
        command += [options.graphspec, options.source.resolve()]
    else:
        command = [options.python, "-W", "ignore", "-m", f"benchmarks.quality.{options.kind}", "peers", contender]
    for job in jobs:
        job.out.parent.mkdir(parents=True, exist_ok=True)
        job.out.unlink(missing_ok=True)
        command += [job.repeat, job.folder, job.out]
    core = cores.get()
    limit = options.patience * len(jobs)
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=ROOT,
        env=os.environ | ONE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    if hasattr(os, "sched_setaffinity"):  # so that nothing, `workers: auto` included, takes a second core
        os.sched_setaffinity(process.pid, {core})
    try:
        errors = process.communicate(timeout=limit)[1].strip()
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with what it has started
        process.communicate()
        return f"more than {limit:.0f} s"
    finally:
        cores.put(core)
    return (errors or f"exit code {process.returncode}") if process.returncode else ""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__.partition("\n")[0])
    parser.add_argument("kind", nargs="?", choices=KINDS, default="tables", help="the kind of data (tables)")
    parser.add_argument("--only", nargs="+", metavar="SET", help="these sets; all by default")
    parser.add_argument("--repeats", type=int, metavar="N", help="splits of each (tables: 3, others: 1)")
    parser.add_argument("--contenders", nargs="*", metavar="NAME", help="these are run; all by default")
    parser.add_argument("--show", nargs="+", metavar="NAME", help="these are on the page; by default all that is kept")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="the contenders' interpreter")
    parser.add_argument("--graphspec", default=sys.executable, metavar="PATH", help="graphspec's interpreter (this)")
    parser.add_argument("--source", type=Path, default=ROOT, metavar="DIR", help="the folder of graphspec (this)")
    parser.add_argument("--label", default="now", help="the name under which graphspec's results are kept (now)")
    parser.add_argument("--fresh", action="store_true", help="run graphspec again, whatever is kept under its label")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="contenders at a time, a core each (2)")
    parser.add_argument("--patience", type=float, default=1800, help="seconds that one of them may take (1800)")
    parser.add_argument("--data", type=Path, default=HERE / ".data", metavar="DIR", help="for tables and results")
    parser.add_argument("--against", type=Path, metavar="FILE", help="an earlier JSON: what became worse since")
    parser.add_argument("--json", type=Path, nargs="?", const=HERE, metavar="FILE", help="write all")
    parser.add_argument("--markdown", type=Path, nargs="?", const=HERE / "README.md", metavar="FILE", help="the page")
    options = parser.parse_args()
    kind = KINDS[options.kind]
    options.only = options.only or list(kind.TABLES)
    if unknown := [name for name in options.only if name not in kind.TABLES]:
        parser.error(f"--only: {', '.join(unknown)} is not among {', '.join(kind.TABLES)}")
    options.repeats = options.repeats or kind.REPEATS
    options.json = (
        HERE / ("results.json" if kind is tables else f"{options.kind}.json") if options.json == HERE else options.json
    )
    return options


def _module(options: argparse.Namespace, *words: object) -> str:
    """What the kind's module prints under the contenders' interpreter; it exits where that fails."""
    command = [options.python, "-m", f"benchmarks.quality.{options.kind}", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"error: {options.python} cannot do it; {HERE / 'requirements.txt'} says what --python needs")
    return done.stdout


def main() -> None:
    options = arguments()
    data, results, wheels = (options.data.resolve() / name for name in ("data", "results", "wheels"))
    kind = KINDS[options.kind]
    _module(options, "data", data, wheels, options.repeats, *options.only)
    versions = {"graphspec": options.label} | json.loads(_module(options, "peers"))
    if unknown := {*(options.contenders or []), *(options.show or [])} - versions.keys():
        known = ", ".join(versions)
        sys.exit(f"error: no contender {', '.join(sorted(unknown))} in {options.python}: there are {known}")
    jobs = [
        Job(name, version, table, repeat, data, results)
        for name, version in versions.items()
        for repeat in range(1, options.repeats + 1)
        for table in options.only
        if (data / table / str(repeat) / "meta.json").exists()  # a short series has fewer
    ]
    chosen = [job for job in jobs if job.contender in (versions if options.contenders is None else options.contenders)]
    fresh = [job for job in chosen if job.result() is None or (options.fresh and job.contender == "graphspec")]
    batches = dict[tuple[Any, ...], list[Job]]()  # a process imports for all repeats of a table, where that counts
    for job in sorted(
        fresh, key=lambda job: (job.contender in kind.SLOW, job.repeat if job.contender in kind.SLOW else 0)
    ):
        batches.setdefault((job.contender, job.table, job.repeat if job.contender in kind.SLOW else 0), []).append(job)
    cores: queue.Queue[int] = queue.Queue()
    there = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    for k in range(options.jobs):
        cores.put(there[k % len(there)])
    failed = dict[str, str]()
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = {pool.submit(run, batch, options, cores): batch for batch in batches.values()}
        for k, future in enumerate(as_completed(futures), 1):
            batch, error = futures[future], future.result()
            name = f"{batch[0].contender} on {batch[0].table}, repeat {', '.join(str(job.repeat) for job in batch)}"
            if error:
                failed[name] = error
            print(f"{k}/{len(batches)} {name}{': ' + error if error else ''}", file=sys.stderr, flush=True)
    content: dict[str, Any] = {"format": page.FORMAT, "machine": where(), "tables": {}}
    for job in jobs:
        if job.contender in (options.show or versions) and (said := job.result()) is not None:
            meta = json.loads((job.folder / "meta.json").read_text(encoding="utf-8"))
            table = content["tables"].setdefault(job.table, {k: meta[k] for k in ("task", "rows", "columns")})
            said.pop("parts", None)
            found = table.setdefault("contenders", {}).setdefault(
                job.contender, {"version": job.version, "repeats": {}}
            )
            found["repeats"][str(job.repeat)] = said
    content["failed"] = {name: error.splitlines()[-1][:200] for name, error in sorted(failed.items())}
    if options.json:
        options.json.write_text(json.dumps(content, indent=1), encoding="utf-8")
    before = json.loads(options.against.read_text(encoding="utf-8")) if options.against else None
    publish("quality" if kind is tables else options.kind, kind.text(content, before), options.markdown)
    if failed:
        sys.exit(f"error: {len(failed)} of {len(fresh)} failed")


if __name__ == "__main__":
    main()
