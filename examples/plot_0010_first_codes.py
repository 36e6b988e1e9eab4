"""
Learn binary codes of images
============================

:class:`~dmzrep.DMZEncoder` learns a short binary code of each image, without labels. This example trains an
encoder on 3,500 cartoon faces, encodes faces that it has not seen, and decodes their codes to images again.
"""

# %%
# The data
# --------
#
# The images are an array of type ``uint8`` and shape (n, height, width, channels). The last 500 of them are
# held out. There is also a table of 47 binary attributes, such as "beard", which training does not use.

import matplotlib.pyplot as plt
import numpy as np

from dmzrep.datasets import load_avatars
from dmzrep.plotting import ImageGridDisplay

X, Y = load_avatars(return_X_y=True)
X_train, X_test = X[:3500], X[3500:]
ImageGridDisplay(X_train[:40].reshape(4, 10, 32, 32, 3) / 255).plot()
print(X_train.shape, X_train.dtype)

# %%
# Training
# --------
#
# The code has 128 bits, or 16 bytes. ``max_time`` limits the training to five minutes; a GPU, where
# there is one, is used automatically. The encoder is saved to a file, so that the next examples need not
# train it again.

from pathlib import Path

from dmzrep import DMZEncoder

if Path("avatars.safetensors").exists():
    encoder = DMZEncoder.load("avatars.safetensors")
else:  # Trains for five minutes.
    encoder = DMZEncoder(128, max_time=300, random_state=0).fit(X_train)
    encoder.save("avatars.safetensors")

# %%
# The attribute ``history_`` has the losses of each epoch. The denoiser predicts held-out images better from
# their own bits than from those of another image: the distance between these two curves shows that it uses
# the code.

from dmzrep.plotting import HistoryDisplay

HistoryDisplay.from_estimator(encoder)

# %%
# From images to codes
# --------------------
#
# ``transform`` returns the probability that a bit is one. Most probabilities are close to 0 or 1, so that
# little is lost by rounding them to bits.

probabilities = encoder.transform(X_test)
bits = probabilities > 0.5
print(probabilities.shape, np.packbits(bits, axis=1).nbytes // len(bits), "bytes per image")
print("probabilities below 0.1 or above 0.9:", f"{np.mean(np.abs(probabilities - 0.5) > 0.4):.0%}")

# %%
# From codes to images
# --------------------
#
# ``reconstruct`` encodes images and decodes their bits. The bits do not determine an image completely: by
# default, details that they do not encode take typical values; with ``noise="random"``, which ``n_draws``
# above 1 implies, they are drawn at random. Draws from the same code show what is in the code (here hair,
# skin, glasses and clothes), where they agree, and what is not (small details), where they differ.

from dmzrep.plotting import ReconstructionDisplay

ReconstructionDisplay.from_estimator(encoder, X_test, n_draws=3, random_state=0)

# %%
# With ``noise="inverted"``, the noise is not drawn, but computed from the image. Bits and noise together
# reconstruct the image almost exactly. The bits alone are 16 bytes; the noise is as large as the image.

ReconstructionDisplay.from_estimator(encoder, X_test, noise="inverted")
plt.show()

# %%
# Five minutes of training on a CPU give images that are blurred in places. Longer training, more images or a
# GPU make them sharper.

# sphinx_gallery_thumbnail_number = 3
