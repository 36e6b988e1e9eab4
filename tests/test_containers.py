"""Data in any container give the results of a plain array; invalid containers are rejected."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmzrep.datasets import ImageColumn
from tests.encoders import make_encoder

datasets = pytest.importorskip("datasets")
Image = pytest.importorskip("PIL.Image")

generated = settings(
    deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Pairs(torch.utils.data.Dataset):
    """Items are tuples of a sample and a label."""

    def __init__(self, samples):
        self.samples, self.reads = samples, np.zeros(len(samples), dtype=int)

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        self.reads[i] += 1
        return self.samples[i], i % 10


def memmap(X, folder):
    path = Path(folder) / f"{len(list(Path(folder).iterdir()))}.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


def strided(X):
    wide = np.zeros((2 * len(X), *X.shape[1:]), dtype=X.dtype)
    wide[::2] = X
    return wide[::2]


def hugging_face(X, feature):
    return datasets.Dataset.from_dict({"x": list(X)}, features=datasets.Features({"x": feature}))


def big_endian(X):
    return X.astype(X.dtype.newbyteorder(">"))


#: Containers of any samples.
ARRAYS = {
    "list of arrays": lambda X, folder: list(X),
    "tuple of arrays": lambda X, folder: tuple(X),
    "nested lists": lambda X, folder: X.tolist(),
    "memmap": memmap,
    "view of a memmap": lambda X, folder: np.asarray(memmap(X, folder)),
    "read-only": lambda X, folder: read_only(X),
    "strided": lambda X, folder: strided(X),
    "reversed": lambda X, folder: X[::-1].copy()[::-1],
    "Fortran order": lambda X, folder: np.asfortranarray(X),
    "float64": lambda X, folder: X.astype(np.float64),
    "big-endian": lambda X, folder: big_endian(X.astype(np.float64)),
    "subclass": lambda X, folder: np.ma.masked_array(X),
    "tensor": lambda X, folder: torch.tensor(X),
    "tensor with a graph": lambda X, folder: torch.tensor(X, dtype=torch.float64, requires_grad=True) * 1,
    "list of tensors": lambda X, folder: list(torch.tensor(X)),
    "dataset": lambda X, folder: Pairs(X),
    "dataset of tensors": lambda X, folder: torch.utils.data.TensorDataset(torch.tensor(X)),
    "subset of a dataset": lambda X, folder: torch.utils.data.Subset(Pairs(X[::-1]), range(len(X))[::-1]),
    "pairs of a dataset": lambda X, folder: [(sample, 0) for sample in X],
}
#: Containers of integers from 0 to 255.
IMAGES = ARRAYS | {
    "int64": lambda X, folder: X.astype(np.int64),
    "big-endian integers": lambda X, folder: big_endian(X.astype(np.int16)),
    "float16": lambda X, folder: X.astype(np.float16),
    "bfloat16": lambda X, folder: torch.tensor(X).bfloat16(),
    "items of bfloat16": lambda X, folder: Pairs(torch.tensor(X).bfloat16()),
    "list of pictures": lambda X, folder: [Image.fromarray(image) for image in X],
    "dataset of pictures": lambda X, folder: Pairs([Image.fromarray(image) for image in X]),
    "Hugging Face pictures": lambda X, folder: hugging_face(X, datasets.Image()),
    "Hugging Face arrays": lambda X, folder: hugging_face(X, datasets.Array2D((8, 8), "uint8")),
    "ImageColumn": lambda X, folder: ImageColumn(hugging_face(X, datasets.Image()), "x", mode="L"),
}
VECTORS = ARRAYS | {
    "Hugging Face vectors": lambda X, folder: hugging_face(X, datasets.List(datasets.Value("float64"))),
}
NAMES = [f"feature{i}" for i in range(64)]


def frame(X, dtype=None):
    table = pd.DataFrame(X, columns=NAMES[: X.shape[1]])
    return table if dtype is None else table.astype(dtype)


TABLES = {
    "pandas": frame,
    "pandas float64": lambda X: frame(X, "float64"),
    "pandas with an index": lambda X: frame(X).set_index(pd.Index([f"s{i}" for i in range(len(X))])),
    "pandas of several dtypes": lambda X: frame(X).astype({NAMES[0]: "float64", NAMES[1]: "Float64"}),
    "pandas nullable": lambda X: frame(X).convert_dtypes(),
    "pandas Arrow": lambda X: frame(X).convert_dtypes(dtype_backend="pyarrow"),
    "pandas object": lambda X: frame(X, object),
    "polars": lambda X: pl.DataFrame(X, schema=NAMES[: X.shape[1]]),
    "pyarrow": lambda X: pa.table(dict(zip(NAMES, X.T, strict=False))),
}


def call(encoder, method, X):
    if method == "transform":
        return encoder.transform(X)
    if method == "inverse_transform":
        bits = np.arange(len(X) * 16).reshape(len(X), 16) % 3 == 0
        return encoder.inverse_transform(bits, like=X, strength=0.5, n_steps=2, random_state=0)
    if method == "reconstruct":
        return encoder.reconstruct(X, noise="inverted", n_steps=2)
    return encoder.score_samples(X, n_terms=2)


METHODS = st.sampled_from(["transform", "transform", "inverse_transform", "reconstruct", "score_samples"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("memmaps")


def assert_equal(found, expected, method):
    """Compare results; sums of old NumPy releases depend on where arrays lie in memory."""
    np.testing.assert_allclose(found, expected, rtol=1e-12 if method == "score_samples" else 0.0)


CONTAINERS = [(kind, name) for kind, all_of in enumerate((IMAGES, VECTORS)) for name in sorted(all_of)]


@settings(generated, max_examples=2 * generated.max_examples)
@given(container=st.sampled_from(CONTAINERS), method=METHODS, n=st.integers(1, 9), start=st.integers(0, 190))
def test_results_do_not_depend_on_the_container(
    encoder, vector_encoder, digits, vectors, folder, container, method, n, start
):
    kind, name = container
    fitted, X = [(encoder, digits), (vector_encoder, vectors)][kind]
    X = X[start : start + n]
    found = call(fitted, method, (IMAGES, VECTORS)[kind][name](X, folder))
    assert_equal(found, call(fitted, method, X), method)


TINY = {"latent_dim": 16, "width": (8, 16), "encoder_width": 8, "max_iter": 1, "random_state": 0}


@pytest.fixture(scope="module")
def fitted_on_tables(digits, vectors):
    """Encoders of flattened images and of vectors, with the arrays."""
    flat = digits[:100].reshape(100, 64)
    images = make_encoder(**TINY, image_shape=(8, 8)).fit(frame(flat))
    return [(images, flat), (make_encoder(**TINY | {"width": 8}).fit(TABLES["polars"](vectors)), vectors)]


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@settings(generated, max_examples=60)
@given(container=st.sampled_from(sorted(TABLES)), of=st.integers(0, 1), method=METHODS, n=st.integers(1, 9))
def test_results_do_not_depend_on_the_table(fitted_on_tables, container, of, method, n):
    encoder, X = fitted_on_tables[of]
    found = call(encoder, method, TABLES[container](X[:n]))
    assert_equal(found, call(encoder, method, X[:n]), method)


@pytest.mark.parametrize("of", [0, 1], ids=["images", "vectors"])
@pytest.mark.parametrize("container", sorted(TABLES))
def test_reordered_columns_are_rejected(fitted_on_tables, container, of):
    encoder, X = fitted_on_tables[of]
    assert encoder.feature_names_in_.tolist() == NAMES[: X.shape[1]]
    table, names = TABLES[container](X[:3]), NAMES[: X.shape[1]][::-1]
    reordered = table[names] if container.startswith("pandas") else table.select(names)
    with pytest.raises(ValueError, match="feature names should match"):
        encoder.transform(reordered)


@pytest.mark.parametrize(
    "container",
    ["nested lists", "memmap", "read-only", "big-endian", "bfloat16", "dataset", "Hugging Face pictures"],
)
def test_fit_does_not_depend_on_the_container(digits, folder, container):
    X = digits[:60]
    data = IMAGES[container](X, folder)
    scaled = container in ("nested lists", "big-endian", "bfloat16")
    options = {"value_range": (0, 255)} if scaled else {}
    found = make_encoder(**TINY, **options).fit(data).transform(X)
    np.testing.assert_array_equal(found, make_encoder(**TINY).fit(X).transform(X))


@pytest.mark.parametrize("method", ["transform", "inverse_transform", "reconstruct", "score_samples"])
def test_items_of_data_sets_are_read_once(method, encoder, digits):
    X = digits if method == "transform" else digits[:70]
    dataset = Pairs(X)
    found = call(encoder, method, dataset)
    assert (dataset.reads == 1).all()
    np.testing.assert_array_equal(found, call(encoder, method, X))


@pytest.mark.parametrize("sample", [333, 334])  # `fit` previews only the first of them.
@pytest.mark.parametrize("kind", ["dataset", "memmap", "dataset in fit"])
@pytest.mark.parametrize(("value", "message"), [(np.nan, "NaN"), (300.0, r"\[0, 255\].*from 0 to 300")])
def test_lazily_read_values_are_checked(encoder, digits, folder, sample, kind, value, message):
    X = digits.astype(np.float32)
    X[sample, 4, 4] = value
    with pytest.raises(ValueError, match=rf"{message} \(first in sample {sample}\)"):
        if kind == "dataset in fit":
            make_encoder(**TINY, value_range=(0, 255)).fit(Pairs(X))
        else:
            encoder.transform(Pairs(X) if kind == "dataset" else memmap(X, folder))


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter(np.zeros((3, 8, 8)))


IMAGE = np.eye(8, dtype=np.uint8)
INVALID = {
    "DataLoader": (torch.utils.data.DataLoader([IMAGE] * 3), r"DataLoader\. Pass its dataset: X\.dataset"),
    "generator": ((IMAGE for _ in range(3)), r"got a generator.*numpy\.stack\(list\(X\)\)"),
    "stream": (Stream(), "got a Stream, which can only be iterated.*partial_fit"),
    "dict": ({"image": [IMAGE] * 3}, r"got a dict with the keys \['image'\]"),
    "empty dataset": (Pairs([]), r"0 sample\(s\)"),
    "path": (
        "pictures",
        r"such as pictures \(FileNotFoundError|holds paths, but the encoder was fitted to arrays",
    ),
    "masked array": (np.ma.masked_equal([IMAGE] * 3, 1), r"missing values \(first in sample 0"),
    "items of two sizes": (Pairs([IMAGE] * 4 + [IMAGE[:7]]), r"item 0 has \(8, 8\), item 4 has \(7, 8\)"),
    "items that are dicts": (Pairs([{"image": IMAGE}]), r"item 0 is a dict with the keys \['image'\]"),
    "items that are text": (Pairs(["a.png"] * 3), "item 0 is of type str"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_containers_are_rejected(encoder, name):
    X, message = INVALID[name]
    for attempt in (make_encoder(**TINY).fit, encoder.transform):
        with pytest.raises(ValueError, match=message):
            attempt(X)


def without_third(table, dtype):
    table = table.astype(dtype)
    table.iloc[2] = np.nan if dtype == "float64" else None
    return table


MISSING = {
    "NaN": lambda table: without_third(table, "float64"),
    "pandas.NA": lambda table: without_third(table, "UInt8"),
    "Arrow null": lambda table: without_third(table, "uint8[pyarrow]"),
    "None": lambda table: without_third(table, object),
    "polars null": lambda table: pl.DataFrame(table).with_columns(pl.lit(None, pl.UInt8).alias("feature0")),
}


@pytest.mark.parametrize("kind", MISSING)
@pytest.mark.parametrize("image_shape", [None, (8, 8)])
def test_missing_values_are_rejected_by_column(kind, image_shape, digits):
    table = MISSING[kind](frame(digits[:5].reshape(5, 64)))
    first = 0 if kind == "polars null" else 2
    with pytest.raises(ValueError, match=rf"column 'feature0' has \d \(first in sample {first}\)"):
        make_encoder(**TINY, image_shape=image_shape).fit(table)


def test_text_is_rejected_by_column(digits):
    table = frame(digits[:5].reshape(5, 64)).assign(name="a")
    with pytest.raises(ValueError, match=r"column 'name' has dtype String\. Drop or encode it"):
        make_encoder(**TINY).fit(table)
