"""Settings of one training run."""

from __future__ import annotations

from dataclasses import dataclass, field

from dmzrep.training._augmentation import RandomAffine
from dmzrep.training._options import Training


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one training run: what the estimator's parameters are resolved to.

    Parameters
    ----------
    max_epochs : int
        Passes over the data.
    batch_size : int
        Samples per step.
    learning_rate : float
        Peak learning rate of the denoiser, above 0.
    max_time : float or None, default=None
        Seconds; training ends with whichever limit comes first, and the learning rate follows.
    encoder_rate : float, default=1.0
        Learning rate of the encoder as a fraction of that of the denoiser.
    code_dropout : float, default=0.0
        Probability that the whole code of a sample is masked.
    ordered : bool, default=False
        Also train on prefixes of the codes.
    flip : bool, default=False
        Mirror images at random.
    encoder_view : RandomAffine or None, default=None
        Augmentation of the encoder's input; the denoiser works on the original image.
    n_iter_no_change : int or None, default=None
        Epochs without a better validation loss before training stops; None never stops early.
    precision : {"float32", "bf16", "fp16"}, default="float32"
        Arithmetic of the forward pass.
    options : Training
        The other parameters of training.
    """

    max_epochs: int
    batch_size: int
    learning_rate: float
    max_time: float | None = None
    encoder_rate: float = 1.0
    code_dropout: float = 0.0
    ordered: bool = False
    flip: bool = False
    encoder_view: RandomAffine | None = None
    n_iter_no_change: int | None = None
    precision: str = "float32"
    options: Training = field(default_factory=Training)
