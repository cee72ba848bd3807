-- Who may do what. Roles belong to the whole server and cannot log in; an operator makes users that
-- are members of them. Where the migrating user may not make roles, an operator makes them before,
-- or goes without.
--
-- tgmesh_owner     owns everything here: migrates, erases
-- tgmesh_archiver  writes events and counts them; deletes nothing but months past their retention,
--                  and takes away nothing but texts
-- tgmesh_reader    reads
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tgmesh_owner', 'tgmesh_archiver', 'tgmesh_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION
                -- Another database's migration was faster.
                WHEN duplicate_object OR unique_violation THEN NULL;
                WHEN insufficient_privilege THEN RAISE NOTICE 'may not create the role %', name;
            END;
        END IF;
    END LOOP;
END
$$;

-- Gives each role its rights. Called after every migration, so that new tables are settled too.
CREATE FUNCTION settle_roles() RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    place text := current_schema();
    item record;
    is_there boolean;
    -- Everything that the migrations made, and the partitions.
    tables oid[] := ARRAY(
        SELECT oid FROM pg_class WHERE relnamespace = place::regnamespace AND relkind IN ('r', 'p', 'v') AND (
            relname = ANY (ARRAY[
                'detections', 'matches', 'audit_log', 'addresses', 'address_chats', 'chats', 'senders', 'claims',
                'roll_up_state', 'text_retention_state', 'erasures', 'refinery_schema_history'
            ]) OR relname ~ '^(detections|matches)_\d{4}_\d{2}$'
        )
    );
    functions oid[] := ARRAY(
        SELECT oid FROM pg_proc WHERE pronamespace = place::regnamespace AND proname = ANY (ARRAY[
            'make_month', 'claim', 'claim_time', 'appeared', 'oldest_running_xid', 'roll_up', 'rebase_roll_up',
            'address_spread', 'address_first_seen', 'drop_month', 'clear_texts', 'ask_erasure', 'is_erasure_known',
            'erase_rows', 'erase_forwards', 'erase_knowledge', 'settle_roles'
        ])
    );
BEGIN
    -- Only their callers need these, and some act with the owner's rights.
    FOR item IN SELECT p::regprocedure AS name FROM unnest(functions) AS p LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', item.name);
    END LOOP;

    SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tgmesh_reader') INTO is_there;
    IF is_there THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO tgmesh_reader', place);
        FOR item IN SELECT c::regclass AS name FROM unnest(tables) AS c LOOP
            EXECUTE format('GRANT SELECT ON %s TO tgmesh_reader', item.name);
        END LOOP;
        GRANT EXECUTE ON FUNCTION claim, claim_time, appeared, address_spread, address_first_seen TO tgmesh_reader;
    END IF;

    SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tgmesh_archiver') INTO is_there;
    IF is_there THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO tgmesh_archiver', place);
        FOR item IN SELECT c::regclass AS name FROM unnest(tables) AS c LOOP
            EXECUTE format('GRANT SELECT ON %s TO tgmesh_archiver', item.name);
        END LOOP;
        GRANT INSERT ON detections, matches, audit_log TO tgmesh_archiver;
        GRANT UPDATE (text) ON detections, matches TO tgmesh_archiver;
        GRANT INSERT, UPDATE ON addresses, address_chats, chats, senders TO tgmesh_archiver;
        GRANT UPDATE ON roll_up_state, text_retention_state TO tgmesh_archiver;
        GRANT EXECUTE ON FUNCTION claim, claim_time, appeared, address_spread, address_first_seen, make_month,
            oldest_running_xid, roll_up, rebase_roll_up, drop_month, clear_texts TO tgmesh_archiver;
    END IF;

    SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tgmesh_owner') INTO is_there;
    IF is_there AND pg_has_role(current_user, 'tgmesh_owner', 'MEMBER') THEN
        BEGIN
            -- The functions that act with their owner's rights act with this role's, not with those of a
            -- superuser who happened to migrate.
            EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO tgmesh_owner', place);
            FOR item IN SELECT c::regclass AS name FROM unnest(tables) AS c LOOP
                EXECUTE format('ALTER TABLE %s OWNER TO tgmesh_owner', item.name);
            END LOOP;
            FOR item IN SELECT p::regprocedure AS name FROM unnest(functions) AS p LOOP
                EXECUTE format('ALTER FUNCTION %s OWNER TO tgmesh_owner', item.name);
            END LOOP;
        EXCEPTION
            -- An operator has set other owners, or lets this role make nothing here: theirs to settle.
            WHEN insufficient_privilege THEN RAISE NOTICE 'everything stays with its owner: %', SQLERRM;
        END;
    END IF;
END
$$;
