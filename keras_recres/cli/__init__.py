"""The command `keras-recres`. Nothing here imports Keras before a command computes something."""
