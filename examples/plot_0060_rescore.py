"""
Rescore candidates with exact vectors
=====================================

Hamming distances of short codes are cheap, but coarse: many images are equally far away. Two steps give exact
results at a small cost: the bits select candidates, and exact vectors, which may lie on disk, order them.
"""

# %%
# The encoder of the first example is loaded, or trained if there is no file. The vectors are the logits of
# the code; embeddings of another model would do as well.

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

encoder.output = "logits"
vectors, query_vectors = encoder.transform(X_train), encoder.transform(X_test)
bits, query_bits = vectors > 0, query_vectors > 0

# %%
# Two steps in one index
# ----------------------
#
# With ``rescore="cosine"``, :class:`~dmzrep.retrieval.FaissNeighbors` finds, by Hamming distance,
# ``oversample`` times as many candidates as requested, and returns those with the smallest cosine distance.
# The vectors are not copied, so they can be a memory map.

from dmzrep.retrieval import FaissNeighbors

neighbors = FaissNeighbors(n_neighbors=10, rescore="cosine", oversample=4).fit(bits, vectors=vectors)
distances, indices = neighbors.kneighbors(query_bits, vectors=query_vectors)
print(distances[0].round(3), indices[0])

# %%
# How many candidates are enough?
# -------------------------------
#
# ``recall`` compares with an exhaustive search by the vectors: it returns the mean fraction of the k nearest
# that are found. ``oversample=1`` is the search by bits alone.

table = neighbors.recall(query_bits, vectors=query_vectors, k=10, oversample=(1, 2, 4, 8, 16, 32))
table.round(3)

# %%
# Fewer bits need more candidates. :class:`~dmzrep.retrieval.ITQTransformer` makes codes of any length from
# the same vectors.

import matplotlib.pyplot as plt

from dmzrep.retrieval import ITQTransformer

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(table["candidates"], table["recall"], "o-", label="128 bits: signs of the logits")
for n_bits in (64, 32, 16):
    itq = ITQTransformer(n_bits, random_state=0).fit(vectors)
    index = FaissNeighbors(rescore="cosine").fit(itq.transform(vectors), vectors=vectors)
    found = index.recall(
        itq.transform(query_vectors), vectors=query_vectors, k=10, oversample=(1, 2, 4, 8, 16, 32)
    )
    ax.plot(found["candidates"], found["recall"], "o-", label=f"{n_bits} bits: ITQ")
ax.axhline(0.95, color="0.6", linestyle="--", linewidth=1)
ax.set(
    xscale="log",
    xlabel="Candidates that are rescored",
    ylabel="Recall of the 10 nearest neighbours",
    ylim=(0, 1.02),
    title=f"{len(vectors):,} images",
)
ax.set_xticks(table["candidates"], table["candidates"])
ax.minorticks_off()
ax.legend(frameon=False)
plt.show()

# %%
# The smallest sufficient ``oversample`` for each k, which can be set after fitting by ``set_params``:

print(table.attrs["oversample"])
