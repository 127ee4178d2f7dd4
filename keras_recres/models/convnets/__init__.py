"""The classic convolutional networks, one family a file."""
