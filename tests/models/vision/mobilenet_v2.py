"""MobileNetV2, as keras.applications builds it."""

import keras
from keras import layers


def normalize(x, name):
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.999, name=name)(x)


def bottleneck(x, wide, filters, strides, name):
    y = layers.Conv2D(wide, 1, padding="same", use_bias=False, name=f"{name}:expand")(x)
    y = layers.ReLU(6.0)(normalize(y, f"{name}:expand_norm"))
    y = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False, name=f"{name}:depthwise")(y)
    y = layers.ReLU(6.0)(normalize(y, f"{name}:depthwise_norm"))
    y = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}:project")(y)
    y = normalize(y, f"{name}:project_norm")
    return layers.Add()([x, y]) if strides == 1 else y


def build():
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.ReLU(6.0)(normalize(x, "stem_norm"))
    x = bottleneck(x, 16, 6, 2, "first")
    x = bottleneck(x, 16, 6, 1, "second")
    x = layers.Conv2D(12, 1, use_bias=False, name="last")(x)
    x = layers.ReLU(6.0)(normalize(x, "last_norm"))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax", name="kind")(x))
    model.compile(keras.optimizers.RMSprop(0.001, momentum=0.9), "sparse_categorical_crossentropy")
    return model


def rows(rng):
    return {"image": rng.normal(size=(4, 12, 12, 3))}, {"kind": rng.integers(0, 4, 4)}
