"""The programs of a model card: in Node, with the answers of the runtime."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from consumers.apps import HERE, node_with, run
from paths import ROOT

import graphspec as gs
from graphspec.show.report.card import card
from graphspec.show.report.findings import find

pytestmark = pytest.mark.slow


def test_the_program_in_javascript_prints_the_answers(tmp_path: Path) -> None:
    node = node_with("onnxruntime-node")
    (tmp_path / "data").mkdir()
    shutil.copyfile(ROOT / "specs" / "penguins.yaml", tmp_path / "penguins.yaml")
    for part in ("train", "test"):
        shutil.copyfile(ROOT / "specs" / "data" / f"penguins_{part}.csv", tmp_path / "data" / f"penguins_{part}.csv")
    model = gs.compile(tmp_path / "penguins.yaml")
    model.fit(epochs=2, verbose=0)
    model.save(tmp_path / "run")
    model.export(tmp_path / "penguins.onnx")
    text = card(find(model, tmp_path / "run"), "penguins.onnx")
    [program] = re.findall(r"^```javascript\n(.*?)^```$", text, re.M | re.S)
    shown = "console.log(JSON.stringify([name, Array.from(outputs[name].data)]));"
    program = re.sub(r"console\.log\(name, .*", shown, program)
    (tmp_path / "node_modules").symlink_to(HERE / "node" / "node_modules", target_is_directory=True)
    (tmp_path / "call.mjs").write_text(program, encoding="utf-8")
    done = run(node, "call.mjs", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = dict(json.loads(line) for line in done.stdout.splitlines())
    first = {name: array[:1] for name, array in model.part("test").inputs.items()}
    expected = model.run(first)["species"][0]
    np.testing.assert_allclose(answers["species"], expected, rtol=1e-4, atol=1e-6)
    assert answers["species_label"] == [model.labels["species"][int(expected.argmax())]]
