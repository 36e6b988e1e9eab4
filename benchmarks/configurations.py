"""Configurations of DMZEncoder that benchmarks compare: parameters that differ from the defaults, by name."""

from __future__ import annotations

from typing import Any

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    # How the code enters the denoiser.
    "code_input one_hot": {"code_input": "one_hot"},
    "conditioning bias": {"conditioning": "bias"},
    "conditioning adagn": {"conditioning": "adagn"},
    "conditioning with the timestep": {"conditioning": "timestep"},
    "cross-attention": {"conditioning": "cross_attention"},
    # Inputs of the encoder and the denoiser.
    "the encoder sees images as they are": {"encoder_augment": None},
    "the encoder sees augmented images": {"encoder_augment": "affine"},
    "the encoder sees mirrored images too": {"encoder_augment": "affine_flip"},
    "augment flip": {"augment": "flip"},
    "augment flip, the encoder sees images as they are": {"augment": "flip", "encoder_augment": None},
    "input perturbation 0.1": {"input_perturbation": 0.1},
    # Bits in training.
    "temperature 1": {"temperature": 1.0},
    "temperature 3": {"temperature": 3.0},
    "plain logits": {"normalize_logits": False},
    "straight-through": {"straight_through": True},
    # Agreement of two views, and the code's initialisation.
    "no agreement term": {"agreement": 0.0},
    "agreement 0.2": {"agreement": 0.2},
    "64 filters": {"init_filters": 64},
    "256 filters": {"init_filters": 256},
    # Regularisation and masking of the code.
    "marginal entropy term": {"marginal_entropy": 0.01},
    "decorrelation term": {"decorrelation": "auto"},
    "KL term 0.001": {"kl_weight": 0.001},
    "KL term 0.01, free bits 0.5": {"kl_weight": 0.01, "kl_free_bits": 0.5},
    "MMD term 1": {"mmd_weight": 1.0},
    "code dropout 0.1": {"code_dropout": 0.1},
    "ordered code": {"ordered": True},
    # Initialisation.
    "init random": {"init": "random"},
    "init pca": {"init": "pca"},
    "init itq": {"init": "itq"},
    # Networks. Sides of feature maps: 14 and 7 of images of 28 pixels, 16 and 8 of 32.
    "attention at 7 px": {"attention": (7,)},
    "attention at 8 px": {"attention": (8,)},
    "widths 64 and 64": {"width": (64, 64)},
    "widths 64 and 128": {"width": (64, 128)},
    "patches of 4 px": {"patch_size": 4},
    "depth as in DDPM": {"depth": 1},
    "encoder_width 16": {"encoder_width": 16},
    "encoder_width 64": {"encoder_width": 64},
    "encoder_depth 1": {"encoder_depth": 1},
    "encoder_depth 1, init random": {"encoder_depth": 1, "init": "random"},
    # The objective.
    "uniform timesteps": {"timestep_sampling": "uniform"},
    "objective epsilon": {"objective": "epsilon"},
    "objective sample": {"objective": "sample"},
    "linear schedule": {"noise_schedule": "linear"},
    "learn_variance": {"learn_variance": True},
    # The optimiser.
    "batch 32, learning rate 1e-3": {"batch_size": 32, "learning_rate": 1e-3},
    "batch 128": {"batch_size": 128},
    "learning rate 1e-3": {"learning_rate": 1e-3},
    "learning rate 4e-3": {"learning_rate": 4e-3},
    "encoder's learning rate 3e-4": {"encoder_learning_rate": 3e-4},
    "AdamW": {"optimizer": "adamw"},
    "constant learning rate": {"final_learning_rate": 1.0},
    "warmup 500": {"warmup_steps": 500},
    "ema off": {"ema_half_life": 0.0},
    # Several changes.
    "bias, plain views, temperature 1": {
        "conditioning": "bias",
        "encoder_augment": None,
        "temperature": 1.0,
    },
    # Length of the code.
    **{f"{n} bits": {"latent_dim": n} for n in (8, 16, 32, 128, 256)},
}
