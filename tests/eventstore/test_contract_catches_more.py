"""The contract has teeth, check by check: each fault here is run against the one check that is there for it."""

from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest
from msgspec import structs

from eventstore import EventStoreError, MemoryLog, MemoryStore
from eventstore.chain import Keyring
from eventstore.contract import Contract, DurableContract
from tests.eventstore.faults import (
    boundaries,
    chained,
    checkpoints,
    closing,
    contents,
    crowds,
    different,
    filters,
    live,
    others,
    paging,
    reading,
    reopened,
    repeats,
    replays,
    shared_files,
    values,
    waking,
)
from tests.eventstore.test_contract_catches import GUARD_S, in_memory

HANGS_S = 0.5
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
    "test_a_cancelled_caller_takes_no_other_along": [
        crowds.ShiftsAnswersBehindACancelledCaller,
        waking.CancelsAllOfABatch,
    ],
    "test_an_append_that_was_made_before_the_store_closed_is_finished": [
        crowds.RefusesWhatWaitsWhenItCloses,
    ],
    "test_of_appends_at_once_to_streams_that_are_there_each_saves_its_checkpoint": [
        crowds.SavesOneCheckpointOfABatchForStreamsThatItKnows,
    ],
    "test_a_subscription_that_stops_a_while_misses_nothing": [live.SkipsWhatItsNewsNoLongerHold],
    "test_a_category_is_the_same_for_those_who_wait": [live.FollowsACategoryByPrefixOnceItWaits],
    "test_a_subscription_of_a_store_whose_loop_stood_still_misses_nothing": [
        others.SkipsWhatItWasNotToldOf,
    ],
    "test_a_subscription_that_ends_deafens_no_other_to_what_another_store_appends": [
        others.HearsNoOthersAfterASubscriptionEnded,
    ],
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
    "test_no_number_is_too_large_to_begin_after": [
        boundaries.ReadsAfterPositionsModuloAWord,
        boundaries.ReadsAfterVersionsModuloAWord,
        boundaries.TakesExpectedVersionsModuloAWord,
        live.FollowsAfterPositionsModuloAWord,
        live.RefusesToFollowFromTheLargestNumber,
    ],
    "test_no_number_is_too_large_to_be_a_limit": [
        boundaries.TakesALimitOf31BitsForNone,
        boundaries.TakesLimitsModuloAWord,
    ],
    "test_a_log_of_any_length_is_read_to_its_end": [
        boundaries.EndsAReadAtAFullPage,
        boundaries.RepeatsTheLastOfAFullPage,
    ],
    "test_as_many_events_come_as_are_asked_for": [
        boundaries.ForgetsWhereToStopBehindTheFirstPageBackward,
        boundaries.ForgetsWhereToStopInAStreamBackward,
        boundaries.KeepsLimitsToAThousand,
    ],
    "test_an_append_of_any_length_is_recorded_whole": [
        boundaries.LosesTheLastOfAnAppendOf512,
        boundaries.TurnsAppendsOf64And1,
    ],
    "test_data_of_any_size_comes_back_whole": [
        boundaries.CutsDataOfExactly64KiB,
        boundaries.CutsMetadataAt65535,
    ],
    "test_many_streams_types_and_threads_are_kept_apart": [
        boundaries.ForgetsTheOldestOfAThousandStreams,
        boundaries.KeepsAThousandCorrelations,
        boundaries.KeepsTypesInAByte,
    ],
    "test_an_append_of_any_size_expects_its_version_and_is_refused_whole": [
        boundaries.ExpectsNothingOfLargeAppends,
        boundaries.ExpectsNothingWhereNothingIsAppended,
        boundaries.RefusesALargeAppendInPieces,
        boundaries.RefusesHeavyAppendsInPieces,
        contents.TellsTheFirstEventsVersionInConflicts,
    ],
    "test_a_page_of_large_events_ends_no_read": [
        boundaries.ReadsAPageOfEightMebibytes,
    ],
    "test_saving_a_checkpoint_records_no_event": [
        boundaries.SavesCheckpointsAsEvents,
    ],
    "test_what_is_rare_is_replayed_past_all_others": [
        boundaries.EndsAReplayOfACategoryInAPageWithoutIt,
    ],
    "test_what_is_nearly_the_same_is_other_content": [
        contents.ComparesCorrelationAndCausationTogether,
        contents.ComparesDataAndMetadataJoined,
        contents.ComparesDataAsJson,
        contents.ComparesDataWithoutTrailingZeros,
        contents.ComparesLengthsAndBeginnings,
        contents.ComparesNamesInAnyCase,
        contents.ComparesNothingAsText,
        contents.ComparesTypeAndVersionJoined,
        contents.ComparesTypeVersionsAsBytes,
        contents.KeepsTypesByNameAndVersionJoined,
    ],
    "test_data_is_kept_to_the_byte": [
        contents.CutsAByteOrderMarkOff,
        contents.CutsBlanksOffData,
        contents.CutsZerosOffData,
        contents.WritesJsonAnew,
        contents.WritesLinesAnew,
    ],
    "test_every_cause_is_kept": [
        contents.DropsCausesThatItDoesNotKnow,
        contents.DropsEventsThatCauseThemselves,
    ],
    "test_names_that_are_nearly_the_same_are_streams_of_their_own": [
        contents.CutsCategoriesAtAnyDash,
        contents.CutsCategoriesAtColons,
        contents.CutsControlsOffNames,
        contents.CutsNamesAt255,
        contents.CutsNewlinesOffNames,
        contents.ExpectsNothingOfNamesBeyondAscii,
        contents.FoldsSlashesInNames,
        contents.ReadsStreamsByPattern,
        contents.RefusesLongNamesOfManyBytes,
        contents.TakesNumbersInNamesAsNumbers,
        contents.TakesTrailingDotsOff,
        contents.UnquotesNames,
    ],
    "test_a_partly_known_append_tells_what_is_known_and_where": [
        contents.KnowsAPartialRepeatByItsFirstAndLast,
        contents.SeesNoConflictInARepeatOfAnOldBeginning,
        contents.TellsNoPositionOfAPartialRepeat,
        contents.TellsTheWrongEventOfAPartialRepeat,
    ],
    "test_the_time_of_an_event_is_that_of_no_zone": [
        contents.StampsLocalTime,
    ],
    "test_an_unreadable_event_says_what_its_decoder_said": [
        contents.SaysNothingOfWhyItIsUnreadable,
    ],
    "test_of_appends_that_wait_together_each_saves_its_own_checkpoint": [
        crowds.RecordsCheckpointsOfRepeatsInABatchLate,
        crowds.SavesCheckpointsOfWhatABatchRefuses,
        crowds.SavesOnlyTheLastCheckpointOfABatch,
    ],
    "test_any_number_that_append_at_once_is_answered": [
        crowds.ForgetsTheLastOfABatchOf128,
    ],
    "test_versions_that_are_expected_of_one_stream_at_once_are_held_one_by_one": [
        crowds.AcceptsOneExpectedVersionTwiceInABatchWithAnotherBetween,
    ],
    "test_a_large_or_heavy_append_is_seen_whole_or_not_at_all": [
        crowds.LetsAHeavyAppendBePassed,
        crowds.LetsALargeAppendBePassed,
    ],
    "test_leaving_a_store_closes_it_whatever_is_raised": [
        crowds.StaysOpenWhenItsBlockRaises,
    ],
    "test_whatever_is_recorded_wakes_those_who_wait": [
        live.StampsLiveBatchesWithNoTime,
        live.WakesNobodyForCheckpointedAppends,
        live.WakesNobodyForExpectedAppends,
        live.WakesNobodyForLargeEvents,
        live.WakesNobodyForMoreThan256,
        live.WakesNobodyForNewStreams,
    ],
    "test_a_cancelled_append_that_is_recorded_wakes_those_who_wait": [
        live.WakesNobodyForACancelledAppend,
    ],
    "test_a_subscription_that_waits_for_a_position_begins_behind_it": [
        live.BringsTheWholeOfTheLastAppend,
    ],
    "test_what_records_nothing_brings_nothing": [
        live.RepeatsTheLastWhenItIsWokenForNothing,
    ],
    "test_what_a_subscription_brings_is_recorded": [
        live.TellsOfEventsBeforeTheyAreRecorded,
    ],
    "test_a_subscription_hears_however_many_ended_before_it": [
        live.FollowsAtMostAHundredTimes,
        live.GoesDeafWhenTheLastSubscriptionEnds,
    ],
    "test_a_very_large_event_comes_by_every_way": [
        live.DropsLiveEventsOfAMebibyte,
    ],
    "test_a_subscription_goes_on_behind_any_page": [
        live.LosesTheNextAfterAFullPage,
        live.RepeatsTheLastOfAFullPageWhenItGoesLive,
    ],
    "test_reads_that_go_on_at_once_leave_each_other_alone": [
        reading.SharesOneCursor,
        reading.SharesOneCursorForStreams,
    ],
    "test_a_read_left_half_way_holds_up_nobody": [
        reading.HoldsAppendsUpWhileItReplays,
        reading.ReadsAtMostTwentyAtATime,
        reading.ReadsStreamsAtMostTwentyAtATime,
    ],
    "test_a_read_goes_on_where_the_log_grows": [
        reading.EndsAReadOfACategoryWhereTheLogGrows,
    ],
    "test_verification_finds_no_fault_in_what_others_are_writing": [
        reading.FindsFaultsInAReplayWhileOthersWrite,
        reading.FindsFaultsWhileOthersWrite,
    ],
    "test_the_last_event_is_found_at_once_however_it_is_asked_for": [
        reading.ReadsBackwardFromWhereTheLastReadEnded,
    ],
    "test_whatever_is_cancelled_leaves_the_store_usable": [
        reading.KeepsAPlaceForEachCancelledCheckpoint,
        reading.KeepsAPlaceForEachCancelledRead,
        reading.KeepsAPlaceForEachCancelledReplay,
    ],
    "test_whatever_part_of_an_append_is_known_is_known_when_the_log_is_opened_again": [
        reopened.LooksForTheFirstIdInItsFile,
    ],
    "test_a_long_log_is_the_same_when_it_is_opened_again": [
        reopened.ReadsTheLastTenThousandWhenItIsOpenedAgain,
    ],
    "test_every_answer_is_the_same_when_the_log_is_opened_again": [
        reopened.FoldsConsumersWhenItIsOpenedAgain,
        reopened.KeepsTheLargestCheckpointInItsFile,
        reopened.LosesCausesWhenItIsOpenedAgain,
        reopened.LosesMetadataWhenItIsOpenedAgain,
    ],
    "test_much_that_another_store_appended_is_known": [
        reopened.KnowsAThousandIdsOfOthers,
    ],
    "test_each_store_reads_backward_from_the_end_that_another_made": [
        reopened.ReadsBackwardFromItsOwnEnd,
        reopened.ReadsStreamsBackwardFromItsOwnEnd,
    ],
    "test_all_that_wait_are_woken_by_what_another_store_appends": [
        reopened.HearsNoOthersAfterItsLastSubscriptionEnded,
        reopened.LosesLargeAppendsOfOthers,
        reopened.WakesOneSubscriptionForOthers,
    ],
    "test_a_slow_subscription_of_another_store_holds_up_no_writer": [
        reopened.WaitsForSlowSubscriptionsOfOthers,
    ],
    "test_what_a_killed_process_was_told_is_there": [
        reopened.WritesCheckpointsWhenItIsClosed,
        reopened.WritesIdsWhenItIsClosed,
    ],
    "test_what_was_acknowledged_is_there_however_the_store_was_left": [
        reopened.TakesBackWhatABrokenBlockAppended,
    ],
}
HANGING: set[type] = {
    others.HearsNoOthersAfterASubscriptionEnded,
    closing.TellsNoSubscriberOfACategoryThatItClosed,
    closing.TellsOneSubscriberThatItClosed,
    shared_files.DeafensOthersWhenItCloses,
    shared_files.IsDeafToOthersInACategory,
    waking.DeafensAllWhenOneSubscriptionIsCancelled,
    waking.LosesTheEndOfALargeAppendToItsSubscribers,
    waking.WakesOneSubscriber,
    live.DropsLiveEventsOfAMebibyte,
    live.FollowsAtMostAHundredTimes,
    live.GoesDeafWhenTheLastSubscriptionEnds,
    live.LosesTheNextAfterAFullPage,
    live.WakesNobodyForACancelledAppend,
    live.WakesNobodyForCheckpointedAppends,
    live.WakesNobodyForExpectedAppends,
    live.WakesNobodyForLargeEvents,
    live.WakesNobodyForMoreThan256,
    live.WakesNobodyForNewStreams,
    reading.HoldsAppendsUpWhileItReplays,
    reading.KeepsAPlaceForEachCancelledCheckpoint,
    reading.KeepsAPlaceForEachCancelledRead,
    reading.KeepsAPlaceForEachCancelledReplay,
    reading.ReadsAtMostTwentyAtATime,
    reading.ReadsStreamsAtMostTwentyAtATime,
    reopened.HearsNoOthersAfterItsLastSubscriptionEnded,
    reopened.WaitsForSlowSubscriptionsOfOthers,
    reopened.WakesOneSubscriptionForOthers,
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


async def test_a_store_that_commits_together_what_waits_passes(tmp_path: Path) -> None:
    run = in_memory(crowds.BatchesWithoutAFault)
    for check, faults in CAUGHT.items():
        if any(issubclass(fault, crowds.BatchesWithoutAFault) for fault in faults):
            (tmp_path / check).mkdir()
            await getattr(run, check)(tmp_path / check)


@pytest.mark.parametrize(
    "values",
    [
        {"metadata": b""},
        {"recorded_at_ms": 0},
        {"causation_id": None},
        {"type_version": 1},
        {"event_id": str(UUID(int=1))},
        {"stream": "job-0"},
        {"data": b""},
    ],
    ids=lambda values: next(iter(values)),
)
async def test_a_field_that_the_chains_own_code_leaves_out_is_missed(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = Keyring.frame
    monkeypatch.setattr(
        Keyring, "frame", lambda keys, event, at: frame(keys, structs.replace(event, **values), at)
    )
    with pytest.raises(AssertionError):
        await in_memory(MemoryStore).test_the_chain_covers_all_fields_of_every_event(tmp_path)


@pytest.mark.parametrize("kind", different.CHECKS, ids=lambda kind: kind.__name__)
async def test_a_store_that_is_only_different_passes(kind: type[MemoryStore], tmp_path: Path) -> None:
    run = in_memory(kind)
    for check in different.CHECKS[kind]:
        (tmp_path / check).mkdir()
        with anyio.fail_after(GUARD_S):
            await getattr(run, check)(tmp_path / check)
