"""Parameter groups, the options of sampling, and the paper's recipes."""

import inspect
from dataclasses import fields

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from dmzrep import DMZEncoder, Network, Sampling, Training
from dmzrep._base._random import sample_seeds
from dmzrep.data import ImageFormat
from dmzrep.estimator._parameters import GROUPS, PARAMETER_CONSTRAINTS, all_parameters, group_of
from dmzrep.estimator._resolve import resolve_network
from dmzrep.inference import SamplingOptions
from dmzrep.networks._model import DiffusionAutoencoder

TINY = Network(width=(8,), encoder_width=8)


def test_every_parameter_has_one_place_and_a_constraint():
    flat = list(inspect.signature(DMZEncoder).parameters)
    assert len(flat) <= 30 and flat == list(PARAMETER_CONSTRAINTS)
    nested = [name for group in GROUPS.values() for name in inspect.signature(group).parameters]
    assert len(set(flat) | set(nested)) == len(flat) + len(nested)
    for group in GROUPS.values():
        assert set(inspect.signature(group).parameters) == set(group._parameter_constraints)


def test_grid_search_reaches_nested_parameters(digits, digit_labels):
    encoder = DMZEncoder(8, network=TINY, max_iter=1, random_state=0)
    pipeline = make_pipeline(encoder, LogisticRegression(max_iter=500))
    grid = {"dmzencoder__latent_dim": [4, 8], "dmzencoder__training__temperature": [1.0, 2.0]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(digits[:60], digit_labels[:60])
    assert len(search.cv_results_["params"]) == 4
    fitted = search.best_estimator_[0]
    assert fitted.training.temperature == search.best_params_["dmzencoder__training__temperature"]
    assert fitted.network == TINY and fitted.network is not TINY


def test_set_params_creates_missing_groups_and_clones_do_not_share_them():
    encoder = DMZEncoder().set_params(training__temperature=1.0, network__width=(8, 16))
    assert encoder.training == Training(temperature=1.0)
    assert encoder.get_params()["network__width"] == (8, 16)
    assert clone(encoder).training == encoder.training
    assert DMZEncoder().training is None
    clone(encoder).set_params(training__temperature=3.0)
    assert encoder.training.temperature == 1.0


@pytest.mark.parametrize("name", [name for group in GROUPS.values() for name in group._parameter_constraints])
def test_a_flat_name_of_a_nested_parameter_names_its_group(name):
    group = group_of(name)
    message = rf"{name}.*belongs to `{group}`.*{group}={GROUPS[group].__name__}\({name}"
    with pytest.raises(TypeError, match=message):
        DMZEncoder(**{name: 1})
    with pytest.raises(ValueError, match=f"Use {group}__{name}"):
        DMZEncoder().set_params(**{name: 1})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"training": Training(temperature=-1.0)}, "'temperature' parameter of Training must be a float"),
        ({"network": Network(dropout=2.0)}, "'dropout' parameter of Network must be a float"),
        ({"training": {"temperature": 1.0}}, "'training' parameter of DMZEncoder must be an instance of"),
    ],
)
def test_groups_are_validated(digits, params, message):
    with pytest.raises(ValueError, match=message):
        DMZEncoder(**params).fit(digits[:20])


def test_sampling_options_have_one_set_of_names():
    assert list(SamplingOptions.__annotations__) == [field.name for field in fields(Sampling)]


def test_an_unknown_sampling_option_is_named(encoder):
    with pytest.raises(TypeError, match=r"Unknown sampling option 'guidence'.*Did you mean 'guidance'"):
        encoder.sample(2, guidence=2.0)


def test_the_decoder_is_public(encoder, digits):
    bits = encoder.transform(digits[:3]) > 0.5
    images = encoder.decoder_.decode(bits, sample_seeds(0, 3), Sampling(n_steps=2))
    assert images.shape == (3, 8, 8)
    assert np.array_equal(images, encoder.inverse_transform(bits, n_steps=2, random_state=0))
    assert not hasattr(DMZEncoder(), "decoder_")


class Digits(DMZEncoder):
    """A subclass whose constructor takes few parameters and sets the others."""

    def __init__(self, latent_dim=8, random_state=None):
        super().__init__(
            latent_dim, encoder_augment=None, max_iter=1, device="cpu", random_state=random_state
        )


@pytest.mark.parametrize("load", [Digits.load, DMZEncoder.load])
def test_subclasses_may_take_fewer_parameters(digits, tmp_path, load):
    encoder = clone(Digits(random_state=0)).fit(digits[:64])
    assert encoder.get_params() == {"latent_dim": 8, "random_state": 0}
    encoder.save(tmp_path / "encoder", model_card=tmp_path / "card.md")
    loaded = load(tmp_path / "encoder")
    assert (loaded.max_iter, loaded.encoder_augment) == (1, None)
    np.testing.assert_array_equal(loaded.transform(digits[:9]), encoder.transform(digits[:9]))
    assert "max_iter" in (tmp_path / "card.md").read_text()


@pytest.mark.parametrize(
    ("name", "side", "n_parameters"), [("cifar10", 32, 422_176), ("celeba64", 64, 1_832_832)]
)
def test_the_papers_recipe_has_the_authors_encoder(name, side, n_parameters):
    images = ImageFormat("HWC", (3, side, side), False, "uint8", 0.0, 255.0)
    with torch.device("meta"):
        model = DiffusionAutoencoder(resolve_network(all_parameters(DMZEncoder.paper(name)), images))
    assert model.parameter_counts()["encoder"] == n_parameters


def test_the_papers_recipe_trains_when_made_small():
    X = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    small = {"network__width": (8, 8, 8, 8), "network__depth": 1, "max_iter": 1, "batch_size": 4}
    encoder = DMZEncoder.paper("cifar10", **small, random_state=0).fit(X)
    assert encoder.sample(1, n_steps=2).shape == (1, 32, 32, 3)
