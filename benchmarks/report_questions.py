"""Questions on the method that reviewers of the paper asked, answered from the result files."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.report_choices import design_groups
from benchmarks.report_evidence import (
    BITS,
    BOUND,
    ERROR,
    FLOATS,
    FRECHET,
    LABELS,
    NAMES,
    OURS,
    Measure,
    seeds,
)
from benchmarks.report_samples import distances, models_of
from benchmarks.report_time_to_quality import RESULTS
from benchmarks.results import read
from benchmarks.tables import Rows, groups_of, having, table

UNIFORM = "DMZEncoder, uniform prior"


def questions() -> list[str]:
    """Return the sections on questions that reviewers of the paper asked."""
    groups: dict[str, dict[str, Rows]] = {}
    for choice, option, rows in design_groups():
        groups.setdefault(choice, {})[option] = rows
    lengths = {
        str(bits): rows
        for (bits,), rows in groups_of(having(read("likelihood"), set="mnist"), "bits").items()
    }
    groups["bits"] = {n: lengths.get(n, []) + groups["bits"].get(n, []) for n in lengths | groups["bits"]}
    how = f"MNIST, equal training time, {seeds(groups['kind of code']['relaxed bits'])}"
    return [
        *_code_questions(),
        "### Why is cross-attention to one token a bias?\n\n"
        "The softmax over a single key is 1, whatever the query and the key are. Attention then returns "
        "`to_out(to_v(z))`, the same vector at every position; queries and keys get no gradient. The UNet "
        "with this conditioning is therefore one with a bias that is linear in the code, which "
        '`conditioning="bias"` computes directly; `benchmarks/tests/test_evidence.py` compares it with the '
        f"attention of diffusers. {how}:\n\n{_options('conditioning', groups)}\n\n"
        "File: `time_to_quality.jsonl`.",
        "### How long should the code be?\n\n"
        f"It depends on the use. {how}; bits per dimension, from other runs, include the code's own rate:\n\n"
        f"{_options('bits', groups, BOUND)}\n\n"
        "Fréchet distance by length: not measured. `latent_dim_report` makes such a table for other data. "
        "Files: `time_to_quality.jsonl`, `likelihood.jsonl`.",
        f"### Does input perturbation break ODE samplers?\n\n{_perturbation()}",
        "### Do other objectives, backbones and resolutions work?\n\n"
        f"{how}:\n\n{_options('objective', groups)}\n\n"
        "Transformers as denoisers, flow matching and images above 64 x 64 pixels: not measured. "
        "File: `time_to_quality.jsonl`.",
    ]


def _code_questions() -> list[str]:
    """Return the sections on priors and on k-means labels, whose samples are of one sampler."""
    sampled, at_once = distances(), {"sampler": "dpm++", "seconds_asked": 780.0, "n_samples": 5000}
    by_set = {}
    for name in ("mnist", "avatars"):
        by_set[name] = dict(models_of(having(sampled, set=name, parameters={}, steps=10, **at_once)))
    kinds = dict.fromkeys(words for at in by_set.values() for words in at)
    cells = [[words, *(FRECHET.cell(at.get(words, [])) for at in by_set.values())] for words in kinds]
    rise = [FRECHET.mean(at[UNIFORM]) / FRECHET.mean(at[OURS]) for at in by_set.values()]
    factors = " and ".join(f"{factor:.0f} ({NAMES[n]})" for n, factor in zip(by_set, rise, strict=True))
    labelled = {name: at for name, at in by_set.items() if LABELS in at}
    closer = [NAMES[n] for n, at in labelled.items() if FRECHET.mean(at[LABELS]) > FRECHET.mean(at[OURS])]
    fit = {row["prior"]: row for row in having(read("priors"), images="mnist", codes="DMZEncoder, 780 s")}
    bits, auc = (
        ", ".join(f"{fit[prior][key]:.{digits}f}" for prior in ("uniform", "autoregressive", "resampled"))
        for key, digits in (("cross_entropy", 1), ("auc", 3))
    )
    tests = having(read(RESULTS), part="test", images_asked=None)
    hard = Measure("bits", ("probe_bits", "auroc_bits"))
    features: list[list[str]] = [["k-means labels"], ["bits of DMZEncoder"]]
    for name in NAMES:
        default = having(tests, set=name, name="default")
        longest = max(row["seconds_asked"] for row in default)
        features[0].append(hard.cell(having(tests, set=name, name="k-means label")))
        features[1].append(hard.cell(having(default, seconds_asked=longest)))
    one_fit, on = seeds([fit["resampled"]]), " and ".join(closer or (NAMES[name] for name in labelled))
    return [
        "### Does a mismatch between the prior and the codes matter?\n\n"
        f"{'Yes' if min(rise) > 1.0 else 'Not always'}: with codes from the paper's uniform prior instead "
        f"of a fitted one, the Fréchet distance is multiplied by {factors}. Relative Fréchet distance of "
        "samples in 10 steps of DPM-Solver++ after 780 s of training, lower is better "
        f"({seeds(by_set['mnist'][OURS])}):\n\n"
        f"{table(['codes', *(NAMES[name] for name in by_set)], cells)}\n\n"
        f"Uniform, autoregressive and resampled priors need {bits} bits per code of MNIST, and a classifier "
        f"separates codes from their samples with AUCs of {auc} ({one_fit}). Whether terms that "
        "balance codes in training help: not measured. Files: `generation.jsonl`, `priors.jsonl`.",
        "### Are k-means labels as good as codes?\n\n"
        f"For samples of {on}, {'yes' if closer else 'no'} (table above): one-hot labels of as many clusters "
        "of pixels as the code has bits, drawn by their frequencies. As features, accuracy (AUROC "
        f"for avatars) of logistic regression:\n\n{table(['code', *NAMES.values()], features)}\n\n"
        "Files: `generation.jsonl`, `time_to_quality.jsonl`.",
    ]


def _options(choice: str, groups: Mapping[str, Mapping[str, Rows]], *more: Measure) -> str:
    by = (BITS, FLOATS, ERROR, *more)
    cells = [[option, *(measure.cell(rows) for measure in by)] for option, rows in groups[choice].items()]
    return table([choice, *(measure.name for measure in by)], cells)


def _perturbation() -> str:
    """Return the answer on deterministic samplers of a network trained with input perturbation."""
    distance = Measure("distance", ("frechet_pca64",), 2, high=False)
    rows = having(read("input_perturbation"), steps=20, remedy="none")
    without, with_it = (
        {name: same for (name,), same in groups_of(having(rows, strength=g), "sampler").items()}
        for g in (0.0, 0.1)
    )
    worse = any(distance.mean(with_it[name]) < distance.mean(without[name]) for name in ("ddim", "dpm++"))
    return (
        f"{'Yes' if worse else 'Not at strength 0.1'}. Fréchet distances of reconstructions in 64 principal "
        f"components, 20 steps, without correction: {', '.join(distance.of(with_it))}; of a network trained "
        f"without perturbation: {', '.join(distance.of(without))} (MNIST, velocity prediction, "
        f"{seeds(rows)}; [corrections](results/sampling.md)). Noise prediction, which the paper uses, "
        "and larger strengths: not measured. File: `input_perturbation.jsonl`."
    )
