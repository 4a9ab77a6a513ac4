"""Pages in Chromium: answers are those of the file, forms, curves, tables, hostile texts, widths, accessibility."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import chromium
from consumers.apps import FIXTURES, HERE, NAMES
from show.page.test_form import hostile, without_example
from show.report.test_build import AUDIT, OVERFLOW

from graphspec.graph.onnx_session import session
from graphspec.show.page.build import ENGINE, form_of, page_of
from tools.browser import Page, opened

PACKAGE = HERE / "node" / "node_modules"
SETTLED = "(async () => { await ready; while (busy || waiting) await new Promise((done) => setTimeout(done, 20)); })()"
OPEN = (
    "['what-if', 'why', 'table'].forEach((id) => { at(id).open = true; }); new Promise((done) => setTimeout(done, 60))"
)
# What differs between the answers of a page and those of a fixture, for all records at once and for each one alone.
CHECK = """(async (records, answers) => {
  await ready;
  const found = [];
  for (const part of [records, ...records.map((record) => [record])]) {
    (await ask(part)).forEach((answer, k) => {
      const row = part.length === 1 ? records.indexOf(part[0]) : k;
      for (const [name, { dims, data, dtype }] of Object.entries(answers)) {
        const size = dims.slice(1).reduce((a, b) => a * b, 1);
        const wanted = data.slice(row * size, (row + 1) * size);
        const limit = 1e-5 + 1e-4 * Math.max(0, ...data.map((value) => Math.abs(value) || 0));
        answer[name].data.forEach((value, n) => {
          const same = dtype !== "float32" ? String(value) === String(wanted[n])
            : wanted[n] === null ? Number.isNaN(value) : Math.abs(value - wanted[n]) <= limit;
          if (!same) found.push(`${name} of record ${row}: ${value}, not ${wanted[n]}`);
        });
      }
    });
  }
  return found;
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    found = chromium()
    if found is None or os.name == "nt" or not (PACKAGE / "onnxruntime-web").is_dir():
        pytest.skip("Chromium or onnxruntime-web is not installed")
    with opened(found) as page:
        yield page


def show(browser: Page, folder: Path, file: Path, width: int = 1200, *, dark: bool = False) -> None:
    path = folder / "page.html"
    path.write_text(page_of(file, PACKAGE / "onnxruntime-web"), encoding="utf-8")
    browser.open(path, width, dark=dark)
    browser.run(SETTLED)
    assert browser.errors == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("image_", "table_"))])
def test_answers_are_those_of_the_file(browser: Page, tmp_path: Path, name: str) -> None:
    show(browser, tmp_path, FIXTURES / name / "model.onnx")
    lines = (FIXTURES / name / "records.jsonl").read_text(encoding="utf-8").splitlines()
    answers = (FIXTURES / name / "answers.json").read_text(encoding="utf-8")
    assert browser.run(f"{CHECK}([{','.join(lines)}], {answers})") == []
    wrong = json.loads(answers)
    data = next(iter(wrong.values()))["data"]
    data[0] = "?" if isinstance(data[0], str) else data[0] + 1
    assert browser.run(f"{CHECK}([{','.join(lines)}], {json.dumps(wrong)})") != []


@pytest.mark.slow
def test_the_form_begins_with_the_example_and_answers_what_is_typed(browser: Page, tmp_path: Path) -> None:
    show(browser, tmp_path, FIXTURES / "table" / "model.onnx")
    text = browser.run("at('answers').innerText")
    assert "b c\n61.4%" in text
    assert "243,347" in text
    browser.run("at('f0').value = '30'; at('f0').dispatchEvent(new Event('input'))")
    browser.run(SETTLED)
    assert browser.run("at('answers').innerText") != text
    browser.run("at('f0').value = 'old'; at('f0').dispatchEvent(new Event('input'))")
    browser.run(SETTLED)
    assert browser.run("at('f0-problem').textContent") == "age needs a number, not 'old'"
    assert browser.run("at('f0').getAttribute('aria-invalid')") == "true"
    browser.run("at('f0').value = ''; at('f0').dispatchEvent(new Event('input'))")  # not known
    browser.run(SETTLED)
    assert "%" in browser.run("at('answers').innerText")


@pytest.mark.slow
def test_what_fields_add_sums_up_to_the_difference(browser: Page, tmp_path: Path) -> None:
    show(browser, tmp_path, FIXTURES / "demand" / "model.onnx")
    browser.run("controls[0].control.value = '90 80 70 60 50 40 30'; at('why').open = true; changed()")
    browser.run(SETTLED)
    first = browser.run("at('why-body').querySelector('p').innerText")
    answer, start = (float(number) for number in re.findall(r"-?\d+\.?\d*", first)[:2])
    assert answer != start
    texts = browser.run("[...at('why-body').querySelectorAll('.value')].map((each) => each.innerText)")
    added = sum(float(text.replace("−", "-")) for text in texts)
    assert abs(answer - start - added) < 0.05


TABLE = """age,hours,height,steps,town,trade,code,joined,remark,note
52,1305.959,154.75314,17322,,Baker,3,,"naïve NAÏVE été",kept
old,1,1,1,a,b,3,,x,
30,1,NA, ? ,"Kö""ln",smith,999,2020-01-31,"two
lines, and a comma",
1,2
"""


@pytest.mark.slow
def test_a_table_comes_back_with_its_answers(browser: Page, tmp_path: Path) -> None:
    show(browser, tmp_path, FIXTURES / "table" / "model.onnx")
    done: dict[str, Any] = browser.run(f"table({json.dumps(TABLE)})")
    assert done["good"] == 2
    assert done["bad"] == [[1, "age needs a number, not 'old'"], [3, "has 2 cells, not 10"]]
    rows = browser.run(f"rowsOf({json.dumps(done['csv'])}).rows")
    assert rows[0][-6:] == ["note", "kind_label", "kind_b c", "kind_ångström", "kind_中", "price"]  # as `predict` does
    assert rows[1][9:11] == ["kept", "b c"]
    assert abs(float(rows[1][-1]) - 243346.8) < 1
    assert rows[2][-5:] == [""] * 5
    assert rows[3][4] == 'Kö"ln'
    assert rows[3][8] == "two\nlines, and a comma"
    assert 0 < float(rows[3][-1]) < 1e7  # numbers that are missing as data files have them
    named = browser.run(f"table({json.dumps(TABLE.replace('note', 'price'))})")["csv"].splitlines()[0]
    assert named.endswith(",price_given,kind_label,kind_b c,kind_ångström,kind_中,price")
    lacking = browser.run("table('age,hours\\n1,2\\n').catch((error) => error.message)")
    assert lacking.startswith("has no column height, steps, town")


@pytest.mark.slow
def test_without_a_network_the_page_says_what_it_lacks(browser: Page, tmp_path: Path) -> None:
    html = page_of(FIXTURES / "table" / "model.onnx").replace("cdn.jsdelivr.net", "nowhere.invalid")
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    browser.open(tmp_path / "page.html", 1200)
    browser.run(SETTLED)
    text = browser.run("at('answers').innerText")
    assert "cannot be reached" in text
    assert "--engine" in text
    assert browser.run("document.querySelectorAll('.field').length") == 9  # the form is there


@pytest.mark.slow
def test_hostile_texts_stay_texts(browser: Page, tmp_path: Path) -> None:
    show(browser, tmp_path, hostile(tmp_path))
    browser.run(OPEN)
    browser.run(SETTLED)
    assert browser.run("window.hacked") is None
    assert browser.errors == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["table", "demand", "garments", "sentences"])
def test_pages_are_for_everybody(browser: Page, tmp_path: Path, name: str) -> None:
    axe = PACKAGE / "axe-core" / "axe.min.js"
    for dark, width in ((False, 320), (True, 1920)):
        show(browser, tmp_path, FIXTURES / name / "model.onnx", width, dark=dark)
        browser.run(OPEN)
        browser.run(SETTLED)
        assert browser.run(OVERFLOW) == [], width
        assert not [request for request in browser.requests if request.startswith("http")]
        if axe.is_file():
            browser.run(axe.read_text(encoding="utf-8") + "; 0")
            assert browser.run(AUDIT) == []


@pytest.mark.slow
def test_the_hashes_are_those_of_the_package() -> None:
    import hashlib
    from base64 import b64encode

    from graphspec.show.page import build

    if not (PACKAGE / "onnxruntime-web").is_dir():
        pytest.skip("onnxruntime-web is not installed")
    version = json.loads((PACKAGE / "onnxruntime-web" / "package.json").read_text(encoding="utf-8"))["version"]
    assert version == build.VERSION
    html = page_of(FIXTURES / "table" / "model.onnx")
    for name in ENGINE.values():
        digest = hashlib.sha384((PACKAGE / "onnxruntime-web" / "dist" / name).read_bytes()).digest()
        assert f"sha384-{b64encode(digest).decode()}" in html


@pytest.mark.slow
def test_numbers_and_dates_are_those_of_the_browsers_language(browser: Page, tmp_path: Path) -> None:
    given = "['1.234,5', '1234,5', '0.5', '-7', '1.234', '12 345', '1,5'].map(read)"
    browser.send("Emulation.setLocaleOverride", locale="de-DE")
    try:
        show(browser, tmp_path, FIXTURES / "table" / "model.onnx")
        assert browser.run(given) == ["1234.5", "1234.5", "0.5", "-7", "1234", "12 345", "1.5"]
        assert browser.run("at('f1').value") == "1305,959"
        assert "usual: 284,4 to 2.742" in browser.run("at('form').innerText")
        text = browser.run("at('answers').innerText")
        assert "61,4 %" in text.replace("\u00a0", " ")
        browser.run("at('f1').value = '1.305,959'; at('f1').dispatchEvent(new Event('input'))")
        browser.run(SETTLED)
        assert browser.run("at('answers').innerText") == text
        assert browser.run("numbersOf('1,5 2,5; 3', { dims: [3], dtype: 'float32' }, read)") == [1.5, 2.5, 3]
        assert browser.run("numbersOf('1, 2, 3', { dims: [3], dtype: 'float32' }, read)") == [1, 2, 3]
        lists = "[0.125, 12.5, -0.001, 1234]"
        assert browser.run(f"written({lists}, local)") == "0,125 12,5 -0,001 1234"
        field = "{ dims: [4], dtype: 'float32' }"
        assert browser.run(f"numbersOf(written({lists}, local), {field}, read)") == [0.125, 12.5, -0.001, 1234]
        assert browser.run("['0.125', '-0.001'].map(read)") == ["0.125", "-0.001"]  # no group begins with 0
        assert browser.run("table('a').catch((error) => error.message)").startswith("has no column age")
        show(browser, tmp_path, FIXTURES / "demand" / "model.onnx")
        assert "Februar 2024" in browser.run("at('form').innerText")
    finally:
        browser.send("Emulation.setLocaleOverride", locale="en-US")
    show(browser, tmp_path, FIXTURES / "table" / "model.onnx")
    assert browser.run(given) == ["1.234,5", "1234,5", "0.5", "-7", "1.234", "12 345", "1,5"]
    assert browser.run("read('1,234,567.5')") == "1234567.5"


SERIES = """day,past,note,rain
2024-02-01,70,,0.5
2024-02-02,1,closed,1
""" + "".join(f"2024-02-{k + 3:02},{90 + k},,{k % 2}\n" for k in range(6))
DROP = """((text) => {
  const event = new Event("drop", { bubbles: true, cancelable: true });
  event.dataTransfer = { types: ["Files"], files: [new File([text], "hire.csv")] };
  at("f0").dispatchEvent(event);
  return new Promise((done) => setTimeout(done, 100));
})"""


@pytest.mark.slow
def test_a_series_comes_from_a_file(browser: Page, tmp_path: Path) -> None:
    show(browser, tmp_path, FIXTURES / "demand" / "model.onnx")
    first = browser.run("at('answers').innerText")
    browser.run(f"{DROP}({json.dumps(SERIES)})")
    browser.run(SETTLED)
    assert browser.run("at('f0').value") == "1 90 91 92 93 94 95"  # the last rows
    assert browser.run("at('answers').innerText") != first
    assert browser.run(f"{DROP}('day,other\\n1,2\\n').then(() => at('f0-problem').textContent)") == (
        "past: 'hire.csv' needs the column past; those of the file are day, other"
    )
    field = "{ name: 'ahead', input: 'ahead', dtype: 'float32', dims: [3, 2], columns: ['rain', 'past'] }"
    found = browser.run(f"seriesOf({json.dumps(SERIES)}, {field})")
    assert found == [[1, 93], [0, 94], [1, 95]]  # by the columns of the training data
    unnamed = "{ name: 'x', input: 'x', dims: [2, 2], columns: null }"
    assert browser.run(f"seriesOf('1;2\\n3;4\\n5;6\\n', {unnamed})") == [[3, 4], [5, 6]]
    assert browser.run(f"seriesOf('a;b;t\\n3;4;x\\n5;6;y\\n', {unnamed})") == [[3, 4], [5, 6]]  # what is numbers
    gap = "{ name: 'a', input: 'a', dims: [2], columns: null }"
    assert browser.run(f"seriesOf('a,b\\n3,1\\n,2\\n', {gap})") == [[3], [None]]


@pytest.mark.slow
def test_letters_are_one_text(browser: Page, tmp_path: Path) -> None:
    show(browser, tmp_path, FIXTURES / "strokes" / "model.onnx")
    given = "[...'ab', ''], [['', '']]".replace("[['', '']]", "['', '']")
    for joined, wanted in (("true", ["ab", ""]), ("false", ["a b", ""])):
        assert browser.run(f"[{given}].map((data) => labelOf({{ joined: {joined} }}, data))") == wanted
    names = browser.run("heads.map((head) => head.label)")
    assert " " not in browser.run(f"ask([recordOf()]).then(([found]) => labelOf(heads[0], found['{names[0]}'].data))")


@pytest.mark.slow
def test_a_camera_answers_as_it_moves(browser: Page, tmp_path: Path) -> None:
    show(browser, tmp_path, FIXTURES / "garments" / "model.onnx")
    first = browser.run("at('answers').innerText")
    stream = """navigator.mediaDevices.getUserMedia = async () => {
      const scene = made("canvas", { width: 64, height: 48 }), brush = scene.getContext("2d");
      const paint = () => { brush.fillStyle = "#c02040"; brush.fillRect(0, 0, 64, 48); };
      setInterval(paint, 50);
      paint();
      return scene.captureStream(10);
    }; 0"""
    browser.run(stream)
    button = "[...document.querySelectorAll('.buttons button')].find((each) => /amera/.test(each.textContent))"
    seen = "(() => { const [red, green, blue] = controls[0].read()[0][0]; return red > 120 && green < 90 && blue < 120; })()"
    browser.run(f"{button}.click(); 0")
    browser.run(f"(async () => {{ while (!{seen}) await new Promise((done) => setTimeout(done, 50)); }})()")
    browser.run(f"{button}.click(); 0")
    browser.run(SETTLED)
    assert browser.run(f"{button}.textContent") == "Camera"
    assert browser.run("at('answers').innerText") != first
    assert browser.errors == []


@pytest.mark.slow
def test_parts_of_a_picture_add_up_to_what_it_adds(browser: Page, tmp_path: Path) -> None:
    show(browser, tmp_path, FIXTURES / "garments" / "model.onnx")
    browser.run("at('why').open = true; changed()")
    browser.run(SETTLED)
    values = """(async () => {
      const record = recordOf(), [answer] = await ask([record]), { of } = follower(answer), picture = record.image;
      const empty = emptied(picture), cell = (y, x) => y * picture[0].length + x;
      const hidden = (set) => picture.map((line, y) => line.map((p, x) => (set[cell(y, x)] === "1" ? p : empty[y][x])));
      const asked = async (sets) => (await ask(sets.map((set) => ({ image: hidden(set) })))).map(of);
      const found = await shapley(12, asked);
      return [found.added, found.none, of(answer)];
    })()"""
    added, none, whole = browser.run(values)
    assert abs(none + sum(added) - whole) < 1e-6
    assert f"{100 * none:.1f}%, and" not in browser.run("at('why-body').innerText")
    assert f"{100 * none:.1f}% with every part hidden" in browser.run("at('why-body').innerText")
    assert "what its parts add" in browser.run("at('why-body').querySelector('canvas').getAttribute('aria-label')")


@pytest.mark.slow
def test_a_page_without_an_example_waits_for_one(browser: Page, tmp_path: Path) -> None:
    show(browser, tmp_path, without_example("garments", tmp_path))
    assert "image needs a picture" in browser.run("at('form').innerText")
    browser.run("controls[0].set(Array(5).fill(Array(6).fill([9, 200, 30]))); 0")
    browser.run(SETTLED)
    assert "%" in browser.run("at('answers').innerText")
    assert browser.run("at('form').querySelector('.problem').textContent") == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["opinions", "characters", "garments"])
def test_nasty_values_have_the_answers_of_the_file(browser: Page, tmp_path: Path, name: str) -> None:
    show(browser, tmp_path, FIXTURES / name / "model.onnx")
    (field,) = form_of(FIXTURES / name / "model.onnx")["fields"]
    if field["kind"] == "picture":
        random = np.random.default_rng(2)
        rows = [random.integers(0, 256, (*size, 3)).tolist() for size in ((1, 1), (3, 700), (65, 2))]
    else:
        rows = [
            "",
            "ÄÖÜ naïve ïA\u0308",
            "👩‍👩‍👧 🏳️‍🌈 ﷽",
            "שלום עולם مرحبا",
            "\u202eevil\u202c",
            "a\tb\r\nc",
            "good film " * 1000,
        ]
    file = session(FIXTURES / name / "model.onnx")
    for row in rows:
        given = browser.run(f"ask([{{ {field['input']}: {json.dumps(row)} }}]).then(([found]) => found)")
        feed = np.array([[row]], object) if isinstance(row, str) else np.array([row], np.uint8)
        for output, wanted in zip(given, file.run(list(given), {field["input"]: feed}), strict=True):
            found = given[output]["data"]
            if wanted.dtype == object:
                assert found == wanted.ravel().tolist()
            else:
                np.testing.assert_allclose(found, wanted.ravel(), rtol=1e-3, atol=1e-4)
