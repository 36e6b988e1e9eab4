"""Folders of pictures that are unlike each other, with edited copies of some; collections of them."""

import numpy as np
import pytest

from dmzrep import DMZEncoder
from dmzrep.collection import ImageCollection
from dmzrep.datasets import ImageReader

Image = pytest.importorskip("PIL.Image")
ImageEnhance = pytest.importorskip("PIL.ImageEnhance")

#: Names of the pictures of which there are edited copies, by edit.
EDITED = {
    "jpeg": "00",
    "crop": "01",
    "turn": "02",
    "bright": "03",
    "half": "04",
    "mirror": "05",
    "twin": "06",
}


def smooth_picture(rng, size=(120, 90)):
    """Return a picture of smooth random colours."""
    coarse = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def write_pictures(folder, n=40, seed=0):
    """Write n pictures into a folder `a`, and copies of the first into a folder `b`."""
    rng = np.random.default_rng(seed)
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    pictures = [smooth_picture(rng) for _ in range(n)]
    for i, picture in enumerate(pictures):
        picture.save(folder / "a" / f"{i:02}.png")
    copies = folder / "b"
    pictures[0].save(copies / "jpeg.jpg", quality=50)
    pictures[1].crop((6, 4, 114, 84)).save(copies / "crop.png")
    pictures[2].rotate(4, Image.Resampling.BICUBIC, fillcolor="white").save(copies / "turn.png")
    ImageEnhance.Brightness(pictures[3]).enhance(0.8).save(copies / "bright.png")
    pictures[4].resize((60, 45)).save(copies / "half.png")
    pictures[5].transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(copies / "mirror.png")
    (copies / "twin.png").write_bytes((folder / "a" / "06.png").read_bytes())
    return folder


def names(table):
    """Return the file names of a table's paths."""
    return [path.rsplit("/", 1)[1] for path in table["path"]]


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures") / "photos")


@pytest.fixture(scope="session")
def picture_encoder(photos, tmp_path_factory):
    reader = ImageReader(32, n_jobs=1, cache_dir=tmp_path_factory.mktemp("cache"))
    encoder = DMZEncoder(
        16, max_iter=0, init="cca", encoder_augment="affine_flip", image_reader=reader, random_state=0
    )
    return encoder.fit(photos)


@pytest.fixture(scope="session")
def collection(photos, picture_encoder):
    return ImageCollection(picture_encoder, n_jobs=1).fit(photos)
