"""Make the exhibits of a release: ``python tests/museum/make.py 0.2.0 --path FOLDER``, where FOLDER has that version.

``pip install --no-deps --target FOLDER .`` in a checkout of the release makes the folder; for another Python or NumPy
than of then, ``--python``. The exhibits of a release are made once and never again: 0.1.0 is of commit 86c3a66f, 0.2.0
of 2230cb27. Each spec of ``specs/`` leaves in the folder of the version:

- ``NAME``: a run stopped after two of four epochs, to be resumed; the paths of its data are relative to it,
- ``NAME.csv``: the history of all four, trained without a stop,
- ``NAME.onnx``: the exported file of those.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version")
    parser.add_argument("--path", required=True, help="the folder with the package of that version")
    parser.add_argument("--python", default=sys.executable)
    asked = parser.parse_args()
    folder = HERE / asked.version
    folder.mkdir()

    def graphspec(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(Path(asked.path).resolve()), "OPENBLAS_NUM_THREADS": "1"}
        command = [asked.python, "-m", "graphspec", *words]
        return subprocess.run(command, env=environment, cwd=HERE, check=True, capture_output=True, text=True).stdout

    if asked.version not in (said := graphspec("--version")):
        parser.error(f"{asked.path} has {said.strip()}, not {asked.version}")
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
