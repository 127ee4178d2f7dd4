"""Measurements, one module each; `python -m training.benchmark` runs them."""
