"""
Find outliers in a folder
=========================

A folder that was collected automatically contains pictures that do not belong there.
``ImageCollection.outliers`` lists pictures with little information, such as black ones, and pictures with
rare codes.
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
# A folder with ten pictures that are no faces
# --------------------------------------------

from tempfile import mkdtemp

import numpy as np
from PIL import Image

from dmzrep.datasets import load_digits_images, make_sprites

sprites = make_sprites(4, random_state=0).images
digits = load_digits_images().images[:4].repeat(4, axis=1).repeat(4, axis=2)
flat = np.full((2, 32, 32), [[[10]], [[200]]], dtype=np.uint8)
others = [*sprites, *digits, *flat]
folder = Path(mkdtemp())
for i, image in enumerate([*X_test[:490], *others]):
    Image.fromarray(image).save(folder / f"{'face' if i < 490 else 'other'}{i:03d}.png")

# %%
# Outliers
# --------
#
# The score of a rare picture is the information of its code: minus the logarithm of its probability, in bits,
# under a model fitted to the codes of the folder.

from dmzrep.collection import ImageCollection
from dmzrep.datasets import ImageReader

collection = ImageCollection(encoder, image_reader=ImageReader(32)).fit(folder)
outliers = collection.outliers(18)
outliers.assign(path=outliers["path"].map(lambda path: Path(path).name)).groupby("kind").head(3).round(2)

# %%
# The pictures of the list; planted ones are framed in red.

import matplotlib.pyplot as plt

figure, axes = plt.subplots(2, 10, figsize=(10, 2.7), layout="constrained")
for ax, (path, kind, score) in zip(axes.flat, outliers.itertuples(index=False), strict=False):
    ax.imshow(Image.open(path).convert("RGB"))
    ax.set_title(f"{kind} {score:.0f}" if kind == "rare" else kind, fontsize=8, pad=3)
    ax.set(xticks=[], yticks=[])
    planted = Path(path).name.startswith("other")
    for spine in ax.spines.values():
        spine.set(color="C3" if planted else "0.8", linewidth=3 if planted else 1)

# %%
# Information of all codes
# ------------------------
#
# ``information`` returns the score of every picture. Faces with rare combinations of attributes overlap with
# pictures that are no faces: the list is one to look through, not one to delete.

information = collection.information()
is_other = collection.files_["path"].map(lambda path: Path(path).name.startswith("other")).to_numpy()
figure, ax = plt.subplots(figsize=(6.5, 3.3), layout="constrained")
bins = np.linspace(information.min(), information.max(), 40)
ax.hist(information[~is_other], bins, color="C0", label="faces")
ax.hist(information[is_other], bins, color="C3", label="others")
ax.set(xlabel="Information of the code in bits", ylabel="Pictures", yscale="symlog")
ax.set_yticks([0, 1, 10, 50], [0, 1, 10, 50])
ax.legend(frameon=False)
plt.show()
