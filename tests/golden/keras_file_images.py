"""Small networks for pictures, as examples of Keras write them. Each function returns a compiled model, rows and targets."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

Example = tuple[Any, Any, Any]
Random = np.random.Generator


def mnist_convnet(rng: Random) -> Example:
    model = keras.Sequential(
        [
            keras.Input(shape=(12, 12, 1)),
            layers.Conv2D(4, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(6, kernel_size=(3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.0),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model, rng.normal(size=(4, 12, 12, 1)), np.eye(10)[rng.integers(0, 10, 4)]


def vit(rng: Random) -> Example:
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 4, strides=4, padding="valid", name="patches")(inputs)
    x = layers.Reshape((9, 8))(x)
    places = ops.cumsum(ops.ones_like(x[:, :, 0], dtype="int32"), axis=-1) - 1
    x = x + layers.Embedding(9, 8, name="positions")(places)
    for _ in range(2):
        x1 = layers.LayerNormalization(epsilon=1e-6)(x)
        attention = layers.MultiHeadAttention(num_heads=2, key_dim=4, dropout=0.0)(x1, x1)
        x2 = layers.Add()([attention, x])
        x3 = layers.LayerNormalization(epsilon=1e-6)(x2)
        x3 = layers.Dense(16, activation=keras.activations.gelu)(x3)
        x3 = layers.Dense(8)(x3)
        x = layers.Add()([x3, x2])
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    logits = layers.Dense(5)(x[:, 0])
    model = keras.Model(inputs, logits)
    model.compile(
        optimizer=keras.optimizers.SGD(0.05, weight_decay=0.001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            keras.metrics.SparseTopKCategoricalAccuracy(3, name="top-3-accuracy"),
        ],
    )
    return model, rng.normal(size=(3, 12, 12, 3)), rng.integers(0, 5, (3,))


def unet(rng: Random) -> Example:
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    previous = x
    for filters in (6, 8):
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(filters, 1, strides=2, padding="same")(previous)
        x = layers.add([x, residual])
        previous = x
    for filters in (8, 6, 4):
        x = layers.Activation("relu")(x)
        x = layers.Conv2DTranspose(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.UpSampling2D(2)(x)
        residual = layers.UpSampling2D(2)(previous)
        residual = layers.Conv2D(filters, 1, padding="same")(residual)
        x = layers.add([x, residual])
        previous = x
    outputs = layers.Conv2D(3, 3, activation="softmax", padding="same")(x)
    model = keras.Model(inputs, outputs)
    optimizer = keras.optimizers.AdamW(learning_rate=0.01, weight_decay=0.001, epsilon=1e-2)
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    return model, rng.normal(size=(4, 16, 16, 3)), rng.integers(0, 3, (4, 16, 16))


def autoencoder(rng: Random) -> Example:
    encoder_input = keras.Input(shape=(12, 12, 1), name="img")
    x = layers.Conv2D(4, 3, strides=2, activation="relu", padding="same")(encoder_input)
    x = layers.Conv2D(6, 3, activation="relu")(x)
    encoder = keras.Model(encoder_input, layers.GlobalMaxPooling2D()(x), name="encoder")
    decoder_input = keras.Input(shape=(6,), name="encoded_img")
    x = layers.Dense(9)(decoder_input)
    x = layers.Reshape((3, 3, 1))(x)
    x = layers.Conv2DTranspose(4, 3, strides=2, activation="leaky_relu", padding="same")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    decoder = keras.Model(decoder_input, layers.Conv2D(1, 3, activation="sigmoid", padding="same")(x), name="decoder")
    image = keras.Input(shape=(12, 12, 1), name="image")
    model = keras.Model(image, decoder(encoder(image)), name="autoencoder")
    model.compile(optimizer=keras.optimizers.RMSprop(0.01), loss="binary_crossentropy")
    images = rng.uniform(size=(3, 12, 12, 1))
    return model, images, images


def frozen_backbone(rng: Random) -> Example:
    backbone = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, strides=2, use_bias=False, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.Conv2D(6, 1),
        ],
        name="backbone",
    )
    for layer in backbone.layers[:5]:
        layer.trainable = False
    inputs = keras.Input((16, 16, 3), name="image")
    x = layers.Rescaling(scale=1 / 127.5, offset=-1)(inputs)
    x = backbone(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.0)(x)
    model = keras.Model(inputs, layers.Dense(1)(x))
    model.compile(
        optimizer=keras.optimizers.Adam(epsilon=1e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy()],
    )
    return model, rng.integers(0, 256, (4, 16, 16, 3)).astype("float32"), rng.integers(0, 2, (4, 1))


def siamese(rng: Random) -> Example:
    image = keras.Input((10, 10, 1))
    x = layers.BatchNormalization()(image)
    x = layers.Conv2D(4, 3, activation="tanh")(x)
    x = layers.AveragePooling2D(pool_size=(2, 2))(x)
    x = layers.Flatten()(x)
    encoder = keras.Model(image, layers.Dense(6, activation="tanh")(x), name="encoder")
    left, right = keras.Input((10, 10, 1), name="left"), keras.Input((10, 10, 1), name="right")
    one, two = encoder(left), encoder(right)
    distance = ops.sqrt(ops.maximum(ops.sum(ops.square(one - two), axis=1, keepdims=True), 1e-7))
    normal = layers.BatchNormalization()(distance)
    model = keras.Model([left, right], layers.Dense(1, activation="sigmoid", name="same")(normal))
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.SGD(0.1), metrics=["accuracy"])
    return model, [rng.normal(size=(5, 10, 10, 1)) for _ in range(2)], rng.integers(0, 2, (5, 1))


def mlp_mixer(rng: Random) -> Example:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 4, strides=4)(inputs)
    x = layers.Reshape((4, 6))(x)
    for _ in range(3):
        y = layers.LayerNormalization()(x)
        y = layers.Permute((2, 1))(y)
        y = layers.Dense(5, activation="gelu")(y)
        y = layers.Dense(4)(y)
        y = layers.Permute((2, 1))(y)
        x = layers.Add()([x, y])
        y = layers.LayerNormalization()(x)
        y = keras.Sequential([layers.Dense(10, activation="gelu"), layers.Dense(6), layers.Dropout(0.0)])(y)
        x = x + y
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(x))
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 100, warmup_target=0.02, warmup_steps=0)
    optimizer = keras.optimizers.Adam(schedule, use_ema=True, ema_momentum=0.9, clipnorm=1.0, epsilon=1e-3)
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(label_smoothing=0.1), metrics=["accuracy"])
    return model, rng.normal(size=(3, 8, 8, 3)), np.eye(4)[rng.integers(0, 4, 3)]


def augmented(rng: Random) -> Example:
    augmentation = keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.1)], name="augmentation"
    )
    inputs = keras.Input((12, 12, 3), name="image")
    x = augmentation(inputs)
    x = layers.RandomTranslation(0.1, 0.1, fill_mode="nearest")(x)
    x = layers.RandomContrast(0.2)(x)
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(4, 3, activation="swish")(x)
    x = layers.GroupNormalization(2)(x)
    x = layers.GaussianNoise(0.1)(x)
    x = layers.SpatialDropout2D(0.2)(x)
    x = layers.GlobalMaxPooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="kind")(x), name="augmented")
    model.compile(optimizer=keras.optimizers.Nadam(), loss="sparse_categorical_crossentropy")
    return model, rng.integers(0, 256, (2, 12, 12, 3)).astype("float32"), None


def mixed_float16(rng: Random) -> Example:
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, padding="same")(inputs)
        x = layers.BatchNormalization()(x)
        x = layers.LeakyReLU(negative_slope=0.2)(x)
        x = layers.GlobalAveragePooling2D()(x)
        x = layers.Dense(3)(x)
        model = keras.Model(inputs, layers.Activation("softmax", dtype="float32", name="probabilities")(x))
        model.compile(optimizer=keras.optimizers.Adam(), loss="sparse_categorical_crossentropy")
    finally:
        keras.mixed_precision.set_global_policy(keras.config.floatx())
    return model, rng.normal(size=(4, 8, 8, 3)), None


def crnn(rng: Random) -> Example:
    inputs = keras.Input((16, 8, 1), name="image")
    x = layers.Conv2D(4, (3, 3), activation="relu", kernel_initializer="he_normal", padding="same", name="Conv1")(
        inputs
    )
    x = layers.MaxPooling2D((2, 2), name="pool1")(x)
    x = layers.Reshape(target_shape=(8, 16), name="reshape")(x)
    x = layers.Dense(6, activation="relu", name="dense1")(x)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True, dropout=0.0))(x)
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode="sum")(x)
    x = layers.Dense(7, activation="softmax", name="dense2")(x)
    model = keras.Model(inputs, x, name="ocr")
    model.compile(
        optimizer=keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), loss="sparse_categorical_crossentropy"
    )
    return model, rng.normal(size=(2, 16, 8, 1)), rng.integers(0, 7, (2, 8))


def conv_lstm(rng: Random) -> Example:
    inputs = keras.Input((3, 6, 6, 1))
    x = layers.ConvLSTM2D(3, (3, 3), padding="same", return_sequences=True, activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ConvLSTM2D(2, (1, 1), padding="same", return_sequences=True)(x)
    x = layers.Conv3D(1, (3, 3, 3), activation="sigmoid", padding="same")(x)
    model = keras.Model(inputs, x)
    model.compile(loss=keras.losses.binary_crossentropy, optimizer=keras.optimizers.Adagrad(0.01))
    return model, rng.normal(size=(2, 3, 6, 6, 1)), rng.uniform(size=(2, 3, 6, 6, 1))


IMAGES = {
    f.__name__: f
    for f in (
        *(mnist_convnet, vit, unet, autoencoder, frozen_backbone, siamese, mlp_mixer, augmented, mixed_float16, crnn),
        conv_lstm,
    )
}
