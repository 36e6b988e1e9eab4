"""All GPU benchmarks, in minutes: correctness, speed, and quality after training.

    python -m benchmarks.gpu_suite --minutes 8 --out DIR [--data DATA] [--configs wide] [--smoke]

The parts, in order; each appends a row to `DIR/gpu_suite.jsonl` when it ends:

machine      device, versions, and the measured rate of matrix products
correctness  differences of logits, denoiser outputs, losses of a short training and a whole fit from those on
             the CPU in float32
speed        training images per second of the paper's CIFAR-10 recipe, with our network and with the authors'
             network type (equal channels, depth and attention), and of our defaults; fraction of the measured
             bf16 rate; batches of 128 and 512; with cuDNN autotuning
use          images encoded and sampled per second
training     half of the minutes, shared by CIFAR-10 and the avatars
codes        probe accuracy or AUROC of logits, probabilities and bits; reconstruction error
samples      Fréchet distance to test images against denoising steps, with the features of a classifier
speed        training speed with compiled networks, if there is time left

Rows that exist already are not measured again. Parts for which there is not enough time are skipped, and a
part that fails records the error in its row and does not end the run. Figures are drawn at the end. Models
are stored in `DIR/models`. Without `--data`, or if the file of a dataset is missing, its training is skipped.
diffusers (for the authors' network type), Pillow (for CIFAR-10) and matplotlib are used if installed.

Memory: the paper's network has 68.6 million parameters, so its weights, gradients, two moments and averaged
weights take 1.4 GB. Activations grow with the batch; rows record the peak. If memory is too small, the row
has "out_of_memory". `--smoke` runs everything with tiny sizes on the CPU, on synthetic shapes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import results
from benchmarks.gpu_correctness import Reference, compare_fits, networks, precisions
from benchmarks.gpu_figures import draw_all
from benchmarks.gpu_quality import QualitySet
from benchmarks.gpu_scale import CONFIGURATIONS, FILES, Scale, smoke_scale
from benchmarks.gpu_speed import CONTENDERS, free_memory, machine, training_speed, use_speed
from dmzrep.networks._device import resolve_device

RESULTS = "gpu_suite"
#: Fraction of the minutes spent on training.
TRAINING_SHARE = 0.5


@dataclass(frozen=True)
class Part:
    """A row to measure.

    Parameters
    ----------
    key : dict
        Columns that identify the row, "part" first.
    seconds : float
        Approximate duration; the part is skipped if less time is left.
    measure : callable
        Returns the other columns of the row.
    missing : str or None
        Reason why it cannot be measured on this machine, if any.
    """

    key: dict[str, Any]
    seconds: float
    measure: Callable[[], dict[str, Any]]
    missing: str | None = None


class Suite:
    """A run of all parts.

    Parameters
    ----------
    out : Path
        Folder of rows, models and figures.
    data : Path or None
        Folder of the images.
    minutes : float
        Total time.
    configs : list of str
        Names of the configurations to train.
    scale : Scale
        Sizes of all parts.
    device : torch.device
        Device of the networks.
    smoke : bool
        Whether this is a smoke test, which needs no files, compiles nothing and skips no part.
    """

    def __init__(
        self,
        out: Path,
        data: Path | None,
        minutes: float,
        configs: list[str],
        scale: Scale,
        device: torch.device,
        smoke: bool = False,
    ):
        self.out, self.data, self.minutes, self.configs = out, data, minutes, configs
        self.scale, self.device, self.smoke = scale, device, smoke
        self.ends = time.perf_counter() + 60.0 * minutes
        self.sets: dict[str, QualitySet] = {}
        self.references: dict[str, Reference] = {}

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows measured so far."""
        return results.read(RESULTS, self.out)

    def run(self) -> list[dict[str, Any]]:
        """Measure what is missing, draw the figures, and return all rows."""
        for part in self.parts():
            done = any(all(row.get(k) == v for k, v in part.key.items()) for row in self._whole())
            if not done:
                self._run(part)
        if importlib.util.find_spec("matplotlib") is None:
            print("No figures: matplotlib is not installed.", flush=True)
        else:
            print("drawn:", draw_all(self._whole(), self.sets, self.out), flush=True)
        return self.rows()

    def _whole(self) -> list[dict[str, Any]]:
        return [row for row in self.rows() if "error" not in row and "skipped" not in row]

    def _run(self, part: Part) -> None:
        left = self.ends - time.perf_counter()
        begun = time.perf_counter()
        if part.missing is not None:
            row: dict[str, Any] = {"skipped": part.missing}
        elif left < part.seconds and not self.smoke:
            row = {"skipped": f"{left:.0f} s were left, about {part.seconds:.0f} s are needed"}
        else:
            try:
                row = part.measure()
            except Exception as error:
                traceback.print_exc()
                row = {"error": f"{type(error).__name__}: {error}"}
        row = {**part.key, **row, "part_seconds": time.perf_counter() - begun}
        if "skipped" not in row:
            free_memory(self.device)
        row = {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}
        results.append(RESULTS, row, self.out)
        print(json.dumps({k: v for k, v in row.items() if k != "curve"}), flush=True)

    # -- parts ---------------------------------------------------------------------------------

    def parts(self) -> Iterator[Part]:
        """Yield the parts in order; later ones may use the rows of earlier ones."""
        device, scale = self.device, self.scale
        yield Part({"part": "machine"}, 5.0, lambda: machine(device, scale))
        for name in networks(scale):
            for precision in precisions(device):
                key = {"part": "correctness", "network": name, "precision": precision}
                yield Part(key, 10.0, lambda n=name, p=precision: self._reference(n).compare(p, device))
        yield Part({"part": "correctness", "network": "fit"}, 30.0, lambda: compare_fits(device))
        for batch_size in scale.batch_sizes:
            for name in CONTENDERS:
                yield self._speed(name, batch_size)
        yield self._speed(CONTENDERS[0], scale.batch_sizes[0], autotuned=True)
        for name in (CONTENDERS[0], CONTENDERS[2]):
            key = {"part": "use", "contender": name}
            yield Part(key, 15.0, lambda n=name: use_speed(n, device, scale))
        for name in scale.sets:
            for config in self.configs:
                yield from self._quality(name, config)
        for name in CONTENDERS:
            yield self._speed(name, scale.batch_sizes[0], compiled=True)

    def _speed(self, name: str, batch_size: int, *, compiled: bool = False, autotuned: bool = False) -> Part:
        missing = None
        if name.startswith("authors") and importlib.util.find_spec("diffusers") is None:
            missing = "diffusers is not installed"
        if compiled and self.smoke:
            missing = "compilation is too slow for a smoke test"
        peak = next((r["matmul_tflops_bfloat16"] for r in self._whole() if r["part"] == "machine"), None)
        if peak is None:
            missing = "the rate of matrix products was not measured"
        key = {"part": "speed", "contender": name, "batch_size": batch_size}
        key |= {"compiled": compiled, "autotuned": autotuned}

        def measure() -> dict[str, Any]:
            assert peak is not None
            arguments = (name, batch_size, compiled, self.device, self.scale, peak * 1e12)
            return training_speed(*arguments, autotuned=autotuned)

        return Part(key, 90.0 if compiled else 12.0, measure, missing)

    def _quality(self, name: str, config: str) -> Iterator[Part]:
        share = 60.0 * self.minutes * TRAINING_SHARE / (len(self.scale.sets) * len(self.configs))
        seconds = round(self.scale.training_seconds or share, 1)
        about = {"set": name, "config": config, "seconds_asked": seconds}
        missing = self._missing(name)

        def of(measure: Callable[[QualitySet], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
            return lambda: measure(self._set(name))

        key = {"part": "training", **about}
        yield Part(key, seconds + 10.0, of(lambda images: images.train(config, seconds)), missing)
        trained = any(all(row.get(k) == v for k, v in key.items()) for row in self._whole())
        if missing is None and not trained:
            missing = "there is no trained model"
        yield Part({"part": "codes", **about}, 25.0, of(lambda i: i.score_codes(config, seconds)), missing)
        real = {"part": "samples", "set": name, "config": None, "seconds_asked": None, "steps": None}
        yield Part(real, 10.0, of(lambda images: images.score_real()), self._missing(name))
        for n_steps in self.scale.frechet_steps:

            def score(images: QualitySet, n_steps: int = n_steps) -> dict[str, Any]:
                return images.score_samples(config, seconds, n_steps)

            yield Part({"part": "samples", **about, "steps": n_steps}, 5.0 + n_steps / 4, of(score), missing)

    def _missing(self, name: str) -> str | None:
        if self.smoke:
            return None
        if self.data is None:
            return "--data was not passed"
        if not (self.data / FILES[name]).is_file():
            return f"{FILES[name]} is not in --data"
        if name == "cifar10" and importlib.util.find_spec("PIL") is None:
            return "Pillow is not installed"
        return None

    def _reference(self, name: str) -> Reference:
        if name not in self.references:
            self.references[name] = Reference(name, self.scale)
        return self.references[name]

    def _set(self, name: str) -> QualitySet:
        if name not in self.sets:
            images = self.scale.sets[name](self.data or Path())
            self.sets[name] = QualitySet(name, images, self.out / "models", self.scale, str(self.device))
        return self.sets[name]


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Run the suite and return its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0, help="approximate total time (default: 8)")
    parser.add_argument("--out", type=Path, required=True, help="folder of rows, models and figures")
    parser.add_argument("--data", type=Path, help="folder with cifar10_jpeg.npz and avatars64.npz")
    parser.add_argument(
        "--configs", nargs="+", choices=list(CONFIGURATIONS), help="configurations to train (default: wide)"
    )
    parser.add_argument("--smoke", action="store_true", help="smoke test: tiny sizes, on the CPU")
    parsed = parser.parse_args(arguments)
    if parsed.minutes <= 0.0:
        parser.error("--minutes must be above 0")
    parsed.out.mkdir(parents=True, exist_ok=True)
    scale = smoke_scale() if parsed.smoke else Scale()
    configs = list(scale.configurations) if parsed.smoke else parsed.configs or ["wide"]
    device = resolve_device("cpu" if parsed.smoke else "auto")
    return Suite(parsed.out, parsed.data, parsed.minutes, configs, scale, device, parsed.smoke).run()


if __name__ == "__main__":
    main()
