"""
Find outliers in a folder
=========================

A folder that was collected automatically contains pictures that do not belong there.
``ImageCollection.outliers`` lists empty pictures and those with rare codes. Pictures of another kind are far
from the training images.
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
# A folder with ten pictures that are not faces
# ---------------------------------------------

from tempfile import mkdtemp

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.metrics import roc_auc_score

from dmzrep.datasets import load_digits_images, make_sprites

sprites = make_sprites(4, random_state=0).images
digits = load_digits_images().images[:4].repeat(4, axis=1).repeat(4, axis=2)
flat = np.full((2, 32, 32), [[[10]], [[200]]], dtype=np.uint8)
others = [*sprites, *digits, *flat]
folder = Path(mkdtemp())
for i, image in enumerate([*X_test[:490], *others]):
    Image.fromarray(image).save(folder / f"{'face' if i < 490 else 'other'}{i:03d}.png")

# %%
# Empty pictures and rare codes
# -----------------------------
#
# "flat", "dark" and "bright" pictures contain little information. The score of a "rare" picture is the
# information of its code: minus the logarithm of its probability, in bits, under a model fitted to the codes
# of the folder.

from dmzrep.collection import ImageCollection
from dmzrep.datasets import ImageReader

collection = ImageCollection(encoder, image_reader=ImageReader(32)).fit(folder)
outliers = collection.outliers(10)
outliers.assign(path=outliers["path"].map(lambda path: Path(path).name)).groupby("kind").head(3).round(2)

# %%
# Distance from the training images
# ---------------------------------
#
# Rare codes are those of unusual faces. Every picture has a code, and that of another kind of picture need
# not be rare. Its logits, however, are far from those of all images that the encoder was trained on.

from dmzrep.retrieval import FaissNeighbors

encoder.output = "logits"
training = FaissNeighbors(1, metric="cosine").fit(encoder.transform(X_train))
distances, _ = training.kneighbors(collection.logits_.astype(np.float32))
scores = pd.DataFrame(
    {
        "name": collection.files_["path"].map(lambda path: Path(path).name),
        "information of the code": collection.information(),
        "distance from training": distances[:, 0],
    }
)
is_other = scores["name"].str.startswith("other")
for name in scores.columns[1:]:
    print(f"{name}: AUROC {roc_auc_score(is_other, scores[name]):.2f}")

# %%
# The ten pictures with the highest score by each method; those that are not faces are framed in red. Look
# through such a list before you delete anything: unusual pictures of the right kind are outliers too.

import matplotlib.pyplot as plt

figure, axes = plt.subplots(2, 10, figsize=(10, 2.7), layout="constrained")
for row, name in zip(axes, scores.columns[1:], strict=True):
    row[0].set_ylabel(name.replace(" of", "\nof").replace(" from", "\nfrom"), fontsize=8)
    for ax, picture in zip(row, scores.nlargest(10, name)["name"], strict=True):
        ax.imshow(Image.open(folder / picture).convert("RGB"))
        ax.set(xticks=[], yticks=[])
        planted = picture.startswith("other")
        for spine in ax.spines.values():
            spine.set(color="C3" if planted else "0.8", linewidth=3 if planted else 1)
plt.show()
