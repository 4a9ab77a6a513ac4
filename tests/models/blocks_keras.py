"""Layers that many of these models have, as people write them in Keras."""

from keras import layers, ops


class TransformerBlock(layers.Layer):
    """Attention and two dense layers, each with a residual and then a normalization."""

    def __init__(self, dim, heads, wide, key_dim=None, causal=False, **kwargs):
        super().__init__(**kwargs)
        self.causal = causal
        self.att = layers.MultiHeadAttention(num_heads=heads, key_dim=key_dim or dim, name="att")
        self.wide = layers.Dense(wide, activation="relu", name="wide")
        self.narrow = layers.Dense(dim, name="narrow")
        self.norm_1 = layers.LayerNormalization(epsilon=1e-6, name="norm_1")
        self.norm_2 = layers.LayerNormalization(epsilon=1e-6, name="norm_2")

    def call(self, inputs, training=None):
        attention = self.att(inputs, inputs, use_causal_mask=self.causal, training=training)
        x = self.norm_1(inputs + attention)
        return self.norm_2(x + self.narrow(self.wide(x)))


class TokenAndPositionEmbedding(layers.Layer):
    """The sum of a vector for each token and one for each position."""

    def __init__(self, maxlen, vocab_size, dim, mask_zero=False, **kwargs):
        super().__init__(**kwargs)
        self.token_emb = layers.Embedding(vocab_size, dim, mask_zero=mask_zero, name="token_emb")
        self.pos_emb = layers.Embedding(maxlen, dim, name="pos_emb")

    def call(self, x):
        return self.token_emb(x) + self.pos_emb(ops.arange(0, ops.shape(x)[-1], 1))

    def compute_mask(self, x, mask=None):
        return self.token_emb.compute_mask(x)


class Masked(layers.Layer):
    """Values with the mask of their words: an attention takes the mask off the values that it reads."""

    def call(self, inputs):
        return inputs[0] + 0.0

    def compute_mask(self, inputs, mask=None):
        return ops.not_equal(inputs[1], 0)


EMBEDDINGS = [("^embed/token_emb/", "token/"), ("^embed/pos_emb/", "place/")]
"""What the spec calls the parts of a TokenAndPositionEmbedding that is called `embed`."""
