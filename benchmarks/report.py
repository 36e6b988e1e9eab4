"""Write `docs/results/`, `docs/evidence.md`, their figures and the README's table from the result files.

python -m benchmarks.report
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import (
    report_choices,
    report_codes,
    report_collections,
    report_costs,
    report_protocols,
    report_samples,
    report_training,
    report_uses,
)
from benchmarks.figures import (
    draw_design_choices,
    draw_embeddings,
    draw_generation,
    draw_quality,
    draw_training_time,
)
from benchmarks.report_evidence import NAMES, evidence
from benchmarks.report_questions import questions
from benchmarks.report_time_to_quality import (
    RESULTS,
    cell,
    demo_section,
    label,
    longest_time,
    measures,
    set_section,
    test_rows,
)
from benchmarks.results import read
from benchmarks.tables import FORMER, groups_of, table

ROOT = Path(__file__).parent.parent
DOCS, README = ROOT / "docs", ROOT / "README.md"


class Page(NamedTuple):
    """A page: its title, what it shows, and its sections with the result files that they need."""

    title: str
    about: str
    sections: list[tuple[str, Callable[[], str]]]


#: Pages by the names of their files.
PAGES = {
    "quality": Page(
        "Quality of codes",
        "Classification and search with codes against training time: CIFAR-10, avatars, MNIST.",
        [
            *((RESULTS, partial(set_section, name)) for name in ("cifar10", "posed", "avatars", "mnist")),
            ("generation", report_training.training_section),
            ("pretrained", report_protocols.pretrained_section),
            ("probe_table", report_uses.probe_section),
            ("quickstart", demo_section),
        ],
    ),
    "choices": Page(
        "Design choices",
        "The paper's design choices, the initialisation and ordered codes.",
        [
            (RESULTS, report_choices.design_section),
            ("starts", report_choices.starts_section),
            ("ordered_code", report_codes.ordered_section),
        ],
    ),
    "sampling": Page(
        "Samples, priors and likelihood",
        "Fréchet distances against denoising steps, priors over codes, bits per dimension, inversion.",
        [
            ("generation", report_samples.generation_section),
            ("priors", report_codes.priors_section),
            ("likelihood", report_codes.likelihood_section),
            ("inversion", report_samples.inversion_section),
            ("input_perturbation", report_samples.perturbation_section),
        ],
    ),
    "search": Page(
        "Search",
        "Quality and speed of Hamming search, and near-duplicates.",
        [
            ("embeddings", report_uses.embeddings_section),
            ("retrieval_quality", report_uses.retrieval_quality_section),
            ("retrieval_speed", report_uses.retrieval_speed_section),
            ("near_duplicates", report_protocols.near_duplicates_section),
            ("protocols", report_protocols.protocols_section),
        ],
    ),
    "edits": Page(
        "Edits and transfer",
        "Edits of attributes, judged by a classifier of pixels, and transfer between two domains.",
        [
            ("edit_success", report_uses.edit_section),
            ("domain_transfer", report_codes.transfer_section),
        ],
    ),
    "collections": Page(
        "Collections of pictures",
        "Duplicates and search in a folder of pictures of mixed kinds, compared with perceptual hashes.",
        [("collections", report_collections.collections_section)],
    ),
    "costs": Page(
        "Speed and memory",
        "Speed of training, encoding and sampling; memory; checkpoints; several processes.",
        [
            ("training_speed", report_costs.speed_section),
            ("use_cost", report_costs.use_section),
            ("latency", report_costs.latency_section),
            ("sampling_overhead", report_samples.overhead_section),
            ("memory", report_costs.memory_section),
            ("checkpoint_cost", report_costs.checkpoint_section),
            ("processes", report_costs.processes_section),
        ],
    ),
}
WRITTEN = "Written by `python -m benchmarks.report` from `benchmarks/results/`."
#: Figures by their files: the result file that they need, what draws them, and what they show.
FIGURES = {
    "quality.png": (RESULTS, draw_quality, "Quality of bits on test images against training time"),
    "generation.png": (
        "generation",
        draw_generation,
        "Distance of samples to test images by denoising steps",
    ),
    "training_time.png": (
        "generation",
        draw_training_time,
        "Codes, reconstructions and samples against training time",
    ),
    "embeddings.png": ("embeddings", draw_embeddings, "Recall of search against bytes per vector"),
    "design_choices.png": (RESULTS, draw_design_choices, ""),
}
#: What the README's table lists, in this order.
README_ROWS = ("default", "initialisation", "BernoulliRBM", "ITQ", "PCA", "convolutional VAE", "pixels")


def pages() -> dict[Path, str]:
    """Return the texts of the pages by their paths in `docs`."""
    written = {}
    for name, (title, about, sections) in PAGES.items():
        parts = [f"# {title}\n\n{about} {WRITTEN}\n"]
        if name == "quality":
            parts.append("![Accuracy of bits by training time](../images/quality.png)\n")
        parts += [make() for needed, make in sections if read(needed)]
        written[Path("results", f"{name}.md")] = "\n".join(parts)
    listed = "\n".join(f"- [{page.title}]({name}.md): {page.about}" for name, page in PAGES.items())
    tree = "\n".join(["```{toctree}", ":hidden:", "", *PAGES, "```"])
    index = (
        "# Results\n\nAll tables, by subject; [evidence](../evidence.md) summarises them claim by claim. "
        f"{WRITTEN} Figures are means ± standard deviations over seeds; those without ± are of one seed.\n\n"
        f"{listed}\n\n{tree}\n"
    )
    shown = {name: words for name, (needed, _, words) in FIGURES.items() if words and read(needed)}
    page = evidence(WRITTEN, shown, questions())
    return {**written, Path("results/index.md"): index, Path("evidence.md"): page}


def readme_table() -> str:
    """Return the README's table: quality of bits on test images after the longest training of the default."""
    lines: dict[str, list[str]] = {}
    header = ["representation"]
    for name in ("cifar10", "posed", "mnist"):
        rows = test_rows(name)
        longest = longest_time(rows)
        compared = groups_of([r for r in rows if r["seconds_asked"] in (longest, None)], "name")
        floats, _, bits, *_ = measures(name).values()
        header.append(f"{NAMES[name]}, {rows[0]['latent_dim']} bits, {longest:g} s")
        for row in README_ROWS:
            group = compared[(row,)]
            words, former, _ = label(group).partition(FORMER)
            words += {"pixels": ", floats", "PCA": ", signs", "convolutional VAE": ", signs"}.get(row, "")
            lines.setdefault(words, []).append((cell(group, bits) or cell(group, floats)) + former)
    return table(header, [[words, *cells] for words, cells in lines.items()])


def main() -> None:
    """Write the pages, the figures and the README's table."""
    for name, (needed, draw, _) in FIGURES.items():
        if read(needed):
            draw(DOCS / "images" / name)
    for path, text in pages().items():
        (DOCS / path).parent.mkdir(exist_ok=True)
        (DOCS / path).write_text(text, encoding="utf-8")
    begin, end = "<!-- results: begin -->\n", "<!-- results: end -->"
    before, rest = README.read_text(encoding="utf-8").split(begin)
    README.write_text(f"{before}{begin}{readme_table()}\n{end}{rest.split(end)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
