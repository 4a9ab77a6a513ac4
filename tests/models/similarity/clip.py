"""CLIP: a vision transformer and a causal text transformer with one contrastive loss."""

import math

import keras
from keras import layers, ops

RENAMED = [("^cls$", "cls/token"), ("^log_scale$", "log_scale/value")]


class ResidualAttentionBlock(layers.Layer):
    def __init__(self, causal=False, **kwargs):
        super().__init__(**kwargs)
        self.causal = causal
        self.ln_1 = layers.LayerNormalization(epsilon=1e-5, name="norm_1")
        self.attn = layers.MultiHeadAttention(num_heads=2, key_dim=4, name="att")
        self.ln_2 = layers.LayerNormalization(epsilon=1e-5, name="norm_2")
        self.c_fc = layers.Dense(12, activation="gelu", name="wide")
        self.c_proj = layers.Dense(8, name="narrow")

    def call(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, use_causal_mask=self.causal)
        return x + self.c_proj(self.c_fc(self.ln_2(x)))


class CLIP(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv1 = layers.Conv2D(8, 4, strides=4, use_bias=False, name="patches")
        self.class_embedding = self.add_weight(shape=(1, 1, 8), name="cls")
        self.image_place = layers.Embedding(5, 8, name="patch_place")
        self.ln_pre = layers.LayerNormalization(epsilon=1e-5, name="pre_norm")
        self.visual = ResidualAttentionBlock(name="see")
        self.ln_post = layers.LayerNormalization(epsilon=1e-5, name="image_norm")
        self.image_projection = layers.Dense(6, use_bias=False, name="image_vector")
        self.token_embedding = layers.Embedding(15, 8, name="token")
        self.text_place = layers.Embedding(6, 8, name="word_place")
        self.transformer = ResidualAttentionBlock(causal=True, name="read")
        self.ln_final = layers.LayerNormalization(epsilon=1e-5, name="text_norm")
        self.text_projection = layers.Dense(6, use_bias=False, name="text_vector")
        self.logit_scale = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(math.log(1 / 0.07)), name="log_scale"
        )

    def encode_image(self, image):
        x = ops.reshape(self.conv1(image), (-1, 4, 8))
        cls = ops.broadcast_to(self.class_embedding, (x.shape[0], 1, 8))
        x = ops.concatenate([cls, x], axis=1) + self.image_place(ops.arange(5))
        x = self.visual(self.ln_pre(x))
        return self.image_projection(self.ln_post(x[:, 0]))

    def encode_text(self, text):
        x = self.transformer(self.token_embedding(text) + self.text_place(ops.arange(6)))
        end = ops.one_hot(ops.argmax(text, axis=-1), 6, dtype=x.dtype)
        return self.text_projection(ops.einsum("nt,ntd->nd", end, self.ln_final(x)))

    def call(self, inputs):
        return {"image_vector": self.encode_image(inputs["image"]), "text_vector": self.encode_text(inputs["words"])}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        image, text = (ops.normalize(y_pred[name], axis=-1) for name in ("image_vector", "text_vector"))
        logits = ops.minimum(ops.exp(self.logit_scale), 100.0) * ops.matmul(image, ops.transpose(text))
        labels = ops.arange(logits.shape[0])
        losses = [
            keras.losses.sparse_categorical_crossentropy(labels, values, from_logits=True)
            for values in (logits, ops.transpose(logits))
        ]
        return ops.mean(losses[0] + losses[1]) / 2


def build():
    model = CLIP()
    model.compile(keras.optimizers.AdamW(0.0005, weight_decay=0.2))
    return model


def rows(rng):
    words = rng.integers(1, 14, (5, 6))
    for row, length in zip(words, rng.integers(2, 6, 5), strict=True):
        row[length], row[length + 1 :] = 14, 0
    return {"image": rng.normal(size=(5, 8, 8, 3)), "words": words}, {}
