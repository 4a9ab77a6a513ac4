"""Bidirectional LSTM on IMDB, with padding masked."""

import keras
from keras import layers


def build():
    inputs = keras.Input(shape=(None,), dtype="int64", name="words")
    x = layers.Embedding(30, 6, mask_zero=True, name="embed")(inputs)
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="read_1")(x)
    x = layers.Bidirectional(layers.LSTM(4), name="read_2")(x)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid", name="good")(x))
    model.compile(optimizer="adam", loss="binary_crossentropy")
    return model


def rows(rng):
    words = rng.integers(1, 30, (4, 7))
    for row, length in enumerate((7, 5, 6, 2)):
        words[row, length:] = 0
    return {"words": words}, {"good": rng.integers(0, 2, (4, 1))}
