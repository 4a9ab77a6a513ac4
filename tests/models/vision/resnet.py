"""ResNet for small pictures."""

import keras
from keras import layers


def residual(x, filters, strides, name):
    y = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False, name=f"{name}:conv_1")(x)
    y = layers.BatchNormalization(name=f"{name}:norm_1")(y)
    y = layers.ReLU()(y)
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}:conv_2")(y)
    y = layers.BatchNormalization(name=f"{name}:norm_2")(y)
    if strides > 1:
        x = layers.Conv2D(filters, 1, strides=strides, use_bias=False, name=f"{name}:shortcut")(x)
        x = layers.BatchNormalization(name=f"{name}:norm_3")(x)
    return layers.ReLU()(y + x)


def build():
    inputs = keras.Input((12, 12, 3), name="image")
    decay = keras.regularizers.L2(1e-4)
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, kernel_regularizer=decay, name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="stem_norm")(x))
    x = residual(x, 4, 1, "stage_1_1")
    x = residual(x, 4, 1, "stage_1_2")
    x = residual(x, 8, 2, "stage_2")
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(5, activation="softmax", name="kind")(x))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "sparse_categorical_crossentropy")
    return model


def rows(rng):
    return {"image": rng.normal(size=(4, 12, 12, 3))}, {"kind": rng.integers(0, 5, 4)}
