"""The convnet of MNIST with one-hot targets."""

import keras
import numpy as np
from keras import layers


def build():
    inputs = keras.Input((14, 14, 1), name="image")
    x = layers.Conv2D(4, (3, 3), activation="relu", name="conv_1")(inputs)
    x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Conv2D(8, (3, 3), activation="relu", name="conv_2")(x)
    x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.0)(x)
    model = keras.Model(inputs, layers.Dense(10, activation="softmax", name="digit")(x))
    model.compile(loss="categorical_crossentropy", optimizer="adam")
    return model


def rows(rng):
    return {"image": rng.normal(size=(5, 14, 14, 1))}, {"digit": np.eye(10)[rng.integers(0, 10, 5)]}
