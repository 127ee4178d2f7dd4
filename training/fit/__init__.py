"""One training with Keras' own `fit`: `loop.py`, and what it is made of."""
