"""Checks of the arguments of Python calls, made before any work starts. A UsageError names the wrong argument."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pydantic import BaseModel, ValidationError

from graphspec.base.deprecation import name_today
from graphspec.base.errors import Problem, UsageError, did_you_mean
from graphspec.base.text import count

# Calls of the vocabulary's classes from Python: wrong arguments get a sentence.
if TYPE_CHECKING:  # type checkers know the arguments of a call from the fields
    from pydantic._internal._model_construction import ModelMetaclass

    Called = ModelMetaclass
else:

    class Called(type(BaseModel)):
        """Lets a call from Python, such as ``EarlyStopping(patience="3")``, raise a UsageError with a sentence.

        Specs do not call the classes: they are validated, and the language explains what is wrong.
        """

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            required = [f.alias or name for name, f in cls.model_fields.items() if f.is_required()]
            if len(args) > len(required):
                example = f"{first}=…" if (first := next(iter(cls.model_fields), "")) else ""
                raise UsageError(f"give the arguments of {cls.__name__} by name, such as `{cls.__name__}({example})`")
            for name in cls.old_keys.keys() & kwargs.keys():
                if (today := name_today(cls.__name__, name, cls.old_keys)) in kwargs:
                    raise UsageError(f"`{today}` of {cls.__name__} is given twice, once as `{name}`")
                kwargs[today] = kwargs.pop(name)
            by_place = dict(zip(required, args, strict=False))
            if twice := next((name for name in by_place if name in kwargs), None):
                raise UsageError(f"`{twice}` of {cls.__name__} is given twice")
            try:
                return super().__call__(**by_place, **kwargs)
            except ValidationError as error:
                raise _wrong_call(cls, error) from None


def _wrong_call(cls: Any, error: ValidationError) -> UsageError:
    texts_of: dict[str, str] = {}
    for wrong in error.errors(include_url=False):
        loc = wrong["loc"]
        name = str(loc[0]) if loc else ""
        problem: Problem | None = wrong.get("ctx", {}).get("problem")
        if wrong["type"] == "extra_forbidden":
            fields = [field.alias or key for key, field in cls.model_fields.items()]
            hint = cls.elsewhere.get(name) or did_you_mean(name, fields) or f"they are {', '.join(fields)}"
            text = f"{cls.__name__} has no argument '{name}'; {hint}"
        elif wrong["type"] == "missing" and len(loc) == 1:
            text = f"{cls.__name__} needs `{name}`"
        else:
            name = name or (problem and problem.key) or ""
            what = wrong["msg"].replace("Input should", "must").replace("a valid integer", "an integer")
            value = f", not {wrong['input']!a}" if isinstance(wrong["input"], str | int | float) and name else ""
            text = (f"`{name}` of " if name else "") + f"{cls.__name__} {what.replace('valid ', '')}{value}"
            text += f"; {problem.hint}" if problem is not None and problem.hint is not None else ""
        texts_of.setdefault(name, text)
    return UsageError("; ".join(texts_of.values()))


T = TypeVar("T", bound=str)
P = ParamSpec("P")
R = TypeVar("R")
_MAX_QUOTED = 40  # characters of a value that a message quotes


def bad_argument(name: str, expected: str, value: object) -> UsageError:
    """Return the error for an argument that cannot be used. It quotes short values and names the type of others."""
    is_scalar = value is None or isinstance(value, str | float) or (isinstance(value, int) and value.bit_length() < 100)
    quoted = ascii(value) if is_scalar and len(str(value)) < _MAX_QUOTED else f"a value of type {type(value).__name__}"
    return UsageError(f"`{name}` must be {expected}, got {quoted}")


def positive_int(name: str, value: Any, default: int) -> int:
    """Return ``value`` as a positive integer, or ``default`` for None."""
    if value is None:
        return default
    if type(value) is int and value > 0:  # every prediction asks
        return value
    try:
        number = None if isinstance(value, bool) else int(value.__index__())
    except (AttributeError, TypeError):  # no integer, or an array with several elements
        number = None
    if number is None:
        raise bad_argument(name, "a positive integer", value)
    if number < 1:
        raise bad_argument(name, "at least 1", number)
    return number


def is_share(value: Any) -> bool:
    """Return whether ``value`` is a number from 0 to below 1."""
    number: Any = value if isinstance(value, Real) and not isinstance(value, bool) else -1
    return bool(0 <= number < 1)


def flag(name: str, value: Any, default: bool) -> bool:
    """Return ``value`` as a bool, or ``default`` for None."""
    if value is None:
        return default
    if type(value).__name__ not in ("bool", "bool_"):  # NumPy's bool_ is not a `bool`
        raise bad_argument(name, "true or false", value)
    return bool(value)


def literal(name: str, value: Any, word: T, expected: str) -> T:
    """Return ``word``, the only text that is accepted. The type is checked first: arrays compare element by element."""
    if not isinstance(value, str) or value != word:
        raise bad_argument(name, expected, value)
    return word


def path_of(name: str, value: Any) -> Path:
    """Return ``value`` as a path that system calls accept."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise bad_argument(name, "a path", value)
    text = os.fspath(value)
    try:
        if text and b"\0" not in os.fsencode(text):
            return Path(text)
    except UnicodeEncodeError:
        pass
    raise bad_argument(name, "a path that the file system can have", text)


def weights_file(value: Any) -> Path:
    """Return the safetensors file that a path names: itself, or ``weights.safetensors`` in the folder that it is."""
    path = path_of("path", value)
    if not path.suffix or path.is_dir():
        return path / "weights.safetensors"
    if path.suffix != ".safetensors":
        raise UsageError(f"{path}: weights are a safetensors file; write `{path.with_suffix('.safetensors').name}`")
    return path


def rows(name: str, value: Any) -> Any:
    """Return ``value``, the data of a call, unless it is of a kind that is surely no array, column or data frame."""
    if type(value) is dict or type(value).__name__ == "ndarray":  # the other tests take longer than a small network
        return value
    expected = "arrays or a data frame"
    if isinstance(value, str | bytes | os.PathLike):
        hint = "write a list for one text, `[text]`; read a file first, or name it in the spec (`data.train.file`)"
    elif type(value).__name__ == "LazyFrame":
        hint = f"pass `{name}.collect()`"
    elif isinstance(value, Mapping | Sequence) or hasattr(value, "__array__") or hasattr(value, "columns"):
        return value
    elif hasattr(value, "toarray"):
        expected, hint = "dense arrays or a data frame", f"pass `{name}.toarray()`"
    elif hasattr(value, "__next__"):
        hint = "collect the rows first, such as `numpy.stack(list(rows))`; all rows are in memory or in a data file"
    elif isinstance(value, Set) or (hasattr(value, "__iter__") and not hasattr(value, "__getitem__")):
        hint = "collect its batches first, such as `numpy.concatenate([x for x, y in batches])`"
    else:
        return value
    raise UsageError(f"{bad_argument(name, expected, value)}; {hint}")


def both(call: str, x: Any, y: Any, heads: Collection[str]) -> None:
    """Raise UsageError if ``x`` or ``y`` is no data, or one of them is missing. ``heads`` are the heads with targets."""
    rows("x", x)
    rows("y", y)
    if x is None and y is not None:
        raise UsageError(f"`{call}` got `y` without `x`: pass both, or neither for the data of the spec")
    if x is not None and y is None and heads:
        names = ", ".join(f"'{head}'" for head in heads)
        raise UsageError(f"`{call}` got `x` without `y`: pass the targets of head {names}, such as `{call}(x, y)`")


def mapping(name: str, value: Any, expected: str) -> Mapping[str, Any]:
    """Return ``value``, a mapping with text keys."""
    if not isinstance(value, Mapping):
        raise bad_argument(name, expected, value)
    if wrong := [key for key in value if not isinstance(key, str)]:
        raise bad_argument(name, f"{expected}, by names", wrong[0])
    return value


def folders(value: Any) -> list[Path]:
    """Return ``allow``, a list or tuple of folders, as paths."""
    if not isinstance(value, list | tuple):
        raise bad_argument("allow", "a list of folders", value)
    return [path_of("allow", item) for item in value]


def texts(name: str, value: Any, expected: str) -> list[str]:
    """Return ``value``, a list or tuple of texts, as a list. A single text is refused."""
    if not isinstance(value, list | tuple):
        raise bad_argument(name, expected, value)
    if wrong := [item for item in value if not isinstance(item, str)]:
        raise bad_argument(name, expected, wrong[0])
    return list(value)


def advising(advice: Mapping[str, str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that answers unknown keywords of a call with a sentence, and too many or too few arguments too.

    For keywords that Keras has, ``advice`` says what to do instead.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = list(inspect.signature(function).parameters.values())
        known = [p.name for p in parameters if p.name != "self"]
        positional = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if not kwargs and len(args) <= positional:
                return function(*args, **kwargs)
            for name in kwargs:
                if name not in known:
                    said = advice.get(name) or did_you_mean(name, known, quote="`")
                    text = said or f"its arguments are {', '.join(f'`{k}`' for k in known)}"
                    raise UsageError(f"`{function.__name__}` has no argument `{name}`: {text}")
            if len(args) > positional:
                named = ", ".join(f"`{p.name}=`" for p in parameters if p.kind is p.KEYWORD_ONLY)
                most = count(positional - (parameters[0].name == "self"), "argument")
                others = f"; name the others: {named}" if named else ""
                raise UsageError(f"`{function.__name__}` takes {most} without a name{others}")
            return function(*args, **kwargs)

        return call

    return decorate
