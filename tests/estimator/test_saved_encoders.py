"""Files of encoders: what they give back, and damaged ones; see tests/files for crafted ones."""

import json
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch

from dmzrep import DMZEncoder
from dmzrep.datasets import load_digits_images
from dmzrep.errors import DeviceWarning, PersistenceError
from dmzrep.files._container import FORMAT_VERSION
from dmzrep.files._state import write_state
from dmzrep.version import __version__

FIXTURES = Path(__file__).parents[1] / "fixtures"
SMALL = FIXTURES / f"vectors-v{FORMAT_VERSION}.safetensors"


def fixture_samples(kind):
    images = load_digits_images().images[:200]
    return images if kind == "images" else images.reshape(200, 64)[:, 16:32] / 16.0


# -- versions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_a_file_gives_the_codes_that_it_gave(kind):
    encoder = DMZEncoder.load(FIXTURES / f"{kind}-v{FORMAT_VERSION}.safetensors", device="cpu")
    samples = fixture_samples(kind)
    codes = np.load(FIXTURES / f"{kind}-v{FORMAT_VERSION}-codes.npy")
    np.testing.assert_allclose(encoder.transform(samples[:20]), codes, atol=1e-4)
    # Codes of no information would agree too.
    assert codes.std(axis=0).min() > 0.01
    assert encoder.inverse_transform(codes[:2], random_state=0).shape == (2, *samples.shape[1:])
    assert encoder.sample(1, n_steps=2, random_state=0).shape == (1, *samples.shape[1:])
    assert encoder.get_params()["latent_dim"] == encoder.prior_.n_features_in_ == 8
    assert len(encoder.history_) == encoder.n_iter_ == 2


def test_the_header_tells_versions_and_settings_without_this_package():
    with safetensors.safe_open(SMALL, "numpy") as file:
        metadata = file.metadata()
    assert (metadata["format"], metadata["version"]) == ("dmzrep", str(FORMAT_VERSION))
    libraries = json.loads(metadata["libraries"])
    assert libraries.keys() == {"dmzrep", "torch", "numpy", "scikit-learn", "safetensors", "python"}
    assert libraries["dmzrep"] == __version__
    values = json.loads(metadata["values"])
    assert values["kind"] == "DMZEncoder" and values["state"]["params"]["latent_dim"] == 8
    assert values["state"]["results"]["n_iter_"] == 2


def test_the_first_load_imports_no_compiler():
    code = (
        "import sys, torch, sklearn; from dmzrep import DMZEncoder; known = set(sys.modules);"
        "DMZEncoder.load(sys.argv[1]); new = set(sys.modules) - known;"
        "sys.exit(f'{sorted(new)}' if 'sympy' in new or len(new) > 40 else 0)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(FIXTURES / f"images-v{FORMAT_VERSION}.safetensors")], check=True
    )


def test_load_puts_the_networks_on_the_device_that_is_asked_for(monkeypatch):
    encoder = DMZEncoder.load(SMALL, device="cpu")
    assert encoder.device == "cpu" and encoder.device_ == torch.device("cpu")
    with pytest.raises(ValueError, match="must be 'auto', 'cpu'"):
        DMZEncoder.load(SMALL, device="elsewhere")
    if not torch.cuda.is_available():
        with pytest.warns(DeviceWarning, match="torch sees no CUDA device here"):
            moved = DMZEncoder.load(SMALL, device="cuda")
        assert moved.device_.type != "cuda"


# -- damage ------------------------------------------------------------------------------------------


def assert_refused(path, what):
    with pytest.raises(PersistenceError, match=str(path)) as caught:
        DMZEncoder.load(path, device="cpu")
        pytest.fail(f"{what} went unnoticed")
    assert len(str(caught.value)) < 500


def test_a_bit_flipped_anywhere_is_an_error(tmp_path):
    content, path, draw = bytearray(SMALL.read_bytes()), tmp_path / "flipped.safetensors", random.Random(0)
    header = 8 + struct.unpack("<Q", content[:8])[0]
    # Half of them in the header, which is a tenth of the file.
    places = draw.sample(range(8 * header), 250) + draw.sample(range(8 * len(content)), 250)
    for place in places:
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        assert_refused(path, f"bit {place}")
        content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
    DMZEncoder.load(path, device="cpu")


def test_a_file_cut_anywhere_is_an_error(tmp_path):
    content, path, draw = SMALL.read_bytes(), tmp_path / "cut.safetensors", random.Random(0)
    for length in [0, 7, 8, len(content) - 1, *draw.sample(range(len(content)), 496)]:
        path.write_bytes(content[:length])
        assert_refused(path, f"a cut at {length}")


@pytest.mark.parametrize("tail", [b"\0", b" ", b"\n" * 4096])
def test_bytes_behind_the_end_are_an_error(tmp_path, tail):
    path = tmp_path / "long.safetensors"
    path.write_bytes(SMALL.read_bytes() + tail)
    assert_refused(path, f"{tail[:1]!r} behind the end")


def test_metadata_that_someone_added_or_changed_is_an_error(tmp_path):
    arrays = safetensors.numpy.load_file(SMALL)
    with safetensors.safe_open(SMALL, "numpy") as file:
        metadata = file.metadata()
    path = tmp_path / "changed.safetensors"
    for change in ({"note": "x"}, {"libraries": "{}"}, {"values": metadata["values"] + " "}):
        safetensors.numpy.save_file(arrays, path, metadata | change)
        assert_refused(path, str(change))


# -- other files -------------------------------------------------------------------------------------


def test_our_own_files_of_other_things_are_an_error_that_says_what_they_are(tmp_path):
    path = tmp_path / "index.safetensors"
    write_state(path, "FaissNeighbors", {"index": np.zeros(3)})
    with pytest.raises(
        PersistenceError, match=r"index\.safetensors holds a FaissNeighbors, not a DMZEncoder"
    ):
        DMZEncoder.load(path)
