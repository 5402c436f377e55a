-- A row waits while one before it, with its key, is dead, waits itself, or is somebody else's.
-- That one is asked for by a subquery that no planner turns into a join over all that waits.
WITH chosen AS MATERIALIZED (
    SELECT one.sequence FROM {s}.factum_outbox AS one
    WHERE one.published_at IS NULL AND one.dead_at IS NULL
        AND coalesce(one.retry_at, 0) <= $3 AND coalesce(one.claimed_until, 0) <= $3
        AND (SELECT earlier.sequence FROM {s}.factum_outbox AS earlier
            WHERE earlier.aggregateid = one.aggregateid AND earlier.sequence < one.sequence
                AND earlier.published_at IS NULL
                AND (earlier.dead_at IS NOT NULL OR earlier.retry_at IS NOT NULL
                    OR earlier.claimed_until IS NOT NULL)
                AND (earlier.dead_at IS NOT NULL OR earlier.retry_at > $3
                    OR earlier.claimed_until > $3)
            LIMIT 1) IS NULL
    ORDER BY one.sequence LIMIT $4)
UPDATE {s}.factum_outbox AS row SET claimed_by = $1, claimed_until = $2
FROM chosen WHERE row.sequence = chosen.sequence AND row.published_at IS NULL
RETURNING row.sequence, id, aggregatetype, aggregateid, type, payload, headers::text, attempts,
    created_at
