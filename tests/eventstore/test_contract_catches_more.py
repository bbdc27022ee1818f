"""The contract has teeth, check by check: each fault here is run against the one check that is there for it."""

from pathlib import Path

import anyio
import pytest

from eventstore import EventStoreError, MemoryLog, MemoryStore
from eventstore.contract import Contract, DurableContract
from tests.eventstore.faults import (
    chained,
    checkpoints,
    closing,
    filters,
    paging,
    repeats,
    replays,
    shared_files,
    values,
    waking,
)
from tests.eventstore.test_contract_catches import GUARD_S, in_memory

HANGS_S = 1.0
CAUGHT: dict[str, list[type]] = {
    "test_a_repeat_may_span_appends": [
        repeats.RefusesARepeatOfTwoAppends,
        repeats.RefusesARepeatWithOthersBetween,
    ],
    "test_a_repeat_from_two_streams_is_refused": [
        repeats.ComparesTheStreamOfTheFirstEventOnly,
        repeats.TellsNoPositionOfAnIdInAnotherStream,
    ],
    "test_every_field_of_every_event_is_compared": [repeats.ComparesOnlyTheDataOfLaterEvents],
    "test_large_data_is_compared_whole": [
        repeats.ComparesTheBeginningOfLargeData,
        repeats.ComparesTheBeginningOfLargeMetadata,
    ],
    "test_an_id_twice_in_one_append_is_refused_however_far_apart": [
        repeats.ChecksNeighboursForIdsThatComeTwice
    ],
    "test_a_large_append_is_known_when_it_is_repeated": [repeats.KnowsNoRepeatsOfLargeAppends],
    "test_every_uuid_is_an_id": [
        repeats.KnowsIdsByTheirFirstHalf,
        repeats.KnowsIdsByTheirLastHalf,
        values.TakesRandomUuidsOnly,
    ],
    "test_a_checkpoint_that_cannot_be_is_refused_with_every_append": [
        checkpoints.TakesAnyConsumerWithAppends,
        checkpoints.TakesCheckpointsBeyondTheHeadWithNoEvents,
        checkpoints.TakesCheckpointsBeyondTheHeadWithRepeats,
        checkpoints.TakesNegativeCheckpointsWithAppends,
    ],
    "test_a_checkpoint_may_name_the_last_event_of_its_append": [
        checkpoints.RefusesCheckpointsFarIntoTheirOwnAppend
    ],
    "test_an_append_takes_any_sequence_of_events": [values.TakesListsOnly],
    "test_large_type_versions_are_kept_exactly": [values.KeepsTypeVersionsAsFloats],
    "test_an_empty_append_is_answered_with_the_place_of_the_next_event": [
        values.AnswersEmptyAppendsWithZeros
    ],
    "test_events_hold_bytes": [values.ReturnsByteArrays],
    "test_a_category_is_the_same_however_it_is_read": [
        filters.CountsThePositionsOfABatch,
        filters.FindsEventsWithoutACorrelationForAnEmptyOne,
        filters.ReadsCategoriesBackwardByPrefix,
        filters.ReplaysCategoriesByPrefix,
        filters.SubscribesToAllForAnEmptyCategory,
        filters.TakesALimitOfZeroForNoneWithACategory,
        filters.TakesAnEmptyCorrelationForNone,
    ],
    "test_every_name_has_a_version_of_its_own": [
        values.CountsVersionsOfNamesInAnyCase,
        values.ReadsBackwardInAnyCase,
    ],
    "test_a_replay_begins_after_a_position_that_can_be": [replays.ReplaysAllForARangeThatCannotBe],
    "test_a_replay_tells_all_wherever_it_begins": [
        replays.CatchesValueErrorsOnly,
        replays.CountsUnreadablesFromWhereItBegan,
        replays.GivesDecodersViews,
        replays.ReplaysNoColumnsWhereItVerifies,
        replays.ReplaysTheBeginningOfLargeData,
        replays.ReplaysTheBeginningOfLargeMetadata,
        replays.ReplaysTheFirstTypeOfABatch,
        replays.ReplaysTheFirstTypeVersion,
    ],
    "test_the_chain_covers_all_fields_of_every_event": [
        chained.ChainsCausesByTheirPositionHoweverFar,
        chained.ChainsNoCausation,
        chained.ChainsNoCauseByItsPosition,
        chained.ChainsNoCorrelation,
        chained.ChainsNoMetadata,
        chained.ChainsNoType,
        chained.ChainsNoTypeVersion,
        chained.ChainsWithoutSegments,
    ],
    "test_a_witness_of_the_empty_log_agrees_for_ever": [chained.RefusesAWitnessOfTheEmptyLog],
    "test_backward_reading_is_not_moved_by_what_is_appended": [
        paging.PagesBackwardByOffset,
        paging.PagesStreamsBackwardByOffset,
    ],
    "test_readers_see_a_prefix": [paging.ShowsLaterEventsFirstButAnswersInOrder],
    "test_closing_cuts_no_read_short": [
        closing.EndsAReadQuietlyWhenClosed,
        closing.EndsAReplayQuietlyWhenClosed,
        closing.EndsASubscriptionQuietlyWhenClosed,
    ],
    "test_a_store_may_be_closed_twice_at_once": [closing.CannotBeClosedTwiceAtOnce],
    "test_all_waiting_are_woken_and_told": [
        closing.TellsNoSubscriberOfACategoryThatItClosed,
        closing.TellsOneSubscriberThatItClosed,
        waking.WakesOneSubscriber,
    ],
    "test_a_cancelled_subscription_deafens_no_other_that_waits": [
        waking.DeafensAllWhenOneSubscriptionIsCancelled
    ],
    "test_a_large_append_is_brought_whole_while_it_waits": [waking.LosesTheEndOfALargeAppendToItsSubscribers],
    "test_a_cancelled_caller_takes_no_other_along": [waking.CancelsAllOfABatch],
    "test_same_id_other_content_at_once": [waking.ComparesNothingWithinABatch],
    "test_large_append_whole_whatever_else_it_asks": [
        waking.RecordsCheckpointedAppendsInParts,
        waking.RecordsExpectedAppendsInParts,
    ],
    "test_filters_see_what_another_store_appended": [
        shared_files.FindsOnlyItsOwnCorrelations,
        shared_files.FindsOnlyItsOwnInACategory,
        shared_files.HoldsEmptyAppendsAgainstWhatItKnows,
        shared_files.VerifiesOnce,
        shared_files.VerifiesSinceItWasOpened,
    ],
    "test_checkpoints_and_expected_versions_know_what_another_store_appended": [
        shared_files.HoldsCheckpointsAgainstItsOwnHead,
        shared_files.RemembersCheckpointsThatOthersChange,
    ],
    "test_a_replay_brings_what_another_store_appended": [shared_files.ReplaysUpToItsOwn],
    "test_what_another_store_appended_is_compared_whole": [
        shared_files.ComparesNothingThatOthersWrote,
        shared_files.ComparesOnlyTheDataThatOthersWrote,
        shared_files.CutsLargeEventsWhenItIsOpenedAgain,
    ],
    "test_a_subscription_to_a_category_that_waits_sees_what_another_store_appends": [
        shared_files.IsDeafToOthersInACategory
    ],
    "test_a_subscription_that_waits_goes_on_when_another_store_closes": [
        shared_files.DeafensOthersWhenItCloses
    ],
}
HANGING: set[type] = {
    closing.TellsNoSubscriberOfACategoryThatItClosed,
    closing.TellsOneSubscriberThatItClosed,
    shared_files.DeafensOthersWhenItCloses,
    shared_files.IsDeafToOthersInACategory,
    waking.DeafensAllWhenOneSubscriptionIsCancelled,
    waking.LosesTheEndOfALargeAppendToItsSubscribers,
    waking.WakesOneSubscriber,
}
"""Faults that show in that something waits for ever; of the others none may pass for found because a test took long."""


def contract_of(fault: type) -> Contract:
    if issubclass(fault, DurableContract):
        return fault()
    if issubclass(fault, MemoryLog):
        return in_memory(lambda: MemoryStore(fault()))
    assert issubclass(fault, MemoryStore)
    return in_memory(fault)


@pytest.mark.parametrize(
    ("check", "fault"),
    [pytest.param(check, fault, id=fault.__name__) for check, faults in CAUGHT.items() for fault in faults],
)
async def test_a_planted_fault_fails_the_check_that_is_there_for_it(
    check: str, fault: type, tmp_path: Path
) -> None:
    run = getattr(contract_of(fault), check)
    try:
        with anyio.fail_after(HANGS_S if fault in HANGING else GUARD_S):
            await run(tmp_path)
    except TimeoutError:
        assert fault in HANGING, f"{check} took too long"
    except (AssertionError, EventStoreError, ExceptionGroup, IndexError):
        assert fault not in HANGING, f"{fault.__name__} does not hang: take it off the list"
    else:
        pytest.fail(f"{check} passes")
