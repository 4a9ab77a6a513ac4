"""Classification of sounds with the layer MelSpectrogram."""

import keras
from keras import layers


def build():
    sound = keras.Input((640,), name="sound")
    x = layers.MelSpectrogram(
        fft_length=128, sequence_stride=64, sampling_rate=4000, num_mel_bins=10, power_to_db=False, name="mel"
    )(sound)
    x = layers.Reshape((10, 11, 1))(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Conv2D(4, 3, activation="relu", padding="same", name="conv_1")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(6, 3, activation="relu", padding="same", name="conv_2")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(sound, layers.Dense(4, activation="softmax", name="kind")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def rows(rng):
    return {"sound": rng.normal(size=(4, 640))}, {"kind": rng.integers(0, 4, 4)}
