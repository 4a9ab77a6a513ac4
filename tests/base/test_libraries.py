"""How to install a missing library: by its own name. graphspec's name on Python's public index is another project's."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from commands import graphspec
from paths import ROOT

from graphspec.base import libraries
from graphspec.base.libraries import missing_library

HERE = Path(libraries.__file__)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIRES = ["numpy>=2.3", "pillow>=11; extra == 'images'", 'pyfive >=1.3 ; extra == "keras"', "mpi4py"]


class Found:
    """A distribution of the name graphspec-onnx."""

    requires = REQUIRES

    def __init__(self, root: Path, url: str = "") -> None:
        self.root, self.url = root, url

    def locate_file(self, name: str) -> Path:
        return self.root / name

    def read_text(self, name: str) -> str | None:
        return f'{{"dir_info": {{"editable": true}}, "url": "{self.url}"}}' if self.url else None


def hint(monkeypatch: pytest.MonkeyPatch, name: str, found: Any) -> str:
    def distribution(wanted: str) -> Any:
        assert wanted == PROJECT["name"]
        if found is None:
            raise importlib.metadata.PackageNotFoundError(wanted)
        return found

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    missing_library.cache_clear()
    try:
        return missing_library(name)
    finally:
        missing_library.cache_clear()


def test_the_versions_are_those_of_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = Found(HERE.parents[2])
    for name, text in {"pillow": "pillow>=11", "pyfive": "pyfive >=1.3", "mpi4py": "mpi4py", "other": "other"}.items():
        assert hint(monkeypatch, name, installed) == f'install it with `pip install "{text}"`'
    in_folder = Found(Path("elsewhere"), HERE.parents[2].as_uri())
    assert hint(monkeypatch, "pillow", in_folder) == 'install it with `pip install "pillow>=11"`'


def test_without_metadata_or_with_those_of_another_project_the_name_alone_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for found in (None, Found(Path("elsewhere")), Found(Path("elsewhere"), "file:///elsewhere")):
        assert hint(monkeypatch, "pillow", found) == 'install it with `pip install "pillow"`'


@pytest.mark.parametrize("arguments", [["--version"], ["schema"]])
def test_another_distribution_of_the_folder_s_name_is_told_where_it_may_matter(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("oops")

    def version(name: str) -> str:
        if name != "graphspec":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr("graphspec.cli.schema.schema_text", broken)
    result = graphspec(*arguments)
    assert result.exit_code == (0 if arguments == ["--version"] else 70)
    said = " ".join(result.stderr.split())
    assert "warning: the distribution `graphspec` 1.0.0 is installed, too: it is not this one (graphspec-onnx)" in said


def test_alone_it_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert graphspec("--version").stderr == ""


# Texts that tell how to install graphspec.

_NAME = r"""["']?graphspec(?:-onnx)?(?:-kernels)?(?=["'`\[<>=~!,;\s]|$)"""
_WORD = r"[^\s`;&|#]+[ \t]+"
FROM_AN_INDEX = re.compile(
    rf"""\b(?:pip3?|pipx|uvx?|poetry|conda)\s+(?:{_WORD}){{0,8}}?(?:(?:install|add)\s+)?{_NAME}  # a command that installs
    |\binstall\s(?:the\s(?:same|newest)|a\snewer)\sgraphspec\b  # advice that becomes such a command
    |\bgraphspec(?:-onnx)?(?:-kernels)?(?:\[[a-z]+\]|\s?[=~<>]=\s?\d)  # a requirement""",
    re.VERBOSE,
)
BINARY = (".npz", ".png", ".onnx", ".parquet", ".keras", ".h5", ".safetensors", ".jpg", ".gz", ".zip", ".woff2", ".csv")


def texts() -> dict[str, str]:
    """The tracked texts of the repository, or of the source archive, where nothing is tracked."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    if len(listed) < 100:
        folders = (
            "graphspec",
            "kernels",
            "docs",
            "examples",
            "tests",
            "tools",
            "benchmarks",
            "specs",
            ".github",
            ".ci",
        )
        listed = [str(p.relative_to(ROOT)) for f in folders for p in (ROOT / f).rglob("*") if p.is_file()]
        listed += [p.name for p in ROOT.glob("*.*") if p.is_file()]
    found = {}
    for name in listed:
        path = ROOT / name
        if name and not name.endswith(BINARY) and path.name != "test_libraries.py" and path.is_file():
            found[name] = path.read_text(encoding="utf-8", errors="replace")
    return found


@pytest.mark.slow
def test_no_text_installs_it_by_name() -> None:
    found = texts()
    assert {"README.md", "pyproject.toml", "docs/commands.md", "graphspec/cli/init.py"} <= {*found}
    wrong = {f"{name}: {m[0]!r}" for name, text in found.items() for m in FROM_AN_INDEX.finditer(text)}
    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize(
    "text",
    [
        "pip install graphspec",
        'install it with `pip install "graphspec[images]"`',
        "pip install -U -q 'graphspec[search]' optuna",
        "pip install\n  graphspec",
        ".venv/bin/pip install --no-deps graphspec==0.2.0",
        "pip install numpy graphspec-onnx-kernels",
        "uv pip install graphspec",
        "pip install graphspec-onnx",
        "uvx graphspec train",
        "pipx install graphspec",
        'fast = ["graphspec-onnx-kernels>=0.2,<0.3"]',
        "image  # graphspec[mpi], Open MPI",
        "install the same graphspec-onnx-kernels for all ranks",
        "write `graphspec: 1`, or install a newer graphspec",
    ],
)
def test_these_are_found(text: str) -> None:
    assert FROM_AN_INDEX.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "pip install path/to/graphspec",
        "pip install ./graphspec  # a copy of graphspec",
        'pip install -q . && graphspec train specs/housing.yaml; `pip install "pillow>=11"`',
        "Install graphspec from its repository",
        "graphspec-onnx-kernels is not installed: pip install ./kernels",
        "`pip install ./kernels` in graphspec's source builds it",
    ],
)
def test_these_are_not(text: str) -> None:
    assert not FROM_AN_INDEX.search(text)


def test_extras_name_other_libraries_alone_and_all_has_the_small_ones() -> None:
    extras = PROJECT["optional-dependencies"]
    assert not [text for texts in extras.values() for text in texts if text.startswith("graphspec")]
    assert extras["all"] == sorted(t for name in ("editor", "images", "keras", "search") for t in extras[name])
