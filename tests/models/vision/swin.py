"""Image classification with Swin transformers."""

import keras
import numpy as np
from keras import layers, ops


def window_partition(x, window_size):
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height // window_size, window_size, width // window_size, window_size, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, window_size * window_size, channels))


def window_reverse(windows, window_size, height, width, channels):
    x = ops.reshape(windows, (-1, height // window_size, width // window_size, window_size, window_size, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height, width, channels))


class WindowAttention(layers.Layer):
    def __init__(self, dim, window_size, num_heads, **kwargs):
        super().__init__(**kwargs)
        self.dim, self.num_heads, self.scale = dim, num_heads, (dim // num_heads) ** -0.5
        self.qkv = layers.Dense(dim * 3, name="qkv")
        self.proj = layers.Dense(dim, name="proj")
        self.table = self.add_weight(shape=((2 * window_size - 1) ** 2, num_heads), name="bias_table")
        coords = np.stack(np.meshgrid(np.arange(window_size), np.arange(window_size), indexing="ij")).reshape(2, -1)
        relative = (coords[:, :, None] - coords[:, None, :]).transpose(1, 2, 0) + window_size - 1
        self.index = relative[..., 0] * (2 * window_size - 1) + relative[..., 1]

    def call(self, x, mask=None):
        size, channels = x.shape[1:]
        qkv = ops.reshape(self.qkv(x), (-1, size, 3, self.num_heads, channels // self.num_heads))
        q, k, v = ops.transpose(qkv, (2, 0, 3, 1, 4))
        attn = ops.matmul(q * self.scale, ops.transpose(k, (0, 1, 3, 2)))
        bias = ops.reshape(ops.take(self.table, self.index.reshape(-1), axis=0), (size, size, -1))
        attn = attn + ops.transpose(bias, (2, 0, 1))
        if mask is not None:
            windows = mask.shape[0]
            attn = ops.reshape(attn, (-1, windows, self.num_heads, size, size)) + mask[None, :, None]
            attn = ops.reshape(attn, (-1, self.num_heads, size, size))
        x = ops.matmul(ops.softmax(attn, axis=-1), v)
        return self.proj(ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, size, channels)))


def shift_mask(side, window_size, shift):
    regions = np.zeros((1, side, side, 1))
    parts = (slice(0, -window_size), slice(-window_size, -shift), slice(-shift, None))
    for k, (rows, columns) in enumerate((h, w) for h in parts for w in parts):
        regions[:, rows, columns, :] = k
    windows = ops.convert_to_numpy(window_partition(ops.convert_to_tensor(regions), window_size))[..., 0]
    return np.where(windows[:, None] != windows[:, :, None], -100.0, 0.0)


class SwinBlock(layers.Layer):
    def __init__(self, dim, side, window_size, shift, k, **kwargs):
        super().__init__(**kwargs)
        self.dim, self.side, self.window_size, self.shift = dim, side, window_size, shift
        self.norm1 = layers.LayerNormalization(epsilon=1e-5, name=f"norm_{k}")
        self.attn = WindowAttention(dim, window_size, 2, name=f"attend_{k}")
        self.norm2 = layers.LayerNormalization(epsilon=1e-5, name=f"feed_{k}:norm")
        self.mlp = [layers.Dense(16, "gelu", name=f"feed_{k}:wide"), layers.Dense(dim, name=f"feed_{k}:narrow")]
        self.mask = shift_mask(side, window_size, shift) if shift else None

    def call(self, inputs):
        x = self.norm1(inputs)
        if self.shift:
            x = ops.roll(x, shift=(-self.shift, -self.shift), axis=(1, 2))
        mask = None if self.mask is None else ops.convert_to_tensor(self.mask)
        x = self.attn(window_partition(x, self.window_size), mask=mask)
        x = window_reverse(x, self.window_size, self.side, self.side, self.dim)
        if self.shift:
            x = ops.roll(x, shift=(self.shift, self.shift), axis=(1, 2))
        x = inputs + x
        y = self.norm2(x)
        for layer in self.mlp:
            y = layer(y)
        return x + y


class PatchMerging(layers.Layer):
    def __init__(self, dim, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.LayerNormalization(epsilon=1e-5, name="merge_norm")
        self.reduction = layers.Dense(dim, use_bias=False, name="merged")

    def call(self, x):
        parts = [x[:, row::2, column::2, :] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(ops.concatenate(parts, axis=-1)))


RENAMED = [("^(swin_block_[12]|merging)/", ""), ("bias_table$", "bias/embeddings")]


def build():
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 2, strides=2, name="patches")(inputs)
    x = layers.LayerNormalization(epsilon=1e-5, name="norm")(x)
    x = SwinBlock(8, 4, 2, 0, 1, name="swin_block_1")(x)
    x = SwinBlock(8, 4, 2, 1, 2, name="swin_block_2")(x)
    x = PatchMerging(10, name="merging")(x)
    x = layers.LayerNormalization(epsilon=1e-5, name="last_norm")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(5, activation="softmax", name="kind")(x))
    optimizer = keras.optimizers.AdamW(learning_rate=0.001, weight_decay=0.05)
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
    return model


def rows(rng):
    return {"image": rng.normal(size=(3, 8, 8, 3))}, {"kind": np.eye(5)[rng.integers(0, 5, 3)]}
