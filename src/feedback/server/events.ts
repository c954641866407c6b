/** What happens in a project, told as it happens: votes, items, settings, guidelines. */
import { setTimeout as pause } from 'node:timers/promises';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { sql } from 'kysely';
import { z } from 'zod';
import { mayAs, type Role } from '../people.ts';
import type { Database } from '../store/database.ts';
import { type Env, parsed, personOf, projectOf } from './context.ts';
import { whoAsks } from './security.ts';

/** How far the record was told: of votes and of the audit trail, which count apart. */
interface Position {
  votes: number;
  events: number;
}

/** Milliseconds between looks at the store. */
const LOOK = 300;
/** Milliseconds between signs of life, at which it is also seen whether the listener may still listen. */
const PING = 15_000;
/** Rows that are read at once for who has missed many. */
const BATCH = 500;

export const eventsSchema = z.object({ project: z.string().max(200) });

/** What one may hear of, by the audit trail's names, and from which role on. */
const kinds: Record<string, { kind: string; role: Role }> = {
  'items added': { kind: 'items', role: 'annotator' },
  'settings changed': { kind: 'settings', role: 'annotator' },
  'guidelines written': { kind: 'guidelines', role: 'annotator' },
  'priorities set': { kind: 'priorities', role: 'reviewer' },
  'item decided': { kind: 'decided', role: 'reviewer' },
};

/**
 * `GET /?project=NAME`: reviewers and owners hear of each vote and who gave it, annotators only how many there were. Where an id is sent
 * back as Last-Event-ID, what came after it is told first; else the stream begins with `open`, and tells what comes.
 */
export function eventRoutes(database: Database): Hono<Env> {
  const record = createRecord(database);
  return new Hono<Env>().get('/', async (context) => {
    personOf(context);
    const { project: name } = parsed(eventsSchema, context.req.query());
    const { id: project } = await projectOf(database, name);
    const told = /^(\d{1,15}),(\d{1,15})$/.exec(context.req.header('last-event-id') ?? '');
    let at = told ? { votes: Number(told[1]), events: Number(told[2]) } : await record.now();
    return streamSSE(context, async (stream) => {
      const tell = (event: string, data: object) =>
        stream.writeSSE({ event, id: `${at.votes},${at.events}`, data: JSON.stringify({ kind: event, ...data }) });
      let seen = { events: -1, at: Date.now() };
      if (!told) await tell('open', {});
      try {
        while (!stream.aborted) {
          const end = await record.settled();
          if (end.events !== seen.events || Date.now() - seen.at > PING) {
            // who was shut out hears nothing more
            if (!(await signedIn())) return;
            if (Date.now() - seen.at > PING) await stream.write(': still here\n\n');
            seen = { events: end.events, at: Date.now() };
          }
          const { votes, events, next } = await record.read(project, at, end);
          const { role } = personOf(context);
          if (mayAs(role, 'reviewer')) {
            for (const { seq, ...vote } of votes) {
              at = { ...at, votes: seq };
              await tell('vote', { seq, ...vote });
            }
          } else if (votes.length > 0) {
            at = { ...at, votes: next.votes };
            await tell('votes', { count: votes.length });
          }
          for (const { seq, kind, person, detailJson } of events) {
            const known = kinds[kind];
            if (!known || !mayAs(role, known.role)) continue;
            at = { votes: next.votes, events: seq };
            const by = mayAs(role, 'reviewer') ? { person } : {};
            await tell(known.kind, { ...JSON.parse(detailJson), ...by });
          }
          at = next;
          if (votes.length < BATCH && events.length < BATCH) await pause(LOOK);
        }
      } catch {
        // the store was closed, or does not answer: the listener comes again, and misses nothing
      }
    });

    async function signedIn(): Promise<boolean> {
      const { person } = await whoAsks(database, context);
      context.set('person', person);
      return person !== undefined;
    }
  });
}

/** The record as all listeners of a process read it: however many there are, the store is looked at once. */
function createRecord({ query, kind }: Database) {
  let looked: { at: number; ends: Promise<Ends> } | undefined;
  let before: Seen | undefined;
  let settled: Position = { votes: 0, events: 0 };
  const reads = new Map<string, ReturnType<typeof read>>();

  interface Seen extends Position {
    oldest: number;
    next: number;
  }
  interface Ends {
    seen: Position;
    settled: Position;
  }

  /**
   * PostgreSQL gives numbers out before their rows can be seen, and a later one may be seen first: what was the end at one look is so
   * for good once every transaction of that time is over.
   */
  async function ends(): Promise<Ends> {
    const snapshot =
      kind === 'postgres'
        ? sql`pg_snapshot_xmin(pg_current_snapshot())::text::float8 as oldest, pg_snapshot_xmax(pg_current_snapshot())::text::float8 as next`
        : sql`0 as oldest, 0 as next`;
    const { rows } = await sql<Seen>`select coalesce((select max(seq) from votes), 0) as votes,
      coalesce((select max(seq) from events), 0) as events, ${snapshot}`.execute(query);
    const [seen] = rows;
    if (kind === 'sqlite') settled = seen;
    else if (before && seen.oldest >= before.next) settled = before;
    if (kind === 'sqlite' || !before || seen.oldest >= before.next) before = seen;
    reads.clear();
    return { seen, settled };
  }

  function look(): Promise<Ends> {
    const now = Date.now();
    if (!looked || now - looked.at >= LOOK) {
      const found = ends();
      looked = { at: now, ends: found };
      // asked anew where it failed
      found.catch(() => {
        looked = undefined;
      });
    }
    return looked.ends;
  }

  async function read(project: string, from: Position, to: Position) {
    const votes = await query
      .selectFrom('votes')
      .innerJoin('people', 'people.id', 'votes.person')
      .select(['votes.seq', 'votes.item', 'people.name as person', 'votes.kind as said', 'votes.created'])
      .where('votes.project', '=', project)
      .where('votes.seq', '>', from.votes)
      .where('votes.seq', '<=', to.votes)
      .orderBy('votes.seq')
      .limit(BATCH)
      .execute();
    const events = await query
      .selectFrom('events')
      .leftJoin('people', 'people.id', 'events.person')
      .select(['events.seq', 'events.kind', 'events.detailJson', 'people.name as person'])
      .where('events.project', '=', project)
      .where('events.seq', '>', from.events)
      .where('events.seq', '<=', to.events)
      .orderBy('events.seq')
      .limit(BATCH)
      .execute();
    const endOf = (rows: readonly { seq: number }[], from: number, to: number) =>
      rows.length === BATCH ? rows[BATCH - 1].seq : Math.max(from, to);
    const next = { votes: endOf(votes, from.votes, to.votes), events: endOf(events, from.events, to.events) };
    return { votes, events, next };
  }

  return {
    /** Up to where nothing can still appear. */
    settled: async (): Promise<Position> => (await look()).settled,
    /** The end as it is, once what was under way then is over. */
    async now(): Promise<Position> {
      const { seen } = await look();
      for (;;) {
        const { settled } = await look();
        if (settled.votes >= seen.votes && settled.events >= seen.events) return settled;
        await pause(LOOK);
      }
    },
    read(project: string, from: Position, to: Position): ReturnType<typeof read> {
      const key = `${project} ${from.votes},${from.events} ${to.votes},${to.events}`;
      const known = reads.get(key) ?? read(project, from, to);
      reads.set(key, known);
      return known;
    },
  };
}
