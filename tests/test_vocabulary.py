"""`docs/vocabulary.md` and the pages in `docs/vocabulary/` say what the registries hold."""

from __future__ import annotations

import importlib.util
import pickle
import pkgutil
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import ModuleType

import pytest
from paths import ROOT

from graphspec.base.config import Config, Registry
from graphspec.language.explain import REGISTRIES
from graphspec.vocabulary import activations, metrics
from graphspec.vocabulary.layers import LAYERS, Layer
from graphspec.vocabulary.metrics import METRICS

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def vocabulary() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_vocabulary", DOCS / "make_vocabulary.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # for dataclasses
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_pages_are_current(vocabulary: ModuleType) -> None:
    for path, text in vocabulary.written().items():
        assert (DOCS / path).read_text(encoding="utf-8") == text, f"docs/{path}: run python docs/make_vocabulary.py"


def test_every_file_of_layers_and_every_registry_is_on_one_page(vocabulary: ModuleType) -> None:
    files = [file for page in vocabulary.PAGES.values() for file in page.families]
    assert sorted(files) == sorted(vocabulary.families()), "PAGES of docs/make_vocabulary.py says what is on which page"
    kinds = [kind for page in vocabulary.PAGES.values() for kind in page.kinds]
    assert sorted([*kinds, "layer"]) == sorted(REGISTRIES)
    assert {path.stem for path in (DOCS / "vocabulary").iterdir()} == vocabulary.PAGES.keys()


def test_no_two_headings_of_a_page_have_one_anchor(vocabulary: ModuleType) -> None:
    """The second one would get a number, differently on GitHub and on the site: links to it would lead to the first."""
    for name in vocabulary.PAGES:
        text = (DOCS / "vocabulary" / f"{name}.md").read_text(encoding="utf-8")
        anchors = [vocabulary.anchor(title) for title in re.findall(r"^#+ (.*)$", text, re.M)]
        assert len(anchors) == len(set(anchors)), name


@pytest.mark.slow
def test_what_people_wrote_stays(vocabulary: ModuleType) -> None:
    page = vocabulary.page("merging", f"# Title\n\nWords.\n\n{vocabulary.MARK}\n\nold", {})
    assert page.startswith(f"# Title\n\nWords.\n\n{vocabulary.MARK}\n\n## Add\n")
    assert "old" not in page
    with pytest.raises(ValueError, match=r"docs/vocabulary/merging.md must begin with a title"):
        vocabulary.page("merging", "", {})


def test_every_page_begins_with_an_example_and_a_picture(vocabulary: ModuleType) -> None:
    for name in vocabulary.PAGES:
        head = (DOCS / "vocabulary" / f"{name}.md").read_text(encoding="utf-8").partition(vocabulary.MARK)[0]
        assert re.match(r"# .+\n\n[A-Z`](?s:.+)\.\n\n```yaml\n", head), name
        shown = re.search(rf"^!\[.{{20,}}\]\(\.\./pictures/{name}\.svg\)$", head, re.M)
        assert shown or vocabulary.of_operations(vocabulary.PAGES[name]), name


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
def test_every_layer_is_known_by_what_it_lowers_to(vocabulary: ModuleType) -> None:
    """Layers without a golden case, or whose cases do not compile, would name no operators."""
    found = vocabulary.lowered()
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
    with pytest.raises(ValueError, match=r"'Fresh' is missing under 'base' in graphspec/vocabulary/layers/__init__.py"):
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
