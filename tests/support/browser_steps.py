"""Training steps by onnxruntime here and in a browser: the same losses, the same weights in the end."""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import shown
from consumers.apps import HERE, browser, node_with

from graphspec.export import training_step
from graphspec.graph.onnx_session import session

ENGINE = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
Feeds = list[dict[str, Any]]


def recorded_feeds(monkeypatch: pytest.MonkeyPatch) -> list[Feeds]:
    """Return a list to which each proof of a training step adds the feeds of its steps."""
    kept: list[Feeds] = []
    original = training_step._feeds

    def feeds(step: Any, data: Any) -> Feeds:
        found = original(step, data)
        kept.append([{name: each[name] for name in step.feeds} for each in found])
        return found

    monkeypatch.setattr(training_step, "_feeds", feeds)
    return kept


def _trained(path: Path, feeds: Feeds) -> tuple[list[float], dict[str, Any]]:
    """Return the losses of the steps, and what the weights, slots and statistics are in the end."""
    step, start = session(path), session(path.with_suffix(".start.onnx"))
    names, losses = [o.name for o in step.get_outputs()], []
    state = dict(zip((o.name for o in start.get_outputs()), start.run(None, {}), strict=True))
    for each in feeds:
        found = dict(zip(names, step.run(names, each | state), strict=True))
        losses.append(float(found["loss"]))
        state = {name: found[f"{name}/next"] for name in state}
    return losses, state


def check_in_browser(steps: Mapping[str, tuple[Path, Feeds]], folder: Path) -> None:
    """Train by each file in headless Chromium; a weight may be off by a part of its way: by that of the proof, and a bit."""
    node_with("onnxruntime-web")
    for name in ENGINE:
        shutil.copy(HERE / "node" / "node_modules" / "onnxruntime-web" / "dist" / name, folder)
    shutil.copy(HERE / "web" / "train.html", folder)
    (folder / "networks.json").write_text(json.dumps([*steps]), encoding="utf-8")
    wanted = {}
    for name, (path, feeds) in steps.items():
        (folder / name).mkdir()
        for file in (path, path.with_suffix(".start.onnx")):
            shutil.copy(file, folder / name / f"step{file.name.removeprefix(path.stem)}")
        losses, state = wanted[name] = _trained(path, feeds)
        (folder / name / "end.bin").write_bytes(b"".join(np.float32(state[key]).tobytes() for key in sorted(state)))
        arrays = [
            {
                key: {"type": str(a.dtype), "data": b64encode(a.tobytes()).decode(), "dims": a.shape}
                for key, a in each.items()
            }
            for each in feeds
        ]
        (folder / name / "feeds.json").write_text(json.dumps(arrays), encoding="utf-8")
    found = json.loads(shown(browser(), folder, "train.html", lambda text: text.startswith("{")))
    assert "error" not in found, found["error"]
    for name, (losses, state) in wanted.items():
        record = json.loads(session(steps[name][0]).get_modelmeta().custom_metadata_map[training_step.KEY])
        proved = record["proof"]["weights"]  # a network doubles what rounding changes in each step, or not
        np.testing.assert_allclose(found[name]["losses"], losses, rtol=1e-3 + proved, atol=1e-5, err_msg=name)
        assert {*found[name]["moved"]} == {*state}
        within = 1e-2 + 10 * proved
        slots = {slot["name"] for slot in record["slots"]} if proved > 1e-3 else set()  # a mean of some last gradients
        moved = {key: pair for key, pair in found[name]["moved"].items() if key not in slots}
        far = {key: (apart, way) for key, (apart, way) in moved.items() if not apart <= within * way + 1e-5}
        assert not far, f"{name}, proved within {proved}: {far}"
