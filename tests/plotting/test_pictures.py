import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dmzrep.data import learn_image_format
from dmzrep.plotting._pictures import as_pictures, as_rows, code_name, fitted_image_format


def pictures_of(X, **options):
    return as_pictures(X, learn_image_format(X, **options))


def ramp(shape, dtype):
    values = np.arange(np.prod(shape)).reshape(shape) % 256
    return values.astype(np.uint8) if dtype == "uint8" else (values / 255).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_every_layout_shows_the_same_picture(dtype):
    channels_last = ramp((2, 8, 12, 3), dtype)
    channels_first = np.moveaxis(channels_last, -1, 1).copy()
    flat = channels_last.reshape(2, -1)
    expected = ramp((2, 8, 12, 3), "float32")

    for pictures in (
        pictures_of(channels_last),
        pictures_of(channels_first),
        pictures_of(flat, image_shape=(8, 12, 3)),
    ):
        assert pictures.dtype == np.float32
        assert_allclose(pictures, expected, atol=1e-7)


@pytest.mark.parametrize("shape", [(3, 8, 12), (3, 8, 12, 1), (3, 1, 8, 12)])
def test_one_channel_becomes_a_gray_picture_without_a_channel_axis(shape):
    assert_allclose(pictures_of(ramp(shape, "uint8")), ramp((3, 8, 12), "float64"), atol=1e-7)


def test_two_channels_become_red_and_green_and_four_stay():
    two = ramp((2, 8, 12, 2), "uint8")
    pictures = pictures_of(two)
    assert pictures.shape == (2, 8, 12, 3)
    assert_allclose(pictures[..., :2], two / 255, atol=1e-7)
    assert_array_equal(pictures[..., 2], 0.0)
    assert pictures_of(ramp((2, 4, 8, 12), "uint8")).shape == (2, 8, 12, 4)


def test_a_fitted_value_range_fills_black_to_white_and_booleans_work():
    X = np.linspace(-3.0, 5.0, 2 * 64).reshape(2, 8, 8)
    pictures = pictures_of(X, value_range=(-3.0, 5.0))
    assert pictures.min() == 0.0 and pictures.max() == 1.0
    assert_array_equal(np.unique(pictures_of(np.eye(8, dtype=bool)[None])), [0.0, 1.0])


def test_the_callers_images_are_not_written_to():
    X = ramp((2, 8, 8), "float64")
    X.flags.writeable = False
    pictures_of(X)


def test_rows_of_a_dataset_are_read_by_slice_and_by_index(encoder):
    class Pairs:
        def __len__(self):
            return 5

        def __getitem__(self, i):
            return np.full((8, 8), i, dtype=np.uint8), i

    rows = as_rows(encoder, Pairs(), "X")
    assert rows[:2].shape == (2, 8, 8)
    assert_array_equal(rows[np.array([4, 1])][:, 0, 0], [4, 1])


def test_an_encoder_of_vectors_is_refused_with_the_remedy(vector_encoder):
    with pytest.raises(ValueError, match=r"SampleDisplay draws images.*5 features.*image_shape=\(H, W\)"):
        fitted_image_format(vector_encoder, "SampleDisplay")


def test_code_name_counts_the_bits(encoder):
    assert code_name(encoder) == "8 bits"
