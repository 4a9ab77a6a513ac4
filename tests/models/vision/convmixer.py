"""Image classification with ConvMixer."""

import keras
from keras import layers


def activated(x, name):
    return layers.BatchNormalization(name=name)(layers.Activation("gelu")(x))


def build():
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Rescaling(scale=1.0 / 255)(inputs)
    x = activated(layers.Conv2D(8, kernel_size=2, strides=2, name="stem")(x), "stem_norm")
    for k in (1, 2):
        x0 = x
        x = layers.DepthwiseConv2D(kernel_size=5, padding="same", name=f"mixer_{k}:depthwise")(x)
        x = layers.Add()([activated(x, f"mixer_{k}:norm_1"), x0])
        x = activated(layers.Conv2D(8, kernel_size=1, name=f"mixer_{k}:pointwise")(x), f"mixer_{k}:norm_2")
    x = layers.GlobalAvgPool2D()(x)
    model = keras.Model(inputs, layers.Dense(5, activation="softmax", name="kind")(x))
    optimizer = keras.optimizers.AdamW(learning_rate=0.001, weight_decay=0.0001)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def rows(rng):
    return {"image": rng.uniform(0, 255, (4, 12, 12, 3)).round()}, {"kind": rng.integers(0, 5, 4)}
