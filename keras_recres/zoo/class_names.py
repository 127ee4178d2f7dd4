"""What the classes of a data set are called, in the order of the logits."""

CLASS_NAMES = {
    "cifar10": (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    "mnist": tuple("0123456789"),
}
# The same pictures, encoded anew.
CLASS_NAMES["cifar10_jpeg"] = CLASS_NAMES["cifar10"]


def class_names(dataset, num_classes):
    """Names of the classes; their numbers, "0", "1", …, for a data set that is not known here.

    Example:
    >>> class_names("cifar10", 10)[:2]
    ('airplane', 'automobile')

    Args:
        dataset: Name of the data set as the zoo spells it, or None.
        num_classes: How many there are; a known data set with another number gives numbers, too,
            since the model was then given another head.
    """
    known = CLASS_NAMES.get(dataset, ())
    return known if len(known) == num_classes else tuple(str(i) for i in range(num_classes))
