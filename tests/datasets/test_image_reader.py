"""Picture files in the place of samples."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from dmzrep import DMZEncoder
from dmzrep.datasets import ImageReader, load_images

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures of different sizes in two folders."""
    rng = np.random.default_rng(0)
    for i in range(12):
        place = tmp_path / "photos" / ("a" if i < 6 else "b")
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (20 + i, 40 - i, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{i:02}.png")
    return tmp_path / "photos"


@pytest.fixture
def reader(tmp_path):
    return ImageReader(16, cache_dir=tmp_path / "cache", n_jobs=1)


@pytest.fixture
def encoder(folder, reader):
    return DMZEncoder(8, max_iter=0, init="pca", image_reader=reader, random_state=0).fit(folder)


def test_a_folder_a_list_and_single_files_are_read_alike(folder, reader):
    files = sorted(folder.rglob("*.png"))
    expected = load_images(folder, 16, cache_dir=reader.cache_dir).images
    for paths in (folder, str(folder), files, np.array([str(f) for f in files]), pd.Series(map(str, files))):
        np.testing.assert_array_equal(reader.transform(paths), expected)
    np.testing.assert_array_equal(reader.transform(files[3]), expected[3:4])
    np.testing.assert_array_equal(reader.open(files[::-1], repeatedly=True), expected[::-1])
    np.testing.assert_array_equal(reader.open([files[2], files[2]], repeatedly=True), expected[[2, 2]])


def test_a_reader_is_a_step_of_a_pipeline(folder, reader):
    table = pd.DataFrame({"path": [str(path) for path in sorted(folder.rglob("*.png"))]})
    flat = make_pipeline(clone(reader), FunctionTransformer(lambda images: images.reshape(len(images), -1)))
    assert flat.fit_transform(table).shape == (12, 16 * 16 * 3)


def test_codes_of_paths_are_those_of_the_pictures_read_in_the_same_way(folder, encoder, reader):
    files = sorted(folder.rglob("*.png"))
    codes = encoder.transform(load_images(folder, 16, cache_dir=reader.cache_dir).images)
    np.testing.assert_array_equal(encoder.transform(folder), codes)
    np.testing.assert_allclose(encoder.transform(files[4]), codes[4:5], atol=1e-5)


def test_the_way_to_read_files_is_stored_with_the_encoder(folder, encoder, tmp_path):
    encoder.save(tmp_path / "encoder.safetensors", model_card=True)
    loaded = DMZEncoder.load(tmp_path / "encoder.safetensors")
    assert loaded.image_reader_.rendering == encoder.image_reader_.rendering
    assert loaded.image_reader_.cache_dir is None
    files = sorted(folder.rglob("*.png"))
    np.testing.assert_array_equal(loaded.transform(files), encoder.transform(files))
    assert '"filter": "lanczos"' in (tmp_path / "encoder.md").read_text()


def test_onnx_metadata_say_how_files_become_arrays(encoder, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    encoder.export_encoder(tmp_path / "encoder.onnx")
    metadata = {m.key: m.value for m in onnx.load(tmp_path / "encoder.onnx").metadata_props}
    assert json.loads(metadata["image_reader"]) == {
        **{"size": [16, 16], "mode": "RGB", "resize": "crop", "background": "white"},
        **{"filter": "lanczos", "orientation": "EXIF"},
    }


def test_unreadable_files_are_left_out_of_training_and_named_in_encoding(folder, encoder, reader):
    bad = folder / "a" / "bad.png"
    bad.write_bytes(b"")
    files = [*sorted(folder.rglob("*.png")), folder / "missing.png"]
    with pytest.warns(UserWarning, match=r"2 of 14 files"):
        assert len(reader.open(files, repeatedly=True)) == 12
    with pytest.raises(ValueError, match=r"bad\.png cannot be read as a picture"):
        encoder.transform(files)
    with pytest.raises(FileNotFoundError, match=r"no picture file .*missing\.png"):
        encoder.transform(files[-1])


def test_paths_need_a_reader(folder):
    X = np.random.default_rng(0).random((12, 16, 16, 3))
    encoder = DMZEncoder(8, max_iter=0, init="pca", random_state=0).fit(X)
    assert encoder.image_reader_ is None
    with pytest.raises(ValueError, match="fitted to arrays and has no ImageReader to read image files"):
        encoder.transform(folder)
    with pytest.raises(ValueError, match=r"pictures of shape \(8, 8, 3\)"):
        clone(encoder).set_params(image_reader=ImageReader(8)).fit(X)
