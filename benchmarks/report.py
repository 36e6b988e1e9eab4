"""Writes `docs/results.md` from the result files. Nothing in it is typed by hand.

python -m benchmarks.report
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.report_uses import USES
from benchmarks.results import read
from benchmarks.tables import machine, measured, spread, table

ROOT = Path(__file__).parent.parent
PAGE, README = ROOT / "docs" / "results.md", ROOT / "README.md"


def mnist_section() -> str:
    """Codes of MNIST after a time of training."""
    rows = read("mnist_codes")
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["name"], row["seconds_asked"], row["latent_dim"]), []).append(row)
    lines = []
    maps = ("map_at_100", "map_at_100_found")
    for (name, _, bits), group in groups.items():
        floats = "probe_probabilities" if "probe_probabilities" in group[0] else "probe_floats"
        lines.append(
            [
                name,
                bits,
                spread([r["seconds"] for r in group], 0),
                group[-1]["environment"]["threads"],
                len(group),
                *(measured(group, k) for k in (floats, "probe_bits", *maps, "knn_10")),
                spread([r["mean_entropy"] for r in group], 2) if "mean_entropy" in group[0] else "",
                max(r.get("dead_bits", 0) for r in group) if "dead_bits" in group[0] else "",
                spread([r["reconstruction_mse"] for r in group]) if "reconstruction_mse" in group[0] else "",
            ]
        )
    header = [
        "representation",
        "bits",
        "seconds",
        "cores",
        "seeds",
        "probe, probabilities or floats",
        "probe, bits",
    ]
    header += ["mAP@100", "mAP@100, of found", "10-NN", "entropy a bit", "dead bits", "reconstruction MSE"]
    return (
        "## MNIST, 28 x 28\n\n"
        "Logistic regression on 15,000 train codes, accuracy on the 10,000 test images; mAP@100 and 10-NN of "
        "Hamming search in the 60,000 train codes; mean ± standard deviation over seeds. Average precision "
        "sums the precisions at the ranks of neighbours of the query's class and divides by 100, or (\"of "
        'found", as some of the hashing literature has it) by the number of such neighbours. '
        "Reconstruction: 500 test images from bits and random noise, 20 steps, in [-1, 1].\n\n"
        f"{table(header, lines)}\n\n{machine(rows)} "
        "Made by `python -m benchmarks.mnist_codes --data DATA --rivals`.\n"
    )


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
        "Medians of rounds taken in turn in one process. Ours is the whole of training: data, encoder, "
        "denoiser, optimiser, average of weights, validation. The authors' network type is `diffusers."
        "UNet2DConditionModel`, forward, backward and optimiser only; ratios are to its faster "
        "batch size.\n\n"
        f"{table(['network', 'images/s', 'range', 'ratio'], lines)}\n\n"
        f"A training step takes {share['gflop_an_image']:.3f} GFLOP an image. Ours reaches "
        f"{share['gflops_achieved']} GFLOP/s: {100 * share['share_of_float32_matmul']:.0f} % of this "
        f"machine's float32 matrix product ({share['gflops_float32_matmul']} GFLOP/s) and "
        f"{100 * share['share_of_bf16_matmul']:.0f} % of its bf16 one "
        f"({share['gflops_bf16_matmul']} GFLOP/s). Training runs in float32 unless the processor has "
        "bf16 units. Where a step's time goes:\n\n"
        f"{table(['operation', 'share of CPU time'], profile)}\n\n{machine(rows)} "
        "Made by `python -m benchmarks.training_speed --data DATA`.\n"
    )


def use_section() -> str:
    """What use costs."""
    rows = read("use_cost")
    last = {(r["what"], r.get("images")): r for r in rows}
    lines = []
    for (what, images), r in last.items():
        if "images_per_second" in r:
            value = f"{r['images_per_second']} images/s ({r['spread'][0]} to {r['spread'][1]})"
        elif images:
            what = f"{what}, {images} images of {r['input_mb']} MB"
            value = f"{r['grown_mb']} MB more, of which {r['output_mb']} MB output"
        else:
            value = f"{r['seconds']} s"
        lines.append([what, value])
    return (
        f"## Cost of use\n\n{table(['what', 'cost'], lines)}\n\n{machine(rows)} "
        "Made by `python -m benchmarks.use_cost`.\n"
    )


def demo_section() -> str:
    """What the demo prints, over seeds."""
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
        f"{len(rows)} seeds. Accuracy of 5-fold cross-validation; 5-NN by Hamming distance for bits, "
        "Euclidean for floats.\n\n"
        f"{table(['code', 'an image', 'logistic regression', '5-NN'], lines)}\n\n"
        "Mean squared error of reconstructions, pixels from -1 to 1, every eighth image:\n\n"
        f"{table(['from', 'an image', 'error'], errors)}\n\n"
        "Made by `python examples/quickstart.py --seed SEED --results benchmarks/results/quickstart.jsonl`.\n"
    )


def ablations_section() -> str:
    """Choices behind the defaults."""
    rows = read("ablations")
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["choice"], []).append(row)
    keys = ("probabilities", "bits", "map_at_100", "entropy", "reconstruction_mse")
    lines = [
        [name, len(group), *(spread([r[k] for r in group]) for k in keys)] for name, group in groups.items()
    ]
    header = ["choice", "seeds", "probe, probabilities", "probe, bits", "mAP@100", "entropy a bit"]
    header += ["reconstruction MSE"]
    return (
        "## Choices behind the defaults\n\n"
        f"One change at a time; {rows[0]['images']} MNIST train images seen once, 64 bits; scores on "
        "held-out train images (probes fitted on 10,000, scored on 10,000, which also search the first "
        "10,000).\n\n"
        f"{table(header, lines)}\n\n{machine(rows)} Made by `python -m benchmarks.ablations --data DATA`.\n"
    )


def readme_figures() -> dict[str, str]:
    """Figures between the marks in the README."""
    figures = {}
    demo = read("quickstart")
    if demo:
        rows = [
            [name, *(spread([r["codes"][name][k] for r in demo]) for k in ("logistic regression", "5-NN"))]
            for name in demo[0]["codes"]
        ]
        header = ["code of digits, a minute of training", "logistic regression", "5-NN"]
        figures["demo"] = table(header, rows)
    mnist = [r for r in read("mnist_codes") if r["latent_dim"] == 64 and r["seconds_asked"] in (420.0, None)]
    speed = {r["contender"]: r for r in read("training_speed")}
    if mnist and speed:
        lines = []
        for name in dict.fromkeys(r["name"] for r in mnist):
            group = [r for r in mnist if r["name"] == name]
            floats = "probe_probabilities" if "probe_probabilities" in group[0] else "probe_floats"
            cells = (measured(group, k) for k in (floats, "probe_bits", "map_at_100"))
            lines.append([name, group[-1]["environment"]["threads"], *cells])
        header = ["MNIST, 64 bits; ours after 7 minutes", "cores", "probe, floats", "probe, bits", "mAP@100"]
        ours = speed["ours, default"]
        figures["mnist"] = (
            f"{table(header, lines)}\n\nTraining runs at {ours['images_per_second']:.0f} images/s, "
            f"{ours['ratio_to_authors']:.1f} times the authors' network type on the same two cores. "
            "All tables, with spread and commands: [docs/results.md](docs/results.md)."
        )
    return figures


def main() -> None:
    """Write the page."""
    sections = {"mnist_codes": mnist_section, "training_speed": speed_section, "use_cost": use_section}
    sections |= {"quickstart": demo_section, "ablations": ablations_section, **USES}
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
