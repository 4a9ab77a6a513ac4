"""What quantized files of the shipped specs lose: ``python -m benchmarks.quantization [SPEC …]`` prints a table.

Trains each spec of ``specs/`` whose data are there, writes it as a float32, an int8 and a float16 file with the limit of
``--max-loss``, and prints the metrics on the test rows and the sizes. What the gate refuses is shown with the change.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import graphspec as gs
from graphspec.export.quantize import KINDS, MAX_LOSS, Verdict

SPECS = Path(__file__).resolve().parents[1] / "specs"
HEAD = ("spec", "epochs", "metric", "float32", *(f"{kind} (change)" for kind in KINDS))
_NO_LIMIT = 1e9


def rows_of(path: Path, epochs: int | None, folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table for one spec: its losses and metrics, then the size and the answer of the gate."""
    model = gs.compile(path, [f"training.epochs={epochs}"] if epochs else [])
    history = model.fit(verbose=0)
    found: dict[str, Verdict | str] = {}
    for kind in KINDS:
        try:
            verdict = model.export(folder / f"{path.stem}.onnx", quantize=kind, max_loss=_NO_LIMIT).quantized
            assert verdict is not None
            found[kind] = verdict
        except gs.SpecError as error:
            found[kind] = error.diagnostics[0].message
    judged = [verdict for verdict in found.values() if isinstance(verdict, Verdict)]
    name, count = path.stem, str(len(history.epoch))
    for key, first in judged[0].changes.items() if judged else ():
        cells = []
        for verdict in found.values():
            shown = verdict.changes[key] if isinstance(verdict, Verdict) else None
            cells.append("" if shown is None else f"{shown.after:.6g} ({shown.text()})")
        yield name, count, key, f"{first.before:.6g}", *cells
        name, count = "", ""
    if judged:
        sizes = [f"{v.sizes[1] / 1000:.0f}" if isinstance(v, Verdict) else "" for v in found.values()]
        yield name, count, "file (kB)", f"{judged[0].sizes[0] / 1000:.0f}", *sizes
    yield "", "", f"at most {MAX_LOSS:g} worse?", "", *map(_answer, found.values())


def _answer(found: Verdict | str) -> str:
    if isinstance(found, str):
        return "refused: too small" if "nothing to quantize" in found else f"refused: {found}"
    worse = {k: c.worse for k, c in found.changes.items() if c.worse is not None and c.worse > MAX_LOSS}
    return f"refused: {', '.join(worse)}" if worse else "yes"


def main(arguments: list[str]) -> int:
    """Print the table in Markdown; return 1 if no spec has its data."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantization", description=__doc__)
    parser.add_argument("specs", nargs="*", type=Path, metavar="SPEC", help="specs; by default those in specs/")
    parser.add_argument("--epochs", type=int, help="epochs for all specs, in place of their own")
    given = parser.parse_args(arguments)
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in given.specs or sorted(SPECS.glob("*.yaml")):
            try:
                for row in rows_of(path, given.epochs, Path(folder)):
                    print(f"| {' | '.join(row)} |", flush=True)
            except gs.SpecError as error:
                codes = sorted({str(d.code) for d in error.diagnostics})
                print(f"{path.stem}: left out: {', '.join(codes)}", file=sys.stderr)
            except gs.UsageError as error:
                print(f"{path.stem}: left out: {error}", file=sys.stderr)
            else:
                count += 1
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
