/**
 * Learns from feedback while the server runs: trains a version when there are enough new judgments, shows it to a share
 * of the users if it passes the gate, and by their feedback serves it to all or takes it back. One thing at a time: no
 * version is trained while another is a canary.
 */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { HeedError, messageOf } from '../../error.ts';
import { grouped } from '../../feedback/quality/quality.ts';
import { writeFileAtomic } from '../../files.ts';
import { percent } from '../../percent.ts';
import type { ServeContext } from '../context.ts';
import { ApiError } from '../errors.ts';
import type { FeedbackBook } from '../feedback/book.ts';
import { opinionOfAll } from '../feedback/feedback.ts';
import { decideCanary, type Tally } from './canary.ts';
import { checkVersion } from './gate.ts';
import { nextLevel } from './gate-level.ts';
import type { LearnPolicy } from './policy.ts';
import { type FeedbackRows, isHeldOut, rowsHash, rowsOf } from './rows.ts';
import type { VersionState } from './tables.ts';
import type { VersionJob, VersionRows } from './train-version.ts';
import { trainInProcess } from './version-process.ts';
import {
  type Version,
  type VersionGate,
  type VersionRow,
  versionOf,
  versionsOf,
  type Window,
  windowsOf,
} from './versions.ts';

/** Learns from feedback. */
export interface Learner {
  /** Looks for something to do: after feedback, and each minute. */
  wake(): void;
  /** Resolves once there is nothing to do. */
  settled(): Promise<void>;
  /** Deletes feedback: ends a training that is under way, which begins again without what was deleted. */
  without<T>(change: () => Promise<T>): Promise<T>;
  /** All versions, the oldest first. */
  versions(): Version[];
  /**
   * Takes a version back: a canary, or the serving version, whose parent then serves again.
   *
   * @throws ApiError 404 if there is no such version, 409 if nobody gets it.
   */
  rollBack(id: string, reason: string): Promise<Version>;
}

const HOUR = 3600 * 1000;
const DAY = 24 * HOUR;
/** Held-out judgments that a version is measured by at most, the latest. */
const HELD_OUT = 2000;

/** Starts to learn. `runs` is the folder of the runs. */
export async function openLearner(
  context: ServeContext,
  book: FeedbackBook,
  policy: LearnPolicy,
  runs: string,
): Promise<Learner> {
  const { database, shelf, onNotice, now } = context;
  const [first] = shelf.list();
  const model = policy.model ?? first?.name ?? '';
  const base = shelf.get(model);
  if (!base) {
    throw new HeedError(model === '' ? 'There is no model to learn.' : `The policy's model "${model}" is not served.`, {
      hint: 'Name one of --model: those of a provider are trained elsewhere.',
    });
  }
  if (base.folder === '') {
    throw new HeedError('A model that is passed in memory cannot learn: a training loads it from a folder.', {
      hint: 'Pass the folder or the name of the model.',
    });
  }
  let all = await versionsOf(database, model);
  let training: AbortController | undefined;

  const inState = (state: VersionState) => all.find((version) => version.state === state);
  const refresh = async () => {
    all = await versionsOf(database, model);
  };
  async function change(version: VersionRow, state: VersionState, reason: string, gate?: VersionGate): Promise<void> {
    await database
      .updateTable('versions')
      .set({ state, reason, changed: now(), ...(gate && { gateJson: JSON.stringify(gate) }) })
      .where('number', '=', version.number)
      .execute();
    await refresh();
    onNotice(`${version.name}: ${state}, ${reason}`);
  }
  const modelOf = (version: VersionRow | undefined) => (version ? join(version.run, 'model') : base.folder);

  shelf.redirect((name, user) => {
    if (name !== model) return name;
    const canary = inState('canary');
    if (canary && user !== undefined && isInCanary(user, canary.name, policy.canary.share)) return canary.name;
    return inState('serving')?.name ?? name;
  });

  /** New judgments since a time, of each user no more than count: nobody brings a training about alone. */
  async function judgmentsSince(time: number): Promise<number> {
    const users = await database
      .selectFrom('feedback')
      .select((select) => select.fn.countAll<number>().as('count'))
      .where('model', '=', model)
      .where('kind', '!=', 'text')
      .where('updated', '>', time)
      .groupBy('user')
      .execute();
    return users.reduce((sum, { count }) => sum + Math.min(Number(count), policy.mostPerUser), 0);
  }

  const latest = (versions: readonly VersionRow[]) => Math.max(0, ...versions.map(({ data }) => data.to));
  const verdictOf = ({ gate }: VersionRow) => gate?.verdict;

  /** Whether a training is due, and since when it learns. */
  async function due(): Promise<number | undefined> {
    const tried = all.filter((version) => verdictOf(version) !== 'stopped');
    const count = await judgmentsSince(latest(tried));
    const waited = now() - Math.max(started, ...tried.map(({ created }) => created));
    const inTime = policy.hours !== undefined && waited >= policy.hours * HOUR && count >= policy.least;
    if (count < policy.judgments && !inTime) return undefined;
    // what only was too little stays to be learned from; what was learned from, or did harm, does not
    return windowsOf(all).since;
  }
  const started = now();

  /** Trains a version and passes it through the gate. Returns false if there is nothing to train on. */
  async function train(since: number): Promise<boolean> {
    // whoever is forgotten from here on is not learned from
    training = new AbortController();
    const given = await book.read(model, now() - policy.days * DAY);
    const isHeld = ({ user }: { user: string }) => isHeldOut(user, policy.heldOut, policy.seed);
    const held = given.filter(isHeld);
    const fresh = given.filter((one) => !isHeld(one) && one.updated > since);
    const options = { ...policy, reliability: await book.reliability() };
    const rows = rowsOf(fresh, options);
    const method = methodFor(policy.method, rows);
    if (rows.chosen.length + rows.rated.length === 0) return false;
    const { proven } = windowsOf(all);
    const heldOut = joined(
      rowsOf(held.filter(({ updated }) => updated > since).slice(-HELD_OUT), options),
      rowsOf(held.filter(({ updated }) => isWithin(updated, proven)).slice(-HELD_OUT), options),
    );
    const serving = inState('serving');
    const { max } = await database
      .selectFrom('versions')
      .select((select) => select.fn.max('number').as('max'))
      .executeTakeFirstOrThrow();
    const number = Number(max ?? 0) + 1;
    const name = `${model}@${number}`;
    const run = resolve(
      runs,
      `serve-${createHash('sha256').update(`${name} ${now()}`).digest('hex').slice(0, 8)}-${number}`,
    );
    const times = [...fresh, ...held].map(({ updated }) => updated);
    const data = {
      hash: rowsHash(rows),
      rated: rows.rated.length,
      chosen: rows.chosen.length,
      judgments: rows.judgments,
      users: rows.users,
      beyond: rows.beyond,
      held_out: heldOut.rated.length + heldOut.chosen.length,
      from: Math.min(...times),
      to: Math.max(...times),
    };
    if (training.signal.aborted) return false;
    const at = now();
    await database
      .insertInto('versions')
      .values({
        number,
        model,
        name,
        run,
        method,
        parent: serving?.number ?? null,
        created: at,
        changed: at,
        state: 'training',
        reason: `learns from ${data.rated} rated completions and ${data.chosen} pairs of ${data.users} users`,
        dataJson: JSON.stringify(data),
        settingsJson: JSON.stringify(policy.training),
        gateJson: null,
      })
      .execute();
    await refresh();
    const path = rowsFile(number);
    mkdirSync(join(context.folder, 'versions'), { recursive: true });
    writeFileAtomic(path, JSON.stringify({ training: rows, heldOut }));
    chmodSync(path, 0o600);
    await trainAndCheck(inState('training')!);
    return true;
  }

  const rowsFile = (number: number) => join(context.folder, 'versions', `${number}.json`);

  async function trainAndCheck(version: VersionRow): Promise<void> {
    const { number, run, method, parent } = version;
    const job: VersionJob = {
      rows: resolve(rowsFile(number)),
      folder: run,
      method: method as VersionJob['method'],
      serving: modelOf(all.find((one) => one.number === parent)),
      training: policy.training,
      gate: policy.gate,
      seed: policy.seed + number,
    };
    training ??= new AbortController();
    const { signal: forgotten } = training;
    const signal = AbortSignal.any([forgotten, context.signal]);
    try {
      signal.throwIfAborted();
      const tested = all.filter((one) => ['passed', 'unproven', 'harmful'].includes(verdictOf(one) ?? ''));
      const served = tested.map(({ state }) => state === 'serving' || state === 'retired');
      const level = nextLevel(served, policy.gate.error);
      const { verdict, checks } = checkVersion(await trainInProcess(job, signal), { ...policy.gate, level });
      signal.throwIfAborted();
      const failed = checks.filter(({ passed }) => !passed).map(({ name, text }) => `${name}: ${text}`);
      if (verdict === 'passed') {
        await shelf.add({ name: version.name, folder: modelOf(version), parent: model });
        const reason = `shown to ${percent(policy.canary.share, 0)} of the users`;
        await change(version, 'canary', reason, { verdict, checks });
      } else await change(version, 'gated out', failed.join('; '), { verdict, checks });
    } catch (error) {
      if (context.signal.aborted) return; // the next start goes on
      const verdict = forgotten.aborted ? 'stopped' : 'failed';
      await change(version, 'gated out', messageOf(error), { verdict, checks: [] });
    } finally {
      // what users said is kept in one place
      if (!context.signal.aborted) rmSync(rowsFile(number), { force: true });
    }
  }

  /** Judgments since the canary began, of it and of the serving version; of each user the first few. */
  async function tallies(canary: VersionRow): Promise<Record<'canary' | 'serving', Tally>> {
    const serving = inState('serving')?.name ?? model;
    const rows = await database
      .selectFrom('feedback')
      .select(['completion', 'user', 'kind', 'valueJson', 'version', 'created'])
      .where('model', '=', model)
      .where('version', 'in', [canary.name, serving])
      .where('created', '>=', canary.changed)
      .where('kind', 'not in', ['choice', 'edit', 'text'])
      .orderBy('created')
      .execute();
    const tally = (version: string): Tally => {
      const own = rows.filter((row) => row.version === version);
      const counted = [...grouped(own, ({ user }) => user).values()].flatMap((theirs) =>
        [...grouped(theirs, ({ completion }) => completion).values()]
          .flatMap((about) => {
            const said = about.map(({ kind, valueJson }) => ({ kind, value: JSON.parse(valueJson) }));
            return opinionOfAll(said, policy.weights) ?? [];
          })
          .slice(0, policy.canary.perUser),
      );
      return { good: counted.filter(({ good }) => good).length, judged: counted.length };
    };
    return { canary: tally(canary.name), serving: tally(serving) };
  }

  /** Decides about the canary. Returns whether it is one no longer. */
  async function decide(canary: VersionRow): Promise<boolean> {
    const both = await tallies(canary);
    const { verdict, reason } = decideCanary(both.canary, both.serving, policy.canary);
    if (inState('canary')?.number !== canary.number) return true; // somebody took it back meanwhile
    if (verdict === 'promote') {
      const before = inState('serving');
      if (before) await change(before, 'retired', `${canary.name} serves`);
      await change(canary, 'serving', reason);
      return true;
    }
    const late = now() - canary.changed >= policy.canary.days * DAY;
    if (verdict === 'continue' && !late) return false;
    await takeBack(
      canary,
      late && verdict === 'continue' ? `undecided after ${policy.canary.days} days: ${reason}` : reason,
    );
    return true;
  }

  async function takeBack(version: VersionRow, reason: string): Promise<void> {
    const parent = all.find(({ number }) => number === version.parent);
    const wasServing = version.state === 'serving';
    await change(version, 'rolled back', reason);
    if (wasServing && parent) await change(parent, 'serving', `${version.name} was rolled back`);
    if (shelf.get(version.name)) await shelf.remove(version.name);
  }

  let work: Promise<void> | undefined;
  let again = false;
  let paused = 0;
  async function loop(): Promise<void> {
    const interrupted = inState('training');
    if (interrupted && existsSync(rowsFile(interrupted.number))) await trainAndCheck(interrupted);
    else if (interrupted)
      await change(interrupted, 'gated out', 'its rows are gone', { verdict: 'stopped', checks: [] });
    while (paused === 0 && !context.signal.aborted) {
      const canary = inState('canary');
      if (canary) {
        if (!(await decide(canary))) return;
        continue;
      }
      const since = await due();
      if (since === undefined) return;
      const trained = await train(since).finally(() => {
        training = undefined;
      });
      if (!trained) return;
    }
  }
  function wake(): void {
    again = true;
    if (work || paused > 0 || context.signal.aborted) return;
    work = (async () => {
      while (again && paused === 0 && !context.signal.aborted) {
        again = false;
        await loop();
      }
    })()
      .catch((error: unknown) => onNotice(`learning from feedback: ${messageOf(error)}`))
      .finally(() => {
        work = undefined;
      });
  }

  const timer = setInterval(wake, 60_000).unref();
  context.defer(async () => {
    clearInterval(timer);
    await work;
  });
  wake();

  return {
    wake,
    async settled() {
      while (work) await work;
    },
    async without(change) {
      paused += 1;
      training?.abort(new Error('feedback that it learned from was deleted'));
      try {
        await work;
        return await change();
      } finally {
        paused -= 1;
        wake();
      }
    },
    versions: () => all.map((row) => versionOf(row, all)),
    async rollBack(id, reason) {
      const version = all.find(({ name }) => name === id);
      if (!version) throw new ApiError(404, `There is no version "${id}".`, { code: 'version_not_found' });
      if (version.state !== 'canary' && version.state !== 'serving') {
        throw new ApiError(409, `"${id}" is ${version.state}: nobody gets it.`, { code: 'version_not_served' });
      }
      await takeBack(version, reason);
      wake();
      return versionOf(all.find(({ number }) => number === version.number)!, all);
    },
  };
}

/** Held-out rows of the time that a version learns from, and of earlier times. */
const joined = (own: FeedbackRows, earlier: FeedbackRows): VersionRows => ({
  rated: [...own.rated, ...earlier.rated.map((row) => ({ ...row, earlier: true }))],
  chosen: [...own.chosen, ...earlier.chosen.map((row) => ({ ...row, earlier: true }))],
});

const isWithin = (time: number, windows: readonly Window[]) =>
  windows.some(({ from, to }) => time > from && time <= to);

/** By which method rows are learned from. */
function methodFor(method: LearnPolicy['method'], { rated, chosen }: FeedbackRows): VersionJob['method'] {
  if (method !== 'auto') return method;
  return chosen.length > rated.length ? 'dpo' : 'kto';
}

/** Whether a user gets a canary: always the same ones, and others for each canary. */
export function isInCanary(user: string, version: string, share: number): boolean {
  const hash = createHash('sha256').update(`canary ${version} ${user}`).digest();
  return hash.readUInt32LE(0) / 2 ** 32 < share;
}
