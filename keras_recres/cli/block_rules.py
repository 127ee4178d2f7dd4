"""Rules for blocks as command lines spell them, "conv4*=16,keep=ends", read without Keras."""

# The parameter that the number is, and others that may follow: `keras_recres.models.rules` has
# these functions. `own` is a list, and remains Python's.
PARAMETERS = {"repeat": ("steps", "residual_scale"), "fold": ("rank", "init", "keep")}


def read(rule, text):
    """The pattern and the arguments of a rule.

    Example:
    >>> read("fold", "conv4*=16,keep=ends")
    ('conv4*', {'rank': 16, 'keep': 'ends'})

    Args:
        rule: "repeat" or "fold".
        text: PATTERN=NUMBER, and NAME=VALUE after commas; "none" is None.

    Raises:
        ValueError: If it is not spelt so, in a sentence that begins with "must be".
    """
    number, *others = PARAMETERS[rule]
    head, *more = text.split(",")
    pattern, _, value = head.rpartition("=")
    arguments = dict(pair.partition("=")[::2] for pair in more)
    if not (pattern and value.isdigit() and arguments.keys() <= {*others}):
        form = f"PATTERN={number.upper()}" + "".join(f"[,{name}=…]" for name in others)
        raise ValueError(f"must be {form}, such as '*=2', found {text!r}")
    named = {name: None if value == "none" else value for name, value in arguments.items()}
    return pattern, {number: int(value), **named}
