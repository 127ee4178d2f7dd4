"""What the classes of a data set are called, in the order of the logits."""

# The first 80 of Tiny ImageNet's wnids.txt, by the first of WordNet's words.
_TINY_IMAGENET80 = """
Egyptian cat, reel, volleyball, rocking chair, lemon, bullfrog, basketball, cliff, espresso,
plunger, parking meter, German shepherd, dining table, monarch, brown bear, school bus, pizza,
guinea pig, umbrella, organ, oboe, maypole, goldfish, potpie, hourglass, seashore, computer
keyboard, Arabian camel, ice cream, nail, space heater, cardigan, baboon, snail, coral reef,
albatross, spider web, sea cucumber, backpack, Labrador retriever, pretzel, king penguin,
sulphur butterfly, tarantula, lesser panda, pop bottle, banana, sock, cockroach, projectile,
beer bottle, mantis, freight car, guacamole, remote control, European fire salamander,
lakeside, chimpanzee, pay-phone, fur coat, alp, lampshade, torch, abacus, moving van, barrel,
tabby, goose, koala, bullet train, CD player, teapot, birdhouse, gazelle, academic gown,
tractor, ladybug, miniskirt, golden retriever, triumphal arch
"""
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
    "imdb_reviews": ("negative", "positive"),
    "mnist": tuple("0123456789"),
    "tiny_imagenet80": tuple(" ".join(_TINY_IMAGENET80.split()).split(", ")),
}
# Half of the classes each.
CLASS_NAMES["tiny_imagenet40"] = CLASS_NAMES["tiny_imagenet80"][::2]
CLASS_NAMES["tiny_imagenet40_odd"] = CLASS_NAMES["tiny_imagenet80"][1::2]
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
