"""`docs/vocabulary.md` says what the registries hold."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from graphspec.spec.explain import REGISTRIES

DOCS = Path(__file__).parent.parent / "docs"


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
