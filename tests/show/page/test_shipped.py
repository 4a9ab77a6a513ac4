"""The page of every shipped spec: on a phone and on a desk, light and dark, its answer is that of the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from show.page.test_in_browser import OPEN, PACKAGE, SETTLED, browser
from show.report.test_build import AUDIT, OVERFLOW
from test_specs import SPECS, garments, newswires, sentences, trained, written_words

from graphspec.graph.onnx_session import session
from graphspec.show.page.build import form_of, page_of
from tools.browser import Page

__all__ = ["browser", "garments", "newswires", "sentences", "written_words"]  # fixtures
pytestmark = pytest.mark.slow
_SMALL = [f"vars.{name}" for name in ("longest=24", "channels=16", "depth=1")]
FOLDERS = {  # the fixture with the spec's data beside it
    **dict.fromkeys(("reviews", "reviews_lstm", "gpt"), "sentences"),
    **dict.fromkeys(("fashion", "fashion_inception", "same_garment"), "garments"),
    "newswires": "newswires",
    "handwriting": "written_words",
}
SETS = {"gpt": _SMALL, "bikes": ["training.batch_size=4096"]}
ANSWERS = "ask([recordOf()]).then(([found]) => Object.fromEntries(Object.entries(found).map(([n, a]) => [n, a.data])))"


@pytest.mark.parametrize("name", [name for name in SPECS if name != "branches"])
def test_each_page_is_for_everybody_and_answers_as_the_file(
    browser: Page, tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(FOLDERS[name]) if name in FOLDERS else SPECS[name].parent
    folder = folder[0] if isinstance(folder, tuple) else folder
    folder = folder if folder.is_dir() else folder.parent
    model = trained(folder / f"{name}.yaml", "training.epochs=1", *SETS.get(name, []))
    model.export(file := tmp_path / f"{name}.onnx")
    (page := tmp_path / "page.html").write_text(page_of(file, PACKAGE / "onnxruntime-web"), encoding="utf-8")
    axe = PACKAGE / "axe-core" / "axe.min.js"
    for dark, width in ((False, 390), (True, 1280)):
        browser.open(page, width, dark=dark)
        browser.run(SETTLED)
        browser.run(OPEN)
        browser.run(SETTLED)
        assert browser.errors == []
        assert browser.run(OVERFLOW) == [], width
        if axe.is_file():
            browser.run(axe.read_text(encoding="utf-8") + "; 0")
            assert browser.run(AUDIT) == []
    asked = browser.run("recordOf()")
    feeds = {}
    for field in form_of(file)["fields"]:
        value = asked[field["input"]]
        value = {"float32": np.nan, "string": ""}.get(field["dtype"], -(2**63)) if value is None else value
        array = np.array([value], object if field["dtype"] == "string" else field["dtype"])
        feeds[field["input"]] = array[:, None] if array.ndim == 1 and field["dims"] == [1] else array
    outputs = [output.name for output in session(file).get_outputs()]
    for output, wanted in zip(outputs, session(file).run(outputs, feeds), strict=True):
        given = np.array(browser.run(f"{ANSWERS}.then((found) => found[{json.dumps(output)}].map(String))"))
        if wanted.dtype == object:
            assert given.tolist() == wanted.ravel().tolist()
        else:
            np.testing.assert_allclose(given.astype(np.float64), wanted.ravel(), rtol=1e-3, atol=1e-4)
