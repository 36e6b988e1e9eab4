"""
Likelihoods and their limits
============================

``score_samples`` returns a lower bound on the log-likelihood of images. It can compare models on the
same images. As a score of anomalies it can mislead: generative models may give images of other kinds a higher
likelihood than those they were trained on (Nalisnick et al., "Do Deep Generative Models Know What They Don't
Know?", 2019).
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
# Bits per dimension
# ------------------
#
# The bound has two parts: the bits of the code under the prior, and the bits of the image given its code.
# Uncompressed pixels take 8 bits per dimension.

encoder.bits_per_dim(X_test[:100]).round(4)

# %%
# Other images
# ------------
#
# None of these is a face, except for the first kind.

import numpy as np

from dmzrep.datasets import load_digits_images, make_sprites
from dmzrep.plotting import ImageGridDisplay

n, rng = 60, np.random.default_rng(0)
digits = load_digits_images().images[:n].repeat(4, axis=1).repeat(4, axis=2)
kinds = {
    "held-out faces": X_test[:n],
    "upside down": X_test[:n, ::-1],
    "sprites": make_sprites(n, random_state=0).images,
    "digits": digits[..., None].repeat(3, axis=-1),
    "one colour": np.broadcast_to(rng.integers(0, 256, (n, 1, 1, 3), dtype=np.uint8), (n, 32, 32, 3)),
    "noise": rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8),
}
ImageGridDisplay(np.stack([images[:8] for images in kinds.values()]) / 255, row_labels=list(kinds)).plot()

# %%
# Likelihood against neighbours
# -----------------------------
#
# Left: the bound, which also depends on how complex an image is. Right: the cosine distance of logits to the
# nearest training image, a simple score of anomalies.

import matplotlib.pyplot as plt
from sklearn.neighbors import NearestNeighbors

scores = {name: encoder.score_samples(images, n_terms=16) for name, images in kinds.items()}
encoder.output = "logits"
nearest = NearestNeighbors(n_neighbors=1, metric="cosine").fit(encoder.transform(X_train))
distances = {name: nearest.kneighbors(encoder.transform(images))[0][:, 0] for name, images in kinds.items()}

figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
for ax, values, label in (
    (axes[0], {name: -value for name, value in scores.items()}, "Bits per dimension (lower: more likely)"),
    (axes[1], distances, "Distance to the nearest training image"),
):
    ax.boxplot(list(values.values()), orientation="horizontal", tick_labels=list(values), widths=0.6)
    ax.set(xlabel=label)
axes[0].invert_yaxis()
plt.show()

# %%
# How often a held-out face has the better score than an image of another kind (AUROC; 1 is a perfect
# detector):

import pandas as pd
from sklearn.metrics import roc_auc_score

is_other = np.repeat([0, 1], n)
rows = {
    name: {
        "likelihood": roc_auc_score(is_other, -np.concatenate([scores["held-out faces"], scores[name]])),
        "nearest neighbour": roc_auc_score(
            is_other, np.concatenate([distances["held-out faces"], distances[name]])
        ),
    }
    for name in list(kinds)[1:]
}
pd.DataFrame(rows).T.round(2)

# sphinx_gallery_thumbnail_number = 2
