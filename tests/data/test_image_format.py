"""Layouts, ranges and checks of images."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.data import DatasetSource, ImageFormat, learn_image_format

quick = settings(deadline=None, max_examples=40)
LAYOUTS = ("HW", "HWC", "CHW")


def draw_images(seed, layout, dtype="uint8", n=3, height=9, width=11, n_channels=3):
    """Images in a layout with the smallest and the largest value of their dtype's range."""
    sides = {"H": height, "W": width, "C": n_channels}
    shape = (n, *(sides[axis] for axis in layout))
    rng = np.random.default_rng(seed)
    if dtype == "uint8":
        images, high = rng.integers(0, 256, shape, dtype=np.uint8), 255
    elif dtype == "bool":
        images, high = rng.random(shape) < 0.5, True
    else:
        images, high = rng.random(shape).astype(dtype), 1.0
    images[0].flat[0], images[-1].flat[-1] = 0, high
    return images


def as_tensor(images):
    return torch.from_numpy(np.array(images))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("flat", [False, True])
def test_layouts_are_found_and_converted_to_channels_first(layout, flat):
    images = draw_images(0, layout)
    channels_first = np.moveaxis(images, -1, 1) if layout == "HWC" else images
    channels_first = images[:, None] if layout == "HW" else channels_first
    X = images.reshape(len(images), -1) if flat else images
    found = learn_image_format(X, image_shape=images.shape[1:] if flat else None)
    assert (found.layout, found.flat) == (layout, flat)
    assert found.shape == channels_first.shape[1:]
    assert found.image_shape == images.shape[1:]
    assert found.sample_shape == X.shape[1:]
    expected = channels_first / 127.5 - 1.0
    np.testing.assert_allclose(found.to_model(as_tensor(X)).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("channels", "layout"), [("first", "CHW"), ("last", "HWC")])
def test_channels_and_image_shape_agree_with_auto(channels, layout):
    images = draw_images(0, layout)
    expected = learn_image_format(images)
    assert learn_image_format(images, channels=channels) == expected
    assert learn_image_format(images, image_shape=images.shape[1:]) == expected


@quick
@given(
    seed=st.integers(0, 1000),
    layout=st.sampled_from(LAYOUTS),
    flat=st.booleans(),
    dtype=st.sampled_from(["uint8", "bool", "float16", "float32", "float64"]),
    height=st.integers(8, 17),
    width=st.integers(8, 17),
    count=st.integers(1, 4),
)
def test_round_trip_in_any_layout_and_dtype(seed, layout, flat, dtype, height, width, count):
    images = draw_images(seed, layout, dtype, height=height, width=width, n_channels=count)
    X = images.reshape(len(images), -1) if flat else images
    found = learn_image_format(X, image_shape=images.shape[1:] if flat else None)
    x = found.to_model(as_tensor(X))
    assert x.dtype == torch.float32 and x.shape == (len(images), *found.shape)
    assert x.min() == -1.0 and x.max() == 1.0
    back = found.from_model(x)
    assert back.dtype == X.dtype and back.shape == X.shape
    tolerance = {"float16": 1e-3, "float32": 1e-6, "float64": 1e-6}.get(dtype, 0)
    np.testing.assert_allclose(back.astype(np.float64), X.astype(np.float64), rtol=0, atol=tolerance)


@quick
@given(
    seed=st.integers(0, 1000),
    dtype=st.sampled_from(["int16", "uint16", "int32", "int64"]),
    low=st.integers(-1000, 0),
)
def test_round_trip_of_other_integers_is_exact(seed, dtype, low):
    low, high = (0, 65535) if dtype == "uint16" else (low, 4095)
    images = np.random.default_rng(seed).integers(low, high + 1, (3, 8, 8)).astype(dtype)
    images[0, 0, :2] = low, high
    found = learn_image_format(images, value_range=(low, high))
    assert found.data_bin == pytest.approx(2.0 / (high - low))
    back = found.from_model(found.to_model(as_tensor(images)))
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back, images)


@pytest.mark.parametrize(
    ("dtype", "high", "data_bin"), [("uint8", 255.0, 2 / 255), ("bool", 1.0, 2.0), ("float32", 1.0, None)]
)
def test_value_range_and_data_bin_of_dtypes(dtype, high, data_bin):
    found = learn_image_format(draw_images(0, "HW", dtype))
    assert (found.low, found.high, found.data_bin) == (0.0, high, data_bin)


def test_model_units_are_clipped_and_rounded():
    found = ImageFormat("HW", (1, 8, 8), False, "uint8", 0.0, 255.0)
    x = torch.full((3, 1, 8, 8), 5.0)
    x[1], x[2] = -5.0, 2.0 * 100.6 / 255.0 - 1.0
    assert found.from_model(x)[:, 0, 0].tolist() == [255, 0, 101]


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, 3, 12, 4), {}, r"is ambiguous: pass channels='first' or 'last'"),
        ((2, 9, 10, 11), {}, r"shape \(9, 10, 11\) have no channel axis of 1 to 4 entries"),
        ((2, 9, 10, 3), {"channels": "first"}, r"channels='first' says .* \(9, 10, 3\) have 9 channels"),
        ((2, 7, 20), {}, r"at least 8 pixels high and wide, got 7 x 20 .*read as HW"),
        ((2, 64), {"image_shape": (8, 9)}, r"image_shape=\(8, 9\) has 72 values, but X has 64 features"),
        ((2, 8, 8), {"image_shape": (8, 9)}, r"image_shape=\(8, 9\) does not agree with .* \(8, 8\)"),
        ((2, 8, 8), {"value_range": (9, 0)}, r"value_range must be two finite numbers.* Got \(9, 0\)"),
    ],
)
def test_invalid_layouts_and_ranges_are_rejected(shape, options, message):
    images = np.zeros(shape, dtype=np.uint8)
    images[0] = 1
    with pytest.raises(ValueError, match=message):
        learn_image_format(images, **options)


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_non_finite_values_are_rejected(value, kind):
    images = np.random.default_rng(0).random((5000, 8, 8), dtype=np.float32)
    images[4500, 1, 1] = value
    with pytest.raises(ValueError, match=rf"contains {kind} \(first in sample 4500\)"):
        learn_image_format(images)


def test_int64_images_need_a_value_range():
    images = np.arange(128).reshape(2, 8, 8)
    with pytest.raises(ValueError, match=r"int64 have no known range.*value_range=\(0, 127\)"):
        learn_image_format(images)
    assert learn_image_format(images, value_range=(0, 127)).high == 127.0


@pytest.mark.parametrize(("value", "dtype"), [(0, "uint8"), (0.25, "float32"), (1, "bool")])
def test_constant_images_are_rejected(value, dtype):
    with pytest.raises(ValueError, match=r"All images are constant \(every value is"):
        learn_image_format(np.full((3, 8, 8), value).astype(dtype))


@pytest.mark.parametrize("offset", [0, 200])
def test_narrow_value_ranges_are_warned_of(offset):
    images = np.eye(8, dtype=np.uint8)[None].repeat(2, 0)
    with pytest.warns(UserWarning, match=r"pass value_range=\("):
        learn_image_format(images + np.uint8(offset))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn_image_format(images, value_range=(0, 1))
        learn_image_format(images > 0)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_samples_of_another_dtype_in_the_fitted_range_are_accepted(dtype):
    fitted, images = learn_image_format(draw_images(0, "HWC")), draw_images(2, "HWC")
    fitted.check_values(images.astype(dtype))
    x = fitted.to_model(as_tensor(images.astype(dtype)))
    np.testing.assert_array_equal(fitted.from_model(x), images)


class Counted(list):
    """A dataset that counts how often each item is read."""

    reads = 0

    def __getitem__(self, i):
        self.reads += 1
        return super().__getitem__(i)


def test_format_is_learned_from_part_of_a_data_set():
    images = draw_images(4, "CHW", n=1000)
    dataset = Counted(images)
    assert learn_image_format(DatasetSource(dataset)) == learn_image_format(images)
    assert dataset.reads == 256


def test_data_sets_with_a_constant_preview_are_read_completely():
    images = np.zeros((1000, 8, 8), dtype=np.uint8)
    with pytest.raises(ValueError, match="All images are constant"):
        learn_image_format(DatasetSource(list(images)))
    images[1] = 255
    assert learn_image_format(DatasetSource(list(images))).high == 255.0
