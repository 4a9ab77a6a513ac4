"""``graphspec init --like``: a well-known network for one's own classes, sizes and files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec
from paths import ROOT

import graphspec as gs
from graphspec.data.architectures import FOR_FOLDERS, architectures, meant, purpose
from graphspec.engine.compiler.check import check
from graphspec.vocabulary.layers import LAYERS

KNOWN = architectures()
FOLDERS = {name: FOR_FOLDERS[purpose(text)] for name, text in KNOWN.items() if purpose(text) in FOR_FOLDERS}
OWN: dict[str, list[str]] = {
    "autoencoder": ["layers.code.units=16"],
    "bilstm_tagger": ["vars.tags=5"],
    "conformer_s": ["vars.pieces=30", "vars.mels=40"],
    "convnext_tiny": ["vars.classes=5", "vars.size=96"],
    "deeplab_v3_plus": ["vars.classes=5", "vars.size=128"],
    "densenet121": ["vars.classes=5", "vars.size=96"],
    "dlrm": ["vars.rows=33762600"],
    "efficientnet_b0": ["vars.classes=5", "vars.size=96"],
    "espcn": ["vars.factor=2"],
    "gin": ["vars.hidden=300"],
    "inception_v3": ["vars.classes=5", "vars.size=128"],
    "mlp_mixer": ["vars.classes=5", "vars.size=96"],
    "mobilenet_v2": ["vars.classes=5", "inputs.image.shape=[96, 128, 3]"],
    "resnet50": ["vars.classes=5", "inputs.image.shape=[96, 128, 3]"],
    "simclr": ["vars.size=64"],
    "swin_t": ["vars.classes=5", "vars.size=256", "vars.window=8"],
    "temporal_fusion_transformer": ["vars.future=12"],
    "text_cnn": ["vars.words=5000"],
    "transformer_encoder": ["vars.classes=5"],
    "unet": ["vars.size=128", "vars.channels=3"],
    "vae": ["vars.code=8"],
    "vgg16": ["vars.classes=5", "vars.size=64", "vars.wide=256"],
    "vit_b16": ["vars.classes=5", "vars.size=96"],
    "wavenet": ["vars.levels=64"],
    "wide_and_deep": ["outputs.rich.labels=[poor, rich]"],
}
"""A case of one's own for each network."""


def some(names: Iterable[str], *quick: str) -> list[Any]:
    """The names, of which all but the ``quick`` ones are of the slow tests."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def _folder(kind: str, rows: int = 24) -> None:
    """Three folders ``things/a`` … of pictures of 20 x 24 pixels, each as bright as its class, or of texts."""
    from PIL import Image

    random = np.random.default_rng(1)
    for k in range(rows):
        folder = Path("things") / "abc"[k % 3]
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "texts":
            (folder / f"{k}.txt").write_text(f"take {k} of a {('good', 'bad', 'dull')[k % 3]} film", encoding="utf-8")
        else:
            pixels = np.clip(90 * (k % 3) + random.normal(0, 20, (20, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{k}.png")


def test_every_network_has_a_case() -> None:
    assert OWN.keys() == KNOWN.keys() == {path.stem for path in (ROOT / "specs" / "architectures").glob("*.yaml")}


@pytest.mark.parametrize("name", some(OWN, "bilstm_tagger", "vgg16"))
def test_a_network_of_ones_own(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is valid, has the comments of the published one, and all lines but those that were set."""
    monkeypatch.chdir(tmp_path)
    words = [word for text in OWN[name] for word in ("--set", text)]
    done = graphspec("init", "mine.yaml", "--like", name, *words)
    assert (done.exit_code, done.stderr) == (0, "")
    text = Path("mine.yaml").read_text(encoding="utf-8")
    published = KNOWN[name].replace("NAME", "mine", 1).replace("SCHEMA", "./graphspec.schema.json", 1)
    lines = dict(zip(published.splitlines(), text.splitlines(), strict=True))
    assert 1 <= sum(old != new for old, new in lines.items()) <= len(OWN[name])
    checked = check("mine.yaml")
    assert checked.errors == []
    assert checked.spec is not None
    for head in checked.spec.all_heads.values():
        if head.needs_data:
            assert f"  {head.name}: " in done.stdout


@pytest.mark.parametrize("name", some(FOLDERS, "mobilenet_v2", "text_cnn"))
def test_a_network_for_a_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _folder(FOLDERS[name])
    sets = ["--set", "vars.size=64", "--set", "vars.window=2"] if name == "swin_t" else []
    done = graphspec("init", "mine.yaml", "--like", name, "--from", "things", *sets)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"mine.yaml: 24 {FOLDERS[name].replace('images', 'pictures')} of 3 classes")
    spec, lowered = check("mine.yaml").require()
    [head] = spec.all_heads
    assert lowered.graph.outputs[head].shape == ("N", 3)
    assert [v.type.dtype for v in lowered.graph.inputs.values()] == ["uint8" if FOLDERS[name] == "images" else "string"]
    text = Path("mine.yaml").read_text(encoding="utf-8")
    assert "SCHEMA" not in text
    momenta = [n.layer.momentum for n in spec.nodes if isinstance(n.layer, LAYERS.get("BatchNormalization"))]
    assert set(momenta) <= {0.9}
    comments = [line.partition("  # ")[2] for line in KNOWN[name].partition("\nblocks:")[2].splitlines()]
    assert all(comment in text for comment in comments)


@pytest.mark.slow
def test_a_network_for_a_folder_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _folder("images")
    assert (
        graphspec("init", "mine.yaml", "--like", "resnet50", "--from", "things", "--set", "vars.size=32").exit_code == 0
    )
    done = graphspec("train", "mine.yaml", "--set", "training.epochs=1", "--no-report")
    assert done.exit_code == 0, done.stderr
    assert gs.load("runs/mine").spec.all_heads["object"].labels == ["a", "b", "c"]


NAMES = {
    "ResNet-50": "resnet50",
    "vit": "vit_b16",
    "bilstm-tagger": "bilstm_tagger",
    "mixer": "mlp_mixer",
    "Inception": "inception_v3",
    "transformer": "transformer_encoder",
    "wide-and-deep": "wide_and_deep",
}
"""What people write: other cases and signs, and parts that one name has, at its beginning or inside."""


@pytest.mark.parametrize(("given", "name"), NAMES.items())
def test_a_name_is_found(given: str, name: str) -> None:
    assert meant(given, KNOWN) == name


REFUSED = [
    (["--like", "resnet5O"], "--like resnet5O: no such network; did you mean 'resnet50'?"),
    (["--like", "bert"], "--like bert: no such network; there are autoencoder, bilstm_tagger, "),
    (
        ["--like", "net"],
        "--like net: several networks are meant; which of densenet121, efficientnet_b0, mobilenet_v2, ",
    ),
    (["--like", "vae", "--kind", "text"], "--like says what the network is: leave out --kind, --backbone and --target"),
    (["--set", "vars.x=1"], "--set is for the network of --like: edit other specs once they are written"),
    (
        ["--like", "vgg16", "--set", "classes=3"],
        "--set classes: there is no 'classes' in the spec; write --set vars.classes=3",
    ),
    (
        ["--like", "vgg16", "--set", "vars.clases=3"],
        "--set vars.clases: there is no variable 'clases'; did you mean 'classes'?",
    ),
    (
        ["--like", "vgg16", "--set", "vars.size=16"],
        "mine.yaml:27:10: error[GS303]: MaxPooling2D 'block5/pool' has a window of 2 along",
    ),
    (
        ["--like", "gin", "--from", "things"],
        "--like gin is for a property of a molecule: no file says all that it needs; ",
    ),
    (["--like", "vgg16", "--from", "rows"], "of a folder, which rows is not; name one with a folder for each class"),
    (["--like", "vgg16", "--from", "rows.csv"], "`graphspec init mine.yaml --from rows.csv --target COLUMN`"),
    (
        ["--like", "dlrm", "--from", "r.csv", "--target", "y"],
        "leave out --like: `graphspec init mine.yaml --from r.csv ",
    ),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_what_is_refused(words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "things").mkdir()
    done = graphspec("init", "mine.yaml", *words)
    assert done.exit_code in (1, 2)
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["things"]
