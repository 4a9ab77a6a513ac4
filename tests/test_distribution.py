"""What is released: the wheel holds the package alone, and the source archive makes the same wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from paths import ROOT

from graphspec import __version__
from tools.release import build

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BACKEND: str = PROJECT["build-system"]["build-backend"]
CACHES = ("__pycache__", ".pyc", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".egg-info")
SOURCES = {
    *("graphspec", "kernels", "schemas", "specs", "tests", "benchmarks", "examples", "tools", "docs", ".ci", ".github"),
    *(
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "LICENSE",
        "CITATION.cff",
        "pyproject.toml",
        "PKG-INFO",
        ".gitignore",
    ),
}
"""What stands at the top of the source archive: with it all tests run."""

RUN = """
import ast, sys
import graphspec
from graphspec.__main__ import main
found = []
for words in ast.literal_eval(sys.argv[1]):
    sys.argv = ["graphspec", *words]
    try:
        main()
        found.append(0)
    except SystemExit as end:
        found.append(end.code or 0)
print(graphspec.__file__, *found)
"""

pytestmark = pytest.mark.skipif(
    find_spec(BACKEND.partition(".")[0]) is None,
    reason=f'{BACKEND} is not installed: pip install -e ".[test]"',
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


def named(requirement: Requirement) -> tuple[str, str]:
    return canonicalize_name(requirement.name), str(requirement.specifier)


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def text_in(wheel: Path, name: str) -> str:
    """A file of the wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"graphspec_onnx-{__version__}.dist-info/{name}").decode()


def package() -> set[str]:
    """The files of the package, as paths from the root."""
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "graphspec").rglob("*") if path.is_file()}
    return {name for name in found if not any(cache in name for cache in CACHES)}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = names_in(wheel)
    metadata = {name for name in names if name.startswith(f"graphspec_onnx-{__version__}.dist-info/")}
    assert len(names) == len(set(names))
    others = {f"graphspec/architectures/{path.name}" for path in (ROOT / "specs" / "architectures").iterdir()}
    assert {*names} - metadata == package() | {"graphspec/graphspec.schema.json"} | others
    assert {name.partition("/")[2] for name in metadata} == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }


def test_what_is_no_python_is_there(wheel: Path) -> None:
    others = {Path(name).suffix or name for name in names_in(wheel) if name.startswith("graphspec/")} - {".py"}
    assert others == {".css", ".html", ".js", ".json", ".md", ".pyi", ".toml", ".typed", ".yaml"}
    templates = {path.name for path in (ROOT / "graphspec" / "cli" / "templates").iterdir()}
    assert len(templates) >= 7
    assert templates == {Path(name).name for name in names_in(wheel) if "/templates/" in name}


def test_metadata(wheel: Path) -> None:
    assert wheel.name == f"graphspec_onnx-{__version__}-py3-none-any.whl"
    found: Message = Parser().parsestr(text_in(wheel, "METADATA"))
    project = PROJECT["project"]
    assert (found["Name"], found["Version"]) == ("graphspec-onnx", __version__)
    assert found["Requires-Python"] == project["requires-python"]
    assert (found["License-Expression"], found["License-File"]) == ("MIT", "LICENSE")
    assert text_in(wheel, "licenses/LICENSE").split() == (ROOT / "LICENSE").read_text(encoding="utf-8").split()
    assert str(found.get_payload()).split() == (ROOT / "README.md").read_text(encoding="utf-8").split()
    given = [Requirement(text) for text in found.get_all("Requires-Dist", [])]
    for extra, wanted in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        marker = f'extra == "{extra}"' if extra else None
        mine = [
            r for r in given if ("extra ==" in str(r.marker)) == bool(extra) and (not extra or marker in str(r.marker))
        ]
        assert {named(r) for r in mine} == {named(Requirement(text)) for text in wanted}
    commands = ConfigParser()
    commands.read_string(text_in(wheel, "entry_points.txt"))
    assert dict(commands["console_scripts"]) == project["scripts"] == {"graphspec": "graphspec.__main__:main"}
    assert PROJECT["build-system"]["requires"][0] in project["optional-dependencies"]["test"]


@pytest.mark.slow
def test_the_wheel_works_without_the_tree(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    kinds = sorted(path.stem for path in (ROOT / "graphspec" / "cli" / "templates").iterdir())
    files = [f"{kind}.yaml" for kind in kinds]
    commands = [["init", "--kind", kind, file] for kind, file in zip(kinds, files, strict=True)]
    commands += [["init", "tagger.yaml", "--like", "bilstm"], ["validate", *files, "tagger.yaml"]]
    commands += [["schema", "-o", "schema.json"]]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, repr(commands)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    where, *status = done.stdout.split()[-1 - len(commands) :]
    assert Path(where).parent == tmp_path / "site" / "graphspec"
    assert status == ["0"] * len(commands)
    written = (ROOT / "schemas" / "graphspec.schema.json").read_text(encoding="utf-8")
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == written
    assert (tmp_path / "graphspec.schema.json").read_text(encoding="utf-8") == written


@pytest.mark.slow
def test_the_source_archive_makes_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    folder = f"graphspec_onnx-{__version__}"
    assert sdist.name == f"{folder}.tar.gz"
    with tarfile.open(sdist) as archive:
        names = [member.name for member in archive.getmembers() if member.isfile()]
        archive.extractall(tmp_path, filter="data")
    assert {name.split("/")[0] for name in names} == {folder}
    assert {name.split("/")[1] for name in names} == SOURCES
    assert [name for name in names if any(cache in name for cache in (*CACHES, "specs/data/fetched"))] == []
    assert package() <= {name.partition("/")[2] for name in names}
    again = build("wheel", tmp_path / folder, tmp_path)
    assert again.read_bytes() == wheel.read_bytes()
