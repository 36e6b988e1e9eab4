"""Benchmarks: one command a question, results as JSON lines in `benchmarks/results`."""
