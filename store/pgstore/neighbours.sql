-- Questions that were answered, for caches of similar ones. Names are bytes, as in the cache. {vector} is the schema of
-- the extension, which need not be on anybody's search_path.

CREATE TABLE {schema}.neighbours_version (version int NOT NULL);
INSERT INTO {schema}.neighbours_version VALUES (1);

CREATE TABLE {schema}.neighbours_entries (
	partition  bytea NOT NULL,
	id         bytea NOT NULL,
	namespace  bytea NOT NULL,
	tenant     bytea NOT NULL,
	tags       bytea[] NOT NULL,
	created    timestamptz NOT NULL,
	until      timestamptz NOT NULL,
	good       bigint NOT NULL DEFAULT 0, -- verdicts
	bad        bigint NOT NULL DEFAULT 0,
	dimensions int NOT NULL,
	vector     {vector}.vector NOT NULL,
	meta       bytea NOT NULL,
	answer     bytea NOT NULL,
	PRIMARY KEY (partition, id)
);
-- A scan reads all vectors of a partition, so they stay in the rows up to the size of a page, and answers go.
ALTER TABLE {schema}.neighbours_entries ALTER COLUMN vector SET STORAGE MAIN;
ALTER TABLE {schema}.neighbours_entries ALTER COLUMN answer SET STORAGE EXTERNAL; -- compressed already, where it pays
CREATE INDEX neighbours_entries_partition ON {schema}.neighbours_entries (partition, until);
CREATE INDEX neighbours_entries_until ON {schema}.neighbours_entries (until);
CREATE INDEX neighbours_entries_tenant ON {schema}.neighbours_entries (tenant);
CREATE INDEX neighbours_entries_tags ON {schema}.neighbours_entries USING gin (tags);

CREATE TABLE {schema}.neighbours_books (
	book    bytea NOT NULL,
	counter bytea NOT NULL,
	n       bigint NOT NULL,
	PRIMARY KEY (book, counter)
);

-- add gives the length of the partition's vectors, which is another one if the entry was not taken.
CREATE FUNCTION {schema}.neighbours_add(
	p bytea, i bytea, ns bytea, te bytea, ta bytea[], v real[], me bytea, an bytea, cr timestamptz, seconds float8
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE length int;
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true); -- nobody waits for the disk
	-- One at a time, or two could begin a partition with vectors of two lengths.
	PERFORM pg_advisory_xact_lock(hashtextextended('holysheep neighbours ' || encode(p, 'hex'), 0));
	SELECT dimensions INTO length FROM {schema}.neighbours_entries WHERE partition = p AND until > now() LIMIT 1;
	IF length <> cardinality(v) THEN RETURN length; END IF;
	INSERT INTO {schema}.neighbours_entries (partition, id, namespace, tenant, tags, created, until, dimensions, vector, meta, answer)
	VALUES (p, i, ns, te, ta, cr, now() + make_interval(secs => seconds), cardinality(v), v::{vector}.vector, me, an)
	ON CONFLICT (partition, id) DO UPDATE SET
		namespace = excluded.namespace, tenant = excluded.tenant, tags = excluded.tags, created = excluded.created,
		until = excluded.until, good = 0, bad = 0, dimensions = excluded.dimensions, vector = excluded.vector,
		meta = excluded.meta, answer = excluded.answer;
	RETURN cardinality(v);
END $$;

-- nearest looks at every vector of the partition. Compiling it would take longer than running it.
CREATE FUNCTION {schema}.neighbours_nearest(p bytea, v real[], most int, answers int)
RETURNS TABLE (id bytea, similarity float8, good bigint, bad bigint, created timestamptz, meta bytea, answer bytea)
LANGUAGE plpgsql STABLE SET jit = off AS $$
#variable_conflict use_column
DECLARE q {vector}.vector := v::{vector}.vector;
BEGIN
	RETURN QUERY
	SELECT f.id, -f.distance, f.good, f.bad, f.created, f.meta, CASE WHEN f.place <= answers THEN f.answer END
	FROM (
		SELECT n.*, row_number() OVER (ORDER BY n.distance) AS place
		FROM (
			SELECT e.*, e.vector OPERATOR({vector}.<#>) q AS distance FROM {schema}.neighbours_entries e
			WHERE e.partition = p AND e.dimensions = cardinality(v) AND e.until > now()
			ORDER BY distance LIMIT most
		) n
	) f ORDER BY f.place;
END $$;

-- count adds in the order of the counters, so that two that add to one book never wait for each other.
CREATE FUNCTION {schema}.neighbours_count(b bytea, counters bytea[], deltas bigint[])
RETURNS TABLE (counter bytea, n bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
	INSERT INTO {schema}.neighbours_books AS k (book, counter, n)
	SELECT b, c, d FROM unnest(counters, deltas) AS u (c, d) ORDER BY c
	ON CONFLICT (book, counter) DO UPDATE SET n = k.n + excluded.n;
	RETURN QUERY SELECT k.counter, k.n FROM {schema}.neighbours_books k WHERE k.book = b;
END $$;
