"""Read models: disposable rows, each a pure fold of the log; see `caf.projections.follower` for the shell."""

from caf.projections.attempts import ATTEMPTS
from caf.projections.experience import EXPERIENCE
from caf.projections.handoffs import HANDOFFS
from caf.projections.inbox import INBOX
from caf.projections.jobs import JOBS
from caf.projections.measurements import MEASUREMENTS
from caf.projections.model import JobRows, Projection, Row, Seen, SqlValue

__all__ = ["ALL", "JobRows", "Projection", "Row", "Seen", "SqlValue"]

ALL: tuple[Projection, ...] = (JOBS, ATTEMPTS, MEASUREMENTS, EXPERIENCE, INBOX, HANDOFFS)
