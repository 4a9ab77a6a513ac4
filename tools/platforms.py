"""Run the tests where CI's machine is not: ``python -m tools.platforms [NAME … [-- WORDS]]``.

Without names, the checks are listed: each is a row of ``CHECKS``. It works in ``build/platforms/NAME``, which it makes anew,
and says in a line what it has found; what a machine cannot run is named with what to install. ``WORDS`` are for pytest, in
place of a check's own tests. Packages and interpreters come from uv (``pip install uv``). Other processors are Debian
systems that QEMU runs: as root, on Linux.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "platforms"
KERNELS = ("tests/graph/kernels",)
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers")
SANITIZE = ("-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g")
ONE_VERSION = ("-march=native", "-DGK_CLONES=", "-DGK_HAS_CLONES")
"""The loader chooses no versions of functions, which sanitizers cannot follow; all kernels are there."""
SAID = "said"
OLDEST_GLIBC = (2, 28)
"""That of the wheels of NumPy and onnxruntime: the kernels need no newer one."""


class MissingError(Exception):
    """Something that is not on this machine, and how to get it."""


class FaultError(Exception):
    """What a check has found."""


@dataclass
class Place:
    """The folder of a check, and the tests that it runs."""

    folder: Path
    tests: Sequence[str]

    def run(self, *words: object, env: Mapping[str, str] | None = None, log: str = "log.txt") -> str:
        """Run a command in the source tree; return its output, which is kept in ``log``. FaultError if it fails."""
        given = {"OPENBLAS_NUM_THREADS": "1", **os.environ, **(env or {})}
        told = self.folder / log
        with told.open("a", encoding="utf-8") as file:
            before = file.tell()
            done = subprocess.run([*map(str, words)], cwd=ROOT, env=given, stdout=file, stderr=subprocess.STDOUT)
        text = told.read_bytes()[before:].decode(errors="replace")
        if done.returncode:
            raise FaultError(
                "\n".join([f"{' '.join(map(str, words))[:300]} has failed:", *text.splitlines()[-30:], str(told)])
            )
        return text

    def pytest(self, *command: object, env: Mapping[str, str] | None = None) -> str:
        """Run the tests; return pytest's last line."""
        words = [*command, "-m", "pytest", *self.tests]
        return self.run(*words, env=env, log="tests.txt").splitlines()[-1].strip("= ")


@dataclass(frozen=True)
class Check:
    """What a check shows if it passes, how, with which tests, and the programs that it needs, with their packages."""

    shows: str
    run: Callable[[Place], str]
    tests: Sequence[str] = ()
    needs: Mapping[str, str] | None = None

    def missing(self) -> list[str]:
        """The programs that are not there, and where they are from."""
        needs = {"uv": "pip install uv", **(self.needs or {})}
        return [f"{program} ({source})" for program, source in needs.items() if shutil.which(program) is None]


# Python and its packages


def interpreter(place: Place, version: str, *options: str) -> Path:
    """A new environment with the packages of the tests."""
    place.run("uv", "venv", "--python", version, place.folder / "env")
    python = place.folder / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    place.run("uv", "pip", "install", "--python", python, *options, "-e", ".[all,sklearn,test]")
    return python


def of_python(version: str) -> Callable[[Place], str]:
    return lambda place: place.pytest(interpreter(place, version), "-W", "error::SyntaxWarning")


def with_lowest(place: Place) -> str:
    """The oldest version that pyproject.toml allows of each package that it names; of others the newest."""
    return place.pytest(interpreter(place, "3.11", "--resolution", "lowest-direct"))


LIBRARIES = ("fastapi", "mlflow", "pandas", "polars", "pyarrow")
"""What pages use beside graphspec, and its tests only where they are there."""


def with_libraries(place: Place) -> str:
    """The newest versions of other projects' libraries. FaultError if a test does not find one."""
    python = interpreter(place, "3.11", *LIBRARIES)
    result = place.pytest(python, env={"PYTEST_ADDOPTS": "-rs -m 'slow or not slow'"})
    if missing := re.findall("could not import '.*'", (place.folder / "tests.txt").read_text(encoding="utf-8")):
        raise FaultError(f"a test {missing[0]}")
    return result


# The compiled kernels


def wheel(place: Place, compiler: str, *flags: str, link: Sequence[str] = ()) -> Path:
    """A wheel of the kernels, built by a compiler from a copy of their source."""
    source = place.folder / "kernels"
    shutil.copytree(ROOT / "kernels", source, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    env = {"CC": compiler, "CFLAGS": " ".join(flags), "LDSHARED": " ".join([compiler, "-shared", *link])}
    place.run("uv", "build", "--wheel", "--python", sys.executable, "-o", place.folder / "dist", source, env=env)
    return next((place.folder / "dist").glob("*.whl"))


def unpacked(place: Place, found: Path) -> Path:
    """The folder that holds the kernels of a wheel."""
    target = place.folder / "site"
    shutil.unpack_archive(found, target, "zip")
    return target


def of_compiler(compiler: str, *flags: str) -> Callable[[Place], str]:
    """Kernels of a compiler, without its warnings, against NumPy."""

    def check(place: Place) -> str:
        folder = unpacked(place, wheel(place, compiler, *WARNINGS, *flags))
        return place.pytest(sys.executable, env={"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])})

    return check


def of_sanitizers(compiler: str, runtimes: Sequence[str], *flags: str) -> Callable[[Place], str]:
    """Kernels that look at each access and each operation, against NumPy. CPython's own leaks are not looked for."""

    def check(place: Place) -> str:
        asked = [place.run(compiler, f"-print-file-name={name}").strip() for name in runtimes]
        found = [name for name in asked if Path(name).is_absolute()]
        if not found:
            raise MissingError(f"the runtime of {compiler}'s sanitizers ({runtimes[0]})")
        folder = unpacked(place, wheel(place, compiler, *SANITIZE, *ONE_VERSION, *flags, link=(*SANITIZE[:1], *flags)))
        said = place.folder / SAID
        env = {
            "LD_PRELOAD": found[0],
            # gcc 12 expects arrays of 64 bytes to be aligned, which they are not in the stack of this option.
            "ASAN_OPTIONS": f"detect_leaks=0:detect_stack_use_after_return={int(compiler != 'gcc')}:log_path={said}",
            "UBSAN_OPTIONS": f"log_path={said}",
            "PYTHONMALLOC": "malloc",  # so that the ends of Python's own blocks are known
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
        }
        result = place.pytest(sys.executable, "-X", "faulthandler", env=env)
        if found := reports(place.folder):
            raise FaultError("\n".join(found))
        return result

    return check


def reports(folder: Path) -> list[str]:
    """What sanitizers have written, a line for each place in a source."""
    lines = (line for path in folder.glob(f"{SAID}*") for line in path.read_text(encoding="utf-8").splitlines())
    return sorted({line for line in lines if "ERROR: " in line or "runtime error: " in line})


def with_musl(place: Place) -> str:
    """Kernels compile and link with musl; no Python of musl's runs them here."""
    folder = unpacked(place, wheel(place, "musl-gcc", *WARNINGS))
    library = next((folder / "graphspec_kernels").glob("_core*.so"))
    needed = re.findall(r"NEEDED\s+(\S+)", place.run("objdump", "-p", library))
    if "libc.so.6" in needed or "GLIBC" in place.run("objdump", "-T", library):
        raise FaultError(f"the library is one of glibc: {needed}")
    return f"compiled and linked against {', '.join(needed)}"


def requires(table: str) -> tuple[int, int]:
    """The newest version of glibc in a table of symbols; (0, 0) without."""
    return max(((int(a), int(b)) for a, b in re.findall(r"GLIBC_(\d+)\.(\d+)", table)), default=(0, 0))


def of_old_glibc(place: Place) -> str:
    """The versions of glibc's functions that the kernels call."""
    library = next((unpacked(place, wheel(place, "gcc")) / "graphspec_kernels").glob("_core*.so"))
    most = requires(place.run("objdump", "-T", library))
    if most > OLDEST_GLIBC:
        raise FaultError(f"the library needs glibc {most[0]}.{most[1]}, newer than that of NumPy's wheels")
    return f"the library needs glibc {most[0]}.{most[1]}"


# Other processors


@contextmanager
def system(place: Place, machine: str, suite: str, packages: str) -> Iterator[list[object]]:
    """A Debian system of another processor with the source tree, at its own path; yields the words that run Python in it."""
    if not Path("/proc/sys/fs/binfmt_misc", f"qemu-{machine}").exists():
        raise MissingError(
            f"Linux starts no programs of {machine} (apt-get install qemu-user-binfmt, or systemd-binfmt)"
        )
    if os.geteuid():
        raise MissingError("a system of another processor needs root")
    root, debian = place.folder / "root", {"aarch64": "arm64"}.get(machine, machine)
    # Packages are unpacked only: their scripts would take QEMU a quarter of an hour.
    options = ["--mode=root", "--variant=extract", f"--architectures={debian}", f"--include={packages}"]
    place.run("mmdebstrap", *options, '--aptopt=Acquire::Check-Valid-Until "false"', suite, root)
    libraries = [f"/usr/lib/{machine}-linux-gnu/{name}" for name in ("blas", "lapack")]
    env = {
        "PATH": f"/{PACKAGES}/bin:/usr/bin:/bin",
        "PYTHONPATH": f"{ROOT}:/kernels",
        "PYTHONPYCACHEPREFIX": "/bytecode",
        "LD_LIBRARY_PATH": ":".join(libraries),  # Debian's scripts would have made links to them
        # OpenBLAS's products for processors with vectors of any length (SVE) are wrong under QEMU 10.
        **({"QEMU_CPU": "cortex-a72"} if machine == "aarch64" else {}),
        "HOME": "/root",
        "OPENBLAS_NUM_THREADS": "1",
    }
    with ExitStack() as mounted:
        for source in (ROOT, Path("/proc"), Path("/sys"), Path("/dev")):
            target = root / source.relative_to("/")
            target.mkdir(parents=True, exist_ok=True)
            place.run("mount", "--bind", source, target)
            mounted.callback(place.run, "umount", target)
        words = [f"{key}={value}" for key, value in env.items()]
        yield ["chroot", root, "/usr/bin/env", "-i", f"--chdir={ROOT}", *words, "/usr/bin/python3"]


BASE = "base-files,bash,coreutils,dash,libc-bin,libstdc++6,python3"
PACKAGES = "usr/local/lib/python3.13/dist-packages"  # where that Python, the one of trixie, looks for packages


def on_arm64(place: Place) -> str:
    """The kernels, cross-compiled, and the tests, on ARM."""
    with system(place, "aarch64", "trixie", f"{BASE},git") as python:
        target = place.folder / "root" / PACKAGES
        there = ["--python-platform", "aarch64-manylinux_2_28", "--python-version", "3.13", "--target", target]
        place.run("uv", "pip", "install", *there, "-e", ".[test]")
        folder = unpacked(place, wheel(place, "aarch64-linux-gnu-gcc", *WARNINGS))
        shutil.move(folder, place.folder / "root" / "kernels")
        return place.pytest(*python)


def on_s390x(place: Place) -> str:
    """What needs neither onnxruntime nor DuckDB, which have no packages there: files of this machine are read."""
    packages = (
        "numpy",
        "pytest",
        "networkx",
        "ruamel.yaml",
        "pydantic",
        "rich",
        "filelock",
        "typer",
        "hypothesis",
        "pytest-xdist",
    )
    names = ",".join(f"python3-{name}" for name in (*packages, "safetensors", "onnx"))
    with system(place, "s390x", "sid", f"{BASE},{names}") as python:
        return place.pytest(*python)


QEMU = {"mmdebstrap": "apt-get install mmdebstrap"}
CHECKS = {
    "lowest": Check("the oldest allowed version of every dependency", with_lowest),
    **{f"python{v}": Check(f"Python {v}", of_python(v)) for v in ("3.11", "3.12", "3.13", "3.14")},
    "libraries": Check(
        "data frames, MLflow and FastAPI, as the pages use them",
        with_libraries,
        ("tests/api/test_sklearn.py", "tests/data/test_frames.py", "tests/export", "tests/test_tutorials.py"),
    ),
    "gcc": Check("kernels of gcc, without warnings", of_compiler("gcc"), KERNELS, {"gcc": "apt-get install gcc"}),
    "clang": Check(
        "kernels of clang, without warnings",
        of_compiler("clang", "-Wno-pass-failed"),  # it tells which loops it made no vectors of
        KERNELS,
        {"clang": "apt-get install clang"},
    ),
    "sanitizers": Check(
        "kernels of clang under AddressSanitizer and UndefinedBehaviorSanitizer",
        of_sanitizers("clang", ("libclang_rt.asan.so", "libclang_rt.asan-x86_64.so"), "-shared-libasan"),
        KERNELS,
        {"clang": "apt-get install clang libclang-rt-dev"},
    ),
    "sanitizers-gcc": Check(
        "kernels of gcc under both sanitizers",
        of_sanitizers("gcc", ("libasan.so",)),
        KERNELS,
        {"gcc": "apt-get install gcc"},
    ),
    "musl": Check("kernels compile with musl", with_musl, (), {"musl-gcc": "apt-get install musl-tools"}),
    "glibc": Check(
        "kernels need no newer glibc than NumPy's wheels", of_old_glibc, (), {"objdump": "apt-get install binutils"}
    ),
    "arm64": Check(
        "kernels and tests on ARM, under QEMU",
        on_arm64,
        ("tests/graph/kernels", "tests/graph/ops", "tests/base", "tests/language"),
        {**QEMU, "aarch64-linux-gnu-gcc": "apt-get install gcc-aarch64-linux-gnu"},
    ),
    "s390x": Check(
        "files are read on a big-endian processor, under QEMU",
        on_s390x,
        ("tests/test_byte_order.py", "tests/base/arrays/test_array_files.py"),
        QEMU,
    ),
}


def check(name: str, tests: Sequence[str]) -> tuple[str, str]:
    """Run a check; return ``passed``, ``failed`` or ``not run``, and why."""
    row, folder = CHECKS[name], WORK / name
    if missing := row.missing():
        return "not run", f"there is no {', no '.join(missing)}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        return "passed", row.run(Place(folder, [*(tests or row.tests)]))
    except MissingError as error:
        return "not run", str(error)
    except FaultError as error:
        return "failed", str(error)


def main(arguments: Sequence[str] | None = None) -> int:
    words = [*(sys.argv[1:] if arguments is None else arguments)]
    own, tests = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    parser = argparse.ArgumentParser(prog="python -m tools.platforms", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", choices=[[], *CHECKS], help="checks; without, they are listed"
    )
    given = parser.parse_args(own)
    for name in () if given.names else CHECKS:
        print(f"{name:15} {CHECKS[name].shows}")
    results = []
    for name in given.names:
        result, why = check(name, tests)
        results.append(result)
        print(f"{name}: {result}: {why}", flush=True)
    return int(any(result != "passed" for result in results))


if __name__ == "__main__":
    sys.exit(main())
