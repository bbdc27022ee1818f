"""Where features are at home is told from the frames that are known, in whatever order these were found."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from caf.engines.homes import KEEPS_PX, Homes
from caf.engines.tracks import Tracks

START, FRAMES, FEATURES = 8, 13, 40


def generation(seed: int) -> tuple[Tracks, NDArray[np.complex128], NDArray[np.complex128]]:
    """Features of a picture that moves, some of which stray or are lost; and the picture's factors and shifts."""
    rng = np.random.default_rng(seed)
    factor = np.exp(rng.normal(0, 0.02, FRAMES) + 1j * rng.normal(0, 0.02, FRAMES))
    shift = rng.normal(0, 9, FRAMES) + 1j * rng.normal(0, 9, FRAMES)
    home = rng.uniform(0, 640, FEATURES) + 1j * rng.uniform(0, 360, FEATURES)
    noise = rng.choice([0.1, 0.35, 2.0], FEATURES)[:, None]
    places = home[:, None] * factor + shift + noise * rng.normal(0, 1, (FEATURES, FRAMES))
    lost = rng.integers(2, 2 * FRAMES, FEATURES)
    places[np.arange(FRAMES) >= lost[:, None]] = complex(np.nan, np.nan)
    return Tracks(START, places.astype(np.complex64)), factor, shift


def by_definition(
    tracks: Tracks, at: dict[int, tuple[complex, complex]], frame: int
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    homes, now = [], []
    for feature in tracks.places.astype(np.complex128):
        seen = [
            (feature[f - START] - shift) / factor
            for f, (factor, shift) in at.items()
            if f != frame and not np.isnan(feature[f - START])
        ]
        here = feature[frame - START]
        if len(seen) < 3 or np.isnan(here):
            continue
        spread = np.sqrt((np.abs(np.array(seen) - np.mean(seen)) ** 2).sum() / (len(seen) - 1))
        if spread < KEEPS_PX:
            homes.append(np.mean(seen))
            now.append(here)
    return np.array(homes, np.complex128), np.array(now, np.complex128)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(START, START + FRAMES - 1), min_size=1, max_size=30),
    st.integers(START, START + FRAMES - 1),
)
def test_a_home_is_the_mean_over_the_other_known_frames(seed: int, known: list[int], frame: int) -> None:
    tracks, factor, shift = generation(seed)
    homes, at = Homes(tracks), {}
    for turn, each in enumerate(known):
        at[each] = complex(factor[each - START]), complex(shift[each - START] + (turn % 3) * 0.05)
        homes.know(each, *at[each])
    for _ in range(2):
        home, now = homes.keeping(frame)
        wanted, there = by_definition(tracks, at, frame)
        assert len(home) == len(wanted)
        assert np.allclose(home, wanted, atol=1e-6)
        assert np.array_equal(now, there)


def test_a_generation_has_the_frames_from_its_first_to_its_last() -> None:
    homes = Homes(generation(1)[0])
    assert [frame for frame in range(40) if homes.has(frame)] == list(range(START, START + FRAMES))
