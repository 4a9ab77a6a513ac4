"""Collaborative filtering for movie recommendations."""

import keras
from keras import layers, ops


class RecommenderNet(keras.Model):
    def __init__(self, users, movies, dim, **kwargs):
        super().__init__(**kwargs)

        def vectors(count, name):
            return layers.Embedding(
                count,
                dim,
                embeddings_initializer="he_normal",
                embeddings_regularizer=keras.regularizers.l2(1e-6),
                name=name,
            )

        self.user_embedding, self.movie_embedding = vectors(users, "user_vector"), vectors(movies, "movie_vector")
        self.user_bias = layers.Embedding(users, 1, name="user_bias")
        self.movie_bias = layers.Embedding(movies, 1, name="movie_bias")

    def call(self, inputs):
        user, movie = self.user_embedding(inputs["user"]), self.movie_embedding(inputs["movie"])
        dot = ops.sum(user * movie, axis=1, keepdims=True)
        return ops.sigmoid(dot + self.user_bias(inputs["user"]) + self.movie_bias(inputs["movie"]))


def build():
    model = RecommenderNet(8, 9, 5)
    model.compile(loss=keras.losses.BinaryCrossentropy(), optimizer=keras.optimizers.Adam(learning_rate=0.001))
    return model


def rows(rng):
    return {"user": rng.integers(0, 8, 6), "movie": rng.integers(0, 9, 6)}, {"rating": rng.uniform(size=(6, 1))}
