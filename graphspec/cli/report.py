"""``graphspec report``: one HTML page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphspec.cli.console import out_wrapped
from graphspec.cli.options import Allow
from graphspec.cli.targets import is_run, refuse_other
from graphspec.errors import UsageError


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Run directories.", show_default=False)],
    allow: Allow = None,
) -> None:
    """Write an HTML page about a run: results, curves, mistakes, data, the network and its origins."""
    from graphspec.api import load
    from graphspec.report.build import write_report

    for run in runs:
        refuse_other(run, "name a run directory")
        if not is_run(run):
            raise UsageError(f"{run} is not a run directory")
        out_wrapped(f"{write_report(load(run, allow=allow or ()), run)}")
