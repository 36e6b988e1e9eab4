"""What trained is gone once `fit` returns, without a search for cycles: its memory is free for the next."""

import gc
import weakref
from pathlib import Path

import pytest
import torch
import torch._dynamo  # The first optimiser imports it; frames of that import hold what trains for a while.
from sklearn.model_selection import GridSearchCV

from dmzrep._base import _device as device
from dmzrep.errors import TrainingDivergedError
from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.training import Trainer, TrainingData
from dmzrep.training._weights import WeightAverage
from tests.encoders import make_encoder

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")

SMALL = {"latent_dim": 4, "width": (8,), "encoder_width": 8, "n_timesteps": 50, "max_iter": 1}
SMALL |= {"prior": "independent", "device": "cpu", "random_state": 0}


class Made:
    """Weak references to the objects of some classes that have been made."""

    def __init__(self, monkeypatch, *classes):
        self.references = []
        for kind in classes:
            self._watch(monkeypatch, kind)

    def _watch(self, monkeypatch, kind):
        init = kind.__init__

        def watched(made, *arguments, **options):
            init(made, *arguments, **options)
            self.references.append(weakref.ref(made))

        monkeypatch.setattr(kind, "__init__", watched)

    def kinds(self):
        return {type(made).__name__ for made in self.alive()}

    def alive(self):
        return [made for reference in self.references if (made := reference()) is not None]


@pytest.fixture
def no_search():
    """Only counts of references free what is unused, as for a GPU in the moment of the next fit."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def made(monkeypatch, no_search):
    return Made(monkeypatch, Trainer, torch.optim.AdamW, TrainingData, WeightAverage)


@pytest.fixture
def rows(digits):
    return digits[:60].copy()


def live_tensors():
    # By type(): some objects answer for others when they are asked for their class.
    return {id(thing): thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)}


class Denoiser(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.image = torch.nn.Conv2d(1, 1, 3, padding=1)
        self.code = torch.nn.Linear(4, 1)

    def forward(self, x, t, z):
        return self.image(x) + self.code(z)[:, :, None, None]


def fits(tmp_path):
    return {
        "plain": {},
        "dropout": {"dropout": 0.1},
        "moved copies": {"init": "cca"},
        "a term for codes": {"decorrelation": "auto"},
        "a bar": {"verbose": 1},
        "checkpoints": {"checkpoint_dir": tmp_path / "run", "checkpoint_every": 1e-9},
        "a denoiser of the user's": {"backbone": Denoiser(), "width": "auto"},
    }


@pytest.mark.parametrize("name", fits(Path()))
def test_nothing_that_trained_is_left_after_fit(name, made, rows, tmp_path):
    options = fits(tmp_path)[name]
    before = live_tensors()
    encoder = make_encoder(**SMALL | options).fit(rows)
    assert len(made.references) >= 5 and made.alive() == []
    tables = encoder.objective_.schedule._tables.values()
    own = {id(t) for t in (*encoder.model_.parameters(), *encoder.model_.buffers(), *tables)}
    left = [tensor.shape for key, tensor in live_tensors().items() if key not in before and key not in own]
    assert left == []


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_fits_that_go_on_leave_one_state(method, made, rows):
    encoder = make_encoder(**SMALL, warm_start=True)
    for _ in range(2):
        getattr(encoder, method)(rows)
    assert len(made.references) >= 10 and made.alive() == []
    assert {tensor.device.type for tensor in encoder._training_state["model"].values()} == {"cpu"}


def test_data_are_not_kept(digits, no_search):
    rows = digits[:60].copy()
    reference = weakref.ref(rows)
    encoder = make_encoder(**SMALL).fit(rows)
    del rows
    assert reference() is None
    assert encoder.transform(digits[:2]).shape == (2, 4)


def test_networks_go_with_the_encoder(rows, no_search):
    encoder = make_encoder(**SMALL).fit(rows)
    weights = [weakref.ref(tensor) for tensor in encoder.model_.state_dict(keep_vars=True).values()]
    assert all(weight() is not None for weight in weights)
    del encoder
    assert [weight for weight in weights if weight() is not None] == []


class Source:
    """A data set that can no longer be read once there is something that trains."""

    def __init__(self, rows, made):
        self.rows, self.made = rows, made

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        if len(self.made.references) > 4:
            raise OSError("no such picture")
        return self.rows[index]


@pytest.mark.parametrize("what", ["diverged", "unreadable"])
def test_nothing_that_trained_is_left_after_a_fit_that_raises(what, made, rows):
    X = Source(rows, made) if what == "unreadable" else rows
    options = {"init": "random"} | ({"learning_rate": 1e30} if what == "diverged" else {})
    raised = ""
    try:
        make_encoder(**SMALL | options).fit(X)
    except (TrainingDivergedError, OSError, ValueError) as error:
        raised = f"{type(error).__name__}: {error}"
    assert ("no such picture" if what == "unreadable" else "TrainingDivergedError") in raised
    assert len(made.references) >= 5 and made.alive() == []


def networks():
    return {id(thing): thing for thing in gc.get_objects() if type(thing) is DiffusionAutoencoder}


def test_a_grid_search_keeps_the_best_networks_alone(made, rows):
    before = networks()
    search = GridSearchCV(make_encoder(**SMALL), {"max_iter": [1, 2]}, cv=2).fit(rows)
    # Four fits and the best one's: a trainer, an optimiser, an average and two sets of rows each.
    assert len(made.references) == 5 * 5 and made.alive() == []
    assert networks().keys() - before.keys() == {id(search.best_estimator_.model_)}


# -- memory that torch keeps -------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["well", "diverged"])
def test_memory_is_given_back_once_what_trained_is_gone(outcome, made, monkeypatch, rows):
    calls = []
    monkeypatch.setattr(
        "dmzrep.estimator._encoder.give_back_memory", lambda asked: calls.append((asked, made.kinds()))
    )
    encoder = make_encoder(**SMALL)
    if outcome == "well":
        encoder.fit(rows)
        assert calls == [("cpu", set())]
        encoder.partial_fit(rows)  # The next chunk needs the memory again.
        assert len(calls) == 1
    else:
        with pytest.raises(TrainingDivergedError):
            encoder.set_params(learning_rate=1e30).fit(rows)
        assert [asked for asked, _ in calls] == ["cpu"]


@pytest.mark.parametrize(
    ("n_cuda", "mps", "asked", "emptied"),
    [
        (1, False, "auto", ["cuda"]),
        (2, False, "cuda:1", ["cuda"]),
        (1, False, torch.device("cuda"), ["cuda"]),
        (1, False, "cpu", []),
        (0, True, "auto", ["mps"]),
        (0, False, "auto", []),
        (0, False, "cuda", []),
    ],
)
def test_caches_of_the_device_that_was_used_are_emptied(n_cuda, mps, asked, emptied, monkeypatch):
    found = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n_cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_cuda)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: found.append("cuda"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: found.append("mps"))
    device.give_back_memory(asked)
    assert found == emptied
