"""The networks in `specs/architectures`: checked, one training step on made-up rows, exported and proved.

Parameter counts are the published ones where these exist. What trains here has fewer pixels and narrower layers than
what is shipped, by the variables that each spec has for that.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from paths import ROOT

import graphspec as gs
from benchmarks.architectures import described, rows
from graphspec.data.architectures import FOR_FOLDERS, purpose
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.lowered_network import cost
from graphspec.graph.ir.graph import Graph
from graphspec.language.declarations import Spec
from graphspec.show.drawing.outline import outline
from graphspec.show.drawing.svg import svg

FOLDER = ROOT / "specs" / "architectures"
SPECS = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}

PARAMETERS = {
    "autoencoder": 278_369,
    "bilstm_tagger": 2_164_217,
    # Before the blocks 582,336; sixteen blocks of 507,168: two halves of a feed-forward network 333,792, attention
    # 104,832, convolution 68,256, normalization 288; the answer 148,480.
    "conformer_s": 8_845_504,
    "convnext_tiny": 28_589_128,  # keras.applications
    "deeplab_v3_plus": 11_857_236,  # Keras's example
    "densenet121": 8_062_504,  # keras.applications
    "dlrm": 540_677_217,  # 33,762,577 rows of 16, as published; 155,984 below and 320,001 above the products
    "efficientnet_b0": 5_330_564,  # keras.applications: 5,330,571 with the 7 numbers of the Normalization
    "espcn": 59_657,  # Keras's example
    "gin": 1_861_801,  # Hu et al.'s 1,860,900, two rows of padding, and the answer's 301
    "inception_v3": 23_851_784,  # keras.applications
    "mlp_mixer": 59_880_472,  # of Mixer-B/16 with 1,000 classes
    "mobilenet_v2": 3_538_984,  # keras.applications
    "resnet50": 25_636_712,  # keras.applications
    "simclr": 11_508_288,  # ResNet-18 for small pictures has 11,168,832; statistics 9,600; projection 329,856
    "swin_t": 28_288_354,  # torchvision
    # vectors 60,320; eleven GRNs of 103,360 and one of 128,960; choices 157,780 and 130,735; LSTMs 410,880; three gates of
    # 51,840; attention 64,000; a GRN before the last gate 103,360; the answer 483
    "temporal_fusion_transformer": 2_348_998,
    "text_cnn": 2_714_201,
    "transformer_encoder": 3_419_396,
    "unet": 31_030_593,
    "vae": 134_165,  # Keras's example: 69,076 and 65,089
    "vgg16": 138_357_544,  # keras.applications
    "vit_b16": 86_567_656,  # torchvision
    "wavenet": 101_216,
    "wide_and_deep": 43_977,
}
SMALLER = {
    "conformer_s": ["vars.mels=20", "vars.dim=12", "vars.heads=2", "vars.kernel=3", "vars.depth=2", "vars.pieces=5"],
    "convnext_tiny": ["vars.size=32", "vars.thin=24", "vars.layer_scale=0.1"],  # 1e-6: hardly a gradient
    "deeplab_v3_plus": ["vars.size=32"],
    "densenet121": ["vars.size=64"],
    "dlrm": ["vars.rows=52", f"layers.first.value={[2 * k for k in range(26)]}"],
    "efficientnet_b0": ["vars.size=32"],
    "gin": ["vars.width=16", "vars.hidden=32"],
    "inception_v3": ["vars.size=96"],
    "mlp_mixer": [
        *("vars.size=32", "vars.channels=16", "vars.token_units=8", "vars.channel_units=32", "vars.depth=2"),
        "layers.object.kernel_initializer=lecun_normal",  # zeros give no other weight a gradient in the first step
    ],
    "mobilenet_v2": ["vars.size=64"],
    "resnet50": ["vars.size=64"],
    "simclr": ["vars.size=16", "vars.wide=64", "training.optimizer.learning_rate=0.1"],  # the first step has none
    "swin_t": ["vars.size=64", "vars.window=2", "vars.thin=32", "training.seed=2"],  # drops no branch for both rows
    "temporal_fusion_transformer": ["vars.past=6", "vars.future=3", "vars.width=16"],
    "unet": ["vars.size=32", "vars.thin=4"],
    "vgg16": ["vars.size=32", "vars.wide=64"],
    "vit_b16": [
        *("vars.size=32", "vars.channels=32", "vars.heads=4", "vars.depth=2"),
        "layers.object.kernel_initializer=lecun_normal",
    ],
}


def test_every_spec_is_here() -> None:
    assert SPECS.keys() == PARAMETERS.keys()


@pytest.mark.parametrize("name", PARAMETERS)
def test_valid_without_a_word_and_as_large_as_published(name: str) -> None:
    checked = check(str(SPECS[name]))
    assert [d.message for d in checked.diagnostics] == []
    declaration, lowered = checked.require()
    total = cost(declaration, lowered, 1).total()
    assert total.trainable + total.frozen == PARAMETERS[name]
    cells = described(name, SPECS[name].read_text(encoding="utf-8"), lowered.graph)
    row = re.escape(cells[0]) + "".join(rf" +\| {re.escape(cell)}" for cell in cells[1:]) + r" +\| \d+ +\| [\d.]+ +\|$"
    assert re.search(row, PAGE, re.M), f"run python -m benchmarks.architectures --markdown docs/zoo.md: {cells}"
    drawing = svg(outline(declaration, lowered, cost(declaration, lowered, 1)))
    stored = ROOT / "docs" / "pictures" / "architectures" / f"{name}.svg"
    assert drawing == stored.read_text(encoding="utf-8"), f"run graphspec plot {SPECS[name]} -o {stored}"
    assert FOR_FOLDERS.get(purpose(SPECS[name].read_text(encoding="utf-8"))) == files_for(declaration, lowered.graph)


def files_for(spec: Spec, graph: Graph) -> str | None:
    """The files of a folder for each class that are enough: one head has classes, one input colours or ids of words."""
    shapes = [v.shape for v in graph.inputs.values()]
    answers = [graph.outputs[name].shape for name in spec.all_heads if spec.all_heads[name].needs_data]
    if len(shapes) > 1 or len(spec.all_heads) > 1 or [*map(len, answers)] != [2]:
        return None
    return "images" if shapes[0][3:] == (3,) else "texts" if len(shapes[0]) == 2 else None


PAGE = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")


def test_the_page_has_every_network_once() -> None:
    assert sorted(re.findall(r"^\| \[(\w+)\]\(#\1\)", PAGE, re.M)) == sorted(SPECS)
    assert sorted(re.findall(r"^## (\w+)$", PAGE, re.M)) == sorted(SPECS)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_one_step_and_a_proved_export(name: str, tmp_path: Path) -> None:
    model = gs.compile(str(SPECS[name]), SMALLER.get(name, ()))
    before = model.weights
    history = model.fit(*rows(model, 2), epochs=1, batch_size=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    after = model.weights
    still = {p.name for p in model.graph.params.values() if np.array_equal(before[p.name], after[p.name])}
    unused = {name for name in still if name.endswith("embeddings")}  # rows of ids that do not occur
    assert still == unused
    proof = model.export(tmp_path / f"{name}.onnx")
    assert proof.differences.keys() == model.graph.outputs.keys()
    assert (tmp_path / f"{name}.onnx").stat().st_size > 0
