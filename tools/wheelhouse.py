"""A folder of wheels from which graphspec is installed without a network: ``python -m tools.wheelhouse FOLDER``.

It builds the wheels of graphspec and of its compiled kernels, and lets pip fetch those of the libraries, for this Python and
this platform or for others. ``requirements.txt`` in the folder names every wheel with its sha256. Run it again with other
options and the same folder to serve several kinds of machines.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from graphspec.base.files import write_atomic

ROOT = Path(__file__).resolve().parent.parent
LIST = "requirements.txt"
_OLDEST = 17  # glibc of the oldest tag manylinux_2_17
_MANYLINUX = re.compile(r"manylinux_2_(\d+)_(\w+)")


def main(words: list[str] | None = None, root: Path = ROOT) -> int:
    """Fill the folder, print what is in it, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.wheelhouse", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the wheels are written")
    parser.add_argument("--extras", default="", metavar="NAMES", help="extras of graphspec, such as images,keras")
    parser.add_argument("--also", action="append", default=[], metavar="PACKAGE", help="such as notebook; may repeat")
    parser.add_argument("--python", metavar="VERSION", help="of the machines to serve, such as 3.12; this one's")
    parser.add_argument("--platform", metavar="TAG", help="such as manylinux_2_28_x86_64 or win_amd64; this one's")
    options = parser.parse_args(words)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    if not build(root, folder):
        return _fail("the wheel of graphspec could not be built; read what pip says above")
    if options.platform is not None:
        print("kernels: none, since a wheel for another platform is built there: pip wheel ./kernels")
    elif not (root / "kernels").is_dir() or not build(root / "kernels", folder):
        print("kernels: none, since they could not be built; graphspec is complete without them")
    if not fetch(root, folder, options):
        return _fail("a wheel is missing for this Python or platform; read what pip says above")
    try:
        write_atomic(folder / LIST, requirements(folder))
    except ValueError as error:
        return _fail(str(error))
    print("\n".join(sizes(folder)))
    print(f"install: {install_line(folder)}")
    return 0


def build(source: Path, folder: Path) -> bool:
    """Build the wheel of a source tree into ``folder``, in place of older ones of the same project."""
    name = _name(source)
    for old in folder.glob(f"{name.replace('-', '_')}-*.whl"):
        old.unlink()
    return _pip("wheel", "--no-deps", "-w", folder, source)


def fetch(root: Path, folder: Path, options: argparse.Namespace) -> bool:
    """Fetch the wheels of all that graphspec needs."""
    project = _name(root)
    (wheel,) = folder.glob(f"{project.replace('-', '_')}-*.whl")
    asked = f"{wheel.resolve()}[{options.extras}]" if options.extras else str(wheel.resolve())
    places = [word for tag in platform_tags(options.platform) for word in ("--platform", tag)]
    python = ["--python-version", options.python] if options.python else []
    return _pip(
        *("download", "--only-binary", ":all:", "--find-links", folder, "-d", folder),
        *(*places, *python, asked, *options.also),
    )


def platform_tags(platform: str | None) -> list[str]:
    """The tags of wheels that run where ``platform`` does: a newer Linux runs what was built for older ones."""
    if platform is None or not (found := _MANYLINUX.fullmatch(platform)):
        return [] if platform is None else [platform]
    newest, machine = int(found[1]), found[2]
    return [*(f"manylinux_2_{k}_{machine}" for k in range(newest, _OLDEST - 1, -1)), f"manylinux2014_{machine}"]


def requirements(folder: Path) -> str:
    """The text of a requirements file with the sha256 of every wheel of a folder.

    Raises:
        ValueError: a package is there in two versions, from which pip could not choose.
    """
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for wheel in sorted(folder.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        found[name.lower().replace("_", "-")][version].append(hashlib.sha256(wheel.read_bytes()).hexdigest())
    lines = []
    for name, versions in sorted(found.items()):
        if len(versions) > 1:
            raise ValueError(f"{folder} has {name} in versions {' and '.join(versions)}; take an empty folder")
        ((version, sums),) = versions.items()
        lines.append(f"{name}=={version} " + " ".join(f"--hash=sha256:{one}" for one in sums))
    return "\n".join(lines) + "\n"


def sizes(folder: Path) -> list[str]:
    """The lines of a table of the wheels, the largest first, with the sum."""
    found = sorted(((path.stat().st_size, path.name) for path in folder.glob("*.whl")), reverse=True)
    rows = [*found, (sum(size for size, _ in found), f"{len(found)} wheels in {folder}")]
    return [f"{size / 1e6:7.1f} MB  {name}" for size, name in rows]


def install_line(folder: Path) -> str:
    """The command that installs all of a folder, offline, and refuses a wheel that has changed."""
    return f"pip install --no-index --find-links {folder} --require-hashes -r {(folder / LIST).as_posix()}"


def _name(source: Path) -> str:
    text = (source / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^name = "([\w-]+)"', text, re.M)
    assert found is not None
    return found[1]


def _pip(*words: object) -> bool:
    options = ("--disable-pip-version-check", "--quiet")
    return subprocess.run([sys.executable, "-m", "pip", *map(str, words), *options]).returncode == 0


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
