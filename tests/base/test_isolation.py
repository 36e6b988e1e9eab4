"""Results of the public interface do not depend on the global settings of torch and NumPy."""

import contextlib

import numpy as np
import pytest
import torch

from dmzrep import AttributeEditor, DMZEncoder, DomainTransfer
from dmzrep.attribution import attribute_bits
from dmzrep.metrics import (
    ClassifierFeatures,
    code_cycle_accuracy,
    extract_features,
    inversion_error,
    mutual_information_over_time,
    reconstruction_report,
)
from dmzrep.priors import AutoregressivePrior, fit_prior, prior_gap
from dmzrep.probing import LinearProbe, label_efficiency, probe_report
from tests.encoders import make_encoder


@contextlib.contextmanager
def setting(read, write, value):
    before = read()
    write(value)
    try:
        yield
    finally:
        write(before)


def default_dtype(dtype):
    return setting(torch.get_default_dtype, torch.set_default_dtype, dtype)


STATES = {
    "float64 by default": lambda: default_dtype(torch.float64),
    "bfloat16 by default": lambda: default_dtype(torch.bfloat16),
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "another device by default": lambda: torch.device("meta"),
    "deterministic algorithms": lambda: setting(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True
    ),
    "NumPy raises": lambda: np.errstate(all="raise"),
    "one thread": lambda: setting(torch.get_num_threads, torch.set_num_threads, 1),
}


def encoder_results(X, folder):
    small = {"width": (8,), "encoder_width": 8, "max_iter": 2, "device": "cpu", "random_state": 0}
    encoder = make_encoder(8, **small).fit(X)
    codes = encoder.transform(X)
    encoder.save(folder / "encoder.safetensors")
    loaded = DMZEncoder.load(folder / "encoder.safetensors", device="cpu")
    options = {"n_steps": 2, "random_state": 0}
    return {
        "transform": codes,
        "partial_fit": make_encoder(8, **small).partial_fit(X).transform(X),
        "inverse_transform": encoder.inverse_transform(codes[:2], **options),
        "reconstruct": encoder.reconstruct(X[:2], noise="inverted", **options),
        "sample": encoder.sample(2, **options),
        "score_samples": encoder.score_samples(X[:2], n_terms=3),
        "load": loaded.transform(X),
        "attribute_bits": attribute_bits(loaded, X[:2], 0).maps,
    }


def metric_results(X, folder):
    small = {"width": (8,), "encoder_width": 8, "n_timesteps": 10, "max_iter": 1, "device": "cpu"}
    encoder, y = make_encoder(8, **small, random_state=0).fit(X), X[:, 2, 3] > 100
    classifier = ClassifierFeatures(8, width=4, max_iter=1, batch_size=32, random_state=0).fit(X, y)
    editor = AttributeEditor(encoder).fit(X, y, names=["bright"])
    options = {"n_steps": 2, "random_state": 0}
    return {
        "predict": classifier.predict(X),
        "features": extract_features(X, classifier).features,
        "information": mutual_information_over_time(
            encoder, X, timesteps=[0, 9], width=4, training_steps=5, random_state=0
        ),
        "code_cycle": code_cycle_accuracy(encoder, encoder.transform(X[:8]), **options),
        "inversion_error": inversion_error(encoder, X[:8], n_steps=2),
        "report": reconstruction_report(encoder, X[:8], **options).drop(columns="noise"),
        "edit": editor.edit(X[:2], "bright", noise="inverted", **options)[0],
    }


class Pixels:
    """An encoder whose codes are the pixels above their mean."""

    def transform(self, X):
        return (X.reshape(len(X), -1)[:, 20:28] > 100).astype(float)

    def inverse_transform(self, Z):
        return Z


def tool_results(X, folder):
    Z = X.reshape(len(X), -1) / 255.0
    bits, Y = Pixels().transform(X), (np.median(Z, axis=0) < Z)[:, [20, 36]]
    split = np.resize(["train", "train", "validation", "test"], len(X))
    prior = fit_prior(AutoregressivePrior(16, max_iter=2), bits, random_state=0)
    probe = LinearProbe().fit(Z, Y)
    options = {"hidden_layer_sizes": (8,), "n_folds": 2, "random_state": 0}
    transfer = DomainTransfer(Pixels(), Pixels(), mapping="mlp", **options).fit(X, X)
    transfer.save(folder / "transfer.safetensors")
    loaded = DomainTransfer.load(folder / "transfer.safetensors", source=Pixels(), target=Pixels())
    report = probe_report(Z, Y, protocol="diti", split=split, random_state=0)
    curve = label_efficiency(Z[:60], Y[:60], Z[60:], Y[60:], fractions=(0.5,), random_state=0)
    return {
        "log_prob": prior.log_prob(bits),
        "sample": prior.sample(5, 0),
        "prior_gap": prior_gap(bits, "chow_liu", random_state=0),
        "predict": probe.predict(Z),
        "predict_proba": probe.predict_proba(Z),
        "probe_report": report["roc_auc"],
        "label_efficiency": curve["roc_auc"],
        "transfer": transfer.transform(X),
        "transfer.predict_proba": loaded.predict_proba(X),
    }


RESULTS = {"encoder": encoder_results, "metrics": metric_results, "tools": tool_results}


@pytest.fixture(scope="module", params=RESULTS)
def results(request):
    return RESULTS[request.param]


@pytest.fixture(scope="module")
def expected(results, digits, tmp_path_factory):
    return results(digits[:80], tmp_path_factory.mktemp("expected"))


@pytest.mark.parametrize("state", STATES)
def test_results_do_not_depend_on_global_settings(digits, tmp_path, results, expected, state):
    with STATES[state]():
        before = torch.get_default_dtype(), torch.is_grad_enabled(), np.geterr()
        found = results(digits[:80], tmp_path)
        assert (torch.get_default_dtype(), torch.is_grad_enabled(), np.geterr()) == before
    for name, value in expected.items():
        np.testing.assert_allclose(
            np.asarray(found[name], float), np.asarray(value), atol=1e-4, rtol=1e-4, err_msg=name
        )
