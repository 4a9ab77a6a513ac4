"""Multiclass semantic segmentation using DeepLabV3+."""

import keras
from keras import layers


def conv(x, name, filters=4, kernel=3, dilation=1):
    x = layers.Conv2D(
        filters,
        kernel_size=kernel,
        dilation_rate=dilation,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.HeNormal(),
        name=f"{name}:conv",
    )(x)
    return layers.Activation("relu")(layers.BatchNormalization(name=f"{name}:norm")(x))


def pyramid(deep):
    x = layers.AveragePooling2D(pool_size=(2, 2))(deep)
    x = conv(x, "pooled", kernel=1)
    pool = layers.UpSampling2D(size=(2, 2), interpolation="bilinear")(x)
    out_1 = conv(deep, "out_1", kernel=1)
    out_6 = conv(deep, "out_6", dilation=2)
    out_12 = conv(deep, "out_12", dilation=3)
    return conv(layers.Concatenate()([pool, out_1, out_6, out_12]), "pyramid", kernel=1)


def build():
    inputs = keras.Input((16, 16, 3), name="image")
    low = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="low")(inputs)
    deep = layers.Conv2D(8, 3, strides=4, padding="same", activation="relu", name="deep")(low)
    high = layers.UpSampling2D(size=(4, 4), interpolation="bilinear")(pyramid(deep))
    x = layers.Concatenate()([high, conv(low, "thin", filters=3, kernel=1)])
    x = conv(conv(x, "refine_1"), "refine_2")
    x = layers.UpSampling2D(size=(2, 2), interpolation="bilinear")(x)
    model = keras.Model(inputs, layers.Conv2D(4, kernel_size=(1, 1), padding="same", name="mask")(x))
    model.compile(keras.optimizers.Adam(0.001), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def rows(rng):
    return {"image": rng.normal(size=(3, 16, 16, 3))}, {"mask": rng.integers(0, 4, (3, 16, 16))}
