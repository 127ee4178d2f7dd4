"""The moving picture: a state for each step, answers that become right, a small file."""

import pytest

from training import state_film

pytestmark = pytest.mark.neutral


def test_a_frame_has_the_bits_the_state_and_what_is_right_of_it():
    pytest.importorskip("PIL")
    bits, states, right = state_film.solve(bits=32, steps=20)
    assert bits.shape == (32,)
    assert states.shape == (20, 32, 32)
    assert not right[0].all()
    assert right[-1].all()
    picture = state_film.frame(bits, states[0], right[0], 1)
    answers = [picture.getpixel((10 + 5 * i, picture.height - 15)) for i in range(32)]
    assert answers == [state_film.RIGHT if fine else state_film.WRONG for fine in right[0]]


def test_the_page_has_a_frame_for_every_step_and_is_small():
    image = pytest.importorskip("PIL.Image")
    with image.open(state_film.FILE) as film:
        assert film.n_frames == state_film.STEPS
    assert state_film.FILE.stat().st_size < 300_000
