"""Denoisers that users bring to DMZEncoder."""

import copy
import io
import warnings

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from dmzrep import DMZEncoder
from dmzrep.errors import CodeWarning, PersistenceError
from tests.encoders import make_encoder

LATENT_DIM = 8


class ConvolutionalNet(nn.Module):
    """A small denoiser of images as a user may write it."""

    def __init__(self, channels=1, width=8, outputs=1):
        super().__init__()
        self.features = nn.Conv2d(channels, width, 3, padding=1)
        self.told = nn.Linear(LATENT_DIM + 1, width)
        self.last = nn.Conv2d(width, outputs * channels, 3, padding=1)

    def forward(self, x, t, z):
        told = self.told(torch.cat([t[:, None] / 1000.0, z], dim=1))
        return self.last(torch.relu(self.features(x) + told[:, :, None, None]))


class VectorNet(nn.Module):
    """A small denoiser of vectors."""

    def __init__(self, features=10):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features + 1 + LATENT_DIM, 32), nn.SiLU(), nn.Dropout(0.1), nn.Linear(32, features)
        )

    def forward(self, x, t, z):
        return self.layers(torch.cat([x, t[:, None] / 1000.0, z], dim=1))


@pytest.fixture
def module():
    torch.manual_seed(0)
    return ConvolutionalNet()


def encoder(backbone, **params):
    given = {"encoder_width": 8, "max_iter": 2, "random_state": 0, "init": "random", "encoder_augment": None}
    return make_encoder(LATENT_DIM, backbone=backbone, **(given | params))


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")
class TestAFitWithAModule:
    def test_trains_a_copy_and_leaves_the_module_as_it_was(self, module, digits):
        before, training = state(module), module.training
        fitted = encoder(module).fit(digits)
        assert same(before, state(module)) and module.training == training
        assert all(p.grad is None and p.requires_grad for p in module.parameters())
        assert not same(before, state(fitted.model_.denoiser))
        assert fitted.backbone is module and isinstance(fitted.model_.denoiser, ConvolutionalNet)
        assert fitted.history_["loss"].iloc[-1] < fitted.history_["loss"].iloc[0]

    def test_encodes_draws_and_scores(self, module, digits):
        fitted = encoder(module).fit(digits)
        assert fitted.transform(digits[:3]).shape == (3, LATENT_DIM)
        assert fitted.sample(2, n_steps=2, random_state=0).shape == (2, 8, 8)
        assert fitted.reconstruct(digits[:2], n_steps=2, random_state=0).shape == (2, 8, 8)
        assert np.isfinite(fitted.score(digits[:4]))

    def test_is_reproducible_and_touches_no_global_generator(self, module, digits):
        torch.manual_seed(3)
        before = torch.get_rng_state()
        first, second = (encoder(module).fit(digits).transform(digits[:5]) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert torch.equal(before, torch.get_rng_state())

    def test_what_the_module_draws_is_decided_by_random_state(self, vectors):
        module, codes = VectorNet(), []  # With dropout.
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            codes.append(encoder(module).fit(vectors).transform(vectors))
            assert torch.equal(torch.get_rng_state(), before)
        np.testing.assert_array_equal(*codes)

    def test_takes_vectors(self, vectors):
        fitted = encoder(VectorNet()).fit(vectors)
        assert fitted.inverse_transform(fitted.transform(vectors[:3]), n_steps=2, random_state=0).shape == (
            3,
            10,
        )

    def test_takes_twice_the_channels_for_a_learned_variance(self, digits):
        fitted = encoder(ConvolutionalNet(outputs=2), learn_variance=True, max_iter=1).fit(digits)
        assert fitted.sample(1, n_steps=2, random_state=0).shape == (1, 8, 8)

    def test_goes_on_with_a_warm_start(self, module, digits):
        fitted = encoder(module, warm_start=True, max_iter=1).fit(digits)
        before = state(fitted.model_.denoiser)
        fitted.fit(digits)
        assert fitted.n_iter_ == 2 and not same(before, state(fitted.model_.denoiser))
        with pytest.raises(ValueError, match="Training cannot go on"):
            fitted.set_params(backbone=ConvolutionalNet(width=16)).fit(digits)

    def test_goes_on_from_a_checkpoint(self, module, digits, tmp_path):
        encoder(module, max_iter=1, checkpoint_dir=tmp_path).fit(digits)
        longer = encoder(module, max_iter=2, checkpoint_dir=tmp_path).fit(digits)
        assert longer.n_iter_ == 2
        other = encoder(ConvolutionalNet(width=16), max_iter=1, checkpoint_dir=tmp_path).fit(digits)
        assert other.n_iter_ == 1 and len(list(tmp_path.glob("run-*"))) == 2

    def test_keeps_frozen_parameters(self, module, digits):
        module.features.requires_grad_(False)
        fitted = encoder(module, max_iter=1, warm_start=True).fit(digits).fit(digits)
        assert torch.equal(fitted.model_.denoiser.features.weight, module.features.weight)
        assert not torch.equal(fitted.model_.denoiser.last.weight, module.last.weight)

    def test_is_compared_in_a_grid_search(self, digits):
        search = GridSearchCV(
            encoder("unet", max_iter=1), {"backbone": ["unet", ConvolutionalNet()]}, cv=2, error_score="raise"
        )
        search.fit(digits[:100])
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    def test_is_copied_by_joblib(self, module, digits, tmp_path):
        fitted = encoder(module, max_iter=1).fit(digits)
        joblib.dump(fitted, tmp_path / "encoder.joblib")
        again = joblib.load(tmp_path / "encoder.joblib")
        np.testing.assert_array_equal(again.transform(digits[:3]), fitted.transform(digits[:3]))
        np.testing.assert_array_equal(again.sample(1, random_state=0), fitted.sample(1, random_state=0))
        assert same(state(again.backbone), state(module))


def test_clone_copies_the_module_and_parameters_are_set(module):
    original = encoder(module)
    copied = clone(original)
    assert copied.backbone is not module and same(state(copied.backbone), state(module))
    assert original.get_params()["backbone"] is module
    other = ConvolutionalNet(width=16)
    assert copied.set_params(backbone=other).backbone is other
    assert "ConvolutionalNet" in repr(original)


@pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")
class TestFilesOfAModule:
    @pytest.fixture
    def path(self, module, digits, tmp_path):
        self.fitted = encoder(module, max_iter=1).fit(digits)
        self.fitted.save(tmp_path / "encoder.safetensors")
        return tmp_path / "encoder.safetensors"

    def test_come_back_with_a_module_built_in_the_same_way(self, path, digits):
        fresh = ConvolutionalNet()
        before = state(fresh)
        again = DMZEncoder.load(path, backbone=fresh)
        np.testing.assert_array_equal(again.transform(digits[:3]), self.fitted.transform(digits[:3]))
        np.testing.assert_array_equal(again.sample(2, random_state=0), self.fitted.sample(2, random_state=0))
        assert same(before, state(fresh)) and again.backbone is fresh
        again.set_params(warm_start=True).fit(digits)

    def test_need_the_module(self, path):
        with pytest.raises(PersistenceError, match=r"a ConvolutionalNet.*load\(path, backbone=module\)"):
            DMZEncoder.load(path)

    def test_need_a_module_of_the_same_shapes(self, path):
        with pytest.raises(PersistenceError, match=r"features.weight: file \(8, 1, 3, 3\), backbone \(16"):
            DMZEncoder.load(path, backbone=ConvolutionalNet(width=16))
        with pytest.raises(PersistenceError, match=r"features\.weight: file .* backbone None"):
            DMZEncoder.load(path, backbone=VectorNet())

    def test_of_our_own_networks_take_no_module(self, vector_encoder, module, tmp_path):
        vector_encoder.save(tmp_path / "own.safetensors")
        with pytest.raises(PersistenceError, match="without backbone="):
            DMZEncoder.load(tmp_path / "own.safetensors", backbone=module)


class Broken(ConvolutionalNet):
    """A denoiser with one fault."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def forward(self, x, t, z):
        return self.fault(self, x, t, z, super().forward)


def detached(self, x, t, z, forward):
    return forward(x, t, z).detach()


def from_numpy(self, x, t, z, forward):
    return torch.from_numpy(forward(x, t, z).detach().float().numpy())


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
        (
            lambda self, x, t, z, forward: forward(x, t),
            r"could not be run as backbone\(x, t, z\) on x \(2, 1",
        ),
        (lambda self, x, t, z, forward: forward(x, t, z) + torch.ones(1, device="meta"), "device"),
        (lambda self, x, t, z, forward: forward(x, t, torch.eye(1000)[t][:, :8]), r"t.long\(\) makes them"),
        (detached, "no gradient for its parameters"),
        (from_numpy, "no gradient for its parameters"),
        (in_place, "changes its input x in place"),
    ],
)
def test_a_faulty_module_is_refused_before_training(fault, message, digits):
    with pytest.raises(ValueError, match=message):
        encoder(Broken(fault)).fit(digits)


def test_view_on_channels_last_images_is_explained(digits):
    def flattened(self, x, t, z, forward):
        return forward(x.view(len(x), -1).view(x.shape), t, z)

    X = np.repeat(digits[:, :, :, None], 3, axis=3)
    broken = Broken(flattened)
    broken.features, broken.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)
    with pytest.raises(ValueError, match="use reshape in place of view"):
        encoder(broken).fit(X)


@pytest.mark.filterwarnings("ignore:The denoiser hardly uses")
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda self, x, t, z, forward: forward(x, t, torch.zeros_like(z)), "backbone ignores z"),
        (lambda self, x, t, z, forward: forward(x, t, (z > 0.5).float()), "no gradient back to z"),
    ],
)
def test_a_module_that_cannot_teach_the_encoder_is_warned_of(fault, message, digits):
    with pytest.warns(CodeWarning, match=message):
        encoder(Broken(fault), max_iter=1).fit(digits[:100])


def test_code_layers_that_start_at_zero_are_no_reason_to_warn(module, digits):
    nn.init.zeros_(module.told.weight)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        encoder(module, max_iter=1).fit(digits[:100])
    assert not any("backbone" in str(warning.message) for warning in caught)


def test_modules_that_cannot_be_trained_are_refused(module, digits):
    with pytest.raises(ValueError, match="no parameters that require a gradient"):
        encoder(copy.deepcopy(module).requires_grad_(False)).fit(digits)
    with pytest.raises(ValueError, match=r"weights of torch.float64.*backbone.float\(\)"):
        encoder(copy.deepcopy(module).double()).fit(digits)
    with pytest.raises(ValueError, match="'meta' device"):
        encoder(copy.deepcopy(module).to("meta")).fit(digits)
    module.file = io.BufferedReader(io.BytesIO(b""))
    with pytest.raises(ValueError, match="cannot be copied"):
        encoder(module).fit(digits)


@pytest.mark.parametrize(
    ("name", "value"),
    [("width", 32), ("depth", 2), ("conditioning", "bias"), ("dropout", 0.1), ("code_input", "one_hot")],
)
def test_parameters_of_our_own_denoisers_are_refused(name, value, module, digits):
    with pytest.raises(ValueError, match=f"{name}={value!r} shapes dmzrep's own denoisers"):
        encoder(module, **{name: value}).fit(digits)


def test_the_papers_recipe_leaves_a_module_to_itself(module):
    recipe = DMZEncoder.paper("cifar10", backbone=module)
    network, training = recipe.network, recipe.training
    assert (network.width, network.dropout, network.conditioning) == ("auto", 0.0, "auto")
    assert recipe.backbone is module and training.learn_variance and training.objective == "epsilon"
