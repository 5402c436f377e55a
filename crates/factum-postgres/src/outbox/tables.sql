CREATE TABLE {s}.factum_outbox (
    sequence int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL,
    aggregatetype text NOT NULL,
    aggregateid text,
    type text NOT NULL,
    payload bytea NOT NULL,
    headers jsonb NOT NULL,
    traceparent text,
    created_at int8 NOT NULL,
    published_at int8,
    attempts int4 NOT NULL DEFAULT 0,
    retry_at int8,
    claimed_by text,
    claimed_until int8,
    dead_at int8,
    error text
-- Each row is written three times and deleted: what is left of that is cleaned up early.
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
CREATE INDEX factum_outbox_open ON {s}.factum_outbox (sequence)
    WHERE published_at IS NULL AND dead_at IS NULL;
-- Rows that hold up what is behind them with their key: few, however many wait.
CREATE INDEX factum_outbox_holding ON {s}.factum_outbox (aggregateid, sequence)
    WHERE published_at IS NULL
        AND (dead_at IS NOT NULL OR retry_at IS NOT NULL OR claimed_until IS NOT NULL);
CREATE INDEX factum_outbox_dead ON {s}.factum_outbox (sequence) WHERE dead_at IS NOT NULL;
CREATE INDEX factum_outbox_published ON {s}.factum_outbox (published_at)
    WHERE published_at IS NOT NULL;
