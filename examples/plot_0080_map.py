"""
A map of a collection
=====================

``ImageCollection.map_`` places pictures in the plane so that similar ones are close together. It gives an
overview of a folder before there are any labels.
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
# Files and their codes
# ---------------------
#
# A collection reads files. The held-out faces are written to a temporary folder first. The encoder was
# trained on arrays, so an :class:`~dmzrep.datasets.ImageReader` defines how files become such arrays.

from tempfile import mkdtemp

from PIL import Image

from dmzrep.collection import ImageCollection
from dmzrep.datasets import ImageReader

folder = Path(mkdtemp())
for i, image in enumerate(X_test):
    Image.fromarray(image).save(folder / f"face{i:03d}.png")
collection = ImageCollection(encoder, image_reader=ImageReader(32)).fit(folder)

# %%
# The map
# -------
#
# The coordinates are those of t-SNE on the graph of nearest neighbours by codes; ``method="umap"`` uses UMAP.

import matplotlib.pyplot as plt

places = collection.map_(random_state=0)
places[["x", "y"]] -= places[["x", "y"]].min()
places[["x", "y"]] /= places[["x", "y"]].max()
half = 0.02
figure, ax = plt.subplots(figsize=(8, 8), layout="constrained")
for image, x, y in zip(X_test, places["x"], places["y"], strict=True):
    ax.imshow(image, extent=(x - half, x + half, y - half, y + half), zorder=2)
ax.set(xlim=(-half, 1 + half), ylim=(-half, 1 + half), xticks=[], yticks=[])
for spine in ax.spines.values():
    spine.set_color("0.8")

# %%
# What shapes the map
# -------------------
#
# Attributes that the codes contain form regions of the map.

names = ["long_hair", "dark_skin", "blond_hair", "winter_hat"]
figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
for ax, name in zip(axes, names, strict=True):
    for value, colour in ((0, "0.8"), (1, "C0")):
        chosen = places[Y_test[name].to_numpy() == value]
        ax.scatter(chosen["x"], chosen["y"], s=6, color=colour)
    ax.set(title=name, xticks=[], yticks=[])

# %%
# Clusters
# --------
#
# ``clusters`` groups the pictures by k-means of their codes. These are the pictures nearest to the centres,
# and others of the same clusters.

import numpy as np

from dmzrep.plotting import ImageGridDisplay

clusters = collection.clusters(8, random_state=0)
rows = []
for _, members in clusters.groupby("cluster"):
    members = members.sort_values("is_centre", ascending=False, kind="stable")
    rows.append(X_test[members.index[:10]])
ImageGridDisplay(np.stack(rows) / 255, row_labels=range(8), title="Clusters").plot()
plt.show()

# %%
# ``dmzrep map`` writes such a map as a page for the browser, in which pictures can be enlarged and searched.
