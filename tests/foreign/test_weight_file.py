"""The record of a file of weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from graphspec.foreign.door import weights_record


def test_arrays_of_pytorch(tmp_path: Path) -> None:
    arrays = {"fc.weight": np.ones((3, 4), np.float32), "fc.bias": np.ones(3, np.float16)}
    arrays["bn.num_batches_tracked"] = np.array(7)
    save_file(arrays, tmp_path / "w.safetensors", {"format": "pt"})
    record = weights_record(tmp_path / "w.safetensors")
    assert (record["kind"], record["container"], record["layout"]) == ("weights", "safetensors", "torch")
    assert record["metadata"] == {"format": "pt"}
    assert record["weights"]["count"] == 3
    assert record["weights"]["dtypes"]["float32"] == {"elements": 12, "bytes": 48}
    assert {a["name"]: (a["dtype"], a["shape"]) for a in record["arrays"]}["fc.bias"] == ("float16", [3])
    (use,) = record["uses"]
    assert use["possible"]
    assert use["how"] == "initial_weights: {file: w.safetensors, layout: torch}"
    assert use["others"] == ["bn.num_batches_tracked"]


def test_arrays_of_numpy_without_floats(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"dense/kernel": np.ones((2, 3), np.int64)})
    record = weights_record(tmp_path / "w.npz")
    assert (record["container"], record["layout"]) == ("npz", "keras")
    assert not record["uses"][0]["possible"]
    assert [reason["message"] for reason in record["uses"][0]["reasons"]] == ["none of its arrays are floats"]
