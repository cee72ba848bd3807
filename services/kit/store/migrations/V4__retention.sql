-- What is kept for how long.

-- How far texts were taken away: before cleared_before, from all rows below next_xid.
CREATE TABLE text_retention_state (
    parent           text        PRIMARY KEY,
    cleared_before   timestamptz NOT NULL DEFAULT '-infinity',
    next_xid         bigint      NOT NULL DEFAULT 0
);
INSERT INTO text_retention_state (parent) VALUES ('detections'), ('matches');

-- Drops the oldest month that lies wholly before a time, and gives its name; NULL where there is
-- none. With its owner's rights, so that those who write rows need not be able to drop anything
-- else. Readers and writers of other months wait for the lock on the whole table at most as long
-- as this function itself, so it does not wait long.
CREATE FUNCTION drop_month(parent text, before timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '500ms' AS $$
DECLARE
    name text;
    is_uncounted boolean;
BEGIN
    IF parent NOT IN ('detections', 'matches') THEN
        RAISE EXCEPTION '% has no partitions', parent USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF before > now() - interval '1 day' THEN
        RAISE EXCEPTION 'nothing younger than a day is dropped' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Nobody counts meanwhile, and no two drop at once.
    PERFORM pg_advisory_xact_lock(8387793113496182642);
    SELECT relname INTO name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = parent::regclass AND relname ~ ('^' || parent || '_\d{4}_\d{2}$')
        AND (to_date(right(relname, 7), 'YYYY_MM')::timestamp + interval '1 month') AT TIME ZONE 'UTC' <= before
    ORDER BY relname LIMIT 1;
    IF name IS NULL THEN
        RETURN NULL;
    END IF;
    -- What came from the past shortly before counts first. Without this lock, more could come.
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent);
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE archived_xid >= (SELECT next_xid FROM roll_up_state))', name)
        INTO is_uncounted;
    IF is_uncounted THEN
        RAISE EXCEPTION '% holds rows that were not counted yet', name USING ERRCODE = 'lock_not_available';
    END IF;
    EXECUTE format('DROP TABLE %I', name);
    RETURN name;
END
$$;

-- Takes the text away from at most max_rows rows of messages before a time, and gives their
-- number; NULL where another process is at it. Fewer than max_rows means that none is left.
CREATE FUNCTION clear_texts(parent text, before timestamptz, max_rows bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_nestloop = on SET enable_seqscan = off AS $$
DECLARE
    state text_retention_state;
    ended bigint;
    cleared bigint;
    late bigint;
BEGIN
    IF parent NOT IN ('detections', 'matches') THEN
        RAISE EXCEPTION '% has no texts', parent USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- The number spells tgmesh_t.
    IF NOT pg_try_advisory_xact_lock(8387793113496182644) THEN
        RETURN NULL;
    END IF;
    SELECT * INTO state FROM text_retention_state AS s WHERE s.parent = clear_texts.parent FOR UPDATE;
    ended := oldest_running_xid();
    -- Time went on.
    EXECUTE format(
        'WITH doomed AS (SELECT message_date, id FROM %1$I WHERE message_date >= $1 AND message_date < $2 '
        'AND text IS NOT NULL ORDER BY message_date LIMIT $3) '
        'UPDATE %1$I AS row SET text = NULL FROM doomed '
        'WHERE row.message_date = doomed.message_date AND row.id = doomed.id', parent
    ) USING state.cleared_before, before, max_rows;
    GET DIAGNOSTICS cleared = ROW_COUNT;
    -- What was written late: writers leave old texts out, but one may have been about to, or be of a
    -- version that does not.
    EXECUTE format(
        'WITH doomed AS (SELECT message_date, id FROM %1$I WHERE archived_xid >= $1 AND message_date < $2 '
        'AND text IS NOT NULL LIMIT $3) '
        'UPDATE %1$I AS row SET text = NULL FROM doomed '
        'WHERE row.message_date = doomed.message_date AND row.id = doomed.id', parent
    ) USING state.next_xid, least(before, state.cleared_before), max_rows - cleared;
    GET DIAGNOSTICS late = ROW_COUNT;
    cleared := cleared + late;
    IF cleared < max_rows THEN
        UPDATE text_retention_state AS s SET cleared_before = greatest(s.cleared_before, before), next_xid = ended
        WHERE s.parent = clear_texts.parent;
    END IF;
    RETURN cleared;
END
$$;
