"""OCR model for reading captchas."""

import keras
from keras import layers


def build():
    image = keras.Input(shape=(16, 8, 1), name="image")
    x = layers.Conv2D(4, (3, 3), activation="relu", kernel_initializer="he_normal", padding="same", name="conv_1")(
        image
    )
    x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Conv2D(6, (3, 3), activation="relu", kernel_initializer="he_normal", padding="same", name="conv_2")(x)
    x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Reshape(target_shape=(4, 12))(x)
    x = layers.Dense(8, activation="relu", name="dense")(x)
    x = layers.Dropout(0.0)(x)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="read_1")(x)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="read_2")(x)
    model = keras.Model(image, layers.Dense(6, name="text")(x))
    model.compile(keras.optimizers.Adam(), keras.losses.CTC())
    return model


def rows(rng):
    return {"image": rng.uniform(size=(3, 16, 8, 1))}, {"text": rng.integers(1, 6, (3, 2))}
