"""handoffs: what is live where; one row for each job and platform."""

from collections.abc import Sequence

from caf.events import Event, HandoffPrepared, Posted
from caf.projections.model import Projection, Seen, Statement, upsert

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


def _apply(event: Event, seen: Seen) -> Sequence[Statement]:
    match event:
        case Posted():
            # The first record of a post stays: registering again is a no-op.
            return [
                (
                    "INSERT OR IGNORE INTO handoffs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        seen.job_id,
                        event.platform,
                        event.post_url,
                        event.posted_at,
                        event.platform_post_id,
                        event.author,
                        event.niche,
                        event.lane,
                        event.observed_from,
                        seen.recorded_at,
                    ),
                )
            ]
        case HandoffPrepared(platforms=platforms, documents=documents):
            return [
                upsert(
                    "prepared_payloads",
                    ("job_id", "platform"),
                    {
                        "job_id": seen.job_id,
                        "platform": platform,
                        "document": document,
                        "recorded_at": seen.recorded_at,
                    },
                )
                for platform, document in zip(platforms, documents, strict=True)
            ]
        case _:
            return []


HANDOFFS = Projection(name="handoffs", version=1, schema=SCHEMA, apply=_apply)
