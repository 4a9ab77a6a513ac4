"""Image classification from scratch: cats and dogs."""

import keras
from keras import layers


def build():
    inputs = keras.Input((16, 16, 3), name="image")
    x = layers.Rescaling(1.0 / 255)(inputs)
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="stem")(x)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.Activation("relu")(x)
    previous = x
    for k, size in enumerate([6, 8], 1):
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same", name=f"down_{k}:conv_1")(x)
        x = layers.BatchNormalization(name=f"down_{k}:norm_1")(x)
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same", name=f"down_{k}:conv_2")(x)
        x = layers.BatchNormalization(name=f"down_{k}:norm_2")(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(size, 1, strides=2, padding="same", name=f"down_{k}:residual")(previous)
        x = layers.add([x, residual])
        previous = x
    x = layers.SeparableConv2D(10, 3, padding="same", name="last")(x)
    x = layers.BatchNormalization(name="last_norm")(x)
    x = layers.Activation("relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.0)(x)
    model = keras.Model(inputs, layers.Dense(1, activation=None, name="cat")(x))
    model.compile(optimizer=keras.optimizers.Adam(3e-4), loss=keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def rows(rng):
    return {"image": rng.uniform(0, 255, (4, 16, 16, 3)).round()}, {"cat": rng.integers(0, 2, (4, 1))}
