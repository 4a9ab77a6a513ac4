"""Build the extension with any C99 compiler; pyproject.toml has everything else."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# Contraction would round once where NumPy rounds twice. Nothing reads errno or the flags of exceptions, and with either
# of them roots and choices would not become vector instructions.
EXACT = ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fno-strict-aliasing"]
FLAGS = {"msvc": ["/O2", "/fp:precise"], "unix": ["-std=gnu99", "-O3", *EXACT, "-fvisibility=hidden"]}
STABLE = not sysconfig.get_config_var("Py_GIL_DISABLED")  # free-threaded builds have no stable ABI yet


class Build(build_ext):
    """Choose the flags by the family of the compiler."""

    def build_extensions(self) -> None:
        kind = self.compiler.compiler_type
        for extension in self.extensions:
            extension.extra_compile_args = FLAGS["msvc" if kind == "msvc" else "unix"]
        super().build_extensions()


here = Path(__file__).parent
core = Extension(
    "graphspec_kernels._core",
    sorted(path.relative_to(here).as_posix() for path in (here / "src").glob("*.c")),
    depends=sorted(path.relative_to(here).as_posix() for path in (here / "src").glob("*.h")),
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE else [],
    py_limited_api=STABLE,
)
setup(
    ext_modules=[core],
    cmdclass={"build_ext": Build},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE else {},
)
