"""What Python and notebooks show of a model."""

from __future__ import annotations

import io

import pytest
from commands import graphspec
from paths import ROOT

import graphspec as gs
from specs import blobs, dense_spec, two_heads_spec


def test_a_model_is_described_in_a_line() -> None:
    model = gs.compile(dense_spec())
    assert repr(model) == "<graphspec.Model 'blobs': 4 -> 3, 67 parameters, not trained>"
    model.fit(*blobs(), epochs=1, verbose=0)
    assert repr(model) == "<graphspec.Model 'blobs': 4 -> 3, 67 parameters, trained 1 epoch>"
    assert repr(gs.compile(two_heads_spec())).startswith("<graphspec.Model 'pairs': 2 inputs -> 2 heads, ")
    learns = gs.compile(ROOT / "specs" / "penguins.yaml")
    assert repr(learns).endswith("7 inputs -> 3, parameters to be learnt from the training rows, not trained>")
    assert repr(model.spec) == "<graphspec.Spec 'blobs': 1 input, 3 layers, 1 head>"


@pytest.mark.parametrize("name", ["penguins", "fashion"])
def test_the_summary_is_that_of_the_command_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "specs" / f"{name}.yaml"
    shown = graphspec("summary", path, "--batch-size", "7").stdout
    stream = io.StringIO()
    gs.compile(path).summary(batch_size=7, file=stream)
    gs.compile(path).summary()

    def lines(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith("memory at")]  # of now

    assert lines(stream.getvalue()) == lines(shown.replace("--expand prints", "`summary(expand=True)` prints"))
    assert "memory at batch size 7" in stream.getvalue() or name == "penguins"
    assert capsys.readouterr().out.startswith(f"{name}: ")


def test_a_notebook_shows_a_model() -> None:
    spec = dense_spec(description="a <b>bold</b> text")
    page = gs.compile(spec)._repr_html_()
    assert page.startswith(
        "<p><b>blobs</b>: a &lt;b&gt;bold&lt;/b&gt; text<br>4 -&gt; 3, 67 parameters, not trained</p>"
    )
    assert "<details><summary>drawing</summary><img " in page
    assert "hidden" in page
    assert "`summary(expand=True)` prints every node" in gs.compile(ROOT / "specs" / "penguins.yaml")._repr_html_()
