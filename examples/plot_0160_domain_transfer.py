"""
Translate images to another domain
==================================

:class:`~dmzrep.transfer.DomainTransfer` maps the codes of one kind of image to those of another, here edge
maps to faces. Only this mapping is learned from pairs; the encoders of both domains are trained without them.
"""

# %%
# The encoder of the first example is loaded, or trained if there is no file.

from pathlib import Path

from dmzrep import DMZEncoder
from dmzrep.datasets import load_avatars

X, Y = load_avatars(return_X_y=True)
X_train, X_test = X[:3500], X[3500:]

if Path("avatars.safetensors").exists():
    encoder = DMZEncoder.load("avatars.safetensors")
else:  # Trains for five minutes.
    encoder = DMZEncoder(128, max_time=300, random_state=0).fit(X_train)
    encoder.save("avatars.safetensors")

# %%
# Pairs of edge maps and faces
# ----------------------------
#
# Edges are where neighbouring pixels differ.

import numpy as np

from dmzrep.plotting import ImageGridDisplay


def edges(images):
    """Return white edges on black."""
    steps = np.hypot(*np.gradient(images.astype(np.float32).mean(axis=-1), axis=(1, 2)))
    return np.clip(4.0 * steps, 0, 255).astype(np.uint8)


edges_train, edges_test = edges(X_train), edges(X_test)
shown = np.stack([edges_train[:10, ..., None].repeat(3, axis=-1), X_train[:10]])
ImageGridDisplay(shown / 255, row_labels=["edges", "face"]).plot()

# %%
# Two encoders and a mapping
# --------------------------
#
# The encoder of edge maps need not decode, so ``max_iter=0`` fits it in seconds. 2,000 pairs suffice for the
# mapping. Its ``validation_`` compares the predicted bits with simple predictions on held-out pairs.

from dmzrep.transfer import DomainTransfer

edge_encoder = DMZEncoder(128, max_iter=0, encoder_augment=None, random_state=0).fit(edges_train)
transfer = DomainTransfer(edge_encoder, encoder, random_state=0).fit(edges_train[:2000], X_train[:2000])
accuracies = [name for name in transfer.validation_ if name.endswith("accuracy")]
transfer.validation_[accuracies].mean().rename("accuracy of bits").to_frame().round(3)

# %%
# Faces from edges
# ----------------
#
# Edges do not determine the colours, so the colours of the draws are guesses. Shapes follow the edges.

import matplotlib.pyplot as plt

draws = transfer.transform(edges_test[:10], n_draws=3, random_state=0)
rows = [edges_test[:10, ..., None].repeat(3, axis=-1), *np.moveaxis(draws, 1, 0), X_test[:10]]
labels = ["edges", "draw 1", "draw 2", "draw 3", "true face"]
ImageGridDisplay(np.stack(rows) / 255, title="Faces from edge maps", row_labels=labels).plot()

# %%
# Find the face of an edge map
# ----------------------------
#
# The predicted code can also be searched for. The rank of the true face among the 500 held-out ones, by how
# well its code fits the predicted one:

ranks = transfer.retrieval_ranks(edges_test, X_test)
figure, ax = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
ax.plot(np.arange(1, 501), [(ranks <= k).mean() for k in range(1, 501)], label="transfer")
ax.plot([1, 500], [1 / 500, 1], color="0.6", linestyle="--", label="chance")
ax.set_xscale("log")
ax.set_xticks([1, 10, 100, 500], [1, 10, 100, 500])
ax.set(xlabel="Rank", ylabel="Fraction of true faces up to this rank", ylim=(0, 1.02))
ax.legend(frameon=False)
plt.show()

# sphinx_gallery_thumbnail_number = 2
