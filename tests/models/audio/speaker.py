"""Speaker recognition; the spectrum is computed before, as there."""

import keras
from keras import layers


def residual(x, filters, name):
    s = layers.Conv1D(filters, 1, padding="same", name=f"{name}:shortcut")(x)
    x = layers.Conv1D(filters, 3, padding="same", name=f"{name}:conv_1")(x)
    x = layers.Activation("relu")(x)
    x = layers.Conv1D(filters, 3, padding="same", name=f"{name}:conv_2")(x)
    x = layers.Activation("relu")(layers.Add()([x, s]))
    return layers.MaxPool1D(pool_size=2, strides=2)(x)


def build():
    spectrum = keras.Input((24, 1), name="spectrum")
    x = residual(residual(spectrum, 4, "block_1"), 6, "block_2")
    x = layers.AveragePooling1D(pool_size=3, strides=3)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(10, activation="relu", name="hidden_1")(x)
    x = layers.Dense(6, activation="relu", name="hidden_2")(x)
    model = keras.Model(spectrum, layers.Dense(5, activation="softmax", name="speaker")(x))
    model.compile(optimizer="Adam", loss="sparse_categorical_crossentropy")
    return model


def rows(rng):
    return {"spectrum": rng.uniform(size=(5, 24, 1))}, {"speaker": rng.integers(0, 5, 5)}
