"""PixelCNN."""

import keras
import numpy as np
from keras import layers, ops

RENAMED = [(r"((first|pixel_conv)/(kernel|bias))$", r"\1/value")]


class PixelConvLayer(layers.Layer):
    def __init__(self, mask_type, filters, kernel_size, **kwargs):
        super().__init__(**kwargs)
        self.mask_type, self.filters, self.kernel_size = mask_type, filters, kernel_size

    def build(self, input_shape):
        size, middle = self.kernel_size, self.kernel_size // 2
        self.kernel = self.add_weight(shape=(size, size, input_shape[-1], self.filters), name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        self.mask = np.zeros(self.kernel.shape)
        self.mask[:middle] = 1.0
        self.mask[middle, :middle] = 1.0
        if self.mask_type == "B":
            self.mask[middle, middle] = 1.0

    def call(self, inputs):
        return ops.relu(ops.conv(inputs, self.kernel * self.mask, padding="same") + self.bias)


def residual_block(x, name):
    y = layers.Conv2D(3, 1, activation="relu", name=f"{name}:conv_1")(x)
    y = PixelConvLayer("B", 3, 3, name=f"{name}:pixel_conv")(y)
    return layers.add([x, layers.Conv2D(4, 1, activation="relu", name=f"{name}:conv_2")(y)])


class PixelCNN(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(keras.losses.binary_crossentropy(x["image"], y_pred["pixel"]))


def build():
    inputs = keras.Input(shape=(8, 8, 1), name="image")
    x = PixelConvLayer("A", 4, 3, name="first")(inputs)
    x = residual_block(x, "residual_1")
    x = residual_block(x, "residual_2")
    x = layers.Conv2D(4, 1, activation="relu", name="last")(x)
    x = layers.Conv2D(1, 1, activation="sigmoid", name="pixel")(x)
    model = PixelCNN(inputs, {"pixel": x})
    model.compile(keras.optimizers.Adam(0.0005))
    return model


def rows(rng):
    return {"image": (rng.uniform(size=(4, 8, 8, 1)) < 0.3).astype("float64")}, {}
