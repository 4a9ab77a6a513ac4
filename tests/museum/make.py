"""Make the exhibits of a release: ``python tests/museum/make.py 0.2.0 --path FOLDER``, where FOLDER has that version.

``pip install --no-deps --target FOLDER .`` in a checkout of the release makes the folder; for another Python or NumPy
than of then, ``--python``. The exhibits of a release are made once and never again: 0.1.0 is of commit 86c3a66f, 0.2.0
of 2230cb27. Each spec of ``specs/`` leaves in the folder of the version:

- ``NAME``: a run stopped after two of four epochs, to be resumed; the paths of its data are relative to it,
- ``NAME.csv``: the history of all four, trained without a stop,
- ``NAME.onnx``: the exported file of those.

Beside them lie ``answers.json``, what ``evaluate`` said of each stopped run, and ``names.json`` and ``problems.json``
(`tests/support/promises.py`), which ``--records`` writes alone.
``--problems`` names the release's folder of wrong specs. Those of 0.1.0 are those of 0.2.0, byte for byte, and stored once;
the codes of these are from their page, since they have no ``graphspec explain``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "support"))

import promises  # noqa: E402 (a helper of the tests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version")
    parser.add_argument("--path", required=True, help="the folder with the package of that version")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--records", action="store_true", help="write the three records alone")
    parser.add_argument("--problems", type=Path, default=HERE.parent / "diagnostics", help="a folder of wrong specs")
    asked = parser.parse_args()
    folder = HERE / asked.version

    def python(*words: str, cwd: Path = HERE) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(Path(asked.path).resolve()), "OPENBLAS_NUM_THREADS": "1"}
        environment |= {"COLUMNS": "200", "NO_COLOR": "1"}
        return subprocess.run([asked.python, *words], env=environment, cwd=cwd, capture_output=True, text=True)

    def run(cwd: Path, *words: str) -> promises.Ran:
        done = python("-m", "graphspec", *words, cwd=cwd)
        return done.returncode, done.stdout

    def graphspec(*words: str) -> str:
        done = python("-m", "graphspec", *words)
        done.check_returncode()
        return done.stdout

    if asked.version not in (said := graphspec("--version")):
        parser.error(f"{asked.path} has {said.strip()}, not {asked.version}")
    folder.mkdir(exist_ok=asked.records)
    if not asked.records:
        make_exhibits(folder, graphspec)
    with tempfile.TemporaryDirectory() as scratch:
        found = promises.names(run, lambda code: python("-c", code).stdout, Path(scratch))
        found["records"] = promises.record_keys(run, Path(scratch) / "records", folder)
        found["statuses"] = promises.statuses(run, Path(scratch) / "statuses", folder)
        wrong = promises.problems(run, Path(scratch), asked.problems)
    for name, record in (("answers", evaluated(folder, graphspec)), ("names", found), ("problems", wrong)):
        text = json.dumps(record, indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def evaluated(folder: Path, graphspec: Callable[..., str]) -> dict[str, dict[str, float]]:
    """By spec, the losses and metrics of the stopped run on all rows of its data."""
    found = {}
    for spec in sorted((HERE / "specs").glob("*.yaml")):
        data = next(path for path in spec.parent.glob(f"{spec.stem}.*") if path != spec)
        said = graphspec("evaluate", str(folder / spec.stem), "--data", str(data))
        found[spec.stem] = promises.values(said)
    return found


def make_exhibits(folder: Path, graphspec: Callable[..., str]) -> None:
    for spec in sorted((HERE / "specs").glob("*.yaml")):
        name, relative = spec.stem, f"specs/{spec.name}"
        graphspec("train", relative, "--set", "training.epochs=2", "--out", str(folder / name))
        written = folder / name / "spec.json"  # old versions wrote where the data lay on this machine
        written.write_text(
            written.read_text(encoding="utf-8").replace(f"{HERE}/specs/", "../../specs/"), encoding="utf-8"
        )
        with tempfile.TemporaryDirectory() as scratch:
            file = str(folder / f"{name}.onnx")
            graphspec("train", relative, "--out", f"{scratch}/run", "--export", file)
            shutil.copy(f"{scratch}/run/history.csv", folder / f"{name}.csv")


if __name__ == "__main__":
    main()
