"""
What each bit means
===================

Nobody assigns a meaning to the bits of a learned code. Two tools show what they stand for: their effect on
decoded images, and their association with labels.
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
# Effects on decoded images
# -------------------------
#
# :func:`~dmzrep.attribution.bit_effects` decodes codes with each bit off and on, from the same noise, and
# measures the change: its size, the fraction of the image that it covers, and where its centre is.

from dmzrep.attribution import bit_effects

bits = encoder.transform(X_test) > 0.5
effects = bit_effects(encoder, bits[:10], n_images=10, n_steps=5, random_state=0)
effects.table.head().round(3)

# %%
# The eight bits that change images most: the mean map of changes, and the face that changes most, decoded
# with the bit off and on.

import matplotlib.pyplot as plt
import numpy as np

top = effects.table["bit"][:8].to_numpy()
changes = np.abs(effects.on.astype(float) - effects.off).mean(axis=(2, 3, 4))
figure, axes = plt.subplots(3, 8, figsize=(8.5, 3.6), layout="constrained")
for bit, column in zip(top, axes.T, strict=True):
    column[0].imshow(effects.maps[bit].mean(axis=-1), cmap="magma")
    column[0].set_title(f"bit {bit}", fontsize=9)
    column[1].imshow(effects.off[bit, changes[bit].argmax()])
    column[2].imshow(effects.on[bit, changes[bit].argmax()])
for ax, label in zip(axes[:, 0], ("change", "off", "on"), strict=True):
    ax.set_ylabel(label)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])

# %%
# Association with attributes
# ---------------------------
#
# :func:`~dmzrep.attribution.bit_table` compares every bit with every attribute. A red cell is a bit that is
# on when the attribute is present, a blue one a bit that is off. Most attributes are spread over several
# bits.

from dmzrep.attribution import bit_table
from dmzrep.plotting import BitTableDisplay

names = [
    "cool_background",
    "dark_clothes",
    "light_skin",
    "dark_skin",
    "long_hair",
    "short_hair",
    "black_hair",
]
names += ["blond_hair", "winter_hat", "beard", "sunglasses", "blazer", "hoodie", "smiling", "mouth_open"]
table = bit_table(encoder.transform(X_train) > 0.5, Y_train[names])
BitTableDisplay(table, max_bits=48).plot()

# %%
# The best single bit for each attribute, for the attributes that a single bit predicts best:

best = table.loc[table.groupby("attribute")["auroc"].idxmax()].sort_values("auroc", ascending=False)
plt.show()
best.head(6).round(3)

# sphinx_gallery_thumbnail_number = 1
