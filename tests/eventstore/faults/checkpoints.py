"""Logs in memory with one planted fault each, in the checkpoints that come with an append."""

from typing import Any

from eventstore import Appended, Checkpoint, InvalidArgument
from tests.eventstore.faults.logs import Faulty


class TakesWrongCheckpoints(Faulty):
    """Does not look at some of those that come with an append."""

    def taken(self, events: Any, checkpoint: Checkpoint) -> bool:
        raise NotImplementedError

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if checkpoint is None or not self.taken(events, checkpoint):
            return super().planted(stream, events, expected, checkpoint)
        answer = super().planted(stream, events, expected, None)
        self._checkpoints[checkpoint.consumer] = checkpoint.position
        return answer


class TakesCheckpointsBeyondTheHeadWithRepeats(TakesWrongCheckpoints):
    def taken(self, events: Any, checkpoint: Checkpoint) -> bool:
        known = bool(events) and all(event.event_id in self._by_id for event in events)
        return known and checkpoint.position > self.head()


class TakesCheckpointsBeyondTheHeadWithNoEvents(TakesWrongCheckpoints):
    def taken(self, events: Any, checkpoint: Checkpoint) -> bool:
        return not events and checkpoint.position > self.head()


class TakesNegativeCheckpointsWithAppends(TakesWrongCheckpoints):
    def taken(self, events: Any, checkpoint: Checkpoint) -> bool:
        return checkpoint.position < 0


class TakesAnyConsumerWithAppends(TakesWrongCheckpoints):
    def taken(self, events: Any, checkpoint: Checkpoint) -> bool:
        return not checkpoint.consumer or "\0" in checkpoint.consumer


class RefusesCheckpointsFarIntoTheirOwnAppend(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if events and checkpoint is not None and checkpoint.position > self.head() + 2:
            raise InvalidArgument("That lies beyond the head.", remedy="Wait.")
        return super().planted(stream, events, expected, checkpoint)
