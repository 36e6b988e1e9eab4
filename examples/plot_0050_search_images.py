"""
Search images by Hamming distance
=================================

Codes of similar images differ in few bits. :class:`~dmzrep.retrieval.ImageRetriever` encodes images, keeps
their bits in a FAISS index, and returns the nearest images with their metadata.
"""

# %%
# The encoder of the first example is loaded, or trained if there is no file.

from pathlib import Path

from dmzrep import DMZEncoder
from dmzrep.datasets import load_avatars

X, Y = load_avatars(return_X_y=True)
X_train, X_test, Y_train, Y_test = X[:3500], X[3500:], Y[:3500], Y[3500:]

if Path("avatars.safetensors").exists():
    encoder = DMZEncoder.load("avatars.safetensors")
else:  # Trains for five minutes.
    encoder = DMZEncoder(128, max_time=300, random_state=0).fit(X_train)
    encoder.save("avatars.safetensors")

# %%
# An index of the training images
# -------------------------------
#
# The metadata can be any table with one row per image.

from dmzrep.retrieval import ImageRetriever

retriever = ImageRetriever(encoder).fit(X_train, metadata=Y_train[["beard", "eyeglasses", "long_hair"]])
retriever.query(X_test[:2], k=3)

# %%
# The nearest neighbours
# ----------------------
#
# The queries are held-out images. The number of bits in which the code of a neighbour differs is written
# below it.

from dmzrep.plotting import NeighborsDisplay

NeighborsDisplay.from_retriever(retriever, X_test, X_train, k=9, max_queries=6)

# %%
# Conditions on the metadata
# --------------------------
#
# ``where`` restricts a search. Here are the nearest images among those with a beard:

NeighborsDisplay.from_retriever(retriever, X_test, X_train, k=9, max_queries=3, where="beard == 1")

# %%
# How good is the search?
# -----------------------
#
# A simple check compares how often a neighbour has an attribute of the query with how often any image has it.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

result = retriever.query(X_test, k=10)
queries = Y_test.to_numpy()[result["query"]] == 1
found = Y_train.to_numpy()[result["id"]] == 1
shared = (queries & found).sum(axis=0) / np.maximum(queries.sum(axis=0), 1)
shared = pd.Series(shared, index=Y.columns)
names = ["winter_hat", "long_hair", "dark_skin", "hat", "afro", "beard", "sunglasses", "smiling"]
shared = shared[names].sort_values(ascending=False)

figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
ax.barh(shared.index, shared, color="C0", height=0.6, label="ten nearest neighbours")
ax.plot(
    Y_train[shared.index].mean(), shared.index, "|", color="black", markersize=14, mew=2, label="all images"
)
ax.set(xlabel="Fraction with the attribute of the query", xlim=(0, 1))
ax.invert_yaxis()
ax.legend(frameon=False)
plt.show()
