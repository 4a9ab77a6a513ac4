"""Image super-resolution using an efficient sub-pixel CNN."""

import keras
from keras import layers, ops


class DepthToSpace(layers.Layer):
    def __init__(self, block_size, **kwargs):
        super().__init__(**kwargs)
        self.block_size = block_size

    def call(self, inputs):
        batch, height, width, depth = ops.shape(inputs)
        depth = depth // (self.block_size**2)
        x = ops.reshape(inputs, [batch, height, width, self.block_size, self.block_size, depth])
        x = ops.transpose(x, [0, 1, 3, 2, 4, 5])
        return ops.reshape(x, [batch, height * self.block_size, width * self.block_size, depth])


def build(upscale_factor=3, channels=1):
    arguments = {"activation": "relu", "kernel_initializer": "orthogonal", "padding": "same"}
    inputs = keras.Input(shape=(6, 6, channels), name="small")
    x = layers.Conv2D(8, 5, name="conv_1", **arguments)(inputs)
    x = layers.Conv2D(8, 3, name="conv_2", **arguments)(x)
    x = layers.Conv2D(4, 3, name="conv_3", **arguments)(x)
    x = layers.Conv2D(channels * (upscale_factor**2), 3, name="conv_4", **arguments)(x)
    model = keras.Model(inputs, DepthToSpace(upscale_factor)(x))
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.001), loss=keras.losses.MeanSquaredError())
    return model


def rows(rng):
    return {"small": rng.uniform(size=(3, 6, 6, 1))}, {"large": rng.uniform(size=(3, 18, 18, 1))}
