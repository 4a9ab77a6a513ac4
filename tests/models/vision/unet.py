"""Image segmentation with a U-Net."""

import keras
from keras import layers


def double(x, filters, name):
    for k in (1, 2):
        convolution = layers.Conv2D(
            filters, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=f"{name}:conv_{k}"
        )
        x = convolution(x)
    return x


def build():
    inputs = keras.Input((16, 16, 3), name="image")
    f1 = double(inputs, 4, "down_1")
    p1 = layers.Dropout(0.0)(layers.MaxPool2D(2)(f1))
    f2 = double(p1, 6, "down_2")
    p2 = layers.Dropout(0.0)(layers.MaxPool2D(2)(f2))
    x = double(p2, 8, "bottom")
    for skip, filters, k in ((f2, 6, 2), (f1, 4, 1)):
        x = layers.Conv2DTranspose(filters, 3, 2, padding="same", name=f"up_{k}")(x)
        x = layers.Dropout(0.0)(layers.concatenate([x, skip]))
        x = double(x, filters, f"wide_{k}")
    outputs = layers.Conv2D(3, 1, padding="same", activation="softmax", name="mask")(x)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


def rows(rng):
    return {"image": rng.normal(size=(2, 16, 16, 3))}, {"mask": rng.integers(0, 3, (2, 16, 16))}
