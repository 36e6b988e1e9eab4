"""The interface of encoders, and pipelines that end in one."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from dmzrep import AttributeEditor, DMZEncoder, DomainTransfer, interpolate
from dmzrep.attribution import bit_effects
from dmzrep.codes._protocol import Encoder, check_codec, code_probabilities, decode_codes, encoder_output
from dmzrep.metrics import code_cycle_accuracy

NEGATIVE = FunctionTransformer(lambda X: 255 - X, lambda X: 255 - X)


class Codec:
    """Codes are the data themselves."""

    def __init__(self, output="probabilities"):
        self.output = output

    def transform(self, X):
        return np.asarray(X)

    def inverse_transform(self, Z, *, like=None, random_state=None, n_steps=1):
        self.received = {"like": like, "random_state": random_state, "n_steps": n_steps}
        return np.asarray(Z)


@pytest.fixture(scope="module")
def images(digits):
    return 255 - digits[:100]


@pytest.fixture(scope="module")
def pipeline(encoder):
    return make_pipeline(NEGATIVE, encoder)


def test_objects_with_both_methods_are_encoders():
    assert isinstance(Codec(), Encoder) and isinstance(DMZEncoder(), Encoder)
    assert not isinstance(object(), Encoder)
    with pytest.raises(
        TypeError, match=r"source must be a fitted DMZEncoder.*no transform and no inverse_tr"
    ):
        check_codec(object(), "source")


def test_logits_become_probabilities():
    logits = np.array([[-1.0, 3.0]])
    assert np.array_equal(code_probabilities(Codec("logits"), logits), expit(logits))
    for wrapped in (make_pipeline(NEGATIVE, Codec("logits")), FrozenEstimator(Codec("logits"))):
        assert encoder_output(wrapped) == "logits"
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        code_probabilities(Codec(), logits)


def test_options_reach_the_decoder():
    codec = Codec()
    decode_codes(codec, np.ones((1, 2)), random_state=3, n_steps=None)
    assert codec.received == {"like": None, "random_state": 3, "n_steps": 1}
    with pytest.raises(ValueError, match=r"Codec.inverse_transform does not take 'n_step'.*mean 'n_steps'"):
        decode_codes(codec, np.ones((1, 2)), random_state=3, n_step=2)


@pytest.mark.parametrize(
    "wrap", [lambda p: p, FrozenEstimator, make_pipeline, lambda p: make_pipeline("passthrough", p)]
)
def test_pipelines_pass_options_to_the_last_step(wrap):
    codec = Codec()
    pipeline = wrap(make_pipeline(NEGATIVE, codec))
    samples = decode_codes(pipeline, np.array([[0, 1]]), random_state=[5], n_steps=4, like=np.array([[5, 6]]))
    assert samples.tolist() == [[255, 254]]
    assert codec.received["random_state"] == [5] and codec.received["n_steps"] == 4
    assert codec.received["like"].tolist() == [[250, 249]]


def test_pipelines_work_in_all_tools(pipeline, encoder, images):
    frames = interpolate(pipeline, images[:1], images[1:2], n_steps=3)
    assert frames[0].shape[-2:] == (8, 8)
    y = np.arange(100) % 2
    for noise in ({"strength": 0.5}, {"noise": "inverted"}):
        options = {"keep": False, "n_steps": 2, "random_state": 0} | noise
        plain, piped = (
            AttributeEditor(codec).fit(X, y, names=["odd"]).edit(X[:2], "odd", **options)[0]
            for codec, X in ((encoder, 255 - images), (pipeline, images))
        )
        assert np.array_equal(255 - piped, plain)
    assert 0.0 <= code_cycle_accuracy(pipeline, pipeline.transform(images[:5]), n_steps=2) <= 1.0
    effects = bit_effects(pipeline, pipeline.transform(images[:2]), [0], n_steps=1, random_state=0)
    plain = bit_effects(encoder, pipeline.transform(images[:2]), [0], n_steps=1, random_state=0)
    assert np.array_equal(effects.maps, plain.maps)
    transfer = DomainTransfer(
        FrozenEstimator(pipeline), pipeline, n_folds=2, calibration=None, random_state=0
    )
    assert transfer.fit(images, images).transform(images[:2], n_steps=1).shape == (2, 8, 8)
