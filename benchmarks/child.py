"""A contender's process: ``python -m benchmarks.child FAMILY FOLDER OPTIONS``.

It is told what to do on its standard input and answers on its standard output, one JSON object a line. It imports
nothing but NumPy and its framework, so that it may run under an interpreter that has no graphspec.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.memory import forget_peak, peak
from benchmarks.workload import Workload, read

if TYPE_CHECKING:
    from benchmarks.contenders.base import Contender


def answer(contender: Contender, message: dict[str, Any]) -> dict[str, Any]:
    match message["do"]:
        case "losses":
            return {"losses": contender.losses(message["count"])}
        case "steps":
            contender.restore()
            seconds = contender.steps(message["warm"], message["count"])
            return {"seconds": seconds, "processes": contender.processes}
        case _:
            return {"peak": peak() + contender.others}


def main(family: str, folder: str, options: str) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer

    def say(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")

    try:
        module = importlib.import_module(f"benchmarks.contenders.{family}")
        workload: Workload = read(Path(folder))
        before = forget_peak()
        contender: Contender | None = module.start(workload, **json.loads(options))
        if contender is None:
            say(missing="it has no such network")
            return
        say(version=contender.version, before=before)
        for line in sys.stdin:
            say(**answer(contender, json.loads(line)))
    except Exception as error:  # to the parent, whatever it is
        traceback.print_exc()
        say(failed=f"{type(error).__name__}: {error}".splitlines()[0][:200])


if __name__ == "__main__":
    main(*sys.argv[1:4])
