"""Processes that would compute something else than rank 0 are refused before the first step, and by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi import job, why_not
from paths import ROOT
from watching import Recorder, watched

from graphspec.base.errors import RunError
from graphspec.engine.parallel.agreement import compare, installation, program
from specs import dense_spec

PLUGIN = """
from graphspec.extend import LAYERS, Builder, Layer, Value
from graphspec.vocabulary.layers.normalization import BatchNormalization

WIDE = NORMED = False

@LAYERS.add()
class Gate(Layer):
    "Depends on variables, as no plugin should."

    def lower(self, g: Builder, X: Value) -> Value:
        X = g.Mul(X, g.constant(2.0 if WIDE else 1.0))
        return BatchNormalization().lower(g, X) if NORMED else X
"""
TRAIN = """
import sys
from graphspec.engine.parallel import processes
from graphspec.engine.training import choose_workers
choose_workers.usable_cores = lambda: 2
import numpy as np
import graphspec as gs
import gates

def train(forked=True, **variables):
    processes.can_fork = lambda: forked
    vars(gates).update(variables)
    spec = {"graphspec": 1, "name": "gated", "inputs": {"x": {"shape": [4]}},
        "layers": [{"name": "norm", "type": "Gate"}, {"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {"loss": "mse"}}, "training": {"workers": 2, "batch_size": 8, "epochs": 1}}
    model = gs.compile(spec)
    before = model.weights
    try:
        model.fit(np.ones((40, 4), "float32"), np.ones((40, 1), "float32"), verbose=0)
        print("trained", flush=True)
    except gs.RunError as error:
        assert all((before[k] == w).all() for k, w in model.weights.items())
        print(error, flush=True)
"""


def python(folder: Path, script: str, **variables: str) -> list[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])} | variables
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def facts(spec: Any) -> dict[str, str | None]:
    """What a process states that trains a spec on blobs."""
    trainer = watched(spec, Recorder(), 1)
    return dict(program(trainer.steps.common))


@pytest.mark.slow
def test_a_worker_whose_plugin_computes_something_else_ends_the_training(tmp_path: Path, two_cores: None) -> None:
    """Before, the second trained on other numbers, and the third waited for ever; a forked worker has rank 0's plugin."""
    (tmp_path / "gates.py").write_text(PLUGIN, encoding="utf-8")
    script = (
        f"{TRAIN}\ntrain(False)\ntrain(False, WIDE=True)\ntrain(False, WIDE=False, NORMED=True)\ntrain(WIDE=True)\n"
    )
    same, constant, operators, inherited = python(tmp_path, script)
    assert same == inherited == "trained"
    assert constant.startswith("GS606: rank 0 and worker 1 differ in the attributes, shapes or constants of 'norm'")
    assert operators.startswith("GS606: rank 0 and worker 1 differ in the operators of 'norm': 'Mul, ")
    assert "on rank 0, 'Mul' on worker 1 (also in " in operators
    assert "imports the plugins anew: let what they compute depend on the spec alone" in operators


@pytest.mark.slow
def test_ranks_compare_their_programs_too(tmp_path: Path) -> None:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    (tmp_path / "gates.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "s.yaml").write_text(
        "{graphspec: 1, name: gated, inputs: {x: {shape: [4]}}, layers: [{name: norm, type: Gate}, "
        "{name: y, type: Dense, units: 1}], outputs: {y: {loss: mse}}, data: {train: {file: d.npz}}}",
        encoding="utf-8",
    )
    np.savez(tmp_path / "d.npz", x=np.ones((40, 4), np.float32), y=np.ones((40, 1), np.float32))
    start = f"import os, sys; os.chdir({str(tmp_path)!r}); sys.path.insert(0, '.'); import gates; "
    start += "sys.argv[0] = 'graphspec'; from graphspec.__main__ import main; gates.WIDE = {}; main()"
    done = job(*(["-c", start.format(wide), "train", "s.yaml", "--mpi", "--no-report"] for wide in (False, True)))
    said = " ".join(done.stderr.split())
    assert done.returncode == 3, said
    assert "error[GS606]: rank 0 and rank 1 differ in the attributes, shapes or constants of 'norm'" in said
    assert said.count("GS606") == 1


@pytest.mark.slow
def test_facts_are_the_same_in_every_process(tmp_path: Path) -> None:
    """Hashes of Python's texts differ from process to process; those of the facts must not."""
    script = (
        "import sys; sys.path[:0] = ['tests', 'tests/support', 'tests/engine/parallel']\nimport test_agreement as t\n"
    )
    script += "from specs import *; f = t.facts(dense_spec()); print(t.installation() | f)"
    os.chdir(ROOT)
    first, second = (python(ROOT, script, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert first == second
    assert "the operators of 'hidden'" in first[0]


def test_facts_name_the_layer_that_differs() -> None:
    known = facts(dense_spec())
    compare(known, facts(dense_spec()), "rank 0", "worker 1")
    other = dense_spec()
    other["layers"][1]["rate"] = 0.5
    with pytest.raises(RunError, match=r"GS606: rank 0 and worker 3 differ in the .* of 'drop'"):
        compare(known, facts(other), "rank 0", "worker 3")
    other = dense_spec()
    other["layers"][0]["activation"] = "tanh"
    with pytest.raises(RunError, match=r"the operators of 'hidden': '.*Relu' on rank 0, '.*Tanh' on worker 1"):
        compare(known, facts(other), "rank 0", "worker 1")
    other["layers"][0] |= {"units": 9, "activation": "relu"}
    with pytest.raises(RunError, match=r"also in .*the weight 'hidden/kernel'"):
        compare(known, facts(other), "rank 0", "worker 1")


def test_versions_and_kernels_are_compared() -> None:
    known = installation()
    assert known["the version of NumPy"] == np.__version__
    with pytest.raises(
        RunError, match=r"rank 0 and rank 2 differ in BLAS kernels: .* on rank 0, 'Zen' on rank 2"
    ) as caught:
        compare(known, {**known, "BLAS kernels": "Zen"}, "rank 0", "rank 2")
    assert "OPENBLAS_CORETYPE" in str(caught.value.hint)
