-- Format 3: several appends in one call, which commit together and of which each is judged as if it
-- were alone: they check nothing of each other.
--
-- `status` 0: done, but for those in `others`: something stands against each of them (a lock that
-- somebody has, an id that is known, a check that fails, a stream deleted), of which nothing was
-- written; let it go on alone. 4 and 5: as of `factum_append`. `first` is the position of the first
-- event of all, and the others are counted from it; `lasts` are the last revisions of the streams
-- before, in their order.
--
-- Each stream, and each lock, has the number of its append beside it, from 1. A stream is named
-- once: written, with what is expected of it, or only checked. Nobody waits for a lock here, so
-- that nobody in a call waits for whom another one waits for.
--
-- Planning costs more than it finds: the plans are those that do not look at values.
CREATE FUNCTION {schema}.factum_append_all(
    p_owners integer[], p_keys bigint[], p_exclusive boolean[],
    p_names text[], p_of integer[], p_written boolean[], p_expected bigint[], p_items jsonb[],
    p_now bigint,
    p_places integer[], p_nths bigint[], p_ids uuid[], p_types text[], p_contents smallint[],
    p_occurred bigint[], p_tags text[], p_data bytea[], p_metadata bytea[],
    OUT status integer, OUT first bigint, OUT lasts bigint[], OUT others integer[]
)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $f$
DECLARE
    v_unusual integer[];
    v_asked integer[];
    v_previous bigint;
    v_given bigint;
    v_at bigint;
BEGIN
    status := CASE WHEN current_setting('transaction_isolation') <> 'read committed' THEN 4
        WHEN current_setting('synchronous_commit') = 'off' THEN 5 END;
    IF status IS NOT NULL THEN RETURN; END IF;
    SELECT array_agg(l.owner) INTO others
    FROM unnest(p_owners, p_keys, p_exclusive) AS l(owner, key, exclusive)
    WHERE NOT CASE WHEN l.exclusive THEN pg_try_advisory_xact_lock(l.key)
        ELSE pg_try_advisory_xact_lock_shared(l.key) END;
    SELECT array_agg(j.last ORDER BY j.nth),
        array_agg(j.owner) FILTER (WHERE j.is_unusual),
        array_agg(j.owner) FILTER (WHERE NOT j.is_numbered)
    INTO lasts, v_unusual, v_asked
    FROM (SELECT s.nth, s.owner, l.last,
            h.type = '$streamDeleted'
                OR coalesce(position('9223372036854775807'::bytea IN m.data) > 0, false)
                OR (s.expected <> l.last AND (s.expected <> -2 OR l.last < 0)) AS is_unusual,
            NOT s.is_written OR coalesce(s.expected = l.last, false) AS is_numbered
        FROM unnest(p_names, p_of, p_written, p_expected) WITH ORDINALITY
                AS s(name, owner, is_written, expected, nth)
            LEFT JOIN LATERAL (SELECT e.revision, e.type FROM {schema}.factum_events e
                WHERE e.stream = s.name ORDER BY e.revision DESC LIMIT 1) h ON true
            LEFT JOIN LATERAL (SELECT e.data FROM {schema}.factum_events e
                WHERE e.stream = '$$' || s.name ORDER BY e.revision DESC LIMIT 1) m ON true
            CROSS JOIN LATERAL (SELECT coalesce(h.revision, -1) AS last) l) j;
    others := others || v_unusual;
    IF v_asked IS NOT NULL THEN
        SELECT others || array_agg(p_of[n.place]) INTO others
        FROM unnest(p_ids, p_places) AS n(id, place) JOIN {schema}.factum_events e
            ON e.id = n.id AND e.stream = p_names[n.place];
    END IF;
    IF p_items IS NOT NULL THEN
        SELECT others || array_agg(i.owner::integer) INTO others
        FROM unnest(p_items) WITH ORDINALITY AS i(items, owner)
        WHERE i.items IS NOT NULL
            AND (SELECT c.failed FROM {schema}.factum_conflict(i.items) c) IS NOT NULL;
    END IF;
    status := 0;
    IF others IS NOT NULL AND NOT EXISTS (
        SELECT FROM unnest(p_of) AS o(owner) WHERE o.owner <> ALL (others))
    THEN RETURN; END IF;
    PERFORM pg_advisory_xact_lock_shared({lock} | last_value / 4096)
    FROM {schema}.factum_positions;
    SELECT recorded_at INTO v_previous FROM {schema}.factum_events ORDER BY position DESC LIMIT 1;
    FOR v_try IN 1..1000 LOOP
        SELECT last_value,
            coalesce(p_now, (date_part('epoch', clock_timestamp()) * 1e6)::bigint * 1000),
            nextval('{schema}.factum_positions')
        INTO v_given, v_at, first FROM {schema}.factum_positions;
        EXIT WHEN first = v_given + 4096;
        first := NULL;
    END LOOP;
    IF first IS NULL THEN
        RAISE 'a thousand numbers were taken by others meanwhile' USING ERRCODE = '53000';
    END IF;
    INSERT INTO {schema}.factum_events
    SELECT first + e.nth - 1, p_names[e.place], lasts[e.place] + e.of_stream, e.id, e.type,
        e.content, greatest(v_at, v_previous), e.occurred, e.tags::text[], e.data, e.metadata
    FROM unnest(p_places, p_nths, p_ids, p_types, p_contents, p_occurred, p_tags, p_data,
        p_metadata) WITH ORDINALITY
        AS e(place, of_stream, id, type, content, occurred, tags, data, metadata, nth)
    WHERE others IS NULL OR p_of[e.place] <> ALL (others);
    IF array_remove(p_tags, NULL) <> '{}' THEN
        INSERT INTO {schema}.factum_tags
        SELECT DISTINCT tag, first + e.nth - 1
        FROM unnest(p_tags, p_places) WITH ORDINALITY AS e(tags, place, nth)
            CROSS JOIN LATERAL unnest(e.tags::text[]) AS t(tag)
        WHERE others IS NULL OR p_of[e.place] <> ALL (others);
    END IF;
END
$f$;
