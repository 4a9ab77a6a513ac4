"""A document that is open in an editor: its text, the tree of it, and what checking it has found."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.base.errors import Diagnostic, GivenText
from graphspec.editor.loose import parse
from graphspec.editor.nodes import Node, plain
from graphspec.editor.places import Text
from graphspec.engine.compiler.check import Checked, check
from graphspec.language.source import MAX_BYTES

if TYPE_CHECKING:
    from graphspec.engine.compiler.cost import NodeCost
    from graphspec.engine.compiler.lowered import Lowered
    from graphspec.language.declarations import NodeDecl, Spec

_SCHEMA = re.compile(r"^#.*\$schema=.*graphspec", re.M)
"""The comment that names the schema."""


class Analysis:
    """One version of a document. Everything is computed once, when it is first asked for.

    Args:
        text: the text in the editor, which may differ from that of the file.
        name: the path of the file, to whose folder the paths in the spec are relative.
    """

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = Text(text), name
        self._memo: dict[str, Any] = {}

    def memo(self, key: str, compute: Callable[[], Any]) -> Any:
        """Return what ``compute`` returns, computed once."""
        if key not in self._memo:
            self._memo[key] = compute()
        return self._memo[key]

    @property
    def is_json(self) -> bool:
        """Whether keys and texts have quotes: a JSON file."""
        return self.name.lower().endswith(".json")

    @cached_property
    def is_spec(self) -> bool:
        """Whether the document is a spec, not another YAML or JSON file: by a key, a comment or its name."""
        if self.name.lower().endswith((".graphspec.yaml", ".graphspec.yml", ".graphspec.json")):
            return True
        if _SCHEMA.search(self.text.text):
            return True
        keys = {entry.key for entry in self.root.entries}
        return "graphspec" in keys or len(keys & {"inputs", "layers", "outputs"}) > 1

    @cached_property
    def root(self) -> Node:
        """The tree of the text, however broken it is."""
        return parse(self.text) if len(self.text.text) <= MAX_BYTES else Node("empty", 0)

    @cached_property
    def checked(self) -> Checked:
        """What ``graphspec validate`` finds in the text. It reads no data, only files of vocabularies."""
        return check(GivenText(self.name, self.text.text))

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """The diagnostics of the spec."""
        return self.checked.diagnostics

    @cached_property
    def known(self) -> Checked:
        """What is known of the network: of the spec, or of what can be understood of a text that cannot be read."""
        if self.checked.spec is not None:
            return self.checked
        from graphspec.language.parse import parse as parse_spec

        document = plain(self.root)
        spec, _ = parse_spec(document) if isinstance(document, dict) else (None, [])
        return self.checked if spec is None else check(replace(spec, base=Path(self.name).parent))

    @property
    def spec(self) -> Spec | None:
        """The spec with everything that is valid, or None."""
        return self.known.spec

    @property
    def lowered(self) -> Lowered | None:
        """The graph with everything that is valid, or None."""
        return self.known.lowered

    @cached_property
    def nodes(self) -> Mapping[str, list[NodeDecl]]:
        """The concrete nodes by the path of their entry: several for a repeated one, and for one of a block."""
        found: dict[str, list[NodeDecl]] = {}
        for node in () if self.spec is None else self.spec.nodes:
            found.setdefault(node.tree.path, []).append(node)
        return found

    @cached_property
    def costs(self) -> Mapping[str, NodeCost]:
        """Parameters and multiply-adds of one row by node, as far as they are known."""
        from graphspec.engine.compiler.cost import cost

        if self.spec is None or self.lowered is None:
            return {}
        values = [value for outputs in self.lowered.outputs.values() for value in outputs or ()]
        graph = self.lowered.graph.with_outputs({value.name: value for value in values})
        try:
            return cost(self.spec, replace(self.lowered, graph=graph), 1).nodes
        except Exception:  # an axis fits no length, or a part of the network is unknown
            return {}
