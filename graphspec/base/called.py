"""Calls of the vocabulary's classes from Python: wrong arguments get a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from graphspec.base.errors import Problem, UsageError, did_you_mean

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
                first = next(iter(cls.model_fields), None)
                example = f"`{cls.__name__}({first}=…)`" if first is not None else f"`{cls.__name__}()`"
                raise UsageError(f"give the arguments of {cls.__name__} by name, such as {example}")
            if twice := next((name for name, _ in zip(required, args, strict=False) if name in kwargs), None):
                raise UsageError(f"`{twice}` of {cls.__name__} is given twice")
            try:
                return super().__call__(**dict(zip(required, args, strict=False)), **kwargs)
            except ValidationError as error:
                raise _wrong_call(cls, error) from None


def _wrong_call(cls: Any, error: ValidationError) -> UsageError:
    """Return the error of a call with wrong arguments: all of them."""
    found: dict[str, str] = {}
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
            name = name or (problem.key if problem is not None and problem.key is not None else "")
            what = (
                wrong["msg"]
                .replace("Input should", "must")
                .replace("a valid integer", "an integer")
                .replace("valid ", "")
            )
            value = f", not {wrong['input']!a}" if isinstance(wrong["input"], str | int | float) and name else ""
            text = f"`{name}` of {cls.__name__} {what}{value}" if name else f"{cls.__name__} {what}"
            if problem is not None and problem.hint is not None:
                text += f"; {problem.hint}"
        found.setdefault(name, text)
    return UsageError("; ".join(found.values()))
