"""Random specs: inputs, layers that take each other's values, heads, training; and random rows for them."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from graphspec.engine.compiler.check import check
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.losses import LOSSES
from graphspec.vocabulary.metrics import METRICS
from trust import drawn_layers, drawn_networks, drawn_spatial  # noqa: F401  (they fill TEMPLATES)
from trust.drawn import TEMPLATES, Args, Drawing, Tensor, kinds_in, named, refs_in
from trust.drawn_losses import LOSS_KINDS
from trust.drawn_operations import EXACT
from trust.drawn_records import ids_of, is_fresh, may_take
from trust.drawn_tensors import joining
from trust.drawn_training import training

Array = np.ndarray[Any, Any]
METRIC_ARGS: dict[str, Args] = {
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "TopKCategoricalAccuracy": {"k": 2},
    "SparseTopKCategoricalAccuracy": {"k": 2},
    "WordErrorRate": {"separator": 1},
}
KINDS = [name for name in LAYERS.primary() if name in TEMPLATES and "." not in name]
"""The layers that are drawn."""
OPERATIONS = [name for name in TEMPLATES if "." in name]
"""The operations and operators that are drawn: a third of the nodes."""


@dataclass
class Drawn:
    """A spec, and what its rows must be.

    Attributes:
        ids: for inputs that are ids, how many there are.
        targets: what the targets of a head are, for heads with a loss.
        refused: layers that were refused and left out: what was said.
        used: the layers that stand in it, those within others too.
    """

    document: Args
    ids: dict[str, int] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)
    refused: list[tuple[Args, str]] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)


def draw(drawn: random.Random, most: int = 8, kind: str | None = None) -> Drawn:
    """A spec of at most so many layers and some heads; one layer is of this kind, by default of a random one."""
    return _Growth(drawn, most).spec(kind or _kind(drawn))


def draw_layer(drawn: random.Random, kind: str) -> Drawn:
    """One layer of this kind, without heads and training."""
    return _Growth(drawn, 1).begin(kind)


def _kind(drawn: random.Random) -> str:
    return drawn.choice(OPERATIONS if drawn.random() < 1 / 3 else KINDS)


class _Growth:
    def __init__(self, drawn: random.Random, most: int) -> None:
        self.d = Drawing(drawn)
        self.most = most
        self.inputs: Args = {}
        self.layers: list[Args] = []
        self.blocks: Args = {}
        self.result = Drawn({})

    def spec(self, kind: str) -> Drawn:
        d = self.d
        self.begin(kind)
        for k in range(1, d.int(1, 3)):
            self.input(f"x{k}", d.chance(0.5))
        for _ in range(d.int(1, self.most)):
            self.layer()
            if d.chance(0.1):
                self.share()
            if d.chance(0.1):
                self.block()
        outputs = self.heads()
        used = {i for node in self.layers for i in refs_in(node)} | set(_heads(outputs))
        for name in list(self.inputs):  # an input that nothing takes is an error of its own
            if name not in used:
                del self.inputs[name]
                self.result.ids.pop(name, None)
        self.prune(outputs)
        section = training(self.d, partial(self.trained, outputs), self.result.used)
        self.result.document = {**self.document(outputs), "training": section}
        return self.result

    def begin(self, kind: str) -> Drawn:
        """An input, and a layer of this kind on it unless none of 50 inputs suits it."""
        for _ in range(50):
            self.input("x0", False)
            if self.layer(kind, tries=3):
                return self.result
            self.inputs.clear()
            self.result.ids.clear()
            self.d.pool.clear()
        self.input("x0", False)
        return self.result

    def document(self, outputs: Args) -> Args:
        layers = [{k: v for k, v in n.items() if k != "inputs" or n.get("type") != "Formula"} for n in self.layers]
        document = {"graphspec": 1, "name": "drawn", "inputs": self.inputs, "layers": layers, "outputs": outputs}
        return document | ({"blocks": self.blocks} if self.blocks else {})

    def trained(self, outputs: Args) -> list[str]:
        """The names of the weights that are trained."""
        lowered = check(self.document(outputs)).lowered
        return [] if lowered is None else [p.name for p in lowered.graph.params.values() if p.trainable]

    def prune(self, outputs: Args) -> None:
        """Leave out what reaches no head, as people do; sometimes not: that is a warning only."""
        if self.d.chance(0.1):
            return
        needed = {_node(ref) for ref in _heads(outputs)}
        for node in reversed(self.layers):
            if node["name"] in needed:
                needed |= {_node(ref) for ref in refs_in(node)} | {node.get("share", "")}
        self.layers[:] = [node for node in self.layers if node["name"] in needed]
        for name in [n for n in self.inputs if n not in needed]:
            del self.inputs[name]
            self.result.ids.pop(name, None)

    # Inputs and layers.

    def input(self, name: str, alike: bool) -> None:
        d = self.d
        varies = d.one("time", None, d.int(3, 6))
        kinds = ("vector", "sequence", "image", "ids")  # twice as often
        kind = d.one(*kinds, *kinds, "vector", "volume", "id", "bytes", "clip", "text", "text", "texts")
        shapes: dict[str, list[Any]] = {
            "vector": [d.int(1, 6)],
            "sequence": [varies, d.int(1, 5)],
            "image": [d.int(4, 7), d.int(4, 7), d.int(1, 3)],
            "volume": [d.int(3, 4), d.int(3, 4), d.int(3, 4), d.int(1, 2)],
            "ids": [varies],
            "id": d.one([], [1]),
            "bytes": d.one([d.int(4, 6), d.int(4, 6), d.int(1, 3)], [d.int(2, 5)]),
            "text": [1],
            "texts": [d.one(None, 2)],
            "clip": d.one([3, 4, 4, 3, d.int(1, 2)], [3, 4, d.int(1, 2)], [2, 3, 3, 2]),
        }
        declared: Args = {"shape": shapes[kind]}
        if alike:
            declared = dict(d.among(list(self.inputs.values())))
        elif kind in ("ids", "id"):
            declared["dtype"] = d.one("int32", "int64")
        elif kind in ("text", "texts"):
            declared["dtype"] = "string"
        elif kind == "bytes":
            declared["dtype"] = d.one("uint8", "bool", "int64", "float32")
        if declared.get("dtype", "").startswith("int"):
            self.result.ids[name] = d.int(3, 7)
        self.inputs[name] = declared
        is_text = declared.get("dtype") == "string"
        same: Args = {"type": "Hashing", "num_bins": 2} if is_text else {"type": "Identity"}  # of the input's shape
        probe = {"layers": [{"name": "out", **same, "inputs": name}], "inputs": {name: declared}}
        lowered = check(self.document({"out": {}}) | probe).lowered
        assert lowered is not None
        value = lowered.graph.outputs["out"]
        ids = self.result.ids.get(name)
        d.pool.append(Tensor(name, value.shape[1:], "string" if is_text else value.dtype, ids, fresh=True, exact=True))

    def layer(self, wanted: str | None = None, tries: int = 40) -> bool:
        """One layer that takes some value; the kind is drawn first, so that every kind comes."""
        d = self.d
        for _ in range(tries):
            kind = wanted or _kind(d.random)
            for t in d.random.sample(d.pool[-6:], min(4, len(d.pool[-6:]))):
                arguments = TEMPLATES[kind](d, t) if may_take(kind, t) else None
                if arguments is None:
                    continue
                node = {"name": f"n{len(self.layers)}", "type": kind, "inputs": t.ref, **arguments}
                if d.chance(0.05):
                    node["trainable"] = False
                if "before" in node:
                    nodes = [*node.pop("before"), node, *node.pop("after", [])]
                    return self.chain(named(nodes, node["name"]))
                if node["inputs"] == [] or kind == "RelativePositionBias":
                    return self.joined(node, t)
                if kind != "DateParts":
                    return self.add(node)
                fill = {"name": f"n{len(self.layers) + 1}", "type": "Impute", "inputs": node["name"]}
                return self.add(node) and self.add(fill | d.one({}, {"strategy": "zero"}, {"indicator": True}))
        return False

    def add(self, node: Args) -> bool:
        """Take a node into the spec unless it is refused."""
        self.layers.append(node)
        checked = check(self.document({"out": {"layer": node["name"]}}))
        errors = [str(e) for e in checked.errors]
        if errors or checked.lowered is None:
            self.layers.pop()
            self.result.refused.append((node, "; ".join(errors)))
            return False
        name = f"{node['name']}_{node['repeat']}" if "repeat" in node else node["name"]
        made = checked.lowered.outputs.get(name)
        every = made if made is not None else (checked.lowered.graph.outputs["out"],)
        taken = [t for t in self.d.pool if t.ref in refs_in(node)]
        for k, value in enumerate(every):
            ref = node["name"] if k == 0 else f"{node['name']}:{k}"
            mask = None if value.mask is None else value.mask.rank - 1
            fresh = is_fresh(value, checked.lowered.graph)
            ids, bounded = ids_of(node, value, taken)
            gaps = node.get("type") == "DateParts"
            exact = node.get("type") in EXACT and {t.ref for t in taken if t.exact} >= set(refs_in(node))
            self.d.pool.append(Tensor(ref, value.shape[1:], value.dtype, ids, mask, fresh, gaps, bounded, exact))
        self.result.used.update(kinds_in(node))
        return True

    def joined(self, node: Args, t: Tensor) -> bool:
        """A node without inputs, and the layers that join it with ``t``."""
        return self.chain(joining(self.d, node, t))

    def chain(self, nodes: list[Args]) -> bool:
        """Nodes of which later ones take earlier ones, and the graph goes on from the last."""
        *before, last = nodes
        self.layers += before
        if taken := self.add(last):
            self.result.used.update(kind for node in before for kind in kinds_in(node))
        else:
            del self.layers[-len(before) :]
        return taken

    def share(self) -> None:
        """Another node's weights on a value of the same shape."""
        d = self.d
        owners = [n for n in self.layers if "type" in n and isinstance(n["inputs"], str) and "initial_state" not in n]
        known = {t.ref for t in d.pool}
        owners = [n for n in owners if n["type"] != "DateParts" and {n["inputs"], n["name"]} <= known]
        if not owners:
            return
        owner = d.among(owners)
        taken = next(t for t in d.pool if t.ref == owner["inputs"])
        alike = [t for t in d.pool if replace(t, ref=taken.ref, mask=taken.mask) == taken]
        self.add({"name": f"n{len(self.layers)}", "share": owner["name"], "inputs": d.among(alike).ref})

    def block(self) -> None:
        """A residual block, some times in a row."""
        d = self.d
        fits = d.others(lambda t: t.is_float and isinstance(t.features, int) and t.mask is None)
        if not fits:
            return
        t = d.among(fits)
        name = f"b{len(self.blocks)}"
        self.blocks[name] = {
            "params": {"width": 3},
            "inputs": ["x"],
            "layers": [
                {"name": "wide", "type": "Dense", "units": "${width}", "activation": d.activation(None), "inputs": "x"},
                {"name": "back", "type": "Dense", "units": t.features},
                {"name": "sum", "type": "Add", "inputs": ["x", "back"]},
            ],
            "outputs": ["sum"],
        }
        node = {"name": f"n{len(self.layers)}", "block": name, "params": {"width": d.int(1, 4)}, "inputs": t.ref}
        if not self.add(node | ({"repeat": d.int(1, 3)} if d.chance(0.5) else {})):
            del self.blocks[name]

    # Heads and training.

    def heads(self) -> Args:
        d = self.d
        fits = [t for t in d.pool if t.rank > 0 and t.features is not None and (t.mask or 0) < t.rank]
        fits = [t for t in fits if may_take("Dense", t)]
        outputs: Args = {}
        for t in d.random.sample(fits[-5:], min(len(fits[-5:]), d.int(1, 2))):
            self.head(t, outputs)
        floats = d.others(lambda t: t.is_float and t.rank > 0 and t.ref not in self.inputs)
        if floats and d.chance(0.2):
            outputs[f"h{len(outputs)}"] = {"layer": d.among(floats).ref}
        if not outputs:  # no value has a last axis of a fixed size
            first, last = d.pool[0], {"name": "last", "inputs": d.pool[0].ref}
            if first.is_text:
                self.add({**last, "type": "Hashing", "num_bins": 3, "output_mode": "multi_hot"})
            else:
                self.add({**last, "type": "Reshape", "target_shape": [-1, 1] if first.rank else [1]})
            self.head(d.pool[-1], outputs)
        return outputs

    def head(self, t: Tensor, outputs: Args) -> None:  # noqa: C901 (one draw after the other)
        """A Dense layer with the activation that a loss wants, mostly, and the loss with metrics that go with it."""
        d = self.d
        loss = d.among(LOSSES.primary())
        if loss == "ctc" and (t.rank != 2 or not t.fixed):
            loss = "mean_squared_error"
        grouped = loss in ("circle", "supcon", "triplet_semi_hard")
        if (grouped or loss in ("cox", "arcface")) and t.rank != 1:
            loss, grouped = "huber", False
        if loss == "crf" and (t.rank != 2 or not t.fixed):
            loss = "mean_squared_error"
        if not LOSSES.get(loss).has_output:  # type: ignore[union-attr]
            self.term(t, loss, outputs)
            loss = "log_cosh"
        activation, targets = LOSS_KINDS[loss]
        bare = activation is None and targets == "real" and t.is_float and t.mask is None and d.chance(0.2)
        bare = bare and t.ref not in self.inputs
        ref, name = t.ref, f"h{len(outputs)}"
        units = 2 if loss == "ctc" else 1
        if targets in ("one_hot", "ids", "shares"):
            units = 2
        if not bare:
            ref = f"n{len(self.layers)}"
            own = {
                "one": 3,
                "counts": 2,
                "times": 1,
            }  # a unit for each of three quantiles, for a mean and r, for a risk
            units = own.get(targets) or d.int(units, 4)
            kind = {"type": "ArcFace"} if loss == "arcface" else {"type": "Dense", "activation": activation}
            if not self.add({"name": ref, **kind, "units": units, "inputs": t.ref}):
                return
            if grouped or loss == "crf":
                self.add(
                    {"name": f"{ref}_unit", "type": "CRF" if loss == "crf" else "UnitNormalization", "inputs": ref}
                )
                ref = f"{ref}_unit"
        head: Args = {"layer": ref, "loss": loss}
        if d.chance(0.2):
            head["weight"] = d.number(0.2, 2)
        if d.chance(0.1):
            head["loss"] = {"type": loss, "reduction": "sum"}
        if targets == "ids" and not grouped and units > 1 and d.chance(0.4):
            head["labels"] = [f"class {k}" for k in range(units)]
        metrics = []
        for _ in range(d.int(0, 3)):
            metric = d.among(METRICS.primary())
            arguments = dict(METRIC_ARGS.get(metric, {}))
            if metric.endswith("IoU") and metric != "BinaryIoU":
                arguments["num_classes"] = max(units, 2)
                if "Mean" not in metric:
                    arguments["target_class_ids"] = [0]
                if not metric.startswith("OneHot"):
                    arguments |= {"sparse_y_true": targets == "ids", "sparse_y_pred": False}
            metrics.append({"type": metric, **arguments} if arguments else metric)
        chosen: list[Any] = []
        for metric in metrics:
            trial = {**head, "metrics": [*chosen, metric]}
            if not check(self.document({**outputs, name: trial})).errors:
                chosen.append(metric)
        outputs[name] = {**head, "metrics": chosen} if chosen else head
        if errors := check(self.document(outputs)).errors:
            self.result.refused.append((outputs.pop(name), str(errors[0])))
            return
        self.result.targets[name] = targets
        self.result.used.update([f"loss {loss}", *(f"metric {m if isinstance(m, str) else m['type']}" for m in chosen)])

    def term(self, t: Tensor, loss: str, outputs: Args) -> None:
        """A head without an output, over one to three Dense layers on one value."""
        if not t.fixed:
            return
        nodes, ref = [], t.ref
        for _ in range(LOSSES.get(loss).nodes[0]):  # type: ignore[union-attr]
            if t.rank > 1:
                ref = f"n{len(self.layers)}"
                if not self.add({"name": ref, "type": "Flatten", "inputs": t.ref}):
                    return
            nodes.append(f"n{len(self.layers)}")
            if not self.add({"name": nodes[-1], "type": "Dense", "units": 3, "activation": "tanh", "inputs": ref}):
                return
        name = f"h{len(outputs)}"
        outputs[name] = {"layer": nodes if len(nodes) > 1 else nodes[0], "loss": loss}
        if LOSS_KINDS[loss][1] != "none":
            self.result.targets[name] = LOSS_KINDS[loss][1]
        self.result.used.update([f"loss {loss}"])


def _node(ref: str) -> str:
    return ref.split(":")[0]


def _heads(outputs: Args) -> list[str]:
    """The nodes of all heads."""
    layers = [head["layer"] for head in outputs.values()]
    return [ref for layer in layers for ref in (layer if isinstance(layer, list) else [layer])]
