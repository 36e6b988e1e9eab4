"""Attributions to pixels, against results computed by hand; the encoder is unchanged."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from dmzrep.attribution import attribute_bits
from dmzrep.datasets import make_sprites
from dmzrep.networks._encoders import ConvEncoder
from tests.encoders import make_encoder


@pytest.fixture(scope="module")
def sprites():
    return make_sprites(96, side=16, random_state=0)


@pytest.fixture(scope="module")
def colour_encoder(sprites):
    # Logits that are not normalised are linear in the pixels where the convolutions contribute zero.
    params = {"width": (8,), "encoder_width": 8, "init": "itq", "max_iter": 2, "batch_size": 32}
    params |= {"normalize_logits": False}
    return make_encoder(6, **params, random_state=0).fit(sprites.images)


def logits(encoder, X):
    encoder = copy.copy(encoder).set_params(output="logits")
    return encoder.transform(X)


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion", "grad_cam"])
def test_maps_have_the_layout_of_images_and_scores_are_logits(colour_encoder, sprites, method):
    X = sprites.images[:5]
    found = attribute_bits(colour_encoder, X, 2, method=method)
    assert found.maps.shape == X.shape
    assert found.maps.dtype == np.float32
    assert np.abs(found.maps).max() > 0
    np.testing.assert_allclose(found.scores, logits(colour_encoder, X)[:, 2], rtol=1e-4, atol=1e-5)
    assert (found.convergence_delta is None) == (method != "integrated_gradients")
    assert (found.baseline_scores is None) == (method == "grad_cam")


def test_integrated_gradients_sum_to_the_change_of_the_score(colour_encoder, sprites):
    X, dark = sprites.images[:4], sprites.images[0]
    found = attribute_bits(colour_encoder, X, 0, baseline=dark, n_steps=100)
    np.testing.assert_allclose(found.baseline_scores, logits(colour_encoder, X[:1])[0, 0], rtol=1e-4)
    total = found.maps.sum(axis=(1, 2, 3))
    change = found.scores - found.baseline_scores
    np.testing.assert_allclose(total, change + found.convergence_delta, atol=1e-4)
    assert np.abs(found.convergence_delta).max() < 0.02
    assert np.abs(found.maps[0]).max() == 0  # The baseline itself.


def test_integrated_gradients_of_a_linear_encoder_are_exact(colour_encoder, sprites):
    linear = copy.deepcopy(colour_encoder)
    torch.nn.init.zeros_(linear.model_.encoder.head.linear.weight)
    weights = linear.model_.encoder.linear_init.linear.weight[3].detach().numpy().reshape(3, 16, 16)
    X = sprites.images[:3]
    found = attribute_bits(linear, X, 3, baseline=X[1], n_steps=3)
    expected = weights.transpose(1, 2, 0) * (X.astype(float) - X[1]) * 2 / 255
    np.testing.assert_allclose(found.maps, expected, atol=1e-5)


def test_occlusion_of_single_pixels_is_the_decrease_of_the_logit(encoder, digits):
    found = attribute_bits(encoder, digits[:2], 1, method="occlusion", window=1, baseline=0)
    for image, map_ in zip(digits[:2], found.maps, strict=True):
        without = np.repeat(image[None], 64, axis=0)
        without.reshape(64, 64)[np.arange(64), np.arange(64)] = 0
        loss = logits(encoder, image[None])[0, 1] - logits(encoder, without)[:, 1]
        np.testing.assert_allclose(map_.ravel(), loss, atol=1e-4)


def test_grad_cam_weights_activations_by_their_mean_gradients(colour_encoder, sprites):
    network = copy.deepcopy(colour_encoder.model_.encoder).eval()
    x = colour_encoder.data_format_.to_model(torch.from_numpy(sprites.images[:2].copy()))
    with torch.no_grad():
        activations = network.convolutions[:3](x)
    activations.requires_grad_()
    network.head(network.convolutions[3:](activations).flatten(1))[:, 4].sum().backward()
    coarse = (activations.grad.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1, keepdim=True)
    expected = torch.nn.functional.interpolate(coarse, (16, 16), mode="bilinear")[:, 0].detach().numpy()
    found = attribute_bits(colour_encoder, sprites.images[:2], 4, method="grad_cam", layer=0)
    for channel in range(3):
        np.testing.assert_allclose(found.maps[..., channel], expected, atol=1e-6)


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion", "grad_cam"])
def test_maps_do_not_depend_on_the_batch_size(colour_encoder, sprites, method, monkeypatch):
    X, others = sprites.images[:5], sprites.images[5:10]
    options = {"target": "distance", "reference": others, "method": method, "n_steps": 7}
    whole = attribute_bits(colour_encoder, X, **options)
    sizes, forward = [], ConvEncoder.forward
    monkeypatch.setattr(ConvEncoder, "forward", lambda self, x: sizes.append(len(x)) or forward(self, x))
    parts = attribute_bits(colour_encoder, X, **options, batch_size=2)
    # The reference is encoded as a whole.
    assert max(sizes[1:]) == 2
    np.testing.assert_allclose(parts.maps, whole.maps, atol=1e-5)
    np.testing.assert_allclose(parts.scores, whole.scores, atol=1e-5)


def test_maps_do_not_depend_on_the_layout(colour_encoder, sprites):
    first = copy.copy(colour_encoder)
    first.data_format_ = replace(colour_encoder.data_format_, layout="CHW")
    flat = copy.copy(colour_encoder)
    flat.data_format_ = replace(colour_encoder.data_format_, flat=True)
    X = sprites.images[:3]
    maps = attribute_bits(colour_encoder, X, 1).maps
    of_first = attribute_bits(first, X.transpose(0, 3, 1, 2), 1).maps
    np.testing.assert_allclose(of_first.transpose(0, 2, 3, 1), maps, atol=1e-6)
    np.testing.assert_allclose(
        attribute_bits(flat, X.reshape(3, -1), 1).maps.reshape(X.shape), maps, atol=1e-6
    )


def test_vectors_support_integrated_gradients_only(vector_encoder, vectors):
    found = attribute_bits(vector_encoder, vectors[:4], 5)
    assert found.maps.shape == (4, 10)
    mean = attribute_bits(vector_encoder, vectors[:4], 5, baseline=vectors.mean(axis=0))
    np.testing.assert_allclose(found.maps, mean.maps, atol=1e-4)
    with pytest.raises(ValueError, match=r"fitted on vectors\. Use method='integrated_gradients'"):
        attribute_bits(vector_encoder, vectors[:4], 5, method="grad_cam")


@pytest.mark.parametrize("output", ["probabilities", "logits"])
def test_score_is_the_decision_function_of_a_linear_model(colour_encoder, sprites, output):
    encoder = copy.copy(colour_encoder).set_params(output=output)
    Z, y, X = encoder.transform(sprites.images), sprites.attributes["warm"], sprites.images[:3]
    probe = LogisticRegression().fit(Z, y)
    found = attribute_bits(encoder, X, probe)
    np.testing.assert_allclose(found.scores, probe.decision_function(Z[:3]), rtol=1e-4, atol=1e-5)
    weights = attribute_bits(encoder, X, probe.coef_[0].tolist())
    np.testing.assert_allclose(weights.maps, found.maps, atol=1e-6)
    pipeline = make_pipeline(StandardScaler(), PCA(4), LogisticRegression()).fit(Z, y)
    piped = attribute_bits(encoder, X, pipeline)
    np.testing.assert_allclose(piped.scores, pipeline.decision_function(Z[:3]), rtol=1e-3, atol=1e-4)


def test_one_of_several_outputs_is_chosen_by_name(colour_encoder, sprites):
    Z, X = colour_encoder.transform(sprites.images), sprites.images[:3]
    probe = LogisticRegression().fit(Z, sprites.factors["colour"].astype(str))
    place = probe.classes_.tolist().index("green")
    found = attribute_bits(colour_encoder, X, probe, attribute="green")
    np.testing.assert_allclose(found.scores, probe.decision_function(Z[:3])[:, place], rtol=1e-4, atol=1e-5)
    assert np.array_equal(found.maps, attribute_bits(colour_encoder, X, probe, attribute=place).maps)
    with pytest.raises(ValueError, match=r"6 outputs \(blue, green, .*choose one with attribute="):
        attribute_bits(colour_encoder, X, probe)
    with pytest.raises(ValueError, match=r"no attribute 'gren'\. Did you mean 'green'"):
        attribute_bits(colour_encoder, X, probe, attribute="gren")


def test_probe_of_several_attributes(colour_encoder, sprites):
    probe = Bunch(attributes_=["warm", "shape"])
    probe.coef_, probe.intercept_ = [np.ones((1, 6)), np.ones((4, 6))], [np.ones(1), np.ones(4)]
    X = sprites.images[:2]
    found = attribute_bits(colour_encoder, X, probe, attribute="warm")
    np.testing.assert_allclose(found.scores, colour_encoder.transform(X).sum(axis=1) + 1, rtol=1e-4)
    with pytest.raises(ValueError, match=r"'shape' has 4 classes\. Pass the weights of one"):
        attribute_bits(colour_encoder, X, probe, attribute="shape")


def test_distance_is_the_expected_number_of_differing_bits(colour_encoder, sprites):
    X, others = sprites.images[:3], sprites.images[3:6]
    p, bits = colour_encoder.transform(X), colour_encoder.transform(others) > 0.5
    expected = np.where(bits, 1 - p, p).sum(axis=1)
    found = attribute_bits(colour_encoder, X, "distance", reference=others)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-4)
    total = found.maps.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(total, expected - found.baseline_scores, atol=0.05)
    single = attribute_bits(colour_encoder, X, "distance", reference=others[0])
    np.testing.assert_allclose(single.maps[0], found.maps[0], atol=1e-6)


def state(network):
    return [
        (name, m.training, len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
        for name, m in network.named_modules()
    ] + [(name, p.requires_grad, p.grad is None, p._version) for name, p in network.named_parameters()]


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion", "grad_cam"])
@pytest.mark.parametrize("fails", [False, True])
def test_encoder_is_unchanged_even_after_an_error(colour_encoder, sprites, method, fails, monkeypatch):
    encoder = copy.deepcopy(colour_encoder)
    encoder.model_.encoder.convolutions[0].train()
    before, codes = state(encoder.model_), encoder.transform(sprites.images[:4])
    if fails:
        forward, calls = ConvEncoder.forward, []

        def failing(self, x):
            calls.append(1)
            if len(calls) > 1 or method == "grad_cam":
                forward(self, x)
                raise MemoryError("no more")
            return forward(self, x)

        monkeypatch.setattr(ConvEncoder, "forward", failing)
        with pytest.raises(MemoryError, match="no more"):
            attribute_bits(encoder, sprites.images[:4], 0, method=method)
        monkeypatch.undo()
    else:
        attribute_bits(encoder, sprites.images[:4], 0, method=method)
    assert state(encoder.model_) == before
    assert np.array_equal(encoder.transform(sprites.images[:4]), codes)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (6, "target must be a bit from 0 to 5, got 6"),
        (np.ones(5), "target has 5 weights, but a code has 6 bits"),
        ("distance", "target='distance' needs reference"),
    ],
)
def test_invalid_targets_are_refused(colour_encoder, sprites, target, message):
    with pytest.raises(ValueError, match=message):
        attribute_bits(colour_encoder, sprites.images[:3], target)


def test_model_that_is_not_linear_is_refused(colour_encoder, sprites):
    class Quadratic:
        def decision_function(self, Z):
            return np.asarray(Z)[:, 0] ** 2

    with pytest.raises(
        ValueError, match="target must be linear in the code; the decisions of Quadratic are not"
    ):
        attribute_bits(colour_encoder, sprites.images[:2], Quadratic())
