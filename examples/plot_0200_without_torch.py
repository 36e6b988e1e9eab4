"""
Encode and search without torch
===============================

``export_encoder`` writes the encoder to an ONNX file. To encode and search images, a server then needs only
ONNX Runtime and NumPy, not torch or dmzrep.
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
# Export
# ------
#
# The metadata of the file describe its input and output.

from tempfile import mkdtemp

import onnxruntime

model = Path(mkdtemp(), "avatars.onnx")
encoder.output = "bits"
encoder.export_encoder(model)
session = onnxruntime.InferenceSession(model)
print(f"{model.stat().st_size / 2**20:.1f} MiB")
print(session.get_modelmeta().custom_metadata_map)

# %%
# Encode
# ------
#
# From here on, only the comparison with ``transform`` needs torch. Codes are packed into 16 bytes each.

import numpy as np


def encode(images, batch_size=256):
    """Return packed codes, 8 bits per byte."""
    batches = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
    bits = np.concatenate([session.run(None, {"images": batch})[0] for batch in batches])
    return np.packbits(bits, axis=1)


codes, queries = encode(X_train), encode(X_test[:6])
print(codes.shape, codes.dtype)

# %%
# The bits are those of ``transform``, except where a probability is within rounding of 0.5:

agree = np.unpackbits(codes, axis=1) == encoder.transform(X_train)
print(f"{agree.mean():.5%} of the bits agree")

# %%
# Search
# ------
#
# The Hamming distance is the number of ones in the exclusive or of two codes.

distances = np.unpackbits(queries[:, None] ^ codes, axis=2).sum(axis=2, dtype=int)
nearest = np.argsort(distances, axis=1, kind="stable")[:, :8]

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(6, 9, figsize=(8, 6), layout="constrained")
for row, (query, neighbors) in enumerate(zip(X_test, nearest, strict=False)):
    axes[row, 0].imshow(query)
    for ax, i in zip(axes[row, 1:], neighbors, strict=True):
        ax.imshow(X_train[i])
        ax.set_title(f"{distances[row, i]} bits", fontsize=8, pad=2)
axes[0, 0].set_title("query", fontsize=8, pad=2)
for ax in axes.flat:
    ax.axis("off")
plt.show()
