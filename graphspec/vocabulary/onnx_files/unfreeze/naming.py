"""Names of a file's nodes, in graphs and in messages."""

from __future__ import annotations

import re
from typing import Any

from graphspec.graph.onnx_session import sanitized


def label(node: Any) -> str:
    """Return a node of the file as text for a message: ``'/conv1/Conv' (Conv)``."""
    return f"'{name_of(node)}' ({operator_of(node)})"


def name_of(node: Any) -> str:
    """Return the name of a node, or of its first output."""
    return sanitized(node.name or next((o for o in node.output if o), ""), 120)


def operator_of(node: Any) -> str:
    """Return the operator of a node with its domain, if it is not ONNX's own."""
    return sanitized(f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type)


def part_of(node: Any) -> str:
    """Return the part of graph names that stands for a node of the file."""
    name = node.name or next((o for o in node.output if o), "") or node.op_type
    return re.sub(r"[^\w.-]+", "_", name).strip("_")[-100:] or "node"
