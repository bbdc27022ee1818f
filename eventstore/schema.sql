-- The tables of an event log. Stored shape: a change needs a new user_version and a step that leads there.
-- People read the view `log`; the tables hold keys instead of names that repeat, and UUIDs as 16 bytes.

CREATE TABLE streams (
    stream_key     INTEGER PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    category       TEXT NOT NULL GENERATED ALWAYS AS
               (CASE instr(name, '-') WHEN 0 THEN name ELSE substr(name, 1, instr(name, '-') - 1) END) STORED,
    first_position INTEGER NOT NULL
) STRICT;
CREATE TABLE types (
    type_key       INTEGER PRIMARY KEY,
    type           TEXT NOT NULL,
    type_version   INTEGER NOT NULL,
    first_position INTEGER NOT NULL,
    UNIQUE (type, type_version)
) STRICT;
CREATE TABLE correlations (
    correlation_key INTEGER PRIMARY KEY,
    correlation_id  TEXT NOT NULL UNIQUE,
    first_position  INTEGER NOT NULL
) STRICT;
CREATE TABLE events (
    position        INTEGER PRIMARY KEY,
    stream_key      INTEGER NOT NULL REFERENCES streams,
    version         INTEGER NOT NULL,
    type_key        INTEGER NOT NULL REFERENCES types,
    recorded_at_ms  INTEGER NOT NULL,
    event_id        BLOB NOT NULL CHECK (length(event_id) = 16),
    correlation_key INTEGER REFERENCES correlations,
    causation       ANY,  -- an event's position, or an id: 16 bytes of a UUID, or text
    metadata        BLOB NOT NULL,
    mark            ANY NOT NULL, -- checksum; at the end of 256 events 4 bytes of that, then a digest
    data            BLOB, -- NULL: moved to the archive that archived names
    chunk           INTEGER NOT NULL GENERATED ALWAYS AS (position >> 12) VIRTUAL
) STRICT;
-- The events of a stream, found in two steps: in which chunks of 4096 positions they lie, then in each of these. So
-- all that is appended goes to the same few pages, however many streams there are.
CREATE TABLE chunks (
    stream_key    INTEGER NOT NULL REFERENCES streams,
    chunk         INTEGER NOT NULL,
    first_version INTEGER NOT NULL,
    PRIMARY KEY (stream_key, chunk)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_chunk ON events (chunk, stream_key, version);
-- Which streams hold events of a correlation: an index of all events would cost more than the events' own.
CREATE TABLE correlated (
    correlation_key INTEGER NOT NULL REFERENCES correlations,
    stream_key      INTEGER NOT NULL REFERENCES streams,
    PRIMARY KEY (correlation_key, stream_key)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
    consumer    TEXT PRIMARY KEY,
    position    INTEGER NOT NULL,
    saved_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Logs beside this one that hold the data of streams up to a version; their events keep their places here.
CREATE TABLE archives (
    archive_key INTEGER PRIMARY KEY,
    file        TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE archived (
    stream_key   INTEGER PRIMARY KEY REFERENCES streams,
    archive_key  INTEGER NOT NULL REFERENCES archives,
    last_version INTEGER NOT NULL
) STRICT;

-- Where an event id is recorded, for all positions up to id_index.indexed; what _ids.py makes of the events. fold
-- is the id's first 8 bytes XOR its last 8, of that the last 6 bytes, as a number.
CREATE TABLE recent_ids (
    fold     INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (fold, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE older_ids (
    fold     INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (fold, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE id_index (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    indexed INTEGER NOT NULL,
    recent  INTEGER NOT NULL,
    moved   INTEGER NOT NULL
) STRICT;
INSERT INTO id_index VALUES (1, 0, 0, 0);

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
CREATE TRIGGER chunks_only_append BEFORE INSERT ON chunks
WHEN EXISTS (SELECT 1 FROM chunks WHERE stream_key = NEW.stream_key
             AND (chunk >= NEW.chunk OR first_version >= NEW.first_version))
BEGIN SELECT RAISE(ABORT, 'chunks: what is recorded is never replaced'); END;
CREATE TRIGGER events_only_append BEFORE INSERT ON events
WHEN NEW.data IS NULL OR NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
     OR NEW.version IS NOT coalesce(
         (SELECT max(version) + 1 FROM events
          WHERE chunk = NEW.position >> 12 AND stream_key = NEW.stream_key),
         -- The first one of its stream in this chunk comes after the last one in the stream's chunk before.
         (SELECT coalesce(
              (SELECT max(version) + 1 FROM events
               WHERE chunk = (SELECT max(p.chunk) FROM chunks p
                                       WHERE p.stream_key = NEW.stream_key AND p.chunk < c.chunk)
                     AND stream_key = NEW.stream_key),
              1)
          FROM chunks c
          WHERE c.stream_key = NEW.stream_key AND c.chunk = NEW.position >> 12
                AND c.first_version = NEW.version))
BEGIN
    SELECT RAISE(ABORT, 'events: position must be the last one + 1, and version the stream''s last one + 1');
END;
CREATE TRIGGER events_no_update BEFORE UPDATE ON events
WHEN (NEW.data IS NULL AND OLD.version <= (SELECT last_version FROM archived WHERE stream_key = OLD.stream_key)
          AND NEW.position = OLD.position AND NEW.stream_key = OLD.stream_key AND NEW.version = OLD.version
          AND NEW.type_key = OLD.type_key AND NEW.recorded_at_ms = OLD.recorded_at_ms
          AND NEW.event_id = OLD.event_id AND NEW.correlation_key IS OLD.correlation_key
          AND NEW.causation IS OLD.causation AND NEW.metadata = OLD.metadata AND NEW.mark = OLD.mark) IS NOT 1
BEGIN SELECT RAISE(ABORT, 'events: what is recorded is never changed'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events: what is recorded is never deleted'); END;
-- Only a store can do this: it brings the function, once the archive is on the disk and verified.
CREATE TRIGGER archived_by_a_store BEFORE INSERT ON archived WHEN eventstore_archives() IS NOT 1
     OR EXISTS (SELECT 1 FROM archived WHERE stream_key = NEW.stream_key)
BEGIN SELECT RAISE(ABORT, 'archived: only a store moves streams to an archive, each once'); END;
CREATE TRIGGER archived_no_update BEFORE UPDATE ON archived
BEGIN SELECT RAISE(ABORT, 'archived: what is recorded is never changed'); END;
CREATE TRIGGER archived_no_delete BEFORE DELETE ON archived
BEGIN SELECT RAISE(ABORT, 'archived: what is recorded is never deleted'); END;
CREATE TRIGGER archives_no_replace BEFORE INSERT ON archives
WHEN EXISTS (SELECT 1 FROM archives WHERE file = NEW.file OR archive_key = NEW.archive_key)
BEGIN SELECT RAISE(ABORT, 'archives: what is recorded is never replaced'); END;
CREATE TRIGGER archives_no_update BEFORE UPDATE ON archives
BEGIN SELECT RAISE(ABORT, 'archives: what is recorded is never changed'); END;
CREATE TRIGGER archives_no_delete BEFORE DELETE ON archives
BEGIN SELECT RAISE(ABORT, 'archives: what is recorded is never deleted'); END;
CREATE TRIGGER chunks_no_update BEFORE UPDATE ON chunks
BEGIN SELECT RAISE(ABORT, 'chunks: what is recorded is never changed'); END;
CREATE TRIGGER chunks_no_delete BEFORE DELETE ON chunks
BEGIN SELECT RAISE(ABORT, 'chunks: what is recorded is never deleted'); END;
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
       CASE typeof(e.causation) WHEN 'text' THEN e.causation WHEN 'null' THEN NULL ELSE (
       SELECT lower(substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-' || substr(h, 13, 4) || '-' ||
                    substr(h, 17, 4) || '-' || substr(h, 21))
       FROM (SELECT hex(CASE typeof(e.causation) WHEN 'blob' THEN e.causation ELSE
                        (SELECT cause.event_id FROM events cause WHERE cause.position = e.causation) END) AS h)
       ) END AS causation_id,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.recorded_at_ms / 1000.0, 'unixepoch') AS recorded_at,
       CAST(e.data AS TEXT) AS data, CAST(e.metadata AS TEXT) AS metadata,
       CASE typeof(e.mark) WHEN 'blob' THEN lower(hex(substr(e.mark, 1, 4))) ELSE printf('%08x', e.mark) END
       AS checksum,
       CASE typeof(e.mark) WHEN 'blob' THEN lower(hex(substr(e.mark, 5))) END AS digest
FROM events e JOIN chunks k ON k.stream_key = e.stream_key AND k.chunk = e.chunk
              JOIN streams s ON s.stream_key = k.stream_key LEFT JOIN types t USING (type_key)
              LEFT JOIN correlations c USING (correlation_key);
