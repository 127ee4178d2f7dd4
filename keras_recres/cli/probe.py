"""`probe`: how a network bends curves, and what becomes of a signal in it."""

from keras_recres.cli import probe_curvature, probe_signal


def add(commands):
    """Adds `probe curvature` and `probe signal`."""
    p = commands.add_parser(
        "probe",
        help="measure curvature, or the signal at initialisation",
        description="Measure curvature, or the signal at initialisation.",
        epilog="example: keras-recres probe curvature planar_rec",
    )
    probes = p.add_subparsers(dest="probe", required=True, metavar="PROBE")
    probe_curvature.add(probes)
    probe_signal.add(probes)
