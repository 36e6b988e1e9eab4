"""The estimator: validate, delegate, give NumPy back."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._device import available_device, give_back_memory, import_optimizers, on_cpu
from dmzrep._base._random import draw_seed, row_seeds
from dmzrep._base._validation import check_choice, check_int, short_repr
from dmzrep.data import ImageFormat, Source, VectorFormat, open_like_fitted, open_training_data
from dmzrep.diffusion._objective import Objective
from dmzrep.errors import TrainingDivergedError
from dmzrep.estimator._attributes import warn_of_training
from dmzrep.estimator._callbacks import CallbackHooks
from dmzrep.estimator._fit import begin_run, build_trainer, train
from dmzrep.estimator._inputs import NOISES, check_codes, check_n_bits, check_out, check_start
from dmzrep.estimator._model_card import write_card
from dmzrep.estimator._onnx import write_encoder
from dmzrep.estimator._parameters import OUTPUTS, PARAMETER_CONSTRAINTS
from dmzrep.estimator._state import fitted_state, restore_fitted
from dmzrep.files._container import read_file, write_file
from dmzrep.inference import (
    StartingRows,
    TrainedModel,
    decode,
    encode,
    rate_table,
    row_rates,
    whole_codes,
)
from dmzrep.inference._sampling import check_sampling
from dmzrep.networks._defaults import paper_recipe
from dmzrep.networks._model import DiffusionAutoencoder, place
from dmzrep.priors import PRIORS, CodePrior, IndependentPrior, fit_prior
from dmzrep.training import Checkpoints, Hooks, Trainer

#: Samples from which a later chunk of `partial_fit` stands for the data.
CHUNK_ROWS = 1000


class DMZEncoder(CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Binary codes of images (or vectors) from a diffusion autoencoder.

    A diffusion model learns to remove noise from rows while it is told, bit by bit, what they show;
    the encoder learns what to tell. No labels are used.

    Parameters
    ----------
    latent_dim : int, default=64
        Number of bits of a code.
    output : {"probabilities", "logits", "bits"}, default="probabilities"
        What `transform` gives: float32 probabilities of a one, float32 logits, or uint8 bits.
    image_shape : tuple of int or None, default=None
        Shape (H, W), (H, W, C) or (C, H, W) of images that come as rows of a table. None reads a
        table as vectors.
    channels : {"auto", "first", "last"}, default="auto"
        Where the channel axis of images stands. ``"auto"`` finds it when only one of the two places
        has 1 to 4 entries.
    value_range : tuple of two floats or "auto", default="auto"
        Smallest and largest possible pixel. ``"auto"``: 0 to 255 for uint8, 0 to 1 for bool and floats.
    backbone : {"auto", "unet", "mlp"} or torch.nn.Module, default="auto"
        Denoiser: ``"unet"`` for images, ``"mlp"`` for vectors; ``"auto"`` chooses by the data. Or a module of
        your own with ``forward(x, t, z)``: noised rows x, (n, channels, H, W) or (n, features); timesteps t
        in [0, 1000), (n,); relaxed bits z in [0, 1], (n, latent_dim); all float32. It gives what `objective`
        says, in x's shape, or twice the channels with `learn_variance`. `fit` trains a copy. For UNets of
        diffusers there is `dmzrep.DiffusersBackbone`.
    width : "auto", int or tuple of int, default="auto"
        Channels at each level of the UNet, from the finest (one number sets the finest only), multiples
        of 8; or hidden features of the MLP.
    depth : "auto", int or (int, int), default="auto"
        Residual blocks at each level of the UNet, down and up (one on each way); one number d is
        (d, d + 1), as in DDPM. Or blocks of the MLP (3).
    attention : "auto" or tuple of int, default="auto"
        Sides of the feature maps with self-attention. ``"auto"``: none, or under
        ``conditioning="cross_attention"``, which needs it, the coarsest.
    patch_size : "auto" or int, default="auto"
        Pixels a side that become one position of the UNet. ``"auto"``: 1 up to 16 pixels, 2 up to 40,
        4 up to 96, then 8.
    conditioning : str, default="auto"
        One of "auto", "bias", "spatial_bias", "cross_attention", "adagn", "timestep" and "none".
        How the code enters the denoiser: the paper's one-token cross-attention, computed as the bias
        that it is; the same and a bias for each position of the coarsest feature maps;
        cross-attention to one token a bit (64 tokens at most); a scale and shift of each
        normalisation; with the timestep, added to its embedding; or not at all, which gives an unconditional
        diffusion model without codes.
        ``"auto"`` is ``"spatial_bias"`` for images, ``"bias"`` for vectors.
    code_input : {"signed", "one_hot"}, default="signed"
        Columns with which a bit enters the denoiser: one of -1 or +1, or two.
    dropout : float, default=0.0
        Dropout rate of the denoiser, in [0, 1).
    encoder : {"auto", "paper"}, default="auto"
        ``"paper"`` has two outputs a bit and no linear branch, as the authors' network.
    encoder_width : "auto" or int, default="auto"
        Channels after the encoder's first convolution (32), or hidden features for vectors (256).
    encoder_depth : "auto" or int, default="auto"
        Residual convolutions after each strided convolution of the encoder. ``"auto"`` is none, as in
        the paper.
    normalize_logits : bool, default=True
        Batch normalise the encoder's logits, so that every bit says something: its logits have mean zero
        and a deviation of 5 over the rows. The paper does not.
    objective : {"auto", "v", "epsilon", "sample"}, default="auto"
        What the denoiser predicts: velocity, noise, or clean data. ``"auto"`` is velocity, or clean data
        where a patch has more numbers than a quarter of the channels.
    learn_variance : bool, default=False
        Learn the reverse variance by the variational bound.
    noise_schedule : {"auto", "cosine", "linear"}, default="auto"
        Variances of the forward process. ``"auto"`` is cosine, or what a pretrained `backbone` knows.
    n_timesteps : int, default=1000
        Steps of the forward process, at least 2.
    input_perturbation : float, default=0.0
        Standard deviation of an extra noise in the network's input; the paper uses 0.1 and 0.15.
    timestep_sampling : {"uniform", "high_noise", "loss_second_moment"}, default="high_noise"
        How training draws timesteps. ``"high_noise"`` stresses those where a code can tell most.
    temperature : float, default=2.0
        Temperature of the relaxed bits in training, above 0. The paper has 1.
    straight_through : bool, default=False
        Hard bits forward and relaxed gradients backward.
    marginal_entropy : float, default=0.0
        Weight of a term that balances bits: how many bits of entropy the batch's mean probabilities
        lack, summed over the bits. 0.01 is a start.
    decorrelation : float or "auto", default=0.0
        Weight of a term that makes bits differ: the mean squared correlation of two bits' probabilities
        over the batch. ``"auto"`` starts it at a tenth of the loss.
    kl_weight : float, default=0.0
        Weight of the divergence, in bits, of a row's bits from fair coins, summed over the bits: it takes
        away what the loss does not need. The loss is a mean over pixels, so weights are small (0.001).
    kl_free_bits : float, default=0.0
        What each bit may tell, as a mean over the batch, before that divergence counts; in bits, in
        [0, 1). 0.5 leaves bits that are half sure alone.
    mmd_weight : float, default=0.0
        Weight of the squared maximum mean discrepancy between the batch's relaxed bits and uniform bits:
        sure, balanced and independent ones. The kernel is Gaussian with a squared distance of bits, as
        -1 and +1, divided by 2 `latent_dim`.
    code_dropout : float, default=0.0
        Probability, in [0, 1), that training hides a row's whole code from the denoiser (0.5 in every
        bit), which then learns to do without one too. 0.1 is usual for classifier-free guidance.
    ordered : bool, default=False
        Nested dropout: training hides the bits after a prefix, for half of the rows, so that the first 8,
        16, 32, ... bits are codes by themselves, most important bits first.
    init : {"auto", "views", "layout", "itq", "pca", "random"}, default="auto"
        Start of the encoder, which training refines. ``"views"``: what moved copies of an image have in
        common, found in responses of filters. ``"layout"``: principal components of the contrast at each
        place, for images that share a frame. ``"itq"``, ``"pca"``: a linear map of the data.
        ``"random"``: random weights. ``"auto"`` is ``"views"`` where `encoder_augment` shows the encoder
        moved copies, ``"layout"`` for other images that share a frame, else ``"itq"``.
    prior : {"auto", "uniform", "independent", "chow_liu", "mixture", "dataset", "autoregressive"} \
            or CodePrior, default="auto"
        Model of the codes for `sample` and the code's rate. ``"auto"`` picks by held-out likelihood.
    max_iter : int, default=200
        Epochs at most.
    max_time : float or None, default=None
        Seconds of training at most, the encoder's start included; the learning rate follows whichever
        limit is nearer. A run that time ends is not reproducible to the bit.
    batch_size : int, default=64
        Rows a step. Several processes share them; see `docs/scale.md`.
    micro_batch_size : "auto" or int, default="auto"
        Rows of a step, of each process, that the denoiser works on at a time, at most: fewer need less
        memory, and learn the same, unless a `backbone` of yours normalises batches. ``"auto"`` is all of
        them. Either way the number is halved, with a warning, when memory runs out in the denoiser.
    learning_rate : float, default=2e-3
        Peak learning rate of AdamW.
    encoder_learning_rate : "auto" or float, default="auto"
        The encoder's peak learning rate. ``"auto"`` is `learning_rate`, or 0.15 times that where the
        encoder starts from views or layout.
    final_learning_rate : float, default=0.02
        Share of the peak that is left at the end of the cosine decay, in [0, 1]; 1 keeps it constant.
    warmup_steps : int, default=50
        Steps of linear warm-up.
    weight_decay : float, default=0.01
        Decoupled weight decay of matrices and kernels.
    gradient_clip : float or None, default=1.0
        Largest norm of a gradient.
    ema_half_life : float, default=500_000
        Half-life, in rows, of the average of weights that is used afterwards; early on it is a twentieth
        of the rows seen. 0 uses the last weights.
    validation_fraction : float, default=0.05
        Share of rows, at most 1,024, set aside to follow the loss; 0 sets none aside.
    early_stopping : bool, default=False
        Stop when the validation loss has not fallen for `n_iter_no_change` epochs.
    n_iter_no_change : int, default=10
        See `early_stopping`.
    warm_start : bool, default=False
        `fit` goes on from the last fit's state.
    checkpoint_dir : path-like or None, default=None
        Folder for checkpoints of `fit`, of one run. `fit` with the same folder, settings and data goes on
        from the newest; on the CPU it ends with the weights, to the bit, of a run that never stopped.
    checkpoint_every : {"epoch"} or float, default="epoch"
        ``"epoch"`` writes a checkpoint at the end of each epoch; a number writes one whenever as many
        seconds have passed, in the midst of an epoch too.
    checkpoint_keep : int, default=2
        Checkpoints to keep. A damaged one is passed over for the one before.
    augment : {"flip"} or None, default=None
        ``"flip"`` mirrors training images at random.
    encoder_augment : {"auto", "affine", "affine_flip"} or None, default="auto"
        ``"affine"`` shows the encoder, in training, a slightly moved, scaled and turned copy of each
        image, so that codes tell what is shown rather than just where; the denoiser works on the image
        as it is. Reconstructions then lose a little of an object's place. ``"affine_flip"`` mirrors half
        of the copies too, where an image and its mirror image mean the same. ``"auto"`` is ``"affine"``
        for images, unless they share a frame, as centred faces do: where moved copies lie three times as
        far from the principal subspace of the images as images do, place is kept.
    device : str or torch.device, default="auto"
        ``"auto"`` (CUDA, else MPS, else CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    precision : {"auto", "float32", "bf16", "fp16"}, default="auto"
        Arithmetic of training. ``"auto"`` is bf16 where the hardware multiplies it, else float32.
    compile : bool, default=False
        Compile the networks for training with `torch.compile`.
    random_state : int, RandomState or None, default=None
        Seed of everything in `fit`. torch's and NumPy's global generators are left as they were.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    model_ : DiffusionAutoencoder
        The networks, with averaged weights.
    prior_ : CodePrior or None
        Fitted to the codes of (at most 20,000) training rows; None without codes.
    code_report_ : DataFrame or None
        A row for each bit, of the same rows; see `dmzrep.metrics.code_report`.
    code_summary_ : Series or None
        The whole code in numbers, of the same rows; see `dmzrep.metrics.code_summary`.
    history_ : DataFrame
        A row for each epoch: seconds, rows seen, rows a second, losses, learning rate. The three
        validation losses are of relaxed bits, of hard bits, and of hard bits of other rows; with
        `code_dropout` there is one without a code too.
    n_iter_ : int
        Epochs begun; time or Ctrl-C may have cut the last one short.
    stopped_ : str
        Why training ended: "max_iter", "max_time", "early_stopping", "callback", "interrupted" or
        "diverged".
    objective_ : Objective
        What the denoiser predicts, with its noise schedule.
    data_format_ : ImageFormat or VectorFormat
        Layout and range, or standardisation, of the fitted data.
    device_ : torch.device
        Where the networks are.
    precision_ : str
        Arithmetic that was used.
    init_, encoder_augment_ : str or None
        What `init` and `encoder_augment` came to.
    code_dropout_ : float
        Code dropout that the model was trained with.
    ordered_ : bool
        Whether prefixes of its codes can be decoded.
    n_features_in_ : int
        Numbers in a row.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, if X was a table with names.

    See Also
    --------
    dmzrep.priors : Models of codes.
    sklearn.neural_network.BernoulliRBM : Binary features from another generative model.

    References
    ----------
    M. Proszewska, N. Malkin, N. Siddharth, "On Designing Diffusion Autoencoders for Efficient Generation
    and Representation Learning", 2025, arXiv 2506.00136. Terms for the code: Kingma et al., 2016, equation
    15 (free bits); Zhao, Song, Ermon, "InfoVAE", 2017 (discrepancy); Ho, Salimans, "Classifier-Free
    Diffusion Guidance", 2022 (code dropout); Rippel, Gelbart, Adams, "Learning Ordered Representations
    with Nested Dropout", 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from dmzrep import DMZEncoder
    >>> X = load_digits().images / 16.0
    >>> encoder = DMZEncoder(latent_dim=16, max_iter=1, random_state=0).fit(X[:256])
    >>> encoder.transform(X[:4]).shape
    (4, 16)
    >>> encoder.sample(2, n_steps=5, random_state=0).shape
    (2, 8, 8)
    """

    _parameter_constraints: ClassVar[dict] = PARAMETER_CONSTRAINTS

    model_: DiffusionAutoencoder
    prior_: CodePrior | None
    code_report_: pd.DataFrame | None
    code_summary_: pd.Series | None
    history_: pd.DataFrame
    objective_: Objective
    data_format_: ImageFormat | VectorFormat
    device_: torch.device
    precision_: str
    n_iter_: int
    stopped_: str
    init_: str
    encoder_augment_: str | None
    code_dropout_: float
    ordered_: bool

    def __init__(
        self,
        latent_dim=64,
        *,
        output="probabilities",
        image_shape=None,
        channels="auto",
        value_range="auto",
        backbone="auto",
        width="auto",
        depth="auto",
        attention="auto",
        patch_size="auto",
        conditioning="auto",
        code_input="signed",
        dropout=0.0,
        encoder="auto",
        encoder_width="auto",
        encoder_depth="auto",
        normalize_logits=True,
        objective="auto",
        learn_variance=False,
        noise_schedule="auto",
        n_timesteps=1000,
        input_perturbation=0.0,
        timestep_sampling="high_noise",
        temperature=2.0,
        straight_through=False,
        marginal_entropy=0.0,
        decorrelation=0.0,
        kl_weight=0.0,
        kl_free_bits=0.0,
        mmd_weight=0.0,
        code_dropout=0.0,
        ordered=False,
        init="auto",
        prior="auto",
        max_iter=200,
        max_time=None,
        batch_size=64,
        micro_batch_size="auto",
        learning_rate=2e-3,
        encoder_learning_rate="auto",
        final_learning_rate=0.02,
        warmup_steps=50,
        weight_decay=0.01,
        gradient_clip=1.0,
        ema_half_life=500_000,
        validation_fraction=0.05,
        early_stopping=False,
        n_iter_no_change=10,
        warm_start=False,
        checkpoint_dir=None,
        checkpoint_every="epoch",
        checkpoint_keep=2,
        augment=None,
        encoder_augment="auto",
        device="auto",
        precision="auto",
        compile=False,
        random_state=None,
        verbose=0,
    ):
        self.latent_dim = latent_dim
        self.output = output
        self.image_shape = image_shape
        self.channels = channels
        self.value_range = value_range
        self.backbone = backbone
        self.width = width
        self.depth = depth
        self.attention = attention
        self.patch_size = patch_size
        self.conditioning = conditioning
        self.code_input = code_input
        self.dropout = dropout
        self.encoder = encoder
        self.encoder_width = encoder_width
        self.encoder_depth = encoder_depth
        self.normalize_logits = normalize_logits
        self.objective = objective
        self.learn_variance = learn_variance
        self.noise_schedule = noise_schedule
        self.n_timesteps = n_timesteps
        self.input_perturbation = input_perturbation
        self.timestep_sampling = timestep_sampling
        self.temperature = temperature
        self.straight_through = straight_through
        self.marginal_entropy = marginal_entropy
        self.decorrelation = decorrelation
        self.kl_weight = kl_weight
        self.kl_free_bits = kl_free_bits
        self.mmd_weight = mmd_weight
        self.code_dropout = code_dropout
        self.ordered = ordered
        self.init = init
        self.prior = prior
        self.max_iter = max_iter
        self.max_time = max_time
        self.batch_size = batch_size
        self.micro_batch_size = micro_batch_size
        self.learning_rate = learning_rate
        self.encoder_learning_rate = encoder_learning_rate
        self.final_learning_rate = final_learning_rate
        self.warmup_steps = warmup_steps
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.ema_half_life = ema_half_life
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every
        self.checkpoint_keep = checkpoint_keep
        self.augment = augment
        self.encoder_augment = encoder_augment
        self.device = device
        self.precision = precision
        self.compile = compile
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def paper(cls, name: str, **params: Any) -> Self:
        """Give the recipe of one of the paper's experiments.

        Parameters
        ----------
        name : {"cifar10", "celeba64", "edges2handbags64"}
            The experiment.
        **params
            Parameters that override the recipe's. A `backbone` of your own takes the place of the recipe's
            denoiser, dropout included.

        Returns
        -------
        DMZEncoder
            Not fitted.

        Examples
        --------
        >>> from dmzrep import DMZEncoder
        >>> DMZEncoder.paper("cifar10").latent_dim
        16
        """
        own_backbone = isinstance(params.get("backbone"), torch.nn.Module)
        return cls(**(paper_recipe(name, own_backbone=own_backbone) | params))

    # -- learning ------------------------------------------------------------------------------

    @with_callbacks
    def fit(self, X: Any, y: object = None) -> Self:
        """Learn codes from unlabelled rows.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Images of shape (n, H, W), (n, H, W, C), (n, C, H, W), or (n, features) with
            `image_shape`; or vectors of shape (n, features). At least two rows. Memmaps and data sets,
            torch's or Hugging Face's, are read a batch at a time.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            A parameter or X is not as it should be; the message says what and what to do.
        CheckpointMismatchError
            `checkpoint_dir` holds a run of other settings or data.
        TrainingDivergedError
            The loss or the weights became infinite or not a number. The encoder is fitted all the same,
            with the averaged weights of the last step at which all was well, unless there was none.
        """
        self._validate_params()
        try:
            fitted, n_steps = self._fit(X, y)
        finally:
            # Several fits may share a GPU, such as those of a grid search.
            give_back_memory(self.device)
        warn_of_training(fitted, n_steps, stacklevel=3)
        return self

    def _fit(self, X: Any, y: object) -> tuple[dict[str, Any], int]:
        """Fit; give the fitted attributes and the number of steps. What trained is gone afterwards."""
        continued = self.warm_start and hasattr(self, "model_")
        rows, data_format, attributes = open_training_data(self, X, continued=continued)
        import_optimizers()
        processes, seed = begin_run(self, continued)
        checkpoints = None
        if self.checkpoint_dir is not None:
            checkpoints = Checkpoints(
                self.checkpoint_dir,
                every=self.checkpoint_every,
                keep=self.checkpoint_keep,
                processes=processes,
            )
            if self.random_state is None and checkpoints.seed is not None:
                seed = checkpoints.seed
        trainer, start = build_trainer(
            self, rows, data_format, seed, continued, checkpoints=checkpoints, processes=processes
        )
        context = self._init_callback_context(max_subtasks=self.max_iter)
        hooks: list[Hooks] = []
        if processes.is_first:
            context.call_on_fit_task_begin(estimator=self, X=X, y=y)
            hooks.append(CallbackHooks(self, context, X, y, data_format))
        if checkpoints is not None:
            hooks.append(checkpoints)
        fitted = self._train(
            attributes | start, trainer, rows, data_format, seed, hooks, keep_state=self.warm_start
        )
        if processes.is_first:
            context.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes=lambda: fitted)
        return fitted, trainer.step

    def partial_fit(self, X: Any, y: object = None) -> Self:
        """Train for one pass over a further chunk of rows.

        The first call settles the data's format and starts the networks; later ones go on from the
        weights, averages and optimiser state that the last one left, at a constant learning rate.
        The prior, `code_report_` and `code_summary_` are those of the latest chunk of at least 1,000
        rows, or of the first. Vectors are standardised as the first chunk was. The state makes pickles
        about four times as large as those of `fit`.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Rows in one layout throughout.
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        continued = hasattr(self, "model_")
        rows, data_format, attributes = open_training_data(self, X, continued=continued)
        import_optimizers()
        processes, seed = begin_run(self, continued)
        once = {"max_iter": 1, "final_learning_rate": 1.0}
        trainer, start = build_trainer(self, rows, data_format, seed, continued, once, processes=processes)
        small = continued and len(rows) < CHUNK_ROWS
        fitted = self._train(
            attributes | start, trainer, rows, data_format, seed, [], keep_state=True, small_chunk=small
        )
        warn_of_training(fitted, trainer.step, stacklevel=2)
        return self

    def _train(
        self, attributes: dict[str, Any], trainer: Trainer, *run: Any, keep_state: bool, **options: Any
    ) -> dict[str, Any]:
        """Train; take the fitted attributes, all at once, and give them."""
        fitted: dict[str, Any] = {}
        try:
            fitted = train(self, trainer, *run, **options)
        except TrainingDivergedError as error:
            fitted, error.fitted = error.fitted, {}
            raise
        finally:
            if fitted:
                if "n_features_in_" in attributes and hasattr(self, "feature_names_in_"):
                    del self.feature_names_in_
                self.__dict__.update(fitted | attributes)
                self._training_state = trainer.state() if keep_state else None
        return fitted

    def _model(self) -> TrainedModel:
        return TrainedModel(self.model_, self.objective_, self.data_format_, self.device_)

    # -- codes ---------------------------------------------------------------------------------

    def transform(self, X: Any, *, out: np.ndarray | None = None) -> np.ndarray:
        """Encode rows. Deterministic; a row's code does not depend on the other rows.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Rows in the fitted layout.
        out : ndarray of shape (n, latent_dim) or None, default=None
            Where codes are written, such as a memmap for more of them than memory holds: float32, or
            uint8 for bits. None makes an array.

        Returns
        -------
        ndarray of shape (n, latent_dim)
            By `output`: float32 probabilities of a one, in [0, 1]; float32 logits; or uint8 bits, one
            where the probability is above 0.5. After a fit with `ordered` the first k columns are a code
            of k bits. It is `out`, where that was given.

        Raises
        ------
        NotFittedError
            `fit` was not called.
        ValueError
            X does not agree with the fitted format, `out` is of another shape or dtype or cannot be
            written to, or the model has no code.
        TypeError
            `out` is no NumPy array.
        """
        self._check_encodes()
        rows = open_like_fitted(self, X)
        if out is not None:
            check_out(out, (len(rows), self.model_.config.latent_dim), self.output)
        return encode(self._model(), rows, self.output, out)

    def _check_encodes(self) -> None:
        check_is_fitted(self)
        self._check_has_code()
        check_choice("output", self.output, OUTPUTS)

    def _check_has_code(self) -> None:
        if self.model_.config.conditioning == "none":
            raise ValueError(
                "A model with conditioning='none' has no code: it is an unconditional diffusion model. "
                "Fit with conditioning='bias' to get codes."
            )

    def _bits(self, rows: Source, n_bits: int | None = None) -> np.ndarray | None:
        """Bits of rows that are already checked, or None where the model has no code.

        After the first `n_bits` they are 0.5.
        """
        if self.model_.config.conditioning == "none":
            return None
        bits = encode(self._model(), rows, "bits")
        return bits if n_bits is None else whole_codes(bits[:, :n_bits], bits.shape[1])

    def inverse_transform(
        self,
        Z: Any,
        *,
        like: Any = None,
        noise: str = "random",
        start: float = 1.0,
        n_steps: int | None = None,
        sampler: Any = "auto",
        spacing: str = "auto",
        eta: float = 0.0,
        guidance: float = 1.0,
        match_perturbation: bool | str = "auto",
        random_state: int | np.random.RandomState | Sequence[int] | None = 0,
        progress: bool = False,
        callback: Callable[[int, int, np.ndarray], object] | None = None,
        return_trajectory: bool = False,
    ) -> np.ndarray:
        """Draw a row for each code.

        With `like`, the rows that the codes were made from, something of them stays: what the codes
        do not tell.

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim)
            Bits or probabilities, in [0, 1]; 0.5 is a bit that is not told. After a fit with `ordered`
            also the first k columns of codes, of shape (n, k), with k from 8 (from 1 for codes of 8 bits
            or fewer) to latent_dim: the others are then not told.
        like : array-like, table or map-style dataset of n rows, default=None
            Rows in the fitted layout, one for each code, to begin from. Needed with
            ``noise="inverted"`` or `start` below 1; otherwise nothing of them is used.
        noise : {"random", "inverted"}, default="random"
            ``"random"`` draws it. ``"inverted"`` runs the deterministic sampler backwards from `like`
            under its own bits (as many as Z has), so that codes equal to those bits give the rows back,
            nearly.
        start : float, default=1.0
            Begin at this share of the timesteps, in (0, 1], from `like` noised (or inverted) that far:
            the lower, the more of `like` stays. The paper edits from 0.9.
        n_steps : int or None, default=None
            Denoising steps, from 1 to ``round(start * n_timesteps)``; None takes 20, or 50 with
            inverted noise (or all, where there are fewer).
        sampler : str or scheduler of diffusers, default="auto"
            ``"ddim"`` and, of second order and better for the same work, ``"dpm++"`` (DPM-Solver++ 2M)
            and ``"heun"`` solve an ODE: noise decides all. ``"ddpm"`` and ``"dpm++_sde"`` draw noise at each
            step. Each runs the network once a step, ``"heun"`` twice but for the last step.
            ``"auto"`` is DDIM, or DDPM for a model with learned variance. Inverted noise needs DDIM.
            Schedulers of diffusers have their own steps and settings, and begin at noise alone; see
            `dmzrep.diffusion._scheduler_adapter`.
        spacing : {"auto", "trailing", "uniform", "quadratic", "log_snr"}, default="auto"
            Which timesteps are visited; see `dmzrep.diffusion._grids.timestep_grid`. ``"auto"`` is
            ``"trailing"`` for every sampler: it is best, or nearly, where steps are few. With 50 and more
            ``"uniform"`` can be more exact.
        eta : float, default=0.0
            Randomness of DDIM, in [0, 1]; 0 with inverted noise and for other samplers.
        guidance : float, default=1.0
            Weight of classifier-free guidance, at least 0: above 1 rows show what the code tells more
            strongly and vary less; each step costs twice. Needs a model trained with code dropout. Rows are
            inverted under the same guidance; with much of it they no longer come back exactly.
        match_perturbation : bool or "auto", default="auto"
            Of a model trained with input perturbation, whether the network is shown x under the timestep at
            which it saw as much noise in training. ``"auto"`` does so for samplers that solve an ODE, which
            are inexact otherwise, and for schedulers, and not for samplers that draw noise, with which such
            models are published. Nothing changes for other models.
        random_state : int, RandomState, sequence of n int, or None, default=0
            Decides the noise; row i gets the same noise whatever the number of rows. With an integer
            for each row, rows of the same integer share their noise.
        progress : bool, default=False
            Show a bar of steps.
        callback : callable or None, default=None
            Called as ``callback(step, n_steps, rows)`` after each step, counted from 1, with what the clean
            rows are estimated to be, in the user's layout. Rows come in batches, each going through all
            steps: it sees those of one batch at a time.
        return_trajectory : bool, default=False
            Give these estimates of all steps: an array of shape (n_steps, n, *row_shape) whose last entry is
            the rows.

        Returns
        -------
        ndarray of shape (n, *row_shape), or (n_steps, n, *row_shape) with `return_trajectory`
            In the layout, dtype and value range of the fitted data.

        Raises
        ------
        NotFittedError
            `fit` was not called.
        ValueError
            The codes or `like` do not agree with the fitted format or with each other, or another
            argument is not as it should be.

        References
        ----------
        Song, Meng, Ermon, "Denoising Diffusion Implicit Models", 2021, section 4.3 (inversion); Meng et
        al., "SDEdit", 2022 (beginning from a noised picture); Lu et al., "DPM-Solver++", 2022; Karras et al.,
        "Elucidating the Design Space of Diffusion-Based Generative Models", 2022 (Heun); Ho, Salimans,
        "Classifier-Free Diffusion Guidance", 2022.

        Examples
        --------
        >>> import numpy as np
        >>> from dmzrep import DMZEncoder
        >>> from dmzrep.datasets import load_digits_images
        >>> X = load_digits_images().images[:64]
        >>> encoder = DMZEncoder(latent_dim=16, width=(8, 16), max_iter=1, random_state=0).fit(X)
        >>> bits = encoder.transform(X[:2]) > 0.5
        >>> flipped = bits ^ (np.arange(16) == 3)
        >>> encoder.inverse_transform(flipped, like=X[:2], start=0.9, n_steps=2).shape
        (2, 8, 8)
        """
        check_is_fitted(self)
        self._check_has_code()
        latent_dim = self.model_.config.latent_dim
        codes = check_codes(Z, latent_dim, ordered=self.ordered_)
        rows = check_start(self, like, len(codes), noise, start)
        n_bits = codes.shape[1]
        codes = whole_codes(codes, latent_dim)
        options = {
            "n_steps": n_steps,
            "sampler": sampler,
            "spacing": spacing,
            "eta": eta,
            "guidance": guidance,
            "match_perturbation": match_perturbation,
            "progress": progress,
            "callback": callback,
            "return_trajectory": return_trajectory,
        }
        return self._decode(codes, len(codes), options, random_state, rows, noise, start, n_bits=n_bits)

    def _decode(
        self,
        codes: np.ndarray | None,
        n_rows: int,
        options: dict[str, Any],
        random_state: int | np.random.RandomState | Sequence[int] | None,
        like: Source | None = None,
        noise: str = "random",
        start: float = 1.0,
        *,
        n_bits: int | None = None,
    ) -> np.ndarray:
        settled = check_sampling(self, noise=noise, start=start, **options)
        seeds = row_seeds(random_state, n_rows)
        begin = None
        if like is not None:
            inverted = noise == "inverted"
            begin = StartingRows(like, inverted, self._bits(like, n_bits) if inverted else None)
        return decode(self._model(), codes, seeds, start=begin, **settled)

    def reconstruct(
        self,
        X: Any,
        *,
        noise: str = "random",
        n_bits: int | None = None,
        n_steps: int | None = None,
        sampler: Any = "auto",
        spacing: str = "auto",
        guidance: float = 1.0,
        match_perturbation: bool | str = "auto",
        random_state: int | np.random.RandomState | None = 0,
        progress: bool = False,
        callback: Callable[[int, int, np.ndarray], object] | None = None,
        return_trajectory: bool = False,
    ) -> np.ndarray:
        """Encode rows to bits and decode them.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Rows in the fitted layout.
        noise : {"random", "inverted"}, default="random"
            ``"random"`` keeps what the bits tell. ``"inverted"`` first runs the deterministic
            sampler backwards from X to its noise, and so is near-exact.
        n_bits : int or None, default=None
            Decode the first so many bits of each code; needs a fit with `ordered`. From 8 (from 1 for
            codes of 8 bits or fewer) to latent_dim; None takes all.
        n_steps : int or None, default=None
            Denoising steps; None takes 20, or 50 with inverted noise.
        sampler, spacing, guidance, match_perturbation
            As in `inverse_transform`; inverted noise needs DDIM.
        random_state : int, RandomState or None, default=0
            Decides random noise.
        progress, callback, return_trajectory
            As in `inverse_transform`.

        Returns
        -------
        ndarray of shape (n, *row_shape), or (n_steps, n, *row_shape) with `return_trajectory`
            In the layout, dtype and value range of the fitted data.
        """
        check_is_fitted(self)
        check_choice("noise", noise, NOISES)
        rows = open_like_fitted(self, X)
        if noise == "random" or n_bits is not None:
            self._check_has_code()
        if n_bits is not None:
            n_bits = check_n_bits(n_bits, self.model_.config.latent_dim, ordered=self.ordered_)
        codes = self._bits(rows, n_bits)
        like = rows if noise == "inverted" else None
        options = {
            "n_steps": n_steps,
            "sampler": sampler,
            "spacing": spacing,
            "guidance": guidance,
            "match_perturbation": match_perturbation,
            "progress": progress,
            "callback": callback,
            "return_trajectory": return_trajectory,
        }
        return self._decode(codes, len(rows), options, random_state, like, noise, n_bits=n_bits)

    def sample(
        self,
        n_samples: int = 1,
        *,
        n_steps: int | None = None,
        sampler: Any = "auto",
        spacing: str = "auto",
        eta: float = 0.0,
        guidance: float = 1.0,
        match_perturbation: bool | str = "auto",
        prior: str | CodePrior | None = None,
        random_state: int | np.random.RandomState | None = None,
        progress: bool = False,
        callback: Callable[[int, int, np.ndarray], object] | None = None,
        return_trajectory: bool = False,
    ) -> np.ndarray:
        """Draw new rows: codes from the prior, then rows from the codes.

        Parameters
        ----------
        n_samples : int, default=1
            Rows to draw, at least 1.
        n_steps, sampler, spacing, eta, guidance, match_perturbation
            As in `inverse_transform`.
        prior : str, fitted CodePrior or None, default=None
            Where codes come from; None takes `prior_`. ``"uniform"``, ``"independent"`` (shares of ones
            as in `code_report_`) and the name of `prior_` may stand for their priors. Others need codes,
            which the encoder does not keep: ``fit_prior("mixture", encoder.transform(X) > 0.5)``.
        random_state : int, RandomState or None, default=None
            The same integer gives the same rows, one by one, whatever `n_samples`; None gives new
            ones at each call.
        progress, callback, return_trajectory
            As in `inverse_transform`.

        Returns
        -------
        ndarray of shape (n_samples, *row_shape), or (n_steps, n_samples, *row_shape) with `return_trajectory`
            In the layout, dtype and value range of the fitted data.
        """
        check_is_fitted(self)
        n_samples = check_int(n_samples, "n_samples")
        seed = draw_seed(random_state)
        codes = None
        if self.model_.config.conditioning != "none":
            codes = self._prior_to_draw_from(prior).sample(n_samples, random_state=seed)
        options = {
            "n_steps": n_steps,
            "sampler": sampler,
            "spacing": spacing,
            "eta": eta,
            "guidance": guidance,
            "match_perturbation": match_perturbation,
            "progress": progress,
            "callback": callback,
            "return_trajectory": return_trajectory,
        }
        return self._decode(codes, int(n_samples), options, seed)

    def _prior_to_draw_from(self, prior: str | CodePrior | None) -> CodePrior:
        latent_dim = self.model_.config.latent_dim
        if prior is None and self.prior_ is not None:
            return self.prior_
        if isinstance(prior, str) and prior == "uniform":
            return fit_prior("uniform", np.zeros((1, latent_dim)))
        if isinstance(prior, str) and self.prior_ is not None and prior == self.prior_.name:
            return self.prior_
        if isinstance(prior, str) and prior == "independent" and self.code_report_ is not None:
            shares = self.code_report_["mean"].to_numpy(np.float64).clip(1e-6, 1.0 - 1e-6)
            return IndependentPrior().restore({"probabilities_": shares}, latent_dim)
        if isinstance(prior, CodePrior):
            check_is_fitted(prior, "n_features_in_")
            if prior.n_features_in_ != latent_dim:
                raise ValueError(
                    f"The prior was fitted on {prior.n_features_in_} bits, the encoder has {latent_dim}."
                )
            return prior
        own = ""
        if self.prior_ is not None and self.prior_.name not in ("uniform", "independent"):
            own = f"{self.prior_.name!r} (the encoder's own), "
        wanted = prior if isinstance(prior, str) and prior in PRIORS else "chow_liu"
        threshold = {"logits": " > 0", "bits": ""}.get(self.output, " > 0.5")
        raise ValueError(
            f"prior must be None, 'uniform', 'independent', {own}or a fitted prior, got {prior!r}. Others "
            "are fitted to codes, which the encoder does not keep: "
            f"dmzrep.priors.fit_prior({wanted!r}, encoder.transform(X){threshold})."
        )

    # -- likelihood ----------------------------------------------------------------------------

    def score_samples(self, X: Any, *, n_terms: int | None = None) -> np.ndarray:
        """Minus the variational bound of each row, in bits a dimension; higher is better.

        The bound is the rate of the row given its bits plus the rate of the bits under `prior_`.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Rows in the fitted layout.
        n_terms : int or None, default=None
            Network evaluations a row, from 2 to `n_timesteps`: fewer give a stratified estimate
            without bias, `n_timesteps` the whole sum. None takes 32, or all where there are fewer.

        Returns
        -------
        ndarray of shape (n,), float64
            Deterministic, and independent of the other rows. For whole-number images a
            log-probability, for other data a log-density in model units.
        """
        image_rate, code_rate = self._rates(X, n_terms)
        return -(image_rate + code_rate) / (math.log(2.0) * math.prod(self.data_format_.shape))

    def bits_per_dim(self, X: Any, *, n_terms: int | None = None) -> pd.DataFrame:
        """Variational bound over rows in bits a dimension, with its parts; lower is better.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Rows in the fitted layout.
        n_terms : int or None, default=None
            As in `score_samples`; `n_timesteps` gives the whole sum.

        Returns
        -------
        DataFrame
            Rows "image" (a row given its bits), "code" (the bits, under `prior_`) and "total", with the
            columns

            bits_per_dim : mean over rows
            standard_error : of that mean: the standard deviation over rows by the root of their number.
                It covers which rows X has and each row's choice of timesteps and noise, not another
                training. NaN for a single row.
            bits : mean bits of a whole row

        See Also
        --------
        score_samples : The total of each row, with the sign turned.

        Examples
        --------
        >>> from dmzrep import DMZEncoder
        >>> from dmzrep.datasets import load_digits_images
        >>> X = load_digits_images().images[:64]
        >>> encoder = DMZEncoder(latent_dim=16, width=(8, 16), max_iter=1, random_state=0).fit(X)
        >>> table = encoder.bits_per_dim(X, n_terms=4)
        >>> list(table.index), list(table.columns)
        (['image', 'code', 'total'], ['bits_per_dim', 'standard_error', 'bits'])
        """
        return rate_table(*self._rates(X, n_terms), math.prod(self.data_format_.shape))

    def _rates(self, X: Any, n_terms: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Nats of each row given its bits, and of the bits."""
        check_is_fitted(self)
        n_timesteps = self.objective_.schedule.n_timesteps
        n_terms = min(32, n_timesteps) if n_terms is None else n_terms
        n_terms = check_int(n_terms, "n_terms", 2, n_timesteps, limit="n_timesteps")
        rows = open_like_fitted(self, X)
        return row_rates(self._model(), rows, self._bits(rows), self.prior_, n_terms)

    def score(self, X: Any, y: object = None) -> float:
        """Mean of `score_samples`: minus bits a dimension; higher is better.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Rows in the fitted layout.
        y : ignored

        Returns
        -------
        float
        """
        return float(self.score_samples(X).mean())

    # -- files and copies ----------------------------------------------------------------------

    def save(self, path: str | os.PathLike, *, model_card: bool | str | os.PathLike = False) -> None:
        """Write the fitted estimator to one file: safetensors and JSON, no pickle.

        Parameters
        ----------
        path : path-like
            The file, by custom with the ending ``.safetensors``. Written whole or not at all.
        model_card : bool or path-like, default=False
            True writes a model card in Markdown too, beside the file and with the ending ``.md``; a path
            says where. It describes data, training, code, limits and versions, as model hubs expect it,
            and replaces a file of that name.
        """
        check_is_fitted(self)
        write_file(path, *fitted_state(self))
        if model_card is not False:
            write_card(self, path, model_card)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        *,
        device: str | torch.device = "auto",
        backbone: torch.nn.Module | None = None,
    ) -> Self:
        """Read what `save` wrote. Runs no code from the file.

        Parameters
        ----------
        path : path-like
            The file.
        device : str or torch.device, default="auto"
            Where the networks go; becomes the estimator's `device`.
        backbone : torch.nn.Module or None, default=None
            For a fit with a module of your own, one built in the same way; its weights are read from
            the file into a copy.

        Returns
        -------
        DMZEncoder
            Fitted.

        Raises
        ------
        PersistenceError
            The file is foreign, damaged, cut off, or of an unknown version; or `backbone` is missing, not
            called for, or of another shape. The message names the file.
        """
        return restore_fitted(cls, *read_file(path), device, path, backbone)

    def export_encoder(self, path: str | os.PathLike) -> None:
        """Write the encoder to an ONNX file, which runs without torch and dmzrep.

        The model takes rows as `transform` does, in the fitted layout, dtype and value range, any number
        of them, and gives what `transform` gives by `output`. It does not check values.

        Parameters
        ----------
        path : path-like
            The file, by custom with the ending ``.onnx``. Written whole or not at all.

        Raises
        ------
        NotFittedError
            `fit` was not called.
        ImportError
            The packages of the extra ``onnx`` are missing.
        OSError
            The file cannot be written.

        Notes
        -----
        The file's metadata tell `input_name`, `input_layout`, `input_shape`, `input_dtype`, `value_range`,
        `output`, `latent_dim` and `dmzrep_version`. Other runtimes sum in another order than torch, so
        logits agree to some 1e-5, and a bit whose probability is 0.5 may come out the other way.

        Examples
        --------
        >>> from dmzrep import DMZEncoder
        >>> from dmzrep.datasets import load_digits_images
        >>> X = load_digits_images().images
        >>> encoder = DMZEncoder(64, max_time=60).fit(X)  # doctest: +SKIP
        >>> encoder.export_encoder("digits.onnx")  # doctest: +SKIP
        >>> import onnxruntime  # doctest: +SKIP
        >>> session = onnxruntime.InferenceSession("digits.onnx")  # doctest: +SKIP
        >>> (probabilities,) = session.run(None, {"images": X})  # doctest: +SKIP
        """
        self._check_encodes()
        write_encoder(path, self.model_, self.data_format_, self.output)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = on_cpu(self.model_)
            state["device_"] = torch.device("cpu")
        if isinstance(state["backbone"], torch.nn.Module):
            state["backbone"] = on_cpu(state["backbone"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            self.device_ = available_device(self.device)
            self.model_ = place(self.model_, self.device_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def check_encoder(encoder: Any) -> None:
    """Raise unless a value is a fitted DMZEncoder."""
    if not isinstance(encoder, DMZEncoder):
        raise TypeError(f"encoder must be a fitted DMZEncoder, got {short_repr(encoder)}.")
    check_is_fitted(encoder)
