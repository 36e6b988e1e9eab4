"""Files of encoders: of every format version, damaged, foreign."""

import json
import pickle
import random
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch

from dmzrep import DMZEncoder
from dmzrep.datasets import load_digits_images
from dmzrep.errors import DeviceWarning, PersistenceError
from dmzrep.files._container import FORMAT_VERSION, read_file, write_file
from dmzrep.version import __version__

FIXTURES = Path(__file__).parents[1] / "fixtures"
SMALL = FIXTURES / f"vectors-v{FORMAT_VERSION}.safetensors"


def fixture_rows(kind):
    images = load_digits_images().images[:200]
    return images if kind == "images" else images.reshape(200, 64)[:, 16:32] / 16.0


# -- versions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_files_of_every_version_give_the_codes_that_they_gave(kind, version):
    encoder = DMZEncoder.load(FIXTURES / f"{kind}-v{version}.safetensors", device="cpu")
    rows = fixture_rows(kind)
    codes = np.load(FIXTURES / f"{kind}-v{version}-codes.npy")
    np.testing.assert_allclose(encoder.transform(rows[:20]), codes, atol=1e-4)
    # Codes of no information would agree too.
    assert codes.std(axis=0).min() > 0.01
    assert encoder.inverse_transform(codes[:2], random_state=0).shape == (2, *rows.shape[1:])
    assert encoder.sample(1, n_steps=2, random_state=0).shape == (1, *rows.shape[1:])
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
    assert values["params"]["latent_dim"] == 8 and values["n_iter_"] == 2 and values["prior"]["prior"]


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


# -- foreign files -----------------------------------------------------------------------------------

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("the file's code was run",)


FOREIGN = {
    "empty": b"",
    "png": PNG,
    "pickle": pickle.dumps(Bomb()),
    "zip": b"PK\x03\x04" + bytes(100),
    "text": b"hello " * 100,
    "zeros": bytes(1000),
    "other safetensors": safetensors.numpy.save({"weight": np.zeros(3)}, {"format": "pt"}),
    "no metadata": safetensors.numpy.save({"weight": np.zeros(3)}),
    "deep": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "a list": struct.pack("<Q", 2) + b"[]",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files_are_an_error(tmp_path, kind):
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(FOREIGN[kind])
    assert_refused(path, kind)


def test_our_own_files_of_other_things_are_an_error_that_says_what_they_are(tmp_path):
    path = tmp_path / "index.safetensors"
    write_file(path, {"estimator": "FaissNeighbors"}, {"index": np.zeros(3)})
    with pytest.raises(
        PersistenceError, match=r"index\.safetensors holds a FaissNeighbors, not a DMZEncoder"
    ):
        DMZEncoder.load(path)


def peak_of_refusal(path):
    tracemalloc.start()
    try:
        assert_refused(path, "a huge claim")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**40, 10**9])
def test_a_header_that_claims_a_huge_size_allocates_nothing(tmp_path, length):
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", length) + SMALL.read_bytes()[8:])
    assert peak_of_refusal(path) < 2**20


def test_arrays_that_claim_a_huge_size_allocate_nothing(tmp_path):
    content = SMALL.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    name = next(name for name in header if name.startswith("model."))
    header[name] |= {"shape": [2**40], "data_offsets": [0, 2**42]}
    claim = json.dumps(header).encode()
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", len(claim)) + claim + content[8 + length :])
    assert peak_of_refusal(path) < 2**20


@pytest.mark.parametrize(
    "claim",
    [{"widths": [2**20]}, {"latent_dim": 2**30}, {"depth": [10**9]}, {"encoder_width": 2**24}],
    ids=str,
)
def test_a_whole_file_whose_networks_claim_more_than_its_weights_is_refused_before_they_are_built(
    tmp_path, claim
):
    values, arrays = read_file(SMALL)
    path = tmp_path / "claim.safetensors"
    write_file(path, values | {"network": values["network"] | claim}, arrays)
    with pytest.raises(PersistenceError, match="does not hold a whole DMZEncoder"):
        DMZEncoder.load(path)


@pytest.mark.parametrize("missing", ["network", "objective", "params", "history", "data_format"])
def test_a_whole_file_that_lacks_something_names_it(tmp_path, missing):
    values, arrays = read_file(SMALL)
    values.pop(missing)
    write_file(tmp_path / "part.safetensors", values, arrays)
    with pytest.raises(PersistenceError, match=rf"part\.safetensors does not hold .*{missing}"):
        DMZEncoder.load(tmp_path / "part.safetensors")
