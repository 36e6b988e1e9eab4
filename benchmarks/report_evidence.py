"""The evidence page: each claim of the paper and of the README in one line.

Figures and comparisons come from the result files. A rival wins if its mean is at least as good.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.collections_data import EDITS
from benchmarks.report_choices import DESIGN_OPTIONS, design_groups
from benchmarks.report_collections import last_rows
from benchmarks.report_samples import RELATIVE, best_sampler, distances, models_of
from benchmarks.report_time_to_quality import ATTRIBUTE_SETS, RESULTS, label, longest_time, test_rows
from benchmarks.results import read
from benchmarks.tables import WITHOUT_ENCODER, Rows, command, groups_of, having, is_former, newest, spread

NAMES = {"cifar10": "CIFAR-10", "posed": "posed avatars", "avatars": "aligned avatars", "mnist": "MNIST"}
OURS, LABELS = "DMZEncoder, fitted prior", "k-means labels as the code"


class Measure(NamedTuple):
    """A measure: its name, and keys of which each row has one."""

    name: str
    keys: tuple[str, ...]
    digits: int = 3
    high: bool = True

    def values(self, rows: Rows) -> list[float]:
        return [
            next(row[key] for key in self.keys if key in row) for row in rows if set(self.keys) & set(row)
        ]

    def mean(self, rows: Rows) -> float:
        """Return the mean, with the sign that makes high values good."""
        return statistics.mean(self.values(rows)) * (1 if self.high else -1)

    def of(self, groups: Mapping[str, Rows]) -> list[str]:
        """Return names with means and spreads, the best first."""
        found = sorted((n for n in groups if self.values(groups[n])), key=lambda n: -self.mean(groups[n]))
        return [f"{name} {self.cell(groups[name])}" for name in found]

    def cell(self, rows: Rows) -> str:
        """Return mean and spread."""
        return spread(self.values(rows), self.digits)

    def lost(self, ours: Rows, rivals: Mapping[str, Rows], when: str = "") -> str:
        """Return the rivals that are better, and those within the spread over seeds, or nothing."""
        if not self.values(ours):
            return ""
        gaps = {name: self.mean(r) - self.mean(ours) for name, r in rivals.items() if self.values(r)}
        found = {
            "better": [name for name, gap in gaps.items() if gap >= 0.0],
            "within the spread": [n for n in gaps if 0.0 > gaps[n] > -self._noise(ours, rivals[n])],
        }
        named = {how: " and ".join(self.of({n: rivals[n] for n in names})) for how, names in found.items()}
        parts = [f"{names} {how}" for how, names in named.items() if names]
        return f"{when}{self.name} {self.cell(ours)}: {', '.join(parts)}" if parts else ""

    def _noise(self, *groups: Rows) -> float:
        """Return the standard deviation of a difference over seeds, as far as groups have several."""
        several = [values for values in map(self.values, groups) if len(values) > 1]
        return math.sqrt(sum(statistics.variance(values) for values in several))


BITS = Measure("accuracy of bits", ("probe_bits",))
FLOATS = Measure("accuracy of logits or floats", ("probe_logits", "probe_floats"))
SEARCH = Measure("precision of search, mAP@100", ("map_at_100",)), Measure("10-NN accuracy", ("knn_10",))
#: Measures of features for sets of classes, and for those of attributes.
FEATURES = (
    (BITS, FLOATS),
    (
        Measure("AUROC of bits", ("auroc_bits",)),
        Measure("AUROC of logits or floats", ("auroc_logits", "auroc_floats")),
    ),
)
ERROR = Measure("reconstruction error", ("reconstruction_mse",), high=False)
BOUND = Measure("bits per dimension", ("total",), high=False)
FRECHET = Measure("relative Fréchet distance", (RELATIVE,), 1, high=False)


def seeds(rows: Rows, file: str = "") -> str:
    """Return the number of seeds or runs, and whether the version of the encoder is an earlier one."""
    kind = "seed" if "seed" in rows[0] else "run"
    n = len({row["seed"] for row in rows}) if kind == "seed" else len(rows)
    number = f"one {kind}" if n == 1 else f"{n} {kind}s"
    return number + (", earlier version" if all(map(is_former, rows)) and file not in WITHOUT_ENCODER else "")


def compared(
    claim: str,
    file: str,
    ours: Rows,
    rivals: Mapping[str, Rows],
    *by: Measure,
    about: str = "",
    limit: str = "",
    options: str = "",
) -> str:
    """Return a line: the first measure, its best rivals, and where others win in any measure."""
    figure = f"{by[0].name}{about}: {by[0].cell(ours)} ({seeds(ours, file)})"
    top = "; ".join(by[0].of(rivals)[:4])
    fails = [part for part in (*(measure.lost(ours, rivals) for measure in by), limit) if part]
    return line(claim, figure, top, "; ".join(fails), command(ours, file, options), file)


def line(claim: str, figure: str, rivals: str, fails: str, remake: str, file: str) -> str:
    """Return an item of the list of claims."""
    return (
        f"- **{claim}.** {figure[0].upper()}{figure[1:]}. *Baselines:* {rivals or 'none measured'}. "
        f"*Limitations:* {fails or 'no baseline is better'}. `{remake}` (`{file}.jsonl`)"
    )


def quality_line(name: str, claim: str, *by: Measure) -> str:
    """Return the line on codes of test images after the longest training of the default."""
    rows = test_rows(name)
    longest = longest_time(rows)
    groups = groups_of([row for row in rows if row["seconds_asked"] in (longest, None)], "name").values()
    rivals = {label(group): group for group in groups}
    ours = rivals.pop(label(having(rows, name="default", seconds_asked=longest)))
    claim, about = f"{claim}: {NAMES[name]}, {ours[0]['latent_dim']} bits", f" after {longest:g} s"
    return compared(claim, RESULTS, ours, rivals, *by, about=about, options=f" --seconds {longest:g}")


def best_steps(name: str) -> dict[str, dict[int, Rows]]:
    """Return the rows of each model by number of steps, with its best sampler, of the set's largest run."""
    rows = having(distances(), set=name)
    rows = max(groups_of(rows, "seconds_asked", "n_samples").values(), key=len)
    return {
        words: {n: best_sampler(same) for (n,), same in sorted(groups_of(of_model, "steps").items())}
        for words, of_model in models_of(rows)
    }


def steps_line(name: str) -> str:
    """Return the line on the fewest steps with which ours equals the unconditional model at its best."""
    best = best_steps(name)
    top = {words: max(at, key=lambda n, at=at: FRECHET.mean(at[n])) for words, at in best.items()}
    target = FRECHET.mean(best["unconditional"][top["unconditional"]])
    enough = next((n for n, rows in best[OURS].items() if FRECHET.mean(rows) >= target), top[OURS])
    ours = best[OURS][enough]
    rivals = {f"{words} ({top[words]} steps)": best[words][top[words]] for words in ("unconditional", LABELS)}
    claim = f"Fewer denoising steps than without a code: {NAMES[name]}"
    about = f" in {enough} step{'s' if enough > 1 else ''} after {ours[0]['seconds_asked']:g} s"
    return compared(claim, "generation", ours, rivals, FRECHET, about=about)


def design_line(claim: str, choice: str, ours: str, *by: Measure) -> str:
    """Return the line on one of the paper's design choices."""
    groups = {word: rows for of, word, rows in design_groups() if of == choice}
    return compared(claim, RESULTS, groups.pop(ours), groups, *by, options=DESIGN_OPTIONS)


def paper_lines() -> list[str]:
    """Return the lines on claims of the paper."""
    token = "bias (one-token cross-attention)"
    lines = [
        steps_line("mnist"),
        steps_line("avatars"),
        *(quality_line(name, "Codes are good features", *FEATURES[name in ATTRIBUTE_SETS]) for name in NAMES),
    ]
    lines += [
        design_line("Bits are as good as real numbers", "kind of code", "relaxed bits", FLOATS, BITS, ERROR),
        design_line("One-token cross-attention is the best conditioning", "conditioning", token, BITS, ERROR),
        design_line("Input perturbation helps", "input perturbation", "0.1", BITS, FLOATS, ERROR),
    ]
    rows = distances()
    ours = having(newest(rows), kind="bits", prior="fitted", steps=10)
    most = max((row["n_samples"] for row in ours), default=0)
    for of_set in groups_of(having(ours, n_samples=most), "set").values():
        row = max(of_set, key=lambda row: row["seconds_asked"])
        claim = f"Learned codes bring samples closer to real images: {NAMES[row['set']]}"
        about = f" in {row['steps']} steps after {row['seconds_asked']:g} s"
        same = having(rows, set=row["set"], seconds_asked=row["seconds_asked"], n_samples=most)
        baselines = {
            "autoregressive prior": newest(having(same, kind="bits", prior="autoregressive", steps=10)),
            "uniform prior": newest(having(same, kind="bits", prior="uniform", steps=10)),
            "k-means labels as the code": newest(having(same, kind="clusters", steps=10)),
        }
        # The longest runs that are measured.
        none = newest(having(rows, set=row["set"], kind="none", n_samples=most))
        longest = max((r["seconds_asked"] for r in none), default=row["seconds_asked"])
        after = "" if longest == row["seconds_asked"] else f" after {longest:g} s"
        without = groups_of(having(none, seconds_asked=longest), "steps")
        baselines |= {f"unconditional ({n} steps{after})": found for (n,), found in without.items()}
        baselines = {words: rows for words, rows in baselines.items() if rows}
        ours = having(of_set, seconds_asked=row["seconds_asked"])
        lines.append(compared(claim, "generation", ours, baselines, FRECHET, about=about))
    none, ours = (having(read("likelihood"), set="mnist", bits=bits) for bits in (0, 64))
    claim = "A code makes modelling more efficient: MNIST, 64 bits"
    lines.append(compared(claim, "likelihood", ours, {"no code": none}, BOUND))
    for row in having(read("likelihood"), set="cifar10"):
        rates = {"Gaussian of the pixels": row["gaussian"], "PNG files": row["png"]}
        plain, corrected = (f"{row[key]:.2f}" for key in ("auroc_mnist", "auroc_mnist_complexity"))
        limit = (
            f"padded digits of MNIST are rated more probable than the photographs (AUROC {plain}; with the "
            f"size of the PNG file added, {corrected})"
        )
        claim = f"The likelihood is a compression rate: CIFAR-10, {row['seconds_asked']:g} s"
        named = {words: [{"total": rate}] for words, rate in rates.items()}
        lines.append(compared(claim, "likelihood", [row], named, BOUND, limit=limit))
    found, right = (
        Measure("partner among the 10 nearest", ("within_10",)),
        Measure("accuracy of predicted bits", ("accuracy",)),
    )
    for pairs, words in (("emoji", "emoji of two styles"), ("edges", "edges to faces")):
        groups = groups_of(having(read("domain_transfer"), pairs=pairs), "codes", "choice").items()
        named = {f"{codes} ({choice})": rows for (codes, choice), rows in groups}
        ours = named.pop("DMZEncoder (default)")
        claim, about = f"Codes transfer between domains: {words}", f" of {ours[0]['n_test']:,}"
        lines.append(compared(claim, "domain_transfer", ours, named, found, right, about=about))
    rows = having(read("edit_success"), split="test", choice="default")
    done, aside = (spread([row[key] for row in rows]) for key in ("changed", "others_changed"))
    figure = f"share of edits that succeed: {done} over {len(rows)} attributes ({seeds(rows)})"
    fails = f"{aside} of the other attributes change too; cartoon faces only"
    claim = "Linear directions edit attributes"
    return [*lines, line(claim, figure, "", fails, command(rows, "edit_success"), "edit_success")]


def readme_lines() -> list[str]:
    """Return the lines on claims of the README and the guide."""
    lines = [quality_line(name, "Bits serve for search", *SEARCH) for name in ("cifar10", "mnist")]
    for name in ("cifar10", "mnist"):
        rows = having(read(RESULTS), set=name, part="test")
        ours = having(rows, name="initialisation")
        trained = having(rows, name="default", seconds_asked=longest_time(rows))
        claim = f"The initialisation alone gives most of the accuracy: {NAMES[name]}"
        rival = {f"trained ({longest_time(rows):g} s)": trained}
        about = f" in {statistics.mean(row['seconds'] for row in ours):.0f} s"
        lines.append(compared(claim, RESULTS, ours, rival, BITS, FLOATS, about=about))
    demo = [
        row | codes | {"name": name} for row in read("quickstart") for name, codes in row["codes"].items()
    ]
    groups = {name: rows for (name,), rows in groups_of(demo, "name").items()}
    auroc = Measure("AUROC of attributes", ("AUROC",))
    ours, logits = groups.pop("DMZ bits"), groups.pop("DMZ logits")
    claim = f"{ours[0]['seconds_asked']:g} seconds of training suffice for the faces of the demo"
    about = f" (logits {auroc.cell(logits)})"
    lines.append(compared(claim, "quickstart", ours, groups, auroc, about=about))
    rows = read("ordered_code")
    at = {(model, bits): same for (model, bits), same in groups_of(rows, "model", "bits").items()}
    rivals = {"8 bits trained alone": at["separate", 8], "first 8 of another code": at["plain", 8]}
    whole = BITS.lost(at["ordered", 64], {"another code": at["plain", 64]}, "all 64 bits, ")
    claim = "Prefixes of an ordered code are codes themselves: MNIST, 8 of 64 bits"
    lines.append(compared(claim, "ordered_code", at["ordered", 8], rivals, BITS, limit=whole))
    exact, random = (having(read("inversion"), steps=20, noise=noise) for noise in ("inverted", "random"))
    error = Measure("mean squared error", ("mse",), 5, high=False)
    limit = "the noise has as many values as the image; MNIST only"
    claim, rivals = "Bits with inverted noise reconstruct images", {"bits, random noise": random}
    lines.append(compared(claim, "inversion", exact, rivals, error, limit=limit))
    return [*lines, *embedding_lines(), *duplicate_lines(), *cost_lines()]


def embedding_lines() -> list[str]:
    """Return the lines on bits of embeddings."""
    neighbours = Measure("recall of the 10 nearest among 40 candidates", ("recall@10 of 40",))
    labels = Measure("mAP@100 of labels", ("mAP@100",))
    lines = []
    for (name,), rows in groups_of(having(read("embeddings"), part="test", bits=128), "set").items():
        groups = {
            method: same for (method,), same in groups_of(having(rows, search="codes"), "method").items()
        }
        ours = groups.pop("initialisation")
        fit = [statistics.mean(row["fit_seconds"] for row in same) for same in (ours, groups["ITQ"])]
        claim = (
            f"Bits of embeddings keep more neighbours than ITQ's: {name}, 128 bits, no training of networks"
        )
        limit = f"the fit takes {fit[0]:.0f} s, that of ITQ {fit[1]:.0f} s"
        lines.append(compared(claim, "embeddings", ours, groups, neighbours, labels, limit=limit))
    return lines


def duplicate_lines() -> list[str]:
    """Return the lines on duplicates in folders and among images."""
    rows = having(last_rows(read("collections")), part="duplicates", mirrored=True)
    (own,) = having(rows, name="ImageCollection")
    rivals = {row["name"]: [row] for row in having(rows, threshold="hindsight")}
    weak = [
        f"{kind} {own['kinds'][kind]['recall']:.2f} ({best['name']}: {best['kinds'][kind]['recall']:.2f})"
        for kind in EDITS
        for best in [max(rows, key=lambda row: row["kinds"][kind]["recall"])]
        if best["kinds"][kind]["recall"] > own["kinds"][kind]["recall"]
    ]
    limit = f"recall by kind of edit, at any precision: {', '.join(weak)}" if weak else ""
    claim = f"Duplicates among {own['pictures']:,} files are found; baselines use their best thresholds"
    lines = [compared(claim, "collections", [own], rivals, Measure("F1", ("f1",)), limit=limit)]
    precision = Measure("average precision", ("average_precision",))
    for (name,), of_set in groups_of(read("near_duplicates"), "set").items():
        groups = groups_of(of_set, "name", "form").items()
        named = {f"{words} ({form})": rows for (words, form), rows in groups}
        ours, default = (named.pop(f"{n} (logits)") for n in ("initialised, mirrored views", "default"))
        others = {n: rows for n, rows in named.items() if not n.startswith(("initialised", "default"))}
        limit = precision.lost(default, others, "default views, ")
        claim = f"Codes find edited copies: {NAMES.get(name, name)}, mirrored views"
        lines.append(compared(claim, "near_duplicates", ours, others, precision, limit=limit))
    return lines


def cost_lines() -> list[str]:
    """Return the lines on speed and memory."""
    rows = [row for row in read("training_speed") if "images_per_second" in row]
    last = {row["contender"]: row for row in rows}.values()
    own, theirs, same = (
        max(
            (row for row in last if row["contender"].startswith(kind)),
            key=lambda row: row["images_per_second"],
        )
        for kind in ("ours, default", "authors", "ours, (")
    )
    rate = Measure("images/s", ("images_per_second",), 0)
    times = f" ({own['ratio_to_authors']:.1f} times the baseline)"
    limit = f"with the baseline's widths and no patches: {same['ratio_to_authors']:.1f} times"
    rivals = {"authors' network type": [theirs]}
    claim = "Training on two cores is faster than with the authors' network type"
    lines = [compared(claim, "training_speed", [own], rivals, rate, about=times, limit=limit)]
    search = {row["name"]: [row] for row in read("retrieval_speed")}
    seconds, exact = Measure("seconds", ("seconds",), 3, high=False), search.pop("FaissNeighbors, flat")
    rivals = {
        n: rows for n, rows in search.items() if n.startswith("scikit") or n == "FAISS, IndexBinaryFlat"
    }
    lists = {"FAISS's own": search["FAISS, IndexBinaryIVF, nprobe=64"]}
    limit = seconds.lost(search["FaissNeighbors, ivf, n_probes=64"], lists, "inverted lists, ")
    claim = f"Exact search is fast: {exact[0]['queries']:,} queries, {exact[0]['rows']:,} ITQ codes"
    lines.append(compared(claim, "retrieval_speed", exact, rivals, seconds, limit=limit))
    fit, transform = (having(read("memory"), what=what) for what in ("fit", "transform"))
    grown = Measure("memory growth of fit, MiB", ("grown_mib",), 0)
    about = f" (transform {transform[0]['grown_mib']})"
    claim = f"Images of {fit[0]['file_mib']:,} MiB need not fit into memory"
    lines.append(compared(claim, "memory", fit, {}, grown, about=about, limit="one size of images"))
    for (size,), rows in groups_of(read("processes"), "batch_size").items():
        ours, one = having(rows, processes=2), {"one process, two threads": having(rows, processes=1)}
        claim = f"Two processes on two cores instead of two threads: batches of {size}"
        lines.append(compared(claim, "processes", ours, one, rate))
    return lines


def not_measured() -> str:
    """Return the list of what no result file holds."""
    missing = {
        "embeddings": "search recall of bits of embeddings against bytes per vector",
        "protocols": "published protocols of hashing and latent quality on CIFAR-10",
        "pretrained": "codes of photographs from a pretrained network",
    }
    lines = [f"{words} (`python -m benchmarks.{name}`)" for name, words in missing.items() if not read(name)]
    lines += [
        "samples of photographs above 32 x 32 pixels, and any model trained for as long as in the paper",
        "fine-tuning of public unconditional models",
        "the quality of interpolations, which are only shown as pictures",
        "GPUs (`python -m benchmarks.gpu_suite`)",
    ]
    return "\n".join(f"- {line}" for line in lines)


def evidence(written: str, figures: Mapping[str, str], answers: list[str]) -> str:
    """Return the evidence page; `figures` are descriptions by the names of files in `docs/images`."""
    about = (
        "The main claims of the paper, the README and the guide, each with its best baselines, its "
        "limitations, the command that reproduces it, and its file in `benchmarks/results`. Figures are "
        "means ± standard deviations over seeds; differences of a percentage point between single seeds "
        'are not significant. "Within the spread": the difference is less than its standard deviation over'
        ' seeds. "Earlier version": measured before the current initialisation, decoder of the code and '
        "loss weights, or, for aligned images, before the current agreement of views "
        "([decisions](decisions.md)). Relative Fréchet distance: that of samples, divided by that of as "
        "many training images. Real-valued code, AdaGN: the same networks with a real-valued code that "
        "scales and shifts the group normalisations; its bits are the values thresholded at their medians."
        " Datasets are small, and training takes minutes on one CPU core."
    )
    claims = {"Claims of the paper": paper_lines(), "Claims of the README and the guide": readme_lines()}
    return "\n\n".join(
        [
            f"# Evidence\n\n{about} {written} All tables: [results](results/index.md).",
            *(f"![{words}](images/{name})\n\n{words}." for name, words in figures.items()),
            *("\n".join([f"## {title}\n", *lines]) for title, lines in claims.items()),
            "## Questions on the method",
            *answers,
            f"## Not measured\n\n{not_measured()}\n",
        ]
    )
