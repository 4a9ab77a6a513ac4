"""Run directories that are damaged or hostile: each verb answers rightly, or refuses; nothing else happens.

A case copies a run, changes up to three things in its files, and lets one verb read it.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from commands import graphspec

from graphspec.engine.training.checkpoint import load_arrays
from trust.hostile_runs import FILES, KINDS, counts, mutate, runs

CASES = 12


def _weights(directory: Path) -> dict[str, Any]:
    return load_arrays(directory / "weights.safetensors")[0]


def _ask(verb: str, kind: str, run: Path) -> tuple[Any, str]:
    """The result of a verb, and what it answers where it succeeds: text, or a digest of the weights."""
    folder = runs()
    if verb == "train":
        result = graphspec("train", folder / f"{kind}.yaml", "--out", run, "--resume")
        text = repr(sorted((n, a.tobytes()) for n, a in _weights(run).items())) if result.exit_code == 0 else ""
        return result, hashlib.sha256(text.encode()).hexdigest()
    if verb == "evaluate":
        result = graphspec("evaluate", run, "--data", folder)
    elif verb == "predict":
        result = graphspec("predict", run, folder / "test.npz")
    elif verb in ("summary", "validate"):
        result = graphspec(verb, run)
        return result, ""
    else:
        result = graphspec("export", run, "-o", run.parent / "out.onnx")
        return result, ""
    return result, result.stdout


@cache
def _expected(verb: str, kind: str, state: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        shutil.copytree(runs() / f"{kind}-{state}", run)
        result, answer = _ask(verb, kind, run)
        assert result.exit_code == 0, result.stderr
        return answer


def attack(r: random.Random) -> list[str]:
    """One hostile run directory."""
    kind, state = r.choice(list(KINDS)), r.choice(["finished", "halted"])
    verb = r.choice(["train", "train", "train", "evaluate", "evaluate", "predict", "export", "summary", "validate"])
    expected = _expected(verb, kind, state)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        shutil.copytree(runs() / f"{kind}-{state}", run)
        chosen = [r.choice(FILES) for _ in range(r.choice([1, 1, 1, 2, 3]))]
        document = _document(run)
        forged = sum(mutate(r, run / name) for name in chosen)
        what = f"{verb} of {kind}-{state} after changes of {', '.join(chosen)}"
        same = _document(run) == document  # else its user changed the spec
        result, answer = _ask(verb, kind, run)
        counts[f"status {result.exit_code}"] += 1
        said = f"{what}: status {result.exit_code}, {result.stderr.strip()[-300:]}"
        if result.exit_code not in (0, 1, 2, 3) or "Traceback" in result.stderr:
            return [said]
        codes = ["GS603", "GS602"] + (["GS601", "GS701"] if forged else [])  # weights may be NaN: no step, no proof
        refused = result.exit_code == 3 or (result.exit_code == 1 and same)
        told = result.stdout if verb == "validate" else result.stderr  # the problems are its result
        if refused and not any(code in told for code in codes):
            return [said]
        if result.exit_code == 0 and same and not forged and answer != expected:
            return [f"{what}: another answer"]
        return []


def _document(run: Path) -> Any:
    """The spec of a run; None where it cannot be read."""
    path = run / "spec.json"
    try:
        return json.loads(path.read_text()) if path.is_file() else None
    except (ValueError, RecursionError, OSError):
        return None
