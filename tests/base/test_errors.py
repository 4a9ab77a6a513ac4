"""Exceptions: their texts, and what a notebook shows in place of a traceback."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import graphspec as gs
from graphspec.base.errors import SHOWN, Diagnostics, render
from specs import blobs, dense_spec

BROKEN = """graphspec: 1
name: branches
inputs: {image: {shape: [28, 28, 1]}}
layers:
  - {name: b1, type: Conv2D, filters: 64, kernel_size: 3, padding: same, inputs: image}
  - {name: b2, type: Conv2D, filters: 64, kernel_size: 3, inputs: image}
  - {name: mix, type: Concatenate, inputs: [b1, b2]}
  - {name: flat, type: Flaten}
outputs: {flat: {}}
"""


def raised(call: Callable[[], Any]) -> gs.GraphspecError:
    with pytest.raises(gs.GraphspecError) as caught:
        call()
    return caught.value


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "branches.yaml"
    path.write_text(BROKEN, encoding="utf-8")
    return path


def test_the_text_of_a_spec_error_is_that_of_the_command_line(broken: Path) -> None:
    error = raised(lambda: gs.compile(broken))
    assert isinstance(error, gs.SpecError)
    assert str(error) == render(error.diagnostics) == str(gs.validate(broken))
    for part in (
        "error[GS302]: Concatenate 'mix' joins shapes that differ outside axis -1",
        "7 │   - {name: mix, type: Concatenate, inputs: [b1, b2]}",
        "^^^^^^^^^",
        "= b2  (N, 26, 26, 64)   from Conv2D at line 6, padding: valid",
        "= help: did you mean 'Flatten'?",
    ):
        assert part in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.diagnostics) == (str(error), error.diagnostics)
    assert error._repr_html_() == error.diagnostics._repr_html_()


def test_a_notebook_shows_the_text_and_the_users_own_line(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    error = raised(lambda: gs.compile(broken))
    text = error._text(colour=False)
    assert text.split() == str(error).split()  # only wrapped
    first, empty, *others = error._render_traceback_()[-len(text.split("\n")) - 2 :]
    assert first.startswith("SpecError in test_errors.py, line ")
    assert first.endswith(": error = raised(lambda: gs.compile(broken))")
    assert (empty, "\n".join(others)) == ("", text)
    monkeypatch.delenv("NO_COLOR")
    assert "\x1b[1;31merror[GS302]\x1b[0m" in "\n".join(error._render_traceback_())


def test_sentences_in_a_notebook_end_at_the_width_of_a_page() -> None:
    words = "word " * 60
    error = gs.SpecError([gs.Diagnostic("GS102", words, hint=words)])
    assert len(str(error).split("\n")) == 2
    assert max(map(len, error._text(colour=False).split("\n"))) <= 102


def test_other_errors_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    model = gs.compile(dense_spec())
    usage = raised(lambda: model.fit(*blobs(), epochs=0))
    assert usage._render_traceback_()[-1] == "`epochs` must be at least 1, got 0"
    assert not any("graphspec/api.py" in line for line in usage._render_traceback_())
    run = gs.RunError("GS601", "the loss is nan", "lower it")
    again = pickle.loads(pickle.dumps(run))  # between processes
    assert (str(again), again.code, again.message, again.hint) == (str(run), "GS601", "the loss is nan", "lower it")
    assert run._render_traceback_() == ["RunError", "", "error[GS601]: the loss is nan", "  = help: lower it"]
    assert gs.UsageError("a\x1b[31mb")._render_traceback_()[-1] == "a�[31mb"


def test_a_list_of_diagnostics_is_a_list() -> None:
    spec = dense_spec()
    spec["layers"][0]["type"] = "<b>Dens"
    found = gs.validate(spec)
    assert isinstance(found, list)
    assert "unknown layer '<b>Dens'" in str(found)
    page = found._repr_html_()
    assert "unknown layer &#x27;&lt;b&gt;Dens&#x27;" in page
    assert "<script" not in page
    assert "\x1b" not in page
    clean = gs.validate(dense_spec())
    assert (clean, str(clean), clean._repr_html_()) == ([], "", "<pre>no problems</pre>")


def test_of_very_many_diagnostics_the_first_errors_are_shown() -> None:
    some = [gs.Diagnostic("GS105", f"problem {k}", severity="warning") for k in range(SHOWN + 5)]
    found = Diagnostics([*some, gs.Diagnostic("GS111", "the error")])
    assert len(found.shown()) == SHOWN
    assert "the error" in str(found)
    assert str(found).endswith("… and 6 more")
    assert "… and 6 more" in found._repr_html_()
