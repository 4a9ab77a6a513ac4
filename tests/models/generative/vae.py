"""Variational autoencoder, with the noise as an input."""

import keras
from keras import layers, ops


class VAE(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = [
            layers.Conv2D(4, 3, activation="relu", strides=2, padding="same", name="conv_1"),
            layers.Conv2D(6, 3, activation="relu", strides=2, padding="same", name="conv_2"),
        ]
        self.hidden = layers.Dense(6, activation="relu", name="hidden")
        self.mean, self.log_var = layers.Dense(2, name="mean"), layers.Dense(2, name="log_var")
        self.wide = layers.Dense(24, activation="relu", name="wide")
        self.up = [
            layers.Conv2DTranspose(6, 3, activation="relu", strides=2, padding="same", name="up_1"),
            layers.Conv2DTranspose(4, 3, activation="relu", strides=2, padding="same", name="up_2"),
            layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same", name="copy"),
        ]

    def call(self, inputs):
        x = inputs["image"]
        for layer in self.conv:
            x = layer(x)
        x = self.hidden(ops.reshape(x, (-1, 24)))
        mean, log_var = self.mean(x), self.log_var(x)
        z = mean + ops.exp(0.5 * log_var) * inputs["noise"]
        x = ops.reshape(self.wide(z), (-1, 2, 2, 6))
        for layer in self.up:
            x = layer(x)
        kl = -0.5 * (1 + log_var - ops.square(mean) - ops.exp(log_var))
        self.add_loss(0.5 * ops.mean(kl))
        self.add_loss(ops.mean(keras.losses.binary_crossentropy(inputs["image"], x)))
        return {"copy": x, "code": mean}


def build():
    model = VAE()
    model.compile(optimizer="adam")
    return model


def rows(rng):
    return {"image": rng.uniform(size=(4, 8, 8, 1)), "noise": rng.normal(size=(4, 2))}, {}
