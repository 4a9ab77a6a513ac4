"""Libraries and folders that only some commands need: whether they are there, how to install one that is missing."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

DISTRIBUTION = "graphspec-onnx"  # the name `graphspec` on Python's public index is another project's


def has_folder(name: str) -> bool:
    """Return whether this installation has a folder of the package that the core works without, such as ``show``."""
    return find_spec(f"graphspec.{name}") is not None


@cache
def missing_library(name: str) -> str:
    """Return the hint where the library ``name`` is missing, with the versions that graphspec's metadata ask for."""
    return f'install it with `pip install "{_requirement(name)}"`'


def _requirement(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        own = distribution(DISTRIBUTION)
    except PackageNotFoundError:  # the package runs from a folder
        return name
    here = Path(__file__)
    in_folder = f'"{here.parents[2].as_uri()}"' in (own.read_text("direct_url.json") or "")  # installed with `-e`
    if in_folder or Path(str(own.locate_file("graphspec/base/libraries.py"))) == here:  # else another project's
        for requirement in own.requires or ():
            if re.match(r"[\w.-]+", requirement, re.ASCII)[0] == name:  # type: ignore[index]
                return requirement.partition(";")[0].strip()
    return name


def other_distribution() -> str | None:
    """Return a warning if a distribution of the name ``graphspec`` is installed, too: both own the same folder."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        other = version("graphspec")
    except PackageNotFoundError:
        return None
    return (
        f"the distribution `graphspec` {other} is installed, too: it is not this one ({DISTRIBUTION}), but another "
        "project's or of an older version, and may have replaced files. Uninstall it, then install this one again"
    )
