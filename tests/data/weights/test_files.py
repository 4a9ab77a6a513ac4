"""Files of weights that are refused, and the line that converts them."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import graphspec
from safetensors.numpy import load_file

from graphspec.base.errors import ProblemError
from graphspec.data.weights.plan import open_weights

KERNEL = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin", ".keras", ".h5", ".pkl", ".npy"])
def test_pickles_and_files_of_others_are_not_opened(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a b{suffix}"
    with pytest.raises(ProblemError) as caught:
        open_weights(path)
    command = shlex.split(str(caught.value.problem.hint).partition("if you trust it: ")[2])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "line", "exec")
    if suffix == ".pkl":
        import pickle

        path.write_bytes(pickle.dumps({"y/kernel": KERNEL.T}))
    elif suffix == ".npy":
        np.save(path, {"y/kernel": KERNEL.T}, allow_pickle=True)  # type: ignore[arg-type]
    else:
        return
    subprocess.run([sys.executable, *command[1:]], check=True)
    np.testing.assert_array_equal(load_file(path.with_suffix(".safetensors"))["y/kernel"], KERNEL.T)


def test_objects_in_an_archive_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", kernel=np.array([None]))
    with pytest.raises(ProblemError, match="Python objects"):
        open_weights(tmp_path / "w.npz")


SPEC = """
graphspec: 1
name: kinds
inputs: {x: {shape: [3]}}
layers:
  - {name: body, type: Dense, units: 2, activation: relu}
  - {name: kind, type: Dense, units: 2, activation: softmax}
outputs: {kind: {loss: sparse_categorical_crossentropy}}
data: {train: {file: rows.npz}, test: {file: rows.npz}}
training: {epochs: 1, batch_size: 8, seed: 2, shards: 2, initial_weights: {file: ../base/w.npz, allow_missing: [kind/*]}}
"""


@pytest.mark.slow
def test_runs_resume_and_export_without_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, base = tmp_path / "here", tmp_path / "base"
    folder.mkdir()
    base.mkdir()
    monkeypatch.chdir(folder)
    x = np.random.default_rng(0).standard_normal((24, 3)).astype(np.float32)
    np.savez("rows.npz", x=x, kind=(x[:, 0] > 0).astype(int))
    np.savez(base / "w.npz", **{"body/kernel": KERNEL, "body/bias": KERNEL[0], "old": KERNEL})
    Path("net.yaml").write_text(SPEC)
    line = "initial weights: 2 of 4 from ../base/w.npz; 2 start new: kind/kernel,"
    for command in (("validate", "net.yaml"), ("summary", "net.yaml")):
        assert line in graphspec(*command).stdout
    for out, more in (("one", ()), ("two", ("--set", "training.workers=2"))):
        options = ("--no-report", "--set", "training.epochs=2", "--out", out)
        result = graphspec("train", "net.yaml", *options, *more)
        assert result.exit_code == 0, result.stderr
        assert line in result.stdout
    assert Path("one/weights.safetensors").read_bytes() == Path("two/weights.safetensors").read_bytes()
    assert graphspec("train", "net.yaml", "--no-report", "--out", "part").exit_code == 0
    for command in (
        ("evaluate", "net.yaml"),
        ("predict", "net.yaml", "rows.npz"),
        ("export", "net.yaml", "-o", "n.onnx"),
    ):
        result = graphspec(*command)
        assert (result.exit_code, line in result.stderr) == (0, True), result.stderr
    said = graphspec("validate", "part").stdout
    (base / "w.npz").unlink()
    assert graphspec("validate", "part").stdout == said
    again = ("--no-report", "--set", "training.epochs=2", "--out", "part", "--resume")
    assert graphspec("train", "net.yaml", *again).exit_code == 0
    assert Path("one/weights.safetensors").read_bytes() == Path("part/weights.safetensors").read_bytes()
    assert '"taken": 2' in Path("part/run.json").read_text()  # also after it was resumed
    for command in (("evaluate", "part"), ("export", "part", "-o", "p.onnx")):
        assert graphspec(*command).exit_code == 0
    Path("second.yaml").write_text(SPEC.replace("{file: ../base/w.npz, allow_missing: [kind/*]}", "part"))
    assert "initial weights: 4 of 4 from part" in graphspec("validate", "second.yaml").stdout
    result = graphspec("report", "second.yaml")
    assert "is a spec, but this needs a run" in result.stderr
    result = graphspec("export", "net.yaml", "-o", "n.onnx")
    assert (result.exit_code, "GS501" in result.stderr) == (1, True)
    Path("none.yaml").write_text(
        SPEC.replace("initial_weights: {file: ../base/w.npz, allow_missing: [kind/*]}", "workers: 1")
    )
    result = graphspec("export", "none.yaml", "-o", "n.onnx")
    assert (result.exit_code, "it names no `initial_weights`" in result.stderr) == (2, True)


RECORDS = """
graphspec: 1
name: records
inputs: {row: {columns: {size: number, kind: category}}}
layers: [{name: sort, type: Dense, units: 2, activation: softmax}]
outputs: {sort: {loss: sparse_categorical_crossentropy}}
data: {train: {file: rows.csv}}
training: {epochs: 1, batch_size: 4}
"""


@pytest.mark.slow
def test_what_is_learnt_from_rows_is_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "\n".join(f"{k},{'abc'[k % 3]},{['no', 'yes'][k % 2]}" for k in range(12))
    Path("rows.csv").write_text(f"size,kind,sort\n{rows}\n")
    Path("net.yaml").write_text(RECORDS)
    assert graphspec("train", "net.yaml", "--no-report", "--export", "run.onnx").exit_code == 0
    Path("again.yaml").write_text(RECORDS.replace("epochs: 1", "epochs: 1, initial_weights: runs/records"))
    assert "initial weights: 2 of 2 from runs/records" in graphspec("validate", "again.yaml").stdout
    result = graphspec("export", "again.yaml", "-o", "spec.onnx")
    assert result.exit_code == 0, result.stderr
    for new, old in (("spec.onnx", "run.onnx"), ("again.yaml", "runs/records")):
        assert graphspec("predict", new, "rows.csv").stdout == graphspec("predict", old, "rows.csv").stdout
    Path("again.yaml").write_text(Path("again.yaml").read_text().replace("data: {train: {file: rows.csv}}\n", ""))
    result = graphspec("predict", "again.yaml", "rows.csv")
    assert (result.exit_code, "learns from training rows first" in result.stderr) == (2, True)
