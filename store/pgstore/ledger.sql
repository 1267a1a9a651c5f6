-- The ledger of budgets. Each step is one function, so that it takes one round trip and one transaction.

CREATE TABLE {schema}.ledger_version (version int NOT NULL);
INSERT INTO {schema}.ledger_version VALUES (1);

CREATE TABLE {schema}.ledger_accounts (
	key      text PRIMARY KEY,
	spent    bigint NOT NULL DEFAULT 0,
	reserved bigint NOT NULL DEFAULT 0,
	expired  bigint NOT NULL DEFAULT 0,
	lim      bigint NOT NULL DEFAULT 0, -- set by an operator; 0 for none
	ends     timestamptz
) WITH (fillfactor = 50); -- rows change all the time: room for their next versions

CREATE TABLE {schema}.ledger_reservations (
	id      text PRIMARY KEY,
	until   timestamptz NOT NULL, -- of the lease
	expired boolean NOT NULL DEFAULT false,
	keys    text[] NOT NULL,
	amounts bigint[] NOT NULL
);
CREATE INDEX ledger_reservations_until ON {schema}.ledger_reservations (until);

CREATE TABLE {schema}.ledger_switches (target text PRIMARY KEY, switch jsonb NOT NULL);
CREATE TABLE {schema}.ledger_switch_rows (row bigserial PRIMARY KEY, switch jsonb NOT NULL);

-- sweep lets leases run out, and forgets what has been over for a day. One session at a time does it.
CREATE FUNCTION {schema}.ledger_sweep(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
	FOR r IN SELECT * FROM {schema}.ledger_reservations WHERE until <= at AND NOT expired ORDER BY id FOR UPDATE SKIP LOCKED LOOP
		PERFORM 1 FROM {schema}.ledger_accounts WHERE key = ANY (r.keys) ORDER BY key FOR UPDATE;
		FOR i IN 1 .. cardinality(r.keys) LOOP
			UPDATE {schema}.ledger_accounts
			SET reserved = reserved - r.amounts[i], spent = spent + r.amounts[i], expired = expired + r.amounts[i]
			WHERE key = r.keys[i];
		END LOOP;
		UPDATE {schema}.ledger_reservations SET expired = true WHERE id = r.id;
	END LOOP;
	DELETE FROM {schema}.ledger_reservations WHERE expired AND until < at - interval '1 day';
	DELETE FROM {schema}.ledger_accounts WHERE ends < at - interval '1 day' AND reserved = 0;
END $$;

-- reserve gives -1, or the index of the key that has no room; or the switch that is against it.
CREATE FUNCTION {schema}.ledger_reserve(
	rid text, until timestamptz, ks text[], ams bigint[], lims bigint[], es timestamptz[], targets text[],
	OUT refused int, OUT blocked jsonb
) LANGUAGE plpgsql AS $$
DECLARE a record;
BEGIN
	refused := -1;
	SELECT switch INTO blocked FROM {schema}.ledger_switches WHERE target = ANY (targets) LIMIT 1;
	IF FOUND THEN RETURN; END IF;
	INSERT INTO {schema}.ledger_reservations (id, until, keys, amounts) VALUES (rid, until, ks, ams) ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN RETURN; END IF;
	-- In the order of their keys, so that two reservations never wait for each other.
	INSERT INTO {schema}.ledger_accounts (key, ends) SELECT k, e FROM unnest(ks, es) AS u (k, e) ORDER BY k ON CONFLICT DO NOTHING;
	PERFORM 1 FROM {schema}.ledger_accounts WHERE key = ANY (ks) ORDER BY key FOR UPDATE;
	FOR i IN 1 .. cardinality(ks) LOOP
		SELECT * INTO a FROM {schema}.ledger_accounts WHERE key = ks[i];
		IF ams[i] < 0 OR a.spent::numeric + a.reserved + ams[i] > (CASE WHEN a.lim > 0 THEN a.lim ELSE lims[i] END) THEN
			refused := i - 1;
			DELETE FROM {schema}.ledger_reservations WHERE id = rid;
			RETURN;
		END IF;
	END LOOP;
	FOR i IN 1 .. cardinality(ks) LOOP
		UPDATE {schema}.ledger_accounts SET reserved = reserved + ams[i] WHERE key = ks[i];
	END LOOP;
END $$;

-- settle gives the accounts in the order of the holds; none when there is no such reservation.
CREATE FUNCTION {schema}.ledger_settle(rid text, cost bigint)
RETURNS TABLE (k text, s bigint, r bigint, e bigint, l bigint) LANGUAGE plpgsql AS $$
DECLARE t record;
BEGIN
	DELETE FROM {schema}.ledger_reservations WHERE id = rid RETURNING * INTO t;
	IF NOT FOUND THEN RETURN; END IF;
	PERFORM 1 FROM {schema}.ledger_accounts WHERE key = ANY (t.keys) ORDER BY key FOR UPDATE;
	FOR i IN 1 .. cardinality(t.keys) LOOP
		RETURN QUERY UPDATE {schema}.ledger_accounts SET
			reserved = reserved - CASE WHEN t.expired THEN 0 ELSE t.amounts[i] END,
			expired = expired - CASE WHEN t.expired THEN t.amounts[i] ELSE 0 END,
			spent = least(spent::numeric - CASE WHEN t.expired THEN t.amounts[i] ELSE 0 END + cost, 9223372036854775807)::bigint
		WHERE key = t.keys[i] RETURNING key, spent, reserved, expired, lim;
	END LOOP;
END $$;
