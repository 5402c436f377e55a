-- Format 2: rows of projections, for who keeps them beside the events. Keys are bytes, as a text
-- of PostgreSQL has no NUL.

CREATE TABLE {schema}.factum_views (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    last bigint NOT NULL,
    read bigint,
    UNIQUE (name, version)
);
CREATE TABLE {schema}.factum_view_parts (
    view bigint NOT NULL,
    generation bigint NOT NULL,
    part bigint NOT NULL,
    through bigint NOT NULL,
    ready boolean NOT NULL,
    PRIMARY KEY (view, generation, part)
);
CREATE TABLE {schema}.factum_view_rows (
    view bigint NOT NULL,
    generation bigint NOT NULL,
    key bytea NOT NULL,
    at bigint NOT NULL,
    data text NOT NULL,
    PRIMARY KEY (view, generation, key)
);
CREATE TABLE {schema}.factum_view_parked (
    nth bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    view bigint NOT NULL,
    generation bigint NOT NULL,
    part bigint NOT NULL,
    position bigint NOT NULL,
    key bytea,
    stream text COLLATE "C" NOT NULL,
    why text
);
CREATE INDEX factum_view_parked_by_part
    ON {schema}.factum_view_parked (view, generation, part, position);
CREATE TABLE {schema}.factum_view_garbage (
    view bigint NOT NULL,
    generation bigint NOT NULL,
    PRIMARY KEY (view, generation)
);
CREATE VIEW {schema}.factum_rows AS
SELECT v.name, v.version, {schema}.factum_text(r.key) AS key, r.at, r.data::json AS data
FROM {schema}.factum_views v
    JOIN {schema}.factum_view_rows r ON r.view = v.id AND r.generation = v.read;
