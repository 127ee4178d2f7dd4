"""Residual networks that spend computation instead of parameters, in Keras 3."""
