"""Image classification with modern MLP models: gMLP."""

import keras
from keras import layers, ops


class Patches(layers.Layer):
    def __init__(self, patch_size, **kwargs):
        super().__init__(**kwargs)
        self.patch_size = patch_size

    def call(self, x):
        patches = ops.image.extract_patches(x, self.patch_size)
        batch, rows, columns, size = ops.shape(patches)
        return ops.reshape(patches, (batch, rows * columns, size))


class GMLPLayer(layers.Layer):
    def __init__(self, num_patches, embedding_dim, **kwargs):
        super().__init__(**kwargs)
        self.channel_projection1 = layers.Dense(embedding_dim * 2, activation="gelu", name="wide")
        self.channel_projection2 = layers.Dense(embedding_dim, name="narrow")
        self.spatial_projection = layers.Dense(num_patches, bias_initializer="Ones", name="patches")
        self.normalize1 = layers.LayerNormalization(epsilon=1e-6, name="norm")
        self.normalize2 = layers.LayerNormalization(epsilon=1e-6, name="gate_norm")

    def spatial_gating_unit(self, x):
        u, v = ops.split(x, indices_or_sections=2, axis=2)
        v = ops.transpose(self.normalize2(v), (0, 2, 1))
        return u * ops.transpose(self.spatial_projection(v), (0, 2, 1))

    def call(self, inputs):
        x = self.channel_projection1(self.normalize1(inputs))
        return inputs + self.channel_projection2(self.spatial_gating_unit(x))


def build():
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Dense(8, name="embed")(Patches(4)(inputs))
    for k in (1, 2):
        x = GMLPLayer(9, 8, name=f"gated_{k}")(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(5, name="kind")(x))
    optimizer = keras.optimizers.AdamW(learning_rate=0.003, weight_decay=0.0001)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def rows(rng):
    return {"image": rng.normal(size=(4, 12, 12, 3))}, {"kind": rng.integers(0, 5, 4)}
