"""handoffs: what is live where; one row for each job and platform."""

from caf.events import HandoffPrepared, Posted
from caf.projections.model import JobRows, Projection, Row, Seen

__all__ = ["HANDOFFS"]

SCHEMA = """
CREATE TABLE handoffs (
  job_id           TEXT NOT NULL,
  platform         TEXT NOT NULL,
  post_url         TEXT NOT NULL,
  posted_at        TEXT NOT NULL,
  platform_post_id TEXT,
  author           TEXT,
  niche            TEXT,
  lane             TEXT,
  observed_from    TEXT NOT NULL,
  recorded_at      TEXT NOT NULL,
  PRIMARY KEY (job_id, platform)
);
CREATE TABLE prepared_payloads (
  job_id      TEXT NOT NULL,
  platform    TEXT NOT NULL,
  document    TEXT NOT NULL,   -- workspace-relative path
  recorded_at TEXT NOT NULL,
  PRIMARY KEY (job_id, platform)
);
"""


def _posted(event: Posted, seen: Seen, rows: JobRows) -> None:
    key = (event.platform,)
    if key in rows.of("handoffs"):
        # The first record of a post stays: registering again is a no-op.
        return
    row: Row = {
        "platform": event.platform,
        "post_url": event.post_url,
        "posted_at": event.posted_at,
        "platform_post_id": event.platform_post_id,
        "author": event.author,
        "niche": event.niche,
        "lane": event.lane,
        "observed_from": event.observed_from,
        "recorded_at": seen.recorded_at,
    }
    rows.put("handoffs", key, row)


def _prepared(event: HandoffPrepared, seen: Seen, rows: JobRows) -> None:
    for platform, document in zip(event.platforms, event.documents, strict=True):
        row: Row = {"platform": platform, "document": document, "recorded_at": seen.recorded_at}
        rows.put("prepared_payloads", (platform,), row)


HANDOFFS = Projection(
    name="handoffs", version=1, schema=SCHEMA, handlers={Posted: _posted, HandoffPrepared: _prepared}
)
