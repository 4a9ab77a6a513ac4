"""Whole networks of `keras.applications` through ``graphspec import``, compared with Keras.

``python -m benchmarks.keras_files --keras PYTHON [NAME …]`` prints a table. PYTHON is an interpreter with Keras and
TensorFlow. Each network gets random weights and statistics, and is saved by Keras; the command imports the file, and outputs
and one step of SGD on two pictures are compared: relative differences of the outputs, of the loss, of the changes of all
weights, and the median of that of one weight. Both compute in float32, so differences are rounding: gradients of networks
with random weights, normalized over two pictures, are sensitive to it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import graphspec as gs

NAMES = (
    *("VGG16", "ResNet50", "ResNet50V2", "InceptionV3", "InceptionResNetV2", "Xception", "MobileNet", "MobileNetV2"),
    *("MobileNetV3Small", "DenseNet121", "NASNetMobile", "EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny"),
)
HEAD = ("network", "weights", "lines", "import (s)", "outputs", "loss", "step", "median of a weight")
CHILD = Path(__file__).with_name("keras_files_child.py")


def row(name: str, keras: str, folder: Path) -> tuple[str, ...]:
    """One line of the table: relative differences to Keras."""
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([keras, "-P", CHILD, name, folder], env=environment, check=True, capture_output=True)
    spec = folder / f"{name}.yaml"
    command = [sys.executable, "-m", "graphspec", "import", folder / f"{name}.keras", "-o", spec, "--overwrite"]
    start = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        return name, "", "", f"{seconds:.1f}", (done.stderr + done.stdout).strip().replace("\n", " ")[:300]
    kept, about = np.load(folder / f"{name}.npz"), json.loads((folder / f"{name}.json").read_text("utf-8"))
    model = gs.compile(spec)
    weights = {key: np.array(array) for key, array in model.weights.items()}
    answers = model.predict(kept["x"])
    outputs = np.max(np.abs(answers - kept["outputs"])) / np.max(np.abs(kept["outputs"]))
    history = model.fit(kept["x"], kept["y"], epochs=1, batch_size=len(kept["y"]), shuffle=False, verbose=0)
    loss = abs(history["loss"][0] / about["loss"] - 1)
    prints = {hashlib.sha256(array.tobytes()).hexdigest(): key for key, array in weights.items()}
    assert prints.keys() == about["weights"].keys(), "other weights"
    differences, lengths = [], []
    for key, (length, product) in zip(about["weights"], kept["sums"], strict=True):
        change = model.weights[prints[key]].ravel().astype(float) - weights[prints[key]].ravel()
        found = np.linalg.norm(change), change @ np.cos(1.7 * np.arange(change.size) + 0.3)
        differences.append(max(abs(found[0] - length), abs(found[1] - product)))
        lengths.append(length)
    count, lines = sum(array.size for array in weights.values()), len(spec.read_text("utf-8").splitlines())
    step = np.linalg.norm(differences) / np.linalg.norm(lengths)
    median = np.median(np.array(differences) / np.maximum(lengths, 1e-9))
    numbers = (outputs, loss, step, median)
    return name, f"{count:,}", str(lines), f"{seconds:.1f}", *(f"{number:.0e}" for number in numbers)


def main(arguments: list[str]) -> int:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keras_files", description=__doc__)
    parser.add_argument("--keras", required=True, help="an interpreter with Keras and TensorFlow")
    parser.add_argument("names", nargs="*", help="functions of keras.applications")
    given = parser.parse_args(arguments)
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    for name in given.names or NAMES:
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {' | '.join(row(name, given.keras, Path(folder)))} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
