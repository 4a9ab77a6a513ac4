"""The fetches of a training or evaluation step, by name: losses, heads with metrics, and the masks of these heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from graphspec.engine.compiler.objective import Network, Objective
    from graphspec.graph.ir.graph import Value
    from graphspec.language.declarations import Spec

TOTAL = "loss:loss"  # names of heads contain no colon
"""The name of the scalar that training minimises."""


def loss_of(head: str) -> str:
    """Return the name of a head's own loss."""
    return f"loss:{head}_loss"


def mask_of(head: str) -> str:
    """Return the name of the mask of a head's values."""
    return f"mask:{head}"


def target_of(head: str) -> str:
    """Return the name of the value with which a head compares, if that is computed by the network."""
    return f"target:{head}"


def losses_of(objective: Objective) -> list[str]:
    """Return the names of all losses, the total first."""
    return [TOTAL, *map(loss_of, objective.losses)]


def logged_losses(spec: Spec) -> dict[str, str]:
    """Return the fetch of every logged loss by Keras's key: ``loss`` and, with several heads, ``<head>_loss``."""
    heads = [h.name for h in spec.trained] if len(spec.all_heads) > 1 else []
    return {"loss": TOTAL} | {f"{head}_loss": loss_of(head) for head in heads}


def fetches(network: Network, objective: Objective, counted: Collection[str] = ()) -> dict[str, Value]:
    """Return the values to fetch in a step, by name: losses, and the heads that have metrics or are ``counted``."""
    found = {TOTAL: objective.total} | {loss_of(head): value for head, value in objective.losses.items()}
    for head in network.spec.heads.values():
        if head.metrics or head.name in counted:
            value = network.graph.outputs[head.name]
            found[head.name] = value
            if value.mask is not None:
                found[mask_of(head.name)] = value.mask
            if head.name in objective.targets:
                found[target_of(head.name)] = objective.targets[head.name]
    return found
