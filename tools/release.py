"""Check a release, and make its files: ``python -m tools.release --check [--full] [--out DIR]``.

Checked are versions, the changelog, CITATION.cff, the conda recipe, the workflows' actions and the licences of what is
installed with graphspec. The wheel and the source archive are built in two copies of the tree and compared byte by byte;
the archive must make the same wheel, and pass a sample of its quick tests (``--full``: all). ``--out`` keeps both, and a
bill of materials (CycloneDX) of the wheel and what it needs. Nothing is fetched. The exit status is 1 for a problem.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from ruamel.yaml import YAML

from graphspec.base.files import write_atomic
from graphspec.base.libraries import DISTRIBUTION
from graphspec.data.stored import hash_of
from graphspec.show.cyclonedx import bill, hashes, licences

ROOT = Path(__file__).parent.parent
RECIPE = "tools/conda/recipe.yaml"
CONDA = {"duckdb": "python-duckdb"}  # names of conda-forge that are not those of Python's index
SAMPLE = ("tests/language", "tests/graph/ir")  # quick tests that the source archive passes
FREE = {"MIT", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Apache-2.0", "ISC", "PSF-2.0", "Zlib", "CC0-1.0", "MPL-2.0"} | {
    "BSD License"  # older metadata do not say which one; all are free
}
"""Licences of what may be installed with a package under MIT."""
_NAMED = {  # what older metadata write, and its identifier of SPDX
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "3-Clause BSD License": "BSD-3-Clause",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_USES = re.compile(r"^\s*(?:- )?uses:\s*(?P<action>[^@\s]+)@(?P<at>\S+)(?P<said>.*)$", re.M)


@dataclass
class Found:
    """What a check says, and its problems: each begins with what is wrong, and ends with what to do."""

    text: str
    problems: list[str] = field(default_factory=list)


def project(root: Path) -> dict[str, Any]:
    """The tables of ``pyproject.toml``."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def version_of(root: Path) -> str:
    """The version of a tree."""
    return _first(r'__version__ = "(.+)"', root / "graphspec" / "base" / "version.py")


def released(root: Path) -> list[tuple[str, str]]:
    """The versions of the changelog with their dates, the newest first."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    return re.findall(r"^## (\S+) - (\d{4}-\d\d-\d\d)$", text, re.M)


# What stands in files.
def versions(root: Path) -> Found:
    """The version against the changelog: a release has a dated section, a version between releases has ``Unreleased``."""
    version, known, problems = version_of(root), released(root), []
    newest, _, text = known[0][0], *(root / "CHANGELOG.md").read_text(encoding="utf-8").partition("## Unreleased\n")[1:]
    waiting = text.partition("\n## ")[0].strip()
    if Version(version).is_devrelease:
        if not waiting:
            problems.append("CHANGELOG.md has nothing under Unreleased; say what is new")
        if Version(newest) >= Version(version):
            problems.append(f"{version} is not after {newest} of CHANGELOG.md; raise the version")
    elif newest != version:
        problems.append(f"CHANGELOG.md has no dated section {version}; rename Unreleased to `## {version} - DATE`")
    elif waiting:
        problems.append("CHANGELOG.md still has lines under Unreleased; move them into the release's section")
    return Found(f"{version}, after {newest}" if newest != version else f"{version}, a release", problems)


def kernels(root: Path) -> Found:
    """The version and the ABI of the compiled kernels, which stand in several files."""
    folder = root / "kernels"
    numbers = {
        "pyproject.toml": _first(r'^version = "(.+)"', folder / "pyproject.toml"),
        "__init__.py": _first(r'__version__ = "(.+)"', folder / "python" / "graphspec_kernels" / "__init__.py"),
    }
    abi = _first(r"GK_ABI (\d+)", folder / "src" / "kernels.h")
    known = _first(r"^ABI = (\d+)", root / "graphspec" / "graph" / "kernels" / "compiled.py")
    problems = [f"kernels: versions differ ({numbers}); make them the same"] if len({*numbers.values()}) > 1 else []
    if abi != known:
        problems.append(f"kernels: GK_ABI is {abi}, and compiled.py knows {known}; make them the same")
    return Found(f"{numbers['pyproject.toml']}, ABI {abi}", problems)


def citation(root: Path) -> Found:
    """The file that says how to cite the newest release: https://citation-file-format.github.io, 1.2.0."""
    told = YAML(typ="safe", pure=True).load((root / "CITATION.cff").read_text(encoding="utf-8"))
    (version, date), problems = released(root)[0], []
    if missing := [key for key in ("cff-version", "message", "title", "authors") if not told.get(key)]:
        problems.append(f"CITATION.cff lacks {', '.join(missing)}; add what the format requires")
    facts = {"version": version, "date-released": date, "license": project(root)["project"]["license"]}
    for key, wanted in facts.items():
        if str(told.get(key)) != wanted:
            problems.append(f"CITATION.cff has {key}: {told.get(key)}; write {wanted}")
    return Found(f"{told.get('title')} {told.get('version')}", problems)


def recipe(root: Path) -> Found:
    """The conda recipe against ``pyproject.toml``: version, Python, dependencies."""
    told = YAML(typ="safe", pure=True).load((root / RECIPE).read_text(encoding="utf-8"))
    own, problems = project(root)["project"], []
    names = (Requirement(text) for text in own["dependencies"])
    wanted = {f"{CONDA.get(canonicalize_name(r.name), r.name.lower())} {r.specifier}" for r in names}
    python, *others = told["requirements"]["run"]
    if differing := sorted({*others} ^ wanted):
        problems.append(f"{RECIPE}: dependencies differ ({', '.join(differing)}); take those of pyproject.toml")
    context = told["context"]
    if context["version"] != version_of(root):
        problems.append(f"{RECIPE} is of version {context['version']}; write {version_of(root)}")
    if f">={context['python_min']}" != own["requires-python"] or python != "python >=${{ python_min }}":
        problems.append(f"{RECIPE} is for Python {context['python_min']}; write that of requires-python")
    if told["about"]["license"] != own["license"]:
        problems.append(f"{RECIPE} has the licence {told['about']['license']}; write {own['license']}")
    return Found(f"{len(others)} dependencies", problems)


def actions(root: Path) -> Found:
    """The actions of the workflows: a tag can be moved to other code, a commit cannot."""
    problems, pinned = [], set()
    for path in sorted((root / ".github").glob("*/**/*.yml")):
        for found in _USES.finditer(path.read_text(encoding="utf-8")):
            name = f"{path.name}: {found['action']}@{found['at']}"
            if not re.fullmatch(r"[0-9a-f]{40}", found["at"]):
                problems.append(f"{name} is not pinned; name the commit, and the version in a comment")
            elif not re.fullmatch(r"\s*# v\d+\.\d+\.\d+", found["said"]):
                problems.append(f"{name} has no version; add it as a comment, such as `# v5.0.0`")
            else:
                pinned.add(found["action"])
    return Found(f"{len(pinned)} actions, pinned by commit", problems)


# What is installed with it.
@dataclass(frozen=True)
class Package:
    """A package that is installed: its names are canonical."""

    name: str
    version: str
    licence: str | None  # an expression of SPDX, or words that its metadata have; None without any
    needs: tuple[str, ...]


def installed(requirements: Iterable[str]) -> dict[str, Package]:
    """The packages that requirements bring, by name; LookupError for one that is not installed."""
    found: dict[str, Package] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        name = canonicalize_name(waiting.pop().name)
        if name in found:
            continue
        try:
            dist = distribution(name)
        except PackageNotFoundError:
            raise LookupError(f"{name} is not installed; install the package with its dependencies") from None
        asked = [Requirement(text) for text in dist.requires or ()]
        here = [r for r in asked if r.marker is None or r.marker.evaluate({"extra": ""})]
        needs = tuple(sorted({canonicalize_name(r.name) for r in here}))
        found[name] = Package(name, dist.version, licence_of(dist.metadata), needs)
        waiting += here
    return dict(sorted(found.items()))


def licence_of(metadata: Any) -> str | None:
    """The licence that a package's metadata state, as an expression of SPDX if that is known."""
    if expression := metadata.get("License-Expression"):
        return str(expression)
    said = [
        c.rpartition(" :: ")[2]
        for c in metadata.get_all("Classifier", [])
        if c.startswith("License :: OSI Approved ::")
    ]
    said += [text.splitlines()[0]] if (text := metadata.get("License")) else []
    return _NAMED.get(said[0], said[0]) if said else None


def is_free(licence: str | None) -> bool:
    """Whether a licence allows to install its package with one under MIT: of ``A OR B`` one is enough."""
    parts = (licence or "").replace("(", "").replace(")", "").split(" AND ")
    return all(any(each.strip() in FREE for each in part.split(" OR ")) for part in parts)


def dependencies(packages: Mapping[str, Package]) -> Found:
    """The licences of what is installed with graphspec."""
    refused = [p for p in packages.values() if not is_free(p.licence)]
    problems = [f"{p.name} {p.version} has the licence {p.licence}; replace it, or add it to FREE" for p in refused]
    names = sorted({p.licence or "none" for p in packages.values()})
    return Found(f"{len(packages)} packages: {', '.join(names)}", problems)


def bill_of(wheel: Path, root: Path, packages: Mapping[str, Package]) -> str:
    """The bill of materials of a wheel and the packages that it needs, in the versions that are installed."""
    own = project(root)["project"]
    first = sorted({canonicalize_name(Requirement(text).name) for text in own["dependencies"]})
    subject = _library(DISTRIBUTION, version_of(root), own["license"])
    subject |= {"description": own["description"], "hashes": hashes(hash_of([wheel]))}
    parts = [
        _library(p.name, p.version, p.licence) | {"purl": f"pkg:pypi/{p.name}@{p.version}"} for p in packages.values()
    ]
    writer = {"type": "application", "bom-ref": "tool", "name": "graphspec", "version": version_of(root)}
    return bill(subject, parts, [writer], {DISTRIBUTION: first, **{p.name: p.needs for p in packages.values()}})


def _library(name: str, version: str, licence: str | None) -> dict[str, Any]:
    return {"type": "library", "bom-ref": name, "name": name, "version": version, "licenses": licences(licence)}


# What is built.
def build(kind: str, source: Path, target: Path) -> Path:
    """The ``wheel`` or ``sdist`` of a tree, made by the backend itself: without network and without an environment."""
    backend = project(source)["build-system"]["build-backend"]
    code = f"import {backend} as backend, sys; print(backend.build_{kind}(sys.argv[1]))"
    words = [sys.executable, "-c", code, str(target)]
    done = subprocess.run(words, cwd=source, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the {kind} cannot be built: {done.stderr}")
    return target / done.stdout.split()[-1]


def copy_of(root: Path, target: Path) -> Path:
    """A copy of the files of a tree that git tracks, or that a source archive holds."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    names = [name for name in listed if name and (root / name).is_file()]
    if len(names) < 100:
        return Path(shutil.copytree(root, target, ignore=shutil.ignore_patterns("__pycache__", ".*_cache")))
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target / name)
    return target


def unpack(sdist: Path, target: Path) -> Path:
    """The tree of a source archive."""
    with tarfile.open(sdist) as archive:
        archive.extractall(target, filter="data")
    return target / sdist.name.removesuffix(".tar.gz")


def made_twice(root: Path, folder: Path) -> tuple[Found, Path, Path]:
    """The wheel and the source archive, built in two copies of the tree, and what is in the wheel."""
    made: list[list[Path]] = []
    for name in ("one", "another/folder"):
        tree = copy_of(root, folder / name / "tree")
        made.append([build(kind, tree, folder / name) for kind in ("wheel", "sdist")])
    (wheel, sdist), others = made
    pairs = zip((wheel, sdist), others, strict=True)
    problems = [
        f"{a.name} differs between two folders; find what its bytes depend on" for a, b in pairs if not _same(a, b)
    ]
    again = build("wheel", unpack(sdist, folder / "unpacked"), folder / "unpacked")
    if not _same(wheel, again):
        problems.append(f"{sdist.name} makes another wheel than the tree; see `include` in pyproject.toml")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    foreign = [n for n in names if n.split("/")[0] not in ("graphspec", f"{wheel.name.partition('-py3')[0]}.dist-info")]
    if foreign:
        problems.append(f"{wheel.name} holds {foreign[0]}; only the package belongs into it")
    text = f"{wheel.name}, {len(names)} files; the same bytes from two folders and from {sdist.name}"
    return Found(text, problems), wheel, sdist


def run_tests(tree: Path, *, full: bool) -> Found:
    """The quick tests of an unpacked source archive, a sample or all, with its own package."""
    words = [sys.executable, "-m", "pytest", *(("-n", "2") if full else SAMPLE)]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(words, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    which, last = "all" if full else " and ".join(SAMPLE), (done.stdout.strip().splitlines() or [""])[-1]
    failed = [f"the quick tests of the source archive fail; run them in it:\n{done.stdout[-2000:]}"]
    return Found(f"{which} {last}".strip(), failed if done.returncode else [])


def report(name: str, found: Found) -> bool:
    """Print what a check says; return whether it has a problem."""
    print(f"{'problem' if found.problems else 'ok':<9}{name:<14}{found.text}", *found.problems, sep=f"\n{' ' * 9}")
    return bool(found.problems)


STATIC: Mapping[str, Callable[[Path], Found]] = {
    "version": versions,
    "kernels": kernels,
    "citation": citation,
    "conda recipe": recipe,
    "workflows": actions,
}
"""Checks that only read files."""


def checks(root: Path, out: Path | None, *, full: bool) -> Iterator[tuple[str, Found]]:
    """All checks, one after the other; with ``out`` the files of the release are kept there."""
    yield from ((name, check(root)) for name, check in STATIC.items())
    packages = installed(project(root)["project"]["dependencies"])
    yield "licences", dependencies(packages)
    with tempfile.TemporaryDirectory() as temporary:
        found, wheel, sdist = made_twice(root, Path(temporary))
        yield "files", found
        yield "tests", run_tests(unpack(sdist, Path(temporary) / "tested"), full=full)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            for file in (wheel, sdist):
                shutil.copyfile(file, out / file.name)
            path = out / f"{wheel.name.partition('-py3')[0]}.cdx.json"
            write_atomic(path, bill_of(wheel, root, packages))
            yield "written", Found(", ".join(str(out / p.name) for p in (wheel, sdist, path)))


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    parser.add_argument("--check", action="store_true", help="check everything")
    parser.add_argument("--full", action="store_true", help="run all quick tests of the source archive")
    parser.add_argument("--out", metavar="DIR", type=Path, help="keep the wheel, the archive and the bill of materials")
    given = parser.parse_args(arguments)
    if not (given.check or given.full or given.out):
        parser.error("nothing to do; give --check, or --out DIR")
    failed = [name for name, found in checks(root, given.out, full=given.full) if report(name, found)]
    return 1 if failed else 0


def _same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def _first(pattern: str, path: Path) -> str:
    found = re.search(pattern, path.read_text(encoding="utf-8"), re.M)
    if found is None:
        raise LookupError(f"{path} has no line {pattern}; write it again, or correct the pattern")
    return found[1]


if __name__ == "__main__":
    sys.exit(main())
