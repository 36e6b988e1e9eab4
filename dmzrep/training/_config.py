"""Settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass

from dmzrep.training._augmentation import RandomAffine


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training run.

    Parameters
    ----------
    max_epochs : int
        Passes over the data.
    max_time : float or None
        Seconds; training ends with whichever comes first and the learning rate follows.
    batch_size : int
        Images a step.
    micro_batch_size : int or None
        Images of a step that the denoiser works on at a time, at most; None for all.
    learning_rate : float
        Peak learning rate, above 0.
    encoder_rate : float
        The encoder's learning rate as a share of it.
    weight_decay : float
        Decoupled weight decay of matrices and convolutions.
    warmup_steps : int
        Steps of linear warm-up.
    final_learning_rate : float
        Share of the peak at the end of the cosine decay; 1 keeps the rate constant.
    gradient_clip : float
        Largest norm of the gradient; infinity for none.
    ema_half_life : float
        Half-life of the weights' average, in images.
    temperature : float
        Temperature of the relaxed bits.
    straight_through : bool
        Hard bits forward, relaxed gradient.
    marginal_entropy : float
        Weight of `dmzrep.training._code_terms.missing_entropy`.
    decorrelation : float or "auto"
        Weight of `squared_correlation` there; ``"auto"`` starts it at a tenth of the first batch's loss.
    kl_weight, kl_free_bits : float
        Weight of `kl_to_uniform` there, and what each bit may tell at no cost, in bits.
    mmd_weight : float
        Weight of `mmd_to_uniform` there.
    code_dropout : float
        Probability that the denoiser is not shown a row's code.
    ordered : bool
        Show the denoiser prefixes of the codes too.
    timestep_sampling : str
        See `dmzrep.diffusion._timesteps.TimestepSampler`.
    flip : bool
        Mirror images at random.
    encoder_view : RandomAffine or None
        How the encoder's view of an image is changed; the denoiser works on the image as it is.
    n_iter_no_change : int or None
        Epochs without a better validation loss before training stops; None never stops early.
    precision : {"float32", "bf16", "fp16"}
        Arithmetic of the forward pass.
    compile : bool
        Compile the networks with `torch.compile`.
    """

    max_epochs: int
    max_time: float | None = None
    batch_size: int = 128
    micro_batch_size: int | None = None
    learning_rate: float = 1e-3
    encoder_rate: float = 1.0
    weight_decay: float = 0.01
    warmup_steps: int = 100
    final_learning_rate: float = 0.0
    gradient_clip: float = 1.0
    ema_half_life: float = 500_000.0
    temperature: float = 1.0
    straight_through: bool = False
    marginal_entropy: float = 0.0
    decorrelation: float | str = 0.0
    kl_weight: float = 0.0
    kl_free_bits: float = 0.0
    mmd_weight: float = 0.0
    code_dropout: float = 0.0
    ordered: bool = False
    timestep_sampling: str = "uniform"
    flip: bool = False
    encoder_view: RandomAffine | None = None
    n_iter_no_change: int | None = None
    precision: str = "float32"
    compile: bool = False
