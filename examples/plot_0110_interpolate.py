"""
Interpolate between images
==========================

:func:`~dmzrep.editing.interpolate` flips the bits in which the codes of two images differ, one after the
other, and decodes the codes between them.
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
# The smooth path
# ---------------
#
# Each row leads from one held-out image to another. Each image is a typical one of its code, decoded without
# noise. The smooth path always flips the bit that gives the most probable code. Below the images is the
# number of flipped bits.

from dmzrep.plotting import InterpolationDisplay

first, last = X_test[:4], X_test[4:8]
InterpolationDisplay.from_estimator(encoder, first, last, n_images=8, n_steps=20, random_state=0)

# %%
# Ends that reconstruct the images
# --------------------------------
#
# With ``noise="inverted"`` images begin from noise, interpolated between the noises of both images. The ends
# of the path are then almost exact reconstructions.

InterpolationDisplay.from_estimator(encoder, first, last, n_images=8, noise="inverted", n_steps=20)

# %%
# Four kinds of paths
# -------------------
#
# The order in which bits flip changes the images on the way. ``"soft"`` blends the codes instead of flipping
# bits.

paths = ("ordered", "random", "smooth", "soft")
InterpolationDisplay.from_estimator(
    encoder, first[:1], last[:1], n_images=8, path=paths, n_steps=20, random_state=0
)

# %%
# How far is each step?
# ---------------------
#
# A path is even if no step changes the image much more than the others. The means are over 16 pairs.

import matplotlib.pyplot as plt
import numpy as np

from dmzrep.editing import interpolate

figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for path in paths:
    images, _ = interpolate(encoder, X_test[:16], X_test[16:32], 9, path=path, n_steps=10, random_state=0)
    steps = np.sqrt(np.square(np.diff(images.astype(float), axis=1)).mean(axis=(0, 2, 3, 4)))
    ax.plot(range(1, 9), steps, "o-", label=path)
ax.set(xlabel="Step along the path", ylabel="Change of pixels (RMS, 0 to 255)", ylim=(0, None))
ax.legend(frameon=False, ncols=2)
plt.show()

# sphinx_gallery_thumbnail_number = 2
