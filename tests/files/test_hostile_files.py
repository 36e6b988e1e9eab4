"""Whole files under a checksum that holds whose content is nonsense: each is refused by PersistenceError."""

import copy
import functools
import os

import numpy as np
import pandas as pd
import pytest
import torch

from dmzrep.errors import PersistenceError
from dmzrep.estimator._state import CLASSES
from dmzrep.files._container import write_file
from dmzrep.files._state import read_state, write_state
from tests.encoders import make_encoder

pytestmark = [
    pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning"),
    pytest.mark.filterwarnings("ignore:.*number of unique classes.*"),
]


def test_honest_files_are_loaded(honest, loaders):
    for kind, (load, _) in loaders.items():
        load(honest / kind)


# -- whole files whose content is nonsense -----------------------------------------------------------


def put(*keys, to):
    """A change of the state: the value at the end of the keys becomes `to`, or what `to` makes of it."""

    def change(state):
        for key in keys[:-1]:
            state = state[key]
        state[keys[-1]] = to(copy.deepcopy(state[keys[-1]])) if callable(to) else to

    return change


def drop(*keys):
    def change(state):
        for key in keys[:-1]:
            state = state[key]
        del state[keys[-1]]

    return change


def item(index, to):
    """A function of arrays and tensors that sets one item."""

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


NONSENSE = {
    "encoder": {
        "NaN betas": put("objective", "betas", to=item(3, np.nan)),
        "betas of 1": put("objective", "betas", to=item(slice(None), 1.0)),
        "no betas": put("objective", "betas", to=lambda betas: betas[:0]),
        "unknown objective": put("objective", "kind", to="noise"),
        "objective in a list": put("objective", "kind", to=["v"]),
        "negative perturbation": put("objective", "input_perturbation", to=-1.0),
        "other bin": put("objective", "data_bin", to=5.0),
        "NaN weight": put("weights", to=first_weight(item(0, np.nan))),
        "weights of float64": put("weights", to=first_weight(lambda weight: weight.double())),
        "weights of another shape": put("weights", to=first_weight(lambda weight: weight[:-1])),
        "weights as text": put("weights", to=lambda weights: weights | {next(iter(weights)): "x"}),
        "additional weight": put("weights", to=lambda weights: weights | {"more": torch.zeros(1)}),
        "wide network": put("network", "widths", to=(2**20,)),
        "wide code": put("network", "latent_dim", to=2**30),
        "wide code twice": lambda state: (
            put("network", "latent_dim", to=2**30)(state),
            put("params", "latent_dim", to=2**30)(state),
        ),
        "wide encoder": put("network", "encoder_width", to=2**24),
        "deep network": put("network", "depth", to=(10**9, 10**9)),
        "deep encoder": put("network", "encoder_depth", to=10**5),
        "large images": put("network", "data_shape", to=(1, 2**20, 2**20)),
        "negative width": put("network", "widths", to=(-8,)),
        "fractional width": put("network", "widths", to=(8.5,)),
        "unknown conditioning": put("network", "conditioning", to="magic"),
        "NaN dropout": put("network", "dropout", to=float("nan")),
        "unknown setting": put("network", "magic", to=1),
        "custom denoiser without one": put("network", "module", to="os.system"),
        "negative temperature": put("params", "temperature", to=-1.0),
        "unknown parameter": put("params", "magic", to=1),
        "random state of text": put("params", "random_state", to="seed"),
        "layout": put("data_format", "layout", to="HCW"),
        "empty range": put("data_format", "low", to=lambda low: low + 1e9),
        "infinite range": put("data_format", "high", to=float("inf")),
        "object dtype": put("data_format", "dtype", to="O"),
        "structured dtype": put("data_format", "dtype", to="f8,f8"),
        "no images": put("data_format", "shape", to=(0, 8, 8)),
        "another prior": put("prior", "model", to="prior"),
        "prior beyond its bits": put("prior", "state", "order_", to=item(0, 10**6)),
        "prior of NaN": put("prior", "state", "conditionals_", to=item(0, np.nan)),
        "prior above 1": put("prior", "state", "conditionals_", to=item(slice(None), 3.0)),
        "short prior": put("prior", "state", "parents_", to=lambda parents: parents[:-1]),
        "negative epochs": put("results", "n_iter_", to=-1),
        "unknown end": put("results", "stopped_", to="tired"),
        "unknown precision": put("results", "precision_", to="int4"),
        "features": put("results", "n_features_in_", to=65),
        "history of objects": put("results", "history_", to=pd.DataFrame({"epoch": ["a"]})),
        "report of other bits": put("results", "code_report_", to=lambda report: report[:-1]),
        "names of other features": put("optional", "feature_names_in_", to=np.array(["a"], dtype=object)),
        "output as unknown": put("optional", "_sklearn_output_config", to={"transform": "html"}),
        "other attribute": put("optional", "fit", to=1),
        "nothing": lambda state: state.clear(),
    },
    "vectors": {
        "scale of 0": put("data_format", "scale", to=item(0, 0.0)),
        "NaN mean": put("data_format", "mean", to=item(0, np.nan)),
        "integers": put("data_format", "mean", to=lambda mean: mean.astype(np.int64)),
        "short scale": put("data_format", "scale", to=lambda scale: scale[:-1]),
        "no bound": put("data_format", "bound", to=float("nan")),
    },
    "flat": {
        "ids twice": put("ids", to=item(1, 7)),
        "ids missing": put("ids", to=lambda ids: ids[:-1]),
        "ids of floats": put("ids", to=lambda ids: ids.astype(np.float64)),
        "huge width": put("n_features", to=2**40),
        "negative width": put("n_features", to=-8),
        "vectors of floats": put("index", "vectors", to=lambda codes: codes.astype(np.float32)),
        "wide vectors": put("index", "vectors", to=lambda codes: np.hstack([codes, codes])),
        "unknown metric": put("metric", to="cosmic"),
        "other metric": put("metric", to="l2"),
        "unknown index": put("options", "kind", to="ondisk"),
        "negative neighbours": put("params", "n_neighbors", to=-3),
        "names missing": put("feature_names_in", to=np.array(["a"], dtype=object)),
        "no vectors": drop("index", "vectors"),
        "additional array": put("index", "invlists", to=np.zeros(3)),
    },
    "hnsw": {
        "links out of the graph": put("index", "neighbors", to=item(5, 10**8)),
        "links to minus two": put("index", "neighbors", to=item(5, -2)),
        "links above the level": put("index", "levels", to=item(0, 8)),
        "links missing": put("index", "neighbors", to=lambda links: links[:-1]),
        "levels of 0": put("index", "levels", to=item(slice(None), 0)),
        "high levels": put("index", "levels", to=item(slice(None), 10**6)),
        "entry outside": put("index", "entry", to=np.array(300)),
        "no entry": put("index", "entry", to=np.array(-1)),
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
        "codes of another width": put("index", "codes", to=lambda codes: codes[:, :-4]),
        "NaN in codes": put("index", "codes", to=item(0, 255)),
    },
    "pq": {
        "short centroids": put("index", "pq_centroids", to=lambda centroids: centroids[:-1]),
        "no centroids": drop("index", "pq_centroids"),
        "more bytes than numbers": put("options", "pq_bytes", to=10**6),
    },
    "retriever": {
        "short metadata": put("metadata", to=lambda table: table[:-1].copy()),
        "metadata of an answer's column": put(
            "metadata", to=lambda table: table.rename(columns={"name": "rank"})
        ),
        "metadata as a list": put("metadata", to=[1]),
        "metadata without columns": put("metadata", to=pd.DataFrame(index=pd.RangeIndex(10**15))),
        "NaN betas inside": put("encoder", "objective", "betas", to=item(3, np.nan)),
        "ids twice inside": put("neighbors", "ids", to=np.zeros(300, np.int64)),
    },
    "transfer": {
        "NaN features": put("features", "mean", to=item(0, np.nan)),
        "unknown mapping": put("mapping", "name", to="magic"),
        "short weights": put("mapping", "arrays", "weights", to=lambda weights: weights[:-1]),
        "negative counts": put("counts", "n_pairs_", to=-1),
        "unknown features": put("features", "kind", to="pixels"),
        "no spread": put("features", "spread", to=0.0),
        "parameter": put("params", "alpha", to=-1.0),
        "NaN betas inside": put("encoders", "source", "objective", "betas", to=item(3, np.nan)),
    },
    "classifier": {
        "wide network": put("params", "width", to=3000),
        "wide features": put("params", "n_features", to=10**9),
        "NaN weight": put("weights", to=first_weight(item(0, np.nan))),
        "classes missing": put("classes", to=lambda classes: classes[:-1]),
        "classes twice": put("classes", to=item(0, 1)),
        "no size": put("data_shape", to=(1, 0, 8)),
        "value range": put("params", "value_range", to=(1.0, 0.0)),
    },
    "statistics": {
        "NaN": put("mean", to=item(0, np.nan)),
        "short": put("mean", to=lambda mean: mean[:-1]),
        "single": put("n_samples", to=1),
        "source": put("source", "name", to=3),
        "negative variance": put("covariance", to=item((0, 0), -1.0)),
    },
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, changes in NONSENSE.items() for name in changes]
)
def test_whole_files_of_nonsense_are_refused(honest, loaders, refused, tmp_path, kind, name):
    path, (_, written_as) = tmp_path / "crafted", loaders[kind]
    state = read_state(honest / kind, written_as, CLASSES)
    NONSENSE[kind][name](state)
    write_state(path, written_as, state, CLASSES)
    refused(kind, path)
    assert os.listdir(tmp_path) == ["crafted"]


# -- files whose values are not what the codec makes -------------------------------------------------

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
def test_values_that_the_codec_does_not_make_are_refused(refused, tmp_path, name):
    arrays = {"numbers": np.zeros(2), "bytes": np.zeros(2, np.uint8), "ends": np.array([1, 10**9])}
    write_file(tmp_path / "crafted", {"kind": "DMZEncoder", "state": {"x": VALUES[name]}}, arrays)
    refused("encoder", tmp_path / "crafted")


def test_a_serialised_index_of_faiss_is_never_read(honest, loaders, refused, tmp_path, monkeypatch):
    faiss = pytest.importorskip("faiss")
    for name in ("deserialize_index", "deserialize_index_binary", "read_index", "read_index_binary"):
        monkeypatch.setattr(faiss, name, lambda *args: pytest.fail("FAISS read a file"))
    for kind in ("flat", "hnsw", "ivf", "pq", "retriever"):
        loaders[kind][0](honest / kind)
        assert loaders[kind][0](honest / kind) is not None
        content = faiss.serialize_index(faiss.index_factory(8, "IVF4,Flat"))
        state = read_state(honest / kind, loaders[kind][1], CLASSES)
        (state if kind != "retriever" else state["neighbors"])["index"] = {"index": content}
        write_state(tmp_path / kind, loaders[kind][1], state, CLASSES)
        refused(kind, tmp_path / kind)


def test_a_checkpoint_of_nonsense_is_refused(tmp_path, digits):
    params = {"latent_dim": 4, "width": (8,), "encoder_width": 8, "max_iter": 1, "random_state": 0}
    encoder = make_encoder(**params, checkpoint_dir=tmp_path / "honest", checkpoint_keep=1).fit(digits[:64])
    (file,) = (tmp_path / "honest").glob("run-*/*")
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
