-- The tags each ImageRepository knows, and of which image they are.
CREATE TABLE image_scans (
    id         INTEGER PRIMARY KEY,
    object     TEXT NOT NULL UNIQUE,
    repository TEXT NOT NULL
) STRICT;

CREATE TABLE image_tags (
    scan INTEGER NOT NULL,
    tag  TEXT NOT NULL,
    PRIMARY KEY (scan, tag)
) STRICT, WITHOUT ROWID;
