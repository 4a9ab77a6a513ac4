"""The tutorials and guides are true: their commands run as they stand, and print what the pages show."""

from __future__ import annotations

import shutil
from pathlib import Path

import browsing
import pytest
import walkthrough
from paths import ROOT
from walkthrough import Walk, blocks_of, difference

GUIDES = [ROOT / "docs" / f"{name}.md" for name in ("index", "records", "training", "export", "provenance")]
PAGES = GUIDES + sorted((ROOT / "docs" / "tutorials").glob("*.md"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="the pages are written for a POSIX shell")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_reader_succeeds(page: Path, tmp_path: Path, shared_folder: Path) -> None:
    Walk(tmp_path, shared_folder / "pages").walk(page.read_text(encoding="utf-8"))


def test_what_a_page_shows_is_compared() -> None:
    printed = "epoch 1  loss 0.5\nepoch 2  loss 0.25\nrun: runs/a\n"
    assert difference("epoch 1  loss 0.4\nepoch 2  loss 0.1\nrun: runs/a\n", printed) is None
    assert difference("epoch 1  loss 0.4\n…\nrun: runs/a\n", printed) is None
    assert difference("epoch 1  loss 0.4\n…\n", printed) is None
    assert "accuracy" in (difference("epoch 1  accuracy 0.4\n…\n", printed) or "")
    assert "does not show" in (difference("epoch 1  loss 0.4\n", printed) or "")
    assert difference("…\nepoch 2  loss 0.1\nrun: runs/a\n", printed) is None  # and not epoch 1
    assert difference("epoch 1  loss 0.4\n…\nepoch 2  loss 0.1\n…\n", printed) is None
    assert difference("…\nepoch 2  loss 0.1\n", printed) is not None
    assert difference("…\nepoch 3  accuracy 0.1\n…\n", printed) is not None
    assert "in vain" in (difference(f"{printed}more\n", printed) or "")
    assert difference("run: runs/b\n", "run: runs/b\n", exact=True) is None
    assert difference("a 1\n", "a 2\n", exact=True) is not None


def test_times_and_wrapping_need_not_be_the_same() -> None:
    printed = "trained 2 epochs in 839 ms\nbest: epoch 2;\n  val_loss 0.5\n"
    assert difference("trained 2 epochs in 1.2 s\nbest: epoch 2; val_loss 0.5\n", printed) is None
    assert difference("trained 2 epochs in 2 min 3 s\n…\n", printed) is None
    assert difference("loss  █▁  0.5 → 0.1", "loss  ▇▆▁  0.6 → 0.2") is None
    assert difference("loss  █▁  0.5 → 0.1", "loss  0.6 → 0.2") is not None
    assert difference("…\nbest: epoch 2; val_mae 0.5\n", printed) is not None
    assert difference("trained 2 steps in 1.2 s\n…\n", printed) is not None
    assert difference("best: epoch 2;\n  val_loss 0.5\n", "best: epoch 2; val_loss 0.5\n", exact=True) is not None


@pytest.mark.slow
def test_a_page_that_is_wrong_is_found(tmp_path: Path) -> None:
    page = '```yaml title="a.yaml"\ngraphspec: 1\n```\n\n```bash\ngraphspec validate a.yaml\n```\n'
    assert [b.language for b in blocks_of(page)] == ["yaml", "bash"]
    with pytest.raises(AssertionError, match="line 5: status 1"):
        Walk(tmp_path).walk(page)


BROWSED = """\
```html title="index.html"
<h1>Sum</h1><p id="sum">One moment …</p>
<script type="module">
  const part = await (await fetch("part.json")).json();
  document.getElementById("sum").textContent = `${part.word} and more`;
</script>
```

```json title="part.json"
{"word": "this"}
```

<!-- browser: index.html -->
```text
Sum

this and more
```
"""


@pytest.mark.slow
def test_what_a_web_page_shows_in_the_end_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if browsing.chromium() is None:
        pytest.skip("Chromium is not installed")
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for folder in (right, wrong):
        folder.mkdir()
    walk = Walk(right)
    walk.has_node = True  # this page needs no package
    walk.walk(BROWSED)
    walk = Walk(wrong)
    walk.has_node = True
    monkeypatch.setattr(browsing, "SECONDS", 3)
    with pytest.raises(AssertionError, match=r"line 14: index\.html: the page shows"):
        walk.walk(BROWSED.replace("this and", "that and"))


@pytest.mark.slow
def test_what_pages_share_is_trained_once(tmp_path: Path) -> None:
    said = "```bash\ngraphspec init penguins.yaml --from penguins.csv --target species\nls\n```\n"
    page = f"<!-- data: specs/data/penguins.csv -->\n{said}\n```text\n…\npenguins.yaml\n```\n"
    for name in "ab":
        (tmp_path / name).mkdir()
        Walk(tmp_path / name, tmp_path / "kept").walk(page)
        (kept,) = (path for path in (tmp_path / "kept").iterdir() if path.is_dir())
        (kept / "penguins.yaml").write_text("as the first reader got it")
    assert (tmp_path / "b" / "project" / "penguins.yaml").read_text() == "as the first reader got it"
    (tmp_path / "c").mkdir()
    other = '```json title="note"\n1\n```\n'
    Walk(tmp_path / "c", tmp_path / "kept").walk(page.replace(said, other + said))
    assert "graphspec: 1" in (tmp_path / "c" / "project" / "penguins.yaml").read_text()  # of other files


@pytest.mark.slow
def test_a_page_is_walked_without_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walkthrough, "NODE_MODULES", tmp_path / "nothing")
    page = """```js title="a.mjs"\nconsole.log(1);\n```\n\n```bash\nnode a.mjs\n```\n\n```text\none\n```\n"""
    Walk(tmp_path).walk(page + "\n<!-- browser: a.html -->\n```text\nnothing\n```\n")
