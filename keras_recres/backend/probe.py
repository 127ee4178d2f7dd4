"""What the probes need of the backend in use: the same names for each of them."""

import keras

if keras.backend.backend() == "tensorflow":
    from keras_recres.backend import tensorflow_probe as _probe
elif keras.backend.backend() == "jax":
    from keras_recres.backend import jax_probe as _probe
else:
    from keras_recres.backend import torch_probe as _probe

FASTEST = _probe.FASTEST
compiled = _probe.compiled
compiled_jet = _probe.compiled_jet
float64_scope = _probe.float64_scope
jvp = _probe.jvp
run_once = _probe.run_once
substitutes = _probe.substitutes
tape_jet = _probe.tape_jet
