-- Brings the objects of an older version to the present one, whatever that was; balancers and servers may go on
-- meanwhile. Run as the owner of the schema:
--   psql -v ON_ERROR_STOP=1 -1 -f upgrade.sql
DO $do$
DECLARE v int;
BEGIN
  SELECT version INTO STRICT v FROM meridian.meta FOR UPDATE;
  IF v > 3 THEN RAISE EXCEPTION 'the objects have version %, which is newer than this file', v; END IF;
  IF v < 2 THEN
    EXECUTE $ddl$
-- To be called after data were put back from a dump into this database: what balancers have seen of the
-- log does not fit any more, so everything counts as changed. Copies of a whole cluster and promoted standbys
-- are noticed without it.
CREATE OR REPLACE FUNCTION meridian.restored() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  UPDATE meridian.meta SET generation = gen_random_uuid(), mark = NULL, mark_at = NULL, floor = pg_snapshot_xmin(pg_current_snapshot());
  DELETE FROM meridian.change;
  PERFORM meridian.tag_changed('*');
END $$;
    $ddl$;
  END IF;
  IF v < 3 THEN
    EXECUTE $ddl$
CREATE OR REPLACE FUNCTION meridian.pool_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND (OLD.pool, OLD.address, OLD.weight, OLD.site, OLD.desired) IS NOT DISTINCT FROM (NEW.pool, NEW.address, NEW.weight, NEW.site, NEW.desired)
  THEN RETURN NULL; END IF;
  IF TG_OP = 'TRUNCATE' THEN PERFORM meridian.tag_changed('meridian:pool/*');
  ELSE PERFORM meridian.tag_changed('meridian:pool/' || NEW.pool, 'meridian:pool/' || OLD.pool);   -- no row, no tag
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER pool_truncated AFTER TRUNCATE ON meridian.pool_server FOR EACH STATEMENT EXECUTE FUNCTION meridian.pool_changed();
    $ddl$;
    ALTER TABLE meridian.meta ALTER COLUMN version SET DEFAULT 3;
    UPDATE meridian.meta SET version = 3;
  END IF;
END $do$;
