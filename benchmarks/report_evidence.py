"""The evidence page: each claim of the paper and of the README in one line, and questions on the method.

Figures and comparisons come from the result files. A rival is said to win when its mean is at least as good.
"""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

from benchmarks.collections_data import EDITS
from benchmarks.report_choices import DESIGN, design_groups
from benchmarks.report_collections import last_rows
from benchmarks.report_samples import DISTANCE, best_sampler, floor, models_of
from benchmarks.report_time_to_quality import ATTRIBUTE_SETS, RESULTS, TITLES, current, label, measures
from benchmarks.results import read
from benchmarks.tables import Rows, command, groups_of, having, is_former, spread, table


class Line(NamedTuple):
    """A claim with its evidence; `rows` are those of the figure, and `file` is their result file."""

    claim: str
    figure: str
    rivals: str
    fails: str
    rows: Rows
    file: str


def said(rows: Rows, *keys: str, digits: int = 3, encoder: bool = True) -> str:
    """Return mean and spread of the first key that rows have, with the number of seeds and their age."""
    values = [next(row[key] for key in keys if key in row) for row in rows]
    seeds = "one seed" if len(values) == 1 else f"{len(values)} seeds"
    return f"{spread(values, digits)} ({seeds}{', former version' if encoder and all(map(is_former, rows)) else ''})"


def brief(values: dict[str, list[float]], digits: int = 3) -> str:
    """Return names with means and spreads."""
    return "; ".join(f"{name} {spread(of_name, digits)}" for name, of_name in values.items()) or "none"


def winners(
    ours: list[float], rivals: dict[str, list[float]], highest: bool = True
) -> dict[str, list[float]]:
    """Return the rivals whose mean is at least as good as ours."""
    sign = 1 if highest else -1
    limit = sign * statistics.mean(ours)
    return {name: values for name, values in rivals.items() if sign * statistics.mean(values) >= limit}


def losses(ours: list[float], rivals: dict[str, list[float]], what: str, highest: bool = True) -> str:
    """Return a sentence on the rivals that win, or nothing."""
    better = winners(ours, rivals, highest)
    return f"{what}: {brief(better)}, against {spread(ours)}" if better else ""


def values_of(rows: Rows, *keys: str) -> list[float]:
    """Return the first of the keys that each row has."""
    return [next(row[key] for key in keys if key in row) for row in rows if any(key in row for key in keys)]


def joined(*parts: str) -> str:
    """Return the parts that are not empty."""
    return "; ".join(part for part in parts if part) or "no rival of this run wins"


def quality_line(name: str, claim: str, heading: str, other: str = "") -> Line:
    """Return the line on a measure of bits, and on floats where another measure is named."""
    rows = having(current(read(RESULTS)), set=name, part="test", images_asked=None)
    longest = max(row["seconds_asked"] for row in having(rows, name="default"))
    compared = groups_of([row for row in rows if row["seconds_asked"] in (longest, None)], "name").values()
    scores: dict[str, dict[str, list[float]]] = {}
    for column in filter(None, (heading, other)):
        named = ((label(group), values_of(group, *measures(name)[column])) for group in compared)
        best = sorted(((words, v) for words, v in named if v), key=lambda item: -statistics.mean(item[1]))
        scores[column] = dict(best)
    own = [scores[column].pop("DMZEncoder, default") for column in scores]
    default = having(rows, name="default", seconds_asked=longest)
    top = dict(list(scores[heading].items())[:4])
    figure = f"{heading}: {said(default, *measures(name)[heading])} after {longest:g} s"
    lost = [losses(mine, scores[column], column) for mine, column in zip(own, scores, strict=True)]
    title = f"{claim}: {TITLES[name].split(',')[0]}{', posed' if name == 'posed' else ''}"
    title += f", {default[0]['latent_dim']} bits"
    return Line(title, figure, brief(top), joined(*lost), default, RESULTS)


def steps_line(name: str) -> Line:
    """Return the line on denoising steps: when ours is as near to test images as the unconditional model ever is."""
    rows = [row for row in having(read("generation"), set=name) if row["kind"] != "real"]
    steps = groups_of(rows, "set", "extractor_sha256", "seconds_asked").values()
    rows = max(steps, key=len)
    best: dict[str, dict[int, Rows]] = {
        words: {n: best_sampler(same) for (n,), same in sorted(groups_of(of_model, "steps").items())}
        for words, of_model in models_of(rows)
    }
    mean = {
        words: {n: statistics.mean(values_of(r, DISTANCE)) for n, r in at.items()}
        for words, at in best.items()
    }
    plain, ours = mean["unconditional"], mean["DMZEncoder, fitted prior"]
    least = min(plain, key=lambda n: plain[n])
    enough = next((n for n in ours if ours[n] <= plain[least]), None)
    real = floor(read("generation"), rows[0])
    chosen = best["DMZEncoder, fitted prior"][enough or min(ours, key=lambda n: ours[n])]
    figure = f"Fréchet distance {said(chosen, DISTANCE, digits=1)} in {chosen[0]['steps']} steps"
    labels = mean["k-means labels as the code"]
    fewest = min(labels, key=lambda n: labels[n])
    rivals = {
        f"unconditional, its best, {least} steps": values_of(best["unconditional"][least], DISTANCE),
        f"k-means labels, their best, {fewest} steps": values_of(
            best["k-means labels as the code"][fewest], DISTANCE
        ),
    }
    lost = losses(values_of(chosen, DISTANCE), rivals, "closer to test images", highest=False)
    far = f"training images are at {spread(real, 1)}, so all samples are far from real ones"
    title = f"Fewer denoising steps than a diffusion model without a code: {TITLES[name].split(',')[0]}"
    return Line(title, figure, brief(rivals, 1), joined(lost, far), chosen, "generation")


def design_line(claim: str, choice: str, ours: str, *columns: tuple[str, tuple[str, ...], bool]) -> Line:
    """Return the line on one of the paper's choices; columns are headings, keys and whether high is good."""
    groups = {word: rows for of, word, rows in design_groups(current(read(RESULTS))) if of == choice}
    mine = groups.pop(ours)
    (heading, keys, _), *_ = columns
    lost = [
        losses(values_of(mine, *k), {w: values_of(r, *k) for w, r in groups.items()}, h, high)
        for h, k, high in columns
    ]
    rivals = {word: values_of(rows, *keys) for word, rows in groups.items()}
    return Line(claim, f"{heading}: {said(mine, *keys)}", brief(rivals), joined(*lost), mine, RESULTS)


BITS = ("accuracy of bits", ("probe_bits",), True)
FLOATS = ("accuracy of logits or floats", ("probe_logits", "probe_floats"), True)
ERROR = ("reconstruction error", ("reconstruction_mse",), False)


def paper_lines() -> list[Line]:
    """Return the lines on claims of the paper."""
    classes = ("probe, bits", "probe, logits or floats")
    attributes = ("AUROC, bits", "AUROC, logits or floats")
    features = "Codes learned without labels are good features"
    lines = [steps_line("mnist"), steps_line("avatars")]
    for name in ("cifar10", "posed", "avatars", "mnist"):
        lines.append(quality_line(name, features, *(attributes if name in ATTRIBUTE_SETS else classes)))
    lines += [
        design_line(
            "Bits are as good a code as real numbers", "kind of code", "relaxed bits", FLOATS, BITS, ERROR
        ),
        design_line(
            "Cross-attention to the code as one token is the best conditioning",
            "conditioning",
            "bias (one-token cross-attention)",
            BITS,
            ERROR,
        ),
        design_line("Input perturbation helps", "input perturbation", "0.1", BITS, FLOATS, ERROR),
    ]
    rows = read("likelihood")
    none, coded = (having(rows, bits=bits) for bits in (0, 64))
    rival = {"no code": values_of(none, "total")}
    lost = losses(values_of(coded, "total"), rival, "lower bound", highest=False)
    figure = f"{said(coded, 'total')} bits per dimension with 64 bits"
    lines.append(
        Line("A code makes modelling more efficient", figure, brief(rival), joined(lost), coded, "likelihood")
    )
    for pairs, words in (("emoji", "emoji of two styles"), ("edges", "edges to faces")):
        rows = having(read("domain_transfer"), pairs=pairs)
        ours = having(rows, codes="DMZEncoder", choice="default")
        others = groups_of([row for row in rows if row not in ours], "codes", "choice")
        rivals, right = (
            {f"{codes}, {choice}": values_of(same, key) for (codes, choice), same in others.items()}
            for key in ("within_10", "accuracy")
        )
        lost = losses(values_of(ours, "accuracy"), right, "predicts more of its bits")
        figure = f"partner among the 10 nearest of {ours[0]['n_test']:,}: {said(ours, 'within_10')}"
        claim = f"Codes of one domain predict codes of another: {words}"
        lines.append(Line(claim, figure, brief(rivals), joined(lost), ours, "domain_transfer"))
    rows = having(read("edit_success"), split="test", choice="default")
    changed, others = (statistics.mean(values_of(rows, key)) for key in ("changed", "others_changed"))
    figure = f"{changed:.3f} of edits of {len(rows)} attributes succeed (one seed, former version)"
    side = f"{others:.3f} of the other attributes change too; cartoon faces only"
    lines.append(
        Line(
            "Linear directions in the code edit attributes",
            figure,
            "none measured",
            side,
            rows,
            "edit_success",
        )
    )
    return lines


def readme_lines() -> list[Line]:
    """Return the lines on claims of the README."""
    lines = [
        quality_line(name, "64 to 128 bits serve for search", "mAP@100") for name in ("cifar10", "mnist")
    ]
    for name in ("cifar10", "mnist"):
        rows = having(current(read(RESULTS)), set=name, part="test")
        first = having(rows, name="initialisation")
        longest = max(having(rows, name="default"), key=lambda row: row["seconds"])
        figure = f"bits {said(first, 'probe_bits')}, logits {said(first, 'probe_logits')} in {first[0]['seconds']:.0f} s"
        rivals = f"trained for {longest['seconds']:.0f} s: {longest['probe_bits']:.3f}, {longest['probe_logits']:.3f}"
        claim = f"The initialisation alone gives most of the accuracy: {TITLES[name].split(',')[0]}"
        gain = f"training adds {longest['probe_bits'] - first[0]['probe_bits']:+.3f} to bits, "
        gain += f"{longest['probe_logits'] - first[0]['probe_logits']:+.3f} to logits"
        lines.append(Line(claim, figure, rivals, gain, first, RESULTS))
    rows = read("quickstart")
    scores = {name: [row["codes"][name]["AUROC"] for row in rows] for name in rows[0]["codes"]}
    ours = scores.pop("DMZ bits")
    figure = f"AUROC of bits {spread(ours)} ({len(rows)} seeds)"
    claim = f"{rows[0]['seconds_asked']:.0f} seconds of training suffice for the faces of the demo"
    lines.append(
        Line(claim, figure, brief(scores), joined(losses(ours, scores, "AUROC")), rows, "quickstart")
    )
    rows = read("ordered_code")
    at = {model: having(rows, model=model, bits=8) for model in ("ordered", "separate", "plain")}
    rivals = {
        "8 bits trained alone": values_of(at["separate"], "probe_bits"),
        "first 8 of a code that is not ordered": values_of(at["plain"], "probe_bits"),
    }
    all_bits = {
        model: values_of(having(rows, model=model, bits=64), "probe_bits") for model in ("ordered", "plain")
    }
    lost = losses(values_of(at["ordered"], "probe_bits"), rivals, "8 bits")
    whole = losses(all_bits["ordered"], {"not ordered": all_bits["plain"]}, "all 64 bits")
    figure = f"accuracy of the first 8 bits: {said(at['ordered'], 'probe_bits')}"
    claim = "Prefixes of an ordered code are codes (MNIST)"
    lines.append(Line(claim, figure, brief(rivals), joined(lost, whole), at["ordered"], "ordered_code"))
    rows = having(read("inversion"), steps=20)
    exact, random = (having(rows, noise=noise) for noise in ("inverted", "random"))
    figure = f"mean squared error {said(exact, 'mse', digits=5)}"
    rival = brief({"bits and random noise": values_of(random, "mse")})
    limit = "the inverted noise has as many values as the image; MNIST only"
    lines.append(Line("Bits with inverted noise rebuild images", figure, rival, limit, exact, "inversion"))
    return [*lines, *collection_lines(), *cost_lines()]


def collection_lines() -> list[Line]:
    """Return the lines on duplicates in folders and among images."""
    rows = having(last_rows(read("collections")), part="duplicates")
    ours = having(rows, name="ImageCollection")
    rivals = {
        f"{r['name']}, best threshold": [r["f1"]]
        for r in rows
        if r["threshold"] == "hindsight" and r["mirrored"]
    }
    weak = [
        f"{kind} {ours[0]['kinds'][kind]['recall']:.2f} ({best['name']} {best['kinds'][kind]['recall']:.2f})"
        for kind in EDITS
        for best in [max(rows, key=lambda row: row["kinds"][kind]["recall"])]
        if best["kinds"][kind]["recall"] > ours[0]["kinds"][kind]["recall"]
    ]
    fails = f"recall by kind, at any precision: {', '.join(weak)}" if weak else ""
    figure = f"F1 {said(ours, 'f1')}, at the threshold that it chooses"
    claim = f"Duplicates in a folder of {ours[0]['pictures']:,} pictures are found"
    lines = [Line(claim, figure, brief(rivals), joined(fails), ours, "collections")]
    rows = read("near_duplicates")
    for name in dict.fromkeys(row["set"] for row in rows):
        of_set = having(rows, set=name)
        ours = having(of_set, name="initialised, mirrored views", form="logits")
        others = groups_of([row for row in of_set if row not in ours], "name", "form")
        scores = {
            f"{words}, {form}": values_of(same, "average_precision") for (words, form), same in others.items()
        }
        ranked = dict(sorted(scores.items(), key=lambda item: -item[1][0]))
        default = having(of_set, name="default", form="logits")
        elsewhere = {
            words: v for words, v in ranked.items() if not words.startswith(("initialised", "default"))
        }
        lost = losses(values_of(default, "average_precision"), elsewhere, "with default views, trained")
        figure = f"average precision {said(ours, 'average_precision')} with mirrored views, not trained"
        top = brief(dict(list(elsewhere.items())[:3]))
        lines.append(
            Line(f"Codes find edited copies: {name}", figure, top, joined(lost), ours, "near_duplicates")
        )
    return lines


def cost_lines() -> list[Line]:
    """Return the lines on speed and memory."""
    speed = {row["contender"]: row for row in read("training_speed")}
    own, authors, same = (
        max(
            (r for name, r in speed.items() if name.startswith(kind) and "images_per_second" in r), key=_speed
        )
        for kind in ("ours, default", "authors", "ours, (")
    )
    figure = f"{own['images_per_second']:.0f} images/s, {own['ratio_to_authors']:.1f} times (former version)"
    rivals = f"authors' network type {authors['images_per_second']:.0f}, its fastest variant"
    fails = f"at the same widths and without patches: {same['ratio_to_authors']:.1f} times"
    lines = [Line("Training is fast on a CPU", figure, rivals, fails, [own], "training_speed")]
    search = {row["name"]: row for row in read("retrieval_speed")}
    ms = {name: f"{1000 * row['seconds']:.0f} ms" for name, row in search.items()}
    flat, own = "FAISS, IndexBinaryFlat", search["FaissNeighbors, flat"]
    figure = f"exact: {ms['FaissNeighbors, flat']} for {own['queries']:,} queries"
    sklearn = next(name for name in search if name.startswith("scikit-learn"))
    inverted = (
        search["FaissNeighbors, ivf, n_probes=64"]["seconds"]
        / search["FAISS, IndexBinaryIVF, nprobe=64"]["seconds"]
    )
    fails = f"inverted lists take {inverted:.2f} times as long as FAISS's own"
    claim = f"Exact Hamming search among {own['rows']:,} codes is fast"
    lines.append(
        Line(claim, figure, f"FAISS {ms[flat]}; scikit-learn {ms[sklearn]}", fails, [own], "retrieval_speed")
    )
    fit, transform = (having(read("memory"), what=what)[-1] for what in ("fit", "transform"))
    figure = f"fit +{fit['grown_mib']} MiB, transform +{transform['grown_mib']} MiB (former version)"
    claim = f"Memory does not grow with the data: {fit['file_mib']:,} MiB of images"
    lines.append(Line(claim, figure, "none measured", "one size of images", [fit], "memory"))
    rows = {(row["batch_size"], row["processes"]): row for row in read("processes")}
    ratios = {
        size: row["images_per_second"] / rows[size, 1]["images_per_second"]
        for (size, n), row in rows.items()
        if n > 1
    }
    figure = ", ".join(f"batch {size}: {ratio:.2f} times" for size, ratio in ratios.items())
    slower = "slower than one process with as many threads" if min(ratios.values()) < 1 else ""
    last = [next(reversed(rows.values()))]
    claim = "Two processes on one machine train faster than one"
    lines.append(
        Line(
            claim,
            f"{figure} (former version)",
            "one process, as many threads",
            joined(slower),
            last,
            "processes",
        )
    )
    return lines


def _speed(row: dict[str, Any]) -> float:
    return row["images_per_second"]


def questions() -> list[str]:
    """Return the sections on questions that reviewers of the paper asked."""
    generated, priors = read("generation"), having(read("priors"), images="mnist", codes="DMZEncoder, 120 s")
    at_10: dict[str, dict[str, str]] = {}
    for name in ("mnist", "avatars"):
        for words, of_model in models_of(
            having(generated, set=name, sampler="dpm++", steps=10, seconds_asked=120.0)
        ):
            at_10.setdefault(name, {})[words] = said(of_model, DISTANCE, digits=1)
    fit = {row["prior"]: row for row in priors}
    fair, auto = fit["uniform"], fit["autoregressive"]
    design = {(choice, word): rows for choice, word, rows in design_groups(current(read(RESULTS)))}

    def listed(choice: str, *keys: str) -> str:
        return brief({word: values_of(design[choice, word], *keys) for word in DESIGN[choice].values()})

    tests = having(current(read(RESULTS)), part="test", images_asked=None)
    labels = "; ".join(
        f"{TITLES[name]}: {spread(values_of(having(tests, set=name, name='k-means label'), *keys))} against "
        f"{spread(values_of([r for r in having(tests, set=name, name='default')][-1:], *keys))}"
        for name in TITLES
        for keys in [("probe_bits", "auroc_bits")]
    )
    bounds = groups_of(read("likelihood"), "bits")
    rates = brief({f"{bits or 'no'} bits": values_of(rows, "total") for (bits,), rows in bounds.items()})
    noisy = having(read("input_perturbation"), steps=20)
    ode = "; ".join(
        f"{sampler}, strength {strength:g}, {'uncorrected' if remedy == 'none' else remedy}: "
        f"{spread(values_of(same, 'frechet_pca64'), 2)}"
        for (sampler, strength, remedy), same in groups_of(noisy, "sampler", "strength", "remedy").items()
        if remedy in ("none", "matched", "eta 0.5")
    )
    prior_models = ("DMZEncoder, fitted prior", "DMZEncoder, uniform prior", "unconditional")
    mismatch = " ".join(
        f"{TITLES[name]}: " + "; ".join(f"{words} {at[words]}" for words in prior_models) + "."
        for name, at in at_10.items()
    )
    return [
        "### Does a mismatch between the prior and the codes matter?\n\n"
        "Codes are not fair coins: a uniform prior needs "
        f"{fair['cross_entropy']:.1f} bits per code of MNIST and an autoregressive prior {auto['cross_entropy']:.1f}; "
        f"a classifier tells codes from draws with an AUC of {fair['auc']:.3f} and {auto['auc']:.3f} (0.5 is ideal; "
        f"{_seeds(priors)}). Fréchet distance in 10 steps of DPM-Solver++, lower is better. {mismatch} "
        "Whether terms that balance the codes in training reduce the mismatch: not measured. "
        "Files: `priors.jsonl`, `generation.jsonl`.",
        "### Are k-means labels as good as codes?\n\n"
        "Samples in 10 steps of DPM-Solver++: "
        + "; ".join(
            f"{TITLES[name]}, labels {at['k-means labels as the code']}, bits {at['DMZEncoder, fitted prior']}"
            for name, at in at_10.items()
        )
        + f". As features (accuracy or AUROC of labels against bits): {labels}. The labels are one-hot, of as many "
        "clusters of pixels as the code has bits. Files: `generation.jsonl`, `time_to_quality.jsonl`.",
        "### Why is cross-attention to one token a bias?\n\n"
        "The softmax of a query over a single key is 1 whatever the query and the key are. Attention therefore "
        "returns `to_out(to_v(z))`, the same vector at every position; queries and keys get no gradient. A layer "
        "of the UNet with this conditioning equals one with a bias that is linear in the code, which "
        '`conditioning="bias"` computes directly. Accuracy of bits after equal training: '
        f"{listed('conditioning', 'probe_bits')}. File: `time_to_quality.jsonl`.",
        "### How long should the code be?\n\n"
        f"Accuracy of bits on MNIST by length: {listed('bits', 'probe_bits')}. Reconstruction error: "
        f"{listed('bits', 'reconstruction_mse')}. Bits per dimension, code included: {rates}. Longer codes are "
        "better features and cost rate. Fréchet distance by length: not measured. `latent_dim_report` makes this "
        "table for other data. Files: `time_to_quality.jsonl`, `likelihood.jsonl`.",
        "### Does input perturbation break ODE samplers?\n\n"
        f"Fréchet distance of reconstructions in 64 principal components, 20 steps ({_seeds(noisy[:1])}): {ode}. "
        "Only velocity prediction on MNIST; noise prediction, which the paper uses, and larger strengths: not "
        "measured. File: `input_perturbation.jsonl`.",
        "### Do other backbones, objectives and resolutions work?\n\n"
        f"Objectives, accuracy of bits: {listed('objective', 'probe_bits')}; reconstruction error: "
        f"{listed('objective', 'reconstruction_mse')}. Transformers as denoisers, flow matching and images above "
        "64 x 64 pixels: not measured. File: `time_to_quality.jsonl`.",
    ]


def _seeds(rows: Rows) -> str:
    return f"one seed{', former version' if all(map(is_former, rows)) else ''}"


def not_measured() -> str:
    """Return the list of what no result file holds."""
    missing = {
        "embeddings": "search recall of bits of embeddings against bytes per vector",
        "protocols": "published protocols of hashing and latent quality on CIFAR-10",
        "pretrained": "codes of photographs from a pretrained network",
    }
    lines = [f"{words} (`python -m benchmarks.{name}`)" for name, words in missing.items() if not read(name)]
    lines += [
        "samples of photographs: CIFAR-10, CelebA and the other sets of the paper, at its training times",
        "fine-tuning of public unconditional models",
        "the quality of interpolations, of which there are only pictures",
        "GPUs (`python -m benchmarks.gpu_suite`)",
    ]
    return "\n".join(f"- {line}" for line in lines)


def evidence(written: str) -> str:
    """Return the evidence page."""
    header = ["claim", "figure", "rivals, same benchmark", "where it fails", "command and result file"]
    tables = []
    for title, lines in (("Claims of the paper", paper_lines()), ("Claims of the README", readme_lines())):
        cells = [[*line[:4], f"`{command(line.rows, line.file)}`: `{line.file}.jsonl`"] for line in lines]
        tables.append(f"## {title}\n\n{table(header, cells)}")
    pictures = {
        "quality": "Accuracy of bits on test images by training time, with rivals",
        "generation": "Fréchet distance of samples by denoising steps; the dotted line is that of real images",
        "embeddings": "Recall of search by bytes per vector",
    }
    needed = {"quality": RESULTS, "generation": "generation", "embeddings": "embeddings"}
    drawn = [
        f"![{words}](images/{name}.png)\n\n{words}." for name, words in pictures.items() if read(needed[name])
    ]
    return "\n\n".join(
        [
            "# Evidence\n\nWhat the paper and the README claim, with figures, the rivals of the same benchmark, and "
            "where each claim fails. Figures are means ± standard deviations over seeds; differences of a point "
            'are within the variation between seeds. "Former version": measured before the present initialisation, '
            "decoder of the code and loss weights ([decisions](decisions.md)). Data sets are small, training takes "
            f"minutes on one CPU core. {written} All tables: [results](results/index.md).",
            *drawn,
            *tables,
            "## Questions of reviewers",
            *questions(),
            f"## Not measured\n\n{not_measured()}\n",
        ]
    )
