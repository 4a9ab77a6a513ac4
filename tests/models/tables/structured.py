"""Structured data classification from scratch."""

import keras
from keras import layers


def build():
    age, pressure = keras.Input((1,), name="age"), keras.Input((1,), name="pressure")
    sex, thal = (keras.Input((1,), name=name, dtype="int64") for name in ("sex", "thal"))
    features = [
        layers.Normalization(mean=50.0, variance=80.0)(age),
        layers.Normalization(mean=130.0, variance=300.0)(pressure),
        layers.CategoryEncoding(num_tokens=2, output_mode="one_hot")(sex),
        layers.CategoryEncoding(num_tokens=4, output_mode="one_hot")(thal),
    ]
    x = layers.concatenate(features)
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    x = layers.Dropout(0.0)(x)
    model = keras.Model([age, pressure, sex, thal], layers.Dense(1, activation="sigmoid", name="ill")(x))
    model.compile("adam", "binary_crossentropy")
    return model


def rows(rng):
    x = {"age": rng.uniform(30, 70, (5, 1)), "pressure": rng.uniform(100, 160, (5, 1))}
    x |= {"sex": rng.integers(0, 2, (5, 1)), "thal": rng.integers(0, 4, (5, 1))}
    return x, {"ill": rng.integers(0, 2, (5, 1))}
