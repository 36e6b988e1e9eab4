"""Legal values of `DMZEncoder`'s parameters."""

from __future__ import annotations

from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from dmzrep._base._device import PRECISIONS
from dmzrep.diffusion._objective import OBJECTIVES
from dmzrep.diffusion._schedule import NOISE_SCHEDULES
from dmzrep.diffusion._timesteps import TIMESTEP_SAMPLINGS
from dmzrep.networks._conditioning import CONDITIONINGS
from dmzrep.networks._relaxation import CODE_INPUTS
from dmzrep.priors import PRIORS, CodePrior

OUTPUTS = ("probabilities", "logits", "bits")

_POSITIVE_INT = Interval(Integral, 1, None, closed="left")
_POSITIVE = Interval(Real, 0, None, closed="neither")
_WEIGHT = Interval(Real, 0, None, closed="left")

#: What scikit-learn's parameter validation needs, in the order of the constructor.
PARAMETER_CONSTRAINTS: dict = {
    "latent_dim": [_POSITIVE_INT],
    "output": [StrOptions(set(OUTPUTS))],
    "image_shape": [tuple, list, None],
    "channels": [StrOptions({"auto", "first", "last"})],
    "value_range": [StrOptions({"auto"}), tuple, list],
    "backbone": [StrOptions({"auto", "unet", "mlp"}), torch.nn.Module],
    "width": [StrOptions({"auto"}), _POSITIVE_INT, tuple, list],
    "depth": [StrOptions({"auto"}), _POSITIVE_INT, tuple, list],
    "attention": [StrOptions({"auto"}), tuple, list],
    "patch_size": [StrOptions({"auto"}), _POSITIVE_INT],
    "conditioning": [StrOptions({"auto", *CONDITIONINGS})],
    "code_input": [StrOptions(set(CODE_INPUTS))],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "encoder": [StrOptions({"auto", "paper"})],
    "encoder_width": [StrOptions({"auto"}), _POSITIVE_INT],
    "encoder_depth": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
    "normalize_logits": ["boolean"],
    "objective": [StrOptions({"auto", *OBJECTIVES})],
    "learn_variance": ["boolean"],
    "noise_schedule": [StrOptions({"auto", *NOISE_SCHEDULES})],
    "n_timesteps": [Interval(Integral, 2, None, closed="left")],
    "input_perturbation": [Interval(Real, 0, None, closed="left")],
    "timestep_sampling": [StrOptions(set(TIMESTEP_SAMPLINGS))],
    "temperature": [_POSITIVE],
    "straight_through": ["boolean"],
    "marginal_entropy": [_WEIGHT],
    "decorrelation": [StrOptions({"auto"}), _WEIGHT],
    "kl_weight": [_WEIGHT],
    "kl_free_bits": [Interval(Real, 0, 1, closed="left")],
    "mmd_weight": [_WEIGHT],
    "code_dropout": [Interval(Real, 0, 1, closed="left")],
    "ordered": ["boolean"],
    "init": [StrOptions({"auto", "views", "layout", "itq", "pca", "random"})],
    "prior": [StrOptions({"auto", *PRIORS}), CodePrior],
    "max_iter": [_POSITIVE_INT],
    "max_time": [_POSITIVE, None],
    "batch_size": [_POSITIVE_INT],
    "micro_batch_size": [StrOptions({"auto"}), _POSITIVE_INT],
    "learning_rate": [_POSITIVE],
    "encoder_learning_rate": [StrOptions({"auto"}), _POSITIVE],
    "final_learning_rate": [Interval(Real, 0, 1, closed="both")],
    "warmup_steps": [Interval(Integral, 0, None, closed="left")],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "gradient_clip": [_POSITIVE, None],
    "ema_half_life": [Interval(Real, 0, None, closed="left")],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "early_stopping": ["boolean"],
    "n_iter_no_change": [_POSITIVE_INT],
    "warm_start": ["boolean"],
    "checkpoint_dir": [str, HasMethods("__fspath__"), None],
    "checkpoint_every": [StrOptions({"epoch"}), _POSITIVE],
    "checkpoint_keep": [_POSITIVE_INT],
    "augment": [StrOptions({"flip"}), None],
    "encoder_augment": [StrOptions({"auto", "affine", "affine_flip"}), None],
    "device": [str, torch.device],
    "precision": [StrOptions(set(PRECISIONS))],
    "compile": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["boolean", Interval(Integral, 0, None, closed="left")],
}
