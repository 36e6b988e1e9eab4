"""Quality of codes, reconstructions and samples against training time, with and without a code.

    python -m benchmarks.training_time --data DATA --models FOLDER --set mnist \\
        --seconds 120 780 1800 [--kinds bits none real] [--seeds 0] [--threads 1 --cpu-time]

One row per model, or per number of denoising steps of a model without a code, is appended to
`results/training_time.jsonl`; rows that exist already are skipped. Models are those of
`benchmarks.generation`: they are loaded from `--models`, or trained and stored there. Codes are scored as in
`benchmarks.time_to_quality`, on test images. Distances are those between `--samples` samples and the test
images; kernel distances of Inception features, where its weights are installed, are computed from fewer
images, of which they are unbiased estimates.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.contenders import STEPS, BinaryCode
from benchmarks.generation import EXTRACTORS, Models, draw
from benchmarks.limits import add_limits, check_limits, limited_threads, limits_used, training_clock
from benchmarks.scoring import REBUILT, score_codes, score_reconstructions
from benchmarks.time_to_quality import SETS
from dmzrep import DMZEncoder
from dmzrep.metrics import FeatureSet, InceptionFeatures, extract_features, frechet_distance, kernel_distance
from dmzrep.metrics import ssim as structural_similarity

RESULTS = "training_time"
KINDS = ("bits", "none", "real")
SAMPLER = "dpm++"
#: Denoising steps of samples, by kind; None for train images in place of samples.
SAMPLING_STEPS: dict[str, tuple[int | None, ...]] = {"bits": (10,), "none": (10, 50), "real": (None,)}
#: Numbers of samples and of test images for Inception, which takes 0.1 s per image.
INCEPTION_SAMPLES, INCEPTION_REFERENCE = 1_000, 2_000
#: Side of the windows in which the residue is measured.
FLAT = 5


def planned(parsed: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the key of each requested row."""
    about = {"set": parsed.set, "latent_dim": parsed.latent_dim or SETS[parsed.set].latent_dim}
    for seed in parsed.seeds:
        for kind in parsed.kinds:
            for seconds in [None] if kind == "real" else parsed.seconds:
                for steps in SAMPLING_STEPS[kind]:
                    yield {**about, "kind": kind, "seconds_asked": seconds, "steps": steps, "seed": seed}


def flat_residue(X: np.ndarray, rebuilt: np.ndarray) -> float | None:
    """Return the standard deviation of reconstructions where the images are constant.

    Parameters
    ----------
    X, rebuilt : ndarray of shape (n, height, width[, channels]), uint8

    Returns
    -------
    float or None
        The root mean square deviation from the mean of each channel and window of 5 x 5 pixels that have one
        colour in the image; pixels are scaled to [-1, 1]. None without such windows.
    """
    windows, others = (
        np.lib.stride_tricks.sliding_window_view(images.reshape(*images.shape[:3], -1), (FLAT, FLAT), (1, 2))
        for images in (X, rebuilt)
    )
    flat = (np.ptp(windows, axis=(-2, -1)) == 0).all(axis=-1)
    if not flat.any():
        return None
    return float(np.sqrt((others[flat] / 127.5).var(axis=(-2, -1)).mean()))


def score_encoder(encoder: DMZEncoder, models: Models, probe_rows: int) -> dict[str, Any]:
    """Return the scores of codes and reconstructions of a trained encoder."""
    contender, data = BinaryCode(encoder.latent_dim), models.data
    contender.encoder = encoder.set_params(output="logits")
    codes = [contender.transform(X) for X in (data.train, data.test)]
    row = score_codes(data, *codes, probe_rows) | score_reconstructions(contender, data.test)
    images = data.test[:REBUILT]
    rebuilt = encoder.reconstruct(images, n_steps=STEPS)
    row["reconstruction_ssim"] = float(structural_similarity(images, rebuilt).mean())
    return row | {"flat_residue": flat_residue(images, rebuilt)}


def score_samples(
    name: str, models: Models, samples: np.ndarray, references: dict[str, tuple[Any, FeatureSet]]
) -> dict[str, Any]:
    """Return the distances between samples and test images, by one feature extractor."""
    n_samples, n_reference = (
        (INCEPTION_SAMPLES, INCEPTION_REFERENCE) if name == "inception" else (len(samples), None)
    )
    if name not in references:
        extractor = models.extractor(name)
        references[name] = extractor, extract_features(models.data.test[:n_reference], extractor)
    extractor, reference = references[name]
    generated = extract_features(samples[:n_samples], extractor)
    row = {f"{name}_kernel_distance": kernel_distance(reference, generated, random_state=0).value}
    if name == "classifier":
        row["frechet_distance"] = frechet_distance(reference, generated).value
        row["extractor_sha256"] = reference.source.sha256
    return row | {f"{name}_samples": len(samples[:n_samples])}


def arguments_of(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the datasets")
    parser.add_argument("--models", type=Path, required=True, help="folder of trained models, not in git")
    parser.add_argument("--set", required=True, choices=list(SETS))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seconds", type=float, nargs="+", default=[120.0, 780.0, 1800.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--samples", type=int, default=5_000)
    installed = [name for name in EXTRACTORS if name != "inception" or InceptionFeatures.is_installed()]
    parser.add_argument("--extractors", nargs="+", choices=EXTRACTORS, default=installed)
    parser.add_argument("--latent-dim", type=int, help="bits of a code (default: depends on the dataset)")
    add_limits(parser)
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    return parsed


def main(arguments: list[str] | None = None) -> None:
    """Measure the missing rows, append them to the results and print them."""
    parsed = arguments_of(arguments)
    done = results.read(RESULTS, parsed.results)
    with limited_threads(parsed.threads):
        models, references = None, {}
        for key in planned(parsed):
            if results.is_done(done, key):
                continue
            if models is None:
                models = Models(parsed.models, parsed.set, SETS[parsed.set].load(parsed.data))
            asked = {"n_samples": parsed.samples, "sampler": SAMPLER, "prior": "fitted", "parameters": {}}
            with training_clock(parsed):
                samples, row = draw(models, key | asked)
            if key["kind"] == "bits":
                row |= score_encoder(models.model(key | asked)[0], models, SETS[parsed.set].probe_rows)
            for name in parsed.extractors:
                row |= score_samples(name, models, samples, references)
            row = {k: round(v, 6) if isinstance(v, float) else v for k, v in {**key, **row}.items()}
            row |= limits_used(parsed)
            results.append(RESULTS, row, parsed.results)
            print(row, flush=True)


if __name__ == "__main__":
    main()
