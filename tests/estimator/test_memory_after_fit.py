"""What training allocates is freed when `fit` ends, by reference counts alone."""

import gc
import weakref

import pytest
import torch
import torch._dynamo  # The first optimiser imports it, whose frames hold references for a while.
from sklearn.model_selection import GridSearchCV

from dmzrep.errors import TrainingDivergedError
from dmzrep.networks import _device as device
from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.training import Trainer, TrainingData
from dmzrep.training._weights import WeightAverage
from tests.emulated_devices import emulated
from tests.encoders import make_encoder
from tests.estimator.denoisers import ImageDenoiser

SMALL = {"latent_dim": 4, "width": (8,), "encoder_width": 8, "n_timesteps": 50, "max_iter": 1}
SMALL |= {"prior": "independent", "device": "cpu", "random_state": 0}


class Made:
    """Weak references to new instances of some classes."""

    def __init__(self, monkeypatch, *classes):
        self.references = []
        for kind in classes:
            monkeypatch.setattr(kind, "__init__", self._watched(kind.__init__))

    def _watched(self, init):
        def watched(made, *arguments, **options):
            init(made, *arguments, **options)
            self.references.append(weakref.ref(made))

        return watched

    def alive(self):
        return [made for reference in self.references if (made := reference()) is not None]


@pytest.fixture
def made(monkeypatch):
    gc.collect()
    gc.disable()
    yield Made(monkeypatch, Trainer, torch.optim.AdamW, TrainingData, WeightAverage)
    gc.enable()


@pytest.fixture
def X(digits):
    return digits[:60].copy()


def live(kind):
    # isinstance() would call __class__, which some objects override.
    return {id(thing): thing for thing in gc.get_objects() if issubclass(type(thing), kind)}


FITS = {
    "dropout": {"dropout": 0.1, "verbose": 1},
    "augmented views": {"init": "cca", "decorrelation": "auto"},
    "checkpoints": {"checkpoint_every": 1e-9},
    "custom denoiser": {"backbone": ImageDenoiser(4), "width": "auto"},
}


@pytest.mark.usefixtures("encoder")  # The first fit allocates buffers that its thread keeps.
@pytest.mark.parametrize("name", FITS)
def test_nothing_of_the_training_is_left_after_fit(name, made, X, tmp_path):
    options = FITS[name] | ({"checkpoint_dir": tmp_path} if name == "checkpoints" else {})
    before = live(torch.Tensor)
    encoder = make_encoder(**SMALL | options).fit(X)
    assert len(made.references) >= 5 and made.alive() == []
    tables = encoder.objective_.schedule._tables.values()
    fitted = {id(t) for t in (*encoder.model_.parameters(), *encoder.model_.buffers(), *tables)}
    left = [t.shape for key, t in live(torch.Tensor).items() if key not in before and key not in fitted]
    assert left == []


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_that_continues_keeps_one_state(method, made, X):
    encoder = make_encoder(**SMALL, warm_start=True)
    for _ in range(2):
        getattr(encoder, method)(X)
    assert len(made.references) >= 10 and made.alive() == []
    assert {tensor.device.type for tensor in encoder._training_state["model"].values()} == {"cpu"}


def test_data_and_networks_are_not_kept(made, X, digits):
    data = weakref.ref(X_copy := X.copy())
    encoder = make_encoder(**SMALL).fit(X_copy)
    del X_copy
    assert data() is None
    weights = [weakref.ref(tensor) for tensor in encoder.model_.state_dict(keep_vars=True).values()]
    del encoder
    assert [weight for weight in weights if weight() is not None] == []


class Unreadable:
    """Dataset that raises an error once training has begun."""

    def __init__(self, X, made):
        self.X, self.made = X, made

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        if len(self.made.references) > 4:
            raise OSError("no such picture")
        return self.X[index]


@pytest.mark.parametrize("error", [TrainingDivergedError, OSError])
def test_nothing_of_the_training_is_left_after_a_fit_that_raises(error, made, X):
    options = {"init": "random"} | ({"learning_rate": 1e30} if error is TrainingDivergedError else {})
    data = Unreadable(X, made) if error is OSError else X
    raised = None
    try:
        make_encoder(**SMALL | options).fit(data)
    except error as caught:
        raised = type(caught)
    assert raised is error
    assert len(made.references) >= 5 and made.alive() == []


def test_a_grid_search_keeps_the_best_networks_only(made, X):
    before = live(DiffusionAutoencoder)
    search = GridSearchCV(make_encoder(**SMALL), {"max_iter": [1, 2]}, cv=2).fit(X)
    # Five fits, of which one refits the best: a trainer, an optimiser, an average and two data sets each.
    assert len(made.references) == 5 * 5 and made.alive() == []
    assert live(DiffusionAutoencoder).keys() - before.keys() == {id(search.best_estimator_.model_)}


@pytest.mark.parametrize("diverges", [False, True])
def test_cached_memory_is_released_after_training_is_freed(diverges, made, monkeypatch, X):
    calls = []
    monkeypatch.setattr(
        "dmzrep.estimator._encoder.release_cached_memory", lambda asked: calls.append((asked, made.alive()))
    )
    encoder = make_encoder(**SMALL)
    if diverges:
        with pytest.raises(TrainingDivergedError):
            encoder.set_params(learning_rate=1e30).fit(X)
        assert [asked for asked, _ in calls] == ["cpu"]
    else:
        encoder.fit(X)
        encoder.partial_fit(X)  # The next chunk needs the memory again.
        assert calls == [("cpu", [])]


@pytest.mark.parametrize(
    ("n_cuda", "mps", "asked", "emptied"),
    [
        (1, False, "auto", ["cuda"]),
        (2, False, "cuda:1", ["cuda"]),
        (1, False, "cpu", []),
        (0, True, "auto", ["mps"]),
        (0, False, "cuda", []),
    ],
)
def test_the_cache_of_the_device_in_use_is_emptied(n_cuda, mps, asked, emptied, monkeypatch):
    found = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: found.append("cuda"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: found.append("mps"))
    with emulated(monkeypatch, n_cuda, mps):
        device.release_cached_memory(asked)
    assert found == emptied
