"""What each code means, with a wrong example, its answer, and the mended example: ``gs1.md`` to ``gs8.md``.

A section of a page is a code. A block has a language, a role and, if it is a file, a name: ``yaml wrong net.yaml``. What
has the role ``both`` belongs to both examples. The blocks ``sh`` are commands; ``text answer`` is the answer to the wrong
example. Text between them says what the blocks do not. Tests run all examples.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from importlib.resources import files
from operator import ne

from graphspec.base.errors import Code, Diagnostic, NodeRef, Severity, Spell, did_you_mean, render
from graphspec.base.text import paragraph, wrapped

GROUPS = {  # the kinds of codes, by their beginning
    "GS1": "the document",
    "GS2": "the graph",
    "GS3": "shapes",
    "GS4": "heads",
    "GS5": "data",
    "GS6": "the run",
    "GS7": "export",
    "GS8": "files of other programs",
}
_SECTION = re.compile(r"^## (GS\d{3})\n(.*?)(?=^## |\Z)", re.M | re.S)
_BLOCK = re.compile(r"^```(\w+) (\w+)(?: (\S+))?\n(.*?)^```\n?", re.M | re.S)
_HEAD = re.compile(r"(?:(\S+?)(?::(\d+):(\d+))?: )?(error|warning)\[(GS\d{3})\]: (.*)")
_NEAR = 3  # codes that an unknown one may mean


@dataclass(frozen=True)
class Block:
    """A file of an example, or its commands (``language: sh``), which have no ``file``; see the top for the roles."""

    language: str
    role: str
    file: str
    text: str


@dataclass(frozen=True)
class Explanation:
    """An explained code: its examples in the order in which they are shown, and a note on what they do not say."""

    code: Code
    note: str
    blocks: tuple[Block, ...]

    def example(self, role: str) -> list[Block]:
        """Return the files, then the commands of the ``wrong`` or of the ``right`` example."""
        chosen = [b for b in self.blocks if b.role in (role, "both")]
        return [b for b in chosen if b.file] + [b for b in chosen if not b.file]

    @property
    def answer(self) -> str:
        """What the commands of the wrong example print about the mistake; empty if there is no wrong example."""
        return next((b.text for b in self.blocks if b.role == "answer"), "")

    def changed_lines(self, block: Block) -> set[int]:
        """Return the indices of the lines of a file that the other example has in another form, or not at all."""
        other = {"wrong": "right", "right": "wrong"}.get(block.role)
        text = next((b.text for b in self.blocks if b.role == other and b.file == block.file), None)
        if text is None:
            return set()
        matcher = SequenceMatcher(None, block.text.splitlines(), text.splitlines(), autojunk=False)
        return {k for tag, start, stop, _, _ in matcher.get_opcodes() if tag != "equal" for k in range(start, stop)}

    def rendered_answer(self, *, colour: bool = False, width: int | None = None, spell: Spell = str) -> str:
        """Return the answer as a terminal shows it; the arguments are those of :func:`graphspec.base.errors.render`."""
        sources = {b.file: b.text for b in self.example("wrong") if b.file}
        answer = _diagnostic(self.answer)
        if answer.file:
            return render([answer], colour=colour, sources=sources, width=width, spell=spell)
        lines = wrapped(self.answer.splitlines()[0], width, indent=4)
        if answer.hint:
            lines += paragraph(answer.hint, width, 10, "  = help: ")
        return "\n".join(lines)


def _diagnostic(text: str) -> Diagnostic:
    """Return the diagnostic whose text an answer is, so that it can be shown at another width."""
    first, *others = text.splitlines()
    head = _HEAD.fullmatch(first)
    assert head is not None, first
    carets = next((line.count("^") for line in others if re.fullmatch(r" *│ *\^+", line)), 1)
    notes = [m[1] for line in others if (m := re.fullmatch(r" *= (.*)", line))]
    hint = next((note.removeprefix("help: ") for note in notes if note.startswith("help: ")), None)
    path = next((note.removeprefix("at ") for note in notes if note.startswith("at ")), "")
    nodes = tuple(_node(note) for note in notes if not note.startswith(("help: ", "at ")))
    line, column = (int(head[k]) if head[k] else None for k in (2, 3))
    severity: Severity = "error" if head[4] == "error" else "warning"
    return Diagnostic(head[5], head[6], head[1] or "", line, column, path, hint, nodes, severity, carets)


def _node(text: str) -> NodeRef:
    """Return the node of a line of an answer: its name, perhaps its shape, and where it comes from."""
    found = re.fullmatch(r"(.*?)(?: {2,}\((.*?)\))? {2,}(?:from (\w+)|input)(?: at line (\d+))?(?:, (.*))?", text)
    assert found is not None, text
    shape = None if found[2] is None else tuple(found[2].split(", "))
    return NodeRef(found[1], found[3], shape, int(found[4]) if found[4] else None, found[5] or "")


def explanation(code: Code) -> Explanation:
    """Return the explanation of a code."""
    page = files("graphspec.base.explanations").joinpath(f"{code[:3].lower()}.md").read_text(encoding="utf-8")
    section = next(found[2] for found in _SECTION.finditer(page) if found[1] == code)
    blocks = tuple(Block(m[1], m[2], m[3] or "", m[4]) for m in _BLOCK.finditer(section))
    return Explanation(code, " ".join(_BLOCK.sub("", section).split()), blocks)


def find(text: str) -> Code | None:
    """Return the code that a user means: ``gs302``, ``GS302`` or ``302``; None if there is none."""
    name = text.strip().upper().strip("[]")
    name = f"GS{name}" if name.isascii() and name.isdigit() else name
    return Code(name) if name in Code._value2member_map_ else None


def near(text: str) -> list[Code]:
    """Return the codes that an unknown one may mean: of one digit's difference, or explained by the word."""
    name = text.strip().upper()
    name = f"GS{name}" if name.isdigit() else name
    if re.fullmatch(r"GS\d+", name):
        close = [code for code in Code if len(name) == len(code) and sum(map(ne, code, name)) == 1]
        close.sort(key=lambda code: (code[:4] != name[:4], code[:3] != name[:3], abs(int(code[2:]) - int(name[2:]))))
        if not close and name[:3] in GROUPS:
            close = [code for code in Code if code.startswith(name[:3])]
        return close[:_NEAR]
    word = re.sub(r"[^A-Z]+", " ", name).strip().lower()
    texts = {code: (code.summary.lower(), code.name.lower().replace("_", " ")) for code in Code}
    told = [code for code, (summary, name) in texts.items() if word and (word in summary or word in name)]
    if not told and (hint := did_you_mean(text.strip(), [code.summary for code in Code], quote="")):
        told = [code for code in Code if code.summary in hint]
    return told[:_NEAR]
