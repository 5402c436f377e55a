-- Format 1. {schema} is the schema's name, quoted; {lock} the store's part of a horizon lock.
-- Every name begins with factum_, so that the tables may lie beside an application's own.

CREATE TABLE {schema}.factum_store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    format integer NOT NULL,
    id uuid NOT NULL
);
INSERT INTO {schema}.factum_store (format, id) VALUES (0, gen_random_uuid());

-- A number for each append; the events of an append are counted from it. Never cached: that numbers
-- ascend in the order in which they are taken is what the settled head rests on. 0 is burnt.
CREATE SEQUENCE {schema}.factum_positions AS bigint INCREMENT 4096 MINVALUE 0 START 0 CACHE 1;
SELECT nextval('{schema}.factum_positions');

CREATE TABLE {schema}.factum_events (
    position bigint PRIMARY KEY,
    stream text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    id uuid NOT NULL,
    type text COLLATE "C" NOT NULL,
    content_type smallint NOT NULL,
    recorded_at bigint NOT NULL,
    occurred_at bigint,
    tags text[],
    data bytea NOT NULL,
    metadata bytea NOT NULL
);
CREATE UNIQUE INDEX factum_events_by_revision ON {schema}.factum_events (stream, revision);
CREATE INDEX factum_events_by_id ON {schema}.factum_events (id, stream);
CREATE INDEX factum_events_by_type ON {schema}.factum_events (type, position);
CREATE INDEX factum_events_by_category
    ON {schema}.factum_events (split_part(stream, '-', 1), position);

CREATE TABLE {schema}.factum_tags (
    tag text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (tag, position)
);

CREATE TABLE {schema}.factum_tracked (
    source text COLLATE "C" PRIMARY KEY,
    position numeric(20, 0) NOT NULL
);

-- Text for people, where bytes are text.
CREATE FUNCTION {schema}.factum_text(p_bytes bytea) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $f$
BEGIN
    RETURN convert_from(p_bytes, 'UTF8');
EXCEPTION WHEN OTHERS THEN
    RETURN encode(p_bytes, 'escape');
END
$f$;

CREATE VIEW {schema}.factum_log AS
SELECT position, stream, revision, id, type,
    to_timestamp(recorded_at / 1e9) AS recorded_at, to_timestamp(occurred_at / 1e9) AS occurred_at,
    tags, {schema}.factum_text(data) AS data, {schema}.factum_text(metadata) AS metadata
FROM {schema}.factum_events;

-- The settled head: nothing will ever appear at or below it. `given` is the last number that was
-- given to an append, `open` whether one of a lower or equal number may still commit.
--
-- Each append takes a lock on the last number before it takes its own, and its lock goes after its
-- events can be seen. So who reads the last number first, the locks next, and events last, in three
-- statements, each with a new snapshot, has missed nothing below the lowest of these.
CREATE FUNCTION {schema}.factum_head(OUT head bigint, OUT given bigint, OUT open boolean)
LANGUAGE plpgsql VOLATILE AS $f$
DECLARE
    v_open bigint;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE 'a read replica has no locks: it cannot tell what is settled' USING ERRCODE = 'FA001';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'one snapshot cannot tell what is settled' USING ERRCODE = 'FA002';
    END IF;
    SELECT last_value INTO given FROM {schema}.factum_positions;
    SELECT min((classid::bigint << 32 | objid::bigint) - {lock}) * 4096 INTO v_open
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid::bigint >> 14 = {lock} >> 46;
    open := v_open IS NOT NULL AND v_open <= given;
    SELECT coalesce(max(position), 0) INTO head
    FROM {schema}.factum_events WHERE position < least(given, v_open) + 4096;
END
$f$;

-- The head for a decision: who writes what is asked about is waited for, and kept out until the
-- head is known. Others may still be open below it, and none of them concerns who asks.
CREATE FUNCTION {schema}.factum_current_head(
    p_keys bigint[], p_exclusive boolean[], p_wait_ms integer, OUT head bigint
)
LANGUAGE plpgsql VOLATILE AS $f$
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE 'a read replica lags: it cannot tell what is current' USING ERRCODE = 'FA001';
    END IF;
    PERFORM {schema}.factum_lock(p_keys, p_exclusive, p_wait_ms);
    SELECT coalesce(max(position), 0) INTO head FROM {schema}.factum_events;
END
$f$;

-- Locks of a transaction, in ascending order of keys so that no two appends wait for each other.
CREATE FUNCTION {schema}.factum_lock(
    p_keys bigint[], p_exclusive boolean[], p_wait_ms integer
) RETURNS void
LANGUAGE plpgsql VOLATILE AS $f$
BEGIN
    IF p_wait_ms IS NOT NULL THEN
        PERFORM set_config('lock_timeout', p_wait_ms::text, true);
    END IF;
    PERFORM CASE WHEN l.exclusive THEN pg_advisory_xact_lock(l.key)
        ELSE pg_advisory_xact_lock_shared(l.key) END
    FROM unnest(p_keys, p_exclusive) AS l(key, exclusive);
END
$f$;

-- The last position that was recorded by a moment, up to a head. Recorded times ascend.
CREATE FUNCTION {schema}.factum_recorded_by(p_moment bigint, p_head bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $f$
DECLARE
    v_low bigint := 0;
    v_high bigint := p_head;
    v_middle bigint;
    v_at bigint;
BEGIN
    -- Up to v_low all was recorded by then; what stands after v_high was not.
    WHILE v_low < v_high LOOP
        v_middle := v_high - (v_high - v_low) / 2;
        SELECT recorded_at INTO v_at FROM {schema}.factum_events
        WHERE position >= v_middle ORDER BY position LIMIT 1;
        IF v_at <= p_moment THEN v_low := v_middle; ELSE v_high := v_middle - 1; END IF;
    END LOOP;
    RETURN v_low;
END
$f$;

-- The first event after a position that an item of a query selects.
CREATE FUNCTION {schema}.factum_first(
    p_after bigint, p_types text[], p_tags text[], p_categories text[],
    p_streams text[], p_prefixes text[]
) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $f$
DECLARE
    v_first bigint;
    v_tag text := p_tags[1];
BEGIN
    IF cardinality(p_tags) > 1 THEN
        SELECT t.tag INTO v_tag FROM unnest(p_tags) AS t(tag)
        ORDER BY (SELECT count(*) FROM (
            SELECT FROM {schema}.factum_tags g
            WHERE g.tag = t.tag AND g.position > p_after LIMIT 256) c)
        LIMIT 1;
    END IF;
    IF v_tag IS NOT NULL THEN
        SELECT e.position INTO v_first FROM {schema}.factum_tags g
            JOIN {schema}.factum_events e ON e.position = g.position
        WHERE g.tag = v_tag AND g.position > p_after {conditions}
        ORDER BY g.position LIMIT 1;
    ELSIF p_types IS NOT NULL THEN
        SELECT min(f.position) INTO v_first FROM unnest(p_types) AS t(type)
            CROSS JOIN LATERAL (
                SELECT e.position FROM {schema}.factum_events e
                WHERE e.type = t.type AND e.position > p_after {conditions}
                ORDER BY e.position LIMIT 1) f;
    ELSIF p_categories IS NOT NULL THEN
        SELECT min(f.position) INTO v_first FROM unnest(p_categories) AS c(category)
            CROSS JOIN LATERAL (
                SELECT e.position FROM {schema}.factum_events e
                WHERE split_part(e.stream, '-', 1) = c.category AND e.position > p_after
                    {conditions}
                ORDER BY e.position LIMIT 1) f;
    ELSE
        SELECT e.position INTO v_first FROM {schema}.factum_events e
        WHERE e.position > p_after {conditions}
        ORDER BY e.position LIMIT 1;
    END IF;
    RETURN v_first;
END
$f$;

-- The first of several checks that finds an event, and the first event that it finds. An item says
-- which check it is of: they come in order.
CREATE FUNCTION {schema}.factum_conflict(p_items jsonb, OUT failed integer, OUT met bigint)
LANGUAGE plpgsql VOLATILE AS $f$
DECLARE
    v_item record;
    v_first bigint;
BEGIN
    FOR v_item IN SELECT * FROM jsonb_to_recordset(p_items) AS i(
        "check" integer, "after" bigint, types text[], tags text[], categories text[],
        streams text[], prefixes text[])
    LOOP
        IF v_item."check" > failed THEN RETURN; END IF;
        v_first := {schema}.factum_first(v_item."after", v_item.types, v_item.tags,
            v_item.categories, v_item.streams, v_item.prefixes);
        IF v_first IS NOT NULL THEN
            failed := v_item."check";
            met := least(met, v_first);
        END IF;
    END LOOP;
END
$f$;

-- Writes what was judged, under the locks that were taken for it. The position of the first event.
--
-- The time is read between the last number and the own one, and only counts where no other append
-- took one meanwhile: so times ascend with positions, and nobody waits for anybody.
CREATE FUNCTION {schema}.factum_write(
    p_streams text[], p_revisions bigint[], p_ids uuid[], p_types text[], p_contents smallint[],
    p_occurred bigint[], p_tags text[], p_data bytea[], p_metadata bytea[], p_now bigint
) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $f$
DECLARE
    v_given bigint;
    v_position bigint;
    v_at bigint;
    v_previous bigint;
BEGIN
    SELECT last_value INTO v_given FROM {schema}.factum_positions;
    PERFORM pg_advisory_xact_lock_shared({lock} | v_given / 4096);
    SELECT recorded_at INTO v_previous FROM {schema}.factum_events ORDER BY position DESC LIMIT 1;
    FOR v_try IN 1..1000 LOOP
        SELECT last_value,
            coalesce(p_now, (date_part('epoch', clock_timestamp()) * 1e6)::bigint * 1000),
            nextval('{schema}.factum_positions')
        INTO v_given, v_at, v_position FROM {schema}.factum_positions;
        EXIT WHEN v_position = v_given + 4096;
        v_position := NULL;
    END LOOP;
    IF v_position IS NULL THEN
        RAISE 'a thousand numbers were taken by others meanwhile' USING ERRCODE = '53000';
    END IF;
    INSERT INTO {schema}.factum_events
    SELECT v_position + nth - 1, stream, revision, id, type, content, greatest(v_at, v_previous),
        occurred, tags::text[], data, metadata
    FROM unnest(p_streams, p_revisions, p_ids, p_types, p_contents, p_occurred, p_tags, p_data,
        p_metadata) WITH ORDINALITY
        AS e(stream, revision, id, type, content, occurred, tags, data, metadata, nth);
    IF array_remove(p_tags, NULL) <> '{}' THEN
        INSERT INTO {schema}.factum_tags
        SELECT DISTINCT tag, v_position + nth - 1
        FROM unnest(p_tags) WITH ORDINALITY AS e(tags, nth)
            CROSS JOIN LATERAL unnest(e.tags::text[]) AS t(tag);
    END IF;
    RETURN v_position;
END
$f$;

-- Moves a tracked position: its lock is held, and it was judged.
CREATE FUNCTION {schema}.factum_track(p_source text, p_position numeric) RETURNS void
LANGUAGE sql VOLATILE AS $f$
    INSERT INTO {schema}.factum_tracked VALUES (p_source, p_position)
    ON CONFLICT (source) DO UPDATE SET position = excluded.position
$f$;

-- An append that nothing stands against, in one statement: locks, what is asked, and writing.
--
-- `status` 0: done. 1: something is unusual (an id that is known, a stream deleted, a source
-- already there): nothing was written, judge it. 2: the check `failed` found the stream at `met`
-- (-1: absent); 3: it found an event there. 4: the transaction is not READ COMMITTED, so that it
-- would judge by what was, not by what is. 5: commits are not synchronous.
--
-- The streams are those that are written, then those only checked; what is expected of one is a
-- revision, -1 for none, -2 for any that exists, or NULL; its check's number is beside it.
CREATE FUNCTION {schema}.factum_append(
    p_keys bigint[], p_exclusive boolean[], p_wait_ms integer,
    p_names text[], p_written integer, p_expected bigint[], p_checks integer[], p_items jsonb,
    p_source text, p_tracked numeric, p_now bigint,
    p_places integer[], p_nths bigint[], p_ids uuid[], p_types text[], p_contents smallint[],
    p_occurred bigint[], p_tags text[], p_data bytea[], p_metadata bytea[],
    OUT status integer, OUT first bigint, OUT lasts bigint[], OUT failed integer, OUT met bigint
)
LANGUAGE plpgsql VOLATILE AS $f$
DECLARE
    v_unusual boolean;
    v_numbered boolean;
    v_place integer;
    v_conflict record;
BEGIN
    status := CASE WHEN current_setting('transaction_isolation') <> 'read committed' THEN 4
        WHEN current_setting('synchronous_commit') = 'off' THEN 5 END;
    IF status IS NOT NULL THEN RETURN; END IF;
    PERFORM {schema}.factum_lock(p_keys, p_exclusive, p_wait_ms);
    SELECT array_agg(l.last ORDER BY s.nth),
        bool_or(h.type = '$streamDeleted'
            OR coalesce(position('9223372036854775807'::bytea IN m.data) > 0, false)),
        bool_and(s.nth > p_written OR coalesce(s.expected = l.last, false)),
        min(s.nth) FILTER (WHERE s.expected <> l.last AND (s.expected <> -2 OR l.last < 0))
    INTO lasts, v_unusual, v_numbered, v_place
    FROM unnest(p_names, p_expected, p_checks) WITH ORDINALITY AS s(name, expected, "check", nth)
        LEFT JOIN LATERAL (SELECT e.revision, e.type FROM {schema}.factum_events e
            WHERE e.stream = s.name ORDER BY e.revision DESC LIMIT 1) h ON true
        LEFT JOIN LATERAL (SELECT e.data FROM {schema}.factum_events e
            WHERE e.stream = '$$' || s.name ORDER BY e.revision DESC LIMIT 1) m ON true
        CROSS JOIN LATERAL (SELECT coalesce(h.revision, -1) AS last) l;
    status := 1;
    IF v_unusual THEN RETURN; END IF;
    IF NOT v_numbered AND EXISTS (
        SELECT FROM unnest(p_ids, p_places) AS n(id, place) JOIN {schema}.factum_events e
            ON e.id = n.id AND e.stream = p_names[n.place])
    THEN RETURN; END IF;
    IF p_source IS NOT NULL AND EXISTS (
        SELECT FROM {schema}.factum_tracked WHERE source = p_source AND position >= p_tracked)
    THEN RETURN; END IF;
    IF v_place IS NOT NULL THEN
        status := 2;
        failed := p_checks[v_place];
        met := lasts[v_place];
    END IF;
    IF p_items IS NOT NULL THEN
        SELECT * INTO v_conflict FROM {schema}.factum_conflict(p_items);
        IF v_conflict.failed < coalesce(failed, 2147483647) THEN
            status := 3;
            failed := v_conflict.failed;
            met := v_conflict.met;
        END IF;
    END IF;
    IF status <> 1 THEN RETURN; END IF;
    IF p_source IS NOT NULL THEN
        PERFORM {schema}.factum_track(p_source, p_tracked);
    END IF;
    IF cardinality(p_ids) > 0 THEN
        first := {schema}.factum_write(
            ARRAY(SELECT p_names[n.place] FROM unnest(p_places) WITH ORDINALITY AS n(place, o)
                ORDER BY n.o),
            ARRAY(SELECT lasts[n.place] + n.nth FROM unnest(p_places, p_nths)
                WITH ORDINALITY AS n(place, nth, o) ORDER BY n.o),
            p_ids, p_types, p_contents, p_occurred, p_tags, p_data, p_metadata, p_now);
    END IF;
    status := 0;
END
$f$;
