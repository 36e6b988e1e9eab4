"""Estimators that are saved on one device and loaded on a machine with other devices; GPUs are emulated."""

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
import torch

from dmzrep import AttributeEditor, DMZEncoder, DomainTransfer, ImageRetriever
from dmzrep.errors import DeviceWarning
from dmzrep.metrics import ClassifierFeatures, InceptionFeatures
from dmzrep.networks._device import on_cpu, resolve_device
from dmzrep.networks._model import place
from dmzrep.priors import CodePrior, fit_prior
from dmzrep.training import Trainer
from dmzrep.training._state import trainer_state
from tests.emulated_devices import EmulatedTensor, emulated
from tests.encoders import make_config, make_encoder
from tests.estimator.denoisers import ImageDenoiser

SMALL = {"latent_dim": 4, "width": (8,), "encoder_width": 8, "n_timesteps": 20, "max_iter": 1}
SMALL |= {"prior": "independent", "random_state": 0}
ALL_DEVICES = {"n_cuda": 2, "mps": True}


@pytest.fixture(scope="module")
def X(digits):
    return digits[:60]


@pytest.fixture(scope="module")
def fitted(X):
    return make_encoder(**SMALL, device="cpu").fit(X)


def put(encoder, device):
    """Return a copy of the encoder as if it had been fitted and used on a device."""
    encoder = copy.deepcopy(encoder)
    encoder.device, encoder.device_ = device, resolve_device(device)
    place(encoder.model_, encoder.device_)
    encoder.inverse_transform(np.ones((1, 4)), n_steps=2, random_state=0)
    return encoder


def devices_of(module):
    return {str(tensor.device) for tensor in [*module.parameters(), *module.buffers()]}


def test_emulated_devices_are_strict(monkeypatch):
    with emulated(monkeypatch, n_cuda=1, mps=True):
        x = torch.arange(3.0).to("cuda")
        assert str(x.device) == "cuda:0" and isinstance(x, EmulatedTensor)
        assert (x + 1.0).cpu().tolist() == [1.0, 2.0, 3.0]
        for dump in (pickle.dumps, lambda thing: joblib.dump(thing, io.BytesIO())):
            with pytest.raises(AssertionError, match="a tensor on cuda:0 was pickled"):
                dump({"x": x})
        with pytest.raises(TypeError, match="can't convert cuda:0 tensor"):
            x.numpy()
        with pytest.raises(RuntimeError, match="tensors on cpu, cuda:0"):
            x + torch.ones(3)
        with pytest.raises(RuntimeError, match="there is no cuda:1 here"):
            x.to("cuda:1")
        with pytest.raises(TypeError, match="MPS has no float64"):
            x.double().to("mps")


# -- encoders ----------------------------------------------------------------------------------------

MACHINES = {"no GPU": {}, "one CUDA": {"n_cuda": 1}, "three CUDA": {"n_cuda": 3}, "MPS": {"mps": True}}
REQUESTED = ["auto", "cpu", "cuda", "cuda:1", "mps"]
#: Devices of the networks by machine, one for each requested device; a tuple where a warning is expected.
EXPECTED = {
    "no GPU": ["cpu", "cpu", ("cpu",), ("cpu",), ("cpu",)],
    "one CUDA": ["cuda:0", "cpu", "cuda:0", ("cuda:0",), ("cuda:0",)],
    "three CUDA": ["cuda:0", "cpu", "cuda:0", "cuda:1", ("cuda:0",)],
    "MPS": ["mps:0", "cpu", ("mps:0",), ("mps:0",), "mps:0"],
}
#: Functions that save and load; a pickle contains the requested device.
FORMATS = {
    "pickle": (
        lambda encoder, path: path.write_bytes(pickle.dumps(encoder)),
        lambda path, requested: pickle.loads(path.read_bytes()),
    ),
    "joblib": (joblib.dump, lambda path, requested: joblib.load(path)),
    "save": (DMZEncoder.save, lambda path, requested: DMZEncoder.load(path, device=requested)),
}


@pytest.fixture(scope="module")
def saved(fitted, X, tmp_path_factory):
    """Return a function that saves an encoder on a device, once, and returns the file and the codes."""
    folder, codes = tmp_path_factory.mktemp("saved"), fitted.transform(X)

    def save(kind, saved_on, requested, monkeypatch):
        path = folder / f"{kind}-{saved_on}-{requested if kind != 'save' else 'any'}".replace(":", "")
        if not path.exists():
            with emulated(monkeypatch, **ALL_DEVICES):
                encoder = put(fitted, saved_on)
                encoder.device = requested
                FORMATS[kind][0](encoder, path)
                # The model stays on its device and works.
                assert devices_of(encoder.model_) == {"mps:0" if saved_on == "mps" else saved_on}
                np.testing.assert_array_equal(encoder.transform(X), codes)
        return path, codes

    return save


#: All machines and requested devices for one format; each format on a machine without its device.
LOADS = [("save", "cuda:1", machine, requested) for machine in MACHINES for requested in REQUESTED]
LOADS += [(kind, "mps", "three CUDA", "auto") for kind in FORMATS if kind != "save"]


@pytest.mark.parametrize(("kind", "saved_on", "machine", "requested"), LOADS)
def test_an_encoder_loads_on_any_machine_with_the_same_codes(
    kind, saved_on, machine, requested, saved, X, monkeypatch, recwarn
):
    path, codes = saved(kind, saved_on, requested, monkeypatch)
    expected = EXPECTED[machine][REQUESTED.index(requested)]
    with emulated(monkeypatch, **MACHINES[machine]):
        recwarn.clear()
        loaded = FORMATS[kind][1](path, requested)
        messages = [str(w.message) for w in recwarn.list if issubclass(w.category, DeviceWarning)]
        np.testing.assert_array_equal(loaded.transform(X), codes)
    if isinstance(expected, tuple):
        (expected,), (message,) = expected, messages
        assert f"device='{requested}' is not available" in message
        assert message.endswith(f"The model was put on {loaded.device_}.")
    else:
        assert messages == []
    assert devices_of(loaded.model_) == {expected}
    assert str(loaded.device_) == expected.replace("mps:0", "mps")


# -- everything that holds an encoder or a network ---------------------------------------------------


class Denoiser(ImageDenoiser):
    def __init__(self):
        super().__init__(4)
        self.shared = self.code
        self.scale = torch.ones(1)  # Neither a parameter nor a buffer.


def custom_denoiser(encoder, X, device):
    module = Denoiser().to(device)
    module.scale = module.scale.to(device)
    encoder = make_encoder(**SMALL | {"width": "auto", "backbone": Denoiser(), "device": "cpu"}).fit(X)
    encoder = put(encoder, device)
    encoder.backbone = module
    return encoder


def continued(encoder, X, device):
    return put(copy.deepcopy(encoder).set_params(device="cpu").partial_fit(X), device)


def editor(encoder, X, device):
    return AttributeEditor(put(encoder, device)).fit(X, np.arange(60) % 2, names=["odd"])


def retriever(encoder, X, device):
    return ImageRetriever(put(encoder, device)).fit(X)


def transfer(encoder, X, device):
    return DomainTransfer(put(encoder, device), put(encoder, device), random_state=0).fit(X, X)


def network_prior(encoder, X, device):
    return fit_prior("autoregressive", put(encoder, device).transform(np.repeat(X, 20, axis=0)) > 0.5, 0)


def classifier(encoder, X, device):
    features = ClassifierFeatures(8, width=8, max_iter=1, device="cpu").fit(X, np.arange(60) % 3)
    features.device = device
    features.network_.to(resolve_device(device))
    return features


HOLDERS = [custom_denoiser, continued, editor, retriever, transfer, network_prior, classifier]


def result(holder, X):
    """Return something that an estimator computes."""
    if isinstance(holder, AttributeEditor):
        return holder.edit(X[:2], "odd", 1.0)[1]
    if isinstance(holder, ImageRetriever):
        return holder.query(X[:2], k=3)["id"].to_numpy()
    if isinstance(holder, DomainTransfer):
        return holder.transform(X[:5], n_steps=2, random_state=0)
    if isinstance(holder, CodePrior):
        return holder.log_prob(np.eye(4, dtype=bool))
    return holder.transform(X[:5])


@pytest.mark.parametrize("make", HOLDERS)
def test_no_pickle_holds_tensors_of_a_gpu(make, fitted, X, monkeypatch, tmp_path):
    with emulated(monkeypatch, **ALL_DEVICES):
        holder = make(fitted, X, "cuda:1")
        expected = result(holder, X)
        # A tensor of an emulated GPU raises when it is pickled.
        joblib.dump(holder, tmp_path / "holder")
        np.testing.assert_array_equal(result(holder, X), expected)
    with emulated(monkeypatch):
        if make is network_prior:
            loaded = joblib.load(tmp_path / "holder")
        else:
            with pytest.warns(DeviceWarning, match="The model was put on cpu"):
                loaded = joblib.load(tmp_path / "holder")
        np.testing.assert_allclose(result(loaded, X), expected, atol=1e-6)


def test_pickles_do_not_contain_the_inception_network():
    features = InceptionFeatures(device="cpu", batch_size=7)
    features.__dict__["_network"] = EmulatedTensor(torch.ones(1), torch.device("cuda:0"))
    loaded = pickle.loads(pickle.dumps(features))
    assert "_network" not in vars(loaded)
    assert vars(loaded) | {"_network": None} == vars(features) | {"_network": None}


def test_the_state_of_a_run_is_on_the_cpu(fitted, monkeypatch):
    config = make_config(batch_size=8, max_epochs=1)
    trainer = Trainer(copy.deepcopy(fitted.model_).requires_grad_(True), fitted.objective_, config, 0)
    trainer.train_step(torch.zeros(8, 1, 8, 8), 8)
    with emulated(monkeypatch, **ALL_DEVICES):
        place(trainer.model, torch.device("cuda:1"))
        place(trainer.average.model, torch.device("cuda:1"))
        slots = trainer.optimizer.state
        for weight in slots:
            slots[weight] = {name: tensor.to("cuda:1") for name, tensor in slots[weight].items()}
        assert len(pickle.dumps(trainer_state(trainer))) > 10_000
        assert devices_of(trainer.model) == {"cuda:1"}


def test_pickling_makes_no_copy_on_the_device(monkeypatch):
    with emulated(monkeypatch, **ALL_DEVICES):
        module = Denoiser().to("cuda:1")
        module.code.weight.requires_grad_(False)
        monkeypatch.setattr(EmulatedTensor, "__deepcopy__", lambda *_: pytest.fail("copied on the device"))
        copied = on_cpu(module)
    assert devices_of(copied) == {"cpu"} and devices_of(module) == {"cuda:1"}
    assert copied.shared.weight is copied.code.weight
    assert {name for name, p in copied.named_parameters() if not p.requires_grad} == {"code.weight"}
    assert isinstance(copied.code.weight, torch.nn.Parameter)
    assert on_cpu(copied) is copied
