"""Quality of generated images by number of denoising steps: with learned bits, without a code, with clusters.

    python -m benchmarks.generation --data DATA --models FOLDER --set mnist --seconds 420 --seeds 0 1 2 \\
        [--kinds bits none clusters real] [--samplers ddim ddpm] [--steps 1 2 5 10 20 50 100] \\
        [--threads 1 --cpu-time]

Kinds of models, all with the same network and training time:

bits      DMZEncoder; codes are drawn from its fitted prior and, in a separate row, from the uniform prior;
          `--priors` selects one of them, or the autoregressive prior within the resampled one
none      the unconditional model, ``conditioning="none"``
clusters  one-hot labels of `latent_dim` k-means clusters in place of learned bits, drawn in proportion to the
          cluster sizes
real      train images in place of samples, as a reference

Distances are computed between `--samples` generated images and the test images (with `--reference train`,
the same number of train images). Features are those of a classifier trained on the train images (on digits,
or on all attributes of avatars together), and of the Inception network if its weights are installed. The
models are stored in `--models` and reused; the classifiers are in `benchmarks/classifiers/`, since
processors round their training differently, and distances in the features of two classifiers are not
comparable. One row per extractor is appended to `results/generation.jsonl`; rows that exist already are
skipped. Precision, recall, density and coverage use the same number of images from both sets, "n_manifold".
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.cluster_code import ClusterPrior, fit_clusters
from benchmarks.datasets import SETS, ImageData
from benchmarks.limits import NO_LIMIT, add_limits, check_limits, limited_threads, limits_used, training_clock
from dmzrep import DMZEncoder
from dmzrep.estimator._parameters import nested_names
from dmzrep.metrics import (
    ClassifierFeatures,
    FeatureSet,
    InceptionFeatures,
    extract_features,
    frechet_distance,
    kernel_distance,
    precision_recall,
)
from dmzrep.metrics._features import Extractor

RESULTS = "generation"
KINDS = ("bits", "none", "clusters", "real")
#: Distributions that codes are drawn from, for each kind of model.
PRIORS: dict[str, tuple[str | None, ...]] = {
    "bits": ("fitted", "autoregressive", "uniform"),
    "none": (None,),
    "clusters": ("shares",),
    "real": (None,),
}
EXTRACTORS = ("classifier", "inception")
STEPS = (1, 2, 5, 10, 20, 50, 100)
CLASSIFIERS = Path(__file__).parent / "classifiers"


def planned(parsed: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the key of each requested set of samples."""
    about = {"set": parsed.set, "reference": parsed.reference, "n_samples": parsed.samples}
    for seed in parsed.seeds:
        for kind in parsed.kinds:
            if kind == "real":
                no_model = {"seconds_asked": None, "latent_dim": None, "parameters": None}
                yield {
                    **about,
                    "kind": kind,
                    "prior": None,
                    "sampler": None,
                    "steps": None,
                    "seed": seed,
                } | no_model
                continue
            latent_dim = parsed.latent_dim or SETS[parsed.set].latent_dim
            model = {"seconds_asked": parsed.seconds, "latent_dim": latent_dim, "parameters": parsed.params}
            for sampler in parsed.samplers:
                for prior in [p for p in PRIORS[kind] if p in parsed.priors or kind != "bits"]:
                    for steps in parsed.steps:
                        key = {"kind": kind, "prior": prior, "sampler": sampler, "steps": steps, "seed": seed}
                        yield {**about, **key, **model}


class Models:
    """Trained models of a dataset, loaded from a folder, or trained and stored there; and its classifier."""

    def __init__(self, folder: Path, name: str, data: ImageData):
        self.folder, self.name, self.data = folder, name, data
        folder.mkdir(parents=True, exist_ok=True)
        self._latest: tuple[Path, Any] | None = None

    def extractor(self, name: str) -> Extractor:
        """Return a feature extractor by name."""
        if name == "inception":
            return InceptionFeatures()
        path = CLASSIFIERS / f"{self.name}.safetensors"
        if not path.exists():
            ClassifierFeatures(random_state=0).fit(self.data.train, self.data.train_labels).save(path)
        return ClassifierFeatures.load(path)

    def model(self, key: dict[str, Any]) -> tuple[DMZEncoder, ClusterPrior | None, dict[str, Any]]:
        """Return the model of a row, the prior of its clusters if any, and a description of its training."""
        version = results.CURRENT.get(self.name, results.DEFAULT)
        short = f"{key['latent_dim']}-{key['seconds_asked']:g}s-{key['seed']}-v{version}"
        path = self.folder / f"{self.name}-{key['kind'].replace(' ', '-')}-{short}.safetensors"
        if self._latest is None or self._latest[0] != path:
            self._latest = path, self._load(path, key) if path.exists() else self._train(path, key)
        return self._latest[1]

    def _train(self, path: Path, key: dict[str, Any]) -> Any:
        given = {"max_time": key["seconds_asked"], "max_iter": NO_LIMIT, "random_state": key["seed"]}
        given |= {"conditioning": "none"} if key["kind"] == "none" else {}
        encoder = DMZEncoder(key["latent_dim"]).set_params(**nested_names(given | key["parameters"]))
        if key["kind"] == "clusters":
            prior = fit_clusters(encoder, self.data.train)[1]
            np.save(_shares_file(path), prior.shares_)
        else:
            encoder.fit(self.data.train)
        encoder.save(path)
        # Models are always loaded from files, so that an interrupted run resumes with the same model.
        return self._load(path, key)

    def _load(self, path: Path, key: dict[str, Any]) -> Any:
        encoder, prior = DMZEncoder.load(path), None
        found, asked = encoder.get_params(), nested_names(key["parameters"])
        differing = {name: value for name, value in asked.items() if _plain(found[name]) != _plain(value)}
        if differing:
            raise ValueError(
                f"{path} was trained with other parameters than {differing}. "
                "Choose another folder as --models."
            )
        if key["kind"] == "clusters":
            prior = ClusterPrior().restore({"shares_": np.load(_shares_file(path))}, key["latent_dim"])
        last = encoder.history_.iloc[-1]
        about = {"seconds": float(last["seconds"]), "images_seen": int(last["images"])}
        about["prior_name"] = None if encoder.prior_ is None else encoder.prior_.name
        return encoder, prior, about


def _shares_file(path: Path) -> Path:
    return path.with_name(path.name.replace(".safetensors", "-shares.npy"))


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def draw(models: Models, key: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the samples of a row, and further columns that describe them."""
    if key["kind"] == "real":
        chosen = np.random.default_rng(key["seed"]).permutation(len(models.data.train))[: key["n_samples"]]
        return models.data.train[np.sort(chosen)], {}
    encoder, clusters, about = models.model(key)
    # "fitted" and no code are the default.
    prior = clusters if key["kind"] == "clusters" else None if key["prior"] == "fitted" else key["prior"]
    begun = time.perf_counter()
    options = {"n_steps": key["steps"], "sampler": key["sampler"], "random_state": key["seed"]}
    samples = encoder.sample(key["n_samples"], prior=prior, **options)
    about = {**about, "sampling_seconds": time.perf_counter() - begun}
    if key["prior"] != "fitted":
        about["prior_name"] = key["prior"]
    return samples, about


def measure(reference: FeatureSet, samples: np.ndarray, extractor: Extractor) -> dict[str, Any]:
    """Return all scores of the samples with one feature extractor."""
    generated = extract_features(samples, extractor)
    row = frechet_distance(reference, generated).to_dict()
    row |= kernel_distance(reference, generated, random_state=0).scores
    n = min(len(reference), len(generated))
    some, others = (FeatureSet(x.features[:n], x.source) for x in (reference, generated))
    manifold = precision_recall(some, others)
    return row | manifold.scores | manifold.settings | {"n_manifold": n}


def arguments_of(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the datasets")
    parser.add_argument(
        "--models", type=Path, required=True, help="folder of trained models, outside the repository"
    )
    parser.add_argument("--set", required=True, choices=list(SETS))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--samplers", nargs="+", default=["ddim", "ddpm"])
    parser.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    parser.add_argument("--priors", nargs="+", choices=PRIORS["bits"], default=["fitted", "uniform"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--seconds", type=float, default=420.0, help="training time of each model (default: 420)"
    )
    parser.add_argument("--samples", type=int, default=5_000)
    parser.add_argument("--reference", choices=("test", "train"), default="test")
    installed = [name for name in EXTRACTORS if name != "inception" or InceptionFeatures.is_installed()]
    parser.add_argument("--extractors", nargs="+", choices=EXTRACTORS, default=installed)
    parser.add_argument("--latent-dim", type=int, help="bits of a code (default: depends on the dataset)")
    parser.add_argument("--params", type=json.loads, default={}, help="parameters of DMZEncoder as JSON")
    add_limits(parser)
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    if parsed.reference == "train" and "real" in parsed.kinds:
        parsed.kinds.remove("real")  # They would be compared with themselves.
    return parsed


def main(arguments: list[str] | None = None) -> None:
    """Measure the missing rows, append them to the results and print them."""
    parsed = arguments_of(arguments)
    done = results.read(RESULTS, parsed.results)
    with limited_threads(parsed.threads):
        models, references = None, {}
        for key in planned(parsed):
            missing = [
                name for name in parsed.extractors if not results.is_done(done, key | {"features": name})
            ]
            if not missing:
                continue
            if models is None:
                models = Models(parsed.models, parsed.set, SETS[parsed.set].load(parsed.data))
            with training_clock(parsed):
                samples, about = draw(models, key)
            for name in missing:
                if name not in references:
                    references[name] = _reference(models, name, parsed)
                extractor, reference, said = references[name]
                row = {**key, "features": name, **said, **about, **measure(reference, samples, extractor)}
                row = {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}
                row |= limits_used(parsed)
                results.append(RESULTS, row, parsed.results)
                print(row, flush=True)


def _reference(
    models: Models, name: str, parsed: argparse.Namespace
) -> tuple[Extractor, FeatureSet, dict[str, Any]]:
    """Return an extractor, the features of the reference images, and the accuracy of the extractor."""
    extractor, data = models.extractor(name), models.data
    images = data.test if parsed.reference == "test" else data.train[: parsed.samples]
    said = {}
    if isinstance(extractor, ClassifierFeatures):
        said["extractor_accuracy"] = extractor.score(data.test, data.test_labels)
    return extractor, extract_features(images, extractor), said


if __name__ == "__main__":
    main()
