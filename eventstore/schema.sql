-- The tables of an event log. Stored shape: a change needs a new user_version and a step that leads there.
-- People read the view `log`; the tables hold keys instead of names that repeat, and UUIDs as 16 bytes.

CREATE TABLE streams (
    stream_key INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    category   TEXT NOT NULL GENERATED ALWAYS AS
               (CASE instr(name, '-') WHEN 0 THEN name ELSE substr(name, 1, instr(name, '-') - 1) END) STORED
) STRICT;
CREATE TABLE types (
    type_key     INTEGER PRIMARY KEY,
    type         TEXT NOT NULL,
    type_version INTEGER NOT NULL,
    UNIQUE (type, type_version)
) STRICT;
CREATE TABLE correlations (
    correlation_key INTEGER PRIMARY KEY,
    correlation_id  TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE events (
    position        INTEGER PRIMARY KEY,
    stream_key      INTEGER NOT NULL REFERENCES streams,
    version         INTEGER NOT NULL,
    type_key        INTEGER NOT NULL REFERENCES types,
    recorded_at_ms  INTEGER NOT NULL,
    event_id        BLOB NOT NULL UNIQUE CHECK (length(event_id) = 16),
    correlation_key INTEGER REFERENCES correlations,
    causation_id    ANY,
    metadata        BLOB NOT NULL,
    digest          BLOB NOT NULL CHECK (length(digest) = 32),
    data            BLOB NOT NULL,
    UNIQUE (stream_key, version)
) STRICT;
CREATE INDEX events_by_correlation ON events (correlation_key) WHERE correlation_key IS NOT NULL;
CREATE TABLE checkpoints (
    consumer    TEXT PRIMARY KEY,
    position    INTEGER NOT NULL,
    saved_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Immutable by the database. INSERT OR REPLACE deletes the row in its way without firing a DELETE trigger
-- (unless recursive_triggers is on), so the INSERT triggers refuse every row that would be in conflict.
CREATE TRIGGER streams_no_replace BEFORE INSERT ON streams
WHEN EXISTS (SELECT 1 FROM streams WHERE name = NEW.name OR stream_key = NEW.stream_key)
BEGIN SELECT RAISE(ABORT, 'streams: what is recorded is never replaced'); END;
CREATE TRIGGER types_no_replace BEFORE INSERT ON types
WHEN EXISTS (SELECT 1 FROM types WHERE type = NEW.type AND type_version = NEW.type_version
             UNION ALL SELECT 1 FROM types WHERE type_key = NEW.type_key)
BEGIN SELECT RAISE(ABORT, 'types: what is recorded is never replaced'); END;
CREATE TRIGGER correlations_no_replace BEFORE INSERT ON correlations
WHEN EXISTS (SELECT 1 FROM correlations
             WHERE correlation_id = NEW.correlation_id OR correlation_key = NEW.correlation_key)
BEGIN SELECT RAISE(ABORT, 'correlations: what is recorded is never replaced'); END;
CREATE TRIGGER events_only_append BEFORE INSERT ON events
BEGIN
    SELECT RAISE(ABORT, 'events: position must be the last one + 1')
    WHERE NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events);
    SELECT RAISE(ABORT, 'events: version must be the stream''s last one + 1')
    WHERE NEW.version IS NOT
          (SELECT coalesce(max(version), 0) + 1 FROM events WHERE stream_key = NEW.stream_key);
    SELECT RAISE(ABORT, 'events: this event_id is recorded already')
    WHERE EXISTS (SELECT 1 FROM events WHERE event_id = NEW.event_id);
END;
CREATE TRIGGER events_no_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events: what is recorded is never changed'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events: what is recorded is never deleted'); END;
CREATE TRIGGER streams_no_update BEFORE UPDATE ON streams
BEGIN SELECT RAISE(ABORT, 'streams: what is recorded is never changed'); END;
CREATE TRIGGER streams_no_delete BEFORE DELETE ON streams
BEGIN SELECT RAISE(ABORT, 'streams: what is recorded is never deleted'); END;
CREATE TRIGGER types_no_update BEFORE UPDATE ON types
BEGIN SELECT RAISE(ABORT, 'types: what is recorded is never changed'); END;
CREATE TRIGGER types_no_delete BEFORE DELETE ON types
BEGIN SELECT RAISE(ABORT, 'types: what is recorded is never deleted'); END;
CREATE TRIGGER correlations_no_update BEFORE UPDATE ON correlations
BEGIN SELECT RAISE(ABORT, 'correlations: what is recorded is never changed'); END;
CREATE TRIGGER correlations_no_delete BEFORE DELETE ON correlations
BEGIN SELECT RAISE(ABORT, 'correlations: what is recorded is never deleted'); END;

CREATE VIEW log AS
SELECT e.position, s.name AS stream, s.category, e.version, t.type, t.type_version,
       lower(substr(hex(e.event_id), 1, 8) || '-' || substr(hex(e.event_id), 9, 4) || '-' ||
             substr(hex(e.event_id), 13, 4) || '-' || substr(hex(e.event_id), 17, 4) || '-' ||
             substr(hex(e.event_id), 21)) AS event_id,
       c.correlation_id,
       CASE typeof(e.causation_id) WHEN 'blob' THEN
       lower(substr(hex(e.causation_id), 1, 8) || '-' || substr(hex(e.causation_id), 9, 4) || '-' ||
             substr(hex(e.causation_id), 13, 4) || '-' || substr(hex(e.causation_id), 17, 4) || '-' ||
             substr(hex(e.causation_id), 21)) ELSE e.causation_id END AS causation_id,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.recorded_at_ms / 1000.0, 'unixepoch') AS recorded_at,
       CAST(e.data AS TEXT) AS data, CAST(e.metadata AS TEXT) AS metadata, lower(hex(e.digest)) AS digest
FROM events e LEFT JOIN streams s USING (stream_key) LEFT JOIN types t USING (type_key)
              LEFT JOIN correlations c USING (correlation_key);
