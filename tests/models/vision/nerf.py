"""The network of NeRF, on points whose colours are known."""

import keras
from keras import layers, ops


def encode_position(x):
    positions = [x]
    for i in range(2):
        positions += [function(2.0**i * x) for function in (ops.sin, ops.cos)]
    return ops.concatenate(positions, axis=-1)


def build():
    point = keras.Input((3,), name="point")
    place = encode_position(point)
    x = layers.Dense(10, activation="relu", name="hidden_1")(place)
    x = layers.Dense(10, activation="relu", name="hidden_2")(x)
    x = layers.concatenate([x, place])
    x = layers.Dense(10, activation="relu", name="hidden_3")(x)
    rgb = layers.Dense(3, activation="sigmoid", name="rgb")(x)
    density = layers.Dense(1, activation="relu", name="density")(x)
    model = keras.Model(point, {"rgb": rgb, "density": density})
    model.compile("adam", loss={"rgb": "mse", "density": "mse"})
    return model


def rows(rng):
    y = {"rgb": rng.uniform(size=(6, 3)), "density": rng.uniform(size=(6, 1))}
    return {"point": rng.normal(size=(6, 3))}, y
