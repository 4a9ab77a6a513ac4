"""BERT: masked words with tied embeddings, and the next sentence."""

import keras
from blocks_keras import TransformerBlock
from keras import layers, ops

RENAMED = [("^bias$", "bias/value")]


class Encoder(TransformerBlock):
    def __init__(self, **kwargs):
        super().__init__(8, 2, 12, key_dim=4, **kwargs)
        self.wide.activation = keras.activations.gelu
        self.norm_1.epsilon = self.norm_2.epsilon = 1e-12


class Bert(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.token = layers.ReversibleEmbedding(20, 8, name="token")
        self.place = layers.Embedding(8, 8, name="place")
        self.kind = layers.Embedding(2, 8, name="kind")
        self.norm = layers.LayerNormalization(epsilon=1e-12, name="norm")
        self.encoders = [Encoder(name=f"encoder_{k}") for k in (1, 2)]
        self.transform = layers.Dense(8, activation="gelu", name="transform")
        self.transform_norm = layers.LayerNormalization(epsilon=1e-12, name="transform_norm")
        self.bias = self.add_weight(shape=(20,), initializer="zeros", name="bias")
        self.pooler = layers.Dense(8, activation="tanh", name="pooled")
        self.follows = layers.Dense(2, name="follows")

    def call(self, inputs):
        x = self.token(inputs["words"]) + self.place(ops.arange(8)) + self.kind(inputs["segment"])
        x = self.norm(x)
        for encoder in self.encoders:
            x = encoder(x)
        hidden = self.token(self.transform_norm(self.transform(x)), reverse=True) + self.bias
        return {"hidden": hidden, "follows": self.follows(self.pooler(x[:, 0]))}


def build():
    model = Bert()
    optimizer = keras.optimizers.AdamW(0.001, weight_decay=0.01)
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    losses = {
        "hidden": keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1),
        "follows": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }
    model.compile(optimizer, losses)
    return model


def rows(rng):
    words = rng.integers(0, 20, (4, 8))
    hidden = rng.uniform(size=words.shape) < 0.3
    x = {"words": words.copy(), "segment": (rng.integers(2, 7, (4, 1)) <= range(8)).astype("int64")}
    x["words"][hidden] = 3
    words[~hidden] = -1
    return x, {"hidden": words, "follows": rng.integers(0, 2, 4)}
