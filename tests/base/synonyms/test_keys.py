"""Every key that a table leads to exists, and the classes of the tables do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

import pytest

from graphspec.base.config import Config
from graphspec.base.synonyms.keys import hint_in, is_sentence, key_synonym, tables
from graphspec.language.explain import REGISTRIES
from graphspec.language.parse import PARTS, DataKeys, TrainKeys, ValidationKeys
from graphspec.language.sections import KEYS as DOCUMENT_KEYS
from graphspec.language.sections import HeadKeys, InputKeys, TrainingKeys
from graphspec.vocabulary.losses import LOSSES

SECTIONS: tuple[type[Config], ...] = (HeadKeys, TrainingKeys, InputKeys, DataKeys, TrainKeys, ValidationKeys)


def classes() -> Iterator[type[Config]]:
    yield from SECTIONS
    for registry in REGISTRIES.values():
        yield from registry


def derived(name: str) -> list[type[Config]]:
    """The classes to which a table applies."""
    return [cls for cls in classes() if name in [base.__name__ for base in cls.__mro__]]


def targets(text: str) -> Sequence[str]:
    return [] if is_sentence(text) else text.split()


@pytest.mark.parametrize("name", sorted({*tables()} - {"DocumentKeys", "PartKeys"}))
def test_every_target_is_a_key_of_a_class(name: str) -> None:
    fields = {field.alias or key for cls in derived(name) for key, field in cls.model_fields.items()}
    assert fields, f"there is no class {name}"
    for key, text in tables()[name].items():
        assert not set(targets(text)) - fields, f"{key} leads to {text}"


@pytest.mark.parametrize(("name", "known"), [("DocumentKeys", DOCUMENT_KEYS), ("PartKeys", PARTS)])
def test_targets_of_the_document(name: str, known: Sequence[str]) -> None:
    for key, text in tables()[name].items():
        assert key not in known
        assert not set(targets(text)) - set(known), f"{key} leads to {text}"


def test_keys_of_a_section_are_no_synonyms() -> None:
    for cls in SECTIONS:
        assert not set(cls.model_fields) & set(tables().get(cls.__name__, {})), cls


@pytest.mark.parametrize(
    ("key", "names", "known", "hint"),
    [
        ("loss_weight", ["HeadKeys"], ["weight", "class_weight"], "did you mean 'weight'?"),
        ("lossweight", ["HeadKeys"], ["weight", "class_weight"], "did you mean 'weight'?"),
        ("out_features", ["Dense", "Layer"], ["units", "use_bias"], "did you mean 'units'?"),
        ("out_channels", ["Conv2D", "Layer"], ["filters"], "did you mean 'filters'?"),
        ("units", ["Conv2D", "Layer"], ["filters"], "did you mean 'filters'?"),
        ("kernel-size", ["MaxPooling2D", "Layer"], ["pool_size"], "did you mean 'pool_size'?"),
        ("p", ["Dropout", "Layer"], ["rate", "seed"], "did you mean 'rate'?"),
        ("alpha", ["RMSprop", "Optimizer"], ["rho", "learning_rate"], "did you mean 'rho'?"),
        ("alpha", ["SGD", "Optimizer"], ["learning_rate"], "did you mean 'learning_rate'?"),
        ("in_features", ["Dense", "Layer"], ["units"], "leave it out: it is inferred from the input"),
        ("stride", ["Dense", "Layer"], ["units"], None),
        ("nothing", ["Dense", "Layer"], ["units"], None),
    ],
)
def test_the_table_of_the_most_special_class_comes_first(
    key: str, names: list[str], known: list[str], hint: str | None
) -> None:
    assert key_synonym(key, names, known) == hint


def test_the_first_known_name_is_meant() -> None:
    table = {"size": "units filters"}
    assert hint_in(table, "size", ["filters", "units"]) == "did you mean 'units'?"
    assert hint_in(table, "size", ["filters"]) == "did you mean 'filters'?"
    assert hint_in(table, "size", ["rate"]) is None


@pytest.mark.parametrize("key", ["label_smoothing", "from_logits", "delta", "reduction"])
def test_an_argument_of_a_loss_is_shown_where_it_belongs(key: str) -> None:
    written = re.search(r"\{type: (\w+), (\w+): (\S+)\}", tables()["HeadKeys"][key])
    assert written is not None
    assert written[2] == key
    assert LOSSES.parse(
        {"type": written[1], key: json.loads(written[3]) if written[3][0] in "0123456789tf" else written[3]}
    )


def test_the_last_rows_are_a_split() -> None:
    assert key_synonym("last", ["ValidationKeys", "DataKeys"], []) == tables()["ValidationKeys"]["last"]
    assert key_synonym("last", ["DataKeys"], []) is None
