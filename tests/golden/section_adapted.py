"""The golden values of layers that learn from rows: those of Keras's ``adapt``, and of scikit-learn's ``fit``.

It needs scikit-learn 1.9.1 beside Keras.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from cases_adapted import KERAS, SCIKIT_LEARN
from keras_models import Section, generator, plain
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, StandardScaler

Array = np.ndarray[Any, Any]


def section() -> Section:
    """Rows, what is learnt from them by argument, and the outputs for the same rows."""
    section = Section("adapted")
    for name, layer, shape in KERAS:
        arguments = {key: tuple(v) if isinstance(v, list) else v for key, v in layer.items() if key != "type"}
        found = keras.layers.Normalization(**arguments)
        X = rows(name, shape)
        found.adapt(X)
        Y = plain(found(X))
        learnt = {"mean": found.adapt_mean, "variance": found.adapt_variance}
        add(section, name, layer, X, {k: plain(v) for k, v in learnt.items()}, [Y])
    for name, layer, shape in SCIKIT_LEARN:
        X = rows(name, shape, missing=layer["type"] == "Impute")
        add(section, name, layer, X, *FITTED[layer["type"]](layer, X))
    return section


def rows(name: str, shape: tuple[int, ...], *, missing: bool = False) -> Array:
    """Numbers on different scales, away from 0; a fifth of them may be missing."""
    random = generator(name)
    X = (random.normal(size=shape) * 3 + np.arange(1, shape[-1] + 1) * 2).astype(np.float32)
    return np.where(random.random(shape) < 0.2, np.float32(np.nan), X) if missing else X


def add(section: Section, name: str, layer: dict[str, Any], X: Array, learnt: dict[str, Array], Y: list[Array]) -> None:
    section.add(name, {"layer": layer}, rows=X, learnt=learnt, outputs={str(k): y for k, y in enumerate(Y)})


def normalized(layer: dict[str, Any], X: Array) -> tuple[dict[str, Array], list[Array]]:
    found = StandardScaler().fit(X.astype(np.float64))
    return {"mean": found.mean_, "variance": found.var_}, [found.transform(X)]


def imputed(layer: dict[str, Any], X: Array) -> tuple[dict[str, Array], list[Array]]:
    strategy, value = layer.get("strategy", "median"), layer.get("fill_value")
    indicator = layer.get("indicator", False)
    found = SimpleImputer(strategy=strategy, fill_value=value, add_indicator=indicator).fit(X.astype(np.float64))
    learnt = {} if strategy == "constant" else {"fill_value": found.statistics_}
    Y = found.transform(X.astype(np.float64))
    return learnt, np.split(Y, 2, axis=1) if indicator else [Y]


def scaled(layer: dict[str, Any], X: Array) -> tuple[dict[str, Array], list[Array]]:
    found = MinMaxScaler().fit(X.astype(np.float64))
    return {"minimum": found.data_min_, "maximum": found.data_max_}, [found.transform(X)]


def binned(layer: dict[str, Any], X: Array) -> tuple[dict[str, Array], list[Array]]:
    found = KBinsDiscretizer(layer["num_bins"], encode="ordinal", strategy="quantile", quantile_method="linear")
    found.fit(X.astype(np.float64))
    return {"bin_boundaries": found.bin_edges_[0][1:-1]}, [found.transform(X)]


FITTED = {"Normalization": normalized, "Impute": imputed, "MinMaxScaling": scaled, "Discretization": binned}
