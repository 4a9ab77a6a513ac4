"""A box and a class, with the two losses added."""

import keras
from keras import layers


def build():
    image = keras.Input((12, 12, 3), name="image", dtype="uint8")
    x = layers.Rescaling(1.0 / 127.5, offset=-1.0)(image)
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="conv_1")(x)
    x = layers.SeparableConv2D(8, kernel_size=3, strides=1, activation="relu", name="conv_2")(x)
    x = layers.GlobalAveragePooling2D()(x)
    box = layers.Dense(4, activation="sigmoid", name="box")(x)
    kind = layers.Dense(3, activation="softmax", name="kind")(x)
    model = keras.Model(image, {"box": box, "kind": kind})
    model.compile(
        "adam",
        loss={"box": "mean_squared_error", "kind": "sparse_categorical_crossentropy"},
        loss_weights={"box": 5.0, "kind": 1.0},
    )
    return model


def rows(rng):
    y = {"box": rng.uniform(size=(4, 4)), "kind": rng.integers(0, 3, 4)}
    return {"image": rng.integers(0, 256, (4, 12, 12, 3)).astype("uint8")}, y
