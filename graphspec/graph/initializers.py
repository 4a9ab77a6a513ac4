"""Initial values of weights, in Keras's layout and with Keras's formulas."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr, create_model, model_validator

from graphspec.base.arrays.array_files import ArrayFile, beside, converted, find, read_vocabulary, refuse_values
from graphspec.base.arrays.layout import Array as Values
from graphspec.base.arrays.layout import spectral_window
from graphspec.base.config import FROM_LIST, Config, Ints, Positive, Registry, only_base
from graphspec.base.errors import Code, ProblemError, ShapeError, UsageError
from graphspec.base.nested_numbers import Reals, check_given
from graphspec.graph.ir.dims import LearntSize, show
from graphspec.graph.kernels.context import need


class Initializer(Config):
    """Draws the initial value of a weight in Keras's layout."""

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        """Return a float32 array of ``shape``; ``random`` is keyed by the seed and the weight's name."""
        raise NotImplementedError

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise :class:`ShapeError` (GS301) if this initializer is not defined for weights of ``shape``."""

    def located(self, folder: Path | None) -> Self:
        """Return the initializer with the folder of its file; None if the weights exist: the file is not opened then.

        Raises:
            ShapeError: the file cannot be read.
        """
        return self

    def of_words(self, words: Sequence[str] | None) -> Self:
        """Return the initializer for a weight whose rows belong to ``words``; to none yet, or None if to no words."""
        return self

    @property
    def one_shape(self) -> bool:
        """True if the values are an array, which fits weights of one shape."""
        return False


def _need_form(fits: bool, form: str, shape: tuple[int, ...]) -> None:
    text = f"needs {form}, but the weight has shape {show(shape)}"
    need(fits, text, hint="use another initializer here")


INITIALIZERS: Registry[Initializer] = Registry("initializer", "he_normal")
INITIALIZERS.refused |= {"Initializer": only_base("initializers", "use glorot_uniform")}


@INITIALIZERS.add("Zeros", "zeros", "zero")
class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        return np.zeros(shape, np.float32)


@INITIALIZERS.add("Ones", "ones", "one")
class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        return np.ones(shape, np.float32)


@INITIALIZERS.add("Constant", "constant")
class Constant(Initializer):
    """All ``value``; a list is broadcast to the weight, as NumPy does."""

    value: Annotated[Reals, Field(description="The value of every element, or nested lists that broadcast.")] = 0.0

    @property
    def one_shape(self) -> bool:
        return isinstance(self.value, tuple)

    def check(self, shape: tuple[int, ...]) -> None:
        got = np.shape(self.value)
        pairs = zip(reversed(got), reversed(shape), strict=False)
        fits = len(got) <= len(shape) and all(n in (1, d) or isinstance(d, LearntSize) for n, d in pairs)
        text = f"has values of shape {show(got)} for a weight of shape {show(shape)}"
        need(fits, text, code=Code.SIZES_DO_NOT_FIT, hint="give values that broadcast to the weight's shape")

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        return np.full(shape, np.asarray(self.value, np.float32), np.float32)


class OfFile(Initializer):
    """The base of initializers with a file, whose folder they get when the weights are created."""

    _folder: Path | None = PrivateAttr(default=None)

    def located(self, folder: Path | None) -> Self:
        changed = self.model_copy()
        changed._folder = folder
        return changed

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Raise what is wrong with a file as a ShapeError that names it."""
        try:
            yield
        except ProblemError as error:
            text = f"names the file '{name}', which {error.problem.message}"
            raise ShapeError(error.problem.code, text, error.problem.hint) from None

    def _usable(self, shape: tuple[int, ...]) -> None:
        """Raise UsageError if the file, which may have changed since the spec was checked, does not fit the weight."""
        try:
            self.check(shape)
        except ProblemError as error:
            raise UsageError(f"the initializer {type(self).__name__} {error.problem.message}") from None


@INITIALIZERS.add("Array", "array")
class Array(OfFile):
    """The given values, of exactly the weight's shape: pretrained vectors, for example.

    They are nested lists under ``value``, or in a ``file`` beside the spec or below its folder. The file is read when the
    weights are created. A run has its weights, and does not need it.
    """

    value: Annotated[Reals | None, Field(description="The values, in nested lists.")] = None
    file: Annotated[str | None, Field(description="A file .npy, .npz or .safetensors, in place of `value`.")] = None
    key: Annotated[str | None, Field(description="The name of the array in a file that has several.")] = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_given(self.value, self.file, self.key, "file: vectors.npy")
        return self

    @property
    def one_shape(self) -> bool:
        return True

    def check(self, shape: tuple[int, ...]) -> None:
        if self.file is None:
            self._check_shape(np.asarray(self.value).shape, shape)
        elif self._folder is not None:
            with self._reading(self.file):
                array = find(self._folder, self.file, self.key)
                self._check_shape(array.shape, shape)
                refuse_values(array)

    def _check_shape(self, got: tuple[int, ...], shape: tuple[int, ...]) -> None:
        pairs = zip(got, shape, strict=False)
        fits = len(got) == len(shape) and all(n == d or isinstance(d, LearntSize) for n, d in pairs)
        text = f"has shape {show(got)}, but the weight has {show(shape)}"
        need(fits, text, code=Code.SIZES_DO_NOT_FIT, hint="give one value for each element of the weight")

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        if self.file is None:
            return np.asarray(self.value, np.float32)
        self._usable(shape)
        return converted(find(self._folder or Path(), self.file, self.key).read(), "float32")


@INITIALIZERS.add("Vectors")
class Vectors(OfFile):
    """Vectors of words from a file, such as GloVe's, for an Embedding. Not in Keras.

    The word of an id is looked up in ``vocabulary``, then in lower case. Ids whose word is not there, such as that of unseen
    words, get random values of the same size, uniform with the vectors' deviation. Both files are beside the spec or below
    its folder; they are read when the weights are created. A run has its weights, and does not need them.

    Kim, *Convolutional Neural Networks for Sentence Classification*, EMNLP 2014.
    """

    file: Annotated[str, Field(description="A file .npy, .npz or .safetensors: a row for each word.")]
    vocabulary: Annotated[str, Field(description="A text file with the word of each row, one per line.")]
    key: Annotated[str | None, Field(description="The name of the matrix in a file with several.")] = None

    _words: Sequence[str] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_given(None, self.file, self.key, "file: vectors.npy")
        return self

    def of_words(self, words: Sequence[str] | None) -> Self:
        changed = self.model_copy()
        changed._words = words
        return changed

    def check(self, shape: tuple[int, ...]) -> None:
        hint = "use it for an Embedding whose ids come from a TextVectorization or StringLookup"
        need.value(self._words is not None, "needs ids of words", hint=hint)
        if self._folder is not None:
            array, rows = self._matrix()
            text = f"has a matrix of shape {show(array.shape)} in '{self.file}', not (words, {shape[-1]})"
            hint = f"set `output_dim: {array.shape[-1]}`, or name another array with `key`"
            need.sizes(array.shape[1:] == shape[1:], text, hint=hint)
            text = f"finds none of the {sum(map(bool, self._words or ())):,} words in '{self.vocabulary}'"
            need.value(not self._words or bool(rows), text, hint="look whether both have words of the same language")

    def _matrix(self) -> tuple[ArrayFile, dict[int, int]]:
        """Return the matrix, not read, and the row of each id whose word has one."""
        folder = self._folder or Path()
        with self._reading(self.file):
            array = find(folder, self.file, self.key)
            refuse_values(array)
        with self._reading(self.vocabulary):
            path = beside(folder, self.vocabulary)
            stat = path.stat() if path.is_file() else None
            count, rows = _rows_of(path, stat and (stat.st_mtime_ns, stat.st_size))
        text = f"has {count:,} words in '{self.vocabulary}', but a matrix of shape {show(array.shape)} in '{self.file}'"
        hint = "write one word for each row, or name another array with `key`"
        need.sizes(array.shape[:1] == (count,), text, hint=hint)
        found = ((k, rows.get(word, rows.get(word.lower()))) for k, word in enumerate(self._words or ()) if word)
        return array, {k: row for k, row in found if row is not None}

    @property
    def told(self) -> str:
        """How many of the words have a vector; "" before they are known."""
        known = self._words if self._folder is not None else ()
        text = f"of {sum(map(bool, known)):,} words from {self.file}" if known else ""
        return text and f"vectors of {len(self._matrix()[1]):,} {text}"

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        self._usable(shape)
        array, rows = self._matrix()
        rows = {k: row for k, row in rows.items() if k < shape[0]}
        vectors = converted(array.read(), "float32")[list(rows.values())]
        half = math.sqrt(3) * float(vectors.std(dtype=np.float64))  # of the interval of a uniform deviation
        values = random.uniform(-half, half, shape).astype(np.float32)
        values[list(rows)] = vectors
        return values


@lru_cache(maxsize=4)
def _rows_of(path: Path, _: tuple[int, int] | None) -> tuple[int, Mapping[str, int]]:
    """Return the number of words in a file, and the line of each; small letters stand for capitals that no line has."""
    words = read_vocabulary(path)
    small = {word.lower(): row for row, word in reversed(list(enumerate(words)))}
    return len(words), small | {word: row for row, word in enumerate(words)}


@INITIALIZERS.add("Identity", "identity", "IdentityInitializer")
class Identity(Initializer):
    """``gain`` on the diagonal of a matrix, 0 elsewhere. The matrix may have any two sizes."""

    gain: Annotated[float, Field(description="The value on the diagonal.")] = 1.0

    def check(self, shape: tuple[int, ...]) -> None:
        _need_form(len(shape) == 2, "a matrix", shape)

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        return np.float32(self.gain) * np.eye(*shape, dtype=np.float32)


class RandomInitializer(Initializer):
    """Draws in float64 and rounds to float32; with ``seed`` the weight has its own random stream."""

    seed: Annotated[int | None, Field(description="Seed of this weight, independent of the run's seed.")] = None

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        """Return a float64 array of ``shape``."""
        raise NotImplementedError

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        if self.seed is not None:
            random = np.random.Generator(np.random.Philox(self.seed % 2**64))
        return self.draw(shape, random).astype(np.float32)


def truncated(shape: tuple[int, ...], random: np.random.Generator) -> Values:
    """Draw standard normal values; values beyond 2 standard deviations are drawn again."""
    z = random.standard_normal(shape)
    while (outside := np.abs(z) > 2.0).any():
        z[outside] = random.standard_normal(int(outside.sum()))
    return z


@INITIALIZERS.add("RandomNormal", "random_normal", "normal")
class RandomNormal(RandomInitializer):
    """Normal(``mean``, ``stddev``)."""

    mean: Annotated[float, Field(description="Mean.")] = 0.0
    stddev: Annotated[float, Field(ge=0.0, description="Standard deviation.")] = 0.05

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        return random.standard_normal(shape) * self.stddev + self.mean


@INITIALIZERS.add("TruncatedNormal", "truncated_normal")
class TruncatedNormal(RandomNormal):
    """Normal(``mean``, ``stddev``), truncated at two ``stddev`` from the mean: values beyond are drawn again."""

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        return truncated(shape, random) * self.stddev + self.mean


@INITIALIZERS.add("RandomUniform", "random_uniform", "uniform")
class RandomUniform(RandomInitializer):
    """Uniform on [``minval``, ``maxval``)."""

    minval: Annotated[float, Field(description="Lower bound.")] = -0.05
    maxval: Annotated[float, Field(description="Upper bound.")] = 0.05

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        return random.random(shape) * (self.maxval - self.minval) + self.minval


@INITIALIZERS.add("RandomSign", "random_sign")
class RandomSign(RandomInitializer):
    """1 or -1, with equal probability. Wen et al., *BatchEnsemble*, ICLR 2020. Not in Keras."""

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        return random.integers(2, size=shape) * 2.0 - 1.0


def fans(
    shape: tuple[int, ...], input_axes: tuple[int, ...] | None = None, output_axes: tuple[int, ...] | None = None
) -> tuple[int, int]:
    """Return fan-in and fan-out, the numbers of inputs and outputs that a weight connects.

    As in Keras, both include the receptive field of a convolution's kernel ``(…, in, out)``.
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


Mode = Literal["fan_in", "fan_out", "fan_avg"]
Distribution = Literal["truncated_normal", "untruncated_normal", "uniform", "normal"]

_TRUNCATED_STDDEV = 0.87962566103423978  # standard deviation of a standard normal truncated at ±2


class Fans(RandomInitializer):
    """Variance ``scale / n``, where n is the number of inputs, the number of outputs, or their mean."""

    input_axes: Annotated[Ints | None, Field(description="Axes that count as inputs; null for Keras's rule.")] = None
    output_axes: Annotated[Ints | None, Field(description="Axes that count as outputs; null for Keras's rule.")] = None

    rule: ClassVar[tuple[float, Mode, Distribution]]

    def variance_rule(self) -> tuple[float, Mode, Distribution]:
        return self.rule

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        scale, mode, distribution = self.variance_rule()
        fan_in, fan_out = fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
        variance = scale / max(1.0, n)
        if distribution == "uniform":
            return (random.random(shape) * 2 - 1) * math.sqrt(3 * variance)
        if distribution == "untruncated_normal":
            return random.standard_normal(shape) * math.sqrt(variance)
        return truncated(shape, random) * (math.sqrt(variance) / _TRUNCATED_STDDEV)


def oriented(start: Initializer, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Initializer:
    """Return the initializer with the kernel's input and output axes, which it needs for fans, unless it sets them."""
    if isinstance(start, Fans) and (start.input_axes is None or start.output_axes is None):
        return start.model_copy(update={"input_axes": inputs, "output_axes": outputs})
    return start


@INITIALIZERS.add("VarianceScaling", "variance_scaling")
class VarianceScaling(Fans):
    """Variance ``scale / n``, drawn from ``distribution``; ``normal`` is ``truncated_normal``.

    n is the number of inputs, the number of outputs, or their mean. He et al., *Delving deep into rectifiers*, ICCV 2015.
    """

    scale: Annotated[Positive, Field(description="The variance times n.")] = 1.0
    mode: Annotated[Mode, Field(description="n: the number of inputs, of outputs, or their mean.")] = "fan_in"
    distribution: Annotated[Distribution, Field(description="Distribution of the values.")] = "truncated_normal"

    def variance_rule(self) -> tuple[float, Mode, Distribution]:
        return self.scale, self.mode, self.distribution


def _of_fans(name: str, scale: float, mode: Mode, distribution: Distribution, about: str) -> type[Fans]:
    rule = {"rule": (scale, mode, distribution)}
    made = create_model(name, __base__=Fans, __module__=__name__, __doc__=about, __cls_kwargs__=rule)
    INITIALIZERS.add(name, re.sub(r"\B([A-Z])", r"_\1", name).lower())(made)
    return made


_GLOROT = (
    "Glorot and Bengio, *Understanding the difficulty of training deep feedforward neural networks*, AISTATS 2010."
)
_HE = "with variance ``2 / in``. He et al., *Delving deep into rectifiers*, ICCV 2015."
_LECUN = "with variance ``1 / in``. Klambauer et al., *Self-normalizing neural networks*, NeurIPS 2017."
_UNIFORM, _NORMAL = (
    f"{kind} with variance ``2 / (in + out)``.\n\n{_GLOROT}" for kind in ("Uniform", "Truncated normal")
)
GlorotUniform = _of_fans("GlorotUniform", 1.0, "fan_avg", "uniform", _UNIFORM)
GlorotNormal = _of_fans("GlorotNormal", 1.0, "fan_avg", "truncated_normal", _NORMAL)
HeUniform = _of_fans("HeUniform", 2.0, "fan_in", "uniform", f"Uniform {_HE}")
HeNormal = _of_fans("HeNormal", 2.0, "fan_in", "truncated_normal", f"Truncated normal {_HE}")
LecunUniform = _of_fans("LecunUniform", 1.0, "fan_in", "uniform", f"Uniform {_LECUN}")
LecunNormal = _of_fans("LecunNormal", 1.0, "fan_in", "truncated_normal", f"Truncated normal {_LECUN}")


@INITIALIZERS.add("Orthogonal", "orthogonal", "OrthogonalInitializer")
class Orthogonal(RandomInitializer):
    """``gain`` times a matrix with orthonormal columns, or orthonormal rows if there are fewer rows.

    The last axis of the weight is the columns, all others together are the rows. Saxe et al., *Exact solutions to the
    nonlinear dynamics of learning in deep linear neural networks*, ICLR 2014.
    """

    gain: Annotated[float, Field(description="Factor of the orthogonal matrix.")] = 1.0

    def check(self, shape: tuple[int, ...]) -> None:
        _need_form(len(shape) >= 2, "a matrix", shape)

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(random.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))  # makes the distribution uniform over orthogonal matrices
        return np.asarray(self.gain * (q.T if rows < columns else q).reshape(shape))


WINDOW = "The weights of a frame's samples: a name, or a list of them; null for none."
Window = Annotated[
    Literal["hann", "hamming", "blackman", "nuttall", "blackmanharris", "flattop", "boxcar"] | tuple[float, ...] | None,
    FROM_LIST,
    Field(description=WINDOW),
]


@INITIALIZERS.add("STFT", "stft", "STFTInitializer")
class STFT(Initializer):
    """The Fourier transform of a windowed frame, ``cos(-2π t f / F) · window[t]`` (``sin`` for ``side: imag``).

    It is for kernels (T, 1, F // 2 + 1) of convolutions along time, with T samples and frequencies 0 … F // 2.
    """

    side: Annotated[Literal["real", "imag"], Field(description="Whether the part is real or imaginary.")] = "real"
    window: Window = "hann"
    scaling: Annotated[
        Literal["density", "spectrum"] | None,
        Field(description="density: the window's squares have sum 1; spectrum: its elements; null: it stays."),
    ] = "density"
    periodic: Annotated[bool, Field(description="Whether the window continues periodically, or is symmetric.")] = False

    def check(self, shape: tuple[int, ...]) -> None:
        fits = len(shape) == 3 and shape[1] == 1 and shape[2] >= 2
        _need_form(fits, "a kernel (samples, 1, frequencies)", shape)
        if isinstance(self.window, tuple) and len(self.window) != shape[0]:
            text = f"has a window of {len(self.window)} numbers for {shape[0]} samples"
            raise ShapeError(Code.SIZES_DO_NOT_FIT, text, hint=f"give a window of {shape[0]} numbers")
        if self.window is not None and self.scaling and not self._scale(self._curve(shape[0])):
            hint = "use longer frames, `periodic: true` or `scaling: null`"
            raise ShapeError(Code.VALUE_NOT_ALLOWED, f"has a window of zeros for {shape[0]} samples", hint=hint)

    def _curve(self, length: int) -> Values:
        return spectral_window(self.window, length, self.periodic)

    def _scale(self, curve: Values) -> float:
        if self.window is None or self.scaling is None:
            return 1.0
        return float(np.sqrt(np.square(curve).sum()) if self.scaling == "density" else np.abs(curve).sum())

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> Values:
        length, _, frequencies = shape
        angle = -2 * np.pi * np.outer(np.arange(length), np.arange(frequencies)) / (2 * (frequencies - 1))
        curve = self._curve(length)
        wave = (np.cos(angle) if self.side == "real" else np.sin(angle)) * curve[:, None] / self._scale(curve)
        return wave[:, None, :].astype(np.float32)


__all__ = ["INITIALIZERS", "Initializer"]
__all__ += [cls.__name__ for cls in INITIALIZERS]
