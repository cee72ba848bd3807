-- Erasing a person or a chat.

-- Whose messages up to which time were erased: they are not written again, wherever they come from.
CREATE TABLE erasures (
    kind             text        NOT NULL CHECK (kind IN ('sender', 'chat')),
    subject          bigint      NOT NULL,
    message_until    timestamptz NOT NULL,
    -- Number of the transaction that wrote this, on the scale of archived_xid.
    asked_xid        bigint      NOT NULL,
    PRIMARY KEY (kind, subject)
);

CREATE INDEX detections_forward ON detections (forward_id) WHERE forward_id IS NOT NULL;

-- Notes whom to erase, and up to now.
CREATE FUNCTION ask_erasure(what text, whom bigint) RETURNS void
LANGUAGE sql SET search_path FROM CURRENT AS $$
    INSERT INTO erasures AS known
    SELECT what, whom, clock_timestamp(), pg_current_xact_id()::text::bigint + xid_offset FROM roll_up_state
    ON CONFLICT (kind, subject) DO UPDATE SET message_until = EXCLUDED.message_until, asked_xid = EXCLUDED.asked_xid
$$;

-- Whether every writer that may not know of an erasure yet has ended.
CREATE FUNCTION is_erasure_known(what text, whom bigint) RETURNS boolean
LANGUAGE sql SET search_path FROM CURRENT AS $$
    SELECT oldest_running_xid() > asked_xid FROM erasures WHERE kind = what AND subject = whom
$$;

-- Erases at most max_rows rows, takes them out of the counts, and gives their numbers. Repeated
-- until it finds none.
CREATE FUNCTION erase_rows(what text, whom bigint, max_rows bigint, OUT detections_erased bigint, OUT matches_erased bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    asked erasures;
    counted_below bigint;
BEGIN
    SELECT * INTO STRICT asked FROM erasures WHERE kind = what AND subject = whom;
    -- Nobody counts meanwhile.
    PERFORM pg_advisory_xact_lock(8387793113496182642);
    SELECT next_xid INTO counted_below FROM roll_up_state FOR UPDATE;

    CREATE TEMPORARY TABLE IF NOT EXISTS erased_now (
        address text COLLATE "C", family text, coin_type text COLLATE "C", chat_id bigint, sender_id bigint, event text, is_counted boolean
    ) ON COMMIT DELETE ROWS;
    EXECUTE format(
        'WITH doomed AS (SELECT message_date, id FROM detections WHERE %I = $1 AND message_date <= $2 LIMIT $3), '
        'gone AS (DELETE FROM detections AS row USING doomed '
        'WHERE row.message_date = doomed.message_date AND row.id = doomed.id RETURNING row.*) '
        'INSERT INTO erased_now SELECT address, family, coalesce(coin_type, ''''), chat_id, sender_id, event, '
        'archived_xid < $4 FROM gone', what || '_id'
    ) USING whom, asked.message_until, max_rows, counted_below;
    GET DIAGNOSTICS detections_erased = ROW_COUNT;
    EXECUTE format(
        'WITH doomed AS (SELECT message_date, id FROM matches WHERE %I = $1 AND message_date <= $2 LIMIT $3), '
        'gone AS (DELETE FROM matches AS row USING doomed '
        'WHERE row.message_date = doomed.message_date AND row.id = doomed.id RETURNING row.*) '
        'INSERT INTO erased_now SELECT NULL, NULL, NULL, chat_id, sender_id, ''matched'', archived_xid < $4 FROM gone',
        what || '_id'
    ) USING whom, asked.message_until, max_rows, counted_below;
    GET DIAGNOSTICS matches_erased = ROW_COUNT;

    UPDATE addresses AS known SET called = known.called - gone.called,
        added_by_edit = known.added_by_edit - gone.added_by_edit, retracted = known.retracted - gone.retracted
    FROM (
        SELECT address, family, coin_type, count(*) FILTER (WHERE event = 'called') AS called,
            count(*) FILTER (WHERE event = 'added_by_edit') AS added_by_edit,
            count(*) FILTER (WHERE event = 'retracted') AS retracted
        FROM erased_now WHERE is_counted AND address IS NOT NULL GROUP BY 1, 2, 3
    ) AS gone
    WHERE known.address = gone.address AND known.family = gone.family AND known.coin_type = gone.coin_type;
    UPDATE address_chats AS known SET called = known.called - gone.called,
        added_by_edit = known.added_by_edit - gone.added_by_edit, retracted = known.retracted - gone.retracted
    FROM (
        SELECT address_id, chat_id, count(*) FILTER (WHERE event = 'called') AS called,
            count(*) FILTER (WHERE event = 'added_by_edit') AS added_by_edit,
            count(*) FILTER (WHERE event = 'retracted') AS retracted
        FROM erased_now JOIN addresses USING (address, family, coin_type) WHERE is_counted GROUP BY 1, 2
    ) AS gone
    WHERE known.address_id = gone.address_id AND known.chat_id = gone.chat_id;
    UPDATE chats AS known SET called = known.called - gone.called,
        added_by_edit = known.added_by_edit - gone.added_by_edit, retracted = known.retracted - gone.retracted,
        matched = known.matched - gone.matched
    FROM (
        SELECT chat_id, count(*) FILTER (WHERE event = 'called') AS called,
            count(*) FILTER (WHERE event = 'added_by_edit') AS added_by_edit,
            count(*) FILTER (WHERE event = 'retracted') AS retracted,
            count(*) FILTER (WHERE event = 'matched') AS matched
        FROM erased_now WHERE is_counted GROUP BY 1
    ) AS gone WHERE known.chat_id = gone.chat_id;
    UPDATE senders AS known SET called = known.called - gone.called,
        added_by_edit = known.added_by_edit - gone.added_by_edit, retracted = known.retracted - gone.retracted,
        matched = known.matched - gone.matched
    FROM (
        SELECT sender_id, count(*) FILTER (WHERE event = 'called') AS called,
            count(*) FILTER (WHERE event = 'added_by_edit') AS added_by_edit,
            count(*) FILTER (WHERE event = 'retracted') AS retracted,
            count(*) FILTER (WHERE event = 'matched') AS matched
        FROM erased_now WHERE is_counted AND sender_id IS NOT NULL GROUP BY 1
    ) AS gone WHERE known.sender_id = gone.sender_id;
    DELETE FROM erased_now;
END
$$;

-- Takes the origin's name and words out of at most max_rows messages that forward it, and gives
-- their number. That there was an original at that time stays.
CREATE FUNCTION erase_forwards(whom bigint, max_rows bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    changed bigint;
    matched bigint;
BEGIN
    WITH doomed AS (SELECT message_date, id FROM detections WHERE forward_id = whom LIMIT max_rows)
    UPDATE detections AS row SET text = NULL, forward_id = NULL, forward_message_id = NULL,
        detail = detail #- '{message,forward_from}'
    FROM doomed WHERE row.message_date = doomed.message_date AND row.id = doomed.id;
    GET DIAGNOSTICS changed = ROW_COUNT;
    -- Few and without a column for it: all are looked at.
    UPDATE matches SET text = NULL, detail = detail #- '{message,forward_from}'
    WHERE detail @> jsonb_build_object('message', jsonb_build_object('forward_from', jsonb_build_object('id', whom)));
    GET DIAGNOSTICS matched = ROW_COUNT;
    RETURN changed + matched;
END
$$;

-- Takes whom out of what is known, when all rows are gone. Of a person stays that an address was
-- seen somewhere at a time, not by whom. Of a chat stays nothing; who was first is told again from
-- the other chats.
CREATE FUNCTION erase_knowledge(what text, whom bigint) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(8387793113496182642);
    IF what = 'sender' THEN
        DELETE FROM senders WHERE sender_id = whom AND called + added_by_edit + retracted + matched <= 0;
        UPDATE senders SET name = '', username = NULL WHERE sender_id = whom;
        UPDATE addresses SET first_sender_id = NULL WHERE first_sender_id = whom;
        UPDATE address_chats SET first_sender_id = NULL WHERE first_sender_id = whom;
        RETURN;
    END IF;
    -- Counts of messages that were dropped for their age are here alone.
    UPDATE addresses AS known SET called = known.called - gone.called,
        added_by_edit = known.added_by_edit - gone.added_by_edit, retracted = known.retracted - gone.retracted
    FROM address_chats AS gone WHERE gone.address_id = known.address_id AND gone.chat_id = whom;
    DELETE FROM address_chats WHERE chat_id = whom;
    DELETE FROM chats WHERE chat_id = whom;
    UPDATE addresses AS known SET
        (first_seen, first_credited, first_chat_id, first_message_id, first_sender_id) = (
            SELECT c.first_seen, c.first_credited, c.chat_id, c.first_message_id, c.first_sender_id
            FROM address_chats AS c WHERE c.address_id = known.address_id AND c.first_seen IS NOT NULL
            ORDER BY claim(c.first_seen, c.first_credited, c.chat_id, c.first_message_id, c.first_sender_id) LIMIT 1
        )
    WHERE first_chat_id = whom;
    DELETE FROM addresses AS known WHERE first_seen IS NULL AND called + added_by_edit + retracted <= 0
        AND NOT EXISTS (SELECT FROM address_chats AS c WHERE c.address_id = known.address_id);
END
$$;
