"""Image classification with modern MLP models: FNet."""

import keras
from keras import layers, ops


class FNetLayer(layers.Layer):
    def __init__(self, embedding_dim, **kwargs):
        super().__init__(**kwargs)
        self.wide = layers.Dense(embedding_dim * 2, activation="gelu", name="wide")
        self.narrow = layers.Dense(embedding_dim, name="narrow")
        self.normalize1 = layers.LayerNormalization(epsilon=1e-6, name="norm_1")
        self.normalize2 = layers.LayerNormalization(epsilon=1e-6, name="y")

    def call(self, inputs):
        real_part, _ = ops.fft2((inputs, ops.zeros_like(inputs)))
        x = self.normalize1(inputs + real_part)
        return self.normalize2(x + self.narrow(self.wide(x)))


class Place(layers.Layer):
    def __init__(self, length, dim, **kwargs):
        super().__init__(**kwargs)
        self.embeddings = self.add_weight(shape=(length, dim), initializer="uniform", name="embeddings")

    def call(self, x):
        return x + self.embeddings


def build():
    inputs = keras.Input((8, 8, 3), name="image")
    patches = layers.Reshape((4, 48))(ops.image.extract_patches(inputs, 4))
    x = Place(4, 6, name="place")(layers.Dense(6, name="embed")(patches))
    for k in (1, 2):
        x = FNetLayer(6, name=f"fourier_{k}")(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(5, name="kind")(x))
    optimizer = keras.optimizers.AdamW(learning_rate=0.001, weight_decay=0.0001)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def rows(rng):
    return {"image": rng.normal(size=(4, 8, 8, 3))}, {"kind": rng.integers(0, 5, 4)}
