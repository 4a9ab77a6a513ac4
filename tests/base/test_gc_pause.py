"""No garbage is collected while many objects are made that stay, and then again."""

from __future__ import annotations

import gc

import pytest

from graphspec.base.gc_pause import gc_paused
from graphspec.engine.compiler.check import check

SPEC = {
    "graphspec": 1,
    "name": "chain",
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"name": f"hidden_{k}", "type": "Dense", "units": 2} for k in range(60)],
    "outputs": {"hidden_59": {"loss": "mse"}},
}


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(KeyError), gc_paused():
        {}["missing"]
    assert gc.isenabled()


def test_it_stays_off_where_it_was_off() -> None:
    gc.disable()
    try:
        with gc_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_checking_a_spec_collects_at_its_end_alone() -> None:
    check(SPEC)
    phases: list[str] = []
    gc.callbacks.append(watch := lambda phase, info: phases.append(phase))
    try:
        checked = check(SPEC)
    finally:
        gc.callbacks.remove(watch)
    assert not checked.errors
    assert phases in ([], ["start", "stop"])
