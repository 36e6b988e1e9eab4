"""`transform` writes codes into an array of the user's choice."""

import pickle

import numpy as np
import pytest


@pytest.mark.parametrize("output", ["probabilities", "logits", "bits"])
def test_codes_are_written_into_a_memmap(output, encoder, digits, tmp_path):
    encoder = pickle.loads(pickle.dumps(encoder)).set_params(output=output)
    expected = encoder.transform(digits)
    path = tmp_path / "codes.npy"
    out = np.lib.format.open_memmap(path, mode="w+", dtype=expected.dtype, shape=expected.shape)
    assert encoder.transform(digits, out=out) is out
    out.flush()
    np.testing.assert_array_equal(np.load(path), expected)


def test_codes_are_written_into_a_slice(encoder, digits):
    codes = np.full((30, 16), -1.0, dtype=np.float32)
    encoder.transform(digits[:10], out=codes[10:20])
    np.testing.assert_array_equal(codes[10:20], encoder.transform(digits[:10]))
    assert (codes[:10] == -1.0).all() and (codes[20:] == -1.0).all()


def test_tables_are_returned_and_written(encoder, digits):
    out = np.empty((5, 16), np.float32)
    encoder = pickle.loads(pickle.dumps(encoder)).set_output(transform="pandas")
    np.testing.assert_array_equal(encoder.transform(digits[:5], out=out).to_numpy(), out)
