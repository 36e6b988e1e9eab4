"""
Find near-duplicates in a folder
================================

:class:`~dmzrep.collection.ImageCollection` finds copies of pictures that were resized, cropped, compressed,
rotated or brightened. Codes select candidates, and their pixels are compared after alignment.
"""

# %%
# A folder with planted copies
# ----------------------------
#
# The folder has 600 faces of 128 x 128 pixels and edited copies of 30 of them. All faces are alike, which
# makes the task hard: two faces that differ only in the mouth are not duplicates.

from pathlib import Path
from tempfile import mkdtemp

from PIL import Image, ImageEnhance

from dmzrep.datasets import load_avatars

X, _ = load_avatars(return_X_y=True)
folder = Path(mkdtemp())
edits = {
    "brightened": lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
    "cropped": lambda picture: picture.crop((8, 6, 122, 120)),
    "rotated": lambda picture: picture.rotate(4, Image.Resampling.BICUBIC, fillcolor="white"),
    "resized": lambda picture: picture.resize((80, 80)),
    "compressed": lambda picture: picture,
}
for i, image in enumerate(X[:600]):
    picture = Image.fromarray(image).resize((128, 128), Image.Resampling.BICUBIC)
    picture.save(folder / f"face{i:03d}.png")
    if i < 30:
        name = list(edits)[i % 5]
        edits[name](picture).save(
            folder / f"face{i:03d}_{name}.jpg", quality=40 if name == "compressed" else 85
        )

# %%
# Groups of the same picture
# --------------------------
#
# Recognising copies needs no decoder: ``max_iter=0`` fits the encoder alone, in seconds. Views that are
# shifted, rotated and mirrored make the codes of copies agree.

from dmzrep import DMZEncoder
from dmzrep.collection import ImageCollection
from dmzrep.datasets import ImageReader

encoder = DMZEncoder(
    64, max_iter=0, encoder_augment="affine_flip", image_reader=ImageReader(64), random_state=0
).fit(folder)
collection = ImageCollection(encoder).fit(folder)
duplicates = collection.duplicates()
duplicates.assign(path=duplicates["path"].map(lambda path: Path(path).name)).head(6)

# %%
# Each group has one picture to keep, the largest. No file is moved or deleted. The threshold is calibrated on
# edited copies of pictures in the folder, and the number of pairs of different pictures below it is
# estimated:

planted = {path.name[:7] for path in folder.glob("*_*.jpg")}
groups = [{Path(path).name[:7] for path in group} for _, group in duplicates.groupby("group")["path"]]
found = {name for group in groups for name in group if len(group) == 1}
print(f"{len(found & planted)} of {len(planted)} planted copies found")
print(f"{sum(len(group) > 1 for group in groups)} groups of different faces")
print(f"{duplicates.attrs['expected_false_pairs']:.2f} false pairs expected")

# %%
# The first ten groups, with the picture to keep above, and its copy below.

import matplotlib.pyplot as plt

figure, axes = plt.subplots(2, 10, figsize=(10, 2.4), layout="constrained")
for (_, group), column in zip(duplicates.groupby("group"), axes.T, strict=False):
    kept_first = group.sort_values("keep", ascending=False)
    for ax, path in zip(column, kept_first["path"], strict=False):
        ax.imshow(Image.open(path))
        edit = Path(path).stem.partition("_")[2] or "original"
        ax.set_title(edit, fontsize=8, pad=2)
for ax in axes.flat:
    ax.axis("off")
plt.show()

# %%
# ``duplicates("similar")`` lists pictures with similar codes that are not the same. From a shell, the same
# search is ``dmzrep report FOLDER -o report.html``.
