"""Parameters of training and of the diffusion process, and the settings of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from dmzrep._base._parameters import ParameterGroup
from dmzrep.diffusion._objective import OBJECTIVES
from dmzrep.diffusion._schedule import NOISE_SCHEDULES
from dmzrep.diffusion._timesteps import TIMESTEP_SAMPLINGS
from dmzrep.training._augmentation import RandomViews

_POSITIVE = Interval(Real, 0, None, closed="neither")
_WEIGHT = Interval(Real, 0, None, closed="left")


class Training(ParameterGroup):
    """Parameters of the training of a `DMZEncoder` and of its diffusion process.

    Parameters
    ----------
    objective : {"auto", "v", "epsilon", "sample"}, default="auto"
        What the denoiser predicts: velocity, noise or clean data. ``"auto"`` is velocity, or clean data
        where a patch has more values than a quarter of the channels.
    learn_variance : bool, default=False
        Learn the variance of the reverse process with the variational bound.
    noise_schedule : {"auto", "cosine", "linear"}, default="auto"
        Variances of the forward process. ``"auto"`` is cosine, or that of a pretrained `backbone`.
    n_timesteps : int, default=1000
        Steps of the forward process, at least 2.
    input_perturbation : float, default=0.0
        Standard deviation of extra noise in the input of the denoiser (DDPM-IP); the paper uses 0.1 and 0.15.
    timestep_sampling : {"uniform", "high_noise", "loss_second_moment"}, default="high_noise"
        Distribution of the timesteps in training. ``"high_noise"`` favours those where the code matters most.
    temperature : float, default=2.0
        Temperature of the relaxed bits, above 0. The paper uses 1.
    straight_through : bool, default=False
        Use hard bits in the forward pass and gradients of relaxed bits in the backward pass.
    agreement : float, default=0.05
        Weight of the agreement term: the cross-entropy between the logits of one view of a sample and targets
        from another view. The views are those of `encoder_augment`, and the targets are sharpened
        probabilities of the mean of that view's current logits and its logits at initialisation. After an
        initialisation by ``"contrast_pca"``, they are those of the current logits alone, the views are by
        default the image itself and one of other colours, and a term that keeps codes different is added: by
        how much the coding rate of the batch is below its maximum, in nats per bit. Without views, or with
        ``init="random"``, the agreement term is absent.
    marginal_entropy : float, default=0.0
        Weight of a term that balances bits: one minus the entropy, in bits, of the mean probability over the
        batch, summed over the bits. A reasonable value is 0.01.
    decorrelation : float or "auto", default=0.0
        Weight of the mean squared correlation between the probabilities of two bits over the batch.
        ``"auto"`` sets it so that the term is a tenth of the first loss.
    kl_weight : float, default=0.0
        Weight of the Kullback-Leibler divergence, in bits, of the bits of a sample from uniform bits, summed
        over the bits. The denoising loss is a mean over pixels, so useful weights are small (0.001).
    kl_free_bits : float, default=0.0
        Divergence of each bit, as a mean over the batch, that is not penalised; in bits, in [0, 1).
    mmd_weight : float, default=0.0
        Weight of the squared maximum mean discrepancy between the relaxed bits of the batch and uniform bits,
        with a Gaussian kernel.
    micro_batch_size : "auto" or int, default="auto"
        Largest number of samples, per process, that the denoiser processes at a time. Smaller values need
        less memory and give the same gradients, unless a custom `backbone` normalises over the batch.
        ``"auto"`` is the whole batch. The size is halved, with a warning, when memory runs out.
    optimizer : {"muon", "adamw"}, default="muon"
        ``"muon"`` trains the convolution kernels of hidden layers of the built-in UNet by Muon
        (orthogonalised momentum) and all other parameters by AdamW; ``"adamw"`` trains all by AdamW.
    encoder_learning_rate : "auto" or float, default="auto"
        Peak learning rate of the encoder. ``"auto"`` is `learning_rate` times 0.02 with
        ``init="neighbours"``; times 0.15 for other feature extractors, and for ``"cca"`` and
        ``"contrast_pca"`` without `agreement`; otherwise times 1.
    final_learning_rate : float, default=0.02
        Learning rate at the end of the cosine decay, as a fraction of the peak, in [0, 1]; 1 is constant.
    warmup_steps : int, default=50
        Steps of linear warm-up.
    weight_decay : float, default=0.01
        Decoupled weight decay of matrices and kernels.
    gradient_clip : float or None, default=1.0
        Maximum gradient norm; larger gradients are rescaled.
    ema_half_life : float, default=500_000
        Half-life, in samples, of the exponential moving average of the weights, which the fitted model uses;
        at most a twentieth of the samples seen so far. 0 uses the last weights.
    checkpoint_keep : int, default=2
        Number of checkpoints to keep. Where the newest is damaged, the one before is used.
    distributed : bool, default=False
        Train in all processes that `torchrun` or `accelerate launch` has started, each on an equal part of
        every batch. See the user guide, "Scale".
    compile : bool, default=False
        Compile the networks for training with `torch.compile`.

    See Also
    --------
    DMZEncoder : Takes it as `training`.
    Network : Parameters that shape the networks.

    References
    ----------
    Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow", 2016, equation 15 (free
    bits). Zhao, Song, Ermon, "InfoVAE", 2017 (maximum mean discrepancy). Ning et al., "Input Perturbation
    Reduces Exposure Bias in Diffusion Models", 2023. Jordan et al., "Muon: An Optimizer for Hidden Layers in
    Neural Networks", 2024. Moummad et al., "Cross-View Code Alignment", 2025, and Yu et al., "Learning
    Diverse and Discriminative Representations via the Principle of Maximal Coding Rate Reduction", 2020
    (agreement).

    Examples
    --------
    >>> from dmzrep import DMZEncoder, Training
    >>> DMZEncoder(64, training=Training(temperature=1.0)).get_params()["training__temperature"]
    1.0
    """

    _parameter_constraints: ClassVar[dict] = {
        "objective": [StrOptions({"auto", *OBJECTIVES})],
        "learn_variance": ["boolean"],
        "noise_schedule": [StrOptions({"auto", *NOISE_SCHEDULES})],
        "n_timesteps": [Interval(Integral, 2, None, closed="left")],
        "input_perturbation": [_WEIGHT],
        "timestep_sampling": [StrOptions(set(TIMESTEP_SAMPLINGS))],
        "temperature": [_POSITIVE],
        "straight_through": ["boolean"],
        "agreement": [_WEIGHT],
        "marginal_entropy": [_WEIGHT],
        "decorrelation": [StrOptions({"auto"}), _WEIGHT],
        "kl_weight": [_WEIGHT],
        "kl_free_bits": [Interval(Real, 0, 1, closed="left")],
        "mmd_weight": [_WEIGHT],
        "micro_batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "optimizer": [StrOptions({"muon", "adamw"})],
        "encoder_learning_rate": [StrOptions({"auto"}), _POSITIVE],
        "final_learning_rate": [Interval(Real, 0, 1, closed="both")],
        "warmup_steps": [Interval(Integral, 0, None, closed="left")],
        "weight_decay": [_WEIGHT],
        "gradient_clip": [_POSITIVE, None],
        "ema_half_life": [_WEIGHT],
        "checkpoint_keep": [Interval(Integral, 1, None, closed="left")],
        "distributed": ["boolean"],
        "compile": ["boolean"],
    }

    def __init__(
        self,
        *,
        objective="auto",
        learn_variance=False,
        noise_schedule="auto",
        n_timesteps=1000,
        input_perturbation=0.0,
        timestep_sampling="high_noise",
        temperature=2.0,
        straight_through=False,
        agreement=0.05,
        marginal_entropy=0.0,
        decorrelation=0.0,
        kl_weight=0.0,
        kl_free_bits=0.0,
        mmd_weight=0.0,
        micro_batch_size="auto",
        optimizer="muon",
        encoder_learning_rate="auto",
        final_learning_rate=0.02,
        warmup_steps=50,
        weight_decay=0.01,
        gradient_clip=1.0,
        ema_half_life=500_000,
        checkpoint_keep=2,
        distributed=False,
        compile=False,
    ):
        self.objective = objective
        self.learn_variance = learn_variance
        self.noise_schedule = noise_schedule
        self.n_timesteps = n_timesteps
        self.input_perturbation = input_perturbation
        self.timestep_sampling = timestep_sampling
        self.temperature = temperature
        self.straight_through = straight_through
        self.agreement = agreement
        self.marginal_entropy = marginal_entropy
        self.decorrelation = decorrelation
        self.kl_weight = kl_weight
        self.kl_free_bits = kl_free_bits
        self.mmd_weight = mmd_weight
        self.micro_batch_size = micro_batch_size
        self.optimizer = optimizer
        self.encoder_learning_rate = encoder_learning_rate
        self.final_learning_rate = final_learning_rate
        self.warmup_steps = warmup_steps
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.ema_half_life = ema_half_life
        self.checkpoint_keep = checkpoint_keep
        self.distributed = distributed
        self.compile = compile


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one run, resolved from the parameters of the estimator."""

    max_epochs: int
    batch_size: int
    #: Peak learning rate of the denoiser, and that of the encoder as a fraction of it.
    learning_rate: float
    encoder_rate: float = 1.0
    #: Seconds; the run and its learning rate schedule end with whichever limit is reached first.
    max_time: float | None = None
    #: Probability that the whole code of a sample is masked.
    code_dropout: float = 0.0
    #: Whether to also train on prefixes of codes.
    ordered: bool = False
    flip: bool = False
    #: Augmentation of the encoder's input; the denoiser gets the original image.
    encoder_view: RandomViews | None = None
    #: Augmentation of the second view of the agreement term.
    second_view: RandomViews | None = None
    #: Whether targets of the agreement term include the initial bits; the linear map of a `ConvEncoder` is
    #: then fixed.
    anchored: bool = True
    #: Epochs without a better validation loss before training stops; None never stops early.
    n_iter_no_change: int | None = None
    #: "float32", "bf16" or "fp16", of the forward pass.
    precision: str = "float32"
    options: Training = field(default_factory=Training)
