"""A network of convolutional LSTMs that continues films of two moving digits.

Paper: Shi et al., arXiv 1506.04214, section 4.1, whose network of 128, 64 and 64 maps this is. The
films are drawn anew by the same rules, from MNIST's digits, so that its cross-entropies are not
comparable; a loss here is nats a pixel, 40,960 of which are one of the paper's sequences. Adam
takes the place of RMSProp, and a cosine that of early stopping.

    python -m training.fit conv_lstm_moving_mnist --recipe moving_mnist --data-dir DIR

Hardware: an accelerator, with 20 GFLOP a film and pass. Time and loss: not measured yet.
"""

NAMES = ("conv_lstm_moving_mnist",)
DATASET = "moving_mnist"
SEEDS = 1
PENDING = False
SETTINGS = {
    "epochs": 20,
    "batch-size": 16,
    "learning-rate": 1e-3,
    "schedule": "cosine",
    "warmup-epochs": 0,
    "weight-decay": 0,
    "label-smoothing": 0,
    "clip-norm": 1,
    "augment": "",
    "mixup": 0,
    "precision": "float32",
}
