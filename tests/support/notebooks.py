"""Run a notebook in a fresh process as Jupyter does, magics included: ``python notebooks.py FILE``.

It prints what each cell shows, rich output as HTML, and ends with status 1 at the first cell that fails.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def cells_of(path: Path, kind: str) -> list[str]:
    """The texts of the cells of a kind, ``code`` or ``markdown``."""
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def main(path: Path) -> int:
    """Run the cells of a notebook in its folder."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.history_length = 0
    shell = InteractiveShell.instance()
    for number, source in enumerate(cells_of(path, "code"), 1):
        with capture_output() as captured:
            result = shell.run_cell(source)
        rich = [output.data.get("text/html", output.data.get("text/plain", "")) for output in captured.outputs]
        print(f"--- cell {number}", captured.stdout, *rich, captured.stderr, sep="\n")
        if not result.success or "Traceback" in captured.stdout + captured.stderr:
            print(f"--- cell {number} failed:\n{source}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
