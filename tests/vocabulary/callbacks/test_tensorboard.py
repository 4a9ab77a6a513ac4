"""Event files: complete records with Keras's names, and no value twice after a run is resumed."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic_core import PydanticCustomError
from resuming import Kill, KilledError, interrupt, resume, whole
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.graph_pb2 import GraphDef
from tensorboardX.record_writer import masked_crc32c

import graphspec as gs
from graphspec.engine.training.reporting import Silent
from graphspec.engine.training.run_directory import start_run
from graphspec.vocabulary.callbacks import CALLBACKS
from specs import blobs, dense_spec


def spec(tmp_path: Path, **arguments: Any) -> dict[str, Any]:
    """Five steps per epoch, two epochs."""
    x, y = blobs(rows=80)
    if not (tmp_path / "rows.npz").exists():
        np.savez(tmp_path / "rows.npz", x=x, kind=y)
    file = {"file": str(tmp_path / "rows.npz")}
    made = dense_spec(data={"train": file, "validation": file})
    made["training"] |= {"epochs": 2, "callbacks": [{"type": "TensorBoard", **arguments}]}
    return made


def events(folder: Path) -> list[Event]:
    """Return the events of all files; check their checksums."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            content = data[at + 12 : at + 12 + length]
            assert struct.unpack_from("<I", data, at + 8) == (masked_crc32c(data[at : at + 8]),)
            assert struct.unpack_from("<I", data, at + 12 + length) == (masked_crc32c(content),)
            found.append(Event.FromString(content))
            at += 16 + length
    return found


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    """Return the values by tag and step; none may occur twice."""
    found: dict[tuple[str, int], float] = {}
    for event in events(folder):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                assert (value.tag, event.step) not in found, f"{value.tag} {event.step} twice"
                found[value.tag, event.step] = value.simple_value
    return found


def test_scalars_of_epochs(tmp_path: Path) -> None:
    history = whole(spec(tmp_path), tmp_path / "run").history
    train, validation = (scalars(tmp_path / "run" / "logs" / part) for part in ("train", "validation"))
    expected = {(f"epoch_{k}", e): history[k][e] for k in ("loss", "accuracy") for e in range(2)}
    assert train == pytest.approx(expected | {("epoch_learning_rate", e): 0.02 for e in range(2)})
    figures = {f"{k}": history[f"val_{k}"] for k in ("loss", "accuracy")}
    expected = {(f"epoch_{k}", e): figures[k][e] for k in figures for e in range(2)}
    expected |= {(f"evaluation_{k}_vs_iterations", 5 * (e + 1)): figures[k][e] for k in figures for e in range(2)}
    assert validation == pytest.approx(expected)
    first, graph, *_ = events(tmp_path / "run" / "logs" / "train")
    assert first.file_version == "brain.Event:2"
    nodes = {node.name: node for node in GraphDef.FromString(graph.graph_def).node}
    assert nodes["hidden/Relu"].input[:] == ["hidden/Gemm"]
    assert all(name in nodes for node in nodes.values() for name in node.input)


def test_scalars_of_batches_and_histograms(tmp_path: Path) -> None:
    arguments = {"update_freq": 2, "write_graph": False, "histogram_freq": 1, "write_steps_per_second": True}
    run = whole(spec(tmp_path, log_dir="deep/elsewhere", **arguments), tmp_path / "run")
    train = scalars(tmp_path / "run" / "deep" / "elsewhere" / "train")
    assert [step for tag, step in train if tag == "batch_loss"] == [2, 4, 6, 8, 10]
    assert train["batch_loss", 10] == pytest.approx(run.history["loss"][1])
    assert train["epoch_steps_per_second", 1] > 0
    assert train["batch_steps_per_second", 2] > 0
    values = [
        v for e in events(tmp_path / "run" / "deep" / "elsewhere" / "train") if e.step == 1 for v in e.summary.value
    ]
    histograms = {v.tag: v.histo for v in values if v.WhichOneof("value") == "histo"}
    assert set(histograms) == {f"{name}/histogram" for name in run.model.weights}
    kernel = run.model.weights["hidden/kernel"]
    assert histograms["hidden/kernel/histogram"].num == kernel.size
    assert histograms["hidden/kernel/histogram"].sum == pytest.approx(kernel.sum(), rel=1e-5)


@pytest.mark.parametrize("after", [3, 5, 7])
def test_a_resumed_run_has_no_value_twice(tmp_path: Path, after: int) -> None:
    trained = spec(tmp_path, update_freq="batch")
    whole(trained, tmp_path / "whole")
    interrupt(trained, tmp_path / "run", after)
    with pytest.raises(KilledError):
        resume(trained, tmp_path / "run", lambda: Kill(2))  # no checkpoint knows its values
    resume(trained, tmp_path / "run")
    for part in ("train", "validation"):
        one, other = (scalars(tmp_path / name / "logs" / part) for name in ("whole", "run"))
        assert one == other
        assert len(list((tmp_path / "run" / "logs" / part).iterdir())) == 1


def test_a_restarted_run_removes_the_files_of_the_killed_one(tmp_path: Path) -> None:
    trained = spec(tmp_path, update_freq="batch")
    model = gs.compile(trained)
    start_run(model, tmp_path / "run")
    with pytest.raises(KilledError):
        model.trainer(Kill(2), tmp_path / "run").run()
    gs.compile(trained).trainer(Silent(), tmp_path / "run").run()
    assert ("batch_loss", 10) in scalars(tmp_path / "run" / "logs" / "train")


def test_without_a_run_directory_other_files_remain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        gs.compile(spec(tmp_path)).fit(verbose=0)
    assert len(list((tmp_path / "logs" / "train").iterdir())) == 2


@pytest.mark.parametrize(
    "value", [{"write_images": True}, {"profile_batch": 2}, {"embeddings_freq": 1}, {"update_freq": "step"}]
)
def test_what_is_not_written(value: dict[str, Any]) -> None:
    with pytest.raises(PydanticCustomError):
        CALLBACKS.parse({"type": "TensorBoard", **value})


def test_equal_runs_have_equal_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of their event files hold neither a time nor a machine; a second run in a folder takes the next name."""
    trained = spec(tmp_path)
    folders = [tmp_path / "one", tmp_path / "two"]
    for k, folder in enumerate(folders):
        monkeypatch.setattr("os.getpid", lambda k=k: 100 + k)
        whole(trained, folder)
    assert len({(folder / "checkpoint.json").read_bytes() for folder in folders}) == 1
    names = [sorted(p.name for p in folder.rglob("*tfevents*")) for folder in folders]
    assert names[0] == names[1] == ["events.out.tfevents.0000000000.graphspec"] * 2
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        gs.compile(trained).fit(verbose=0)
    assert sorted(p.name for p in (tmp_path / "logs" / "train").iterdir()) == [
        f"events.out.tfevents.{k:010d}.graphspec" for k in range(2)
    ]
