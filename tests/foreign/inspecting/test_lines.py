"""What `graphspec inspect` says of files of other programs, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnx_files import model, value, write
from safetensors.numpy import save
from trust.hostile_files.keras_models import functional, layer, start, tensor, text

from graphspec.foreign.door import kind_of, record_of
from graphspec.foreign.inspecting.lines import record_lines


def arrays(metadata: dict[str, str] | None = None, **named: Any) -> bytes:
    return save({name.replace("_", "/"): array for name, array in named.items()}, metadata)


F, IDS = np.ones(3, np.float32), np.ones(3, np.int64)
INNER = functional(start(name="a"), layer("Dense", "d", "a", units=3), name="look") | {
    "name": "look",
    "inbound_nodes": [{"args": [tensor("x")], "kwargs": {}}],
}
NESTED = functional(start(), INNER) | {"compile_config": {"loss": "mse", "optimizer": {"class_name": "Adam"}}}
LAMBDAS = functional(start(), *(layer("Lambda", f"l{k}", "x") for k in range(11)))
BRANCH = helper.make_graph([helper.make_node("Relu", ["x"], ["r"])], "inside", [], [value("r", ["n", 4])])
IF = helper.make_node("If", ["c"], ["y"], then_branch=BRANCH, else_branch=BRANCH)
YES = helper.make_tensor("c", 9, [], [True])
MANY = arrays(None, **{f"m{chr(97 + k // 26)}{chr(97 + k % 26)}_sub_w": F for k in range(60)})


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("w.safetensors", arrays({"made by": "me  and\nyou"}, w=F), ["metadata    made by: me and you"]),
        (
            "w.safetensors",
            arrays(None, w=F, a=IDS, m_b=IDS, m_c=IDS, n_d=IDS),
            ["arrays of int64", "  (no module)  a (3,), w float32 (3,)",
             "            4 arrays have no floats: a, m/b, m/c, …"],
        ),
        ("w.safetensors", MANY, ["  maa/…  1 array of 3 numbers"]),
        (
            "w.safetensors",
            arrays(),
            ["w.safetensors: weights, a file of safetensors", "", "size        16 B; no arrays", "numbers     0"],
        ),
        ("w.safetensors", arrays(None, a=IDS), ["            - none of its arrays are floats"]),
        (
            "net.json",
            text(NESTED),
            [
                "layers      3 layers: InputLayer 2, Dense 1",
                "            1 model inside the model",
                "training    loss mse, optimizer Adam",
            ],
        ),
        ("net.json", text(LAMBDAS), ["  l10  any shape", "            - and 3 more; `--json` has all"]),
        ("a.onnx", model([IF], [YES]), ["            2 graphs inside nodes"]),
    ],
)  # fmt: skip
def test_lines(name: str, content: Any, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [*record_lines(record_of(write(Path(name), content), kind_of(Path(name))), 100)]
    assert [line for line in said if line not in lines] == [], "\n".join(lines)
    assert "\n\n\n" not in "\n".join(lines)
