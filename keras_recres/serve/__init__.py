"""A model → what a server serves.

>>> from keras_recres import serve
>>> serve.export("cifar_small", "exported")  # doctest: +SKIP
"""

from keras_recres.serve.exporting import export

__all__ = ["export"]
