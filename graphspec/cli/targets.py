"""What commands take: a spec, a run directory, or an ONNX file that graphspec exported."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from graphspec.base.errors import Code, Diagnostic, GraphspecError, RunError, SpecError, UsageError
from graphspec.base.files import DATA_SUFFIXES, is_folder, is_regular, suffix_of
from graphspec.base.text import shell
from graphspec.cli.console import complain, print_diagnostics

if TYPE_CHECKING:
    from graphspec.api.model import Model
    from graphspec.engine.compiler.check import Checked
    from graphspec.language.declarations import Spec

ONNX = ".onnx"
_SPECS = (".yaml", ".yml", ".json")
_MODELS = {  # files that people have beside a model, and what they are
    **dict.fromkeys((".h5", ".hdf5", ".keras"), "a file of Keras"),
    **dict.fromkeys((".pt", ".pth", ".ckpt"), "a file of PyTorch"),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), "a pickle, which graphspec never opens"),
    **dict.fromkeys((".tflite", ".pb"), "a file of TensorFlow"),
    ".safetensors": "a file of weights",
}
_WANTED = "name a spec, a run directory or an ONNX file"


def is_onnx(path: Path) -> bool:
    """Return whether a path names an ONNX file."""
    return path.suffix.lower() == ONNX and not is_folder(path)


def is_run(path: Path) -> bool:
    """Return whether a path is a folder with a spec of a run."""
    return is_folder(path) and is_regular(path / "spec.json")


def is_spec(path: Path) -> bool:
    """Return whether a path names a spec, by its suffix."""
    return path.suffix.lower() in _SPECS and not is_folder(path)


def refuse_other(path: Path, wanted: str = _WANTED) -> None:
    """Raise UsageError for a folder that is no run, and for data files and files of other programs."""
    if is_folder(path) and not is_run(path):
        raise UsageError(f"{path} is not a run directory: it has no spec.json; {wanted}")
    suffix = suffix_of(path)
    data = "a data file, which `graphspec data` shows" if suffix in DATA_SUFFIXES else None
    if not is_folder(path) and (what := data or _MODELS.get(suffix)):
        raise UsageError(f"{path} is {what}; {wanted}")


def checked_target(path: Path, sets: Sequence[str] = (), *, allow: Sequence[Path] = ()) -> Checked:
    """Check the spec of a target. The spec of a run or an ONNX file includes what the network has learnt."""
    from graphspec.engine.compiler.check import check

    refuse_other(path)
    if sets and (is_onnx(path) or is_run(path)):
        what = "an ONNX file" if is_onnx(path) else "a run"
        raise UsageError(f"--set changes a spec, but {path} is {what}, which is already trained")
    if is_onnx(path):
        from graphspec.export.read import read_exported

        return read_exported(path).checked
    if is_run(path):
        from graphspec.engine.runtime.records import read_json
        from graphspec.engine.training.run_directory import check_run, read_adapted

        read_json(path / "spec.json")  # a damaged file is GS603, not a problem of a spec
        return check_run(path, read_adapted(path), allow)
    return check(str(path), sets, allow_outside=True, allow=allow)


def checked_whole(path: Path, sets: Sequence[str] = (), *, allow: Sequence[Path] = (), data: bool = False) -> Checked:
    """Check a run with its weights and its checkpoint, or an ONNX file.

    A damaged run is an error among the others, and so is an ONNX file that graphspec has not written.
    """
    from graphspec.api.model import load
    from graphspec.engine.compiler.check import Checked

    if data and is_onnx(path):
        raise UsageError(f"{path} contains no data, only the names of its data files; leave out --data")
    try:
        checked = checked_target(path, sets, allow=allow)
        if is_run(path) and not checked.errors:
            load(path, allow=allow)
    except SpecError as error:
        return Checked(None, None, list(error.diagnostics))
    except RunError as error:
        return Checked(None, None, [Diagnostic(error.code, error.message, file=str(path), hint=error.hint)])
    except UsageError as error:
        if sets or not is_onnx(path):
            raise
        message = f"'{path.name}'{str(error).removeprefix(str(path))}"
        hint = "name an ONNX file that `graphspec export` or `train --export` has written"
        return Checked(None, None, [Diagnostic(Code.UNREADABLE_DOCUMENT, message, file=str(path), hint=hint)])
    return checked


def spec_for_run(path: Path, command: str) -> GraphspecError:
    """Return the error for a spec where a trained network is needed, with the command that helps."""
    from graphspec.engine.compiler.check import check

    checked = check(str(path), allow_outside=True)
    run = None if checked.spec is None else Path("runs") / checked.spec.name
    if run is not None and is_run(run):
        do = f"name its run: `{shell('graphspec', command, str(run))}`"
    else:
        do = f"train it first: `{shell('graphspec', 'train', str(path))}`"
    if checked.spec is not None and checked.spec.weight_files:  # of a network that has weights, the training is missing
        return UsageError(f"{path} is a spec, but this needs a run; {do}")
    return UsageError(f"{path} is a spec, which has no weights: it names no `initial_weights`; {do}")


def relative(source: Path, path: Path) -> str:
    """Return the path of a table as a spec names it: relative to the spec's folder, absolute on another drive."""
    try:
        return Path(os.path.relpath(source, path.parent)).as_posix()
    except ValueError:
        return source.resolve().as_posix()


def naming_file(spec: Spec, path: Path, place: Path) -> list[str]:
    """Return the override with which a spec that names no data is trained on a file; nothing for other specs."""
    if any(source.has_rows for source in spec.data.values()) or not place.is_file():
        return []
    from graphspec.language.write import literal

    return [f"data.train.file={literal(relative(place, path))}"]


@contextmanager
def naming_data(data: Path | None) -> Iterator[None]:
    """Add the way out to the errors of data files that are not where they were."""
    try:
        yield
    except SpecError as error:
        if data is not None:
            raise
        hint = "if the data have moved, add `--data DIR` with their folder"
        missing = [d.code == Code.UNREADABLE_FILE and "does not exist" in d.message for d in error.diagnostics]
        found = zip(error.diagnostics, missing, strict=True)
        raise SpecError([replace(d, hint=hint) if is_missing else d for d, is_missing in found]) from None


def open_model(target: Path, command: str, allow: Sequence[Path] = (), data: Path | None = None) -> Model:
    """Return the model of a run, or of a spec with weights to start from, whose data may lie elsewhere now."""
    from graphspec.api.model import load
    from graphspec.data.paths import moved

    model = started(target, command, allow) if is_spec(target) else load(target, allow=allow)
    if data is not None:
        model.spec = moved(model.spec, data)
    return model


# A spec in place of a run: its network starts from files of weights, and need not be trained.
def started(path: Path, command: str, allow: Sequence[Path] = ()) -> Model:
    """Return the model of a spec with the weights that it starts from; what it learns from rows, it learns."""
    from graphspec.api.model import Model
    from graphspec.engine.compiler.check import check

    checked = check(str(path), allow_outside=True, allow=allow)
    if checked.spec is not None and not checked.spec.weight_files:
        raise spec_for_run(path, command)
    declaration, lowered = checked.require()
    print_diagnostics(d for d in checked.diagnostics if d.code not in (Code.NOTHING_TO_TRAIN, Code.NOT_ENOUGH_MEMORY))
    model = Model(declaration, lowered, checked.diagnostics)
    classes = [h for h in model.spec.heads.values() if h.labels is None and h.loss is not None]
    named = any(head.loss is not None and head.loss.targets in ("classes", "labels") for head in classes)
    if model.learns or (named and model.spec.data.get("train") is not None):  # layers learn, or heads names of classes
        _learn(model, path)
    for known in model.initial_weights:
        complain(str(known))
    untouched = sum(len(known.new) for known in model.initial_weights)
    whole = sum(len(known.taken) for known in model.initial_weights) + untouched
    if untouched or whole < len(model.parameters.params):
        complain(f"note: {len(model.parameters.params) - whole + untouched} of its weights are new, and not trained")
    return model


def _learn(model: Model, path: Path) -> None:
    from graphspec.engine.training.adapt import has_to_learn
    from graphspec.engine.training.prepare import adapted_to

    if "train" not in model.spec.data:
        raise UsageError(f"the network of {path} learns from training rows first: add `data: {{train: {{file: …}}}}`")
    train = model.part("train")
    if has_to_learn(model.spec, model.whole, train):
        model.install(adapted_to(model.single[0], {"train": train}))
