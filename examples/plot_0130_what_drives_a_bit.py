"""
What drives a bit or a prediction
=================================

:func:`~dmzrep.attribution.attribute_bits` shows which pixels of an image set a bit, make a classifier of
codes predict an attribute, or make two codes differ. It uses the attribution methods of Captum.
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
# Pixels that set a bit
# ---------------------
#
# One row for each of the bits that change this image most. "driven by" is an attribution by integrated
# gradients: red pixels push the bit to 1, blue ones to 0, compared with the mean image. The other columns
# show what the decoder makes of the bit.

from dmzrep.plotting import BitDisplay

mean = X_train.mean(axis=0)
BitDisplay.from_estimator(encoder, X_test[0], max_bits=5, baseline=mean, n_steps=10, random_state=0)

# %%
# Pixels that show an attribute
# -----------------------------
#
# A linear probe predicts sunglasses from codes. Attribution goes through the probe and the encoder to the
# pixels. Occlusion replaces small windows by the baseline and measures how much the prediction drops; it is
# slower, and needs no gradients.

import matplotlib.pyplot as plt
import numpy as np

from dmzrep.attribution import attribute_bits
from dmzrep.probing import LinearProbe

probe = LinearProbe().fit(encoder.transform(X_train), Y_train[["sunglasses"]])
faces = X_test[Y_test["sunglasses"] == 1][:8]
maps = {
    method: attribute_bits(encoder, faces, probe, attribute="sunglasses", method=method, baseline=mean).maps
    for method in ("integrated_gradients", "occlusion")
}


def draw(rows, labels, title):
    """Draw images, and maps over faded images, in rows."""
    figure, axes = plt.subplots(
        len(rows), 8, figsize=(8.5, 1.1 * len(rows) + 0.3), layout="constrained", squeeze=False
    )
    for row, label, line in zip(rows, labels, axes, strict=True):
        line[0].set_ylabel(label, fontsize=9)
        for ax, (image, weights) in zip(line, row, strict=True):
            ax.set(xticks=[], yticks=[])
            if weights is None:
                ax.imshow(image)
                continue
            ax.imshow(image.mean(axis=-1), cmap="gray", alpha=0.5)
            weights = weights.sum(axis=-1)
            limit = np.quantile(np.abs(weights), 0.99) + 1e-9
            ax.imshow(weights, cmap="seismic", vmin=-limit, vmax=limit, alpha=0.6)
    figure.suptitle(title)


draw(
    [
        [(image, None) for image in faces],
        list(zip(faces, maps["integrated_gradients"], strict=True)),
        list(zip(faces, maps["occlusion"], strict=True)),
    ],
    ["image", "gradients", "occlusion"],
    "Evidence for (red) and against (blue) sunglasses",
)

# %%
# Pixels in which two codes differ
# --------------------------------
#
# With ``target="distance"``, the score is the expected Hamming distance to the code of a reference image. It
# explains why one image is not a nearer neighbour of another.

first, second = X_test[:8], X_test[8:16]
found = attribute_bits(encoder, second, "distance", reference=first)
draw(
    [
        [(image, None) for image in first],
        [(image, None) for image in second],
        list(zip(second, found.maps, strict=True)),
    ],
    ["reference", "image", "distance"],
    "Pixels that increase (red) and decrease (blue) the distance",
)
plt.show()

# sphinx_gallery_thumbnail_number = 2
