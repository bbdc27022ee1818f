"""Encoders are believed once they have encoded a picture; that they are listed says nothing."""

import pytest

from caf.errors import UnavailableError
from caf.media.encoders import HARDWARE, chosen, quality_of, working


def test_the_first_candidate_that_really_encodes_is_chosen() -> None:
    # MPEG-4 is one that takes no NV12 and so encodes nothing here, as a card's encoder without its card.
    assert working(("no_such_encoder", "mpeg4", "libx264")) == ("libx264",)
    assert chosen("hardware", ("no_such_encoder", "mpeg4", "libx264")) == "libx264"


def test_a_refusal_names_every_encoder_that_was_tried_and_why() -> None:
    with pytest.raises(UnavailableError, match=r"no_such_encoder: these libraries do not have it; mpeg4: ."):
        chosen("hardware", ("no_such_encoder", "mpeg4"))


def test_the_processor_stands_in_only_where_that_was_said() -> None:
    assert chosen("hardware_or_libx264", ("no_such_encoder",)) == "libx264"
    assert chosen("libx264", ("no_such_encoder",)) == "libx264"


def test_every_hardware_encoder_is_told_the_quality_in_its_own_words() -> None:
    told = {name: dict(quality_of(name, 18)) for name in HARDWARE}
    assert all("18" in options.values() and "crf" not in options for options in told.values())
    assert dict(quality_of("libx264", 18)) == {"crf": "18"}
