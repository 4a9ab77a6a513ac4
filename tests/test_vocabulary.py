"""`docs/vocabulary.md` says what the registries hold."""

from __future__ import annotations

import importlib.util
import pkgutil
from importlib import import_module
from types import ModuleType

import pytest
from paths import ROOT

from graphspec.config import Config, Registry
from graphspec.language.explain import REGISTRIES
from graphspec.layers import LAYERS, Layer

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def vocabulary() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_vocabulary", DOCS / "make_vocabulary.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(vocabulary: ModuleType) -> None:
    assert (DOCS / "vocabulary.md").read_text(encoding="utf-8") == vocabulary.page(), (
        "run python docs/make_vocabulary.py"
    )


def test_every_argument_is_described() -> None:
    missing = [
        f"{kind} {cls.__name__}.{name}"
        for kind, registry in REGISTRIES.items()
        for cls in registry
        for name, field in cls.model_fields.items()
        if not field.description
    ]
    assert not missing


def test_every_layer_is_known_by_what_it_lowers_to(vocabulary: ModuleType) -> None:
    """Layers without a golden case, or whose cases do not compile, would name no operators."""
    found = vocabulary.lowered()
    assert {cls.__name__ for cls in REGISTRIES["layer"]} - found.keys() == {"Activation"}
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
    with pytest.raises(ValueError, match=r"'Fresh' is missing under 'base' in graphspec/layers/__init__.py"):
        LAYERS.add("Fresh")(Layer)


def test_a_name_that_is_taken() -> None:
    registry: Registry[Config] = Registry("thing", "One")
    registry.add("One", "one")(type("One", (Config,), {}))
    with pytest.raises(ValueError, match="two thing classes are called 'one'"):
        registry.add("one")(type("Other", (Config,), {}))
