"""An estimator that was saved on one machine and is loaded on another, over devices; GPUs are pretended."""

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from dmzrep import AttributeEditor, DMZEncoder, DomainTransfer, ImageRetriever, LinearProbe
from dmzrep._base._device import on_cpu, resolve_device
from dmzrep.errors import DeviceWarning
from dmzrep.metrics import ClassifierFeatures, InceptionFeatures
from dmzrep.networks._model import place
from dmzrep.priors import fit_prior
from dmzrep.training import Trainer
from tests.encoders import make_config, make_encoder
from tests.pretend_devices import OnDevice, pretended

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")

SMALL = {"latent_dim": 4, "width": (8,), "encoder_width": 8, "n_timesteps": 20, "max_iter": 1}
SMALL |= {"prior": "independent", "random_state": 0}
EVERYTHING = {"n_cuda": 2, "mps": True}


@pytest.fixture(scope="module")
def rows(digits):
    return digits[:60]


@pytest.fixture(scope="module")
def fitted(rows):
    return make_encoder(**SMALL, device="cpu").fit(rows)


@pytest.fixture(scope="module")
def fitted_to_vectors(rows):
    return make_encoder(**SMALL | {"width": 8}, device="cpu").fit(rows.reshape(60, 64) / 16.0)


def put(encoder, device):
    """Make a copy that is what it would be after a fit on a device, and has been used there."""
    encoder = copy.deepcopy(encoder)
    encoder.device, encoder.device_ = device, resolve_device(device)
    place(encoder.model_, encoder.device_)
    encoder.inverse_transform(np.ones((1, 4)), n_steps=2, random_state=0)
    return encoder


def devices_of(module):
    return {str(tensor.device) for tensor in [*module.parameters(), *module.buffers()]}


# -- pretended devices are strict --------------------------------------------------------------------


def test_pretended_devices_let_nothing_slip(monkeypatch):
    with pretended(monkeypatch, n_cuda=1, mps=True):
        x = torch.arange(3.0).to("cuda")
        assert str(x.device) == "cuda:0" and isinstance(x, OnDevice)
        assert (x + 1.0).cpu().tolist() == [1.0, 2.0, 3.0]
        for dump in (pickle.dumps, lambda thing: joblib.dump(thing, io.BytesIO())):
            with pytest.raises(AssertionError, match="a tensor on cuda:0 was pickled"):
                dump({"x": x})
        with pytest.raises(TypeError, match="can't convert cuda:0 tensor"):
            x.numpy()
        with pytest.raises(RuntimeError, match=r"tensors on cpu, cuda:0"):
            x + torch.ones(3)
        with pytest.raises(RuntimeError, match=r"there is no cuda:1 here"):
            x.to("cuda:1")
        with pytest.raises(TypeError, match="MPS has no float64"):
            x.double().to("mps")
        assert x.double().to("mps", torch.float32).dtype == torch.float32


# -- the table ---------------------------------------------------------------------------------------

SAVED_ON = ("cpu", "cuda:0", "cuda:1", "mps")
MACHINES = {
    "no GPU": {},
    "one CUDA": {"n_cuda": 1},
    "three CUDA": {"n_cuda": 3},
    "MPS": {"mps": True},
}
#: Where networks go, by machine and by the device that is asked for; a tuple where a warning says so.
GOES_TO = {
    "no GPU": {"auto": "cpu", "cpu": "cpu", "cuda": ("cpu",), "cuda:1": ("cpu",), "mps": ("cpu",)},
    "one CUDA": {
        "auto": "cuda:0", "cpu": "cpu", "cuda": "cuda:0", "cuda:1": ("cuda:0",), "mps": ("cuda:0",),
    },
    "three CUDA": {
        "auto": "cuda:0", "cpu": "cpu", "cuda": "cuda:0", "cuda:1": "cuda:1", "mps": ("cuda:0",),
    },
    "MPS": {"auto": "mps:0", "cpu": "cpu", "cuda": ("mps:0",), "cuda:1": ("mps:0",), "mps": "mps:0"},
}  # fmt: skip


def by_pickle(encoder, path):
    path.write_bytes(pickle.dumps(encoder))


#: Ways of saving, and of loading where the file does not say which device is wanted.
WAYS = {
    "pickle": (by_pickle, lambda path, asked: pickle.loads(path.read_bytes())),
    "joblib": (joblib.dump, lambda path, asked: joblib.load(path)),
    "save": (DMZEncoder.save, lambda path, asked: DMZEncoder.load(path, device=asked)),
}


@pytest.fixture(scope="module")
def saved(fitted, rows, tmp_path_factory):
    """Give a function that saves an encoder on a device, once, and gives the file."""
    folder, codes = tmp_path_factory.mktemp("saved"), fitted.transform(rows)

    def save(way, saved_on, asked, monkeypatch):
        path = folder / f"{way}-{saved_on}-{asked if way != 'save' else 'any'}".replace(":", "")
        if not path.exists():
            with pretended(monkeypatch, **EVERYTHING):
                encoder = put(fitted, saved_on)
                encoder.device = asked  # Travels along in a pickle.
                WAYS[way][0](encoder, path)
                # The live model stays where it is, and works.
                assert devices_of(encoder.model_) == {"mps:0" if saved_on == "mps" else saved_on}
                np.testing.assert_array_equal(encoder.transform(rows), codes)
        return path, codes

    return save


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("saved_on", SAVED_ON)
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("asked", GOES_TO["no GPU"])
def test_an_encoder_loads_anywhere_with_the_same_codes(
    way, saved_on, machine, asked, saved, rows, monkeypatch, recwarn
):
    path, codes = saved(way, saved_on, asked, monkeypatch)
    expected = GOES_TO[machine][asked]
    with pretended(monkeypatch, **MACHINES[machine]):
        recwarn.clear()
        loaded = WAYS[way][1](path, asked)
        told = [str(w.message) for w in recwarn.list if issubclass(w.category, DeviceWarning)]
        np.testing.assert_array_equal(loaded.transform(rows), codes)
    if isinstance(expected, tuple):
        (expected,) = expected
        (message,) = told
        assert f"device='{asked}' was asked for" in message
        assert message.endswith(f"The model was put on {loaded.device_}.")
    else:
        assert told == []
    assert devices_of(loaded.model_) == {expected}
    # There is one MPS device, and it goes by no number.
    assert str(loaded.device_) == expected.replace("mps:0", "mps")


@pytest.mark.parametrize("asked", ["gpu", "meta", "cuda:x", "xpu"])
def test_a_device_that_nobody_has_is_an_error(asked, fitted, tmp_path):
    fitted.save(tmp_path / "encoder")
    with pytest.raises(ValueError, match="The 'device' parameter must"):
        DMZEncoder.load(tmp_path / "encoder", device=asked)


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_vectors_are_encoded_on_every_device(device, fitted_to_vectors, rows, monkeypatch):
    X = rows.reshape(60, 64) / 16.0
    codes = fitted_to_vectors.transform(X)
    with pretended(monkeypatch, **EVERYTHING):
        np.testing.assert_allclose(put(fitted_to_vectors, device).transform(X), codes, atol=1e-6)


# -- everything that holds an encoder or a network ---------------------------------------------------


class Denoiser(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.image = torch.nn.Conv2d(1, 1, 3, padding=1)
        self.code = torch.nn.Linear(4, 1)
        self.code_too = self.code  # Shared weights stay shared.
        self.scale = torch.ones(1)  # Neither a parameter nor a buffer.

    def forward(self, x, t, z):
        return self.image(x) + self.code(z)[:, :, None, None]


def with_own_denoiser(encoder, rows, device):
    module = Denoiser().to(device)
    module.scale = module.scale.to(device)
    encoder = make_encoder(**SMALL | {"width": "auto", "backbone": Denoiser(), "device": "cpu"}).fit(rows)
    encoder = put(encoder, device)
    encoder.backbone = module
    return encoder


def gone_on_with(encoder, rows, device):
    return put(copy.deepcopy(encoder).set_params(device="cpu").partial_fit(rows), device)


def in_a_pipeline(encoder, rows, device):
    return make_pipeline(FrozenEstimator(put(encoder, device)), LogisticRegression()).fit(
        rows, np.arange(60) % 2
    )


def probe(encoder, rows, device):
    return LinearProbe().fit(put(encoder, device).transform(rows), np.arange(60) % 2)


def editor(encoder, rows, device):
    return AttributeEditor(put(encoder, device)).fit(rows, np.arange(60) % 2, names=["odd"])


def retriever(encoder, rows, device):
    return ImageRetriever(put(encoder, device)).fit(rows)


def transfer(encoder, rows, device):
    return DomainTransfer(put(encoder, device), put(encoder, device), random_state=0).fit(rows, rows)


def network_prior(encoder, rows, device):
    return fit_prior("autoregressive", put(encoder, device).transform(np.repeat(rows, 20, axis=0)) > 0.5, 0)


def classifier(encoder, rows, device):
    features = ClassifierFeatures(8, width=8, max_iter=1, device="cpu").fit(rows, np.arange(60) % 3)
    features.device = device
    features.network_.to(resolve_device(device))
    return features


HOLDERS = [with_own_denoiser, gone_on_with, in_a_pipeline, probe, editor, retriever, transfer, network_prior]
HOLDERS += [classifier]


@pytest.mark.parametrize("make", HOLDERS)
@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_no_pickle_holds_tensors_of_a_gpu(make, device, fitted, rows, monkeypatch, tmp_path):
    with pretended(monkeypatch, **EVERYTHING):
        holder = make(fitted, rows, device)
        answers = answer(holder, rows)
        # A tensor of a pretended GPU raises when it is pickled.
        joblib.dump(holder, tmp_path / "holder")
        np.testing.assert_array_equal(answer(holder, rows), answers)
    with pretended(monkeypatch):
        if make in (probe, network_prior):
            loaded = joblib.load(tmp_path / "holder")
        else:
            with pytest.warns(DeviceWarning, match="The model was put on cpu"):
                loaded = joblib.load(tmp_path / "holder")
        np.testing.assert_allclose(answer(loaded, rows), answers, atol=1e-6)


def answer(holder, rows):
    """What an estimator gives, as an array."""
    if isinstance(holder, AttributeEditor):
        return holder.edit(rows[:2], "odd", 1.0)[1]
    if isinstance(holder, ImageRetriever):
        return holder.query(rows[:2], k=3)["id"].to_numpy()
    if isinstance(holder, LinearProbe):
        return holder.coef_
    if hasattr(holder, "log_prob"):
        return holder.log_prob(np.eye(4, dtype=bool))
    if hasattr(holder, "predict"):
        return holder.predict(rows)
    return np.asarray(holder.transform(rows[:5]))


def test_a_loaded_inception_network_stays_out_of_the_pickle():
    features = InceptionFeatures(device="cpu", batch_size=7)
    features.__dict__["_network"] = OnDevice(torch.ones(1), torch.device("cuda:0"))
    loaded = pickle.loads(pickle.dumps(features))
    assert "_network" not in vars(loaded) and vars(loaded) | {"_network": None} == vars(features) | {
        "_network": None
    }


def test_the_state_of_a_run_is_on_the_cpu(fitted, monkeypatch):
    config = make_config(batch_size=8, max_epochs=1)
    trainer = Trainer(copy.deepcopy(fitted.model_).requires_grad_(True), fitted.objective_, config, 0)
    trainer.train_step(torch.zeros(8, 1, 8, 8), 8)
    with pretended(monkeypatch, **EVERYTHING):
        place(trainer.model, torch.device("cuda:1"))
        place(trainer.average.model, torch.device("cuda:1"))
        slots = trainer.optimizer.state
        for weight in slots:
            slots[weight] = {name: tensor.to("cuda:1") for name, tensor in slots[weight].items()}
        state = trainer.state()
        assert len(pickle.dumps(state)) > 10_000
        assert devices_of(trainer.model) == {"cuda:1"}


def test_a_copy_for_a_pickle_is_made_without_a_second_one_on_the_device(monkeypatch):
    with pretended(monkeypatch, **EVERYTHING):
        module = Denoiser().to("cuda:1")
        module.code.weight.requires_grad_(False)
        monkeypatch.setattr(OnDevice, "__deepcopy__", lambda *_: pytest.fail("copied on the device"))
        copied = on_cpu(module)
    assert devices_of(copied) == {"cpu"} and devices_of(module) == {"cuda:1"}
    assert copied.code_too.weight is copied.code.weight
    assert [p.requires_grad for p in copied.parameters()] == [True, True, False, True]
    assert isinstance(copied.code.weight, torch.nn.Parameter)
    assert on_cpu(copied) is copied
