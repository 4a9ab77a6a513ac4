"""Text classification with Switch Transformer."""

import keras
from blocks_keras import EMBEDDINGS, TokenAndPositionEmbedding
from keras import layers, ops

RENAMED = [*EMBEDDINGS, ("^block/", "")]


class Switch(layers.Layer):
    def __init__(self, num_experts, embed_dim, **kwargs):
        super().__init__(**kwargs)
        self.num_experts, self.embed_dim = num_experts, embed_dim
        self.router = layers.Dense(num_experts, name="router")
        self.experts = [
            keras.Sequential(
                [layers.Dense(8, activation="relu", name="wide"), layers.Dense(embed_dim, name="narrow")],
                name=f"expert_{k + 1}",
            )
            for k in range(num_experts)
        ]

    def call(self, inputs):
        x = ops.reshape(inputs, (-1, self.embed_dim))  # tokens
        probabilities = ops.softmax(self.router(x), axis=-1)
        gate, index = ops.top_k(probabilities, k=1)
        mask = ops.one_hot(ops.squeeze(index, -1), self.num_experts, dtype=x.dtype)
        density, density_proxy = ops.mean(mask, axis=0), ops.mean(probabilities, axis=0)
        self.add_loss(0.01 * self.num_experts * ops.sum(density * density_proxy))
        outputs = ops.stack([expert(x) for expert in self.experts], axis=1)
        outputs = ops.sum(outputs * ops.expand_dims(mask * gate, -1), axis=1)
        return ops.reshape(outputs, (-1, *inputs.shape[1:]))


class TransformerBlock(layers.Layer):
    def __init__(self, embed_dim, num_heads, ffn, **kwargs):
        super().__init__(**kwargs)
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim, name="att")
        self.ffn = ffn
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6, name="norm_1")
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6, name="norm_2")

    def call(self, inputs):
        x = self.layernorm1(inputs + self.att(inputs, inputs))
        return self.layernorm2(x + self.ffn(x))


def build():
    inputs = keras.Input(shape=(6,), dtype="int64", name="words")
    x = TokenAndPositionEmbedding(6, 15, 6, name="embed")(inputs)
    x = TransformerBlock(6, 2, Switch(3, 6, name="switch"), name="block")(x)
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dropout(0.0)(x)
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    x = layers.Dropout(0.0)(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="mood")(x))
    model.compile(keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy")
    return model


def rows(rng):
    return {"words": rng.integers(0, 15, (5, 6))}, {"mood": rng.integers(0, 2, 5)}
