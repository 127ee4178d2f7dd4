"""`probe`: what the probes of `keras_recres.probes` measure of a network."""

from keras_recres.cli import (
    probe_curvature,
    probe_lesion,
    probe_receptive,
    probe_responses,
    probe_signal,
)


def add(commands):
    """Adds `probe` and its subcommands."""
    p = commands.add_parser(
        "probe",
        help="measure curvature, lesions, receptive fields, responses, the initial signal",
        description="Measure curvature, lesions, receptive fields, responses, the initial signal.",
        epilog="example: keras-recres probe curvature planar_rec",
    )
    probes = p.add_subparsers(dest="probe", required=True, metavar="PROBE")
    for module in (
        probe_curvature,
        probe_lesion,
        probe_receptive,
        probe_responses,
        probe_signal,
    ):
        module.add(probes)
