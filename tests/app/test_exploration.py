"""Which encoders and collections can be explored, and how files are read for them."""

from types import SimpleNamespace

import numpy as np
import pytest

from dmzrep.app.explorer._exploration import Exploration
from dmzrep.datasets import ImageReader
from tests.encoders import make_encoder

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
TINY = {"width": (8, 16), "encoder_width": 8, "max_iter": 1, "random_state": 0}


@pytest.mark.parametrize("layout", ["HWC", "CHW", "flat", "reader"])
def test_files_are_read_in_the_layout_of_the_fit(tmp_path, layout):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (64, 16, 16, 3), dtype=np.uint8)
    Image.fromarray(X[0].repeat(4, axis=0).repeat(4, axis=1)).save(tmp_path / "large.png")
    params = dict(TINY)
    if layout == "CHW":
        X = X.transpose(0, 3, 1, 2) / np.float32(255.0)
    elif layout == "flat":
        X, params = X.reshape(64, -1), TINY | {"image_shape": (16, 16, 3)}
    elif layout == "reader":
        params |= {"image_reader": ImageReader(16)}
    exploration = Exploration(make_encoder(16, **params).fit(X))
    picture = exploration.read(tmp_path / "large.png")
    assert picture.sample.shape == (1, *X.shape[1:]) and picture.sample.dtype == X.dtype
    shown = exploration.show(picture.sample)[0]
    original = exploration.show(X[:1])[0]
    assert shown.shape == original.shape == (320, 320, 3) and shown.dtype == np.uint8
    assert np.abs(shown.astype(int) - original.astype(int)).mean() < 40.0  # Lanczos overshoots.


def test_only_encoders_of_images_are_explored(vector_encoder):
    with pytest.raises(ValueError, match="needs an encoder of images"):
        Exploration(vector_encoder)
    with pytest.raises(TypeError, match="encoder must be a fitted DMZEncoder"):
        Exploration("model.safetensors")


def test_only_collections_are_explored(encoder):
    with pytest.raises(TypeError, match="collection must be a fitted ImageCollection, got 'index'"):
        Exploration(encoder, "index")


def test_collection_of_another_model_is_refused(encoder, digits):
    other = make_encoder(16, **TINY).fit(digits)
    with pytest.raises(ValueError, match="indexed with another model"):
        Exploration(encoder, SimpleNamespace(encoder=other, files_=None))
