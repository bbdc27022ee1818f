"""The simulator's own test: builds that break a promise, each found by the checker of that promise."""

import pytest

from tests.simulation.broken import BUILDS, Broken
from tests.simulation.many import run_seed

FEW = 120
"""Seeds within which a fault must show; most do in the first ten."""


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
def test_a_planted_fault_is_caught_by_the_checker_for_it(
    monkeypatch: pytest.MonkeyPatch, build: Broken
) -> None:
    build.patch(monkeypatch)
    seen: set[str] = set()
    for number in range(FEW):
        _, problems = run_seed(10 * number if build.thorough else number)
        if any(name in problem for problem in problems for name in build.caught_by):
            return
        seen.update(problems)
    pytest.fail(f"nobody of {build.caught_by} noticed in {FEW} seeds; noticed was {sorted(seen)[:5]}")
