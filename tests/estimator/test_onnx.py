"""Encoders as ONNX models give what `transform` gives."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import dmzrep
from dmzrep import DMZEncoder, hamming_neighbors
from dmzrep.data import ImageFormat
from dmzrep.datasets import make_sprites
from dmzrep.estimator._onnx import describe_input
from tests.encoders import make_encoder

onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")  # One epoch teaches little.
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sprites():
    return make_sprites(120, return_X_y=True, random_state=0)[0]


def fitted(X, **params):
    small = {"width": (8, 16), "encoder_width": 8, "max_iter": 1, "random_state": 0}
    return make_encoder(16, **(small | params)).fit(X)


def exported(encoder, folder):
    path = folder / "encoder.onnx"
    encoder.export_encoder(path)
    return onnxruntime.InferenceSession(path)


def assert_gives_what_transform_gives(encoder, session, X):
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    for rows in (X[:1], X[:3], X):
        expected = encoder.transform(rows)
        (codes,) = session.run(None, {name: rows})
        assert output == encoder.output and codes.dtype == expected.dtype and codes.shape == expected.shape
        np.testing.assert_allclose(codes, expected, rtol=0, atol=1e-4)
    # A model that gave a constant would not do.
    assert np.ptp(expected, axis=0).max() > 0.1


@pytest.mark.parametrize(
    ("layout", "init", "output"),
    [
        ("gray", "cca", "probabilities"),
        ("last", "contrast_pca", "logits"),
        ("first", "itq", "logits"),
        ("flat", "random", "logits"),
    ],
)
def test_an_exported_encoder_takes_images_as_transform_does(layout, init, output, sprites, tmp_path):
    X, params = sprites, {"init": init, "output": output}
    if layout == "gray":
        X = X[..., 0][:, :28, :28]  # 28 is no multiple of the grid of 8 on which the start pools.
    elif layout == "first":
        X = (X / 255.0).astype(np.float32).transpose(0, 3, 1, 2)
    elif layout == "flat":
        X, params["image_shape"] = X.reshape(len(X), -1) / 255.0, X.shape[1:]
    encoder = fitted(X, **params)
    session = exported(encoder, tmp_path)
    assert_gives_what_transform_gives(encoder, session, X)
    about = session.get_modelmeta().custom_metadata_map
    high = 255.0 if X.dtype == np.uint8 else 1.0
    assert about == {
        "input_name": "images",
        "input_layout": {"gray": "HW", "last": "HWC", "first": "CHW", "flat": "flattened HWC"}[layout],
        "input_shape": json.dumps(["n", *X.shape[1:]]),
        "input_dtype": X.dtype.name,
        "value_range": json.dumps([0.0, high]),
        "output": output,
        "latent_dim": "16",
        "dmzrep_version": dmzrep.__version__,
    }


def test_an_exported_encoder_standardises_vectors(vector_encoder, vectors, tmp_path):
    session = exported(vector_encoder, tmp_path)
    assert_gives_what_transform_gives(vector_encoder, session, vectors)
    about = session.get_modelmeta().custom_metadata_map
    assert (about["input_layout"], about["value_range"]) == ("features", "null")
    assert about["input_shape"] == json.dumps(["n", vectors.shape[1]])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bool", "int64", "uint16", "float16", ">f4"])
def test_images_of_other_dtypes_are_taken_too(dtype, sprites, tmp_path):
    whole = np.dtype(dtype).kind in "iu"
    X = sprites > 100 if dtype == "bool" else (sprites / 255.0 * (1000 if whole else 1)).astype(dtype)
    encoder = fitted(X, **({"value_range": (0, 1000)} if whole else {}))
    session = exported(encoder, tmp_path)
    native = X.astype(X.dtype.newbyteorder("="))
    assert_gives_what_transform_gives(encoder, session, native)


@pytest.mark.slow
@pytest.mark.parametrize("init", ["cca", "contrast_pca", "itq", "pca"])
def test_large_images_that_are_averaged_to_an_uneven_grid_are_taken_too(init, tmp_path):
    X = np.random.default_rng(0).integers(0, 256, (60, 50, 70, 3), dtype=np.uint8)
    encoder = fitted(X, init=init, output="logits")
    assert_gives_what_transform_gives(encoder, exported(encoder, tmp_path), X)


@pytest.fixture(scope="module")
def bits_encoder(digits):
    return fitted(digits, output="bits")


def test_bits_are_searched_without_torch(bits_encoder, digits, tmp_path):
    bits_encoder.export_encoder(str(tmp_path / "encoder.onnx"))
    np.save(tmp_path / "images.npy", digits[10:])
    np.save(tmp_path / "queries.npy", digits[:10])
    code = (
        "import runpy, sys\n"
        "sys.argv = ['search', 'encoder.onnx', 'images.npy', 'queries.npy']\n"
        f"runpy.run_path({str(ROOT / 'examples' / 'search_without_torch.py')!r}, run_name='__main__')\n"
        "assert 'torch' not in sys.modules and 'dmzrep' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    bits = bits_encoder.transform(digits)
    distances, _ = hamming_neighbors(bits[:10], bits[10:], 5)
    assert [line.split(", ", 5)[-1] for line in done.stdout.splitlines()] == [
        f"{row} bits away" for row in distances.tolist()
    ]


def test_an_export_leaves_the_encoder_as_it_was(bits_encoder, digits, tmp_path):
    before, mode = bits_encoder.transform(digits[:9]), bits_encoder.model_.training
    bits_encoder.export_encoder(tmp_path / "encoder.onnx")
    np.testing.assert_array_equal(bits_encoder.transform(digits[:9]), before)
    assert bits_encoder.model_.training == mode
    assert os.listdir(tmp_path) == ["encoder.onnx"]


def test_an_encoder_that_is_not_fitted_is_not_exported(tmp_path):
    with pytest.raises(NotFittedError):
        DMZEncoder().export_encoder(tmp_path / "encoder.onnx")


def test_a_model_without_a_code_is_not_exported(digits, tmp_path):
    encoder = fitted(digits, conditioning="none")
    with pytest.raises(ValueError, match="has no code"):
        encoder.export_encoder(tmp_path / "encoder.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_named_with_its_extra(package, bits_encoder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'{package}.*pip install "dmzrep\[onnx\]"'):
        bits_encoder.export_encoder(tmp_path / "encoder.onnx")


def test_a_path_that_cannot_be_written_is_refused_before_the_export(bits_encoder, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing"):
        bits_encoder.export_encoder(tmp_path / "missing" / "encoder.onnx")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        bits_encoder.export_encoder(tmp_path)
    monkeypatch.setattr(os, "access", lambda *arguments: False)  # Root may write everywhere.
    with pytest.raises(PermissionError, match="is not writable"):
        bits_encoder.export_encoder(tmp_path / "encoder.onnx")


def test_an_output_that_does_not_exist_is_refused(bits_encoder, tmp_path):
    with pytest.raises(ValueError, match="output must be one of"):
        bits_encoder.set_params(output="codes").export_encoder(tmp_path / "encoder.onnx")
    bits_encoder.set_params(output="bits")


def test_swapped_bytes_are_described_by_the_native_dtype():
    about = describe_input(ImageFormat("HW", (1, 8, 8), True, ">f4", 0.0, 1.0))
    assert about["input_dtype"] == "float32" and about["input_layout"] == "flattened HW"
