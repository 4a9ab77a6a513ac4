"""Text classification from scratch."""

import keras
from keras import layers


def build():
    inputs = keras.Input(shape=(None,), dtype="int64", name="words")
    x = layers.Embedding(30, 8, name="embed")(inputs)
    x = layers.Dropout(0.0)(x)
    x = layers.Conv1D(8, 7, padding="valid", activation="relu", strides=3, name="conv_1")(x)
    x = layers.Conv1D(8, 7, padding="valid", activation="relu", strides=3, name="conv_2")(x)
    x = layers.GlobalMaxPooling1D()(x)
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    x = layers.Dropout(0.0)(x)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid", name="good")(x))
    model.compile(loss="binary_crossentropy", optimizer="adam")
    return model


def rows(rng):
    return {"words": rng.integers(0, 30, (4, 40))}, {"good": rng.integers(0, 2, (4, 1))}
