"""`docs/vocabulary.md` and the pages in `docs/vocabulary/` say what the registries hold."""

from __future__ import annotations

import pickle
import pkgutil
import re
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest
from paths import ROOT

from graphspec.base.config import Config, Registry
from graphspec.language.explain import REGISTRIES
from graphspec.vocabulary import activations, metrics
from graphspec.vocabulary.layers import LAYERS, Layer
from graphspec.vocabulary.metrics import METRICS
from tools import reference

DOCS = ROOT / "docs"


def test_the_list_of_names_is_current() -> None:
    assert reference.stored("vocabulary.md") == reference.index(), "run python -m tools.reference"


def test_every_file_of_layers_and_every_registry_is_on_one_page() -> None:
    files = [file for page in reference.PAGES.values() for file in page.families]
    assert sorted(files) == sorted(reference.families()), "PAGES of tools/reference.py says what is on which page"
    kinds = [kind for page in reference.PAGES.values() for kind in page.kinds]
    assert sorted([*kinds, "layer"]) == sorted(REGISTRIES)
    assert {path.stem for path in (DOCS / "vocabulary").iterdir()} == reference.PAGES.keys()


def test_no_two_headings_of_a_page_have_one_anchor() -> None:
    """The second one would get a number, differently on GitHub and on the site: links to it would lead to the first."""
    for name, text in reference.complete({}).items():
        anchors = [
            reference.anchor(title) for title in re.findall(r"^#+ (.*)$", re.sub(r"(?ms)^```.*?^```$", "", text), re.M)
        ]
        assert len(anchors) == len(set(anchors)), name


def test_the_entries_follow_what_people_wrote() -> None:
    page = reference.page("merging", f"# Title\n\nWords.\n\n{reference.MARK}\n", {"Add": {"Sum"}})
    assert page.startswith("# Title\n\nWords.\n\n## Add\n\nThe sum of the inputs.")
    assert "\nLowers to `Sum`.\n\n## Subtract\n" in page
    with pytest.raises(ValueError, match=r"docs/vocabulary/merging.md must begin with a title"):
        reference.page("merging", "", {})


def test_the_complete_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(reference, "lowered", dict)
    monkeypatch.setattr(reference, "write_index", lambda: None)
    reference.main(["-o", str(tmp_path / "out")])
    written = {
        p.relative_to(tmp_path / "out").as_posix(): p.read_text(encoding="utf-8") for p in tmp_path.rglob("*.md")
    }
    assert written == reference.complete({})
    assert "| `units` | required | " in written["vocabulary/basic.md"]
    assert "### GS302: " in written["diagnostics.md"]
    assert not any(reference.MARK in text or reference.CODES.search(text) for text in written.values())


def test_every_page_begins_with_an_example_and_a_picture() -> None:
    for name, page in reference.PAGES.items():
        text = reference.stored(f"vocabulary/{name}.md")
        head, _, rest = text.partition(reference.MARK)
        assert rest == "\n", f"{name}: entries are not stored"
        assert re.match(r"# .+\n\n[A-Z`](?s:.+)\.\n\n```yaml\n", head), name
        shown = re.search(rf"^!\[.{{20,}}\]\(\.\./pictures/{name}\.svg\)$", head, re.M)
        assert shown or reference.of_operations(page), name


def test_every_argument_is_described() -> None:
    missing = [
        f"{kind} {cls.__name__}.{name}"
        for kind, registry in REGISTRIES.items()
        for cls in registry
        for name, field in cls.model_fields.items()
        if not field.description and not cls.__name__.startswith("onnx.")  # ONNX describes its attributes
    ]
    assert not missing


@pytest.mark.slow
def test_every_layer_is_known_by_what_it_lowers_to() -> None:
    """Layers without a golden case, or whose cases do not compile, would name no operators."""
    found = reference.lowered()
    unknown = {cls.__name__ for cls in REGISTRIES["layer"]} - found.keys()
    alone = {"Constant", "Onnx", "Parameter", "RelativePositionBias"}  # without a batch axis they are no heads
    kernels = {f"ops.{name}conv" for name in ("", "depthwise_", "separable_")} | {"ops.conv_transpose"}  # are inputs
    sums = {"ops.vdot", "ops.segment_sum", "ops.segment_max", "ops.segment_min"}  # over the batch
    assert {name for name in unknown if not name.startswith("onnx.")} == {"Activation", *alone, *kernels, *sums}
    nothing = {name for name, operators in found.items() if not operators}
    assert {"Dropout", "GaussianNoise", "Identity", "RandomFlip"} <= nothing
    assert not {"Dense", "Masking", "Rescaling"} & nothing


@pytest.mark.parametrize("kind", ["activation", "callback", "layer", "loss", "metric", "optimizer"])
def test_every_class_is_found_by_its_names(kind: str) -> None:
    """The tables that say which module has a name: importing a module whose names are missing there fails."""
    package = import_module(f"graphspec.{kind}{'es' if kind == 'loss' else 's'}")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)
    registry = REGISTRIES[kind]
    assert [name for name in registry.names() if registry.get(name) is None] == []


def test_a_name_that_is_missing_in_its_table() -> None:
    with pytest.raises(ValueError, match=r"'Fresh' is missing under 'layer' in graphspec/vocabulary/layers/names.json"):
        LAYERS.add("Fresh")(Layer)


def test_a_row_whose_name_is_missing_in_its_table_or_taken() -> None:
    with pytest.raises(ValueError, match="'Fresh' is missing in the table of the names of layer classes"):
        LAYERS.row(["Fresh"], lambda: Layer)
    LAYERS.get("Conv2D")
    with pytest.raises(ValueError, match="two layer classes are called 'Conv2D'"):
        LAYERS.row(["Conv2D"], lambda: Layer)


def test_a_row_is_made_once_also_by_threads() -> None:
    names = [name for name in LAYERS.names() if name.startswith("ops.log")]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: [LAYERS.get(name) for name in names], range(8)))
    assert all(found == made[0] for found in made)
    assert [cls.__name__ for cls in made[0] if cls is not None] == names


@pytest.mark.parametrize("name", ["Conv2D", "MaxPooling1D", "ZeroPadding3D", "SpatialDropout2D", "ConvLSTM1D", "ReLU"])
def test_a_layer_survives_pickle(name: str) -> None:
    cls = LAYERS.get(name)
    assert pickle.loads(pickle.dumps(cls)) is cls


def test_an_activation_and_a_metric_of_a_table_survive_pickle() -> None:
    assert pickle.loads(pickle.dumps(activations.HardSilu())) == activations.HardSilu()
    assert pickle.loads(pickle.dumps(metrics.MeanSquaredError)) is METRICS.get("mse")


def test_a_name_that_is_taken() -> None:
    registry: Registry[Config] = Registry("thing", "One")
    registry.add("One", "one")(type("One", (Config,), {}))
    with pytest.raises(ValueError, match="two thing classes are called 'one'"):
        registry.add("one")(type("Other", (Config,), {}))
