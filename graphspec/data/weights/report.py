"""What a network started from: for messages, tables, and the record of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphspec.data.weights.plan import FilePlan

_NAMED = 4  # weights or arrays that a line names


@dataclass(frozen=True)
class InitialWeights:
    """What a file of initial weights gives.

    Attributes:
        file: the file or the run, as the spec writes it.
        node: the node or block instance whose weights they are; empty for the whole network.
        taken: by weight, the names of the arrays in the file that it starts from.
        new: the weights that start new, each with the reason.
        left_over: the arrays of the file that no weight needs.
        sha256: the hash of the file that was read; empty before that.
    """

    file: str
    node: str
    taken: Mapping[str, tuple[str, ...]]
    new: Mapping[str, str]
    left_over: Sequence[str]
    sha256: str = ""

    def __str__(self) -> str:
        whose = f" of '{self.node}'" if self.node else ""
        text = f"initial weights{whose}: {len(self.taken)} of {len(self.taken) + len(self.new)} from {self.file}"
        for names, what in ((list(self.new), "start new" if len(self.new) > 1 else "starts new"),):
            text += f"; {len(names)} {what}: {_listed(names)}" if names else ""
        return text + (f"; {len(self.left_over)} left over: {_listed(self.left_over)}" if self.left_over else "")

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield each weight with what it starts from, then what is left over."""
        for name, arrays in self.taken.items():
            yield name, " + ".join(arrays)
        for name, reason in self.new.items():
            yield name, f"starts new: {reason}"
        for name in self.left_over:
            yield "(left over)", name

    def to_json(self) -> dict[str, Any]:
        """Return what ``run.json`` says of it."""
        numbers = {"taken": len(self.taken), "new": list(self.new), "left_over": len(self.left_over)}
        return {"file": self.file, "node": self.node, "sha256": self.sha256, **numbers}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def reported(plan: FilePlan, sha256: str = "") -> InitialWeights:
    """Return what a file gives."""
    taken = {t.weight.name: tuple(name for name, _ in t.arrays) for t in plan.taken}
    return InitialWeights(plan.file.file, plan.file.node, taken, dict(plan.new), list(plan.left_over), sha256)


def in_record(known: Sequence[InitialWeights], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``run.json`` says of initial weights; without files that were read, what it said ``before``."""
    said = [each.to_json() for each in known] or before.get("initial_weights")
    return {"initial_weights": said} if said else {}
