"""How each backend spreads training over devices: the same names for each of them."""

import keras

if keras.backend.backend() == "tensorflow":
    from keras_recres.backend import tensorflow_distribution as _distribution
elif keras.backend.backend() == "jax":
    from keras_recres.backend import jax_distribution as _distribution
else:
    from keras_recres.backend import torch_distribution as _distribution

KINDS = _distribution.KINDS
detect = _distribution.detect
enter = _distribution.enter
