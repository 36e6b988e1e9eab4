"""Exported encoders return what `transform` returns."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import dmzrep
from dmzrep import hamming_neighbors
from dmzrep.datasets import make_sprites
from tests.encoders import make_encoder

onnxruntime = pytest.importorskip("onnxruntime")
#: A search with NumPy and ONNX Runtime alone.
SEARCH = """
import sys
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("encoder.onnx")
name = session.get_inputs()[0].name
images, queries = (session.run(None, {name: np.load(f)})[0] > 0.5 for f in ("images.npy", "queries.npy"))
for distances in (queries[:, None] != images).sum(axis=2):
    print(np.sort(distances)[:5].tolist())
assert "torch" not in sys.modules and "dmzrep" not in sys.modules
"""


@pytest.fixture(scope="module")
def sprites():
    return make_sprites(120, return_X_y=True, random_state=0)[0]


def fitted(X, **params):
    small = {"width": (8, 16), "encoder_width": 8, "max_iter": 1, "random_state": 0}
    return make_encoder(16, **(small | params)).fit(X)


def exported(encoder, folder):
    encoder.export_encoder(folder / "encoder.onnx")
    return onnxruntime.InferenceSession(folder / "encoder.onnx")


def assert_returns_what_transform_returns(encoder, session, X):
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    for samples in (X[:1], X[:3], X):
        expected = encoder.transform(samples)
        (codes,) = session.run(None, {name: samples})
        assert output == encoder.output and codes.dtype == expected.dtype and codes.shape == expected.shape
        np.testing.assert_allclose(codes, expected, rtol=0, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 0.1  # Codes are not constant.


@pytest.mark.parametrize(
    ("layout", "init", "output"),
    [
        ("HW", "cca", "probabilities"),
        ("HWC", "contrast_pca", "logits"),
        pytest.param("CHW", "itq", "logits", marks=pytest.mark.slow),
        pytest.param("flattened HWC", "random", "logits", marks=pytest.mark.slow),
    ],
)
def test_an_exported_encoder_takes_images_as_transform_does(layout, init, output, sprites, tmp_path):
    X, params = sprites, {"init": init, "output": output}
    if layout == "HW":
        X = X[..., 0][:, :28, :28]  # 28 is not a multiple of the grid of 8 to which the encoder pools.
    elif layout == "CHW":
        X = (X / 255.0).astype(np.float32).transpose(0, 3, 1, 2)
    elif layout == "flattened HWC":
        X, params["image_shape"] = X.reshape(len(X), -1) / 255.0, X.shape[1:]
    encoder = fitted(X, **params)
    session = exported(encoder, tmp_path)
    assert_returns_what_transform_returns(encoder, session, X)
    assert session.get_modelmeta().custom_metadata_map == {
        "input_name": "images",
        "input_layout": layout,
        "input_shape": json.dumps(["n", *X.shape[1:]]),
        "input_dtype": X.dtype.name,
        "value_range": json.dumps([0.0, 255.0 if X.dtype == np.uint8 else 1.0]),
        "output": output,
        "latent_dim": "16",
        "dmzrep_version": dmzrep.__version__,
    }


def test_an_exported_encoder_standardises_vectors(vector_encoder, vectors, tmp_path):
    session = exported(vector_encoder, tmp_path)
    assert_returns_what_transform_returns(vector_encoder, session, vectors)
    metadata = session.get_modelmeta().custom_metadata_map
    assert (metadata["input_layout"], metadata["value_range"]) == ("features", "null")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bool", "int64", "uint16", "float16", ">f4"])
def test_images_of_other_dtypes_are_exported(dtype, sprites, tmp_path):
    whole = np.dtype(dtype).kind in "iu"
    X = sprites > 100 if dtype == "bool" else (sprites / 255.0 * (1000 if whole else 1)).astype(dtype)
    encoder = fitted(X, **({"value_range": (0, 1000)} if whole else {}))
    native = X.astype(X.dtype.newbyteorder("="))
    assert_returns_what_transform_returns(encoder, exported(encoder, tmp_path), native)


@pytest.mark.slow
@pytest.mark.parametrize("init", ["cca", "contrast_pca", "itq", "pca"])
def test_large_images_are_exported(init, tmp_path):
    X = np.random.default_rng(0).integers(0, 256, (60, 50, 70, 3), dtype=np.uint8)
    encoder = fitted(X, init=init, output="logits")
    assert_returns_what_transform_returns(encoder, exported(encoder, tmp_path), X)


@pytest.fixture(scope="module")
def bits_encoder(digits):
    return fitted(digits, output="bits")


def test_bits_are_searched_without_torch(bits_encoder, digits, tmp_path):
    bits_encoder.export_encoder(str(tmp_path / "encoder.onnx"))
    assert os.listdir(tmp_path) == ["encoder.onnx"]
    np.save(tmp_path / "images.npy", digits[10:])
    np.save(tmp_path / "queries.npy", digits[:10])
    done = subprocess.run([sys.executable, "-c", SEARCH], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    bits = bits_encoder.transform(digits)
    distances, _ = hamming_neighbors(bits[:10], bits[10:], 5)
    assert [json.loads(line) for line in done.stdout.splitlines()] == distances.tolist()


def test_an_encoder_that_cannot_be_exported_is_refused(bits_encoder, digits, tmp_path):
    with pytest.raises(ValueError, match="has no code"):
        fitted(digits[:64], conditioning="none").export_encoder(tmp_path / "encoder.onnx")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing"):
        bits_encoder.export_encoder(tmp_path / "missing" / "encoder.onnx")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        bits_encoder.export_encoder(tmp_path)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_named_with_its_extra(package, bits_encoder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'{package}.*pip install "dmzrep\[onnx\]"'):
        bits_encoder.export_encoder(tmp_path / "encoder.onnx")
