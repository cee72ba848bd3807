-- What is known of addresses, chats and senders over all their events, longer than the events
-- themselves are kept. Writers of events touch none of these tables: one process at a time counts
-- what is new (roll_up), so no row is ever contended.

-- A claim to have been first, as it is compared: the earlier one, then the one that was seen over
-- the one that only a forward tells of; the rest makes the order total. NULL comes last.
CREATE FUNCTION claim(at timestamptz, credited boolean, chat_id bigint, message_id bigint, sender_id bigint)
RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- Milliseconds, which a double holds exactly.
    SELECT ARRAY[
        round(date_part('epoch', at - timestamptz '1970-01-01 00:00:00+00') * 1000)::bigint,
        credited::integer::bigint, chat_id, message_id, sender_id
    ]
$$;

CREATE FUNCTION claim_time(claim bigint[]) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_timestamp(claim[1] / 1000.0::double precision)
$$;

-- When an address came into its message: with the message, or with the edit that added it, so that
-- nobody becomes the first by editing an old message.
CREATE FUNCTION appeared(event text, message_date timestamptz, edit_date timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE event WHEN 'added_by_edit' THEN greatest(message_date, edit_date) ELSE message_date END
$$;

-- Every claim that the events make: a message for its chat and sender; a forwarded one for its
-- origin too, at the time of the original. An origin with a positive id is a person, whose chat is
-- not known; one without an id hides itself.
CREATE VIEW claims AS
SELECT archived_xid, address, family, coalesce(coin_type, '') AS coin_type, chat_id,
    claim(appeared(event, message_date, edit_date), false, chat_id, message_id, sender_id) AS claim
FROM detections
WHERE event <> 'retracted'
UNION ALL
SELECT archived_xid, address, family, coalesce(coin_type, ''), CASE WHEN forward_id < 0 THEN forward_id END,
    claim(
        forward_at, true, CASE WHEN forward_id < 0 THEN forward_id END, forward_message_id,
        CASE WHEN forward_id > 0 THEN forward_id END
    )
FROM detections
WHERE event <> 'retracted' AND forward_at IS NOT NULL;

CREATE TABLE addresses (
    address_id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    family           text        NOT NULL,
    address          text        COLLATE "C" NOT NULL,
    coin_type        text        COLLATE "C" NOT NULL,
    -- NULL while nothing but a retraction is known.
    first_seen       timestamptz,
    -- Whether it is known from a forward only.
    first_credited   boolean,
    first_chat_id    bigint,
    first_message_id bigint,
    first_sender_id  bigint,
    last_seen        timestamptz,
    called           bigint      NOT NULL,
    added_by_edit    bigint      NOT NULL,
    retracted        bigint      NOT NULL,
    UNIQUE (address, family, coin_type)
);

-- How an address spread.
CREATE TABLE address_chats (
    address_id       bigint      NOT NULL,
    chat_id          bigint      NOT NULL,
    first_seen       timestamptz,
    first_credited   boolean,
    first_message_id bigint,
    first_sender_id  bigint,
    last_seen        timestamptz,
    -- All 0 for a chat that is known from forwards only.
    called           bigint      NOT NULL,
    added_by_edit    bigint      NOT NULL,
    retracted        bigint      NOT NULL,
    PRIMARY KEY (address_id, chat_id)
);

CREATE TABLE chats (
    chat_id          bigint      PRIMARY KEY,
    title            text        NOT NULL,
    username         text,
    kind             text        NOT NULL,
    -- When a listener was told of this title and name.
    told_at          timestamptz NOT NULL,
    first_seen       timestamptz NOT NULL,
    last_seen        timestamptz NOT NULL,
    called           bigint      NOT NULL,
    added_by_edit    bigint      NOT NULL,
    retracted        bigint      NOT NULL,
    matched          bigint      NOT NULL
);

CREATE TABLE senders (
    sender_id        bigint      PRIMARY KEY,
    name             text        NOT NULL,
    username         text,
    kind             text        NOT NULL,
    told_at          timestamptz NOT NULL,
    first_seen       timestamptz NOT NULL,
    last_seen        timestamptz NOT NULL,
    called           bigint      NOT NULL,
    added_by_edit    bigint      NOT NULL,
    retracted        bigint      NOT NULL,
    matched          bigint      NOT NULL
);

-- How far the roll-ups have counted: every row below next_xid, none from there on.
CREATE TABLE roll_up_state (
    one              boolean     PRIMARY KEY DEFAULT true CHECK (one),
    next_xid         bigint      NOT NULL DEFAULT 0,
    -- What archived_xid adds to the number of the transaction: see rebase_roll_up.
    xid_offset       bigint      NOT NULL DEFAULT 0
);
INSERT INTO roll_up_state DEFAULT VALUES;

-- The number that the oldest transaction still running writes into its rows, on the scale of
-- archived_xid. No row below it will appear or vanish by a commit.
CREATE FUNCTION oldest_running_xid() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + xid_offset FROM roll_up_state
$$;

-- Counts rows that were not counted yet, about max_rows at a time, in one transaction with the
-- mark of how far it came. NULL where another process is at it.
CREATE FUNCTION roll_up(max_rows bigint, OUT counted bigint, OUT is_behind boolean)
LANGUAGE plpgsql SET search_path FROM CURRENT
-- The statistics never know the newest rows, and a join that is planned for one row takes forever
-- with thousands.
SET enable_nestloop = off SET enable_seqscan = off AS $$
DECLARE
    lowest bigint;
    ended bigint;
    cut bigint;
BEGIN
    -- The number spells tgmesh_r.
    IF NOT pg_try_advisory_xact_lock(8387793113496182642) THEN
        RETURN;
    END IF;
    SELECT next_xid INTO lowest FROM roll_up_state FOR UPDATE;
    ended := oldest_running_xid();
    SELECT archived_xid INTO cut FROM (
        SELECT archived_xid FROM detections WHERE archived_xid >= lowest AND archived_xid < ended
        UNION ALL
        SELECT archived_xid FROM matches WHERE archived_xid >= lowest AND archived_xid < ended
    ) AS fresh ORDER BY archived_xid OFFSET max_rows LIMIT 1;
    is_behind := FOUND;
    IF is_behind THEN
        -- A transaction is counted whole.
        ended := greatest(cut, lowest + 1);
    END IF;

    -- One row per address and chat, and one without a chat for origins that hide theirs.
    WITH counts AS (
        SELECT address, family, coalesce(coin_type, '') AS coin_type, chat_id,
            count(*) FILTER (WHERE event = 'called') AS called,
            count(*) FILTER (WHERE event = 'added_by_edit') AS added_by_edit,
            count(*) FILTER (WHERE event = 'retracted') AS retracted,
            max(appeared(event, message_date, edit_date)) FILTER (WHERE event <> 'retracted') AS last_seen
        FROM detections WHERE archived_xid >= lowest AND archived_xid < ended
        GROUP BY 1, 2, 3, 4
    ), firsts AS (
        SELECT address, family, coin_type, chat_id, min(claim) AS first
        FROM claims WHERE archived_xid >= lowest AND archived_xid < ended
        GROUP BY 1, 2, 3, 4
    ), spread AS (
        SELECT address, family, coin_type, chat_id, first, last_seen, coalesce(called, 0) AS called,
            coalesce(added_by_edit, 0) AS added_by_edit, coalesce(retracted, 0) AS retracted
        FROM counts FULL JOIN firsts USING (address, family, coin_type, chat_id)
    ), totals AS (
        SELECT address, family, coin_type, min(first) AS first, max(last_seen) AS last_seen, sum(called) AS called,
            sum(added_by_edit) AS added_by_edit, sum(retracted) AS retracted
        FROM spread GROUP BY 1, 2, 3
    ), written AS (
        INSERT INTO addresses AS known (
            address, family, coin_type, first_seen, first_credited, first_chat_id, first_message_id, first_sender_id,
            last_seen, called, added_by_edit, retracted
        )
        SELECT address, family, coin_type, claim_time(first), first[2] = 1, first[3], first[4], first[5], last_seen,
            called, added_by_edit, retracted
        FROM totals ORDER BY address, family, coin_type
        ON CONFLICT (address, family, coin_type) DO UPDATE SET
            (first_seen, first_credited, first_chat_id, first_message_id, first_sender_id) = (
                SELECT claim_time(first), first[2] = 1, first[3], first[4], first[5] FROM (SELECT least(
                    claim(known.first_seen, known.first_credited, known.first_chat_id, known.first_message_id, known.first_sender_id),
                    claim(EXCLUDED.first_seen, EXCLUDED.first_credited, EXCLUDED.first_chat_id, EXCLUDED.first_message_id, EXCLUDED.first_sender_id)
                )) AS least (first)
            ),
            last_seen = greatest(known.last_seen, EXCLUDED.last_seen),
            called = known.called + EXCLUDED.called,
            added_by_edit = known.added_by_edit + EXCLUDED.added_by_edit,
            retracted = known.retracted + EXCLUDED.retracted
        RETURNING address_id, address, family, coin_type
    )
    INSERT INTO address_chats AS known (
        address_id, chat_id, first_seen, first_credited, first_message_id, first_sender_id, last_seen, called,
        added_by_edit, retracted
    )
    SELECT address_id, chat_id, claim_time(first), first[2] = 1, first[4], first[5], last_seen, called, added_by_edit, retracted
    FROM spread JOIN written USING (address, family, coin_type)
    WHERE chat_id IS NOT NULL
    ORDER BY address_id, chat_id
    ON CONFLICT (address_id, chat_id) DO UPDATE SET
        (first_seen, first_credited, first_message_id, first_sender_id) = (
            SELECT claim_time(first), first[2] = 1, first[4], first[5] FROM (SELECT least(
                claim(known.first_seen, known.first_credited, known.chat_id, known.first_message_id, known.first_sender_id),
                claim(EXCLUDED.first_seen, EXCLUDED.first_credited, EXCLUDED.chat_id, EXCLUDED.first_message_id, EXCLUDED.first_sender_id)
            )) AS least (first)
        ),
        last_seen = greatest(known.last_seen, EXCLUDED.last_seen),
        called = known.called + EXCLUDED.called,
        added_by_edit = known.added_by_edit + EXCLUDED.added_by_edit,
        retracted = known.retracted + EXCLUDED.retracted;

    WITH fresh AS (
        SELECT chat_id, message_date, event, received_at, id FROM detections
        WHERE archived_xid >= lowest AND archived_xid < ended
        UNION ALL
        SELECT chat_id, message_date, 'matched', received_at, id FROM matches
        WHERE archived_xid >= lowest AND archived_xid < ended
    ), counts AS (
        SELECT chat_id, min(message_date) AS first_seen, max(message_date) AS last_seen,
            count(*) FILTER (WHERE event = 'called') AS called,
            count(*) FILTER (WHERE event = 'added_by_edit') AS added_by_edit,
            count(*) FILTER (WHERE event = 'retracted') AS retracted,
            count(*) FILTER (WHERE event = 'matched') AS matched
        FROM fresh GROUP BY 1
    ), newest AS (
        SELECT DISTINCT ON (chat_id) chat_id, message_date, id, event
        FROM fresh ORDER BY chat_id, received_at DESC, id DESC
    ), told AS (
        -- Only now the details: sorting all of them would take most of the time.
        SELECT newest.chat_id, received_at, detail->'chat' AS chat
        FROM newest JOIN detections USING (message_date, id)
        WHERE newest.event <> 'matched' AND archived_xid >= lowest AND archived_xid < ended
        UNION ALL
        SELECT newest.chat_id, received_at, detail->'chat'
        FROM newest JOIN matches USING (message_date, id)
        WHERE newest.event = 'matched' AND archived_xid >= lowest AND archived_xid < ended
    )
    INSERT INTO chats AS known (
        chat_id, title, username, kind, told_at, first_seen, last_seen, called, added_by_edit, retracted, matched
    )
    SELECT chat_id, coalesce(chat->>'title', ''), chat->>'username', coalesce(chat->>'kind', ''), received_at, first_seen,
        last_seen, called, added_by_edit, retracted, matched
    FROM counts JOIN told USING (chat_id) ORDER BY chat_id
    ON CONFLICT (chat_id) DO UPDATE SET
        (title, username, kind, told_at) = (
            SELECT title, username, kind, told_at FROM (VALUES
                (known.title, known.username, known.kind, known.told_at),
                (EXCLUDED.title, EXCLUDED.username, EXCLUDED.kind, EXCLUDED.told_at)
            ) AS both_known (title, username, kind, told_at) ORDER BY told_at DESC LIMIT 1
        ),
        first_seen = least(known.first_seen, EXCLUDED.first_seen),
        last_seen = greatest(known.last_seen, EXCLUDED.last_seen),
        called = known.called + EXCLUDED.called,
        added_by_edit = known.added_by_edit + EXCLUDED.added_by_edit,
        retracted = known.retracted + EXCLUDED.retracted,
        matched = known.matched + EXCLUDED.matched;

    WITH fresh AS (
        SELECT sender_id, message_date, event, received_at, id FROM detections
        WHERE archived_xid >= lowest AND archived_xid < ended AND sender_id IS NOT NULL
        UNION ALL
        SELECT sender_id, message_date, 'matched', received_at, id FROM matches
        WHERE archived_xid >= lowest AND archived_xid < ended AND sender_id IS NOT NULL
    ), counts AS (
        SELECT sender_id, min(message_date) AS first_seen, max(message_date) AS last_seen,
            count(*) FILTER (WHERE event = 'called') AS called,
            count(*) FILTER (WHERE event = 'added_by_edit') AS added_by_edit,
            count(*) FILTER (WHERE event = 'retracted') AS retracted,
            count(*) FILTER (WHERE event = 'matched') AS matched
        FROM fresh GROUP BY 1
    ), newest AS (
        SELECT DISTINCT ON (sender_id) sender_id, message_date, id, event
        FROM fresh ORDER BY sender_id, received_at DESC, id DESC
    ), told AS (
        -- Only now the details: sorting all of them would take most of the time.
        SELECT newest.sender_id, received_at, detail->'sender' AS sender
        FROM newest JOIN detections USING (message_date, id)
        WHERE newest.event <> 'matched' AND archived_xid >= lowest AND archived_xid < ended
        UNION ALL
        SELECT newest.sender_id, received_at, detail->'sender'
        FROM newest JOIN matches USING (message_date, id)
        WHERE newest.event = 'matched' AND archived_xid >= lowest AND archived_xid < ended
    )
    INSERT INTO senders AS known (
        sender_id, name, username, kind, told_at, first_seen, last_seen, called, added_by_edit, retracted, matched
    )
    SELECT sender_id, coalesce(sender->>'name', ''), sender->>'username', coalesce(sender->>'kind', ''), received_at,
        first_seen, last_seen, called, added_by_edit, retracted, matched
    FROM counts JOIN told USING (sender_id) ORDER BY sender_id
    ON CONFLICT (sender_id) DO UPDATE SET
        (name, username, kind, told_at) = (
            SELECT name, username, kind, told_at FROM (VALUES
                (known.name, known.username, known.kind, known.told_at),
                (EXCLUDED.name, EXCLUDED.username, EXCLUDED.kind, EXCLUDED.told_at)
            ) AS both_known (name, username, kind, told_at) ORDER BY told_at DESC LIMIT 1
        ),
        first_seen = least(known.first_seen, EXCLUDED.first_seen),
        last_seen = greatest(known.last_seen, EXCLUDED.last_seen),
        called = known.called + EXCLUDED.called,
        added_by_edit = known.added_by_edit + EXCLUDED.added_by_edit,
        retracted = known.retracted + EXCLUDED.retracted,
        matched = known.matched + EXCLUDED.matched;

    SELECT sum(rows) INTO counted FROM (
        SELECT count(*) AS rows FROM detections WHERE archived_xid >= lowest AND archived_xid < ended
        UNION ALL
        SELECT count(*) FROM matches WHERE archived_xid >= lowest AND archived_xid < ended
    ) AS parts;
    IF counted > 0 THEN
        UPDATE roll_up_state SET next_xid = ended;
    END IF;
END
$$;

-- Transactions are numbered by the server, so rows that were restored into another one (from a
-- dump) may hold numbers that its own have yet to reach. Then its numbers are lifted above all that
-- were given out, which is a change of a default and touches no row. Tells whether that was needed.
CREATE FUNCTION rebase_roll_up() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    highest bigint;
    lift bigint;
    name text;
BEGIN
    SELECT greatest(next_xid - 1, (SELECT max(archived_xid) FROM detections), (SELECT max(archived_xid) FROM matches))
        INTO highest FROM roll_up_state;
    IF highest < pg_snapshot_xmax(pg_current_snapshot())::text::bigint + (SELECT xid_offset FROM roll_up_state) THEN
        RETURN false;
    END IF;
    -- Nobody writes with the old numbers from here on.
    LOCK TABLE detections, matches IN ACCESS EXCLUSIVE MODE;
    SELECT greatest(next_xid - 1, (SELECT max(archived_xid) FROM detections), (SELECT max(archived_xid) FROM matches))
        INTO highest FROM roll_up_state FOR UPDATE;
    lift := highest + 1 - pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
    IF lift <= (SELECT xid_offset FROM roll_up_state) THEN
        RETURN false;
    END IF;
    UPDATE roll_up_state SET xid_offset = lift;
    FOREACH name IN ARRAY ARRAY['detections', 'matches'] LOOP
        EXECUTE format(
            'ALTER TABLE %I ALTER COLUMN archived_xid SET DEFAULT pg_current_xact_id()::text::bigint + %s', name, lift
        );
    END LOOP;
    RETURN true;
END
$$;

-- An address in each chat at this moment: what the roll-ups have counted, and what they have not.
-- The row without a chat is of origins that hide theirs. A list of permitted chats leaves the rest
-- out, NULL leaves nothing out.
CREATE FUNCTION address_spread(wanted text, permitted bigint[])
RETURNS TABLE (
    family text, coin_type text, chat_id bigint, first bigint[], last_seen timestamptz, called bigint,
    added_by_edit bigint, retracted bigint
)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT family, coin_type, chat_id, min(first), max(last_seen), sum(called)::bigint, sum(added_by_edit)::bigint,
        sum(retracted)::bigint
    FROM (
        SELECT a.family, a.coin_type, c.chat_id,
            CASE WHEN c.first_seen IS NOT NULL THEN
                claim(c.first_seen, c.first_credited, c.chat_id, c.first_message_id, c.first_sender_id)
            END AS first,
            c.last_seen, c.called, c.added_by_edit, c.retracted
        FROM addresses AS a JOIN address_chats AS c USING (address_id) WHERE a.address = wanted
        UNION ALL
        SELECT family, coin_type, NULL,
            claim(first_seen, first_credited, first_chat_id, first_message_id, first_sender_id), NULL, 0, 0, 0
        FROM addresses WHERE address = wanted AND first_seen IS NOT NULL AND first_chat_id IS NULL
        UNION ALL
        SELECT family, coin_type, chat_id, claim, NULL, 0, 0, 0
        FROM claims WHERE address = wanted AND archived_xid >= (SELECT next_xid FROM roll_up_state)
        UNION ALL
        SELECT family, coalesce(coin_type, ''), chat_id, NULL,
            CASE WHEN event <> 'retracted' THEN appeared(event, message_date, edit_date) END,
            (event = 'called')::integer, (event = 'added_by_edit')::integer, (event = 'retracted')::integer
        FROM detections WHERE address = wanted AND archived_xid >= (SELECT next_xid FROM roll_up_state)
    ) AS parts
    WHERE permitted IS NULL OR chat_id = ANY (permitted)
    GROUP BY 1, 2, 3
$$;

-- Who was first with an address, and by how much: one row per family and coin type. The lead is
-- over the next other chat.
CREATE FUNCTION address_first_seen(wanted text, permitted bigint[])
RETURNS TABLE (
    family text, coin_type text, first_seen timestamptz, first_credited boolean, first_chat_id bigint,
    first_message_id bigint, first_sender_id bigint, next_chat_id bigint, lead_ms bigint, chats bigint,
    last_seen timestamptz, called bigint, added_by_edit bigint, retracted bigint
)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    WITH spread AS MATERIALIZED (SELECT * FROM address_spread(wanted, permitted)),
    totals AS (
        SELECT family, coin_type, min(first) AS first, count(chat_id) FILTER (WHERE first IS NOT NULL) AS chats,
            max(last_seen) AS last_seen, sum(called)::bigint AS called, sum(added_by_edit)::bigint AS added_by_edit,
            sum(retracted)::bigint AS retracted
        FROM spread GROUP BY 1, 2
    )
    SELECT family, coin_type, claim_time(t.first), t.first[2] = 1, t.first[3], t.first[4], t.first[5], next.first[3],
        next.first[1] - t.first[1], chats, last_seen, called, added_by_edit, retracted
    FROM totals AS t LEFT JOIN LATERAL (
        SELECT min(s.first) AS first FROM spread AS s
        WHERE s.family = t.family AND s.coin_type = t.coin_type AND s.chat_id IS DISTINCT FROM t.first[3]
            AND s.chat_id IS NOT NULL
    ) AS next ON true
    ORDER BY t.first, family, coin_type
$$;
