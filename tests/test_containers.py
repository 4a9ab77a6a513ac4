"""The container files of `examples/containers`: their lines, run one by one in a folder that stands for the image's root.

No registry is asked. `apt-get` is only named; `pip` and `npm` install what they are told to from what is here already.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import pytest
from consumers.apps import HERE, node_with
from paths import ROOT

FOLDER = ROOT / "examples" / "containers"
ROOTS = re.compile(r"(?<![\w.:])/(opt|source|service|work|model)(?=[/\s\"':]|$)")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="runs a shell as in an image of Linux")]


@dataclass
class Image:
    """What the lines of a container file have made.

    Attributes:
        root: the folder that stands for ``/``.
        programs: programs that are found before those of this machine.
    """

    file: Path
    root: Path
    programs: Path
    folder: Path = Path("/")
    environment: dict[str, str] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def lines(self) -> list[tuple[str, str]]:
        text = "\n".join(li for li in self.file.read_text(encoding="utf-8").splitlines() if not li.startswith("#"))
        return [(li.split(" ", 1)[0], li.split(" ", 1)[1]) for li in text.splitlines() if li]

    def inside(self, text: str) -> str:
        """The text with folders of the image as folders here."""
        return ROOTS.sub(lambda found: f"{self.root}/{found[1]}", text)

    def build(self) -> None:
        for kind, rest in self.lines():
            match kind:
                case "ARG":
                    assert re.fullmatch(r"BASE=docker\.io/library/(python|node):\d+(\.\d+)?-slim", rest)
                case "FROM":
                    assert rest.split(" ")[0] == "${BASE}"
                    self.folder, self.environment = Path("/"), {}
                case "WORKDIR":
                    self.folder = Path(rest)
                    Path(self.inside(rest)).mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self.copy(rest)
                case "RUN":
                    done = self.run(["sh", "-c", rest])
                    assert done.returncode == 0, f"{rest}\n{done.stdout}{done.stderr}"
                case "ENV":
                    self.environment |= dict(pair.split("=", 1) for pair in rest.split(" "))
                case "ENTRYPOINT" | "CMD":
                    self.words[kind] = json.loads(rest)
                case "HEALTHCHECK":
                    self.words[kind] = json.loads(rest.removeprefix("CMD "))
                case "USER":
                    assert rest.isdecimal()  # a number, which needs no entry in /etc/passwd
                case "EXPOSE" | "STOPSIGNAL":
                    self.words[kind] = [rest]
                case _:
                    raise AssertionError(f"unknown line: {kind} {rest}")

    def copy(self, rest: str) -> None:
        *sources, target = rest.split(" ")
        if sources[0].startswith("--from="):  # of the stage before, which is the same folder here
            assert Path(self.inside(sources[1])).exists()
            return
        goal = Path(self.inside(str(self.folder / target)))
        allowed = [
            line[1:]
            for line in self.file.with_name(f"{self.file.name}.dockerignore").read_text(encoding="utf-8").splitlines()
            if line.startswith("!")
        ]
        for source in sources:
            assert any(Path(source).match(pattern) for pattern in allowed), f"{source} is not sent to the builder"
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, goal, ignore=shutil.ignore_patterns("__pycache__", "*.so", "build"))
            else:
                to_folder = target.endswith("/")
                (goal if to_folder else goal.parent).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / source, goal / Path(source).name if to_folder else goal)

    def start(self, command: list[str], **more: str) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(self.programs), os.environ["PATH"]])
        own = {name: self.inside(value).replace("$PATH", path) for name, value in self.environment.items()}
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return subprocess.Popen(
            [self.inside(word) for word in command],
            cwd=self.inside(str(self.folder)) if str(self.folder) != "/" else self.root,
            env=environment | {"PATH": path, "SAID": str(self.root / "said")} | own | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        started = self.start(command, **more)
        out, err = started.communicate(timeout=240)
        return subprocess.CompletedProcess(command, started.returncode, out, err)


def built(name: str, folder: Path, programs: dict[str, str]) -> Image:
    (folder / "programs").mkdir()
    (folder / "root").mkdir()
    for program, script in programs.items():
        path = folder / "programs" / program
        path.write_text(f'#!/bin/sh\necho {program} "$@" >> "$SAID"\n{script}\n')
        path.chmod(0o755)
    image = Image(FOLDER / f"{name}.Containerfile", folder / "root", folder / "programs")
    image.build()
    return image


def test_a_network_is_trained_in_the_image(tmp_path: Path) -> None:
    libraries = sysconfig.get_paths()["purelib"]
    # A venv whose pip installs the folder alone, beside the libraries that are here.
    venv = f"""
    [ "$1 $2" = "-m venv" ] || exec {sys.executable} "$@"
    {sys.executable} -m venv --without-pip "$3" && mkdir -p "$3"/lib/python3.x/site-packages/pip
    echo {shlex.quote(libraries)} > "$(echo "$3"/lib/python3.[0-9]*/site-packages)/here.pth"
    printf '#!/bin/sh\\necho pip "$@" >> "$SAID"\\n{sys.executable} -m pip --python %s/bin/python install -q --no-index \\
      --no-deps --no-build-isolation --ignore-installed .\\n' "$3" > "$3/bin/pip"
    chmod +x "$3/bin/pip"
    """
    image = built("train", tmp_path, {"apt-get": "true", "python3": venv})
    said = (image.root / "said").read_text().splitlines()
    assert [line for line in said if line.startswith(("apt-get install", "pip"))] == [
        "apt-get install -qq -y --no-install-recommends gcc libc6-dev python3-dev",
        "pip install --no-cache-dir --no-compile . ./kernels",
    ]
    assert (image.root / "source" / "kernels" / "src").is_dir()
    done = image.run(image.words["ENTRYPOINT"] + image.words["CMD"])
    assert (done.returncode, "/root/opt/graphspec/lib/" in done.stdout) == (0, True), done.stdout + done.stderr
    shutil.copyfile(ROOT / "specs" / "data" / "penguins.csv", image.root / "work" / "table.csv")
    for words in (
        ["init", "net.yaml", "--from", "table.csv", "--target", "species"],
        ["train", "net.yaml", "--set", "training.epochs=2", "--set", "training.forms=null", "--export", "net.onnx"],
    ):
        done = image.run([*image.words["ENTRYPOINT"], *words])
        assert done.returncode == 0, done.stderr
    assert (image.root / "work" / "net.onnx").stat().st_size > 1000


def test_the_service_answers_in_the_image(tmp_path: Path) -> None:
    node = node_with("prom-client")
    install = f'[ -f package.json ] && cp -r "{HERE / "node" / "node_modules"}" .'
    image = built("serve", tmp_path, {"npm": install, "node": f'exec {node} "$@"'})
    said = (image.root / "said").read_text()
    assert "npm install --omit=dev --no-audit --no-fund" in said
    modules = image.root / "service" / "node_modules"
    assert [path.name for path in sorted((modules / "onnxruntime-node" / "bin").glob("napi-v*/*"))] == ["linux"]
    (image.root / "model").mkdir()
    file = shutil.copyfile(HERE / "fixtures" / "table" / "model.onnx", image.root / "model" / "model.onnx")
    metadata = {prop.key: prop.value for prop in onnx.load(file).metadata_props}
    (image.root / "model" / "model.json").write_text(metadata["graphspec.signature"], encoding="utf-8")
    started = image.start(image.words["CMD"], PORT="0")
    assert started.stdout is not None
    try:
        line = started.stdout.readline()
        assert line.startswith("listening on http://0.0.0.0:"), line + (started.stderr.read() if started.stderr else "")
        check = [word.replace("8000", line.strip().rsplit(":", 1)[1]) for word in image.words["HEALTHCHECK"]]
        assert image.run(check).returncode == 0
        assert image.run([*image.words["HEALTHCHECK"][:2], "process.exit(3)"]).returncode == 3
    finally:
        started.terminate()
        started.communicate()
    assert image.environment["PORT"] == image.words["EXPOSE"][0]
    assert image.run(check).returncode == 1  # nobody answers any more
