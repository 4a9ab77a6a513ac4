"""Onnx: an ONNX file of another program as a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import PrivateAttr

from graphspec.base.config import FROM_LIST, setting
from graphspec.base.errors import Code, ProblemError, ShapeError
from graphspec.graph.ir.dims import has_rows, show
from graphspec.graph.kernels.context import need
from graphspec.vocabulary.layers.layer import LAYERS, Layer, Number

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value
    from graphspec.vocabulary.onnx_files.model_file import Declared
    from graphspec.vocabulary.onnx_files.reading import OnnxFile
    from graphspec.vocabulary.onnx_files.signature import Record

_SHOWN = 8  # inputs of a file in a message


@LAYERS.add("Onnx")
class Onnx(Layer):
    """An ONNX file of another program, such as a network that is trained already: some of its values.

    Without ``trainable`` it is frozen: onnxruntime computes it, with any operator that it has, once per row before training,
    and in every step if random layers come before it. No gradient flows through it. With ``trainable`` its nodes become
    operators of the network, and its weights train, from the values that they have in the file.

    The inputs of the node are those of the file, in its order; inputs that the chosen values do not need may be left out.
    Runs hold a copy of the file, exported files its nodes.

    The file is in the folder of the spec or below it, and computes the rows of a batch apart.

    Shapes: those of the file. Several outputs: ``node:0``, ``node:1``, ….
    """

    arity: ClassVar[tuple[int, int | None]] = (1, None)
    takes_strings: ClassVar[bool] = True
    takes_numbers: ClassVar[bool] = True
    takes_absent: ClassVar[bool] = True
    takes_values_as_they_are: ClassVar[bool] = True
    own_keys: ClassVar[tuple[str, ...]] = ("trainable",)

    file: str = setting(..., "The ONNX file, beside the spec or below its folder.")
    output: Annotated[str | tuple[str, ...] | None, FROM_LIST] = setting(
        None, "A value in the file by name, or a list of them; null for the file's outputs."
    )

    trainable: Annotated[bool | tuple[str, ...], FROM_LIST] = setting(
        False, "Train the file's weights: true for all, or a list of names with `*`; false freezes the file."
    )
    batch_statistics: bool = setting(
        False, "Let BatchNormalization use the statistics of the batch in training, and move its own."
    )

    _content: OnnxFile | None = PrivateAttr(default=None)
    _record: Record | None = PrivateAttr(default=None)

    @property
    def record(self) -> Record | None:
        """What is known of the file without its content."""
        return self._record

    @property
    def content(self) -> OnnxFile | None:
        return self._content

    def with_content(self, content: OnnxFile) -> Self:
        """Return the layer with its file; what is known of it stays."""
        from graphspec.vocabulary.onnx_files.signature import Record

        changed = self.model_copy()
        changed._content = content
        changed._record = self._record or Record(content.sha256, len(content.data))
        return changed

    def learnt(self) -> dict[str, Any] | None:
        """Return what is known of the file as plain values of JSON, for :meth:`with_learnt`; None without it."""
        return None if self._record is None else {"onnx": self._record.to_json()}

    def with_learnt(self, state: Mapping[str, Any]) -> Self:
        from graphspec.vocabulary.onnx_files.signature import Record

        if state.keys() != {"onnx"}:
            raise ValueError("an Onnx layer has what is known of its file")
        changed = self.model_copy()
        changed._record = record = Record.of_json(state["onnx"])
        if self._content is not None and self._content.sha256 != record.sha256:
            changed._content = None  # the file has changed since
        return changed

    def number(self, g: Builder, value: Number, index: int, others: Sequence[Value]) -> Value:
        """Return the constant for a number, which has no batch axis: ``1`` is int64 and ``1.0`` is float32."""
        return g.constant(value)

    def lower(self, g: Builder, *inputs: Value | None) -> Value | tuple[Value, ...]:
        from graphspec.vocabulary.onnx_files.part import Part

        file, record = self._content, self._record
        if record is None:
            raise ShapeError(Code.UNREADABLE_FILE, f"needs the file '{self.file}'", key="file")
        fed = [v for v in inputs if v is not None]
        has_batch = any(has_rows(v.shape) for v in fed)
        need(has_batch, "needs an input with a batch axis", hint="feed it from an input of the spec")
        if self.trainable is not False:
            return self._unfrozen(g, inputs)
        part = None
        if file is not None:
            names, pairs = self._fed(file, inputs)
            part = Part(file.name, file.sha256, names, tuple((port.name, v.dtype) for port, v in pairs), file)
        part, signature = record.known(fed, self.file, part)
        outputs: tuple[Value, ...] = g.OnnxFile(*fed, part=part, signature=signature)
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def mixes_rows(self) -> bool:
        return self.batch_statistics and self.trainable is not False

    def _unfrozen(self, g: Builder, inputs: Sequence[Value | None]) -> Value | tuple[Value, ...]:
        """Return the chosen values, computed by operators of the graph."""
        from graphspec.vocabulary.onnx_files.unfreeze import model_for_training, unfreeze

        file = self._content
        if file is None:
            text = f"needs the file '{self.file}', whose weights it trains"
            raise ShapeError(Code.UNREADABLE_FILE, text, hint="copy the file beside the spec", key="file")
        names, pairs = self._fed(file, inputs)
        fed = {port.name: value for port, value in pairs}
        patterns = None if isinstance(self.trainable, bool) else self.trainable
        model, statistics = model_for_training(file), self.batch_statistics
        outputs = unfreeze(g, model, fed, names, patterns, batch_statistics=statistics).outputs
        return outputs[0] if len(outputs) == 1 else outputs

    def _fed(
        self, file: OnnxFile, inputs: Sequence[Value | None]
    ) -> tuple[tuple[str, ...], list[tuple[Declared, Value]]]:
        """Return the names of the chosen values, and the inputs of the file that are fed; a wrong number is GS203."""
        from graphspec.vocabulary.onnx_files.part import needed_inputs

        try:
            names = file.chosen(self.output)
        except ProblemError as error:
            problem = error.problem
            text = f"takes a value of '{self.file}', which {problem.message}"
            raise ShapeError(problem.code, text, problem.hint, key=problem.key) from None
        needed = needed_inputs(file, names)
        ports = needed if len(inputs) == len(needed) and None not in inputs else file.inputs
        pairs = [(port, value) for port, value in zip(ports, inputs, strict=False) if value is not None]
        fed = [port for port, _ in pairs]
        if len(inputs) > len(file.inputs) or any(port not in fed for port in needed):
            listed = ", ".join(map(str, needed[:_SHOWN])) + (", …" if len(needed) > _SHOWN else "")
            values = ", ".join(f"'{name}'" for name in names[:_SHOWN])
            text = f"has {len(inputs)} inputs, but the file needs {len(needed)} for {values}"
            raise ShapeError(Code.WRONG_INPUT_COUNT, text, hint=f"list them in this order: {listed}", key="inputs")
        for port, value in pairs:
            _check(port, value)
        return names, pairs


def _check(port: Declared, value: Value) -> None:
    """Raise ShapeError unless a value fits an input of a file, as far as the file declares it."""
    from graphspec.vocabulary.onnx_files.part import FEEDS

    def check(condition: bool, code: Code, more: str, hint: str) -> None:
        need(condition, f"takes {show(value.shape)} for {port}{more}", code=code, hint=hint, key="inputs")

    hint = f"set the `dtype` of the input to {port.dtype}" if port.dtype in FEEDS else "choose another output"
    fits = port.dtype in FEEDS.get(value.dtype, ())
    need(fits, f"takes {value.type} for {port}", code=Code.WRONG_DTYPE, hint=hint, key="inputs")
    if (sizes := port.shape) is None:
        return
    axes = f", which has {len(sizes)} axes"
    check(len(sizes) == value.rank, Code.WRONG_RANK, axes, "add or join axes with Reshape")
    for want, d in zip(sizes, value.shape, strict=True):
        if isinstance(want, int) and isinstance(d, int):
            check(want == d, Code.SHAPES_DIFFER, "", _turned(port, value))
        elif isinstance(want, int):
            fixed = f", whose size {want} is fixed"
            check(has_rows((d,)), Code.SIZE_NOT_FIXED, fixed, f"give '{d}' the size {want} in the spec")


def _turned(port: Declared, value: Value) -> str:
    """Return what to do about other sizes: pictures often have their channels elsewhere."""
    sizes = port.shape or ()
    if value.rank == 4 and sizes[1] == value.shape[3]:
        return "the file has channels first: put `{type: Permute, dims: [3, 1, 2]}` before it"
    if value.rank == 4 and sizes[3] == value.shape[1]:
        return "the file has channels last: put `{type: Permute, dims: [2, 3, 1]}` before it"
    return "give the inputs of the spec the sizes of the file"
