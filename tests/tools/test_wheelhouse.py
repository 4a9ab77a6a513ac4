"""`tools.wheelhouse`: what it writes is installed without an index, and a wheel that has changed is refused."""

from __future__ import annotations

import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.wheelhouse import install_line, main, platform_tags, requirements

pytestmark = pytest.mark.slow

PROJECT = """\
[project]
name = "tiny-net"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """\
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from wheels import made

def build_wheel(folder, config_settings=None, metadata_directory=None):
    needs = ["parts>=1", 'glue; extra == "glue"']
    return made(Path(folder), "tiny_net", "2.0", needs, ["glue"]).name
"""
WHEELS = '''\
import zipfile

def made(folder, name, version, needs=(), extras=(), tag="py3-none-any"):
    """Write the wheel of a package with one module."""
    path, info = folder / f"{name}-{version}-{tag}.whl", f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {need}" for need in needs]
    files = {
        f"{name}.py": f"version = {version!r}\\n",
        f"{info}/METADATA": "\\n".join(lines) + "\\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\\nGenerator: a test\\nRoot-Is-Purelib: true\\nTag: {tag}\\n",
    }
    record = "".join(f"{file},,\\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, text)
    return path
'''


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that needs `parts`, which is in a folder that stands for the index."""
    root, index = tmp_path / "project", tmp_path / "index"
    root.mkdir()
    index.mkdir()
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "backend.py").write_text(BACKEND.format(here=str(tmp_path)))
    (tmp_path / "wheels.py").write_text(WHEELS)
    names: dict[str, object] = {}
    exec(WHEELS, names)  # noqa: S102 (the text above)
    made = names["made"]
    assert callable(made)
    made(index, "parts", "1.5", tag="cp311-abi3-win_amd64")
    made(index, "parts", "1.5")
    made(index, "glue", "0.1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return root


def installed(folder: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Run the line that the tool prints, into a folder of its own."""
    words = shlex.split(install_line(folder))
    assert words[:2] == ["pip", "install"]
    command = [sys.executable, "-m", *words, "--target", str(target)]
    return subprocess.run(command, capture_output=True, text=True)


def test_wheels_for_two_platforms_are_installed_unless_they_have_changed(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "wheels"
    assert main([str(folder), "--extras", "glue"], project) == 0
    assert main([str(folder), "--extras", "glue", "--python", "3.12", "--platform", "win_amd64"], project) == 0
    monkeypatch.delenv("PIP_FIND_LINKS")
    out = capsys.readouterr().out
    assert "kernels: none" in out
    assert "3 wheels in" in out
    assert "4 wheels in" in out
    assert out.splitlines()[-1] == f"install: {install_line(folder)}"
    lines = [line.split() for line in (folder / "requirements.txt").read_text().splitlines()]
    assert [(name, len(sums)) for name, *sums in lines] == [("glue==0.1", 1), ("parts==1.5", 2), ("tiny-net==2.0", 1)]
    done = installed(folder, tmp_path / "there")
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in (tmp_path / "there").glob("*.py")} == {"glue", "parts", "tiny_net"}

    with zipfile.ZipFile(next(folder.glob("parts-*any.whl")), "a") as archive:
        archive.writestr("more.py", "")
    done = installed(folder, tmp_path / "elsewhere")
    assert done.returncode != 0
    assert "do not match" in done.stderr.lower()


def test_a_wheel_that_is_missing_is_an_error(project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path / "index").glob("parts-*-any.whl"):
        path.unlink()
    assert main([str(tmp_path / "wheels"), "--platform", "macosx_14_0_arm64"], project) == 1
    assert "a wheel is missing for this Python or platform" in capfd.readouterr().err


def test_two_versions_are_an_error(tmp_path: Path) -> None:
    for name in ("numpy-2.3.0-py3-none-any.whl", "numpy-2.4.0-py3-none-any.whl"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"numpy in versions 2\.3\.0 and 2\.4\.0; take an empty folder"):
        requirements(tmp_path)


@pytest.mark.parametrize(
    ("platform", "tags"),
    [
        (None, []),
        ("win_amd64", ["win_amd64"]),
        ("manylinux_2_18_x86_64", ["manylinux_2_18_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"]),
    ],
)
def test_a_newer_linux_takes_what_was_built_for_older_ones(platform: str | None, tags: list[str]) -> None:
    assert platform_tags(platform) == tags
