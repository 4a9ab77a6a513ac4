"""Sunspots by a convolution and LSTMs, as in courses about series."""

import keras
from keras import layers


def build():
    model = keras.Sequential(
        [
            keras.Input((12, 2), name="past"),
            layers.Conv1D(6, 3, padding="causal", activation="relu", name="conv"),
            layers.MaxPooling1D(2),
            layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="read"),
            layers.LSTM(4, name="sum_up"),
            layers.Dense(1, name="next"),
        ]
    )
    model.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9), loss="mae")
    return model


def rows(rng):
    return {"past": rng.normal(size=(5, 12, 2))}, {"next": rng.normal(size=(5, 1))}
