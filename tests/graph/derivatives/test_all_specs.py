"""Every shipped spec and every template of ``init`` has a training step in operators of ONNX, or says what lacks one."""

from __future__ import annotations

from pathlib import Path

import pytest
from paths import ROOT

from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.objective import add_losses
from graphspec.graph.builder import Target
from graphspec.graph.cuts import cut
from graphspec.graph.derivatives import gradients, in_primitives, without_rule
from graphspec.graph.ops import OPS

REFUSED = {"handwriting": {"CTCLoss"}, "conformer_s": {"CTCLoss"}}
TEMPLATES = sorted((ROOT / "graphspec" / "cli" / "templates").glob("*.yaml"))
SPECS = sorted((ROOT / "specs").glob("*.yaml"))
ARCHITECTURES = sorted((ROOT / "specs" / "architectures").glob("*.yaml"))


@pytest.mark.parametrize(
    "path",
    [*TEMPLATES, *SPECS, *(pytest.param(path, marks=pytest.mark.slow) for path in ARCHITECTURES)],
    ids=lambda path: path.stem,
)
def test_every_weight_has_a_gradient(path: Path) -> None:
    spec, lowered = check(str(path)).require()
    parts = cut(lowered.graph)
    objective = add_losses(lowered.graph if parts is None else parts.rest, spec)
    written = in_primitives(objective.graph.with_outputs({"loss": objective.total}), Target())
    trained = [name for name, p in written.params.items() if p.trainable]
    missing = {n.op for n in without_rule(written, written.outputs["loss"], trained)}
    assert missing == REFUSED.get(path.stem, set())
    assert {n.op for n in written.nodes if not OPS[n.op].exported} - {"StopGradient"} == missing
    if not missing:
        assert set(gradients(written, written.outputs["loss"], trained)) == set(trained)
