"""N-BEATS with generic blocks."""

import keras
from keras import layers


class NBeatsBlock(layers.Layer):
    def __init__(self, past, future, theta, units, depth, **kwargs):
        super().__init__(**kwargs)
        self.hidden = [layers.Dense(units, activation="relu", name=f"hidden_{k + 1}") for k in range(depth)]
        self.theta_layer = layers.Dense(theta, name="theta")
        self.backcast = layers.Dense(past, use_bias=False, name="backcast")
        self.forecast = layers.Dense(future, use_bias=False, name="forecast")

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        theta = self.theta_layer(x)
        return self.backcast(theta), self.forecast(theta)


def build():
    inputs = keras.Input((7,), name="past")
    rest, forecast = inputs, None
    for name in ("first", "second"):
        backcast, part = NBeatsBlock(7, 2, 9, 8, 3, name=name)(rest)
        rest = layers.subtract([rest, backcast])
        forecast = part if forecast is None else layers.add([forecast, part])
    model = keras.Model(inputs, forecast)
    model.compile(loss="mae", optimizer="adam")
    return model


def rows(rng):
    return {"past": rng.normal(size=(5, 7))}, {"next": rng.normal(size=(5, 2))}
