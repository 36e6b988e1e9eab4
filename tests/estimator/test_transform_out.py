"""`transform` writes codes where the user wants them."""

import numpy as np
import pytest


@pytest.mark.parametrize("output", ["probabilities", "logits", "bits"])
def test_codes_are_written_into_a_memmap(output, encoder, digits, tmp_path):
    encoder = encoder.__class__.load(saved(encoder, tmp_path)).set_params(output=output)
    expected = encoder.transform(digits)
    out = np.lib.format.open_memmap(
        tmp_path / "codes.npy", mode="w+", dtype=expected.dtype, shape=expected.shape
    )
    assert encoder.transform(digits, out=out) is out
    np.testing.assert_array_equal(out, expected)
    out.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), expected)


def saved(encoder, folder):
    encoder.save(folder / "encoder.safetensors")
    return folder / "encoder.safetensors"


def test_a_slice_of_a_larger_array_can_be_written(encoder, digits):
    codes = np.full((30, 16), -1.0, dtype=np.float32)
    encoder.transform(digits[:10], out=codes[10:20])
    np.testing.assert_array_equal(codes[10:20], encoder.transform(digits[:10]))
    assert (codes[:10] == -1.0).all() and (codes[20:] == -1.0).all()


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (
            [],
            TypeError,
            "out must be a NumPy array or memmap, got list",
        ),
        (np.empty((4, 16), np.float32), ValueError, r"out must have shape \(5, 16\).*got \(4, 16\)"),
        (np.empty((5, 16)), ValueError, r"dtype float32 for output='probabilities', got float64"),
        (np.broadcast_to(np.float32(0), (5, 16)), ValueError, "out is read-only.*mode='r\\+'"),
    ],
)
def test_what_cannot_take_the_codes_is_refused(out, error, message, encoder, digits):
    with pytest.raises(error, match=message):
        encoder.transform(digits[:5], out=out)


def test_tables_are_given_as_asked_and_written_too(encoder, digits):
    out = np.empty((5, 16), np.float32)
    try:
        table = encoder.set_output(transform="pandas").transform(digits[:5], out=out)
    finally:
        encoder.set_output(transform="default")
    np.testing.assert_array_equal(table.to_numpy(), out)
