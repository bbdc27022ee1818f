-- What a log of schema 5 has instead of the tables of event ids that schema 3 and 4 had; what _runs.py says of it.

DROP TABLE recent_ids;
DROP TABLE middle_ids;
DROP TABLE middle_index;
DROP TABLE older_ids;
DROP TABLE id_filters;
-- Where an event id is recorded, for all positions up to id_progress.indexed: sorted runs, cut into rows.
CREATE TABLE id_runs (
    key INTEGER PRIMARY KEY, -- level << 53 | run << 47 | from which hash on
    ids BLOB NOT NULL        -- 11 bytes each, sorted: 6 of the id's hash, 5 of its position
) STRICT;
-- Slots whose runs are due to be merged into those of the next level.
CREATE TABLE id_merges (
    level INTEGER NOT NULL,
    low   INTEGER NOT NULL, -- the slot's first hash
    PRIMARY KEY (level, low)
) STRICT, WITHOUT ROWID;
CREATE TABLE id_progress (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    indexed INTEGER NOT NULL
) STRICT;
INSERT INTO id_progress SELECT only, indexed FROM id_index;
DROP TABLE id_index;
-- What _filter.py makes of the runs from level 2 on, so that an id that is not there is hardly ever looked for. A part
-- that has no row is made again when it is needed.
CREATE TABLE id_filters (
    part INTEGER PRIMARY KEY, -- hash >> 36
    bits BLOB NOT NULL
) STRICT;
