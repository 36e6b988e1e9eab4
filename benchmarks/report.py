"""Write `docs/results.md` and the tables of the README from the result files.

python -m benchmarks.report
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.figures import draw_time_to_quality
from benchmarks.report_choices import (
    choices_section,
    design_section,
    draw_design_choices,
    starts_section,
)
from benchmarks.report_codes import CODES
from benchmarks.report_collections import COLLECTIONS
from benchmarks.report_protocols import PROTOCOLS
from benchmarks.report_samples import SAMPLES
from benchmarks.report_time_to_quality import RESULTS, SAME, cell, current, label, time_to_quality_sections
from benchmarks.report_uses import USES
from benchmarks.results import read
from benchmarks.tables import groups_of, machine, spread, table

ROOT = Path(__file__).parent.parent
PAGE, README = ROOT / "docs" / "results.md", ROOT / "README.md"
IMAGES = ROOT / "docs" / "images"
FIGURE, DESIGN_FIGURE = IMAGES / "time_to_quality.png", IMAGES / "design_choices.png"
#: Training time of the README's table.
README_SECONDS = 420.0


def quality_sections() -> str:
    """Quality against training time, the paper's design choices, and those behind the defaults."""
    rows = current(read(RESULTS))
    against, design = (
        str(path.relative_to(PAGE.parent)) if draw(rows, path) else None
        for draw, path in ((draw_time_to_quality, FIGURE), (draw_design_choices, DESIGN_FIGURE))
    )
    parts = time_to_quality_sections(rows, against), design_section(rows, design), choices_section(rows)
    return "\n".join(part for part in parts if part)


def speed_section() -> str:
    """Training speed against the authors' network type, and where the time goes."""
    rows = read("training_speed")
    last = {row["contender"]: row for row in rows}
    share = last.pop("ours, default: share of the machine")
    lines = [
        [name, r["images_per_second"], f"{r['spread'][0]} to {r['spread'][1]}", r["ratio_to_authors"]]
        for name, r in last.items()
    ]
    profile = [[kind, f"{100 * part:.1f} %"] for kind, part in share["profile"].items()]
    return (
        "## Training speed, 28 x 28\n\n"
        "Medians over rounds in which the networks take turns, in one process. For ours, all of training is "
        "timed: data loading, encoder, denoiser, optimiser, weight averaging and validation. The authors' "
        "network type is `diffusers.UNet2DConditionModel`; only its forward pass, backward pass and "
        "optimiser are timed. Ratios are relative to its fastest variant.\n\n"
        f"{table(['network', 'images/s', 'range', 'ratio'], lines)}\n\n"
        f"A training step of our default takes {share['gflop_an_image']:.3f} GFLOP per image and reaches "
        f"{share['gflops_achieved']} GFLOP/s: {100 * share['share_of_float32_matmul']:.0f} % of the rate of "
        f"float32 matrix products on this machine ({share['gflops_float32_matmul']} GFLOP/s) and "
        f"{100 * share['share_of_bf16_matmul']:.0f} % of the rate of bf16 matrix products "
        f"({share['gflops_bf16_matmul']} GFLOP/s). Training runs in float32 unless the processor has "
        "bf16 units. Time of a step by operation:\n\n"
        f"{table(['operation', 'share of CPU time'], profile)}\n\n{machine(rows)} "
        "Made by `python -m benchmarks.training_speed --data DATA`.\n"
    )


def use_section() -> str:
    """Return the section on speed and memory in use."""
    rows = read("use_cost")
    last = {(r["what"], r.get("images")): r for r in rows}
    lines = []
    for (what, images), r in last.items():
        if "images_per_second" in r:
            value = f"{r['images_per_second']} images/s ({r['spread'][0]} to {r['spread'][1]})"
        elif images:
            what = f"{what}, {images} images of {r['input_mb']} MB"
            value = f"peak grows by {r['grown_mb']} MB, output has {r['output_mb']} MB"
        else:
            value = f"{r['seconds']} s"
        lines.append([what, value])
    return (
        f"## Speed and memory of `transform`\n\n{table(['measurement', 'result'], lines)}\n\n{machine(rows)} "
        "Made by `python -m benchmarks.use_cost`.\n"
    )


def memory_section() -> str:
    """Return the section on memory use with images that do not fit into memory."""
    rows = read("memory")
    lines = [
        [r["what"], r["encoded"] or r["images"], *(f"{r[k]} MiB" for k in ("before_mib", "peak_mib"))]
        for r in {(r["what"], r["images"]): r for r in rows}.values()
    ]
    return (
        "## Memory use with images that do not fit into memory\n\n"
        f"{rows[-1]['images']} colour images of {rows[-1]['side']} x {rows[-1]['side']} pixels, "
        f"{rows[-1]['file_mib']} MiB, read from a memory map. Resident memory without the pages of the "
        "memory map (`RssAnon`), before the call and at its peak.\n\n"
        f"{table(['call', 'images', 'before', 'peak'], lines)}\n\n{machine(rows)} "
        "Made by `python -m benchmarks.memory`.\n"
    )


def checkpoint_section() -> str:
    """Return the section on the cost of checkpoints."""
    rows = read("checkpoint_cost")
    last = {(r["size"], r["threads"], r["clock"]): r for r in rows}
    lines = [
        [
            r["size"],
            f"{r['parameters'] / 1e6:.1f} million",
            f"{r['bytes'] / 2**20:.0f} MiB",
            f"{r['seconds']:.3f} ({r['spread'][0]:.3f} to {r['spread'][1]:.3f})",
            f"{r['core_seconds']:.3f}",
            f"{100 * r['share']:.2f} %",
            f"{100 * r['core_share']:.2f} %",
            f"{r['fit_inside_seconds']:.3f}" if "fit_inside_seconds" in r else "",
            f"{r['fit_longer_seconds']:.3f}" if "fit_longer_seconds" in r else "",
        ]
        for r in last.values()
    ]
    every = next(r["fit_every"] for r in reversed(rows) if "fit_every" in r)
    header = ["networks", "weights", "file", "seconds", "CPU seconds"]
    header += ["share of time, one per minute", "share of CPU time"]
    header += ["seconds within fit", "seconds added to fit"]
    return (
        "## Cost of checkpoints\n\n"
        "Default networks for MNIST and for colour images of 64 x 64 pixels, and the paper's network for "
        "CIFAR-10. Medians over checkpoints that are written one after another. Within fit: medians in a fit "
        f"with a checkpoint every {every:g} seconds. Added to fit: how much longer this fit takes than one "
        "without checkpoints, per checkpoint"
        f"{' (CPU seconds)' if any(r['clock'] == 'cpu' for r in last.values()) else ''}.\n\n"
        f"{table(header, lines)}\n\n{machine(rows)} "
        "Made by `taskset -c 0 python -m benchmarks.checkpoint_cost --threads 1 --cpu-time`.\n"
    )


def processes_section() -> str:
    """Return the section on several processes compared with one process that uses all threads."""
    rows = {(r["batch_size"], r["processes"]): r for r in read("processes")}
    lines = []
    for (batch_size, n), r in rows.items():
        alone = rows.get((batch_size, 1))
        if n > 1 and alone is not None:
            speeds = [alone["images_per_second"], r["images_per_second"]]
            runs = f"{r['rounds']} of {r['seconds']:g} s"
            cells = [f"{speeds[0]:.0f}", f"{speeds[1]:.0f}", f"{speeds[1] / speeds[0]:.2f}x"]
            lines.append([batch_size, n, runs, *cells])
    last = next(reversed(rows.values()))
    header = ["batch size", "processes", "runs", "images/s, one process", "images/s, all", "ratio"]
    return (
        "## Several processes\n\n"
        f"Training on MNIST in {last['precision']}: one process with all threads, compared with one process "
        "per thread, which share each batch. Medians over runs that alternate.\n\n"
        f"{table(header, lines)}\n\n{machine(list(rows.values()))} "
        "Made by `python -m benchmarks.processes`.\n"
    )


def demo_section() -> str:
    """Return the section on the results of the demo, over seeds."""
    rows = read("quickstart")
    lines = []
    for name in rows[0]["codes"]:
        group = [r["codes"][name] for r in rows]
        scores = [spread([g[k] for g in group]) for k in ("logistic regression", "5-NN")]
        lines.append([name, group[0]["per image"], *scores])
    errors = [
        [name, rows[0]["errors"][name]["per image"], spread([r["errors"][name]["error"] for r in rows], 4)]
        for name in rows[0]["errors"]
    ]
    return (
        "## The demo: digits, 8 x 8\n\n"
        f"{rows[0]['seconds_asked']:.0f} seconds of training without labels on all 1,797 images, "
        f"{len(rows)} seeds. Accuracy in 5-fold cross-validation; 5-NN uses the Hamming distance for bits "
        "and the Euclidean distance for floats.\n\n"
        f"{table(['code', 'per image', 'logistic regression', '5-NN'], lines)}\n\n"
        "Mean squared error of the reconstructions of every eighth image, with pixels in [-1, 1]:\n\n"
        f"{table(['reconstructed from', 'per image', 'error'], errors)}\n\n"
        "Made by `python examples/quickstart.py --seed SEED --results benchmarks/results/quickstart.jsonl`.\n"
    )


def readme_figures() -> dict[str, str]:
    """Return the tables of the README by the names of their markers."""
    figures = {}
    demo = read("quickstart")
    if demo:
        rows = [
            [name, *(spread([r["codes"][name][k] for r in demo]) for k in ("logistic regression", "5-NN"))]
            for name in demo[0]["codes"]
        ]
        header = ["code of digits, a minute of training", "logistic regression", "5-NN"]
        figures["demo"] = table(header, rows)
    asked = {"set": "mnist", "part": "test", "latent_dim": 64, "images_asked": None}
    tested = [r for r in current(read(RESULTS)) if all(r[key] == value for key, value in asked.items())]
    # Other settings of ours are on the results page.
    mnist = [
        r
        for r in tested
        if r["seconds_asked"] in (README_SECONDS, None)
        and (r["name"] == "default" or not label([r]).startswith("DMZEncoder"))
    ]
    speed = {r["contender"]: r for r in read("training_speed")}
    if mnist and speed:
        columns = (("probe_probabilities", "probe_floats", "probe_logits"), ("probe_bits",), ("map_at_100",))
        lines = [
            [label(group), threads, *(cell(group, keys) for keys in columns)]
            for (_, _, _, threads), group in groups_of(
                sorted(mnist, key=lambda row: row["name"] != "default"), *SAME
            ).items()
        ]
        minutes = f"{README_SECONDS / 60:g}"
        header = [f"MNIST, 64 bits; networks trained for {minutes} minutes", "cores"]
        header += ["probe, floats", "probe, bits", "mAP@100"]
        ours = speed["ours, default"]
        figures["mnist"] = (
            f"{table(header, lines)}\n\nTraining runs at {ours['images_per_second']:.0f} images/s, "
            f"{ours['ratio_to_authors']:.1f} times as fast as the authors' network type on the same two "
            f"cores (measured on {ours['environment']['date']}, before codes of two views had to agree). "
            "[docs/results.md](docs/results.md) has all tables, with standard deviations and commands."
        )
    return figures


def main() -> None:
    """Write the page and the tables of the README."""
    sections = {RESULTS: quality_sections, "starts": starts_section, "training_speed": speed_section}
    sections |= {"use_cost": use_section, "memory": memory_section, "checkpoint_cost": checkpoint_section}
    sections |= {"processes": processes_section}
    sections |= {"quickstart": demo_section}
    sections |= {**SAMPLES, **CODES, **USES, **COLLECTIONS, **PROTOCOLS}
    parts = ["# Results\n", "Written by `python -m benchmarks.report` from `benchmarks/results/`.\n"]
    parts += [make() for name, make in sections.items() if read(name)]
    PAGE.write_text("\n".join(parts))
    text = README.read_text()
    for mark, figures in readme_figures().items():
        begin, end = f"<!-- {mark}: begin -->\n", f"<!-- {mark}: end -->"
        before, rest = text.split(begin)
        text = before + begin + figures + "\n" + end + rest.split(end, 1)[1]
    README.write_text(text)


if __name__ == "__main__":
    main()
