"""Complete files with a valid checksum and invalid content: each is rejected with PersistenceError."""

import copy
import functools
import operator
import os

import numpy as np
import pandas as pd
import pytest
import torch

from dmzrep.collection._store import join_texts
from dmzrep.errors import PersistenceError
from dmzrep.estimator._state import CLASSES
from dmzrep.files._container import write_file
from dmzrep.files._state import read_state, write_state
from tests.encoders import make_encoder

pytestmark = pytest.mark.filterwarnings("ignore:.*number of unique classes.*")


def test_valid_files_are_loaded(valid_files, loaders):
    for kind, loader in loaders.items():
        assert isinstance(loader.load(valid_files / kind), loader)


def put(*keys, to):
    """Return a function that sets a nested value of the state to `to`, or to the result of calling it."""

    def change(state):
        parent = functools.reduce(operator.getitem, keys[:-1], state)
        parent[keys[-1]] = to(copy.deepcopy(parent[keys[-1]])) if callable(to) else to

    return change


def drop(*keys):
    return lambda state: functools.reduce(operator.getitem, keys[:-1], state).pop(keys[-1])


def item(index, to):
    """Return a function that sets an item of an array or tensor."""

    def change(array):
        array = array.clone() if isinstance(array, torch.Tensor) else array.copy()
        array[index] = to
        return array

    return change


def first_weight(change):
    def of_all(weights):
        name = next(name for name, weight in weights.items() if weight.ndim > 1)
        return weights | {name: change(weights[name])}

    return of_all


INVALID = {
    "encoder": {
        "NaN betas": put("objective", "betas", to=item(3, np.nan)),
        "betas of 1": put("objective", "betas", to=item(slice(None), 1.0)),
        "unknown objective": put("objective", "kind", to="noise"),
        "other bin": put("objective", "data_bin", to=5.0),
        "NaN weight": put("weights", to=first_weight(item(0, np.nan))),
        "weights of float64": put("weights", to=first_weight(lambda weight: weight.double())),
        "weights of another shape": put("weights", to=first_weight(lambda weight: weight[:-1])),
        "additional weight": put("weights", to=lambda weights: weights | {"more": torch.zeros(1)}),
        "large images": put("network", "data_shape", to=(1, 2**20, 2**20)),
        "NaN dropout": put("network", "dropout", to=float("nan")),
        "negative temperature": put("params", "temperature", to=-1.0),
        "unknown parameter": put("params", "magic", to=1),
        "random state of text": put("params", "random_state", to="seed"),
        "layout": put("data_format", "layout", to="HCW"),
        "empty range": put("data_format", "low", to=lambda low: low + 1e9),
        "infinite range": put("data_format", "high", to=float("inf")),
        "structured dtype": put("data_format", "dtype", to="f8,f8"),
        "no images": put("data_format", "shape", to=(0, 8, 8)),
        "another prior": put("prior", "model", to="prior"),
        "prior beyond its bits": put("prior", "state", "order_", to=item(0, 10**6)),
        "prior of NaN": put("prior", "state", "conditionals_", to=item(0, np.nan)),
        "prior without an array": drop("prior", "state", "parents_"),
        "short prior": put("prior", "state", "parents_", to=lambda parents: parents[:-1]),
        "history of objects": put("results", "history_", to=pd.DataFrame({"epoch": ["a"]})),
        "report of other bits": put("results", "code_report_", to=lambda report: report[:-1]),
        "names of other features": put("optional", "feature_names_in_", to=np.array(["a"], dtype=object)),
        "nothing": lambda state: state.clear(),
    },
    "vectors": {
        "scale of 0": put("data_format", "scale", to=item(0, 0.0)),
        "NaN mean": put("data_format", "mean", to=item(0, np.nan)),
        "short scale": put("data_format", "scale", to=lambda scale: scale[:-1]),
    },
    "flat": {
        "ids twice": put("ids", to=item(1, 7)),
        "ids of floats": put("ids", to=lambda ids: ids.astype(np.float64)),
        "huge width": put("n_features", to=2**40),
        "negative width": put("n_features", to=-8),
        "unknown metric": put("metric", to="cosmic"),
        "negative neighbours": put("params", "n_neighbors", to=-3),
        "no vectors": drop("index", "vectors"),
        "additional array": put("index", "invlists", to=np.zeros(3)),
    },
    "hnsw": {
        "links out of the graph": put("index", "neighbors", to=item(5, 10**8)),
        "links to minus two": put("index", "neighbors", to=item(5, -2)),
        "levels of 0": put("index", "levels", to=item(slice(None), 0)),
        "entry outside": put("index", "entry", to=np.array(300)),
        "NaN vectors": put("index", "vectors", to=item(0, np.nan)),
        "offset of infinity": put("offset", to=item(0, np.inf)),
        "too many links": put("options", "n_links", to=10**6),
    },
    "ivf": {
        "sample twice": put("index", "indices", to=lambda indices: np.append(indices[1], indices[1:])),
        "sample outside": put("index", "indices", to=item(0, 10**12)),
        "sizes beyond the samples": put("index", "sizes", to=item(0, 10**12)),
        "negative sizes": put("index", "sizes", to=item(slice(0, 2), [-5, 400])),
        "no lists": put("index", "centroids", to=lambda centroids: centroids[:0]),
        "NaN centroids": put("index", "centroids", to=item(0, np.nan)),
        "NaN in codes": put("index", "codes", to=item(0, 255)),
    },
    "pq": {
        "no centroids": drop("index", "pq_centroids"),
        "NaN centroids": put("index", "pq_centroids", to=item(0, np.nan)),
    },
    "retriever": {
        "codes of another width": put("codes", "width", to=16),
        "short metadata": put("metadata", to=lambda table: table[:-1].copy()),
        "metadata of an answer's column": put(
            "metadata", to=lambda table: table.rename(columns={"name": "rank"})
        ),
        "metadata without columns": put("metadata", to=pd.DataFrame(index=pd.RangeIndex(10**15))),
        "NaN betas inside": put("encoder", "objective", "betas", to=item(3, np.nan)),
        "ids twice inside": put("neighbors", "ids", to=np.zeros(300, np.int64)),
        "unknown kind of codes": put("codes", "kind", to="magic"),
        "unknown vectors": put("codes", "before_last", to="magic"),
        "samples without codes": put("codes", "codes", to=None),
        "samples of text": put("codes", "samples", to="images"),
        "vectors without rescoring": put("vectors", to=np.zeros((300, 8))),
        "rescorer without codes": put("rescorer", to={"encoder": None}),
    },
    "collection": {
        "nothing": lambda state: state.clear(),
        "paths missing": put("store", "texts", "path", to=join_texts(["/a.png"])),
        "path twice": put("store", "texts", "path", to=join_texts(["/a.png"] * 40)),
        "paths of numbers": put("store", "texts", "path", to=np.arange(40)),
        "paths in no text": put("store", "texts", to={}),
        "sizes of floats": put("store", "numbers", "bytes", to=np.full(40, np.nan)),
        "sizes missing": put("store", "numbers", "width", to=lambda widths: widths[:-1]),
        "unknown column": put("store", "numbers", to=lambda numbers: numbers | {"depth": numbers["width"]}),
        "paths and numbers": put("store", "numbers", "path", to=np.arange(40)),
        "other rows": put("store", "further", to=pd.DataFrame({"label": "a"}, index=range(1, 41))),
        "further rows": put("store", "further", to=pd.DataFrame({"label": range(41)})),
        "further rows without columns": put("store", "further", to=pd.DataFrame(index=pd.RangeIndex(10**15))),
        "further paths": put("store", "further", to=pd.DataFrame({"path": ["/a.png"] * 40})),
        "thumbnails beyond their bytes": put("store", "thumbnail_bytes", to=item(0, 10**12)),
        "negative thumbnails": put("store", "thumbnail_bytes", to=item(slice(0, 2), [-(10**6), 10**6])),
        "thumbnails for Ghostscript": put("store", "thumbnails", to=item(slice(0, 4), list(b"%!PS"))),
        "thumbnails of text": put("store", "thumbnails", to="thumbnails"),
        "NaN logits": put("store", "logits", to=item(0, np.nan)),
        "logits missing": put("store", "logits", to=lambda logits: logits[:-1]),
        "logits of other bits": put("store", "logits", to=lambda logits: logits[:, :-1]),
        "logits without bits": put("store", "logits", to=lambda logits: logits[:, :0]),
        "reasons missing": put("store", "unreadable", "reason", to=lambda joined: joined[:0]),
        "source of numbers": put("source", to=np.zeros(3)),
        "source of a dictionary": put("source", to={}),
        "unknown metric": put("params", "metric", to="cosmic"),
        "unknown parameter": put("params", "magic", to=1),
        "parameters of text": put("params", to="metric"),
        "reader of text": put("params", "image_reader", to="reader"),
        "NaN betas inside": put("encoder", "objective", "betas", to=item(3, np.nan)),
        "encoder of text": put("encoder", to="encoder"),
        "unknown kind of codes": put("codes", "kind", to="magic"),
        "codes of another width": put("codes", "width", to=2**40),
        "codes of text": put("codes", to="codes"),
    },
    "transfer": {
        "NaN features": put("features", "mean", to=item(0, np.nan)),
        "unknown mapping": put("mapping", "name", to="magic"),
        "short weights": put("mapping", "arrays", "weights", to=lambda weights: weights[:-1]),
        "no spread": put("features", "spread", to=0.0),
    },
    "classifier": {
        "wide network": put("params", "width", to=3000),
        "classes missing": put("classes", to=lambda classes: classes[:-1]),
        "classes twice": put("classes", to=item(0, 1)),
    },
    "statistics": {
        "NaN": put("mean", to=item(0, np.nan)),
        "single": put("n_samples", to=1),
        "negative variance": put("covariance", to=item((0, 0), -1.0)),
    },
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, changes in INVALID.items() for name in changes]
)
def test_files_of_invalid_content_are_rejected(valid_files, loaders, check_rejected, tmp_path, kind, name):
    path, written_as = tmp_path / "crafted", loaders[kind].__name__
    state = read_state(valid_files / kind, written_as, CLASSES)
    INVALID[kind][name](state)
    write_state(path, written_as, state, CLASSES)
    check_rejected(kind, path)
    assert os.listdir(tmp_path) == ["crafted"]


VALUES = {
    "unknown tag": {"$code": "print(1)"},
    "unknown class": {"$object": {"class": "Popen", "params": {"args": "true"}}},
    "parameters out of range": {"$object": {"class": "MixturePrior", "params": {"n_components": -1}}},
    "array that is missing": {"$array": "nowhere"},
    "array twice": [{"$array": "numbers"}, {"$array": "numbers"}],
    "array that nobody names": 1,
    "two tags": {"$tuple": [], "$float": "nan"},
    "unknown float": {"$float": "1e400"},
    "unhashable key": {"$items": [[[], 1]]},
    "random state": {"$random_state": {"$tuple": ["MT19937", [0], 0, 0, 0.0]}},
    "texts beyond their bytes": {
        "$index": {"name": None, "values": {"kind": "objects", "bytes": "bytes", "ends": "ends"}}
    },
    "time zone that is a path": {
        "$index": {
            "name": None,
            "values": {
                "kind": "zoned",
                "zone": "dateutil//etc/hostname",
                "plain": {"kind": "time", "dtype": "M8[ns]", "array": "ends"},
            },
        }
    },
    "text as numbers": {"$index": {"name": None, "values": {"kind": "time", "dtype": "U8", "array": "ends"}}},
    "deep lists": functools.reduce(lambda inner, _: [inner], range(80), []),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_that_the_codec_does_not_write_are_rejected(check_rejected, tmp_path, name):
    arrays = {"numbers": np.zeros(2), "bytes": np.zeros(2, np.uint8), "ends": np.array([1, 10**9])}
    write_file(tmp_path / "crafted", {"kind": "DMZEncoder", "state": {"x": VALUES[name]}}, arrays)
    check_rejected("encoder", tmp_path / "crafted")


def test_a_serialised_index_of_faiss_is_never_read(
    valid_files, loaders, check_rejected, tmp_path, monkeypatch
):
    faiss = pytest.importorskip("faiss")
    for name in ("deserialize_index", "deserialize_index_binary", "read_index", "read_index_binary"):
        monkeypatch.setattr(faiss, name, lambda *args: pytest.fail("FAISS read a file"))
    content = faiss.serialize_index(faiss.index_factory(8, "IVF4,Flat"))
    for kind in ("flat", "hnsw", "ivf", "pq", "retriever"):
        loaders[kind].load(valid_files / kind)
        written_as = loaders[kind].__name__
        state = read_state(valid_files / kind, written_as, CLASSES)
        (state if kind != "retriever" else state["neighbors"])["index"] = {"index": content}
        write_state(tmp_path / kind, written_as, state, CLASSES)
        check_rejected(kind, tmp_path / kind)


def test_invalid_checkpoints_are_rejected(tmp_path, digits):
    params = {"latent_dim": 4, "width": (8,), "encoder_width": 8, "max_iter": 1, "random_state": 0}
    encoder = make_encoder(**params, checkpoint_dir=tmp_path / "valid", checkpoint_keep=1).fit(digits[:64])
    (file,) = (tmp_path / "valid").glob("run-*/*")
    changes = [
        put("trainer", "counters", to=(1, 2)),
        put("trainer", "counters", to=lambda counters: (-1, *counters[1:])),
        put("trainer", "model", to=first_weight(item(0, np.nan))),
        put("trainer", "average", to=first_weight(lambda weight: weight[:-1])),
        put("trainer", "optimizer", 0, "exp_avg", to=lambda moments: moments[:-1]),
        put("trainer", "order", to=torch.zeros(3, dtype=torch.uint8)),
        put("trainer", "history", to=pd.DataFrame({"loss": ["low"]})),
        put("trainer", "timesteps", "counts", to=item(0, -1)),
        drop("trainer", "noise"),
        drop("identity"),
    ]
    for i, change in enumerate(changes):
        state = read_state(file, "checkpoint")
        change(state)
        crafted = tmp_path / str(i) / file.parent.name
        crafted.mkdir(parents=True)
        write_state(crafted / file.name, "checkpoint", state)
        with pytest.raises(PersistenceError, match=file.name):
            make_encoder(**params | {"max_iter": 2}, checkpoint_dir=tmp_path / str(i)).fit(digits[:64])
    assert encoder.n_iter_ == 1
