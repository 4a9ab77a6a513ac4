"""What a program of losses and metrics is asked for, by name: the losses, the heads that metrics read, and their masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphspec.compiler.objective import Network, Objective
    from graphspec.ir.graph import Value
    from graphspec.language.declarations import Spec

TOTAL = "loss:loss"  # a colon is in no head's name
"""The scalar that is minimised."""


def loss_of(head: str) -> str:
    """The name of a head's own loss."""
    return f"loss:{head}_loss"


def mask_of(head: str) -> str:
    """The name of the mask of a head's values."""
    return f"mask:{head}"


def losses_of(objective: Objective) -> list[str]:
    """The names of all losses, the total first."""
    return [TOTAL, *map(loss_of, objective.losses)]


def logged_losses(spec: Spec) -> dict[str, str]:
    """The losses in logs: Keras's keys, ``loss`` and with several heads ``<head>_loss``, with the names of the fetches."""
    heads = [h.name for h in spec.heads.values() if h.loss is not None] if len(spec.heads) > 1 else []
    return {"loss": TOTAL} | {f"{head}_loss": loss_of(head) for head in heads}


def fetches(network: Network, objective: Objective) -> dict[str, Value]:
    """What a step is asked for."""
    found = {TOTAL: objective.total} | {loss_of(head): value for head, value in objective.losses.items()}
    for head in network.spec.heads.values():
        if head.metrics:
            value = network.graph.outputs[head.name]
            found[head.name] = value
            if value.mask is not None:
                found[mask_of(head.name)] = value.mask
    return found
