"""The papers' tables and figures, one module an experiment.

Nothing imports a study but by its name in this table, when it is asked for.
"""

import importlib

EXPERIMENTS = {
    "planar": "table 1 and figure 2: two-neuron shallow, recurrent and deep residual networks",
    "curvature": "figures 1 to 3, table 2: curvature by layer, and whether accuracy follows it",
    "cifar_tables": "two tables: CIFAR-10 networks with fewer parameters by groups and volumes",
    "mnist_init": "maps and limits of depth on MNIST: initialisation by mean-field theory",
    "mnist_resnet50": "seven ResNet-50s on MNIST: tanh, ReLU and α-ReLU, He and Xavier",
    "mean_field": "networks at initialisation against the theory of infinite width; phase planes",
    "t2t_vit": "table 2: T2T-ViTs with and without recurrence, what trainings of them say",
    "equal_computation": "T2T-ViTs without recurrence, trained for as much computation as with it",
    "recurrent_forms": "T2T-ViT recurrence with norms, vectors and numbers of steps of its own",
    "deep_thinking": "prefix sums and mazes: more steps solve larger problems, and what that needs",
    "shared_resnet": "one residual block a stage: recurrence's share of what depth buys",
    "tied_planar": "tied or untied steps, with shortcuts or without, of equal parameters: a plane",
    "tied_convnets": "the same of convolutions: do shortcuts suit recurrence more than none do?",
    "degradation": "plain and residual networks of 20 and 56 layers: loss and layer responses",
    "shortcuts": "residual units of 56 layers: six shortcuts, five places of norms and ReLUs",
    "lesion": "blocks deleted and reordered, paths of the gradient: a residual and a plain network",
    "in_depth": "trained networks repeated and folded, trained on, against what costs as much",
    "transfer": "few photographs of unseen classes, from scratch, 32- and 64-pixel weights",
    "recurrent_text": "IMDB reviews: recurrent networks and NB-SVM, epoch and threshold held out",
    "highway": "plain and highway networks, 10 to 100 deep, on MNIST; what gates learnt",
    "neocognitron": "a cell a digit wherever it lies, beside small convolutional networks",
    "ensembles": "three seeds of a network as one, against one of three times the parameters",
    "factorisation": "kernels in parts, heads of averages, pyramids: networks at 16 x 16 pixels",
    "gradient_flow": "gradients in time and depth, clipped or not: what learns the adding task",
    "truncation": "gradients of k steps: what they learn, and the memory they take",
    "ode": "dynamical systems followed by recurrent networks: error against units",
    "depth_and_time": "digits row by row: networks in depth and time at equal parameters",
    "moving_mnist": "films of digits: convolutional LSTMs with and without peepholes, FC-LSTM",
    "made_trees": "recurrent, recursive and tensor networks on trees, at equal parameters",
    "meta_heads": "CIFAR-10 with grouped heads: softmax, initialisation, number of groups",
}


def of(name):
    """The study of this name."""
    return importlib.import_module(f"{__name__}.{name}").STUDY
