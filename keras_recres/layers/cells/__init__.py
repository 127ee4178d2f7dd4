"""Recurrent cells, one a file: for `Recurrent`, `keras.layers.RNN`, `Bidirectional`."""
