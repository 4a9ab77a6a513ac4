"""Formulas: text with names, numbers, operators and calls as a list of terms; no code is ever run.

The grammar is Python's for ``or and not``, one comparison, ``+ - * / // % @ **``, calls and parts such as ``x[:, 0]``::

    terms = parse("-log(p) * (1 - p)**2").terms  # each after its arguments; the last one is the whole

Formulas of nodes become operations (:mod:`graphspec.vocabulary.layers.formula`), those in ``${…}`` numbers.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple, NoReturn

MAX_LENGTH = 4000  # characters of a formula
MAX_TERMS = 500  # numbers, names, operators and calls
MAX_DEPTH = 40  # brackets, signs and powers inside each other
_LARGEST = {int: 2**63 - 1, float: 3.4028234663852886e38}

_TOKEN = re.compile(
    r"""(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?) | (?P<name>[^\W\d²³](?:[^\W²³]|\.)*(?::\d+)?) | `(?P<quoted>[^`]*)`
    | (?P<text>'[^']*'|"[^"]*") | (?P<sign>\*\*|//|==|!=|<>|<=|>=|&&|\|\||[-+*/%@<>()\[\],=^&|!~?:×÷·−≤≥≠²³])""",
    re.VERBOSE,
)
_EQUALS = re.compile(r"\s*=(?!=)")
_MEANT = {"^": "**", "&&": "and", "&": "and", "||": "or", "|": "or", "!": "not", "~": "not", "=": "==", "<>": "!="}
_MEANT |= {"×": "*", "·": "*", "÷": "/", "−": "-", "≤": "<=", "≥": ">=", "≠": "!=", "²": "** 2", "³": "** 3"}
_COMPARISON, _NOT, _SIGN = 4, 3, 7
_LEVELS = {"or": 1, "and": 2, "+": 5, "-": 5, "*": 6, "/": 6, "//": 6, "%": 6, "@": 6, "**": 8, "(": 6}
_LEVELS |= dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), _COMPARISON)
_PREFIXES = {"-": "negative", "not": "not"}
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_CODE = ("if", "else", "for", "in", "lambda", "is", "import", "while")
_SPLIT = "make two nodes of it"


@dataclass(eq=False, slots=True)
class Term:
    """A number, a list of numbers, a name, a part of a tensor, or the call of an operator or a function."""

    kind: Literal["number", "name", "part", "call"]
    value: Any  # the number or list; the name; the key in brackets; the operator's sign or the function's name
    start: int
    end: int
    args: tuple[Term, ...] = ()
    options: dict[str, tuple[Any, int, int]] = field(default_factory=dict)  # of arguments the value, and the place
    at: int | None = None  # where an operator's sign stands, or what stands in brackets

    @property
    def place(self) -> tuple[int, int]:
        """Return the place of the sign or the name."""
        at = self.start if self.at is None else self.at
        return at, at + len(self.value) if self.kind == "call" else self.end


class Wrong(NamedTuple):
    """What is wrong with a part of a formula: a predicate of the formula, and how to fix it."""

    start: int
    end: int
    message: str
    hint: str | None


class Parsed(NamedTuple):
    """A formula: its terms, each after its arguments, and what is wrong with it."""

    terms: Sequence[Term]
    wrong: Sequence[Wrong]

    def names(self) -> dict[str, Term]:
        found: dict[str, Term] = {}
        for term in self.terms:
            if term.kind == "name":
                found.setdefault(term.value, term)
        return found


@lru_cache(maxsize=1024)
def parse(text: str) -> Parsed:
    """Return the terms of a formula, or what is wrong with it."""
    parser = _Parser(text)
    with suppress(ValueError):  # what follows depends on what is wrong
        parser.whole()
    return Parsed([] if parser.wrong else parser.terms, parser.wrong)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0
        self.terms: list[Term] = []
        self.wrong: list[Wrong] = []
        self.kind, self.token, self.sign = "", "", ""  # of the token at hand; its sign if it is an operator or bracket
        self.start = self.end = self.before = 0  # its place, and the end of the one before

    def whole(self) -> None:
        if len(self.text) > MAX_LENGTH:
            self._stop(0, 1, f"has {len(self.text):,} characters, at most {MAX_LENGTH:,}", _SPLIT)
        self._next()
        if not self.kind:
            self._stop(0, 1, "is empty", "for example `(a - b)**2`")
        self._expression(0)
        if self.kind:
            hint = "remove it, or open the bracket before" if self.sign in (")", "]") else "write one formula"
            self._stop(self.start, self.end, f"has `{self.token}`, which nothing needs", hint)

    def _report(self, start: int, end: int, message: str, hint: str | None = None) -> None:
        self.wrong.append(Wrong(start, max(end, start + 1), message, hint))

    def _stop(self, start: int, end: int, message: str, hint: str | None = None) -> NoReturn:
        self._report(start, end, message, hint)
        raise ValueError(message)

    def _next(self) -> None:
        """Read a token. What other languages write for an operator is reported, and read as what it means."""
        self.before, self.kind, self.token, self.sign = self.end, "", "", ""
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        self.start = self.end = self.at
        if self.at == len(self.text):
            return
        if (match := _TOKEN.match(self.text, self.at)) is None:
            hint = "names with other characters than letters, digits, `_` and `.` stand in backticks"
            self._stop(self.at, self.at + 1, f"has the character '{self.text[self.at]}' where it cannot stand", hint)
        self.kind = str(match.lastgroup)
        self.at = self.end = match.end()
        self.token = match[self.kind]
        if self.kind == "name" and self.token in _CODE:
            hint = "write `where(condition, a, b)`" if self.token in ("if", "else") else "a formula contains no code"
            self._stop(self.start, self.end, f"has the word `{self.token}`", hint)
        if self.kind == "sign" or (self.kind == "name" and self.token in ("and", "or", "not")):
            self.kind, self.sign = "sign", _MEANT.get(self.token, self.token)
            if self.sign != self.token:
                hint = f"write `{self.sign}`"
                self._report(self.start, self.end, f"has `{self.token}`, which is no operator here", hint)

    def _term(self, term: Term) -> Term:
        if len(self.terms) >= MAX_TERMS:
            self._stop(term.start, term.end, f"has more than {MAX_TERMS} terms", _SPLIT)
        self.terms.append(term)
        return term

    def _expression(self, least: int) -> Term:
        """Read operands with operators of the ``least`` level and above."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._stop(self.start, self.end, f"is nested deeper than {MAX_DEPTH} levels", _SPLIT)
        left, compared = self._operand(), False
        while self.kind:
            missing = self.kind != "sign" or self.sign == "("
            sign, _, power = ("*", "", "") if missing else self.sign.partition(" ")
            level = _LEVELS.get(sign, -1)
            if level < least:
                break
            at = self.start
            if missing:
                text = f"has no operator between `{self.text[left.start : left.end]}` and `{self.token}`"
                self._report(at, self.end, text, "write `*` between")
            else:
                if level == _COMPARISON and compared:
                    text, hint = "compares three values at once", "join two comparisons: `a < b and b < c`"
                    self._report(at, self.end, text, hint)
                self._next()
            compared = compared or level == _COMPARISON
            if power:
                right = self._term(Term("number", int(power), self.before - 1, self.before))
            else:
                right = self._expression(_SIGN if sign == "**" else level + 1)
            left = self._called(sign, left.start, right.end, (left, right), at)
        self.depth -= 1
        return left

    def _called(self, sign: str, start: int, end: int, args: tuple[Term, ...], at: int) -> Term:
        """Return the term of an operator: of numbers alone, their result."""
        if all(arg.kind == "number" and not isinstance(arg.value, list) for arg in args):
            try:
                value = calculate(sign, *(arg.value for arg in args))
            except ValueError as error:
                self._stop(start, end, str(error))
            del self.terms[-len(args) :]  # they are the last ones
            return self._term(Term("number", value, start, end))
        return self._term(Term("call", sign, start, end, args, at=at))

    def _operand(self) -> Term:
        start, sign = self.start, self.sign
        if sign in ("-", "+", "not"):
            self._next()
            term = self._expression(_NOT if sign == "not" else _SIGN)
            return term if sign == "+" else self._called(_PREFIXES[sign], start, term.end, (term,), start)
        term = self._atom()
        while self.sign == "[" and term.kind != "number":  # a part: `x[:, 0]`
            end = self.text.find("]", self.at) + 1
            if not end:
                self._stop(self.start, self.end, "opens `[` but does not close it", "for example `x[:, 0]`")
            term = self._term(Term("part", self.text[self.start : end], start, end, (term,)))
            self.at = self.end = end
            self._next()
        return term

    def _atom(self) -> Term:
        start, end, token, kind = self.start, self.end, self.token, self.kind
        if kind == "number":
            return self._term(Term("number", self._number(), start, end))
        if kind in ("name", "quoted"):
            self._next()
            is_call = kind == "name" and self.sign == "("
            return self._call(token, start) if is_call else self._term(Term("name", token, start, end))
        if self.sign == "(":
            self._next()
            term = self._expression(0)
            self._close(")", start)
            if term.kind != "name":
                term.at, term.start, term.end = term.place[0], start, self.before
            return term
        if self.sign == "[":
            return self._term(Term("number", self._list(), start, self.before))
        what = f"has `{token}` where a value is expected" if kind else "ends where a value is expected"
        hint = "a value is a name, a number, a call, or a formula in brackets"
        self._stop(start if kind else max(self.before - 1, 0), end, what, hint)

    def _close(self, bracket: str, opened: int) -> None:
        if self.sign != bracket:
            what = f"has `{self.token}` where `{bracket}` is expected" if self.kind else "does not close this bracket"
            self._stop(*((self.start, self.end) if self.kind else (opened, opened + 1)), what, f"write `{bracket}`")
        self._next()

    def _number(self) -> int | float:
        negative = self.sign == "-"
        if negative:
            self._next()
        if self.kind != "number":
            what = f"has `{self.token}` where a number is expected" if self.kind else "ends where a number is expected"
            hint = "a list holds numbers: `[1, 2]`; several nodes are inputs: `stack(a, b, axis=-1)`"
            self._stop(self.start, self.end, what, hint)
        token = self.token
        value = int(token) if token.isdecimal() else float(token)
        if abs(value) > _LARGEST[type(value)]:
            self._stop(self.start, self.end, f"has the number {token[:40]}, which is too large", "scale it")
        self._next()
        return -value if negative else value

    def _list(self) -> list[int | float]:
        opened, values = self.start, list[int | float]()
        self._next()
        while self.sign != "]":
            values.append(self._number())
            if self.sign != ",":
                break
            self._next()
        self._close("]", opened)
        return values

    def _call(self, name: str, start: int) -> Term:
        opened, args, options = self.start, list[Term](), dict[str, tuple[Any, int, int]]()
        self._next()
        while self.sign != ")":
            word, at = self.token, (self.start, self.end)
            if self.kind == "name" and (equals := _EQUALS.match(self.text, self.end)):
                self.at = equals.end()
                self._next()
                if word in options:
                    self._report(*at, f"sets `{word}` twice", "remove one of them")
                options[word] = self._option(), at[0], self.before
            elif options:
                self._stop(*at, f"has an input after the argument `{next(iter(options))}`", "inputs come first")
            else:
                args.append(self._expression(0))
            if self.sign != ",":
                break
            self._next()
        self._close(")", opened)
        return self._term(Term("call", name, start, self.before, tuple(args), options))

    def _option(self) -> Any:
        """Return the value of an argument: a number, a list of numbers, a word or a text."""
        if self.sign == "[":
            return self._list()
        if self.kind not in ("name", "text"):
            return self._number()
        value = self.token[1:-1] if self.kind == "text" else _WORDS.get(self.token, self.token)
        self._next()
        return value


# Formulas of numbers.
_FUNCTIONS = ("min", "max", "abs", "round", "floor", "ceil", "sqrt", "where")


def evaluate(text: str, values: Mapping[str, Any]) -> tuple[Any, Sequence[Wrong]]:
    """Return the number that a formula is, for values of its names, or what is wrong with it."""
    parsed, found = parse(text), dict[Term, Any]()
    for term in parsed.terms:
        value = values[term.value] if term.kind == "name" else term.value
        args = [found[arg] for arg in term.args]
        try:
            if term.kind in ("part", "name", "number") and not isinstance(value, int | float):
                raise ValueError(f"needs numbers, and `{text[term.start : term.end]}` is none")
            found[term] = calculate(value, *args, **term.options) if term.kind == "call" else value
            if value == "/" and not isinstance(found[term], int) and all(isinstance(arg, int) for arg in args):
                raise ValueError(f"divides {args[0]} by {args[1]}, which leaves a rest: `//` rounds down")
        except ValueError as error:
            return None, [Wrong(*term.place, str(error), f"it may have numbers, variables, {', '.join(_FUNCTIONS)}")]
    return found[parsed.terms[-1]] if parsed.terms else None, parsed.wrong


def _exact(a: float, b: float) -> float:
    return a // b if isinstance(a, int) and isinstance(b, int) and b and a % b == 0 else a / b


def _power(a: float, b: float) -> Any:
    if isinstance(a, int) and isinstance(b, int) and b >= 0 and abs(a) > 1 and b * abs(a).bit_length() > 2000:
        raise OverflowError
    return a**b


_NUMBERS: dict[str, Callable[..., Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": _exact, "//": operator.floordiv, "%": operator.mod,
    "**": _power, "negative": operator.neg, "not": operator.not_, "==": operator.eq, "!=": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "and": lambda a, b: a and b,
    "or": lambda a, b: a or b, "where": lambda c, a, b: a if c else b, "min": min, "max": max, "abs": abs,
    "round": round, "floor": math.floor, "ceil": math.ceil, "sqrt": math.sqrt,
}  # fmt: skip


def calculate(sign: str, *values: Any, **options: Any) -> Any:
    """Return the result of an operator or a function of numbers; ValueError with a predicate if there is none."""
    try:
        result = _NUMBERS[sign](*values, **options)
    except KeyError:
        raise ValueError(f"has `{sign}`, which no numbers have") from None
    except ZeroDivisionError:
        raise ValueError("divides by 0") from None
    except OverflowError:
        result = math.inf
    except (TypeError, ValueError):
        raise ValueError(f"has `{sign}` of numbers that it does not take") from None
    if not isinstance(result, int | float) or not abs(result) <= _LARGEST[float if isinstance(result, float) else int]:
        raise ValueError("has a number that is too large, or is none")
    return result
