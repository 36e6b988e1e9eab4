"""Each argument of each public callable gets each of a list of odd values, while all others are right.

Random input finds such faults too, but only in the long run: an argument and a value have to meet. Here
none can be forgotten, as arguments are read from the signatures. `make test` takes every tenth value.
"""

import contextlib
import inspect
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import matplotlib.pyplot
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from public_callables import ELSEWHERE, public_callables, public_classes
from random_calls import CALLED, FULL, PLANNED, RAN, accepted, call, refused
from scipy import sparse

from dmzrep import (
    AttributeEditor,
    DMZEncoder,
    DomainTransfer,
    FaissNeighbors,
    ImageRetriever,
    LinearProbe,
    attribution,
    datasets,
    domain_transfer,
    editing,
    interpolate,
    inversion_error,
    metrics,
    plotting,
    priors,
    probing,
    retrieval,
)  # fmt: skip
from dmzrep.errors import TrainingDivergedError
from dmzrep.model_selection import latent_dim_report

matplotlib.use("Agg")

VALUES = {
    "None": None, "True": True, "False": False, "-1": -1, "0": 0, "1": 1, "3": 3, "2**31": 2**31,
    "2**63": 2**63, "-2**63": -(2**63), "2**70": 2**70, "10**400": 10**400, "0.0": 0.0, "-0.0": -0.0,
    "0.5": 0.5, "1e-300": 1e-300, "1e300": 1e300, "-1e300": -1e300, "nan": np.nan, "inf": np.inf,
    "-inf": -np.inf, "int64": np.int64(3), "uint8": np.uint8(2), "float32": np.float32(0.5),
    "bool_": np.bool_(True), "float64": np.float64("nan"), "1j": 1j, "empty": "", "auto": "auto",
    "random": "random", "abc": "abc", "'0'": "0", "null byte": "é\x00", "bytes": b"abc", "...": ...,
    "object": object, "array of no axes": np.array(2), "array": np.array([1, 2]), "[]": [], "()": (),
    "{}": {}, "{1}": {1}, "[1, 'a']": [1, "a"], "(0, 1)": (0, 1), "object()": object(),
    "timedelta64": np.timedelta64(0, "ns"), "table": pd.DataFrame(), "sparse": sparse.csr_matrix(np.eye(4)),
}  # fmt: skip
#: One of so many values is tried in `make test`: another one for each argument.
QUICK_PART = 10

WORKERS = ("3", "int64", "uint8", "-1")
YES = ("True", "bool_")
#: Values that are legal but cost too much, or run what is not the package's: by callable (or any) and
#: argument, and why.
LEFT_OUT = {
    ("DMZEncoder", "compile"): (YES, "it takes a minute"),
    ("*", "callback"): (("object",), "a function of the user's raises what it likes"),
    ("*", "extractor"): (("object",), "as callback"),
    ("*", "where"): (("object",), "as callback"),
    **{
        (name, "n_jobs"): (WORKERS, "processes take seconds to start")
        for name in ("LinearProbe", "dci", "label_efficiency", "probe_report", "probe_scores")
    },
} | {
    (name, argument): (("2**31",), "so much is to be made, or done so often")
    for name, arguments in {
        "*": ("n_samples", "n_draws", "n_repeats", "n_subsets", "n_bins", "side", "width"),
        "DMZEncoder": ("latent_dim", "depth", "encoder_width", "encoder_depth", "max_iter", "n_timesteps"),
        "ClassifierFeatures": ("n_features", "max_iter"),
        "AutoregressivePrior": ("n_hidden", "n_layers", "max_iter"),
        "MixturePrior": ("n_components",),
        "interpolate": ("n_steps",),
        "InterpolationDisplay.from_estimator": ("n_steps",),
        "attribute_bits": ("n_steps",),
        "mutual_information_over_time": ("training_steps",),
        "latent_dim_report": ("latent_dims",),
        "LatentDimDisplay.from_data": ("latent_dims",),
    }.items()
    for argument in arguments
}

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (24, 4)).astype(np.uint8)
ROWS = BITS.astype(np.float64)
CODES = RNG.random((24, 4))
CLASSES = (CODES[:, 0] > 0.5).astype(int)
LABELS = pd.DataFrame({"hat": CODES[:, 0] > 0.5, "age": CODES[:, 1] * 9.5})
NAMED = pd.DataFrame({"first": BITS[:, 0], "last": BITS[:, 3]})
VECTORS = RNG.random((256, 4))
FEATURES = RNG.normal(size=(12, 2))
IMAGES = RNG.integers(0, 256, (3, 12, 12)).astype(np.uint8)
TABLE = pd.DataFrame({"colour": ["red", "blue"] * 12, "price": range(24)})
PICTURES = RNG.random((2, 8, 8))
SMALL = {
    "latent_dim": 4, "width": 8, "encoder_width": 8, "attention": (), "max_iter": 1, "n_timesteps": 4,
    "prior": "uniform", "random_state": 0,
}  # fmt: skip


@dataclass
class Right:
    """A right call that takes milliseconds, and the arguments that are swept in it: all, or some."""

    function: Callable
    arguments: Mapping
    only: tuple = ()


class Dataset:
    """Looks like a data set of Hugging Face's, whose package need not be installed."""

    format = {"type": "numpy"}  # noqa: RUF012

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return {"image": IMAGES[i], "label": 0}


Dataset.__module__ = "datasets.arrow_dataset"


@pytest.fixture(scope="session")
def axes():
    """One axes for all cases: a figure takes longer than all else."""
    return Figure().subplots()


@pytest.fixture(scope="session")
def folder():
    """Pictures, not below pytest's own folder, where other tests need to find none."""
    pillow = pytest.importorskip("PIL.Image")
    with tempfile.TemporaryDirectory() as folder:
        for i, image in enumerate(IMAGES):
            pillow.fromarray(image).save(Path(folder, f"{i}.png"))
        yield folder


@pytest.fixture(scope="session")
def calls(tiny, images, pixels, axes, folder):
    """Right calls of everything, by qualified names; classes stand for their constructors."""
    X, odd = images[:3], np.arange(40) % 2
    bits = RNG.integers(0, 2, (2, 8))
    editor = AttributeEditor(tiny).fit(images, pd.DataFrame({"odd": odd, "high": images[:, 3, 3] > 7}))
    edited, edited_codes = editor.edit(X, "odd", n_steps=1)
    report = editor.report(X, edited, edited_codes, "odd")
    transfer = DomainTransfer(pixels, pixels, n_folds=2, random_state=0).fit(ROWS, 1 - ROWS)
    decoding_transfer = DomainTransfer(tiny, tiny, n_folds=2, random_state=0).fit(images, images)
    search = FaissNeighbors(2).fit(BITS)
    retriever = ImageRetriever(pixels).fit(BITS, metadata=TABLE)
    of_images = ImageRetriever(tiny).fit(images)
    probe = LinearProbe().fit(CODES, CLASSES)
    probe_of_two = LinearProbe().fit(CODES, LABELS.assign(kind=CLASSES + (CODES[:, 2] > 0.7)))
    probe_of_bits = LinearProbe().fit(RNG.random((24, 8)), BITS[:, :2])
    prior = priors.MixturePrior(2).fit(BITS)
    classifier = metrics.ClassifierFeatures(4, width=4, max_iter=1).fit(images, odd)
    scores = probing.probe_scores(CODES, CLASSES, cv=2)
    probes = probing.probe_report(CODES, CLASSES, cv=2)
    curve = probing.label_efficiency(CODES, CLASSES, CODES, CLASSES, fractions=(0.5, 1.0), n_repeats=2)
    bits_report = attribution.bit_table(CODES, BITS[:, :2])
    lengths = pd.DataFrame(
        {
            "latent_dim": [8, 32],
            "bits_per_dim": [2.0, 2.5],
            "reconstruction_error": [0.1, 0.05],
            "pareto": [True, False],
        }
    )
    drawing = {
        "n_steps": 1, "sampler": "auto", "spacing": "auto", "guidance": 1.0, "match_perturbation": "auto",
        "progress": False, "callback": None, "return_trajectory": False,
    }  # fmt: skip
    editing_options = {
        "strength": 4.0, "hold": (), "relative": False, "keep": True, "noise": None, "start": None,
        "n_steps": 1, "random_state": 0,
    }  # fmt: skip
    lengths_options = {
        "X": images[:12], "Y": odd[:12], "latent_dims": [4], "encoder": DMZEncoder(**SMALL), "test_size": 0.5,
    }  # fmt: skip
    probing_options = {"Z": CODES, "Y": CLASSES, "cv": 2}

    displays = {
        plotting.BitDisplay: {
            "picture": PICTURES[0],
            "bits": [0, 1],
            "values": [True, False],
            "drives": PICTURES,
            "off": PICTURES,
            "on": 1 - PICTURES,
        },
        plotting.BitTableDisplay: {"table": bits_report},
        plotting.EditDisplay: {
            "originals": PICTURES,
            "edits": PICTURES[None],
            "strengths": [1.0],
            "probabilities": np.full((2, 2), 0.5),
        },
        plotting.HistoryDisplay: {"history": tiny.history_},
        plotting.InterpolationDisplay: {
            "first": PICTURES[:1],
            "last": PICTURES[1:],
            "walks": PICTURES[None],
            "moved": np.eye(2)[:1],
        },
        plotting.LabelEfficiencyDisplay: {"curve": curve},
        plotting.LatentDimDisplay: {"report": lengths},
        plotting.NeighborsDisplay: {
            "queries": PICTURES[:1],
            "neighbors": PICTURES[None],
            "distances": np.eye(2)[:1],
            "indices": np.array([[0, 1]]),
        },
        plotting.ProbeDisplay: {"report": probes},
        plotting.ReconstructionDisplay: {"originals": PICTURES, "reconstructions": PICTURES[None]},
        plotting.SampleDisplay: {"samples": PICTURES},
    }

    def made(kind, *uses):
        """Make an object of a class and use it."""

        def use(**parameters):
            value = kind(**parameters)
            for step in uses:
                step(value)

        return use

    def fitted_search(neighbors):
        rows = VECTORS if isinstance(neighbors.metric, str) and neighbors.metric == "l2" else BITS
        neighbors.fit(rows)
        neighbors.kneighbors(rows[:2])
        neighbors.radius_neighbors(rows[:2])
        neighbors.transform(rows[:2])

    def fresh(kind, method, *fit, **parameters):
        """Call a method that changes its object, each time on another one."""

        def use(**arguments):
            value = kind(**parameters)
            if fit:
                value.fit(*fit)
            return getattr(value, method)(**arguments)

        return use

    def raises(documented, function):
        """Take an error of another type than the others' for a result."""

        def use(**arguments):
            with contextlib.suppress(documented):
                function(**arguments)

        return use

    train = made(DMZEncoder, lambda encoder: encoder.fit(images[:4]).transform(X))
    fitted_prior = lambda prior: prior.fit(BITS).log_prob(BITS)  # noqa: E731
    search_l2 = {"metric": "l2"}
    found = {
        "DMZEncoder": Right(train, SMALL),
        "DMZEncoder.paper": Right(DMZEncoder.paper, {"name": "cifar10", "width": 8}),
        "DMZEncoder.fit": Right(fresh(DMZEncoder, "fit", **SMALL), {"X": images[:4]}),
        "DMZEncoder.partial_fit": Right(fresh(DMZEncoder, "partial_fit", **SMALL), {"X": images[:4]}),
        "DMZEncoder.transform": Right(tiny.transform, {"X": X}),
        "DMZEncoder.inverse_transform": [
            Right(tiny.inverse_transform, {"Z": bits, "n_steps": 1}),
            Right(
                tiny.inverse_transform,
                {"Z": bits, "like": X[:2], "start": 0.5, "n_steps": 1},
                ("like", "start", "noise", "n_steps"),
            ),
        ],
        "DMZEncoder.reconstruct": Right(tiny.reconstruct, {"X": X, "n_steps": 1}),
        "DMZEncoder.sample": Right(tiny.sample, {"n_samples": 1, "n_steps": 1}),
        "DMZEncoder.score_samples": Right(tiny.score_samples, {"X": X, "n_terms": 2}),
        "DMZEncoder.bits_per_dim": Right(tiny.bits_per_dim, {"X": X, "n_terms": 2}),
        "DMZEncoder.score": Right(tiny.score, {"X": X}),
        "AttributeEditor": [
            Right(
                made(
                    AttributeEditor,
                    lambda editor: editor.fit(ROWS, NAMED).edit(ROWS[:2], "first", hold="last"),
                ),
                {"encoder": pixels, "mode": mode},
            )
            for mode in ("flip", "soft")
        ],
        "AttributeEditor.fit": Right(
            fresh(AttributeEditor, "fit", encoder=pixels), {"X": ROWS, "Y": BITS[:, :2]}
        ),
        "AttributeEditor.predict_proba": Right(editor.predict_proba, {"X": X}),
        "AttributeEditor.edit": Right(editor.edit, {"X": X, "attribute": "odd"} | editing_options),
        "AttributeEditor.sweep": Right(
            editor.sweep,
            {"X": X, "attribute": "odd", "strengths": [1.0]}
            | {name: value for name, value in editing_options.items() if name != "strength"},
        ),
        "AttributeEditor.report": Right(
            editor.report, {"X": X, "images": edited, "codes": edited_codes, "attribute": "odd"}
        ),
        "DomainTransfer": [
            Right(
                made(DomainTransfer, lambda transfer: transfer.fit(ROWS, 1 - ROWS).transform(ROWS)),
                {"source": pixels, "target": pixels, "n_folds": 2, "random_state": 0},
            ),
            Right(
                made(DomainTransfer, lambda transfer: transfer.fit(ROWS, 1 - ROWS)),
                {
                    "source": pixels,
                    "target": pixels,
                    "mapping": "mlp",
                    "hidden_layer_sizes": (2,),
                    "n_folds": 2,
                    "random_state": 0,
                },
                ("hidden_layer_sizes", "alpha", "random_state"),
            ),
        ],
        "DomainTransfer.fit": Right(
            fresh(DomainTransfer, "fit", source=pixels, target=pixels, n_folds=2, random_state=0),
            {"X_a": ROWS, "X_b": 1 - ROWS},
        ),
        "DomainTransfer.predict_proba": Right(transfer.predict_proba, {"X_a": ROWS}),
        "DomainTransfer.predict_codes": Right(transfer.predict_codes, {"X_a": ROWS}),
        "DomainTransfer.transform": Right(decoding_transfer.transform, {"X_a": X, "n_steps": 1}),
        "DomainTransfer.score": Right(transfer.score, {"X_a": ROWS, "X_b": 1 - ROWS}),
        "DomainTransfer.retrieval_ranks": Right(transfer.retrieval_ranks, {"X_a": ROWS, "X_b": 1 - ROWS}),
        "FaissNeighbors": [
            Right(made(FaissNeighbors, fitted_search), {"n_neighbors": 2}),
            Right(made(FaissNeighbors, fitted_search), {"n_neighbors": 2} | search_l2),
            Right(
                made(FaissNeighbors, fitted_search),
                {"n_neighbors": 2, "index": "ivf"},
                ("n_lists", "n_probes", "random_state"),
            ),
            Right(
                made(FaissNeighbors, fitted_search),
                {"n_neighbors": 2, "index": "hnsw"},
                ("n_links", "ef_construction", "ef_search"),
            ),
            Right(
                made(FaissNeighbors, fitted_search),
                {"n_neighbors": 2, "index": "pq"} | search_l2,
                ("pq_bytes", "shortlist", "random_state"),
            ),
        ],
        "FaissNeighbors.rows_of": Right(search.rows_of, {"ids": [0, 1]}),
        "FaissNeighbors.fit": Right(fresh(FaissNeighbors, "fit"), {"X": BITS}),
        "FaissNeighbors.add": Right(fresh(FaissNeighbors, "add", BITS), {"X": BITS[:2]}),
        "FaissNeighbors.remove": Right(fresh(FaissNeighbors, "remove", BITS), {"ids": [0]}),
        "FaissNeighbors.kneighbors": Right(search.kneighbors, {"X": BITS[:2]}),
        "FaissNeighbors.radius_neighbors": Right(search.radius_neighbors, {"X": BITS[:2]}),
        "FaissNeighbors.kneighbors_graph": Right(search.kneighbors_graph, {"X": BITS[:2]}),
        "FaissNeighbors.radius_neighbors_graph": Right(search.radius_neighbors_graph, {"X": BITS[:2]}),
        "FaissNeighbors.transform": Right(search.transform, {"X": BITS[:2]}),
        "ImageRetriever": Right(
            made(ImageRetriever, lambda retriever: retriever.fit(BITS).query(BITS[:2], 1)),
            {"encoder": pixels},
        ),
        "ImageRetriever.fit": Right(fresh(ImageRetriever, "fit", encoder=pixels), {"X": BITS}),
        "ImageRetriever.add": [
            Right(fresh(ImageRetriever, "add", BITS, encoder=pixels), {"X": BITS[:2]}),
            Right(
                fresh(ImageRetriever, "add", BITS, TABLE, encoder=pixels),
                {"X": BITS[:2], "metadata": TABLE[:2]},
            ),
        ],
        "ImageRetriever.remove": Right(
            fresh(ImageRetriever, "remove", BITS, TABLE, encoder=pixels), {"ids": [0]}
        ),
        "ImageRetriever.query": Right(retriever.query, {"images": BITS[:2]}),
        "LinearProbe": [
            Right(made(LinearProbe, lambda probe: probe.fit(CODES, CLASSES).predict(CODES)), {}),
            Right(
                made(LinearProbe, lambda probe: probe.fit(CODES, LABELS).predict(CODES)),
                {},
                ("task", "C", "scale"),
            ),
        ],
        "LinearProbe.fit": Right(fresh(LinearProbe, "fit"), {"Z": CODES, "y": CLASSES}),
        "LinearProbe.predict": Right(probe.predict, {"Z": CODES}),
        "LinearProbe.predict_proba": Right(probe.predict_proba, {"Z": CODES}),
        "LinearProbe.decision_function": Right(probe.decision_function, {"Z": CODES}),
        "LinearProbe.direction": [
            Right(probe.direction, {}),
            Right(probe_of_two.direction, {"attribute": "kind", "label": 1}),
        ],
        "LinearProbe.score": Right(probe.score, {"Z": CODES, "y": CLASSES}),
        "attribute_bits": [
            Right(attribution.attribute_bits, {"encoder": tiny, "X": X, "target": 0, "n_steps": 2}),
            Right(
                attribution.attribute_bits,
                {"encoder": tiny, "X": X, "target": 0, "method": "occlusion"},
                ("window", "stride", "batch_size", "baseline"),
            ),
            Right(
                attribution.attribute_bits,
                {"encoder": tiny, "X": X, "target": 0, "method": "grad_cam"},
                ("layer", "batch_size"),
            ),
            Right(
                attribution.attribute_bits,
                {"encoder": tiny, "X": X, "target": "distance", "reference": X, "n_steps": 2},
                ("reference",),
            ),
            Right(
                attribution.attribute_bits,
                {"encoder": tiny, "X": X, "target": probe_of_bits, "attribute": 0, "n_steps": 2},
                ("attribute",),
            ),
        ],
        "bit_effects": [
            Right(attribution.bit_effects, {"encoder": tiny, "Z": bits} | drawing),
            Right(attribution.bit_effects, {"encoder": pixels, "Z": ROWS[:3]}),
        ],
        "bit_table": Right(attribution.bit_table, {"Z": CODES, "Y": BITS[:, :2]}),
        "edit_summary": Right(editing.edit_summary, {"report": report}),
        "hamming_neighbors": Right(retrieval.hamming_neighbors, {"queries": BITS[:2], "bits": BITS, "k": 2}),
        "interpolate": [
            Right(
                interpolate, {"encoder": tiny, "x0": X[:1], "x1": X[1:2], "n_steps": 2, "denoising_steps": 1}
            ),
            Right(
                interpolate,
                {
                    "encoder": tiny,
                    "x0": X[:1],
                    "x1": X[1:2],
                    "n_steps": 2,
                    "denoising_steps": 1,
                    "noise": "inverted",
                },
                ("x0", "x1", "encoder", "start", "denoising_steps"),
            ),
            Right(interpolate, {"encoder": pixels, "x0": ROWS[:1], "x1": ROWS[1:2], "n_steps": 2}),
        ],
        "inversion_error": Right(inversion_error, {"encoder": tiny, "X": X, "n_steps": 1}),
        "label_efficiency": Right(
            probing.label_efficiency,
            {
                "Z_train": CODES,
                "Y_train": CLASSES,
                "Z_test": CODES,
                "Y_test": CLASSES,
                "fractions": (1.0,),
                "n_repeats": 1,
            },
        ),
        "latent_dim_report": Right(latent_dim_report, lengths_options),
        "probe_report": Right(probing.probe_report, probing_options),
        "probe_scores": Right(probing.probe_scores, probing_options),
        "average_folds": Right(probing.average_folds, {"scores": scores}),
        "probe_summary": Right(probing.probe_summary, {"scores": scores}),
        "ImageColumn": Right(
            raises(KeyError, made(datasets.ImageColumn, lambda column: column[1])), {"dataset": Dataset()}
        ),
        "load_digits_images": Right(datasets.load_digits_images, {}),
        "load_images": Right(
            raises(NotADirectoryError, datasets.load_images),
            {"folder": folder, "size": 8, "mode": "L", "n_jobs": 1},
        ),
        "make_sprites": Right(datasets.make_sprites, {"n_samples": 2, "side": 8, "random_state": 0}),
        "expected_calibration_error": Right(
            domain_transfer.expected_calibration_error, {"probabilities": CODES, "bits": BITS}
        ),
        "ClassifierFeatures": Right(
            made(metrics.ClassifierFeatures, lambda features: features.fit(images[:8], odd[:8]).transform(X)),
            {"n_features": 2, "width": 2, "max_iter": 1},
        ),
        "ClassifierFeatures.fit": Right(
            fresh(metrics.ClassifierFeatures, "fit", n_features=2, width=2, max_iter=1),
            {"X": images[:8], "y": odd[:8]},
        ),
        "ClassifierFeatures.transform": Right(classifier.transform, {"X": X}),
        "ClassifierFeatures.predict": Right(classifier.predict, {"X": X}),
        "ClassifierFeatures.score": Right(classifier.score, {"X": X, "y": odd[:3]}),
        "code_cycle_accuracy": [
            Right(metrics.code_cycle_accuracy, {"encoder": tiny, "Z": bits, "n_steps": 1}),
            Right(metrics.code_cycle_accuracy, {"encoder": pixels, "Z": BITS[:2]}, ("encoder", "Z")),
        ],
        "code_report": Right(metrics.code_report, {"probabilities": CODES}),
        "code_summary": Right(metrics.code_summary, {"probabilities": CODES}),
        "dci": [
            Right(metrics.dci, {"Z": CODES, "factors": BITS[:, :2], "model": "lasso"}),
        ],
        "extract_features": Right(metrics.extract_features, {"images": FEATURES}),
        "frechet_distance": Right(metrics.frechet_distance, {"reference": FEATURES, "generated": FEATURES}),
        "kernel_distance": Right(
            metrics.kernel_distance,
            {"reference": FEATURES, "generated": FEATURES, "n_subsets": 2, "subset_size": 5},
        ),
        "mig": Right(metrics.mig, {"Z": CODES, "factors": BITS[:, :2]}),
        "mse": Right(metrics.mse, {"X": IMAGES, "Y": IMAGES}),
        "mutual_information_over_time": Right(
            metrics.mutual_information_over_time,
            {"encoder": tiny, "X": images, "timesteps": [0], "width": 4, "training_steps": 1},
        ),
        "precision_recall": Right(metrics.precision_recall, {"reference": FEATURES, "generated": FEATURES}),
        "psnr": Right(metrics.psnr, {"X": IMAGES, "Y": IMAGES[::-1]}),
        "reconstruction_report": Right(
            metrics.reconstruction_report, {"encoder": tiny, "X": X, "n_steps": 1}
        ),
        "ssim": Right(metrics.ssim, {"X": IMAGES, "Y": IMAGES}),
        "tad": Right(metrics.tad, {"Z": CODES, "Y": BITS[:, :2]}),
        "BitDisplay.from_estimator": Right(
            plotting.BitDisplay.from_estimator,
            {"encoder": tiny, "image": X[0], "max_bits": 1, "ax": axes} | drawing,
        ),
        "BitTableDisplay.from_codes": Right(
            plotting.BitTableDisplay.from_codes, {"Z": CODES, "Y": BITS[:, :2], "ax": axes}
        ),
        "EditDisplay.from_estimator": Right(
            plotting.EditDisplay.from_estimator,
            {
                "editor": editor,
                "X": X,
                "attribute": "odd",
                "strengths": [1.0],
                "max_images": 1,
                "n_steps": 1,
                "ax": axes,
            },
        ),
        "HistoryDisplay.from_estimator": Right(
            plotting.HistoryDisplay.from_estimator, {"encoder": tiny, "ax": axes}
        ),
        "InterpolationDisplay.from_estimator": Right(
            plotting.InterpolationDisplay.from_estimator,
            {"encoder": tiny, "x0": X[:1], "x1": X[1:2], "n_steps": 2, "ax": axes, "denoising_steps": 1},
        ),
        "LabelEfficiencyDisplay.from_curve": Right(
            plotting.LabelEfficiencyDisplay.from_curve, {"curve": curve, "ax": axes}
        ),
        "LatentDimDisplay.from_data": Right(
            plotting.LatentDimDisplay.from_data, lengths_options | {"ax": axes}, ("X", "Y", "x", "y", "ax")
        ),
        "NeighborsDisplay.from_estimator": Right(
            plotting.NeighborsDisplay.from_estimator,
            {"encoder": tiny, "X_query": X[:1], "X_index": images, "k": 1, "ax": axes},
        ),
        "NeighborsDisplay.from_retriever": Right(
            plotting.NeighborsDisplay.from_retriever,
            {"retriever": of_images, "X_query": X[:1], "X_index": images, "k": 1, "ax": axes},
        ),
        "ProbeDisplay.from_report": Right(plotting.ProbeDisplay.from_report, {"report": probes, "ax": axes}),
        "ReconstructionDisplay.from_estimator": Right(
            plotting.ReconstructionDisplay.from_estimator,
            {"encoder": tiny, "X": X, "max_images": 1, "n_steps": 1, "ax": axes},
        ),
        "SampleDisplay.from_estimator": Right(
            plotting.SampleDisplay.from_estimator, {"encoder": tiny, "n_samples": 1, "n_steps": 1, "ax": axes}
        ),
        "AutoregressivePrior": Right(
            made(priors.AutoregressivePrior, fitted_prior), {"n_hidden": 2, "n_layers": 1, "max_iter": 1}
        ),
        "DatasetPrior": Right(made(priors.DatasetPrior, fitted_prior), {}),
        "MixturePrior": Right(made(priors.MixturePrior, fitted_prior), {"n_components": 2, "max_iter": 2}),
        "CodePrior.fit": Right(fresh(priors.MixturePrior, "fit", n_components=2), {"bits": BITS}),
        "CodePrior.sample": Right(prior.sample, {"n_samples": 2, "random_state": 0}),
        "CodePrior.log_prob": Right(prior.log_prob, {"bits": BITS}),
        "CodePrior.score": Right(prior.score, {"bits": BITS}),
        "fit_prior": [
            Right(priors.fit_prior, {"prior": "independent", "bits": BITS}),
            Right(priors.fit_prior, {"prior": "auto", "bits": BITS}, ("seed",)),
        ],
        "prior_gap": Right(priors.prior_gap, {"codes": BITS, "priors": "independent"}),
        "two_sample_auc": Right(priors.two_sample_auc, {"codes": BITS, "draws": 1 - BITS}),
    }
    for kind, parameters in displays.items():
        found[kind.__name__] = Right(made(kind, lambda display: display.plot(axes)), parameters)
        found[f"{kind.__name__}.plot"] = Right(kind(**parameters).plot, {"ax": axes})
    return found


#: Of every public callable, and of what makes an object of every public class, the arguments.
ARGUMENTS = {
    name: [
        parameter.name
        for parameter in inspect.signature(value).parameters.values()
        if parameter.name not in ("self", "cls") and parameter.kind is not parameter.VAR_KEYWORD
    ]
    for name, value in (
        {value.__name__: value for value in public_classes()}
        | {
            name: value
            for name, value in public_callables().items()
            if name.rpartition(".")[2] not in set(ELSEWHERE) - {"plot", "from_data"}
        }
    ).items()
}
ARGUMENTS = {name: arguments for name, arguments in ARGUMENTS.items() if arguments}
PLANNED["test_each_argument::test_odd_values_are_refused_by_name"] = len(VALUES) * sum(
    map(len, ARGUMENTS.values())
)


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path, monkeypatch):
    """Words are legal names of folders to write to, and None makes a figure."""
    monkeypatch.chdir(tmp_path)
    yield
    matplotlib.pyplot.close("all")


@pytest.fixture(autouse=True, scope="module")
def not_counted_as_random():
    """That everything gets random input too is checked by what was called elsewhere."""
    before = set(CALLED)
    yield
    CALLED.intersection_update(before)


def is_table(value):
    return isinstance(value, (np.ndarray, pd.DataFrame))


def right_calls(calls, name):
    found = calls[name]
    return found if isinstance(found, list) else [found]


def is_left_out(name, argument, label):
    return any(label in LEFT_OUT.get((callable_, argument), ((), ""))[0] for callable_ in (name, "*"))


def test_every_argument_of_every_public_callable_is_in_the_sweep(calls):
    assert sorted(calls) == sorted(ARGUMENTS)
    for name, arguments in ARGUMENTS.items():
        for argument in arguments:
            assert any(argument in (right.only or arguments) for right in right_calls(calls, name)), name


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_right_calls_are_accepted(calls, name):
    for right in right_calls(calls, name):
        accepted(call(right.function, **right.arguments))


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_odd_values_are_refused_by_name(calls, name):
    faults = []
    for place, right in enumerate(right_calls(calls, name)):
        # Those that are passed on to other callables are in no signature.
        every = dict.fromkeys((*ARGUMENTS[name], *right.arguments))
        for argument in right.only or every:
            for i, (label, value) in enumerate(VALUES.items()):
                first = sum(map(ord, name + argument)) + place
                if (not FULL and (first + i) % QUICK_PART) or is_left_out(name, argument, label):
                    continue
                RAN["test_each_argument::test_odd_values_are_refused_by_name"] += 1
                try:
                    result = call(right.function, **{**right.arguments, argument: value})
                except AssertionError as error:
                    faults.append(f"{place}: {argument}={label}: {error}")
                else:
                    # Of tables scikit-learn speaks in words of its own.
                    if not (
                        is_table(right.arguments.get(argument))
                        or not refused(result)
                        or issubclass(result.kind, TrainingDivergedError)
                        or re.search(rf"\b{argument.removesuffix('s')}s?\b", result.message)
                    ):
                        faults.append(f"{place}: {argument}={label} is not named: {result.message}")
    assert not faults, "\n".join(faults)
