"""The codes of problems: explained, used by name, reported somewhere, and never joined to a subject by guessing."""

from __future__ import annotations

import ast
import json
import pickle
import re
from collections.abc import Iterator

import pytest
from sources import FILES, PACKAGE, trees

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, Problem, RunError, ShapeError
from tools.reference import diagnostics, stored


def files() -> dict[str, ast.Module]:
    """The modules but that of the codes, by their paths."""
    paths = {module: path.relative_to(PACKAGE).as_posix() for module, path in FILES.items()}
    return {paths[module]: tree for module, tree in trees().items() if not paths[module].endswith("codes.py")}


def test_the_page_has_every_code() -> None:
    text = diagnostics(stored("diagnostics.md"))
    assert re.findall(r"^\| (GS\d{3}) \|", text, re.M) == list(Code)


@pytest.mark.parametrize("code", list(Code))
def test_every_code_is_explained(code: Code) -> None:
    assert re.fullmatch(r"GS[1-8]\d\d", code)
    assert re.fullmatch(r"[A-Z][^.]+[^. ]", code.summary)
    for text in (code.explanation, code.remedy):
        assert re.fullmatch(r"[A-Z`].*\.", text)
        assert "  " not in text


def test_a_code_is_equal_to_its_text() -> None:
    code = Code.VALUE_NOT_ALLOWED
    assert code == "GS105" == str(code) == f"{code}"
    assert {"GS105": 1}[code] == 1
    assert json.dumps([code]) == '["GS105"]'
    assert pickle.loads(pickle.dumps(code)) is code
    assert Code("GS105") is code


def test_what_carries_a_code_takes_it_as_text() -> None:
    assert Diagnostic("GS105", "x is wrong").code is Code.VALUE_NOT_ALLOWED
    assert ShapeError("GS301", "is wrong").problem == Problem(Code.WRONG_RANK, "is wrong")
    assert RunError("GS601", "x is wrong").code is Code.NOT_FINITE
    with pytest.raises(ValueError, match="GS999"):
        Diagnostic("GS999", "x is wrong")


def as_text(tree: ast.AST) -> Iterator[ast.Constant]:
    """Codes that are written as text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"GS\d{3}", node.value):
            yield node


@pytest.mark.slow
def test_codes_are_used_by_name() -> None:
    found = [
        f"graphspec/{file}:{node.lineno} has {node.value}: write Code.{Code(node.value).name}"
        for file, tree in files().items()
        for node in as_text(tree)
    ]
    assert not found, "\n".join(found)


def test_a_code_that_is_written_as_text_is_found() -> None:
    found = as_text(ast.parse('"""GS105 is said."""\nraise ShapeError("GS301", f"is {x}")'))
    assert [(node.value, node.lineno) for node in found] == [("GS301", 2)]


def reported(tree: ast.AST) -> Iterator[str]:
    """The codes that are given to something, not only compared with."""
    compared = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Compare) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) not in compared and isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Code":
            yield Code[node.attr]


@pytest.mark.slow
def test_every_code_is_reported_somewhere() -> None:
    found = {code for tree in files().values() for code in reported(tree)}
    assert found == set(Code)


# Messages.

CARRIERS = {
    **dict.fromkeys(
        ("DataError", "Problem", "ShapeError", "need", "need.value", "need.dtype", "need.sizes", "need.shapes"), 1
    ),
    **dict.fromkeys(("invalid", "refuse", "warn", "error", "warning"), 0),
}
"""What takes the message of a problem, and as which of its arguments."""
VERBS = frozenset(
    [
        "cannot",
        "compares",
        "computes",
        "contains",
        "copies",
        "correlates",
        "counts",
        "crops",
        "divides",
        "does",
        "drops",
        "expects",
        "fills",
        "goes",
        "gets",
        "finds",
        "has",
        "holds",
        "is",
        "joins",
        "lacks",
        "leaves",
        "measures",
        "monitors",
        "multiplies",
        "must",
        "names",
        "needs",
        "predicts",
        "reduces",
        "repeats",
        "requests",
        "returns",
        "runs",
        "scatters",
        "sets",
        "shares",
        "sums",
        "supports",
        "takes",
        "treats",
        "uses",
        "would",
        "writes",
    ]
)


def texts(node: ast.expr, function: ast.AST, above: frozenset[str] = frozenset()) -> Iterator[str]:
    """The texts that an expression may be, as far as they are written in the function; ``{}`` for what is put in.

    ``above``: the names that it is assigned to: it may begin with one of them.
    """
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=[first, *_]):
            yield from texts(first, function, above)
        case ast.FormattedValue():
            yield from list(texts(node.value, function, above)) or ["{}"]
        case ast.IfExp():
            yield from texts(node.body, function, above)
            yield from texts(node.orelse, function, above)
        case ast.BinOp():
            yield from texts(node.left, function, above)
        case ast.Call(func=ast.Attribute(value=value, attr="format")):
            yield from texts(value, function, above)
        case ast.Name():
            for target, value in assigned(function):
                if target == node.id and target not in above:
                    yield from texts(value, function, above | {target})


def assigned(function: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """What a function assigns to its names."""
    for node in within(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                yield from ((name.id, value) for name, value in pairs if isinstance(name, ast.Name))


def within(function: ast.AST) -> Iterator[ast.AST]:
    """All that is in a function, but not what is in functions in it."""
    for node in ast.iter_child_nodes(function):
        yield node
        if not isinstance(node, ast.FunctionDef):
            yield from within(node)


def messages(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The messages of all problems, with their lines."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.Module):
            for node in within(function):
                if isinstance(node, ast.Call):
                    whole = ast.unparse(node.func)
                    name = whole if whole.startswith("need.") else whole.rpartition(".")[2]
                    if name == "invalid" and isinstance(node.func, ast.Attribute):
                        continue  # of a file: a sentence, behind its place
                    place = CARRIERS.get(name, len(node.args))
                    if place < len(node.args):
                        yield from ((node.lineno, text) for text in texts(node.args[place], function))


@pytest.mark.slow
def test_messages_are_predicates() -> None:
    """A subject is put in front of each, so it begins with a verb."""
    every = {(file, *found) for file, tree in files().items() for found in messages(tree)}
    wrong = [f"graphspec/{file}:{line}: {text}" for file, line, text in every if text.split(" ")[0] not in VERBS]
    assert not wrong, "\n".join(sorted(wrong))
    assert len(every) > 400


def test_a_message_that_is_not_a_predicate_is_found() -> None:
    code = """
def f(x):
    text, hint = f"axis {x} does not exist", "choose another"
    raise ShapeError("GS301", text, hint=hint)
    need(x, f"{x} is wrong")
    need(x, "is wrong")
"""
    assert {text.split(" ")[0] for _, text in messages(ast.parse(code))} == {"axis", "{}", "is"}
