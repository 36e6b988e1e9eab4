"""Benchmarks: one command per question, with results as JSON lines in `benchmarks/results`."""
