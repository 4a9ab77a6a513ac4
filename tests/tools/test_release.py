"""`tools.release`: what it says of this tree, and that it finds what is wrong in a tree."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest
from cyclonedx_schema import valid
from paths import ROOT

from tools import release
from tools.release import (
    STATIC,
    Package,
    bill_of,
    copy_of,
    dependencies,
    installed,
    is_free,
    licence_of,
    main,
    run_tests,
)

FILES = (
    *("pyproject.toml", "CHANGELOG.md", "CITATION.cff", "tools/conda/recipe.yaml"),
    *("graphspec/base/version.py", "graphspec/graph/kernels/compiled.py", "kernels/pyproject.toml"),
    *("kernels/python/graphspec_kernels/__init__.py", "kernels/src/kernels.h"),
    *(path.relative_to(ROOT).as_posix() for path in (ROOT / ".github" / "workflows").glob("*.yml")),
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the files that the checks read, between two releases: in the tree of a release, the next one begins."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    log = tmp_path / "CHANGELOG.md"
    if "\n## Unreleased\n" not in (text := log.read_text(encoding="utf-8")):
        log.write_text(text.replace("\n## ", "\n## Unreleased\n\n- More.\n\n## ", 1), encoding="utf-8")
        for name in ("graphspec/base/version.py", "tools/conda/recipe.yaml"):
            text = (tmp_path / name).read_text(encoding="utf-8")
            (tmp_path / name).write_text(re.sub(r'"\d+\.[^"]*"', '"99.0.dev0"', text, count=1), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", STATIC)
def test_this_tree_is_ready(name: str) -> None:
    found = STATIC[name](ROOT)
    assert found.problems == []
    assert found.text


def test_six_platforms_have_wheels_of_the_kernels() -> None:
    text = (ROOT / ".github" / "workflows" / "kernels.yml").read_text(encoding="utf-8")
    listed = re.findall(r"os: \[(.*)\]", text)[0].split(", ")
    families = [re.match(r"[a-z]+", name)[0] for name in listed]  # type: ignore[index]
    assert sorted(families) == sorted(["ubuntu", "windows", "macos"] * 2)
    assert "python -m cibuildwheel kernels" in text


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "said"),
    [
        ("version", "graphspec/base/version.py", r'"\d.*"', '"0.1.5.dev0"', "is not after"),
        (
            "version",
            "CHANGELOG.md",
            r"## Unreleased\n(.|\n)*?\n## ",
            "## Unreleased\n\n## ",
            "nothing under Unreleased",
        ),
        ("version", "graphspec/base/version.py", r'"\d.*"', '"9.0.0"', "no dated section 9.0.0"),
        ("kernels", "kernels/pyproject.toml", r'version = ".*"', 'version = "9.9"', "versions differ"),
        ("kernels", "kernels/src/kernels.h", r"GK_ABI \d+", "GK_ABI 99", "GK_ABI is 99"),
        ("citation", "CITATION.cff", r"version: .*\ndate", "version: 9.9\ndate", "has version: 9.9; write"),
        (
            "citation",
            "CITATION.cff",
            r"date-released: .*",
            "date-released: 2020-01-01",
            "has date-released: 2020-01-01",
        ),
        ("citation", "CITATION.cff", r"license: .*", "license: Zlib", "has license: Zlib; write MIT"),
        ("citation", "CITATION.cff", r"title: .*", "x: y", "CITATION.cff lacks title"),
        ("conda recipe", "tools/conda/recipe.yaml", r"- numpy >=.*", "- numpy >=1", "dependencies differ (numpy >="),
        ("conda recipe", "pyproject.toml", r'  "rich>=14",\n', "", "dependencies differ (rich >=14)"),
        ("conda recipe", "tools/conda/recipe.yaml", r'  version: ".*"', '  version: "1.0"', "is of version 1.0"),
        ("conda recipe", "tools/conda/recipe.yaml", r"python_min: .*", 'python_min: "3.9"', "is for Python 3.9"),
        ("conda recipe", "tools/conda/recipe.yaml", r"license: .*", "license: Zlib", "has the licence Zlib"),
        ("workflows", ".github/workflows/docs.yml", r"checkout@\S+", "checkout@v5", "checkout@v5 is not pinned"),
        ("workflows", ".github/workflows/docs.yml", r"(checkout@\S+) .*", r"\1", "has no version"),
        ("workflows", ".github/workflows/docs.yml", r"(checkout@\S+) .*", r"\1 # main", "has no version"),
    ],
)
def test_what_is_wrong_is_found(tree: Path, name: str, file: str, old: str, new: str, said: str) -> None:
    text = (tree / file).read_text(encoding="utf-8")
    changed = re.sub(old, new, text, count=1)
    assert changed != text
    (tree / file).write_text(changed, encoding="utf-8")
    [problem] = STATIC[name](tree).problems
    assert said in problem


def test_a_release_has_a_dated_section_and_nothing_waiting(tree: Path) -> None:
    version, log = tree / "graphspec" / "base" / "version.py", tree / "CHANGELOG.md"
    version.write_text('__version__ = "9.0.0"\n', encoding="utf-8")
    text = log.read_text(encoding="utf-8")
    log.write_text(text.replace("## Unreleased\n", "## 9.0.0 - 2030-01-01\n"), encoding="utf-8")
    assert STATIC["version"](tree).problems == []
    log.write_text(
        text.replace("## Unreleased\n", "## Unreleased\n\nmore\n\n## 9.0.0 - 2030-01-01\n"), encoding="utf-8"
    )
    assert "still has lines under Unreleased" in STATIC["version"](tree).problems[0]


def test_what_is_installed_with_it_is_free() -> None:
    packages = installed(release.project(ROOT)["project"]["dependencies"])
    assert {"numpy", "onnx", "protobuf", "pydantic-core"} <= packages.keys()
    assert all(needed in packages for package in packages.values() for needed in package.needs)
    assert dependencies(packages).problems == []
    with pytest.raises(LookupError, match="is not installed"):
        installed(["a-package-that-nobody-has>=1"])


@pytest.mark.parametrize(
    ("fields", "licence", "free"),
    [
        ({"License-Expression": "BSD-3-Clause AND 0BSD"}, "BSD-3-Clause AND 0BSD", True),
        ({"License-Expression": "GPL-3.0-only OR MIT"}, "GPL-3.0-only OR MIT", True),
        ({"License-Expression": "MIT AND GPL-3.0-only"}, "MIT AND GPL-3.0-only", False),
        ({"Classifier": "License :: OSI Approved :: MIT License"}, "MIT", True),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, "BSD License", True),  # networkx 3.4
        ({"Classifier": "License :: OSI Approved", "License": "3-Clause BSD License"}, "BSD-3-Clause", True),
        ({"License": "GNU General Public License\nand all of its text"}, "GNU General Public License", False),
        ({"Name": "without"}, None, False),
    ],
)
def test_licences_of_metadata(fields: dict[str, str], licence: str | None, free: bool) -> None:
    metadata = Message()
    for key, value in fields.items():
        metadata[key] = value
    assert licence_of(metadata) == licence
    assert is_free(licence) == free
    package = Package("a", "1", licence, ())
    assert bool(dependencies({"a": package}).problems) != free


def test_the_bill_of_a_wheel(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    wheel.write_bytes(b"a")
    packages = installed(release.project(ROOT)["project"]["dependencies"])
    found = valid(bill_of(wheel, ROOT, packages))
    assert found["metadata"]["component"]["licenses"] == [{"expression": "MIT"}]
    assert {c["name"]: c["version"] for c in found["components"]} == {p.name: p.version for p in packages.values()}
    needs = {each["ref"]: each.get("dependsOn", []) for each in found["dependencies"]}
    assert "protobuf" in needs["onnx"]
    assert "numpy" in needs["graphspec-onnx"]
    assert "protobuf" not in needs["graphspec-onnx"]


def timed(root: Path) -> None:
    """A wheel whose bytes depend on its folder."""
    (root / "graphspec" / "place.py").write_text(f"PLACE = {str(root)!r}\n", encoding="utf-8")


def without_a_file(root: Path) -> None:
    """A source archive that lacks what the wheel holds."""
    path = root / "pyproject.toml"
    text = path.read_text(encoding="utf-8").replace('"/graphspec", "/kernels"', '"/graphspec/base", "/kernels"')
    path.write_text(text, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [(None, None), (timed, "differs between two folders"), (without_a_file, "makes another wheel than the tree")],
)
def test_two_folders_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None] | None, said: str | None
) -> None:
    small = tmp_path / "small"
    for name in ("graphspec/base", "schemas", "specs/architectures"):
        shutil.copytree(ROOT / name, small / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("graphspec/__init__.py", "graphspec/extend.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, small / name)

    def copied(root: Path, target: Path) -> Path:
        tree = copy_of(root, target)
        if change is not None:
            change(tree)
        return tree

    monkeypatch.setattr(release, "copy_of", copied)
    found, wheel, sdist = release.made_twice(small, tmp_path / "made")
    assert wheel.is_file()
    assert sdist.is_file()
    assert any(said in problem for problem in found.problems) if said else found.problems == []


@pytest.mark.slow
@pytest.mark.parametrize(("test", "problems"), [("assert True", 0), ("assert False, 'this one'", 1)])
def test_the_tests_of_the_archive_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, test: str, problems: int
) -> None:
    (tmp_path / "test_a.py").write_text(f"def test_a():\n    {test}\n", encoding="utf-8")
    monkeypatch.setattr(release, "SAMPLE", ("test_a.py",))
    found = run_tests(tmp_path, full=False)
    assert len(found.problems) == problems
    assert not problems or "this one" in found.problems[0]


def test_what_is_asked_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "give --check, or --out DIR" in capsys.readouterr().err


def test_problems_are_printed_and_counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = [("version", release.Found("1.0")), ("files", release.Found("two", ["a is wrong; mend it"]))]
    monkeypatch.setattr(release, "checks", lambda *_, **__: iter(found))
    assert main(["--check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["ok       version       1.0", "problem  files         two", "         a is wrong; mend it"]
