"""Diffusion: schedules, objectives, samplers and likelihood, independent of the networks."""
