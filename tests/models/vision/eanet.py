"""Image classification with EANet (external attention transformer)."""

import keras
import numpy as np
from keras import layers, ops


class PatchEmbedding(layers.Layer):
    def __init__(self, num_patch, embed_dim, **kwargs):
        super().__init__(**kwargs)
        self.num_patch = num_patch
        self.proj = layers.Dense(embed_dim, name="embed")
        self.pos_embed = layers.Embedding(input_dim=num_patch, output_dim=embed_dim, name="place")

    def call(self, patch):
        return self.proj(patch) + self.pos_embed(ops.arange(0, self.num_patch, 1))


def external_attention(x, dim, num_heads, dim_coefficient, name):
    num_patch = x.shape[1]
    num_heads = num_heads * dim_coefficient
    x = layers.Dense(dim * dim_coefficient, name=f"{name}:query")(x)
    x = ops.reshape(x, (-1, num_patch, num_heads, dim * dim_coefficient // num_heads))
    x = ops.transpose(x, axes=[0, 2, 1, 3])
    attn = layers.Dense(12 // dim_coefficient, name=f"{name}:keys")(x)
    attn = layers.Softmax(axis=2)(attn)
    attn = layers.Lambda(lambda a: a / (1e-9 + ops.sum(a, axis=-1, keepdims=True)))(attn)
    x = layers.Dense(dim * dim_coefficient // num_heads, name=f"{name}:values")(attn)
    x = ops.transpose(x, axes=[0, 2, 1, 3])
    x = ops.reshape(x, [-1, num_patch, dim * dim_coefficient])
    return layers.Dense(dim, name=f"{name}:joined")(x)


def transformer_encoder(x, name):
    residual_1 = x
    x = layers.LayerNormalization(epsilon=1e-5, name=f"{name}:norm_1")(x)
    x = layers.add([external_attention(x, 8, 2, 4, name), residual_1])
    residual_2 = x
    x = layers.LayerNormalization(epsilon=1e-5, name=f"{name}:norm_2")(x)
    x = layers.Dense(12, activation="gelu", name=f"{name}:wide")(x)
    return layers.add([layers.Dense(8, name=f"{name}:narrow")(x), residual_2])


RENAMED = [("^patch_embedding/", "")]


def build():
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Reshape((4, 48))(ops.image.extract_patches(inputs, 4))
    x = PatchEmbedding(4, 8, name="patch_embedding")(x)
    for k in (1, 2):
        x = transformer_encoder(x, f"external_{k}")
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(5, activation="softmax", name="kind")(x))
    optimizer = keras.optimizers.AdamW(learning_rate=0.001, weight_decay=0.0001)
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
    return model


def rows(rng):
    return {"image": rng.normal(size=(4, 8, 8, 3))}, {"kind": np.eye(5)[rng.integers(0, 5, 4)]}
