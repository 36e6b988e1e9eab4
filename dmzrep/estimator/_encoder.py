"""The estimator."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self, Unpack

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._isolation import isolated
from dmzrep._base._random import draw_seed, sample_seeds
from dmzrep._base._validation import check_choice, check_int, short_repr
from dmzrep.codes._checks import check_codes
from dmzrep.codes._prefixes import check_n_bits
from dmzrep.data import open_like_fitted
from dmzrep.errors import TrainingDivergedError
from dmzrep.estimator._attributes import warn_of_training
from dmzrep.estimator._callbacks import CallbackHooks
from dmzrep.estimator._fit import begin_run, build_trainer, open_checkpoints, train
from dmzrep.estimator._inputs import NOISES, check_out, open_samples, prior_to_sample, start_of_decoding
from dmzrep.estimator._likelihood import LikelihoodMixin
from dmzrep.estimator._parameters import (
    GROUPS,
    OUTPUTS,
    PARAMETER_CONSTRAINTS,
    group_of,
    point_to_groups,
    split_parameters,
    validate_parameters,
)
from dmzrep.estimator._persistence import PersistenceMixin
from dmzrep.inference import (
    Decoder,
    SamplingOptions,
    StartingSamples,
    encode,
    mask_missing_bits,
    sampling_from,
)
from dmzrep.networks._defaults import paper_recipe
from dmzrep.networks._device import release_cached_memory
from dmzrep.priors import CodePrior
from dmzrep.training import Hooks, Trainer
from dmzrep.training._state import trainer_state

#: Number of samples from which a later chunk of `partial_fit` represents the data.
REPRESENTATIVE_SAMPLES = 1000


class DMZEncoder(
    PersistenceMixin,
    LikelihoodMixin,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Binary codes of images (or vectors) from a diffusion autoencoder.

    An encoder maps a sample to bits, a diffusion model that is conditioned on these bits learns to denoise
    the sample, and both are trained together, without labels, by the denoising loss.

    Parameters
    ----------
    latent_dim : int, default=64
        Number of bits of a code.
    output : {"probabilities", "logits", "bits"}, default="probabilities"
        What `transform` returns: float32 probabilities of a one, float32 logits, or uint8 bits.
    image_shape : tuple of int or None, default=None
        Shape (H, W), (H, W, C) or (C, H, W) of flattened images. With None, 2-D arrays and tables hold
        vectors.
    channels : {"auto", "first", "last"}, default="auto"
        Position of the channel axis of images. ``"auto"`` detects it if only one of the two axes has 1 to 4
        entries.
    value_range : tuple of two floats or "auto", default="auto"
        Smallest and largest possible pixel value. ``"auto"``: 0 to 255 for uint8, 0 to 1 for bool and floats.
    image_reader : ImageReader or None, default=None
        Reader that converts image files to arrays if X contains paths. If None, ``ImageReader()`` (64 x 64
        pixels).
    encoder : {"auto", "paper", "efficientnet_lite0"}, torch.nn.Module or transformer, default="auto"
        ``"auto"`` is a small convolutional network (an MLP for vectors) plus a linear map. ``"paper"`` has
        two outputs per bit and no such map, like the authors' network. The others are feature extractors:
        ``"efficientnet_lite0"``, frozen and pretrained on ImageNet, for photographs (extra ``pretrained``); a
        module that maps images (n, channels, H, W) in [-1, 1], or scaled vectors, to features (n, n_features)
        or (n, n_features, h, w); `fit` trains a copy of it, unless all its parameters are frozen; or a fitted
        scikit-learn transformer of flattened samples (wrap it in ``sklearn.frozen.FrozenEstimator`` for grid
        searches).
    backbone : {"auto", "unet", "mlp"} or torch.nn.Module, default="auto"
        Denoiser: ``"unet"`` for images, ``"mlp"`` for vectors; ``"auto"`` chooses by the data. Or a custom
        module with ``forward(x, t, z)``: noised samples x, (n, channels, H, W) or (n, features); timesteps t
        in [0, 1000), (n,); relaxed bits z in [0, 1], (n, latent_dim); all float32. It returns what
        `Training.objective` names, in the shape of x, or with twice the channels for a learned variance.
        `fit` trains a copy. For UNets of diffusers see `dmzrep.DiffusersBackbone`.
    init : {"auto", "cca", "contrast_pca", "itq", "neighbours", "pca", "random"}, default="auto"
        Initialisation of the encoder. ``"cca"``: canonical correlation analysis of filter responses between
        augmented views of an image, or of vectors and features between a sample and its nearest neighbours,
        for codes that agree with classes. ``"neighbours"``, of vectors and features: a linear map whose bits
        preserve the nearest neighbours. ``"contrast_pca"``: rotated principal components of local contrast.
        ``"itq"``, ``"pca"``: a linear map of the data. ``"random"``: random weights. ``"auto"`` is ``"cca"``
        for feature extractors and with augmented views, ``"neighbours"`` for vectors, ``"contrast_pca"`` for
        spatially aligned images, ``"itq"`` for other images without views, and ``"random"`` for ``"paper"``.
    augment : {"flip"} or None, default=None
        ``"flip"`` mirrors training images at random.
    encoder_augment : {"auto", "affine", "affine_flip"}, RandomViews or None, default="auto"
        ``"affine"`` trains the encoder on slightly shifted, scaled and rotated views, which makes codes
        invariant to small affine transforms; reconstructions lose some information about the position of
        objects. ``"affine_flip"`` also mirrors half of the views, which suits photographs: codes become
        better for search and classification and no longer distinguish left from right. A `RandomViews` sets
        each amount. ``"auto"`` is ``"affine"`` for images, with two exceptions: a frozen feature extractor,
        and spatially aligned images such as centred faces. Images count as aligned if the variance of
        augmented views outside the principal subspace of the images is at least three times that of the
        images.
    code_dropout : float, default=0.0
        Probability, in [0, 1), that the whole code of a sample is masked in training, so that the denoiser
        also learns to work without one. 0.1 is usual for classifier-free guidance.
    ordered : bool, default=False
        Nested dropout: for half of the samples, training masks the bits after a random prefix, so that the
        first 8, 16, 32, ... bits are codes on their own, with the most important bits first.
    prior : {"auto", "uniform", "independent", "chow_liu", "mixture", "dataset", "autoregressive", \
            "resampled"} or CodePrior, default="auto"
        Model of the codes for `sample` and for the rate of the code. ``"auto"`` selects by held-out
        likelihood; without training it is ``"chow_liu"``.
    max_iter : int, default=200
        Maximum number of epochs. 0 initialises the encoder from the data (`init`) and does not train: codes
        within a minute, but no decoder; `fit` with `warm_start` continues training from there.
    max_time : float or None, default=None
        Maximum duration of `fit` in seconds, including initialisation, report and prior; the learning-rate
        schedule follows whichever of `max_iter` and `max_time` will be reached first. When time is short,
        these phases use fewer samples, priors are fitted to bits instead of probabilities, and ``"auto"`` may
        be ``"chow_liu"``. At least one step is made. Runs that the limit ends are not reproducible.
    batch_size : int, default=64
        Samples per step, over all processes.
    learning_rate : float, default=2e-3
        Peak learning rate.
    validation_fraction : float, default=0.05
        Fraction of the samples, at most 1,024, held out to monitor the loss; 0 holds out none.
    early_stopping : bool, default=False
        Stop when the validation loss (the training loss without `validation_fraction`) has not improved for
        `n_iter_no_change` epochs, and keep the weights of the best epoch, whatever ends training.
    n_iter_no_change : int, default=10
        Epochs without improvement before `early_stopping` stops.
    warm_start : bool, default=False
        `fit` continues from the state of the last fit.
    checkpoint_dir : path-like or None, default=None
        Folder for checkpoints of `fit`. Each run has a sub-folder, named by a hash of its parameters, seed
        and data, so that cross-validation can share one folder. A fit with the same parameters and data
        resumes its run from the newest checkpoint, on the CPU to the same weights, bit for bit, as without
        the interruption. `max_iter`, `max_time`, `device`, `prior`, `output` and parameters of checkpoints
        may change. For arrays above 4 GiB, memory maps and datasets, only 4,096 samples are hashed.
    checkpoint_every : {"epoch"} or float, default="epoch"
        Write a checkpoint at the end of each epoch, or whenever that many seconds have passed.
    network : Network or None, default=None
        Shapes of the networks; None is ``Network()``. `set_params` and parameter grids reach its parameters
        by nested names, such as ``network__width``.
    training : Training or None, default=None
        Further parameters of training and of the diffusion process; None is ``Training()``.
    device : str or torch.device, default="auto"
        ``"auto"`` (CUDA, else MPS, else CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    precision : {"auto", "float32", "bf16", "fp16"}, default="auto"
        Floating-point precision of training. ``"auto"`` is bf16 where the hardware supports it, else float32.
    random_state : int, RandomState or None, default=None
        Seed of `fit`. The global generators of torch and NumPy are neither used nor changed.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    decoder_ : Decoder
        The fitted diffusion model: codes to data, and data to noise.
    model_ : DiffusionAutoencoder
        The networks, with averaged weights.
    prior_ : CodePrior or None
        Fitted to the codes of (at most 20,000) training samples; None without codes.
    code_report_, code_summary_ : DataFrame, Series or None
        `dmzrep.metrics.code_report` and `dmzrep.metrics.code_summary` of the same samples.
    calibration_ : Calibration or None
        Estimates of clean data for the likelihood, fitted to (at most 64) held-out samples at 32 noise
        levels; training samples if fewer than 32 are held out. None during training and in older files.
    history_ : DataFrame
        One row per epoch: seconds, samples seen, samples per second, losses, learning rate. The three
        validation losses are those with relaxed bits, with hard bits, and with hard bits of other samples;
        with `code_dropout` there is one with masked codes too.
    n_iter_ : int
        Epochs begun; the last one may be incomplete.
    stopped_ : str
        Why training ended: "max_iter", "max_time", "early_stopping", "callback", "interrupted" or
        "diverged"; "" for callbacks during training.
    objective_ : Objective
        What the denoiser predicts, with its noise schedule.
    data_format_ : ImageFormat or VectorFormat
        Layout and value range, or mean and scale, of the fitted data.
    device_ : torch.device
        Device of the networks.
    precision_, init_, encoder_augment_, image_reader_, init_filters_ : object
        Resolved values of the parameters with these names (`init_filters` is a parameter of `Network`).
    code_dropout_, ordered_ : float, bool
        Values used in `fit`.
    n_features_in_ : int
        Number of features (pixel values for images) per sample.
    feature_names_in_ : ndarray of shape ``(n_features_in_,)``
        Column names, if X was a table with names.

    See Also
    --------
    Network, Training : Groups of parameters.
    dmzrep.priors : Models of codes.
    sklearn.neural_network.BernoulliRBM : Binary features from another generative model.

    Notes
    -----
    Codes are deterministic, and batch-invariant up to rounding: probabilities agree within 1e-5 whatever
    other samples are encoded in the same call, so a bit whose probability is that close to 0.5 can differ.

    References
    ----------
    M. Proszewska, N. Malkin, N. Siddharth, "On Designing Diffusion Autoencoders for Efficient Generation
    and Representation Learning", 2025, arXiv 2506.00136. Ho, Salimans, "Classifier-Free Diffusion Guidance",
    2022 (code dropout). Rippel, Gelbart, Adams, "Learning Ordered Representations with Nested Dropout", 2014.

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
    #: Clock for `max_time`, in seconds.
    _clock: ClassVar[Callable[[], float]] = staticmethod(time.perf_counter)

    @point_to_groups
    def __init__(
        self,
        latent_dim=64,
        *,
        output="probabilities",
        image_shape=None,
        channels="auto",
        value_range="auto",
        image_reader=None,
        encoder="auto",
        backbone="auto",
        init="auto",
        augment=None,
        encoder_augment="auto",
        code_dropout=0.0,
        ordered=False,
        prior="auto",
        max_iter=200,
        max_time=None,
        batch_size=64,
        learning_rate=2e-3,
        validation_fraction=0.05,
        early_stopping=False,
        n_iter_no_change=10,
        warm_start=False,
        checkpoint_dir=None,
        checkpoint_every="epoch",
        network=None,
        training=None,
        device="auto",
        precision="auto",
        random_state=None,
        verbose=0,
    ):
        self.latent_dim = latent_dim
        self.output = output
        self.image_shape = image_shape
        self.channels = channels
        self.value_range = value_range
        self.image_reader = image_reader
        self.encoder = encoder
        self.backbone = backbone
        self.init = init
        self.augment = augment
        self.encoder_augment = encoder_augment
        self.code_dropout = code_dropout
        self.ordered = ordered
        self.prior = prior
        self.max_iter = max_iter
        self.max_time = max_time
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every
        self.network = network
        self.training = training
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of groups by nested names such as ``training__temperature``.

        Parameters
        ----------
        **params
            Parameters by name.

        Returns
        -------
        self
        """
        for name in params:
            group, nested, _ = name.partition("__")
            if nested and group in GROUPS and params.get(group, getattr(self, group)) is None:
                setattr(self, group, GROUPS[group]())
            elif group_of(name):
                raise ValueError(f"Parameter {name!r} belongs to a group. Use {group_of(name)}__{name}.")
        return super().set_params(**params)

    @classmethod
    def paper(cls, name: str, **params: Any) -> Self:
        """Return an encoder with the parameters of one of the paper's experiments.

        Parameters
        ----------
        name : {"cifar10", "celeba64", "edges2handbags64"}
            The experiment.
        **params
            Parameters that replace those of the experiment; parameters of groups by nested names, such as
            ``training__temperature``. A custom `backbone` replaces the denoiser, dropout included.

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
        custom = isinstance(params.get("backbone"), torch.nn.Module)
        recipe = split_parameters(paper_recipe(name, custom_backbone=custom))
        return cls(**recipe).set_params(**params)

    @with_callbacks
    @isolated
    def fit(self, X: Any, y: object = None) -> Self:
        """Learn codes from unlabelled samples.

        Parameters
        ----------
        X : array-like, table, map-style dataset, folder or list of paths
            Images of shape (n, H, W), (n, H, W, C), (n, C, H, W), or (n, features) with `image_shape`; or
            vectors of shape (n, features). At least two samples. Memory maps and datasets of torch or Hugging
            Face are read a batch at a time. Picture files are read as in `dmzrep.datasets.load_images`.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            A parameter or X is invalid.
        CheckpointMismatchError
            The checkpoints of this run in `checkpoint_dir` were replaced by those of another.
        TrainingDivergedError
            The loss or the weights became non-finite. The encoder is fitted nevertheless, with the averaged
            weights of the last finite step, unless the first step failed.
        """
        validate_parameters(self)
        try:
            fitted, n_steps = self._fit(X, y)
        finally:
            # Several fits may share a GPU, such as those of a grid search.
            release_cached_memory(self.device)
        warn_of_training(fitted, n_steps)
        return self

    def _fit(self, X: Any, y: object) -> tuple[dict[str, Any], int]:
        """Return the fitted attributes, which are also set, and the number of steps."""
        continued = self.warm_start and hasattr(self, "model_")
        with begin_run(self, continued) as (budget, seed):
            processes = budget.processes
            samples, data_format, attributes = open_samples(self, X, continued)
            checkpoints, seed = open_checkpoints(self, samples, data_format, processes, seed)
            trainer, resolved = build_trainer(
                self, samples, data_format, seed, continued, checkpoints=checkpoints, budget=budget
            )
            attributes |= resolved
            context = self._init_callback_context(max_subtasks=self.max_iter)
            hooks: list[Hooks] = [] if checkpoints is None else [checkpoints]
            arguments = {"estimator": self, "X": X, "y": y}
            if processes.is_first:
                context.call_on_fit_task_begin(**arguments)
                hooks.insert(0, CallbackHooks(context, arguments, data_format, attributes))
            fitted = self._train(
                attributes, trainer, samples, data_format, seed, hooks, keep_state=self.warm_start
            )
            if processes.is_first:
                context.call_on_fit_task_end(**arguments, reconstruction_attributes=lambda: fitted)
            return fitted, trainer.step

    @isolated
    def partial_fit(self, X: Any, y: object = None) -> Self:
        """Train for one pass over a further chunk of samples.

        The first call determines the format of the data and initialises the networks; later ones continue
        from its state, at a constant learning rate. Vectors are scaled as the first chunk was. The
        prior, `code_report_` and `code_summary_` are those of the latest chunk of at least 1,000 samples, or
        of the first. The training state makes pickles about four times as large as those of `fit`.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Samples in one layout throughout.
        y : ignored

        Returns
        -------
        self
        """
        validate_parameters(self)
        continued = hasattr(self, "model_")
        overrides = {"max_iter": 1, "final_learning_rate": 1.0}
        with begin_run(self, continued) as (budget, seed):
            samples, data_format, attributes = open_samples(self, X, continued)
            trainer, resolved = build_trainer(
                self, samples, data_format, seed, continued, overrides, budget=budget
            )
            small = continued and len(samples) < REPRESENTATIVE_SAMPLES
            # More chunks may follow, so the encoder is not frozen at the end of one.
            options = {"keep_state": True, "small_chunk": small, "freeze": False}
            fitted = self._train(attributes | resolved, trainer, samples, data_format, seed, [], **options)
        warn_of_training(fitted, trainer.step)
        return self

    def _train(
        self, attributes: dict[str, Any], trainer: Trainer, *run: Any, keep_state: bool, **options: Any
    ) -> dict[str, Any]:
        """Train; set and return the fitted attributes."""
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
                self._training_state = trainer_state(trainer) if keep_state else None
        return fitted

    @property
    def decoder_(self) -> Decoder:
        """The fitted diffusion model."""
        if not hasattr(self, "model_"):
            raise AttributeError(f"This {type(self).__name__} has no decoder_: call fit first.")
        parts = self.model_, self.objective_, self.data_format_, self.device_, self.code_dropout_
        is_trained = self.n_iter_ > 0 or self.stopped_ == "loaded"
        return Decoder(*parts, self.calibration_, is_trained=is_trained)

    @isolated
    def transform(self, X: Any, *, out: np.ndarray | None = None) -> np.ndarray:
        """Encode samples. Deterministic, and batch-invariant up to rounding.

        Parameters
        ----------
        X : array-like, table, map-style dataset, folder or list of paths
            Samples in the fitted layout.
        out : ndarray of shape (n, latent_dim) or None, default=None
            Array to write the codes to, such as a memory map: float32, or uint8 for bits.

        Returns
        -------
        ndarray of shape (n, latent_dim)
            By `output`: float32 probabilities of a one, in [0, 1]; float32 logits; or uint8 bits, one where
            the probability is above 0.5. After a fit with `ordered` the first k columns are a code of k
            bits. `out`, if that was passed.

        Raises
        ------
        ValueError
            X does not agree with the fitted format, `out` has another shape or dtype or is read-only, or
            the model has no code.
        """
        self._check_encodes()
        samples = open_like_fitted(self, X)
        if out is not None:
            check_out(out, (len(samples), self.decoder_.latent_dim), self.output)
        return encode(self.decoder_, samples, self.output, out)

    def _check_encodes(self) -> None:
        check_is_fitted(self)
        self._check_has_code()
        check_choice("output", self.output, OUTPUTS)

    def _check_has_code(self) -> None:
        if not self.decoder_.has_code:
            raise ValueError(
                "A model with conditioning='none' has no code: it is an unconditional diffusion model. "
                "Fit with network=Network(conditioning='bias') to get codes."
            )

    @isolated
    def inverse_transform(
        self,
        Z: Any,
        *,
        like: Any = None,
        noise: str = "random",
        strength: float = 1.0,
        random_state: int | np.random.RandomState | Sequence[int] | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> np.ndarray:
        """Draw a sample for each code.

        With `like`, the samples that were encoded, it keeps some of the information that is not in the codes.

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim)
            Bits or probabilities, in [0, 1]; 0.5 is a masked bit. After a fit with `ordered` also the first k
            columns of codes, of shape (n, k), with k from 8 (from 1 for codes of at most 8 bits) to
            latent_dim: the others are then masked.
        like : array-like, table or map-style dataset of n samples, default=None
            Samples in the fitted layout, one for each code, to begin from. Needed with ``noise="inverted"``
            or `strength` below 1; otherwise unused.
        noise : {"random", "inverted", "zero"}, default="random"
            ``"random"`` draws the noise. ``"inverted"`` runs the deterministic sampler backwards from `like`
            given its bits (as many as Z has), so that these bits reconstruct the samples almost exactly.
            ``"zero"`` begins from zeros: one typical sample of each code, closer to most of its samples than
            any drawn at random (unless `sampler` or `eta` draws noise at each step).
        strength : float, default=1.0
            Begin at this fraction of the timesteps, in (0, 1], from `like` noised (or inverted) to that
            timestep: smaller values keep more of `like`. The paper uses 0.9 for editing.
        random_state : int, RandomState, sequence of n int, or None, default=None
            Seed of the noise; pass an int for reproducible output. The noise of sample i does not depend on
            the number of samples. With one int per sample, samples of the same int share their noise.
        **sampling
            `n_steps`, `sampler`, `spacing`, `eta`, `guidance`, `match_perturbation`, `progress`, `callback`
            and `return_trajectory`; see `dmzrep.Sampling`.

        Returns
        -------
        ndarray of shape ``(n, *sample_shape)``
            In the layout, dtype and value range of the fitted data. With `return_trajectory`, of shape
            ``(n_steps, n, *sample_shape)``.

        Raises
        ------
        ValueError
            The codes or `like` do not agree with the fitted format or with each other, or another argument
            is invalid.

        References
        ----------
        Song, Meng, Ermon, "Denoising Diffusion Implicit Models", 2021, section 4.3 (inversion); Meng et
        al., "SDEdit", 2022 (strength).

        Examples
        --------
        >>> import numpy as np
        >>> from dmzrep import DMZEncoder, Network
        >>> from dmzrep.datasets import load_digits_images
        >>> X = load_digits_images().images[:64]
        >>> encoder = DMZEncoder(16, network=Network(width=(8, 16)), max_iter=1, random_state=0).fit(X)
        >>> bits = encoder.transform(X[:2]) > 0.5
        >>> flipped = bits ^ (np.arange(16) == 3)
        >>> encoder.inverse_transform(flipped, like=X[:2], strength=0.9, n_steps=2).shape
        (2, 8, 8)
        """
        check_is_fitted(self)
        self._check_has_code()
        options = sampling_from(sampling)
        latent_dim = self.decoder_.latent_dim
        codes = check_codes(Z, n_bits=latent_dim, ordered=self.ordered_).astype(np.float32)
        start = start_of_decoding(self, like, codes.shape, noise, strength)
        seeds = sample_seeds(random_state, len(codes))
        return self.decoder_.decode(mask_missing_bits(codes, latent_dim), seeds, options, start=start)

    @isolated
    def reconstruct(
        self,
        X: Any,
        *,
        noise: str = "zero",
        n_bits: int | None = None,
        random_state: int | np.random.RandomState | Sequence[int] | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> np.ndarray:
        """Encode samples to bits and decode them.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Samples in the fitted layout.
        noise : {"zero", "random", "inverted"}, default="zero"
            ``"zero"`` decodes the bits to one typical sample, which is closer than those that ``"random"``
            noise leads to. ``"inverted"`` runs the deterministic sampler backwards from X to its noise first,
            so that the reconstruction is almost exact.
        n_bits : int or None, default=None
            Decode a prefix of this length of each code, as in `inverse_transform`; None takes all bits.
        random_state : int, RandomState, sequence of n int, or None, default=None
            Seed of random noise, as in `inverse_transform`.
        **sampling
            As in `inverse_transform`; inverted noise needs DDIM.

        Returns
        -------
        ndarray of shape ``(n, *sample_shape)``
            In the layout, dtype and value range of the fitted data. With `return_trajectory`, of shape
            ``(n_steps, n, *sample_shape)``.
        """
        check_is_fitted(self)
        self.decoder_.check_trained()  # Before samples are encoded, which may take long.
        check_choice("noise", noise, NOISES)
        options = sampling_from(sampling)
        samples = open_like_fitted(self, X)
        if noise != "inverted" or n_bits is not None:
            self._check_has_code()
        if n_bits is not None:
            n_bits = check_n_bits(n_bits, self.decoder_.latent_dim, ordered=self.ordered_)
        if noise != "inverted":
            bits = encode(self.decoder_, samples, "bits")[:, :n_bits]
            return self.inverse_transform(bits, noise=noise, random_state=random_state, **sampling)
        # Bits are computed batch by batch, so that samples are read once.
        start = StartingSamples(samples, inverted=True, n_bits=n_bits)
        return self.decoder_.decode(None, sample_seeds(random_state, len(samples)), options, start=start)

    @isolated
    def sample(
        self,
        n_samples: int = 1,
        *,
        prior: str | CodePrior | None = None,
        random_state: int | np.random.RandomState | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> np.ndarray:
        """Draw new samples: codes from the prior, then data from the codes.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples, at least 1.
        prior : str, fitted CodePrior or None, default=None
            Distribution of the codes; None is `prior_`. Possible names are ``"uniform"``, ``"independent"``
            (with the means of `code_report_`) and that of `prior_`. Others have to be fitted to codes first:
            ``fit_prior("mixture", encoder.transform(X))``.
        random_state : int, RandomState or None, default=None
            Pass an int for reproducible output; sample i does not depend on `n_samples`.
        **sampling
            As in `inverse_transform`.

        Returns
        -------
        ndarray of shape ``(n_samples, *sample_shape)``
            In the layout, dtype and value range of the fitted data. With `return_trajectory`, of shape
            ``(n_steps, n_samples, *sample_shape)``.
        """
        check_is_fitted(self)
        options = sampling_from(sampling)
        n_samples = check_int(n_samples, "n_samples")
        seed = draw_seed(random_state)
        codes = None
        if self.decoder_.has_code:
            codes = prior_to_sample(self, prior).sample(n_samples, random_state=seed)
        return self.decoder_.decode(codes, sample_seeds(seed, n_samples), options)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

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
