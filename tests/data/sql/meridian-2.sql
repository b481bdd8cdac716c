-- Meridian: objects that a central PostgreSQL database (14 or later) needs. Run once as the owner of the watched tables:
--   psql -v ON_ERROR_STOP=1 -1 -f meridian.sql
-- Over older objects run upgrade.sql beside this file instead, in the same way.
-- Then:  GRANT USAGE ON SCHEMA meridian TO <balancer role>;  GRANT SELECT ON ALL TABLES IN SCHEMA meridian TO <balancer role>;
--        GRANT INSERT, UPDATE, DELETE ON meridian.task, meridian.task_request, meridian.task_result TO <balancer role>;  -- queue in PostgreSQL only
--        REVOKE EXECUTE ON FUNCTION meridian.heartbeat, meridian.leave, meridian.tag_changed, meridian.prune, meridian.restored FROM PUBLIC; GRANT them role by role.
-- Application roles need nothing for the row triggers (SECURITY DEFINER).

-- ---------------------------------------------------------------- A. change log
CREATE SCHEMA meridian;
CREATE TABLE meridian.meta (one boolean PRIMARY KEY DEFAULT true CHECK (one), version int NOT NULL DEFAULT 2,
  generation uuid NOT NULL DEFAULT gen_random_uuid(), floor xid8 NOT NULL DEFAULT '0', mark xid8, mark_at timestamptz);
INSERT INTO meridian.meta DEFAULT VALUES;
CREATE TABLE meridian.change (xid xid8 NOT NULL DEFAULT pg_current_xact_id(), tag text COLLATE "C" NOT NULL);
CREATE INDEX change_xid ON meridian.change (xid);
CREATE TABLE meridian.watched (rel regclass PRIMARY KEY, templates text[] NOT NULL, columns text[]);

CREATE FUNCTION meridian.tag_changed(VARIADIC tags text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  INSERT INTO meridian.change (tag) SELECT DISTINCT
      CASE WHEN octet_length(t) BETWEEN 1 AND 200 AND t !~ '[[:cntrl:]]' THEN t ELSE '*' END
    FROM unnest(tags) t WHERE t IS NOT NULL;
  IF FOUND AND coalesce(current_setting('meridian.notify', true), 'on') <> 'off' THEN
    PERFORM pg_notify('meridian', '');
  END IF;
END $$;

CREATE FUNCTION meridian.watch(rel regclass, templates text[], columns text[] DEFAULT NULL, fold int DEFAULT 200)
RETURNS void LANGUAGE plpgsql AS $o$
DECLARE t text; c text; e text; ev text; src text; k text; w text; cols text[] := '{}'; tagx text[] := '{}'; wide text[] := '{}';
BEGIN
  FOREACH t IN ARRAY templates LOOP
    IF t ~ '^(\{|meridian:)' OR EXISTS (SELECT FROM regexp_split_to_table(t, '/') s
        WHERE s !~ '^([^{}*[:cntrl:]]+|\{[a-z_][a-z0-9_]*\})$') THEN RAISE EXCEPTION 'meridian.watch: bad template "%"', t; END IF;
    e := quote_literal(t);
    FOR c IN SELECT m[1] FROM regexp_matches(t, '\{([a-z0-9_]+)\}', 'g') m LOOP
      PERFORM FROM pg_attribute WHERE attrelid = rel AND attname = c AND attnum > 0 AND NOT attisdropped AND atttypid IN
        ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype, 'text'::regtype, 'varchar'::regtype);
      IF NOT FOUND THEN RAISE EXCEPTION 'meridian.watch: % has no integer, uuid or text column "%"', rel, c; END IF;
      cols := array_remove(cols, c) || c;
      e := replace(e, '{' || c || '}', ''' || r.' || quote_ident(c) || '::text || ''');
    END LOOP;
    tagx := tagx || e;
    wide := wide || CASE WHEN t ~ '\{' THEN quote_literal(regexp_replace(t, '\{.*', '') || '*') ELSE e END;
  END LOOP;
  SELECT concat_ws(', ', '1 AS _', string_agg(quote_ident(x), ', ')) INTO k FROM unnest(cols) x;
  SELECT concat_ws(', ', k, string_agg(format('%I::text AS %I', x, '_' || x), ', ')) INTO w FROM unnest(columns) x;
  FOREACH ev IN ARRAY ARRAY['insert', 'update', 'delete'] LOOP
    src := CASE WHEN ev = 'insert' THEN 'SELECT ' || k || ' FROM new_rows'
                WHEN ev = 'delete' THEN 'SELECT ' || k || ' FROM old_rows'
                WHEN columns IS NULL THEN 'SELECT ' || k || ' FROM new_rows UNION ALL SELECT ' || k || ' FROM old_rows'
                ELSE replace('(SELECT % FROM new_rows EXCEPT SELECT % FROM old_rows) UNION ALL (SELECT % FROM old_rows EXCEPT SELECT % FROM new_rows)', '%', w) END;
    EXECUTE format($x$CREATE OR REPLACE FUNCTION meridian.%I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $f$
      DECLARE tags text[]; n bigint;
      BEGIN
        IF TG_OP <> 'TRUNCATE' THEN
          BEGIN
            SELECT count(*), array_agg(DISTINCT x) INTO n, tags FROM (SELECT * FROM (%s) q LIMIT %s) r, unnest(ARRAY[%s]) x;
          EXCEPTION WHEN undefined_column THEN n := NULL;   -- table altered since: widen, never fail the writer
          END;
        END IF;
        IF n = 0 THEN RETURN NULL; END IF;
        IF n IS NULL OR n >= %s THEN tags := ARRAY[%s]; END IF;
        PERFORM meridian.tag_changed(VARIADIC tags);
        RETURN NULL;
      END $f$$x$, 'w' || rel::oid || '_' || ev, src, fold, array_to_string(tagx, ', '),
      fold * cardinality(templates), array_to_string(wide, ', '));
    EXECUTE format('CREATE OR REPLACE TRIGGER meridian_%s AFTER %s ON %s REFERENCING %s FOR EACH STATEMENT EXECUTE FUNCTION meridian.%I()',
      ev, ev, rel, concat_ws(' ', CASE WHEN ev <> 'insert' THEN 'OLD TABLE AS old_rows' END, CASE WHEN ev <> 'delete' THEN 'NEW TABLE AS new_rows' END),
      'w' || rel::oid || '_' || ev);
  END LOOP;
  EXECUTE format('CREATE OR REPLACE TRIGGER meridian_truncate AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION meridian.%I()', rel, 'w' || rel::oid || '_delete');
  INSERT INTO meridian.watched VALUES (rel, templates, columns)
    ON CONFLICT ON CONSTRAINT watched_pkey DO UPDATE SET templates = excluded.templates, columns = excluded.columns;
  PERFORM meridian.tag_changed('*');
END $o$;

-- The poll. Prepared once per connection; $1 is the snapshot that the previous poll returned.
-- One statement = one snapshot, so `now_at` and `tags` agree. No row comes back on a standby.
--   PREPARE meridian_poll (pg_snapshot) AS
--   SELECT pg_current_snapshot() AS now_at,
--          (SELECT system_identifier FROM pg_control_system())::text || '/' ||
--            left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/' || m.generation AS server,
--          m.floor,
--          ARRAY(SELECT DISTINCT tag FROM meridian.change WHERE xid >= pg_snapshot_xmax($1)) ||
--          ARRAY(SELECT DISTINCT tag FROM meridian.change WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($1)))) AS tags
--   FROM meridian.meta m WHERE NOT pg_is_in_recovery();

CREATE FUNCTION meridian.prune(keep interval DEFAULT '1 hour', batch int DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE n bigint := 0; m meridian.meta;
BEGIN
  SELECT * INTO m FROM meridian.meta FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN 0; END IF;                      -- another balancer is pruning
  IF m.mark IS NOT NULL AND m.mark_at < now() - keep THEN
    UPDATE meridian.meta SET floor = m.mark;
    DELETE FROM meridian.change WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM meridian.change WHERE xid < m.mark ORDER BY xid LIMIT batch));
    GET DIAGNOSTICS n = ROW_COUNT;
  END IF;
  IF m.mark IS NULL OR (m.mark_at < now() - keep AND n < batch) THEN
    UPDATE meridian.meta SET mark = pg_snapshot_xmin(pg_current_snapshot()), mark_at = now();
  END IF;
  RETURN n;
END $$;

-- To be called after data were put back from a dump into this database: what balancers have seen of the
-- log does not fit any more, so everything counts as changed. Copies of a whole cluster and promoted standbys
-- are noticed without it.
CREATE FUNCTION meridian.restored() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  UPDATE meridian.meta SET generation = gen_random_uuid(), mark = NULL, mark_at = NULL, floor = pg_snapshot_xmin(pg_current_snapshot());
  DELETE FROM meridian.change;
  PERFORM meridian.tag_changed('*');
END $$;

-- ---------------------------------------------------------------- C. pool registry
CREATE TABLE meridian.pool_server (
  pool    text NOT NULL CHECK (pool ~ '^[a-z0-9_-]{1,63}$'),
  address text NOT NULL CHECK (octet_length(address) BETWEEN 3 AND 261),
  weight  int  NOT NULL DEFAULT 100 CHECK (weight BETWEEN 0 AND 1000),
  site    text NOT NULL DEFAULT '' CHECK (octet_length(site) <= 63),
  desired text NOT NULL DEFAULT 'active' CHECK (desired IN ('active','drain','maintenance')),
  ttl     interval,
  seen_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (pool, address)
);
CREATE FUNCTION meridian.heartbeat(pool text, address text, ttl interval DEFAULT '30 s',
  weight int DEFAULT 100, site text DEFAULT '') RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  INSERT INTO meridian.pool_server AS p (pool, address, weight, site, ttl) VALUES ($1,$2,$4,$5,$3)
  ON CONFLICT ON CONSTRAINT pool_server_pkey DO UPDATE
    SET weight = excluded.weight, site = excluded.site, ttl = excluded.ttl, seen_at = now()
$$;
CREATE FUNCTION meridian.leave(pool text, address text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  DELETE FROM meridian.pool_server p WHERE p.pool = $1 AND p.address = $2 $$;
CREATE FUNCTION meridian.pool_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND (OLD.pool, OLD.address, OLD.weight, OLD.site, OLD.desired) IS NOT DISTINCT FROM (NEW.pool, NEW.address, NEW.weight, NEW.site, NEW.desired)
  THEN RETURN NULL; END IF;
  PERFORM meridian.tag_changed('meridian:pool/' || coalesce(NEW.pool, OLD.pool));
  RETURN NULL;
END $$;
CREATE TRIGGER pool_changed AFTER INSERT OR UPDATE OR DELETE ON meridian.pool_server FOR EACH ROW EXECUTE FUNCTION meridian.pool_changed();

-- ---------------------------------------------------------------- B. deferred requests
CREATE TABLE meridian.task (
  id text PRIMARY KEY,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  route text NOT NULL,
  state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued','running','done','dead','cancelled')),
  order_key text,
  owner bytea NOT NULL DEFAULT '',
  idem_key text, idem_print bytea,
  attempt int NOT NULL DEFAULT 0, max_attempts int NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  run_at timestamptz NOT NULL DEFAULT now(),
  urgent_at timestamptz NOT NULL, expire_at timestamptz NOT NULL,
  holder text, lease_until timestamptz,
  finished_at timestamptz, keep_until timestamptz,
  http_status int, error text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
CREATE UNIQUE INDEX task_idem  ON meridian.task (route, owner, idem_key) WHERE idem_key IS NOT NULL;
CREATE INDEX task_ready ON meridian.task (run_at, seq) WHERE state = 'queued';
CREATE INDEX task_lease ON meridian.task (lease_until) WHERE state = 'running';
CREATE INDEX task_order ON meridian.task (route, order_key, seq) WHERE state IN ('queued','running') AND order_key IS NOT NULL;
CREATE INDEX task_keep ON meridian.task (keep_until) WHERE keep_until IS NOT NULL;
CREATE TABLE meridian.task_request (id text PRIMARY KEY REFERENCES meridian.task ON DELETE CASCADE, head bytea NOT NULL, body bytea NOT NULL);
CREATE TABLE meridian.task_result  (id text PRIMARY KEY REFERENCES meridian.task ON DELETE CASCADE, head bytea NOT NULL, body bytea);
-- Claim: $1 routes, $2 how many, $3 holder, $4 only overdue ones, $5 lease.
--   WITH pick AS (SELECT id FROM meridian.task t
--      WHERE state = 'queued' AND run_at <= now() AND expire_at > now() AND route = ANY ($1) AND (NOT $4 OR urgent_at <= now())
--        AND (order_key IS NULL OR NOT EXISTS (SELECT FROM meridian.task p WHERE p.route = t.route AND p.order_key = t.order_key
--                                              AND p.seq < t.seq AND p.state IN ('queued', 'running')))
--      ORDER BY (urgent_at <= now()) DESC, run_at, seq LIMIT $2 FOR UPDATE SKIP LOCKED)
--   UPDATE meridian.task t SET state = 'running', attempt = attempt + 1, holder = $3, lease_until = now() + $5
--   FROM pick WHERE t.id = pick.id RETURNING t.id, t.route, t.attempt, t.max_attempts;
-- Every later write of that attempt carries the fence:  WHERE id = $1 AND holder = $2 AND attempt = $3 AND state = 'running'
