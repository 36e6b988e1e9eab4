"""Files of encoders, of this version and damaged ones; tests/files has crafted ones."""

import json
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors

from dmzrep import DMZEncoder
from dmzrep.datasets import load_digits_images
from dmzrep.errors import PersistenceError
from dmzrep.files._container import FORMAT_VERSION
from dmzrep.files._state import write_state
from dmzrep.version import __version__

FIXTURES = Path(__file__).parents[1] / "fixtures"
FILES = {kind: FIXTURES / f"{kind}-v{FORMAT_VERSION}.safetensors" for kind in ("images", "vectors")}


@pytest.mark.parametrize("kind", FILES)
def test_a_saved_file_returns_the_same_codes(kind):
    images = load_digits_images().images[:200]
    X = images if kind == "images" else images.reshape(200, 64)[:, 16:32] / 16.0
    encoder = DMZEncoder.load(FILES[kind], device="cpu")
    codes = np.load(FIXTURES / f"{kind}-v{FORMAT_VERSION}-codes.npy")
    np.testing.assert_allclose(encoder.transform(X[:20]), codes, atol=1e-4)
    assert codes.std(axis=0).min() > 0.01  # Codes are not constant.
    assert encoder.inverse_transform(codes[:2], random_state=0).shape == (2, *X.shape[1:])
    assert encoder.sample(1, n_steps=2, random_state=0).shape == (1, *X.shape[1:])
    assert encoder.get_params()["latent_dim"] == encoder.prior_.n_features_in_ == 8
    assert len(encoder.history_) == encoder.n_iter_ == 2


def test_versions_and_settings_can_be_read_without_dmzrep():
    with safetensors.safe_open(FILES["vectors"], "numpy") as file:
        metadata = file.metadata()
    assert (metadata["format"], metadata["version"]) == ("dmzrep", str(FORMAT_VERSION))
    libraries = json.loads(metadata["libraries"])
    assert libraries.keys() == {"dmzrep", "torch", "numpy", "scikit-learn", "safetensors", "python"}
    assert libraries["dmzrep"] == __version__
    values = json.loads(metadata["values"])
    assert values["kind"] == "DMZEncoder" and values["state"]["params"]["latent_dim"] == 8
    assert values["state"]["results"]["n_iter_"] == 2


def test_load_imports_no_compiler():
    code = (
        "import sys, torch, sklearn; from dmzrep import DMZEncoder; known = set(sys.modules);"
        "DMZEncoder.load(sys.argv[1]); new = set(sys.modules) - known;"
        "sys.exit(f'{sorted(new)}' if 'sympy' in new or len(new) > 40 else 0)"
    )
    subprocess.run([sys.executable, "-c", code, str(FILES["images"])], check=True)


# -- damage ------------------------------------------------------------------------------------------


def assert_refused(path, damage):
    with pytest.raises(PersistenceError, match=str(path)) as caught:
        DMZEncoder.load(path, device="cpu")
        pytest.fail(f"{damage} went unnoticed")
    assert len(str(caught.value)) < 500


def test_a_flipped_bit_is_an_error(tmp_path):
    content, path = bytearray(FILES["vectors"].read_bytes()), tmp_path / "flipped.safetensors"
    draw = random.Random(0)
    header = 8 + struct.unpack("<Q", content[:8])[0]
    # Half of them in the header, which is a tenth of the file.
    for place in draw.sample(range(8 * header), 150) + draw.sample(range(8 * len(content)), 150):
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        assert_refused(path, f"bit {place}")
        content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
    DMZEncoder.load(path, device="cpu")


def test_a_truncated_file_is_an_error(tmp_path):
    content, path = FILES["vectors"].read_bytes(), tmp_path / "truncated.safetensors"
    lengths = random.Random(0).sample(range(len(content)), 496)
    for length in [0, 7, 8, len(content) - 1, *lengths]:
        path.write_bytes(content[:length])
        assert_refused(path, f"truncation at {length}")


def test_files_of_other_kinds_are_an_error(tmp_path):
    path = tmp_path / "index.safetensors"
    write_state(path, "FaissNeighbors", {"index": np.zeros(3)})
    with pytest.raises(PersistenceError, match="holds a FaissNeighbors, not a DMZEncoder"):
        DMZEncoder.load(path)
    path.write_bytes(b"not a model")
    with pytest.raises(PersistenceError, match=r"not a \w+ dmzrep file"):
        DMZEncoder.load(path)
