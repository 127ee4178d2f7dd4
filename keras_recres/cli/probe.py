"""`probe`: what the probes of `keras_recres.probes` measure of a network."""

from keras_recres.cli import (
    probe_curvature,
    probe_gradients,
    probe_lesion,
    probe_receptive,
    probe_responses,
    probe_signal,
)


def add(commands):
    """Adds `probe` and its subcommands."""
    p = commands.add_parser(
        "probe",
        help="measure curvature, gradients, gates, lesions, receptive fields, responses, signals",
        description="Measure what a network does, layer by layer and step by step.",
        epilog="example: keras-recres probe curvature planar_rec",
    )
    probes = p.add_subparsers(dest="probe", required=True, metavar="PROBE")
    for module in (
        probe_curvature,
        probe_gradients,
        probe_lesion,
        probe_receptive,
        probe_responses,
        probe_signal,
    ):
        module.add(probes)
