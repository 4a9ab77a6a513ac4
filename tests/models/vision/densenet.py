"""DenseNet, as keras.applications builds it."""

import keras
from keras import layers


def grow(x, growth, name):
    y = layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}:norm_1")(x)
    y = layers.Activation("relu")(y)
    y = layers.Conv2D(8, 1, use_bias=False, name=f"{name}:conv_1")(y)
    y = layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}:norm_2")(y)
    y = layers.Activation("relu")(y)
    y = layers.Conv2D(growth, 3, padding="same", use_bias=False, name=f"{name}:conv_2")(y)
    return layers.Concatenate()([x, y])


def build():
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.ZeroPadding2D(1)(inputs)
    x = layers.Conv2D(6, 3, strides=2, use_bias=False, name="stem")(x)
    for k in range(3):
        x = grow(x, 4, f"dense_1_{k + 1}")
    x = layers.BatchNormalization(epsilon=1.001e-5, name="norm")(x)
    x = layers.Activation("relu")(x)
    x = layers.Conv2D(8, 1, use_bias=False, name="transition")(x)
    x = layers.AveragePooling2D(2, strides=2)(x)
    x = grow(x, 4, "dense_2")
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax", name="kind")(x))
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
    return model


def rows(rng):
    return {"image": rng.normal(size=(4, 12, 12, 3))}, {"kind": rng.integers(0, 4, 4)}
