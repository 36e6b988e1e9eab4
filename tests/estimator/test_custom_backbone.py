"""Custom denoisers of DMZEncoder."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from dmzrep import DMZEncoder
from dmzrep.errors import CodeWarning, PersistenceError
from tests.encoders import make_encoder
from tests.estimator.denoisers import ImageDenoiser

LATENT_DIM = 8


class VectorNet(nn.Module):
    """A small denoiser of vectors."""

    def __init__(self, features=10):
        super().__init__()
        sizes = features + 1 + LATENT_DIM, 32, features
        self.layers = nn.Sequential(nn.Linear(*sizes[:2]), nn.SiLU(), nn.Linear(*sizes[1:]))

    def forward(self, x, t, z):
        return self.layers(torch.cat([x, t[:, None] / 1000.0, z], dim=1))


@pytest.fixture
def module():
    torch.manual_seed(0)
    return ImageDenoiser(LATENT_DIM)


@pytest.fixture
def images(digits):
    return digits[:100]


def make(backbone, **params):
    small = {"encoder_width": 8, "max_iter": 1, "random_state": 0, "init": "random", "encoder_augment": None}
    return make_encoder(LATENT_DIM, backbone=backbone, **small | params)


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


# -- fits ---------------------------------------------------------------------------------------------


def test_fit_trains_a_copy(module, digits):
    before, training = state(module), module.training
    fitted = make(module, max_iter=2).fit(digits)
    assert same(before, state(module)) and module.training == training
    assert all(p.grad is None and p.requires_grad for p in module.parameters())
    assert not same(before, state(fitted.model_.denoiser))
    assert fitted.backbone is module and isinstance(fitted.model_.denoiser, ImageDenoiser)
    assert fitted.history_["loss"].iloc[-1] < fitted.history_["loss"].iloc[0]


@pytest.mark.parametrize(
    ("backbone", "params", "data"),
    [
        (ImageDenoiser(LATENT_DIM), {}, "images"),
        (ImageDenoiser(LATENT_DIM, outputs=2), {"learn_variance": True}, "images"),
        (VectorNet(), {}, "vectors"),
    ],
)
def test_a_fitted_encoder_encodes_decodes_and_scores(backbone, params, data, request):
    X = request.getfixturevalue(data)
    fitted = make(backbone, **params).fit(X)
    assert fitted.transform(X[:3]).shape == (3, LATENT_DIM)
    assert fitted.reconstruct(X[:2], n_steps=2, random_state=0).shape == X[:2].shape
    assert np.isfinite(fitted.score(X[:4]))


def test_a_warm_start_continues(module, images):
    fitted = make(module, warm_start=True).fit(images)
    before = state(fitted.model_.denoiser)
    fitted.fit(images)
    assert fitted.n_iter_ == 2 and not same(before, state(fitted.model_.denoiser))
    with pytest.raises(ValueError, match="Training cannot continue"):
        fitted.set_params(backbone=ImageDenoiser(LATENT_DIM, width=16)).fit(images)


def test_a_fit_resumes_from_a_checkpoint(module, images, tmp_path):
    make(module, checkpoint_dir=tmp_path).fit(images)
    assert make(module, max_iter=2, checkpoint_dir=tmp_path).fit(images).n_iter_ == 2
    other = make(ImageDenoiser(LATENT_DIM, width=16), checkpoint_dir=tmp_path).fit(images)
    assert other.n_iter_ == 1 and len(list(tmp_path.glob("run-*"))) == 2


def test_frozen_parameters_stay_frozen(module, images):
    module.features.requires_grad_(False)
    fitted = make(module, warm_start=True).fit(images).fit(images)
    assert torch.equal(fitted.model_.denoiser.features.weight, module.features.weight)
    assert not torch.equal(fitted.model_.denoiser.last.weight, module.last.weight)


def test_the_papers_recipe_does_not_configure_a_custom_module(module):
    recipe = DMZEncoder.paper("cifar10", backbone=module)
    network, training = recipe.network, recipe.training
    assert (network.width, network.dropout, network.conditioning) == ("auto", 0.0, "auto")
    assert recipe.backbone is module and training.learn_variance and training.objective == "epsilon"


# -- files --------------------------------------------------------------------------------------------


def test_files_are_loaded_with_a_module_built_in_the_same_way(module, images, vector_encoder, tmp_path):
    fitted, path = make(module).fit(images), tmp_path / "encoder.safetensors"
    fitted.save(path)
    fresh = ImageDenoiser(LATENT_DIM)
    before = state(fresh)
    loaded = DMZEncoder.load(path, backbone=fresh)
    np.testing.assert_array_equal(loaded.transform(images[:3]), fitted.transform(images[:3]))
    np.testing.assert_array_equal(loaded.sample(2, random_state=0), fitted.sample(2, random_state=0))
    assert same(before, state(fresh)) and loaded.backbone is fresh
    loaded.set_params(warm_start=True).fit(images)
    with pytest.raises(PersistenceError, match=r"a ImageDenoiser.*load\(path, backbone=module\)"):
        DMZEncoder.load(path)
    with pytest.raises(PersistenceError, match=r"code.bias is .*\(8,\) in the file, .*\(16,\) in the"):
        DMZEncoder.load(path, backbone=ImageDenoiser(LATENT_DIM, width=16))
    with pytest.raises(PersistenceError, match=r"code.bias is .* in the file, absent in the network"):
        DMZEncoder.load(path, backbone=VectorNet())
    vector_encoder.save(path)
    with pytest.raises(PersistenceError, match="without backbone="):
        DMZEncoder.load(path, backbone=module)


# -- faulty modules -----------------------------------------------------------------------------------


class Broken(ImageDenoiser):
    """A denoiser whose output is ``fault(module, x, t, z, forward)``."""

    def __init__(self, fault, channels=1):
        super().__init__(LATENT_DIM, channels)
        self.fault = fault

    def forward(self, x, t, z):
        return self.fault(self, x, t, z, super().forward)


def in_place(self, x, t, z, forward):
    x.mul_(0.5)
    return forward(x, t, z)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda self, x, t, z, forward: forward(x, t, z)[:, :, :-1], r"x's own shape: \(2, 1, 8, 8\)"),
        (lambda self, x, t, z, forward: forward(x, t, z).repeat(1, 2, 1, 1), "Or set learn_variance=True"),
        (lambda self, x, t, z, forward: (forward(x, t, z),), "must return a tensor, got tuple"),
        (lambda self, x, t, z, forward: forward(x, t, z).round().long(), "floating-point numbers"),
        (lambda self, x, t, z, forward: forward(x, t, z) / 0.0, "NaN or infinity"),
        (lambda self, x, t, z, forward: forward(x, t), r"backbone\(x, t, z\) on .* failed: TypeError"),
        (lambda self, x, t, z, forward: forward(x, t, z) + torch.ones(1, device="meta"), "device"),
        (lambda self, x, t, z, forward: forward(x, t, torch.eye(1000)[t][:, :8]), r"t.long\(\) makes them"),
        (lambda self, x, t, z, forward: forward(x, t, z).detach(), "no gradient for its parameters"),
        (in_place, "changes its input x in place"),
    ],
)
def test_a_faulty_module_is_refused_before_training(fault, message, images):
    with pytest.raises(ValueError, match=message):
        make(Broken(fault)).fit(images)


def test_view_on_channels_last_images_is_explained(images):
    def flattened(self, x, t, z, forward):
        return forward(x.view(len(x), -1).view(x.shape), t, z)

    with pytest.raises(ValueError, match="use reshape in place of view"):
        make(Broken(flattened, channels=3)).fit(np.repeat(images[:, :, :, None], 3, axis=3))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda self, x, t, z, forward: forward(x, t, torch.zeros_like(z)), "backbone ignores z"),
        (lambda self, x, t, z, forward: forward(x, t, (z > 0.5).float()), "no gradient back to z"),
    ],
)
def test_a_module_that_cannot_train_the_encoder_is_warned_of(fault, message, images):
    with pytest.warns(CodeWarning, match=message):
        make(Broken(fault)).fit(images)


def test_layers_of_the_code_that_are_initialised_to_zero_are_not_warned_of(module, images):
    nn.init.zeros_(module.code.weight)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make(module).fit(images)
    assert not any("backbone" in str(warning.message) for warning in caught)


def test_modules_that_cannot_be_trained_are_refused(module, images):
    with pytest.raises(ValueError, match="no parameters that require a gradient"):
        make(copy.deepcopy(module).requires_grad_(False)).fit(images)
    with pytest.raises(ValueError, match=r"weights of torch.float64.*backbone.float\(\)"):
        make(copy.deepcopy(module).double()).fit(images)


@pytest.mark.parametrize(("name", "value"), [("width", 32), ("conditioning", "bias"), ("dropout", 0.1)])
def test_parameters_of_built_in_denoisers_are_refused(name, value, module, images):
    with pytest.raises(ValueError, match=f"{name}={value!r} configures the built-in denoisers"):
        make(module, **{name: value}).fit(images)
