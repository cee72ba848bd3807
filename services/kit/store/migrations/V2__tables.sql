-- The other tables, and what detections needs for them. An INSERT of the version before this one
-- still works: every new column may be left out.

-- Addresses are compared byte by byte, whatever the database's language: several times faster in
-- an index.
ALTER TABLE detections
    ALTER COLUMN address TYPE text COLLATE "C",
    ALTER COLUMN coin_type TYPE text COLLATE "C";

ALTER TABLE detections
    -- Origin of a forwarded message, which the call is credited to where the original's date is
    -- believable: only then it stands here. The id is NULL where the origin hides itself.
    ADD COLUMN forward_at         timestamptz,
    ADD COLUMN forward_id         bigint,
    ADD COLUMN forward_message_id bigint,
    -- The transaction that wrote the row. All transactions below a snapshot's xmin have ended, so
    -- "the rows from one number up to another" never changes afterwards: that is what lets the
    -- roll-ups count each row once, without a lock on the writers.
    ADD COLUMN archived_xid       bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;

-- History, newest first, of a chat, an address, a sender. Everything else that can be asked for
-- is filtered along the primary key, which has the same order.
CREATE INDEX detections_chat ON detections (chat_id, message_date);
CREATE INDEX detections_address ON detections (address, message_date);
CREATE INDEX detections_sender ON detections (sender_id, message_date) WHERE sender_id IS NOT NULL;
-- What the roll-ups have not counted yet.
CREATE INDEX detections_archived ON detections (archived_xid);

-- Events without an address.
CREATE TABLE matches (
    message_date  timestamptz      NOT NULL,
    id            uuid             NOT NULL,
    stream_epoch  text             NOT NULL,
    stream_seq    bigint           NOT NULL,
    event         text             NOT NULL,
    chain         text,
    site          text,
    raw           text,
    link          text,
    chat_id       bigint           NOT NULL,
    message_id    bigint           NOT NULL,
    revision      text             NOT NULL,
    edit_date     timestamptz,
    sender_id     bigint,
    received_at   timestamptz      NOT NULL,
    detected_at   timestamptz      NOT NULL,
    published_at  timestamptz      NOT NULL,
    stored_at     timestamptz      NOT NULL,
    archived_at   timestamptz      NOT NULL DEFAULT clock_timestamp(),
    archived_xid  bigint           NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    text          text,
    detail        jsonb            NOT NULL,
    PRIMARY KEY (message_date, id)
) PARTITION BY RANGE (message_date);

CREATE INDEX matches_chat ON matches (chat_id, message_date);
CREATE INDEX matches_sender ON matches (sender_id, message_date) WHERE sender_id IS NOT NULL;
CREATE INDEX matches_archived ON matches (archived_xid);

-- Who watched what and when, logins, what operators did. Kept for good.
CREATE TABLE audit_log (
    id            uuid             PRIMARY KEY,
    -- The clock of the service that tells it.
    at            timestamptz      NOT NULL,
    stream_epoch  text             NOT NULL,
    stream_seq    bigint           NOT NULL,
    service       text             NOT NULL,
    event         text             NOT NULL,
    instance      text             NOT NULL,
    actor         text,
    target        text,
    detail        jsonb            NOT NULL,
    stored_at     timestamptz      NOT NULL,
    archived_at   timestamptz      NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX audit_log_at ON audit_log (at);
CREATE INDEX audit_log_actor ON audit_log (actor, at) WHERE actor IS NOT NULL;
CREATE INDEX audit_log_target ON audit_log (target, at) WHERE target IS NOT NULL;

-- Makes the partition of a month, and tells whether it was missing. The new table is made apart
-- and attached, because ATTACH waits for nobody who reads or writes the other partitions, and
-- CREATE ... PARTITION OF waits for all of them. With its owner's rights: making a partition
-- takes the owner of the whole table.
CREATE FUNCTION make_month(parent text, month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    name text := parent || to_char(month, '_YYYY_MM');
    first timestamptz := date_trunc('month', month::timestamp) AT TIME ZONE 'UTC';
    next timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    IF parent NOT IN ('detections', 'matches') THEN
        RAISE EXCEPTION '% has no partitions', parent USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Several at once take turns; the number spells tgmesh_p.
    PERFORM pg_advisory_xact_lock(8387793113496182640);
    -- Asked of the catalog, because waiting for that lock does not renew what to_regclass remembers.
    PERFORM FROM pg_inherits WHERE inhparent = parent::regclass
        AND inhrelid IN (SELECT oid FROM pg_class WHERE relname = name);
    IF FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', name, parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, name, first, next);
    RETURN true;
END
$$;
