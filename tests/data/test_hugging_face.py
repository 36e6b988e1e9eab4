"""Hugging Face datasets as samples."""

import numpy as np
import pytest

from dmzrep import DMZEncoder
from dmzrep.data import DatasetSource
from dmzrep.datasets import ImageColumn

datasets = pytest.importorskip("datasets")
Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (40, 12, 10, 3), dtype=np.uint8)


def of_pictures(pictures, **columns):
    features = {"label": datasets.Value("int64"), "portrait": datasets.Image()}
    samples = {"label": list(range(len(pictures))), "portrait": list(pictures)}
    for name in columns:
        features[name] = datasets.Image()
    return datasets.Dataset.from_dict(
        samples | {name: list(p) for name, p in columns.items()}, features=datasets.Features(features)
    )


def test_arrays_keep_the_dtype_of_their_column(pictures):
    features = datasets.Features(
        {"box": datasets.List(datasets.Value("int64")), "scan": datasets.Array2D((12, 10), "uint8")}
    )
    gray = pictures[..., 0]
    dataset = datasets.Dataset.from_dict({"box": [[1, 2]] * 40, "scan": list(gray)}, features=features)
    samples = DatasetSource(dataset)
    assert samples.dtype == np.uint8
    np.testing.assert_array_equal(samples[:5], gray[:5])


def test_formats_and_transforms_are_kept(pictures):
    turned = of_pictures(pictures).with_transform(
        lambda batch: {"turned": [np.asarray(p).transpose(1, 0, 2) for p in batch["portrait"]]}
    )
    np.testing.assert_array_equal(DatasetSource(turned)[:3], pictures[:3].transpose(0, 2, 1, 3))
    tensors = of_pictures(pictures).with_format("torch")
    assert DatasetSource(tensors).shape in {(40, 3, 12, 10), pictures.shape}


def test_several_columns_of_pictures_need_a_choice(pictures):
    dataset = of_pictures(pictures, mask=pictures[::-1])
    with pytest.raises(ValueError, match=r"hold pictures: \['portrait', 'mask'\].*ImageColumn"):
        DatasetSource(dataset)
    np.testing.assert_array_equal(DatasetSource(ImageColumn(dataset, "mask"))[:2], pictures[:-3:-1])
    with pytest.raises(KeyError, match=r"no column 'image'; there are.*label.*portrait"):
        ImageColumn(dataset, "image")


def test_data_sets_without_images_are_rejected():
    dataset = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    with pytest.raises(ValueError, match=r"None of the dataset's columns, \['label', 'text'\]"):
        DatasetSource(dataset)


@pytest.mark.parametrize(("mode", "shape"), [("L", (12, 10)), ("RGB", (12, 10, 3))])
def test_pictures_of_several_modes_need_a_mode(mode, shape, pictures):
    mixed = [Image.fromarray(p).convert("L" if i else "RGB") for i, p in enumerate(pictures[:4])]
    dataset = of_pictures(mixed)
    with pytest.raises(ValueError, match=r"first picture.*'RGB', but one has mode 'L'.*mode='RGB'"):
        DatasetSource(dataset)[:]
    samples = DatasetSource(ImageColumn(dataset, mode=mode))[:]
    assert samples.shape == (4, *shape)
    np.testing.assert_array_equal(samples[1], np.asarray(mixed[1].convert(mode)))


def test_palettes_become_rgb(pictures):
    palette = [Image.fromarray(p).convert("P") for p in pictures[:3]]
    samples = DatasetSource(of_pictures(palette))[:]
    assert samples.shape == (3, 12, 10, 3)
    np.testing.assert_array_equal(samples[2], np.asarray(palette[2].convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_upper_8_of_16_bits_are_kept(mode):
    ramp = np.tile(np.linspace(0, 65535, 16).astype(np.uint16), (16, 1))
    dataset = of_pictures([Image.fromarray(ramp)] * 2)
    found = ImageColumn(dataset, mode=mode)[1].reshape(16, 16, -1)
    np.testing.assert_array_equal(found[..., 0], ramp >> 8)
    np.testing.assert_array_equal(ImageColumn(dataset)[0], ramp)


def test_splits_and_streams_are_rejected(pictures):
    splits = datasets.DatasetDict({"train": of_pictures(pictures), "test": of_pictures(pictures[:2])})
    with pytest.raises(ValueError, match=r"\['test', 'train'\]. Choose one, such as X\['test'\]"):
        DMZEncoder().fit(splits)
    with pytest.raises(ValueError, match=r"streamed dataset.*partial_fit"):
        DMZEncoder().fit(of_pictures(pictures).to_iterable_dataset())
