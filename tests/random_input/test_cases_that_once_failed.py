"""The corpus: what random input has found, shrunk, with what comes of it now."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from random_calls import accepted, call, refused
from scipy import sparse

from dmzrep import DMZEncoder, interpolate, inversion_error
from dmzrep.attribution import bit_effects, bit_table
from dmzrep.datasets import make_sprites
from dmzrep.domain_transfer import DomainTransfer, expected_calibration_error
from dmzrep.editing import AttributeEditor, edit_summary
from dmzrep.metrics import ClassifierFeatures, code_report, code_summary, frechet_distance, mig, mse, tad
from dmzrep.model_selection import latent_dim_report
from dmzrep.plotting import HistoryDisplay, NeighborsDisplay, ProbeDisplay
from dmzrep.priors import IndependentPrior, MixturePrior, fit_prior, prior_gap
from dmzrep.probing import LinearProbe, average_folds, label_efficiency, probe_scores
from dmzrep.retrieval import FaissNeighbors, ImageRetriever, hamming_neighbors

HUGE = 10**400
BITS = np.random.default_rng(0).integers(0, 2, (24, 4))
VECTORS = np.random.default_rng(0).random((24, 4))
RAGGED = [[0, 1], [1]]
STRUCTURED = np.zeros((24, 4), dtype=[("a", "i4"), ("b", "f8")])
GRADIENT = torch.zeros(24, 4, requires_grad=True)
HALF = torch.zeros(24, 4, dtype=torch.bfloat16)
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8)).astype(np.uint8)

REFUSED = [
    (frechet_distance, (1e200 * VECTORS, VECTORS), {}, "numbers as large as .* Scale them"),
    (DMZEncoder(8).fit, (IMAGES.astype("m8[ns]"),), {}, "Images must be .* got dtype timedelta64"),
    (hamming_neighbors, (RAGGED, BITS, 1), {}, "queries must be an array or rows of one length"),
    (hamming_neighbors, (BITS, GRADIENT, 1), {}, "bits must be an array .* got Tensor: .*requires grad"),
    (hamming_neighbors, (HALF, BITS, 1), {}, "queries must be an array .* got Tensor"),
    (hamming_neighbors, (STRUCTURED, BITS, 1), {}, "queries must be an array of plain values"),
    (hamming_neighbors, (sparse.csr_matrix(BITS), BITS, 1), {}, r"sparse matrix. Give queries.toarray\(\)"),
    (hamming_neighbors, (BITS, BITS, 2.5), {}, "k must be an integer from 1 to 24"),
    (hamming_neighbors, (BITS, BITS, "1"), {}, "k must be an integer from 1 to 24"),
    (FaissNeighbors().fit(BITS).radius_neighbors, (BITS, HUGE), {}, "radius must be a finite number"),
    (FaissNeighbors().fit(BITS).kneighbors, (GRADIENT,), {}, "X must be a table of numbers, got Tensor"),
    (FaissNeighbors().fit(BITS).kneighbors, (RAGGED,), {}, "X must be an array or rows of one length"),
    (FaissNeighbors(n_jobs=0).fit, (BITS,), {}, "'n_jobs' parameter"),
    (FaissNeighbors().fit(BITS).rows_of, (RAGGED,), {}, "ids must be an array or rows of one length"),
    (fit_prior, (np.array([1, 2]), BITS), {}, "prior must be one of"),
    (fit_prior, ("auto", BITS, 0.0), {}, "seed must be an integer"),
    (IndependentPrior().fit, (RAGGED,), {}, "bits must be an array or rows of one length"),
    (IndependentPrior().fit, ([["0", "1"]],), {}, "bits must be numbers, got dtype <U1"),
    (IndependentPrior().fit(BITS).sample, (2.0,), {}, "n_samples must be an integer of at least 1, got 2.0"),
    (IndependentPrior().fit(BITS).sample, (1, -1), {}, "random_state must be an integer from 0"),
    (IndependentPrior().fit(BITS).sample, (1, np.random.default_rng()), {}, "random_state must"),
    (prior_gap, (BITS,), {"test_size": None}, "test_size must be a share"),
    (prior_gap, (BITS, 3), {}, "priors must be names or CodePriors"),
    (code_report, (GRADIENT,), {}, "probabilities must be an array"),
    (code_summary, (VECTORS, 0.5), {}, "history must be a DataFrame"),
    (bit_table, (HALF, BITS), {}, "Z must be an array"),
    (bit_effects, (object(), RAGGED), {}, "Z must be an array or rows of one length"),
    (expected_calibration_error, ([61.0], [0]), {}, r"probabilities must lie in \[0, 1\], got 61"),
    (expected_calibration_error, ([-1.0], [0]), {}, r"probabilities must lie in \[0, 1\], got -1"),
    (expected_calibration_error, ([1.0], [0], None), {}, "n_bins must be an integer"),
    (LinearProbe(C=HUGE).fit, (VECTORS, BITS[:, 0]), {}, "'C' parameter of LinearProbe must be a float"),
    (LinearProbe(C=5e-324).fit, (VECTORS, BITS[:, 0]), {}, "'C' parameter"),
    (LinearProbe().fit, (VECTORS, STRUCTURED[:, 0]), {}, "y must be an array of plain values"),
    (probe_scores, (GRADIENT, BITS[:, 0]), {}, "Z must be an array"),
    (probe_scores, ([[HUGE]] * 24, BITS[:, 0]), {}, "Z must be numbers, got dtype object"),
    (probe_scores, (VECTORS, BITS[:, 0]), {"name": {}}, "name must be a string"),
    (probe_scores, (VECTORS, BITS[:, 0]), {"cv": None}, "cv must be a number of folds"),
    (probe_scores, (VECTORS, BITS[:, 0]), {"scoring": 3}, "scoring must be a name or a list of names"),
    (average_folds, (VECTORS,), {}, "scores must be what probe_scores gives"),
    (average_folds, (pd.DataFrame({"a": [1]}),), {}, "scores must be what probe_scores gives; it lacks"),
    (label_efficiency, (VECTORS, BITS[:, 0], VECTORS, BITS[:, 0]), {"fractions": ["a"]}, "fractions must be"),
    (label_efficiency, (VECTORS, np.array(1), VECTORS, BITS[:, 0]), {}, "Y_train must have a row"),
    (label_efficiency, (VECTORS[:4], "auto", VECTORS, BITS[:, 0]), {}, "Y_train must be labels"),
    (mse, (IMAGES, IMAGES), {"channels": "frist"}, "channels must be one of .* Did you mean 'first'"),
    (mse, (IMAGES, IMAGES), {"value_range": (0, HUGE)}, "value_range must be two finite numbers"),
    (mse, (IMAGES[:, :0], IMAGES[:, :0]), {}, "X must be images of shape"),
    (mig, (VECTORS, RAGGED), {}, "factors must be an array or rows of one length"),
    (frechet_distance, (GRADIENT, VECTORS), {}, "reference must be an array"),
    (frechet_distance, (VECTORS, VECTORS), {"about": {1}}, "about must be a dict"),
    (ClassifierFeatures(learning_rate=np.nan).fit, (IMAGES, BITS[:12, 0]), {}, "learning_rate must"),
    (edit_summary, (VECTORS,), {}, "report must be what AttributeEditor.report gives"),
    (latent_dim_report, (IMAGES,), {"scoring": "nothing"}, "scoring must be one of"),
    (latent_dim_report, (IMAGES,), {"objectives": 3}, "objectives must be a list of columns"),
    (HistoryDisplay(0.5).plot, (), {}, "history must be the history_ of a DMZEncoder"),
    (ProbeDisplay(True).plot, (), {}, "report must be what probe_report gives"),
    (DMZEncoder.paper, (np.array([1, 2]),), {}, "There is no recipe"),
    (DMZEncoder(4).fit, (np.array([[1e300, 0.0], [0.0, 1.0]]),), {}, r"X has values as large as 1e\+300"),
    (DMZEncoder(4).fit, (RAGGED,), {}, "X must be an array or rows of one length"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "message"),
    REFUSED,
    ids=[f"{i}-{case[0].__qualname__}" for i, case in enumerate(REFUSED)],
)
def test_what_once_failed_is_refused_by_name(function, args, kwargs, message):
    result = call(function, *args, **kwargs)
    assert refused(result) and re.search(message, result.message), result


def test_codes_in_a_table_are_searched():
    """pandas keeps columns one after another, as FAISS does not take them."""
    right = hamming_neighbors(BITS[:3], BITS, 2)
    for one, two in zip(
        accepted(call(hamming_neighbors, pd.DataFrame(BITS[:3]), pd.DataFrame(BITS), 2)), right, strict=True
    ):
        assert np.array_equal(one, two)


def test_the_number_of_threads_may_be_an_integer_of_numpy():
    assert not refused(call(FaissNeighbors(n_jobs=np.int64(1)).fit, BITS))


def test_a_huge_radius_finds_all_rows():
    result = accepted(
        call(FaissNeighbors(metric="l2", index="ivf").fit(VECTORS).radius_neighbors, VECTORS[:1], 1e300)
    )
    assert len(result[1][0]) == 24


def test_factors_in_another_byte_order_are_read():
    swapped = VECTORS[:, :1].astype(">f8")
    assert float(accepted(call(mig, VECTORS, swapped))) == pytest.approx(float(mig(VECTORS, VECTORS[:, :1])))


@pytest.mark.parametrize("function", [make_sprites, MixturePrior(random_state=None).fit])
def test_the_global_generator_stays_where_no_seed_is_given(function):
    assert not refused(call(function, *([BITS] if function is not make_sprites else [2])))


def test_a_condition_on_metadata_is_refused_whatever_it_raises(pixels):
    retriever = ImageRetriever(pixels).fit(BITS, metadata=pd.DataFrame({"price": range(24)}))
    assert "is no condition" in call(retriever.query, BITS[:1], 1, "price.foo").message
    assert "k must be an integer" in call(retriever.query, BITS[:1], None).message


def test_vectors_far_from_those_of_the_fit_are_refused(tiny_of_vectors, tiny_vectors):
    far = tiny_vectors[:2].copy()
    far[0, 0] = 1e300
    assert "Scale the rows" in call(tiny_of_vectors.transform, far).message


def test_what_decodes_names_its_arguments(tiny, images):
    assert "Z must be an array" in call(tiny.inverse_transform, torch.zeros(2, 8, requires_grad=True)).message
    assert "Z must be numbers" in call(tiny.inverse_transform, np.full((2, 8), 1j)).message
    assert "return_trajectory must be" in call(tiny.sample, return_trajectory=np.array([1, 2])).message
    assert "X must be an array" in call(tiny.transform, torch.zeros(2, 8, 8, requires_grad=True)).message
    assert "X must be an array" in call(inversion_error, tiny, torch.zeros(2, requires_grad=True)).message
    assert "path must be one of" in call(interpolate, tiny, images[:1], images[1:2], path=[]).message
    assert "Found array with shape ()" in call(tiny.transform, {"a": 1}).message


def test_pictures_of_no_rows_are_refused(tiny, images):
    for X in (3, None, RAGGED):
        assert refused(call(NeighborsDisplay.from_estimator, tiny, X, images))
        assert refused(call(NeighborsDisplay.from_estimator, tiny, images, X))
    assert (
        "k must be an integer"
        in call(NeighborsDisplay.from_estimator, tiny, images, images, object()).message
    )


def test_edits_and_transfers_name_their_arguments(pixels):
    editor = AttributeEditor(pixels).fit(BITS, BITS[:, 0], names=["a"])
    assert "attribute must be the name" in call(editor.edit, BITS, []).message
    assert "hold must be a name" in call(editor.edit, BITS, "a", hold=0.5).message
    assert "names must be a list" in call(editor.fit, BITS, BITS[:, 0], names=3).message
    assert "X_a must be an array" in call(DomainTransfer(pixels, pixels).fit, None, BITS).message


@pytest.mark.parametrize("cv", [[], np.array([1, 2]), np.array(2), b"abc", "", False, [([0], [30])]])
def test_folds_that_are_none_are_refused(cv):
    assert call(probe_scores, VECTORS, BITS[:, 0], cv=cv).message.startswith("cv must")


def test_probes_name_their_task_and_what_is_too_large():
    assert "task must be" in call(probe_scores, VECTORS, BITS[:, 0], task=np.array([1, 2])).message
    large = VECTORS.copy()
    large[0, 0] = 1e300
    for result in (call(probe_scores, large, BITS[:, 0]), call(LinearProbe().fit, large, BITS[:, 0])):
        assert "Scale them first" in result.message
    assert "Scale them first" in call(LinearProbe("regression").fit, VECTORS, large[:, 0]).message


def test_time_differences_are_no_positions_of_bits(pixels):
    assert "whole numbers" in call(bit_effects, pixels, BITS, np.timedelta64(0, "ns")).message


def test_edits_of_no_rows_have_an_empty_summary(pixels):
    editor = AttributeEditor(pixels).fit(BITS, BITS[:, :1], names=["a"])
    images, codes = accepted(call(editor.edit, BITS[:0], "a"))
    report = accepted(call(editor.report, BITS[:0], images, codes, "a"))
    assert len(report) == 0 and len(accepted(call(edit_summary, report))) == 0


@pytest.mark.parametrize("dtype", ["c16", "M8[s]", "m8[ns]"])
def test_an_editors_labels_are_real_numbers(pixels, dtype):
    assert "must be binary" in call(AttributeEditor(pixels).fit, BITS, BITS[:, :1].astype(dtype)).message


@pytest.mark.parametrize("name", ["min_auroc", "max_redundancy"])
@pytest.mark.parametrize("value", ["", None, np.array([1, 2])])
def test_thresholds_of_tad_are_numbers(name, value):
    assert f"{name} must be a number" in call(tad, VECTORS, BITS, **{name: value}).message
