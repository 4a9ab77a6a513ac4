"""The predictions of small untrained networks, as a report sees them, and what its HTML says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np

import graphspec as gs
from graphspec.data.signature import user_arrays
from graphspec.engine.training.prepare import part_rows
from graphspec.show.html import html_of
from graphspec.show.report import findings
from graphspec.show.report.findings import Findings
from graphspec.show.report.heads import heads
from graphspec.show.report.kinds import Scored

SEQUENCES: dict[str, Any] = {"s": {"shape": [None], "dtype": "int32"}}
"""The input of :func:`per_step`."""


def network(layers: list[dict[str, Any]], head: Any, inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A spec whose last layer is the head ``h``."""
    return {
        "graphspec": 1,
        "name": "small",
        "inputs": dict(inputs or {"x": {"shape": [5]}}),
        "layers": layers,
        "outputs": {layers[-1]["name"]: head},
        "training": {"batch_size": 7, "seed": 3},
    }


def dense(units: int, activation: str | None = None) -> list[dict[str, Any]]:
    return [{"name": "h", "type": "Dense", "units": units} | ({"activation": activation} if activation else {})]


def per_step(units: int, activation: str | None = None) -> list[dict[str, Any]]:
    """Layers with a value for every time step of a sequence that is padded with 0."""
    before = {"name": "e", "type": "Embedding", "input_dim": 9, "output_dim": 3, "mask_zero": True, "inputs": "s"}
    return [before, {"name": "l", "type": "LSTM", "units": 4, "return_sequences": True}, *dense(units, activation)]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def sequences(rows: int = 40, steps: int = 6) -> np.ndarray:
    """Sequences, a third of which are shorter."""
    found = np.random.default_rng(1).integers(1, 9, (rows, steps))
    found[::3, 4:] = 0
    return found


def judge(spec: dict[str, Any], x: np.ndarray | dict[str, np.ndarray], y: Any) -> tuple[Findings, Scored, str]:
    """Return what is found out about a network on its test rows, and the section of its heads as HTML."""
    model = gs.compile(spec)
    inputs = x if isinstance(x, dict) else {next(iter(spec["inputs"])): x}
    targets = y if isinstance(y, dict) else {next(iter(spec["outputs"])): y}
    model.parts["test"] = user_arrays(model.needed, inputs, targets, None)
    found = findings.judge(Findings(model, Path(), {}), part_rows(model, "test"), "test")
    section = heads(found)
    assert section is not None
    assert found.judged is not None
    return found, found.judged, html_of(section.blocks)


def values(html: str) -> dict[str, str]:
    """Return the named values of the first head: those at the default threshold."""
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html.partition("data-threshold")[0])
    return {unescape(name): unescape(value) for name, value in pairs}


def rows(html: str, caption: str) -> list[list[str]]:
    """Return the cells of the table with this caption."""
    found = re.search(rf"<caption>{caption}.*?<tbody>(.*?)</tbody>", html, re.DOTALL)
    assert found is not None, caption
    lines = re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)
    return [[unescape(re.sub("<.*?>", "", c)) for c in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", line)] for line in lines]


def plain(html: str) -> str:
    """Return the text of HTML, without charts."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<svg.*?</svg>", "", html))).split())
