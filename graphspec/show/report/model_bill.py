"""The bill of materials of a model: its data, base networks, metrics, versions and hashes, for programs.

The facts are those of the model card (:mod:`graphspec.show.report.card`) and of ``run.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphspec.base.errors import SpecError, UsageError
from graphspec.base.version import __version__
from graphspec.data.stored import hash_of
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.engine.runtime.session import Session
from graphspec.engine.training.run_directory import belongs
from graphspec.export.inspection import contained_spec, inspect_file
from graphspec.export.onnx import input_text, signature
from graphspec.export.prove import prove, rows_for
from graphspec.export.read import read_exported
from graphspec.graph.ops import OPS
from graphspec.show.cyclonedx import bill, hashes, licences, properties
from graphspec.show.report.about import data_facts, facts_of, kind, same_bits, sentence
from graphspec.show.report.card import by_class, limits, meaning_of, pipeline_tag
from graphspec.show.report.findings import Findings, mapping_in
from graphspec.show.report.kinds import OUT_OF_FOLD

# what networks with layers of these modules are called
_FAMILIES = {"attention": "attention", "convolution": "convolutional", "recurrent": "recurrent"}
_OF_TIME = ("Trained", "Training time", "Exported")  # facts that differ between runs with the same bits
_CLAIMS = ("proof", "quantization")  # what a file says of itself
_MODEL = {"type": "machine-learning-model"}


def found_in_file(path: Path) -> Findings:
    """Return what an exported file says of itself; it has no rows, and so no results.

    Raise UsageError if it is no file of graphspec, or contradicts itself; SpecError if its spec is not valid any more.
    """
    (spec, lowered), about = read_exported(path).checked.require(), inspect_file(path)
    if about["problems"]:
        raise UsageError(f"{path} contradicts itself: {about['problems'][0]}; export it again")
    _, learnt = contained_spec(path) or ({}, Adapted())
    record = {"graphspec": about["spec"]["graphspec_version"], "spec_sha256": about["spec"]["sha256"]}
    record |= {key: about[key] for key in _CLAIMS}
    return Findings(Session(spec, lowered, adapted=None if learnt == Adapted() else learnt), None, {}, record)


def model_bill(found: Findings, file: Path | None = None, licence: str | None = None) -> str:
    """Return the bill of materials of a run, of an exported ``file``, or of a run with its file, as JSON.

    Raise UsageError if the file is not of this run, and the errors of :func:`found_in_file`.
    """
    model, files = found.model, [] if file is None else [file]
    if found.directory is not None:
        files.append(found.directory / "weights.safetensors")
        claims = {} if file is None else _of_same_network(file, found)
        found = replace(found, record={**found.record, **claims})
    data = list(_data(found))
    subject = {
        **_MODEL,
        "bom-ref": "model",
        "name": model.spec.name,
        "description": model.spec.description or sentence(model),
        "hashes": hashes(hash_of(files[:1])),
        "licenses": licences(licence),
        "pedigree": {"ancestors": list(_ancestors(found))},
        "modelCard": _card(found, [{"ref": each["bom-ref"]} for each in data]),
        "properties": properties({"file": files[0].name, **_facts(found)}),
        "components": [{"type": "file", "name": each.name, "hashes": hashes(hash_of([each]))} for each in files[1:]],
    }
    return bill(subject, data, list(_tools(found.record)))


def _of_same_network(file: Path, found: Findings) -> dict[str, Any]:
    """Return the claims of a file after comparing layers and answers with the run; a quantized one answers otherwise."""
    of_file = found_in_file(file)
    own, other = (belongs(f.model.document(), f.model.adapted)["network"] for f in (found, of_file))
    differs = "its layers" if own != other else ""
    if not differs and not of_file.record["quantization"]:
        try:
            prove(found.model, file.read_bytes(), rows_for(found.model, None))
        except SpecError:
            differs = "its answers"
    if differs:
        raise UsageError(f"{file} is not of this run: {differs} differ; export the run again")
    return {key: of_file.record[key] for key in _CLAIMS}


def _tools(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the programs that trained the model, and the one that writes this."""
    versions = {"graphspec": record.get("graphspec"), "Python": record.get("python"), **mapping_in(record, "packages")}
    versions["graphspec-onnx-kernels"] = mapping_in(record, "plan").get("compiled")
    for name, version in versions.items():
        if version:
            yield {"type": "library", "name": name, "version": str(version), "description": "trained the model"}
    yield {"type": "application", "name": "graphspec", "version": __version__, "description": "wrote this document"}


def _data(found: Findings) -> Iterator[dict[str, Any]]:
    """Yield the data of each part; a split has no files of its own."""
    for part, (name, text) in data_facts(found).items():
        source, sha256 = found.model.spec.data[part], mapping_in(found.record, "data_sha256").get(part)
        single = len(source.paths) == 1 and source.query is None and not source.paths[0].is_dir()
        yield {
            "type": "data",
            "bom-ref": f"data:{part}",
            "name": name,
            "hashes": hashes(sha256 if single else None),
            "data": [{"type": "dataset", "description": text}],
            # of several files: the hash of their names and hashes
            "properties": properties({"part": part, "files_sha256": None if single else sha256}),
        }


def _ancestors(found: Findings) -> Iterator[dict[str, Any]]:
    """Yield the networks of other files that this one contains or started from, with their hashes and licences."""
    kinds = [("initial weights", taken) for taken in found.record.get("initial_weights") or ()]
    for node in (node for node in found.model.full.nodes if OPS[node.op].merged):
        part = node.attrs["part"]
        texts = {"file": part.file, "sha256": part.sha256} if part.content is None else part.metadata()
        kinds.append((f"contained in the layer '{node.owner}'", texts))
    for role, texts in kinds:
        about = {**_MODEL, "name": Path(str(texts["file"])).name, "description": role}
        yield {**about, "hashes": hashes(texts["sha256"]), "licenses": licences(texts.get("license"))}


def _facts(found: Findings) -> dict[str, Any]:
    """Return what else is known of the training and the file, by name."""
    record, elsewhere = found.record, {*_OF_TIME, "Network", *(name for name, _ in data_facts(found).values())}
    return {
        "seed": record.get("seed", found.model.seed),
        **{key: record.get(key) for key in ("workers", "spec_sha256", "adapted_sha256")},
        **{name.lower(): text for name, text in facts_of(found) if name not in elsewhere},
        "same_bits": None if found.directory is None else same_bits(record),
        "changed": "the measured rows have changed since the training" if found.changed else None,
        **{key: json.dumps(record[key], sort_keys=True) for key in _CLAIMS if record.get(key)},
    }


def _card(found: Findings, datasets: list[dict[str, str]]) -> dict[str, Any]:
    model, described = found.model, signature(found.model, ({}, {}))
    modules = {type(node.layer).__module__.rpartition(".")[2] for node in model.spec.nodes}
    families = [family for module, family in _FAMILIES.items() if module in modules]
    parameters = {
        "task": pipeline_tag(model) or kind(model).lower(),
        "architectureFamily": f"{', '.join(families) or 'feedforward'} neural network",
        "modelArchitecture": dict(facts_of(found)).get("Network"),
        "datasets": datasets,
        "inputs": [_format(record, input_text(model, record)) for record in described["inputs"]],
        "outputs": [_format(record, meaning_of(model, record)) for record in described["outputs"]],
    }
    return {
        "modelParameters": parameters,
        "quantitativeAnalysis": {"performanceMetrics": list(_metrics(found))},
        "considerations": {"technicalLimitations": [] if found.judged is None else limits(found)},
    }


def _format(record: Mapping[str, Any], meaning: str) -> dict[str, str]:
    shape = f"{record['name']}: {record['dtype']} ({', '.join(map(str, record['shape']))})"
    return {"format": f"{shape}, {meaning}" if meaning else shape}


def _metrics(found: Findings) -> Iterator[dict[str, Any]]:
    """Yield the losses and metrics of the judged rows, then the share of right answers of each class."""
    if (judged := found.judged) is None:
        return
    where = f"{judged.total:,} {judged.part} rows{f', {OUT_OF_FOLD}' if judged.out_of_fold else ''}"
    for key, value in judged.results.items():
        ends = zip(("lowerBound", "upperBound"), found.intervals.get(key, ()), strict=False)
        interval = {name: f"{end:.6g}" for name, end in ends}
        if math.isfinite(value):
            yield {"type": key, "value": f"{value:.6g}", "slice": where, "confidenceInterval": interval}
    for head, rows in by_class(judged).items():
        for label, size, right in rows:
            if right is not None:
                yield {"type": "recall", "value": f"{right:.6g}", "slice": f"{head}: {label}, {size:,} rows"}
