"""The pages of the language are true: every block of YAML is a spec without errors."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paths import ROOT
from ruamel.yaml import YAML
from safetensors.numpy import save_file

import graphspec as gs
from benchmarks.scaling.__main__ import TABLES
from tools.reference import complete

DOCS = ROOT / "docs"
KINDS = ("weight", "bias")
LINEAR = ("self.query", "self.key", "self.value", "output.dense")
"""The parts of attention in BERT's files."""


PAGES_WITH_SPECS = (
    "language.md",
    "from-keras.md",
    *(path.relative_to(DOCS).as_posix() for path in sorted((DOCS / "vocabulary").glob("*.md"))),
)


def blocks(page: str, language: str = "yaml") -> list[tuple[int, str]]:
    """The fenced blocks of a language, with the line of each."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    return [(text.count("\n", 0, m.start()) + 1, m[1]) for m in found]


def completed(text: str) -> dict[str, Any]:
    """A block that shows some sections alone, with the others that a spec needs: its last layer is trained."""
    shown: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    document = {"graphspec": 1, "name": "shown", **shown}
    if "outputs" not in document:
        document["outputs"] = {document["layers"][-1]["name"]: {"loss": "mean_squared_error"}}
    return document


@pytest.fixture
def files_of_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the pages name as vocabularies and initial values, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("tokens.txt").write_text("a\nb\nc\n", encoding="utf-8")
    Path("words.txt").write_text("a\nb\nc\n", encoding="utf-8")
    np.save("vectors.npy", np.zeros((5, 50)))
    Path("glove.txt").write_text("a\nb\nc\n", encoding="utf-8")
    np.save("glove.npy", np.zeros((3, 50)))
    layer = "bert.encoder.layer.0.attention."
    linear = {
        f"{layer}{name}.{kind}": np.zeros((8,) * (1 + (kind == "weight")), np.float32)
        for name in LINEAR
        for kind in KINDS
    }
    norm = {f"{layer}output.LayerNorm.{kind}": np.zeros(8, np.float32) for kind in KINDS}
    save_file(
        {"bert.embeddings.word_embeddings.weight": np.zeros((30, 8), np.float32), **linear, **norm}, "bert.safetensors"
    )


@pytest.mark.usefixtures("files_of_the_pages")
@pytest.mark.parametrize(
    ("page", "line", "text"),
    [(page, line, text) for page in PAGES_WITH_SPECS for line, text in blocks(page)],
    ids=lambda v: "" if isinstance(v, str) and "\n" in v else str(v),
)
def test_every_block_of_yaml_is_a_spec_without_problems(page: str, line: int, text: str) -> None:
    assert gs.validate(completed(text)) == [], f"docs/{page}:{line}"


def anchors_of(text: str) -> set[str]:
    """The anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


LONG = 6000  # words
LONG_PAGES = [page for page in sorted(DOCS.glob("*.md")) if len(page.read_text(encoding="utf-8").split()) > LONG]


@pytest.mark.parametrize("page", LONG_PAGES, ids=lambda page: page.name)
def test_the_contents_of_long_pages_name_every_section(page: Path) -> None:
    first, *_ = (text := page.read_text(encoding="utf-8")).partition("\n## ")
    sections = anchors_of(re.sub(r"^```.*?^```$", "", text.removeprefix(first), flags=re.M | re.S))
    assert len(sections) > 10
    assert sections - {*re.findall(r"\(#([\w-]+)\)", first)} == set()


def test_links_between_pages_lead_somewhere() -> None:
    texts = {page: page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md"))}
    texts |= {DOCS / name: text for name, text in complete({}).items()}  # as the site has them
    anchors = {page: anchors_of(text) for page, text in texts.items()}
    for page, text in texts.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            if "://" in target:
                continue
            whole = (page.parent / path).resolve() if path else page
            assert whole.exists(), f"{page.name}: {target}"
            if anchor and whole in anchors:
                assert anchor in anchors[whole], f"{page.name}: {target}"


KERAS_LISTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "dense": ({"type": "Dense", "units": 3}, ["kernel", "bias"]),
    "depthwise": ({"type": "DepthwiseConv1D", "kernel_size": 2}, ["kernel", "bias"]),
    "separable": (
        {"type": "SeparableConv1D", "filters": 3, "kernel_size": 2},
        ["depthwise_kernel", "pointwise_kernel", "bias"],
    ),
    "transposed": ({"type": "Conv1DTranspose", "filters": 3, "kernel_size": 2}, ["kernel", "bias"]),
    "norm": ({"type": "BatchNormalization"}, ["gamma", "beta", "moving_mean", "moving_variance"]),
    "gru": ({"type": "GRU", "units": 3, "return_sequences": True}, ["kernel", "recurrent_kernel", "bias"]),
    "both": (
        {"type": "Bidirectional", "layer": {"type": "LSTM", "units": 3, "return_sequences": True}},
        [f"{way}/{role}" for way in ("forward", "backward") for role in ("kernel", "recurrent_kernel", "bias")],
    ),
    "cells": (
        {
            "type": "RNN",
            "cell": [{"type": "LSTMCell", "units": 3}, {"type": "GRUCell", "units": 2}],
            "return_sequences": True,
        },
        [f"{k}/{role}" for k in range(2) for role in ("kernel", "recurrent_kernel", "bias")],
    ),
    "look": (
        {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 2, "inputs": ["cells", "cells"]},
        [f"{part}/{role}" for part in ("query", "key", "value", "attention_output") for role in ("kernel", "bias")],
    ),
    "slopes": ({"type": "PReLU", "shared_axes": [1]}, ["alpha"]),
    "scaled": (
        {"type": "SpectralNormalization", "layer": {"type": "DepthwiseConv1D", "kernel_size": 2}},
        ["kernel", "vector_u", "bias"],
    ),
}
"""Layers one after the other, and what Keras 3.15.1 has in ``get_weights()``: the names of its variables in their order."""


def run_block(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(text, "from-keras.md", "exec"), names)  # noqa: S102 (a page of this repository)
    return names


@pytest.fixture
def specs_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's specs as files, and Keras's weights of ``opinions.yaml``, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for _, text in blocks("from-keras.md"):
        if found := re.search(r"^name: (\w+)$", text, re.M):
            Path(f"{found[1]}.yaml").write_text(text, encoding="utf-8")
    shapes = {"embed": [(5000, 32)], "read": [(32, 96), (24, 96), (96,)] * 2, "sum_up": [(48, 64), (16, 64), (64,)]}
    lists = {f"{layer}/{k}": np.full(s, k + 1.0) for layer, found in shapes.items() for k, s in enumerate(found)}
    np.savez("from_keras.npz", **lists)  # type: ignore[arg-type]
    lines = [f"{word} {' '.join(str(k + n / 8) for n in range(50))}\n" for k, word in enumerate(("the", "of", "und"))]
    Path("glove.6B.50d.txt").write_text("".join(lines), encoding="utf-8")


OURS = [(line, text) for line, text in blocks("from-keras.md", "python") if not text.startswith("# Keras\n")]


@pytest.mark.usefixtures("specs_of_the_page")
@pytest.mark.parametrize(("line", "text"), OURS, ids=lambda v: str(v) if isinstance(v, int) else "")
def test_every_block_of_python_beside_keras_runs(line: int, text: str) -> None:
    run_block(text)


@pytest.mark.usefixtures("specs_of_the_page")
def test_word_vectors_begin_as_the_file_says() -> None:
    run_block(next(text for _, text in OURS if "glove.6B" in text))
    text = np.array([["of und und"], ["the und of"], ["und"]], object)  # learnt: und, of, the
    model = gs.compile("glove.yaml")
    model.fit(text, np.ones((3, 1), np.float32), epochs=1, verbose=0)
    np.testing.assert_array_equal(model.weights["words/embeddings"][2:, 8], [3, 2, 1])


@pytest.mark.usefixtures("specs_of_the_page")
def test_the_lists_of_keras_become_names() -> None:
    names = run_block(next(text for _, text in OURS if "def by_name" in text))
    assert np.all(names["model"].weights["read/backward/bias"] == 6)  # from the file, the last of six
    assert np.all(names["model"].weights["embed/embeddings"] == 1)
    layers = [{"name": name, **layer} for name, (layer, _) in KERAS_LISTS.items()]
    last = layers[-1]["name"]
    spec = {"graphspec": 1, "name": "t", "inputs": {"x": {"shape": [6, 4]}}, "layers": layers, "outputs": {last: {}}}
    model = gs.compile(spec)
    wanted = {
        f"{name}/{role}": model.weights[f"{name}/{role}"] + 1
        for name, (_, roles) in KERAS_LISTS.items()
        for role in roles
    }
    lists = {name: [wanted[f"{name}/{role}"] for role in roles] for name, (_, roles) in KERAS_LISTS.items()}
    model.set_weights(names["by_name"](model, lists))
    assert model.weights.keys() == wanted.keys()
    for name, array in model.weights.items():
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)
    with pytest.raises(ValueError, match="zip"):
        names["by_name"](model, {"dense": lists["dense"][:1]})


@pytest.mark.usefixtures("kernels_that_pay")
def test_the_walk_through_the_code_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    walk = doctest.DocTestParser().get_doctest(
        text.replace("```", ""), {}, "architecture.md", "docs/architecture.md", 0
    )
    assert len(walk.examples) > 20
    printed: list[str] = []
    assert doctest.DocTestRunner(verbose=False).run(walk, out=printed.append).failed == 0, "".join(printed)


def test_paths_of_the_pages_for_contributors_exist() -> None:
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "tools/guides.md"))
    paths = re.findall(r"`((?:graphspec|tests|docs|schemas|tools)/[\w/.]+)`", text)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


DECISIONS = DOCS / "decisions"


def test_every_page_of_decisions_is_in_their_table() -> None:
    pages = re.findall(r"^\| \[([\w-]+\.md)\]\(\1\) \|", (DECISIONS / "README.md").read_text(encoding="utf-8"), re.M)
    assert sorted(pages) == sorted(page.name for page in DECISIONS.glob("*.md") if page.name != "README.md")


@pytest.mark.parametrize("page", sorted(DECISIONS.glob("*.md")), ids=lambda page: page.stem)
def test_paths_and_commands_of_the_decisions_exist(page: Path) -> None:
    for code in re.findall(r"`([^`]+)`", page.read_text(encoding="utf-8")):
        words = code.split()
        paths = [w for w in words if re.match(r"(graphspec|tests|specs|tools|benchmarks)/", w)]
        if "-m" in words:
            paths.append(module := words[words.index("-m") + 1].replace(".", "/"))
            paths[-1] += ".py" if (ROOT / f"{module}.py").exists() else "/__main__.py"
        if "tests.trust" in words:
            paths.append(f"tests/trust/attack_{words[words.index('--only') + 1]}.py")
        if "benchmarks.scaling" in words:
            assert set(words[words.index("benchmarks.scaling") + 1 :]) <= TABLES.keys(), code
        assert [path for path in paths if not (ROOT / path).exists()] == [], code
