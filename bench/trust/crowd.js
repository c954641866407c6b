/**
 * A thousand people in a project of a million items, through one server on SQLite and two on PostgreSQL, without and with
 * a lead who looks on: the bench of feedback with other numbers. HEED_BENCH_PEOPLE, _ITEMS, _THINKING (milliseconds at
 * most) and _SECONDS change them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measured, onPostgres, told } from '../feedback.js';

// somebody judges every ten seconds: a hundred judgments a second
const CROWD = { people: told('PEOPLE', 1000), items: told('ITEMS', 1_000_000), thinking: told('THINKING', 20_000) };

/** `env` names one store alone: sqlite or postgres. */
export async function* crowd({ env }) {
  if (env === undefined || env === 'sqlite') {
    for (const lead of [false, true]) {
      const folder = mkdtempSync(join(tmpdir(), 'heed-crowd-'));
      try {
        const name = nameOf('SQLite, one server', lead);
        yield { name, ...(await measured(join(folder, 'feedback.db'), 1, {}, { ...CROWD, lead })) };
      } finally {
        rmSync(folder, { recursive: true });
      }
    }
  }
  if (env !== undefined && env !== 'postgres') return;
  const name = 'PostgreSQL, two servers';
  yield* onPostgres(name, async function* (server) {
    for (const lead of [false, true])
      yield { name: nameOf(name, lead), ...(await measured(await server.database(), 2, {}, { ...CROWD, lead })) };
  });
}

const nameOf = (name, lead) => (lead ? `${name}, a lead looks on` : name);
