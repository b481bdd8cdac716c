// Keeps a server in the registry of a pool (node-postgres).
import pg from "pg";

export function register(config, pool, address, every = 10_000) {
  const client = new pg.Pool({ ...config, max: 1 });
  client.on("error", () => {}); // the lease lasts; the next beat tries again
  const beat = () =>
    client.query("SELECT meridian.heartbeat($1, $2, '30 s')", [pool, address]).catch(() => {});
  const timer = setInterval(beat, every);
  beat();
  return async () => {
    clearInterval(timer);
    await client.query("SELECT meridian.leave($1, $2)", [pool, address]);
    await client.end();
  };
}
