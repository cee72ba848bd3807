-- Users of the mesh's database, for `psql` as its superuser: a new server runs it by itself, and
-- after a change of passwords it is run again. Each password is a file in the folder that
-- POSTGRES_PASSWORDS names; tables and the roles' rights are the migrations' business.
\set ON_ERROR_STOP on
\set migrate `cat "$POSTGRES_PASSWORDS/migrate"`
\set archiver `cat "$POSTGRES_PASSWORDS/archiver"`
\set gateway `cat "$POSTGRES_PASSWORDS/gateway"`

SELECT format('CREATE ROLE %I NOLOGIN', name)
FROM unnest(ARRAY['tgmesh_owner', 'tgmesh_archiver', 'tgmesh_reader']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

SELECT format('CREATE ROLE %I LOGIN IN ROLE %I', login, member)
FROM (VALUES ('migrate', 'tgmesh_owner'), ('archiver', 'tgmesh_archiver'), ('gateway', 'tgmesh_reader')) AS users (login, member)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) \gexec

ALTER ROLE migrate PASSWORD :'migrate' CONNECTION LIMIT 10;
ALTER ROLE archiver PASSWORD :'archiver';
ALTER ROLE gateway PASSWORD :'gateway';

SELECT 'CREATE DATABASE tgmesh OWNER tgmesh_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'tgmesh') \gexec
REVOKE ALL ON DATABASE tgmesh FROM PUBLIC;
GRANT CONNECT ON DATABASE tgmesh TO tgmesh_owner, tgmesh_archiver, tgmesh_reader;
