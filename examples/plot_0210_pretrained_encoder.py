"""
Codes from a pretrained network
===============================

For photographs, features of a network that was pretrained on ImageNet carry more meaning than a small encoder
can learn from a few images. With ``encoder="efficientnet_lite0"``, the bits are a function of such features.
"""

# %%
# Tiles of two photographs
# ------------------------
#
# The images are overlapping tiles of the two photographs that come with scikit-learn. A good code puts tiles
# of leaves, petals, roofs and trees close to others of the same kind.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images
from sklearn.feature_extraction.image import extract_patches_2d

from dmzrep.plotting import ImageGridDisplay

photographs = load_sample_images().images
tiles = np.concatenate(
    [extract_patches_2d(photo, (64, 64), max_patches=200, random_state=0) for photo in photographs]
)
photo_of_tile = np.repeat([0, 1], 200)
ImageGridDisplay(tiles[[*range(8), *range(200, 208)]].reshape(2, 8, 64, 64, 3) / 255).plot()

# %%
# Two encoders
# ------------
#
# ``max_iter=0`` skips the training of the denoiser, which is needed only to decode. Both encoders take
# seconds to fit. The weights of EfficientNet-Lite0 are part of the package of the extra ``pretrained``;
# nothing is downloaded.

from dmzrep import DMZEncoder

encoders = {
    "EfficientNet-Lite0": DMZEncoder(64, encoder="efficientnet_lite0", max_iter=0, random_state=0).fit(tiles),
    "default encoder": DMZEncoder(64, max_iter=0, random_state=0).fit(tiles),
}

# %%
# Neighbours
# ----------
#
# The same queries, by the bits of the pretrained network and by those of the default encoder.

from dmzrep.plotting import NeighborsDisplay

queries = tiles[[3, 10, 205, 212]]
for name, encoder in encoders.items():
    display = NeighborsDisplay.from_estimator(encoder, queries, tiles, k=8)
    display.ax_.set_title(f"Nearest tiles by 64 bits: {name}")
plt.show()

# %%
# Which photograph does a tile come from?
# ---------------------------------------
#
# The fraction of the ten nearest neighbours that come from the same photograph:

from dmzrep.retrieval import FaissNeighbors

for name, encoder in encoders.items():
    bits = encoder.transform(tiles) > 0.5
    neighbors = FaissNeighbors(11).fit(bits).kneighbors(bits, return_distance=False)
    same = photo_of_tile[neighbors[:, 1:]] == photo_of_tile[:, None]
    print(f"{name:20s}{same.mean():.3f}")

# %%
# ``encoder=`` also takes your own module, such as the image model of CLIP, or a fitted transformer of
# scikit-learn.

# sphinx_gallery_thumbnail_number = 2
