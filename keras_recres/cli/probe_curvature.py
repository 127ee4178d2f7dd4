"""`probe curvature`: how much each layer of a network bends a curve in input space."""

from pathlib import Path

import numpy as np

from keras_recres.cli import figures, images, options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, count, number, show
from keras_recres.cli.terminal import working
from keras_recres.zoo import pictures

COLUMNS = [
    Column("layer"),
    Column("step", right=True),
    Column("kappa_q25", "κ, 25 %", number, right=True),
    Column("kappa_median", "median", number, right=True),
    Column("kappa_q75", "75 %", number, right=True),
    Column("speed_median", "speed", number, right=True),
    Column("arc_length", "length", number, right=True),
    Column("total_curvature", "turning", number, right=True),
    Column("kinks", format=count, right=True),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "curvature",
        _curvature,
        "measure how much each layer bends a curve in input space: a circle in the plane, for "
        "images a great circle through two random inputs or a spline through images",
        [
            "probe curvature planar_rec",
            "probe curvature vit3_rec --layers 'block*' --plot curvature.png --csv curvature.csv",
            "probe curvature cifar_small --through a.png b.png c.png --json",
        ],
    )
    options.add_network(p, untrained=True)
    p.add_argument(
        "--through",
        nargs="+",
        type=Path,
        metavar="IMAGE",
        help="a curve through two images or more, on their way through the preprocessing",
    )
    p.add_argument("--points", type=options.positive, default=100, help="θ; default 100")
    p.add_argument("--layers", nargs="+", metavar="LAYER", help="names, paths, wildcards")
    p.add_argument("--last-steps", action="store_true", help="only the last step of each block")
    p.add_argument("--seed", type=int, default=0, help="of the random inputs; default 0")
    figures.add(p)
    options.add_json(p)


def _curvature(arguments):
    record = options.check_network(arguments)
    pixels = []
    if arguments.through is not None:
        channels = images.channels_of(record, record.default_tag)
        if len(arguments.through) < 2:
            raise UserError("--through must name two images at least, found one.")
        for path in arguments.through:
            if not path.is_file():
                raise UserError(f"there is no image file {str(path)!r}.")
            try:
                pixels.append(pictures.decode(path.read_bytes(), channels))
            except ValueError as error:
                raise UserError(f"{str(path)!r} {error}.") from None
    figures.check(arguments)
    model = options.load_network(arguments)
    from keras_recres.probes import extrinsic_curvature

    curve = _curve(model, pixels, arguments.seed)
    with working(f"measuring along a {curve.name}"):
        measured = extrinsic_curvature(
            model,
            curve,
            curve.theta(arguments.points),
            layers=arguments.layers,
            steps=not arguments.last_steps,
        )
    figures.write(arguments, measured)
    show(
        measured.table(),
        COLUMNS,
        arguments.json,
        title=f"{record.name}, curvature κ along a {curve.name}, {arguments.points} θ",
    )


def _curve(model, pixels, seed):
    from keras_recres.probes import curves

    if pixels:
        from keras import ops

        inputs = [ops.convert_to_numpy(model.preprocess(image[None]))[0] for image in pixels]
        return curves.spline(np.stack(inputs), name="spline through images")
    shape = model.input_shape[1:]
    if shape == (2,):
        return curves.circle()
    a, b = np.random.default_rng(seed).standard_normal((2, *shape))
    return curves.great_circle(a, b)
