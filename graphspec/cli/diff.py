"""``graphspec diff``: what differs between two specs, runs or ONNX files, by meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from graphspec.base.errors import SpecError
from graphspec.cli.console import out_blocks, print_diagnostics, write_json
from graphspec.cli.options import argument, flag

_PLACE = "A spec, a run directory or an ONNX file."
_DIFFERENT, _TROUBLE = 1, 2  # exit statuses


def diff(
    old: Annotated[Path, argument("OLD", _PLACE)],
    new: Annotated[Path, argument("NEW", "The spec, run or file to compare it with.")],
    json: Annotated[bool, flag("--json", "Print everything as JSON.")] = False,
) -> int:
    """Show what differs between two specs, runs or ONNX files, by meaning: layers, shapes, training, data, results.

    The order of keys, defaults, short forms and blocks make no difference. Status 0: equal, 1: different, 2: not comparable.
    """
    from graphspec.cli.differences import compare, differences

    try:
        record = compare(old, new)
    except SpecError as error:
        print_diagnostics(error.diagnostics)
        return _TROUBLE
    if json:
        write_json(record)
    else:
        out_blocks(differences(record))
    return 0 if record["equal"] else _DIFFERENT
