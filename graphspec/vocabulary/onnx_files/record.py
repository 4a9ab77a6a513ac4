"""What is known of an ONNX file without its content: its hash, and the shapes that it has for the inputs of the spec."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphspec.base.codes import Code
from graphspec.base.errors import ProblemError, ShapeError
from graphspec.graph.ir.graph import Value
from graphspec.vocabulary.onnx_files.part import Part
from graphspec.vocabulary.onnx_files.signature import Signature, Tensor, find, template

_FOUND: dict[tuple[Part, tuple[Tensor, ...]], Signature] = {}
_MOST = 256  # signatures that are kept in memory


@dataclass(frozen=True)
class Known:
    """A part of a file with its signature."""

    part: Part
    signature: Signature


@dataclass
class Record:
    """What a run and an exported file say of a file.

    Attributes:
        signatures: what was found by running it, for each use.
    """

    sha256: str
    nbytes: int
    signatures: list[Signature] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain values."""
        found = sorted((s.to_json() for s in self.signatures), key=str)
        return {"sha256": self.sha256, "bytes": self.nbytes, "signatures": found}

    @classmethod
    def of_json(cls, record: Any) -> Record:
        """Return the record of plain values, which may come from a file; raise ValueError for other values."""
        if not isinstance(record, Mapping) or not isinstance(record.get("signatures"), list):
            raise ValueError("what is known of an ONNX file has 'sha256', 'bytes' and 'signatures'")
        sha256, nbytes = record.get("sha256"), record.get("bytes")
        if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256) or type(nbytes) is not int:
            raise ValueError("what is known of an ONNX file has a hash and a number of bytes")
        return cls(sha256, nbytes, [Signature.of_json(s) for s in record["signatures"]])

    def known(self, values: Sequence[Value], name: str, part: Part | None = None) -> Known:
        """Return the signature for these inputs, and the part; it is found by running it if it is not known.

        Args:
            part: the part of the file; None if its content is not there.

        Raises:
            ShapeError: the part cannot be computed for them, or its content would be needed.
        """
        inputs = template(values)
        found = next((s for s in self.signatures if s.inputs == inputs), None)
        if part is None:
            if found is None:
                text = f"is used with inputs of other shapes than before, and '{name}' is not there"
                raise ShapeError(Code.UNREADABLE_FILE, text, hint="copy the file beside the spec", key="file")
            dtypes = tuple((f"input {k}", t.dtype) for k, t in enumerate(inputs))
            part = Part(name, self.sha256, tuple(f"output {k}" for k in range(len(found.outputs))), dtypes)
        elif found is None or len(found.outputs) != len(part.outputs):
            found = _search(part, inputs, values)
            self.signatures.append(found)
        return Known(part, found)


def _search(part: Part, inputs: tuple[Tensor, ...], values: Sequence[Value]) -> Signature:
    key = part, inputs
    if key not in _FOUND:
        if len(_FOUND) >= _MOST:
            _FOUND.clear()
        try:
            _FOUND[key] = find(part, inputs, [v.data for v in values])
        except ProblemError as error:
            if isinstance(error, ShapeError):
                raise
            problem = error.problem
            raise ShapeError(problem.code, f"takes '{part.file}', which {problem.message}", problem.hint) from None
    return _FOUND[key]
