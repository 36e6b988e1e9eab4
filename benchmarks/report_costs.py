"""Sections of the results pages on speed and memory."""

from __future__ import annotations

from benchmarks.results import read
from benchmarks.tables import made, table


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
        "Medians over rounds in which the networks take turns, in one process. For dmzrep, all of training "
        "is timed: data loading, encoder, denoiser, optimiser, weight averaging and validation. The authors' "
        "network type is `diffusers.UNet2DConditionModel`; only its forward pass, backward pass and "
        "optimiser are timed. Ratios are relative to its fastest variant.\n\n"
        f"{table(['network', 'images/s', 'range', 'ratio'], lines)}\n\n"
        f"A training step of our default takes {share['gflop_an_image']:.3f} GFLOP per image and reaches "
        f"{share['gflops_achieved']} GFLOP/s: {100 * share['share_of_float32_matmul']:.0f} % of the rate of "
        f"float32 matrix products on this machine ({share['gflops_float32_matmul']} GFLOP/s) and "
        f"{100 * share['share_of_bf16_matmul']:.0f} % of the rate of bf16 matrix products "
        f"({share['gflops_bf16_matmul']} GFLOP/s). Training runs in float32 unless the processor has "
        "bf16 units. Time of a step by operation:\n\n"
        f"{table(['operation', 'share of CPU time'], profile)}\n\n{made(rows, 'training_speed')}\n"
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
    cells = table(["measurement", "result"], lines)
    return f"## Speed and memory of `transform`\n\n{cells}\n\n{made(rows, 'use_cost')}\n"


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
        f"{table(['call', 'images', 'before', 'peak'], lines)}\n\n{made(rows, 'memory')}\n"
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
        f"{table(header, lines)}\n\n{made(rows, 'checkpoint_cost')}\n"
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
        f"{table(header, lines)}\n\n{made(list(rows.values()), 'processes')}\n"
    )


def latency_section() -> str:
    """Return the section on the latency of calls with one image."""
    rows = read("latency")
    lines = [
        [r["call"], f"{r['side']} x {r['side']}", r["milliseconds"], r["bare_milliseconds"]] for r in rows
    ]
    header = ["call with one image", "pixels", "ms", "ms, networks alone"]
    return (
        "## Latency of calls with one image\n\n"
        "Untrained default networks; `sample` takes 10 steps. Medians.\n\n"
        f"{table(header, lines)}\n\n{made(rows, 'latency')}\n"
    )
