"""Power usage of the next days, an encoder-decoder of many tutorials."""

import keras
from keras import layers

RENAMED = [("hidden/each/", "hidden/"), ("next/last/", "next/")]


def build():
    model = keras.Sequential(
        [
            keras.Input((7, 2), name="past"),
            layers.LSTM(8, activation="relu", name="read"),
            layers.RepeatVector(4),
            layers.LSTM(8, activation="relu", return_sequences=True, name="write"),
            layers.TimeDistributed(layers.Dense(5, activation="relu", name="each"), name="hidden"),
            layers.TimeDistributed(layers.Dense(1, name="last"), name="next"),
        ]
    )
    model.compile(loss="mse", optimizer="adam")
    return model


def rows(rng):
    return {"past": rng.normal(size=(5, 7, 2))}, {"next": rng.normal(size=(5, 4, 1))}
