-- What a log of schema 4 has beyond one of schema 3: one table more on the way of an event id, and filters.

CREATE TABLE middle_ids (
    fold     INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (fold, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE middle_index (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    middle INTEGER NOT NULL,
    moved  INTEGER NOT NULL
) STRICT;
INSERT INTO middle_index VALUES (1, 0, 0);
-- What _filter.py makes of older_ids, so that an id that is not there is hardly ever looked for. A part that has no
-- row is made again when it is needed.
CREATE TABLE id_filters (
    part INTEGER PRIMARY KEY, -- fold >> 36
    bits BLOB NOT NULL
) STRICT;
