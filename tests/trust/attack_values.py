"""Values and dtypes given from Python: each arrives as it is, rounded to float32 at most, or is refused.

A network that hands its input on, a loss that is the mean of the targets, a weight that is read back: what arrives is
compared with the numbers that were given, element by element, as Python has them.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

import graphspec as gs
from graphspec.base.errors import GraphspecError, SpecError

Array = np.ndarray[Any, Any]
counts: Counter[str] = Counter()
ROWS, WIDTH = 3, 2
INTS = (
    *(0, 1, 2, 3, 7, -1, -2, 127, 128, 255, 256, -129, 2047, 2048, 2049, 65504, 2**24, 2**24 + 1, 2**31 - 1, 2**31),
    *(-(2**31) - 1, 2**32, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, -(2**63), 2**63 + 1, 2**64 - 1, 2**70),
)
FLOATS = (
    *(0.0, 0.5, 1.0, 1.5, -0.25, 3.0, 0.1, 1e-30, 1e-46, 1e30, 3.4e38, 3.5e38, -1e39, 1e300, math.inf, -math.inf),
    *(math.nan, 2.0**24 + 1, 2.0**53, 2.0**53 + 2, 2.0**62, 2.0**63, -(2.0**63), 1 / 3),
)
DTYPES = (
    *("?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "g", ">i2", ">i4", ">i8", ">u4"),
    *(">f2", ">f4", ">f8", "c8", "c16", "O", "U", "S", "M8[s]", "m8[s]"),
)


def attack(random: random.Random) -> list[str]:
    counts["values"] += 1
    given, numbers, what = _value(random)
    return [f"{what}: {problem}" for problem in random.choice(USES)(random, given, numbers)]


# What is given, and the numbers that it stands for: None where it stands for none.


def _value(r: random.Random) -> tuple[Any, list[Any] | None, str]:
    dtype = r.choice(DTYPES)
    size = ROWS * WIDTH
    wide = dtype.lstrip(">")[0] in "fgcO"
    odd = r.choice([*INTS, *FLOATS] if wide else INTS)
    numbers = [odd if r.random() < 0.3 else r.choice([0, 1, 2]) for _ in range(size)]
    with np.errstate(all="ignore"):
        array = _array(r, dtype, numbers)
    layout = r.choice(["plain", "list", "fortran", "strided", "masked", "unmasked", "memory view", "read only"])
    what = f"{dtype} {numbers}, {layout}"
    if isinstance(array, list):
        return array, _numbers(array), what
    held = _numbers(array.reshape(-1).tolist()) if array.dtype.kind not in "gMm" else _numbers(list(array.reshape(-1)))
    if array.dtype.kind in "MmUSc":
        held = None
    given: Any = array
    if layout == "list" and array.dtype.kind in "biufc":
        given = array.tolist()
    elif layout == "fortran":
        given = np.asfortranarray(array)
    elif layout == "strided":
        given = np.repeat(array, 2, 1)[:, ::2]
    elif layout == "masked":
        mask = np.zeros(array.shape, bool)
        mask[r.randrange(ROWS), r.randrange(WIDTH)] = True
        given, held = np.ma.array(array, mask=mask), None
    elif layout == "unmasked":
        given = np.ma.array(array)
    elif layout == "memory view" and array.dtype.kind in "biuf" and array.dtype.char != "g" and array.dtype.isnative:
        given = memoryview(array)
    elif layout == "read only":
        array.flags.writeable = False
    return given, held, what


def _array(r: random.Random, dtype: str, numbers: list[Any]) -> Any:
    """The numbers as an array of ``dtype``, changed as NumPy changes them: only what the array holds counts."""
    if dtype == "O":
        objects = np.array(numbers, object).reshape(ROWS, WIDTH)
        return r.choice([objects, objects.tolist()])
    kind = np.dtype(dtype).kind
    if kind in "US":
        return np.array([str(n) for n in numbers], dtype).reshape(ROWS, WIDTH)
    if kind in "iu":
        width = 8 * np.dtype(dtype).itemsize
        least, most = (0, 2**width - 1) if kind == "u" else (-(2 ** (width - 1)), 2 ** (width - 1) - 1)
        numbers = [min(max(int(n), least), most) for n in numbers]
    if kind in "Mm":
        numbers = [int(n) % 1000 for n in numbers]
    if kind == "c":
        return (np.array(numbers, np.float64) + r.choice([0, 1j])).astype(dtype).reshape(ROWS, WIDTH)
    return np.array(numbers, np.float64 if kind == "f" else None).astype(dtype).reshape(ROWS, WIDTH)


def _numbers(values: Any) -> list[Any] | None:
    flat = [v for row in values for v in row] if isinstance(values[0], list) else values
    return list(flat) if all(isinstance(v, bool | int | float | np.number) for v in flat) else None


def _float32(value: Any) -> float | None:
    """What float32 makes of a number, rounded once from the number itself; None if it has no finite one for it."""
    value = value.item() if isinstance(value, np.number) and not isinstance(value, np.longdouble) else value
    if isinstance(value, float | np.longdouble) and not np.isfinite(value):
        return None
    with np.errstate(all="ignore"):
        made = float(np.float32(value if isinstance(value, float | np.longdouble) else Fraction(int(value))))
    return made if math.isfinite(made) else None


def _close(got: Any, numbers: list[Any]) -> bool:
    wanted = [_float32(n) for n in numbers]
    if None in wanted:
        return False
    pairs = zip(np.asarray(got, np.float64).reshape(-1), wanted, strict=True)
    return all(abs(g - w) <= abs(w) * 2**-23 for g, w in pairs if w is not None)  # rounded twice, by way of float64


# Where it is given.

_models: dict[Any, gs.Model] = {}


def _model(key: Any, make: Callable[[], dict[str, Any]]) -> gs.Model:
    if key not in _models:
        _models[key] = gs.compile({"graphspec": 1, "name": "values", **make()})
    return _models[key]


def _input(r: random.Random, given: Any, numbers: list[Any] | None) -> list[str]:
    dtype = r.choice(["float32", "int64", "int32", "uint8", "bool"])
    layers = [{"name": "o", "type": "Identity"}]
    shape = {"shape": [WIDTH], "dtype": dtype}
    model = _model(dtype, lambda: {"inputs": {"x": shape}, "layers": layers, "outputs": {"o": {}}})
    how = r.choice(["predict", "run"])
    call = (lambda: model.predict({"x": given})) if how == "predict" else lambda: model.run({"x": given})["o"]
    got, problem = _answer(call)
    counts["taken" if got is not None else "refused"] += 1
    if got is None:
        if problem is None and numbers is not None and _surely_fits(numbers, given, dtype):
            problem = "is refused, although it fits"
        return [f"{how} for {dtype} {problem}"] if problem else []
    return (
        [] if _same(got, numbers, dtype, how) else [f"{how} for {dtype} takes it and gives {np.asarray(got).tolist()}"]
    )


def _surely_fits(numbers: list[Any], given: Any, dtype: str) -> bool:
    """Whether it is plain that it should be taken: small numbers of a plain dtype."""
    if not isinstance(given, np.ndarray) or isinstance(given, np.ma.MaskedArray) or given.dtype.kind not in "iuf":
        return False
    small = all(np.isfinite(float(n)) and float(n) == int(float(n)) and 0 <= float(n) < 128 for n in numbers)
    return small and dtype != "bool"


def _same(got: Any, numbers: list[Any] | None, dtype: str, how: str) -> bool:
    array = np.asarray(got)
    if numbers is None or array.dtype != dtype or array.shape != (ROWS, WIDTH):
        return False
    if dtype == "float32":
        if how == "run" and any(isinstance(n, float | np.floating) and not np.isfinite(n) for n in numbers):
            given = np.array([float(n) for n in numbers]).reshape(array.shape)  # NaN and infinity may pass in float32
            odd = ~np.isfinite(given)
            same = np.array_equal(array[odd], given[odd].astype(np.float32), equal_nan=True)
            return same and _close(np.where(odd, 0, array), np.where(odd, 0, given).reshape(-1).tolist())
        return _close(array, numbers)
    return [int(v) for v in array.reshape(-1)] == [int(n) if n % 1 == 0 else None for n in numbers]


def _answer(call: Callable[[], Any]) -> tuple[Any, str | None]:
    """What a call gives, or what is wrong with how it refuses."""
    try:
        return call(), None
    except SpecError as error:
        wrong = [d.code for d in error.diagnostics if not d.code.startswith("GS5")]
        return None, f"answers {wrong}" if wrong else None
    except GraphspecError:
        return None, None
    except Exception as error:
        return None, f"raises {type(error).__name__}: {error}"


def _target(r: random.Random, given: Any, numbers: list[Any] | None) -> list[str]:
    """The mean absolute error of an answer that is 0 is the mean of what the targets are."""
    layers = [{"name": "o", "type": "Rescaling", "scale": 0.0}]
    head = {"loss": "mean_absolute_error"}
    model = _model("target", lambda: {"inputs": {"x": {"shape": [WIDTH]}}, "layers": layers, "outputs": {"o": head}})
    got, problem = _answer(lambda: model.evaluate(np.zeros((ROWS, WIDTH), np.float32), given)["loss"])
    return _mean("targets", got, problem, numbers, lambda n: abs(n))


def _weight(r: random.Random, given: Any, numbers: list[Any] | None) -> list[str]:
    """Sample weights of errors that are 1."""
    layers = [{"name": "o", "type": "Rescaling", "scale": 0.0}]
    head = {"loss": "mean_absolute_error"}
    model = _model("weight", lambda: {"inputs": {"x": {"shape": [WIDTH, 3]}}, "layers": layers, "outputs": {"o": head}})
    shape = (ROWS, WIDTH, 3)
    call = lambda: model.evaluate(np.zeros(shape, np.float32), np.ones(shape, np.float32), sample_weight=given)["loss"]  # noqa: E731
    got, problem = _answer(call)
    return _mean("sample weights", got, problem, numbers, lambda n: n)


def _mean(
    what: str, got: Any, problem: str | None, numbers: list[Any] | None, function: Callable[[float], float]
) -> list[str]:
    counts["taken" if got is not None else "refused"] += 1
    if got is None:
        return [f"{what}: {problem}"] if problem else []
    wanted = None if numbers is None else [_float32(n) for n in numbers]
    if wanted is None or None in wanted:
        return [f"{what} are taken, with a loss of {got}"]
    values = [function(w) for w in wanted if w is not None]
    mean, size = math.fsum(values) / len(values), max(map(abs, values))
    if not math.isfinite(got):  # sums of float32
        return [] if size > 1e37 else [f"{what} give a loss of {got}"]
    return [] if abs(got - mean) <= 1e-5 * size + 1e-30 else [f"{what} give a loss of {got}, not {mean}"]


def _ids(r: random.Random, given: Any, numbers: list[Any] | None) -> list[str]:
    """Class ids: a probability of its own for each class tells which one was taken."""
    classes, ignored = 4, r.choice([None, -1, 255, 2])
    layers = [{"name": "o", "type": "Activation", "activation": "softmax"}]
    loss: dict[str, Any] = {"type": "sparse_categorical_crossentropy", "ignore_class": ignored}
    inputs = {"x": {"shape": [WIDTH, classes]}}
    model = _model(("ids", ignored), lambda: {"inputs": inputs, "layers": layers, "outputs": {"o": {"loss": loss}}})
    logits = np.tile(np.array([0.0, 1.0, 3.0, 7.0], np.float32), (ROWS, WIDTH, 1))
    got, problem = _answer(lambda: model.evaluate(logits, given)["loss"])
    counts["taken" if got is not None else "refused"] += 1
    if got is None:
        return [f"class ids: {problem}"] if problem else []
    if numbers is None or any(n != n or n not in (*range(classes), ignored) for n in numbers):
        return [f"class ids are taken, with a loss of {got}"]
    losses = [math.log(sum(math.exp(k) for k in (0, 1, 3, 7))) - (0, 1, 3, 7)[int(n)] for n in numbers if n != ignored]
    mean = math.fsum(losses) / len(losses) if losses else 0.0
    return [] if abs(got - mean) < 1e-4 else [f"class ids give a loss of {got}, not {mean}"]


def _set(r: random.Random, given: Any, numbers: list[Any] | None) -> list[str]:
    layers = [{"name": "o", "type": "Dense", "units": WIDTH}]
    model = _model("set", lambda: {"inputs": {"x": {"shape": [ROWS]}}, "layers": layers, "outputs": {"o": {}}})
    before = model.weights["o/kernel"]
    got, problem = _answer(lambda: model.set_weights({"o/kernel": given}) or model.weights["o/kernel"])
    counts["taken" if got is not None else "refused"] += 1
    if got is None:
        kept = np.array_equal(before, model.weights["o/kernel"], equal_nan=True)
        return (
            [f"set_weights: {problem}"]
            if problem
            else []
            if kept
            else ["set_weights refuses, and has changed the weights"]
        )
    same = numbers is not None and _same(got, numbers, "float32", "run")
    return [] if same else [f"set_weights takes it as {got.tolist()}"]


USES = (_input, _input, _input, _target, _weight, _ids, _set)
