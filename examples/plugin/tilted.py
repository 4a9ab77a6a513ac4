import numpy as np

from graphspec.extend import LAYERS, LOSSES, METRICS, Average, Builder, Layer, Loss, Value


@LAYERS.add()
class Gate(Layer):
    """``x · σ(factor · x)``, element by element."""

    factor: float = 1.0

    def lower(self, g: Builder, X: Value) -> Value:
        return X * g.Sigmoid(X * self.factor)


@LOSSES.add("tilted", "Tilted")
class Tilted(Loss, fits="numbers"):
    """``error²``, and ``weight`` times as much where the prediction is too low; the mean over the units."""

    weight: float = 3.0

    def lower(self, g: Builder, y_true: Value, y_pred: Value) -> Value:
        low, high = g.Relu(y_true - y_pred), g.Relu(y_pred - y_true)
        return g.ReduceMean(high * high + low * low * self.weight, axes=(-1,), keepdims=0)


@METRICS.add("within", "Within")
class Within(Average):
    """The share of predictions that miss by ``by`` at most."""

    by: float = 1.0

    def values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        return np.abs(y_true - y_pred) <= self.by
