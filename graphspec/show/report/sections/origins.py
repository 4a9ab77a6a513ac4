"""Where a run comes from: its spec, what was learnt from rows, versions, hashes, and the commands that repeat and use it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.document import Block, Code, Facts, Folded, Heading, Inline, Section, Span, Table, Text
from graphspec.base.text import count, shell, shorten_end
from graphspec.show.report.raw import plain
from graphspec.show.report.rows import run_name

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session
    from graphspec.show.report.findings import Findings

_SPEC = 20_000  # characters of the spec that are shown
_LEARNT = 60  # layers whose learnt arguments are shown
_VALUES = 200  # characters of learnt values
_NOT_KEPT = Text(("The model is in the memory only: ", Span("model.save(…)", "code"), " keeps it in a run directory."))


def origins(found: Findings) -> Section:
    """Return the spec, versions and hashes of a run, and commands."""
    kept = [*_repeat(found), *_use(found)] if found.directory is not None else [_NOT_KEPT]
    blocks = [*kept, _spec(found.model), *_learnt(found.model), *_versions(found)]
    return Section("origins", "Spec and versions", blocks)


def _repeat(found: Findings) -> list[Block]:
    """Return the command that repeats the run, and what the same bits need."""
    run, spec = run_name(found.directory), found.model.spec
    words = ["graphspec", "train", f"{run}/spec.json", "--out", f"{run}-again"]
    workers = found.record.get("workers")
    if spec.training.workers == "mpi" and isinstance(workers, int) and workers > 1:
        words = ["mpiexec", "-n", f"{workers}", *words]
    elif isinstance(workers, int) and workers > 1 and spec.training.workers != workers:
        words += ["--set", f"training.workers={workers}"]
    packages = found.record.get("packages")
    numpy = f" and NumPy {packages['numpy']}" if isinstance(packages, Mapping) and "numpy" in packages else ""
    version = found.record.get("graphspec")
    needs = f"graphspec {version}{numpy}" if version else "the same versions of graphspec and NumPy"
    kernels = _kernels(found.record)
    on = f", on a processor with the same BLAS kernels ({kernels})" if kernels else ", on the same kind of processor"
    same = f"The same bits come out with the same data, with {needs}{on}, and with as many workers."
    return [Heading("Repeat it"), Code(shell(*words), "repeat"), Text(same)]


def _use(found: Findings) -> list[Block]:
    """Return the commands that use the run."""
    run, model = run_name(found.directory), found.model
    source = next(iter(model.spec.data.values()), None)
    rows = "new_rows.csv"
    if source is not None and (source.images is not None or source.texts is not None):
        rows = "new_files"
    elif source is not None and source.file is not None and source.query is None and "*" not in source.file.name:
        rows = "new_rows" + "".join(source.file.suffixes[-2:] if source.file.suffix == ".gz" else [source.file.suffix])
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in model.spec.name)[:60] or "model"
    labels = ["--labels"] if model.labels else []
    lines = [
        shell("graphspec", "predict", run, rows, *labels),
        shell("graphspec", "export", run, "-o", f"{name}.onnx"),
        *([shell("graphspec", "evaluate", run)] if "test" in model.spec.data else []),
    ]
    return [Heading("Use it"), Code("\n".join(lines), "use")]


def _spec(model: Session) -> Block:
    shown = yaml_of(model.spec.document)
    cut = len(shown) > _SPEC
    if cut:
        shown = shown[: shown.rfind("\n", 0, _SPEC)]
    note = [Text("The rest is in spec.json of the run.", "note")] if cut else []
    return Folded(f"Spec ({count(shown.count(chr(10)) + 1, 'line')})", [Code(shown, "spec"), *note])


def yaml_of(document: Mapping[str, Any]) -> str:
    """Return a document as YAML, short lists and mappings in one line."""
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = None
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width, writer.allow_unicode = 110, True
    writer.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    writer.dump(document, stream)
    return stream.getvalue().rstrip("\n")


def _learnt(model: Session) -> list[Block]:
    """Return what layers and heads have learnt from the training rows."""
    adapted = model.adapted
    if adapted is None:
        return []
    states = [*adapted.layers.items(), *((f"head {name}", state) for name, state in adapted.heads.items())]
    rows = [
        (shorten_end(name, 60), key, _values(value)) for name, state in states[:_LEARNT] for key, value in state.items()
    ]
    if not rows:
        return []
    more = len(states) - _LEARNT
    note = [Text(f"{count(more, 'more layer')} in adapted.json of the run.", "note")] if more > 0 else []
    table = Table(("layer", "argument", "values"), rows, label="Learnt before training")
    rows_of = f" from {count(adapted.rows, 'training row')}" if adapted.rows else ""
    return [Folded(f"Learnt{rows_of} before the first step", [table, *note])]


def _values(value: Any) -> Inline:
    if isinstance(value, Mapping) and "shape" in value:  # the array of a file
        return f"{value.get('dtype')}{value['shape']}"
    if not isinstance(value, list):
        return shorten_end(_one(value), _VALUES)
    shown, size = [], 0
    for each in value[:200]:
        shown.append(_one(each))
        size += len(shown[-1]) + 2
        if size > _VALUES:
            break
    more = [Span(f" … {len(value):,} in all", "share")] if len(value) > len(shown) else []
    return (shorten_end(", ".join(shown), _VALUES), *more)


def _one(value: Any) -> str:
    if isinstance(value, float):
        return plain(np.float32(value) if abs(value) < 3e38 else value)
    return (value if value.strip() else repr(value)) if isinstance(value, str) else str(value)


def _versions(found: Findings) -> list[Block]:
    """Return versions, machine and hashes."""
    record, facts = found.record, dict[str, str]()
    packages = record.get("packages")
    facts["graphspec"] = str(record.get("graphspec") or "")
    facts["Python"] = str(record.get("python") or "")
    facts |= {str(k): str(v) for k, v in packages.items()} if isinstance(packages, Mapping) else {}
    facts["platform"] = str(record.get("platform") or "")
    facts["processor cores"] = str(record.get("cores") or "")
    facts["BLAS kernels"] = _kernels(record)
    facts["graphspec-kernels"] = _kernels(record, "compiled")
    threads = record.get("blas_threads")
    facts |= {str(k): str(v) for k, v in threads.items()} if isinstance(threads, Mapping) else {}
    facts["workers"] = str(record.get("workers") or "")
    facts["seed"] = str(record.get("seed", found.model.seed))
    facts["SHA-256 of the spec"] = str(record.get("spec_sha256") or "")
    facts["SHA-256 of what was learnt from rows"] = str(record.get("adapted_sha256") or "")
    hashes = record.get("data_sha256")
    if isinstance(hashes, Mapping):
        facts |= {f"SHA-256 of the {part} data": str(value) for part, value in hashes.items()}
    if found.directory is not None:
        facts["SHA-256 of the weights"] = _file_hash(found.directory / "weights.safetensors")
    shown = [(name, Span(value, "code") if "SHA" in name else value) for name, value in facts.items() if value]
    return [Heading("Versions and hashes"), Facts(shown, "facts")]


def _kernels(record: Mapping[str, Any], which: str = "kernels") -> str:
    plan = record.get("plan")
    found = plan.get(which) if isinstance(plan, Mapping) else None
    return str(found) if found else ""


def _file_hash(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
