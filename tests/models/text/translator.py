"""English-to-Spanish translation with a sequence-to-sequence Transformer, masks by `mask_zero`."""

import keras
from blocks_keras import TokenAndPositionEmbedding
from keras import layers

RENAMED = [(f"^{part}/token_emb/", f"{part}/") for part in ("from", "to")]
RENAMED += [(f"^{part}/pos_emb/", f"{part}_place/") for part in ("from", "to")]


class TransformerEncoder(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.attention = layers.MultiHeadAttention(num_heads=2, key_dim=8, name="att")
        self.wide = layers.Dense(10, activation="relu", name="wide")
        self.narrow = layers.Dense(8, name="narrow")
        self.norm_1 = layers.LayerNormalization(name="norm_1")
        self.norm_2 = layers.LayerNormalization(name="y")

    def call(self, inputs):
        x = self.norm_1(inputs + self.attention(query=inputs, value=inputs, key=inputs))
        return self.norm_2(x + self.narrow(self.wide(x)))


class TransformerDecoder(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.attention_1 = layers.MultiHeadAttention(num_heads=2, key_dim=8, name="self")
        self.attention_2 = layers.MultiHeadAttention(num_heads=2, key_dim=8, name="cross")
        self.wide = layers.Dense(10, activation="relu", name="wide")
        self.narrow = layers.Dense(8, name="narrow")
        self.norms = [layers.LayerNormalization(name=f"norm_{k}") for k in (1, 2, 3)]

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else mask[0]

    def call(self, inputs, mask=None):
        inputs, encoded = inputs
        x = self.norms[0](inputs + self.attention_1(query=inputs, value=inputs, key=inputs, use_causal_mask=True))
        y = self.attention_2(query=x, value=encoded, key=encoded, query_mask=mask[0], value_mask=mask[1])
        x = self.norms[1](x + y)
        return self.norms[2](x + self.narrow(self.wide(x)))


def build():
    source = keras.Input((None,), dtype="int64", name="source")
    target = keras.Input((None,), dtype="int64", name="target")
    encoded = TokenAndPositionEmbedding(8, 15, 8, mask_zero=True, name="from")(source)
    encoded = TransformerEncoder(name="encoder")(encoded)
    x = TokenAndPositionEmbedding(8, 14, 8, mask_zero=True, name="to")(target)
    x = TransformerDecoder(name="decoder")([x, encoded])
    x = layers.Dropout(0.0)(x)
    model = keras.Model([source, target], layers.Dense(14, activation="softmax", name="next")(x))
    model.compile(keras.optimizers.Adam(0.001, beta_2=0.98, epsilon=1e-9), "sparse_categorical_crossentropy")
    return model


def rows(rng):
    source, target = rng.integers(1, 15, (3, 6)), rng.integers(1, 14, (3, 7))
    source[1, 4:], target[0, 4:] = 0, 0
    return {"source": source, "target": target[:, :-1]}, {"next": target[:, 1:]}


def seen(x):
    return {"next": x["target"] != 0}
