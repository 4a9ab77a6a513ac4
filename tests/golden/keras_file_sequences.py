"""Small networks for texts and series, as examples of Keras write them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

Example = tuple[Any, Any, Any]
Random = np.random.Generator


def imdb_bilstm(rng: Random) -> Example:
    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Embedding(40, 6, mask_zero=True)(inputs)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(3))(x)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))
    model.compile(keras.optimizers.Adam(epsilon=1e-3), loss="binary_crossentropy", metrics=["accuracy"])
    words = 1 + rng.permutation(39)[:28].reshape(
        4, 7
    )  # of a repeated word, TensorFlow's Adam squares each gradient alone
    words[1, 4:] = words[2, 1:] = 0
    return model, words.astype("int32"), rng.integers(0, 2, (4, 1))


def text_transformer(rng: Random) -> Example:
    words = keras.Input((8,), dtype="int32", name="words")
    tokens = layers.Embedding(20, 8, name="tokens")(words)
    x = tokens + layers.Embedding(8, 8, name="places")(ops.cumsum(ops.ones_like(words), axis=1) - 1)
    attended = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.LayerNormalization(epsilon=1e-6)(x + layers.Dropout(0.0)(attended))
    fed = keras.Sequential([layers.Dense(12, activation="relu"), layers.Dense(8)], name="feed_forward")(x)
    x = layers.LayerNormalization(epsilon=1e-6)(x + layers.Dropout(0.0)(fed))
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dense(6, activation="relu")(x)
    model = keras.Model(words, layers.Dense(2, activation="softmax", name="opinion")(x), name="reviews")
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, rng.integers(0, 20, (4, 8)).astype("int32"), rng.integers(0, 2, 4)


def wavenet(rng: Random) -> Example:
    inputs = keras.Input((None, 2), name="signal")
    x = layers.Conv1D(6, 1, padding="causal")(inputs)
    skips = []
    for rate in (1, 2, 4):
        filtered = layers.Conv1D(6, 2, dilation_rate=rate, padding="causal", activation="tanh")(x)
        gate = layers.Conv1D(6, 2, dilation_rate=rate, padding="causal", activation="sigmoid")(x)
        z = layers.Multiply()([filtered, gate])
        skips.append(layers.Conv1D(4, 1)(z))
        x = layers.Add()([x, layers.Conv1D(6, 1)(z)])
    x = layers.Activation("relu")(layers.Add()(skips))
    x = layers.Conv1D(4, 1, activation="relu")(x)
    model = keras.Model(inputs, layers.Conv1D(5, 1, activation="softmax", name="next")(x), name="wavenet")
    decay = keras.optimizers.schedules.ExponentialDecay(0.05, decay_steps=100, decay_rate=0.9, staircase=True)
    model.compile(keras.optimizers.SGD(decay, momentum=0.9), loss="sparse_categorical_crossentropy")
    return model, rng.normal(size=(2, 9, 2)), rng.integers(0, 5, (2, 9))


def seq2seq(rng: Random) -> Example:
    encoder_inputs = keras.Input(shape=(None, 5), name="question")
    _, state_h, state_c = layers.LSTM(4, return_state=True)(encoder_inputs)
    decoder_inputs = keras.Input(shape=(None, 6), name="answer")
    decoder = layers.LSTM(4, return_sequences=True, return_state=True)
    outputs, _, _ = decoder(decoder_inputs, initial_state=[state_h, state_c])
    outputs = layers.Dense(6, activation="softmax", name="next")(outputs)
    model = keras.Model([encoder_inputs, decoder_inputs], outputs)
    model.compile(
        optimizer=keras.optimizers.RMSprop(epsilon=1e-3), loss="categorical_crossentropy", metrics=["accuracy"]
    )
    x = [np.eye(5)[rng.integers(0, 5, (3, 4))], np.eye(6)[rng.integers(0, 6, (3, 5))]]
    return model, x, np.eye(6)[rng.integers(0, 6, (3, 5))]


def gru_forecast(rng: Random) -> Example:
    inputs = keras.Input((6, 3), name="past")
    x = layers.TimeDistributed(layers.Dense(4, activation="tanh"))(inputs)
    x = layers.GRU(5, return_sequences=True, recurrent_dropout=0.0)(x)
    last = layers.GRU(4, reset_after=False)(x)
    x = layers.RepeatVector(2)(last)
    x = layers.SimpleRNN(3, return_sequences=True)(x)
    outputs = layers.TimeDistributed(layers.Dense(1), name="temperature")(x)
    model = keras.Model(inputs, outputs, name="forecast")
    model.compile(keras.optimizers.Adadelta(1.0), loss=keras.losses.Huber(), metrics=["mae"])
    return model, rng.normal(size=(3, 6, 3)), rng.normal(size=(3, 2, 1))


def attentions(rng: Random) -> Example:
    query = keras.Input((4,), dtype="int64", name="query")
    value = keras.Input((6,), dtype="int64", name="value")
    embedding = layers.Embedding(12, 6, mask_zero=True)
    q, v = embedding(query), embedding(value)
    q1 = layers.Conv1D(6, 2, padding="same")(q)
    v1 = layers.Conv1D(6, 2, padding="same")(v)
    attended = layers.Attention(use_scale=True)([q1, v1])
    additive, scores = layers.AdditiveAttention(name="additive")([q1, v1], return_attention_scores=True)
    many = layers.MultiHeadAttention(2, 3, value_dim=4)(q1, v1, key=v1, use_causal_mask=True)
    grouped = layers.GroupQueryAttention(3, 4, 2)(q1, v1)
    x = layers.Concatenate()([attended, additive, many, grouped, scores])
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model({"query": query, "value": value}, layers.Dense(1, name="match")(x))
    model.compile(keras.optimizers.SGD(0.05), loss="mse")
    words = {"query": rng.integers(1, 12, (3, 4)), "value": rng.integers(1, 12, (3, 6))}
    return model, words, rng.normal(size=(3, 1))


def masked_sum(rng: Random) -> Example:
    inputs = keras.Input((6,), dtype="int32", name="ids")
    x = layers.Embedding(30, 4, mask_zero=True)(inputs)
    first = layers.GlobalAveragePooling1D()(layers.add([x, layers.Dense(4)(x)]))  # Add passes the mask on,
    second = layers.GlobalAveragePooling1D()(2 * x + 1 + layers.Dense(4)(x))  # but an operation drops it
    model = keras.Model(inputs, layers.Dense(1, name="score")(first - second))
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    ids = 1 + rng.permutation(29)[:18].reshape(3, 6)
    ids[1, 4:] = ids[2, 2:] = 0
    return model, ids.astype("int32"), rng.normal(size=(3, 1))


def text_vectorization(rng: Random) -> Example:
    texts = np.array([["the cat sat on the mat"], ["A dog, on the road!"], ["mat and cat and dog"]], dtype=object)
    vectorize = layers.TextVectorization(max_tokens=12, output_sequence_length=6)
    vectorize.adapt(texts[:, 0])
    inputs = keras.Input(shape=(1,), dtype="string", name="text")
    x = vectorize(inputs)
    x = layers.Embedding(12, 4)(x)
    x = layers.GlobalMaxPooling1D()(x)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid", name="good")(x))
    model.compile(keras.optimizers.SGD(0.1), loss="binary_crossentropy", metrics=["accuracy"])
    return model, texts, np.array([[0.0], [1.0], [1.0]])


SEQUENCES = {
    f.__name__: f
    for f in (imdb_bilstm, text_transformer, wavenet, seq2seq, gru_forecast, attentions, masked_sum, text_vectorization)
}
