"""
Compare priors of codes
=======================

To draw a new image, its code is drawn first. Bits depend on each other, so drawing each bit on its own gives
codes unlike those of images. :mod:`dmzrep.priors` has models of these dependencies.
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
# How far is each prior from real codes?
# --------------------------------------
#
# :func:`~dmzrep.priors.prior_gap` fits priors to codes and compares them with held-out ones. "cross_entropy"
# is the mean number of bits to store a code of 128 bits under the prior. "auc" is that of a classifier that
# tells drawn codes from real ones; 0.5 is ideal. Codes are passed as probabilities of bits, which the
# autoregressive priors use.

from dmzrep.priors import prior_gap

codes = encoder.transform(X)
names = ["uniform", "independent", "chow_liu", "mixture", "autoregressive", "resampled"]
table = prior_gap(codes, names, random_state=0)
table.round(3)

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(8.5, 2.8), sharey=True, layout="constrained")
for ax, column, label, best in (
    (axes[0], "cross_entropy", "Bits per held-out code", None),
    (axes[1], "auc", "AUC of drawn against real codes", 0.5),
):
    ax.plot(table[column], names, "o", color="C0", markersize=8)
    ax.set(xlabel=label)
    ax.grid(axis="y", color="0.9")
    if best is not None:
        ax.axvline(best, color="0.6", linestyle="--", linewidth=1)
axes[0].invert_yaxis()

# %%
# What it means for images
# ------------------------
#
# A fitted encoder has a prior, ``prior_``, which was chosen by held-out likelihood. ``sample`` takes others
# as well. Images in the same column have the same noise.

import numpy as np

from dmzrep.plotting import ImageGridDisplay
from dmzrep.priors import fit_prior

rows = {
    name: encoder.sample(10, prior=fit_prior(name, codes[:3500], random_state=0), random_state=0)
    for name in ("uniform", "independent", "chow_liu", "autoregressive", "resampled")
}
ImageGridDisplay(np.stack(list(rows.values())) / 255, row_labels=list(rows)).plot()
plt.show()

# %%
# The prior of this encoder:

print(encoder.prior_)

# sphinx_gallery_thumbnail_number = 2
