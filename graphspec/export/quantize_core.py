"""The core of an exported file, the part that is quantized: the nodes between the first and the last one with weights.

What comes before it (texts, lookups, statistics of raw numbers) and after it (a softmax, the unit of a target, labels)
stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphspec.graph.ir.graph import Array

RECURRENT = ("LSTM", "GRU", "RNN")
CONVOLUTIONS = ("Conv", "ConvTranspose")
_HIDING = -1e8  # masks of attention add or choose values below this one
_PREPARED = "onnx.quant.pre_process", "onnxruntime.quant"  # else onnxruntime advises to prepare the model


class Core:
    """The nodes of a file between the first and the last one with weights.

    Attributes:
        proto: the whole file.
        nodes: the nodes of the core, in order.
        inputs, outputs: the names of the values that enter and leave it.
    """

    def __init__(self, proto: Any) -> None:
        self.proto, graph = proto, proto.graph
        self._initial = {i.name: i for i in graph.initializer}
        after, before = set[str](), set[str]()
        weighted = {k for k, node in enumerate(graph.node) if weights_of(node, self._initial)}
        late, early = set[int](), set[int]()
        for k, node in enumerate(graph.node):
            if k in weighted or after.intersection(node.input):
                late.add(k)
                after.update(node.output)
        for k in reversed(range(len(graph.node))):
            node = graph.node[k]
            if k in weighted or before.intersection(node.output):
                early.add(k)
                before.update(node.input)
        chosen = late & early
        self.nodes = [graph.node[k] for k in sorted(chosen)]
        self._others = [node for k, node in enumerate(graph.node) if k not in chosen]
        made = {name for node in self.nodes for name in node.output}
        self._outside = {name for node in self._others for name in node.input}
        read = dict.fromkeys(name for node in self.nodes for name in node.input if name)
        self.inputs = [name for name in read if name not in made and name not in self._initial]
        leaving = self._outside | {o.name for o in graph.output}
        self.outputs = [name for node in self.nodes for name in node.output if name in leaving]

    def model(self) -> Any:
        """Return the core as a model of its own."""
        from onnx import helper

        infos = {v.name: v for v in self._infos()}
        read = dict.fromkeys(name for node in self.nodes for name in node.input)
        graph = helper.make_graph(
            [],
            "core",
            [infos[name] for name in self.inputs],
            [infos[name] for name in self.outputs],
            value_info=[infos[n] for node in self.nodes for n in node.output if n in infos and n not in self.outputs],
        )
        graph.node.extend(self.nodes)
        for name in read:
            if name in self._initial:
                graph.initializer.append(self._initial[name])
                if name in self._outside:  # the others keep theirs
                    graph.initializer[-1].name = f"{name}/core"
        renamed = {name: f"{name}/core" for name in read if name in self._initial and name in self._outside}
        for node in graph.node:
            for k, name in enumerate(node.input):
                node.input[k] = renamed.get(name, name)
        opset = [o for o in self.proto.opset_import if o.domain == ""]
        model = helper.make_model(graph, opset_imports=opset, ir_version=self.proto.ir_version)
        model.metadata_props.add(key=_PREPARED[0], value=_PREPARED[1])
        return model

    def feeds(self, rows: Mapping[str, Array]) -> dict[str, Array]:
        """Return what the other nodes feed the core for some rows, computed by onnxruntime."""
        given = {v.name for v in self.proto.graph.input}
        found = {name: rows[name] for name in self.inputs if name in given}
        return found | self._values([name for name in self.inputs if name not in given], rows)

    def largest(self, rows: Mapping[str, Array]) -> float:
        """Return the largest absolute value of a float in the core for some rows, weights included.

        NaN does not count, nor do negative values so large that they hide steps from a softmax: smaller ones do it, too.
        """
        from onnx import TensorProto, numpy_helper

        types = {v.name: v.type.tensor_type.elem_type for v in self._infos()}
        wanted = [n for node in self.nodes for n in node.output if types.get(n) == TensorProto.FLOAT]
        arrays = [*self._values(wanted, rows).values()]
        read = {name for node in self.nodes for name in node.input}
        initial = [i for name, i in self._initial.items() if name in read and i.data_type == TensorProto.FLOAT]
        arrays += [numpy_helper.to_array(i) for i in initial]
        return max((float(np.max(np.abs(a), initial=0.0, where=a > _HIDING)) for a in arrays), default=0.0)

    def _infos(self) -> list[Any]:
        """Return the names and types of all values."""
        import onnx

        found = onnx.shape_inference.infer_shapes(self.proto).graph
        return [*found.input, *found.output, *found.value_info]

    def _values(self, wanted: Sequence[str], rows: Mapping[str, Array]) -> dict[str, Array]:
        """Return values of the file by name, computed by onnxruntime for some rows."""
        from onnx import helper

        from graphspec.graph.onnx_session import session

        if not wanted:
            return {}
        types = {v.name: v.type.tensor_type.elem_type for v in self._infos()}
        opened = type(self.proto)()
        opened.CopyFrom(self.proto)
        del opened.graph.output[:]
        opened.graph.output.extend(helper.make_tensor_value_info(name, types[name], None) for name in wanted)
        runner = session(opened.SerializeToString())
        feeds = {i.name: rows[i.name] for i in runner.get_inputs()}
        return dict(zip(wanted, runner.run(list(wanted), feeds), strict=True))

    def replaced_by(self, part: Any) -> Any:
        """Return the whole file with a converted core. It imports the domains that its nodes use, and no others."""
        new = type(self.proto)()
        new.CopyFrom(self.proto)
        nodes = _sorted([*self._others, *part.graph.node], {v.name for v in self.proto.graph.input})
        read = {name for node in nodes for name in node.input}
        kept = [i for i in self.proto.graph.initializer if i.name in self._outside]
        del new.graph.node[:], new.graph.initializer[:], new.graph.value_info[:], new.opset_import[:]
        new.graph.node.extend(nodes)
        new.graph.initializer.extend([*kept, *(i for i in part.graph.initializer if i.name in read)])
        other = {name for node in self._others for name in node.output}
        new.graph.value_info.extend(v for v in self.proto.graph.value_info if v.name in other)
        used = {node.domain for node in nodes} | {""}
        new.opset_import.extend(o for o in self.proto.opset_import if o.domain in used)
        return new


def weights_of(node: Any, initial: Mapping[str, Any]) -> list[str]:
    """Return the names of the trained matrices that a node reads."""
    from onnx import TensorProto

    from graphspec.graph.ops import OPS

    if node.domain or node.op_type not in OPS:
        return []
    names = [node.input[k] for k in OPS[node.op_type].weights_at if k < len(node.input)]
    return [n for n in names if n in initial and initial[n].data_type == TensorProto.FLOAT and len(initial[n].dims) > 1]


def _sorted(nodes: Sequence[Any], known: set[str]) -> list[Any]:
    """Return nodes in an order in which each follows its inputs: depth first, so that it depends on the nodes alone."""
    maker = {name: k for k, node in enumerate(nodes) for name in node.output if name}
    order: list[Any] = []
    done, stack = set[int](), [(k, False) for k in reversed(range(len(nodes)))]
    while stack:
        k, ready = stack.pop()
        if k in done:
            continue
        if ready:
            done.add(k)
            order.append(nodes[k])
            continue
        stack.append((k, True))
        stack += [(maker[n], False) for n in reversed(nodes[k].input) if n in maker and n not in known]
    return order
