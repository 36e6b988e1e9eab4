import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.data import DatasetSource, ImageFormat, learn_image_format, learn_vector_format, value_limits

quick = settings(deadline=None, max_examples=40)
LAYOUTS = ("HW", "HWC", "CHW")
FLOATS = ("float16", "float32", "float64")


def draw_images(seed, layout, dtype="uint8", n=3, height=9, width=11, n_channels=3):
    """Images in a layout that hold the smallest and the largest value of their dtype's range."""
    shape = {
        "HW": (n, height, width),
        "HWC": (n, height, width, n_channels),
        "CHW": (n, n_channels, height, width),
    }[layout]
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


any_layout = st.sampled_from(LAYOUTS)
any_seed = st.integers(0, 2**32 - 1)
any_side = st.integers(8, 17)
any_count = st.integers(1, 4)


# -- layouts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("flat", [False, True])
def test_every_layout_is_found_and_its_axes_end_in_channel_height_width_order(layout, flat):
    images = draw_images(0, layout)
    channels_first = np.moveaxis(images, -1, 1) if layout == "HWC" else images
    channels_first = images[:, None] if layout == "HW" else channels_first
    rows = images.reshape(len(images), -1) if flat else images
    found = learn_image_format(rows, image_shape=images.shape[1:] if flat else None)
    assert (found.layout, found.flat) == (layout, flat)
    assert found.shape == channels_first.shape[1:]
    assert found.image_shape == images.shape[1:]
    assert found.sample_shape == rows.shape[1:]
    expected = channels_first / 127.5 - 1.0
    np.testing.assert_allclose(found.to_model(as_tensor(rows)).numpy(), expected, atol=1e-6)


def test_image_shape_may_be_given_for_images_that_are_not_flat():
    images = draw_images(0, "HWC")
    assert learn_image_format(images, image_shape=images.shape[1:]) == learn_image_format(images)


def test_no_shape_with_two_possible_channel_axes_is_guessed():
    images = np.zeros((2, 3, 12, 4), dtype=np.uint8)
    images[0] = 255
    with pytest.raises(ValueError, match=r"is ambiguous: pass channels='first' or 'last'"):
        learn_image_format(images)
    with pytest.raises(ValueError, match=r"12 x 4 .*read as CHW\)"):
        learn_image_format(images, channels="first")
    with pytest.raises(ValueError, match=r"3 x 12 .*read as HWC\)"):
        learn_image_format(images, channels="last")


@pytest.mark.parametrize(("channels", "layout"), [("first", "CHW"), ("last", "HWC")])
def test_the_channels_parameter_names_the_axis_that_auto_finds(channels, layout):
    images = draw_images(0, layout)
    assert learn_image_format(images, channels=channels) == learn_image_format(images)


@quick
@given(seed=any_seed, layout=any_layout, flat=st.booleans(), height=any_side, width=any_side, count=any_count)
def test_uint8_images_come_back_exactly_in_any_layout(seed, layout, flat, height, width, count):
    images = draw_images(seed, layout, height=height, width=width, n_channels=count)
    rows = images.reshape(len(images), -1) if flat else images
    found = learn_image_format(rows, image_shape=images.shape[1:] if flat else None)
    x = found.to_model(as_tensor(rows))
    assert x.dtype == torch.float32 and x.shape == (len(images), *found.shape)
    assert x.min() >= -1.0 and x.max() <= 1.0 + 1e-6
    back = found.from_model(x)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, rows)


@quick
@given(
    seed=any_seed,
    layout=any_layout,
    flat=st.booleans(),
    dtype=st.sampled_from(FLOATS),
    height=any_side,
    width=any_side,
    count=any_count,
)
def test_float_images_come_back_to_rounding_in_any_layout(seed, layout, flat, dtype, height, width, count):
    images = draw_images(seed, layout, dtype, height=height, width=width, n_channels=count)
    rows = images.reshape(len(images), -1) if flat else images
    found = learn_image_format(rows, image_shape=images.shape[1:] if flat else None)
    back = found.from_model(found.to_model(as_tensor(rows)))
    assert back.dtype == rows.dtype and back.shape == rows.shape
    tolerance = 1e-3 if dtype == "float16" else 1e-6
    np.testing.assert_allclose(back.astype(np.float64), rows.astype(np.float64), rtol=0, atol=tolerance)


@quick
@given(seed=any_seed, layout=any_layout, flat=st.booleans())
def test_bool_images_come_back_exactly(seed, layout, flat):
    images = draw_images(seed, layout, "bool")
    rows = images.reshape(len(images), -1) if flat else images
    found = learn_image_format(rows, image_shape=images.shape[1:] if flat else None)
    x = found.to_model(as_tensor(rows))
    assert set(x.unique().tolist()) == {-1.0, 1.0}
    back = found.from_model(x)
    assert back.dtype == bool
    np.testing.assert_array_equal(back, rows)


@quick
@given(seed=any_seed, dtype=st.sampled_from(["int16", "uint16", "int32", "int64"]), low=st.integers(-1000, 0))
def test_other_whole_numbers_come_back_exactly_once_their_range_is_given(seed, dtype, low):
    low, high = (0, 65535) if dtype == "uint16" else (low, 4095)
    images = np.random.default_rng(seed).integers(low, high + 1, (3, 8, 8)).astype(dtype)
    images[0, 0, :2] = low, high
    found = learn_image_format(images, value_range=(low, high))
    assert found.data_bin == pytest.approx(2.0 / (high - low))
    back = found.from_model(found.to_model(as_tensor(images)))
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back, images)


# -- ranges ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "high", "data_bin"), [("uint8", 255.0, 2 / 255), ("bool", 1.0, 2.0), ("float32", 1.0, None)]
)
def test_each_dtype_has_its_range_and_width_of_a_grey_level(dtype, high, data_bin):
    found = learn_image_format(draw_images(0, "HW", dtype))
    assert (found.low, found.high, found.data_bin) == (0.0, high, data_bin)


def test_the_range_is_that_of_the_dtype_and_not_of_the_values_seen():
    images = np.full((2, 8, 8), 100, dtype=np.uint8)
    images[0] = 120
    x = learn_image_format(images).to_model(as_tensor(images))
    np.testing.assert_allclose(x[:, 0, 0, 0].numpy(), [120 / 127.5 - 1, 100 / 127.5 - 1], atol=1e-6)


def test_a_given_value_range_sets_what_becomes_minus_one_and_one():
    images = np.linspace(-2.0, 6.0, 128).reshape(2, 8, 8)
    found = learn_image_format(images, value_range=(-2.0, 6.0))
    x = found.to_model(as_tensor(images))
    assert (x.min().item(), x.max().item()) == pytest.approx((-1.0, 1.0), abs=1e-6)
    np.testing.assert_allclose(found.from_model(x), images, atol=1e-5)


def test_model_units_outside_the_range_are_clipped_and_grey_levels_rounded():
    found = ImageFormat("HW", (1, 8, 8), False, "uint8", 0.0, 255.0)
    x = torch.full((3, 1, 8, 8), 5.0)
    x[1], x[2] = -5.0, 2.0 * 100.6 / 255.0 - 1.0
    assert found.from_model(x)[:, 0, 0].tolist() == [255, 0, 101]


def test_value_limits_are_those_of_all_blocks_of_rows():
    values = np.zeros((9000, 2))
    values[4095, 0], values[8999, 1] = -3.0, 7.0
    assert value_limits(values) == (-3.0, 7.0)


# -- errors of learning ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, 3, 12, 3), {}, r"channel axis of images of shape \(3, 12, 3\) is ambiguous"),
        ((2, 9, 10, 11), {}, r"shape \(9, 10, 11\) have no channel axis of 1 to 4 entries"),
        (
            (2, 9, 10, 5),
            {"channels": "last"},
            r"channels='last' says .* \(9, 10, 5\) have 5 channels; 1 to 4",
        ),
        ((2, 9, 10, 3), {"channels": "first"}, r"channels='first' says .* \(9, 10, 3\) have 9 channels"),
        ((2, 7, 20), {}, r"at least 8 pixels high and wide, got 7 x 20 .*read as HW"),
        ((2, 3, 20, 7), {}, r"at least 8 pixels high and wide, got 20 x 7 .*read as CHW"),
        ((2, 3, 3, 9, 9), {}, r"got an array of 5 dimensions"),
        ((2, 64), {"image_shape": (8, 9)}, r"image_shape=\(8, 9\) has 72 values, but X has 64 features"),
        (
            (2, 8, 8),
            {"image_shape": (8, 9)},
            r"image_shape=\(8, 9\) does not agree with images of shape \(8, 8\)",
        ),
        ((2, 49), {"image_shape": (7, 7)}, r"at least 8 pixels"),
        ((2, 8, 8), {"value_range": (5, 5)}, r"value_range must be two finite numbers.* Got \(5, 5\)"),
        ((2, 8, 8), {"value_range": (9, 0)}, r"value_range must be two finite numbers.* Got \(9, 0\)"),
        ((2, 8, 8), {"value_range": (0, 1, 2)}, r"value_range must be two finite numbers"),
        ((2, 8, 8), {"value_range": (0, float("nan"))}, r"value_range must be two finite numbers"),
    ],
)
def test_layouts_and_ranges_that_make_no_sense_are_refused_with_a_message(shape, options, message):
    images = np.zeros(shape, dtype=np.uint8)
    images[0] = 1
    with pytest.raises(ValueError, match=message):
        learn_image_format(images, **options)


@pytest.mark.parametrize("dtype", ["object", "U5", "complex64"])
def test_arrays_that_are_not_numbers_are_refused_with_a_message(dtype):
    with pytest.raises(ValueError, match=r"must be uint8 or floating-point arrays, got dtype"):
        learn_image_format(np.zeros((2, 8, 8)).astype(dtype))


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_values_that_are_not_finite_are_refused_and_their_rows_named(value, kind):
    images = np.random.default_rng(0).random((5000, 8, 8), dtype=np.float32)
    images[4500, 1, 1] = value
    with pytest.raises(ValueError, match=rf"contains {kind} \(first in row 4500\)"):
        learn_image_format(images)


@pytest.mark.parametrize(
    ("low", "high", "options", "message"),
    [
        (-0.5, 1.0, {}, r"must have values in \[0, 1\], got values from -0.5 to 1"),
        (0.0, 255.0, {}, r"must have values in \[0, 1\], got values from 0 to 255"),
        (0.0, 2.0, {"value_range": (-1.0, 1.0)}, r"must have values in \[-1, 1\], got values from 0 to 2"),
    ],
)
def test_floats_out_of_range_are_refused_with_both_ranges(low, high, options, message):
    images = np.linspace(low, high, 128).reshape(2, 8, 8)
    with pytest.raises(ValueError, match=message):
        learn_image_format(images, **options)


def test_int64_images_without_a_range_are_refused_with_a_range_that_would_do():
    images = np.arange(128).reshape(2, 8, 8)
    with pytest.raises(ValueError, match=r"int64 have no known range.*value_range=\(0, 127\)"):
        learn_image_format(images)
    assert learn_image_format(images, value_range=(0, 127)).high == 127.0


@pytest.mark.parametrize("value", [0, 0.25, 1])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "bool"])
def test_constant_images_are_refused(value, dtype):
    with pytest.raises(ValueError, match=r"All images are constant \(every value is"):
        learn_image_format(np.full((3, 8, 8), value).astype(dtype))


# -- errors of later rows --------------------------------------------------------------------------


@pytest.fixture
def fitted():
    return learn_image_format(draw_images(0, "HWC"))


@pytest.mark.parametrize("shape", [(2, 9, 11), (2, 3, 9, 11), (2, 9, 11, 1), (9, 11, 3), (2, 297), ()])
def test_later_rows_of_another_shape_are_refused_with_both_shapes(fitted, shape):
    with pytest.raises(ValueError, match=r"fitted on images of shape \(9, 11, 3\): expected \(n, 9, 11, 3\)"):
        fitted.check(np.zeros(shape, dtype=np.uint8))


def test_no_later_rows_at_all_are_refused(fitted):
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        fitted.check(np.zeros((0, 9, 11, 3), dtype=np.uint8))


def test_later_rows_out_of_the_fitted_range_are_refused(fitted):
    with pytest.raises(ValueError, match=r"fitted range \[0, 255\], got values from -3 to 0"):
        fitted.check(np.linspace(-3.0, 0.0, 297).reshape(1, 9, 11, 3))
    with pytest.raises(ValueError, match=r"got values from 0 to 256"):
        fitted.check(np.linspace(0, 256, 297).reshape(1, 9, 11, 3).astype(int))


def test_later_floats_that_look_scaled_to_one_are_refused_after_uint8(fitted):
    with pytest.raises(ValueError, match=r"look scaled to \[0, 1\].*Multiply them by 255"):
        fitted.check(draw_images(1, "HWC", "float32"))


def test_later_rows_with_nan_or_of_no_number_are_refused(fitted):
    images = draw_images(1, "HWC", "float64")
    images[1, 2, 2, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        fitted.check(images)
    with pytest.raises(ValueError, match="got dtype object"):
        fitted.check(images.astype(object))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_later_rows_of_another_dtype_but_the_fitted_range_are_accepted(fitted, dtype):
    images = draw_images(2, "HWC")
    fitted.check(images.astype(dtype))
    x = fitted.to_model(as_tensor(images.astype(dtype)))
    np.testing.assert_array_equal(fitted.from_model(x), images)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_read_only_images_are_accepted_and_left_as_they_were(layout):
    images = draw_images(3, layout, "float32")
    before = images.copy()
    images.setflags(write=False)
    found = learn_image_format(images)
    found.check(images)
    back = found.from_model(found.to_model(as_tensor(images)))
    back += 1.0
    np.testing.assert_array_equal(images, before)


def test_the_format_is_learned_from_a_dataset_as_from_its_array():
    images = draw_images(4, "CHW", n=6)
    dataset = DatasetSource([(image, 0) for image in images])
    assert learn_image_format(dataset) == learn_image_format(images)
    learn_image_format(images).check(dataset)
    with pytest.raises(ValueError, match="expected \\(n, 3, 9, 11\\)"):
        learn_image_format(images).check(DatasetSource([image[0] for image in images]))


# -- vectors ---------------------------------------------------------------------------------------


@quick
@given(seed=any_seed, dtype=st.sampled_from(["float32", "float64"]), exponent=st.integers(-6, 6))
def test_vectors_are_standardised_and_come_back(seed, dtype, exponent):
    rng = np.random.default_rng(seed)
    scale = 10.0**exponent
    rows = (scale * (rng.normal(size=(50, 4)) * [1, 2, 3, 4] + [0, -5, 5, 9])).astype(dtype)
    found = learn_vector_format(rows)
    x = found.to_model(as_tensor(rows))
    assert x.dtype == torch.float32 and found.shape == found.sample_shape == (4,) and found.data_bin is None
    np.testing.assert_allclose(x.double().mean(dim=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(x.double().std(dim=0, correction=0), 1.0, atol=1e-4)
    back = found.from_model(x)
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_allclose(back, rows, rtol=1e-6, atol=1e-5 * scale)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e6, 1e-6])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_features_become_zero_and_come_back(value, dtype):
    rows = np.random.default_rng(0).normal(size=(1001, 2)).astype(dtype)
    rows[:, 0] = value
    found = learn_vector_format(rows)
    x = found.to_model(as_tensor(rows))
    assert found.scale[0] == 1.0
    np.testing.assert_allclose(x[:, 0], 0.0, atol=1e-6)
    np.testing.assert_allclose(found.from_model(x)[:, 0], rows[:, 0], rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-9, 1e-13, 1e-20])
def test_features_in_tiny_units_are_standardised_like_any_other(unit):
    rows = np.random.default_rng(0).normal(size=(200, 3)) * [1.0, unit, unit]
    rows[:, 2] += 5 * unit
    x = learn_vector_format(rows).to_model(as_tensor(rows))
    np.testing.assert_allclose(x.double().std(dim=0, correction=0), 1.0, atol=1e-4)


def test_whole_number_vectors_come_back_as_floats():
    rows = np.arange(12).reshape(6, 2)
    found = learn_vector_format(rows)
    assert found.from_model(found.to_model(as_tensor(rows))).dtype == np.float64
