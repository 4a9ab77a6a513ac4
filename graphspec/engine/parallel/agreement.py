"""What all processes of a training have in common: else their bits differ, or one waits for ever for another's barrier.

Workers and ranks state the same facts (:func:`installation`, :func:`program`) and compare them in the same way
(:func:`compare`), before the first step.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.blas import openblas
from graphspec.base.errors import Code, RunError, shorten
from graphspec.base.version import __version__
from graphspec.engine.compiler.objective import fetches
from graphspec.graph.kernels import compiled

if TYPE_CHECKING:
    from graphspec.engine.parallel.shards import Step
    from graphspec.graph.ir.graph import Value

Facts = Mapping[str, str | None]
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_FIXES = {
    "BLAS kernels": "the same bits need the same kernels: set OPENBLAS_CORETYPE, such as `Haswell`, for all processes",
    "compiled kernels": f"{compiled.BUILD}, the same for all ranks, or set GRAPHSPEC_KERNELS=fast for all",
    "forced kernels": "set GRAPHSPEC_KERNELS for all ranks or for none",
}
_FIX = "start all processes with the same files and versions"
_FIX_PLUGIN = "every process imports the plugins anew: let what they compute depend on the spec alone, not on variables"


def installation() -> Facts:
    """Return what decides the bits before there is a network."""
    blas = openblas()
    return {
        "the version of graphspec": __version__,
        "the version of NumPy": np.__version__,
        "the version of Python": platform.python_version(),
        "BLAS kernels": None if blas is None else blas.core,
        "compiled kernels": compiled.version(),
        "forced kernels": compiled.mode() or None,
    }


def program(step: Step) -> Facts:
    """Return what a step computes: the operators of each layer, a hash of their attributes and constants, the weights."""
    graph, operators, hashes = step.objective.graph, dict[str, list[str]](), dict[str, Any]()
    constants: dict[str, str] = {}
    for node in graph.nodes:
        operators.setdefault(node.owner, []).append(node.op)
        inputs = [None if v is None else _named(v, constants) for v in node.inputs]
        facts = node.op, inputs, _plain(node.attrs), [(v.name, str(v.type)) for v in node.outputs]
        hashes.setdefault(node.owner, blake2b(digest_size=6)).update(repr(facts).encode(errors="surrogatepass"))
    found: dict[str, str | None] = {f"the operators of '{k}'": shorten(", ".join(v), 200) for k, v in operators.items()}
    found |= {f"the attributes, shapes or constants of '{owner}'": h.hexdigest() for owner, h in hashes.items()}
    for name, p in graph.params.items():
        rest = _digest(repr((p.trainable, p.state, p.layout, _plain(p.constraint), p.looked_up, p.sparse)).encode())
        found[f"the weight '{name}'"] = f"{list(p.shape)}, {rest}"
    values = {name: value.name for name, value in fetches(step.network, step.objective).items()}
    return found | {"the values of a step": _plain(values), "the optimizer": _plain(step.optimizer)}


def compare(first: Facts, other: Facts, who: str, what: str) -> None:
    """Check that two processes, of these names, state the same facts. GS606 (RunError): the first difference."""
    wrong = [key for key in {**first, **other} if first.get(key) != other.get(key)]
    if not wrong:
        return
    key, *more = wrong
    text = f"{who} and {what} differ in {key}: {_shown(first.get(key))} on {who}, {_shown(other.get(key))} on {what}"
    text += f" (also in {', '.join(more[:3])}{', …' if more[3:] else ''})" if more else ""
    raise RunError(Code.RANKS_DIFFER, text, _FIXES.get(key, _FIX_PLUGIN if key.endswith("'") else _FIX))


def _shown(value: str | None) -> str:
    return "none" if value is None else f"'{value}'"


def _named(value: Value, constants: dict[str, str]) -> str:
    """Return the name of a value, and of a constant a hash of its elements, computed once."""
    if value.data is not None and value.name not in constants:
        constants[value.name] = f"{value.name} {value.type} {_plain(value.data)}"
    return constants.get(value.name, value.name)


def _plain(value: Any) -> str:
    """Return a text that is the same in every process for equal values."""
    if isinstance(value, np.ndarray):
        texts = repr(value.tolist()).encode(errors="surrogatepass") if value.dtype.hasobject else None
        return f"{value.dtype}{value.shape} {_digest(np.ascontiguousarray(value) if texts is None else texts)}"
    if isinstance(value, Mapping):
        return repr([(key, _plain(value[key])) for key in sorted(value, key=str)])
    if isinstance(value, list | tuple):
        return repr([*map(_plain, value)])
    if isinstance(value, set | frozenset):
        return repr(sorted(map(_plain, value)))
    return _ADDRESS.sub("", repr(value))


def _digest(data: Any) -> str:
    return blake2b(data, digest_size=6).hexdigest()
