"""A mixture density network."""

import math

import keras
from keras import layers, ops


class MixtureDensityNetwork(keras.Model):
    def __init__(self, components=3, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(8, activation="tanh", name="hidden")
        self.logits = layers.Dense(components, name="logits")
        self.means = layers.Dense(components, name="means")
        self.deviations = layers.Dense(components, activation="exponential", name="deviations")

    def call(self, inputs):
        x = self.hidden(inputs["x"])
        shares = ops.softmax(self.logits(x), axis=-1)
        return {"shares": shares, "means": self.means(x), "deviations": self.deviations(x)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        shares, mean, deviation = y_pred["shares"], y_pred["means"], y_pred["deviations"]
        exponent = -0.5 * ops.square((x["y"] - mean) / deviation)
        density = shares * ops.exp(exponent) / (deviation * math.sqrt(2 * math.pi))
        return -ops.mean(ops.log(ops.sum(density, axis=-1)))


def build():
    model = MixtureDensityNetwork()
    model.compile(keras.optimizers.Adam(0.01))
    return model


def rows(rng):
    return {"x": rng.normal(size=(6, 1)), "y": rng.normal(size=(6, 1))}, {}
