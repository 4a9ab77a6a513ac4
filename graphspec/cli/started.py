"""A spec in place of a run: its network starts from files of weights, and need not be trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graphspec.base.codes import Code
from graphspec.base.errors import UsageError
from graphspec.cli.console import complain, print_diagnostics
from graphspec.cli.targets import spec_for_run

if TYPE_CHECKING:
    from graphspec.api.model import Model
    from graphspec.engine.runtime.session import Session

_TRAINING = (Code.NOTHING_TO_TRAIN, Code.NOT_ENOUGH_MEMORY)


def started(path: Path, command: str, allow: Sequence[Path] = ()) -> Model:
    """Return the model of a spec with the weights that it starts from; what it learns from rows, it learns."""
    from graphspec.api.model import Model
    from graphspec.engine.compiler.check import check

    checked = check(str(path), allow_outside=True, allow=allow)
    if checked.spec is not None and not checked.spec.weight_files:
        raise spec_for_run(path, command)
    declaration, lowered = checked.require()
    print_diagnostics(d for d in checked.diagnostics if d.code not in _TRAINING)
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


def _learn(model: Session, path: Path) -> None:
    from graphspec.engine.training.prepare import adapted_to, has_to_learn

    if "train" not in model.spec.data:
        raise UsageError(f"the network of {path} learns from training rows first: add `data: {{train: {{file: …}}}}`")
    train = model.part("train")
    if has_to_learn(model.spec, model.whole, train):
        model.install(adapted_to(model.spec, {"train": train}))
