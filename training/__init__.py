"""Keras ``fit()`` scripts that train and measure the zoo's models; run from a checkout.

python -m training.data --help       data sets: what is there, download, pack
python -m training.fit --help        train one model of the zoo on one data set
python -m training.evaluate --help   measure weights, file a finished run into the zoo
python -m training.pending --help    train what the zoo lacks, here or on a machine elsewhere
"""

import os

# TensorFlow would print ten lines about the processor before our first one.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
