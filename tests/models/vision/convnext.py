"""ConvNeXt, as keras.applications builds it."""

import keras
from keras import layers

RENAMED = [("gamma/gamma$", "gamma/value")]


class LayerScale(layers.Layer):
    def build(self, shape):
        initializer = keras.initializers.Constant(1e-6)
        self.gamma = self.add_weight(shape=(shape[-1],), initializer=initializer, name="gamma", trainable=True)

    def call(self, x):
        return x * self.gamma


def build():
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(6, kernel_size=4, strides=4, name="stem")(image)
    x = layers.LayerNormalization(epsilon=1e-6, name="stem_norm")(x)
    for k in (1, 2):
        name = f"block_{k}"
        y = layers.DepthwiseConv2D(7, padding="same", name=f"{name}:depthwise")(x)
        y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}:norm")(y)
        y = layers.Dense(16, activation="gelu", name=f"{name}:wide")(y)
        y = layers.Dense(6, name=f"{name}:narrow")(y)
        x = x + LayerScale(name=f"{name}:gamma")(y)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    model = keras.Model(image, layers.Dense(4, activation="softmax", name="kind")(x))
    model.compile(keras.optimizers.AdamW(0.004, weight_decay=0.05), "sparse_categorical_crossentropy")
    return model


def rows(rng):
    return {"image": rng.normal(size=(4, 12, 12, 3))}, {"kind": rng.integers(0, 4, 4)}
