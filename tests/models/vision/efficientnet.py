"""EfficientNet's blocks, as keras.applications builds them, with smoothed labels."""

import keras
import numpy as np
from keras import layers


def mbconv(x, wide, filters, strides, name):
    y = layers.Conv2D(wide, 1, padding="same", use_bias=False, name=f"{name}:expand")(x)
    y = layers.BatchNormalization(name=f"{name}:norm_1")(y)
    y = layers.Activation("swish")(y)
    y = layers.DepthwiseConv2D(5, strides=strides, padding="same", use_bias=False, name=f"{name}:depthwise")(y)
    y = layers.BatchNormalization(name=f"{name}:norm_2")(y)
    y = layers.Activation("swish")(y)
    se = layers.GlobalAveragePooling2D()(y)
    se = layers.Reshape((1, 1, wide))(se)
    se = layers.Conv2D(3, 1, padding="same", activation="swish", name=f"{name}:reduce")(se)
    se = layers.Conv2D(wide, 1, padding="same", activation="sigmoid", name=f"{name}:excite")(se)
    y = layers.multiply([y, se])
    y = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}:project")(y)
    y = layers.BatchNormalization(name=f"{name}:norm_3")(y)
    return layers.add([y, x]) if strides == 1 else y


def build():
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.Activation("swish")(x)
    x = mbconv(x, 12, 6, 2, "first")
    x = mbconv(x, 12, 6, 1, "second")
    x = layers.Conv2D(12, 1, padding="same", use_bias=False, name="top")(x)
    x = layers.BatchNormalization(name="top_norm")(x)
    x = layers.Activation("swish")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax", name="kind")(x))
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
    return model


def rows(rng):
    return {"image": rng.normal(size=(4, 12, 12, 3))}, {"kind": np.eye(4)[rng.integers(0, 4, 4)]}
