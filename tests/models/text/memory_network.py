"""Memory network on the bAbI data set."""

import keras
from keras import layers


def build():
    story, question = (
        keras.Input((7,), dtype="int64", name="story"),
        keras.Input((4,), dtype="int64", name="question"),
    )
    memory = layers.Dropout(0.0)(layers.Embedding(12, 6, name="story_m")(story))
    shown = layers.Dropout(0.0)(layers.Embedding(12, 4, name="story_c")(story))
    query = layers.Dropout(0.0)(layers.Embedding(12, 6, name="asked")(question))
    match = layers.dot([memory, query], axes=(2, 2))
    match = layers.Activation("softmax")(match)
    response = layers.Permute((2, 1))(layers.add([match, shown]))
    answer = layers.concatenate([response, query])
    answer = layers.LSTM(6, name="read")(answer)
    answer = layers.Dropout(0.0)(answer)
    model = keras.Model([story, question], layers.Dense(12, activation="softmax", name="answer")(answer))
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy")
    return model


def rows(rng):
    x = {"story": rng.integers(0, 12, (4, 7)), "question": rng.integers(0, 12, (4, 4))}
    return x, {"answer": rng.integers(0, 12, 4)}
