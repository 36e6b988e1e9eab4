"""Agreement of networks, training steps and whole fits on a device with those on the CPU in float32."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from benchmarks.gpu_scale import Scale, random_images
from dmzrep import DMZEncoder
from dmzrep.data import learn_image_format
from dmzrep.datasets import make_sprites
from dmzrep.estimator._fit import build_trainer
from dmzrep.estimator._parameters import nested_names
from dmzrep.networks._device import autocast
from dmzrep.networks._model import DiffusionAutoencoder, place
from dmzrep.networks._relaxation import relaxed_bernoulli
from dmzrep.training import Trainer, TrainingData

#: By precision: largest relative root-mean-square difference of outputs, and largest relative difference of
#: the loss of a step, which grows from step to step. Between float32 and bf16 on one CPU they were 0.3 % and,
#: at the eighth step, 2 %. Gradient scaling skips the first steps of float16, so its losses are not compared.
TOLERANCES: dict[str, tuple[float, float | None]] = {
    "float32": (1e-4, 1e-3),
    "float32, TF32 convolutions": (5e-3, 2e-2),
    "bf16": (5e-2, 5e-2),
    "fp16": (1e-2, None),
}


class SharedNoiseTrainer(Trainer):
    """The training step with all noise drawn on the CPU, so that two devices use the same noise."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.noise = torch.Generator().manual_seed(1)

    def _randn(self, like: Tensor) -> Tensor:
        noise = torch.randn(like.shape, generator=self.noise)
        return noise.to(like.device).contiguous(memory_format=torch.channels_last)

    def _code(self, x0: Tensor, n_samples: int) -> tuple[list[Tensor], list[Tensor], Tensor]:
        views, initial = self._logits(x0)
        z = relaxed_bernoulli(views[0].cpu(), self.config.options.temperature, generator=self.noise)
        return views, initial, z.to(x0.device)


def networks(scale: Scale) -> dict[str, DMZEncoder]:
    """Return the estimators to compare, without dropout, whose masks differ between devices."""
    common: dict[str, Any] = {
        "random_state": 0,
        "device": "cpu",
        "latent_dim": 16,
        "validation_fraction": 0.0,
    }
    # Without warm-up, since otherwise the output stays near zero, its initial value.
    common |= {"batch_size": scale.rows_compared, "learning_rate": 1e-3, "warmup_steps": 0}
    narrow = dict(scale.narrow)
    paper = narrow | {"dropout": 0.0, "attention": (16,)}
    return {
        "default": DMZEncoder(init="itq").set_params(**nested_names(common)),
        "paper": DMZEncoder.paper("cifar10", **nested_names(common | paper)),
    }


def precisions(device: torch.device) -> list[str]:
    """Return the precisions to compare on a device."""
    return list(TOLERANCES) if device.type == "cuda" else ["float32", "bf16"]


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Enable or disable TF32 in convolutions; PyTorch enables it by default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


class Reference:
    """A network trained for some steps on the CPU in float32, with which other devices are compared.

    Parameters
    ----------
    name : {"default", "paper"}
        Name of the network.
    scale : Scale
        Sizes of all parts.
    """

    def __init__(self, name: str, scale: Scale):
        estimator = networks(scale)[name]
        estimator._validate_params()
        self.X = np.asarray(make_sprites(scale.steps_compared * scale.rows_compared, random_state=0).images)
        self.n_rows = scale.rows_compared
        self.data_format = learn_image_format(self.X)
        self.start, _ = build_trainer(estimator, self.X, self.data_format, 0, False)
        self.losses, self.trained = self._train(self.start.model.to("cpu"), "float32")

    def compare(self, precision: str, device: torch.device) -> dict[str, Any]:
        """Compare a device with the CPU in one of the precisions of `TOLERANCES`."""
        outputs_allowed, losses_allowed = TOLERANCES[precision]
        arithmetic = precision.split(",")[0]
        with tf32(precision.endswith("convolutions")):
            logits, outputs = self._evaluate(self.trained, "float32")
            found_logits, found_outputs = self._evaluate(
                place(copy.deepcopy(self.trained), device), arithmetic
            )
            row: dict[str, Any] = {
                "logits_difference": _difference(found_logits, logits),
                "outputs_difference": _difference(found_outputs, outputs),
                "bits_that_agree": float(((found_logits > 0) == (logits > 0)).float().mean()),
                "losses_difference": None,
                "tolerance": outputs_allowed,
                "losses_tolerance": losses_allowed,
            }
            passed = max(row["logits_difference"], row["outputs_difference"]) <= outputs_allowed
            if losses_allowed is not None:
                found, _ = self._train(place(copy.deepcopy(self.start.model), device), arithmetic)
                row["losses_difference"] = float(np.max(np.abs(found / self.losses - 1.0)))
                row["losses"] = [round(float(loss), 5) for loss in found]
                row["losses_of_the_cpu"] = [round(float(loss), 5) for loss in self.losses]
                passed = passed and row["losses_difference"] <= losses_allowed
        return row | {"passed": bool(passed)}

    def _train(self, model: DiffusionAutoencoder, precision: str) -> tuple[np.ndarray, DiffusionAutoencoder]:
        """Run the first training steps on a copy of a model; return their losses and the copy."""
        options = clone(self.start.config.options).set_params(compile=False)
        config = dataclasses.replace(self.start.config, precision=precision, options=options)
        trainer = SharedNoiseTrainer(copy.deepcopy(model), self.start.objective, config, 0)
        data = TrainingData(self.X, self.data_format.to_model, np.arange(len(self.X)), trainer.device)
        trainer.model.train()
        batches = torch.arange(len(self.X)).split(self.n_rows)
        losses = [trainer.train_step(data.batch(rows), len(self.X)).item() for rows in batches]
        return np.array(losses), trainer.model.eval()

    @torch.no_grad()
    def _evaluate(self, model: DiffusionAutoencoder, precision: str) -> tuple[Tensor, Tensor]:
        """Return logits, and denoiser outputs for fixed codes at timesteps over the whole range."""
        device = next(model.parameters()).device
        x = self.data_format.to_model(torch.from_numpy(random_images(self.n_rows)))
        generator = torch.Generator().manual_seed(2)
        z = (torch.rand(len(x), model.config.latent_dim, generator=generator) < 0.5).float()
        t = torch.linspace(0.0, 999.0, len(x))
        with autocast(precision, device):
            logits = model.encode(x.to(device)).float().cpu()
            return logits, model(x.to(device), t.to(device), z.to(device)).float().cpu()


def compare_fits(device: torch.device, n_samples: int = 512, max_iter: int = 4) -> dict[str, Any]:
    """Compare a whole fit on a device with one on the CPU; its noise is that of the device."""
    X = make_sprites(n_samples, random_state=0).images
    float32 = DMZEncoder(16, random_state=0).set_params(**nested_names({"precision": "float32"}))
    initial, trained = (
        [clone(float32).set_params(device=str(d), max_iter=n).fit(X) for d in ("cpu", device)]
        for n in (0, max_iter)
    )
    agree = np.mean(np.equal(*(encoder.transform(X) > 0.5 for encoder in initial)))
    losses = [float(encoder.history_["validation_loss"].iloc[-1]) for encoder in trained]
    return {
        "initial_bits_that_agree": float(agree),
        "validation_loss": losses[1],
        "validation_loss_of_the_cpu": losses[0],
        "passed": bool(agree > 0.99 and losses[1] < 1.1 * losses[0]),
    }


def _difference(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).square().mean().sqrt() / wanted.square().mean().sqrt())
