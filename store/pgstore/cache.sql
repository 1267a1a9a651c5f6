-- What caches keep. Keys are bytes: text could hold neither a zero byte nor invalid UTF-8, and would be compared in a
-- locale.

CREATE TABLE {schema}.cache_version (version int NOT NULL);
INSERT INTO {schema}.cache_version VALUES (1);

CREATE TABLE {schema}.cache_entries (
	key   bytea PRIMARY KEY,
	value bytea NOT NULL,
	until timestamptz NOT NULL
);
ALTER TABLE {schema}.cache_entries ALTER COLUMN value SET STORAGE EXTERNAL; -- compressed already, where it pays
CREATE INDEX cache_entries_until ON {schema}.cache_entries (until);
