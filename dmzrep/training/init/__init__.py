"""Initialisation of the encoder from data."""
