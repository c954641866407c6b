/** People beside a training: they answer its queries in a project of the studio, in the training's room. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { HeedError, messageOf } from '../../error.ts';
import { createProject, listProjects, type Project, type ProjectInput } from '../../feedback/project.ts';
import type { RoomPlay, RoomRequest, RoomState } from '../../feedback/room.ts';
import { type Database, openDatabase } from '../../feedback/store/database.ts';
import { createHumanTeacher, type HumanTeacherOptions } from '../../feedback/teacher.ts';
import type { LearnerParts, StageLearner, StageTraining } from '../../pipeline/trainings/training.ts';
import type { LearnedComparison } from '../../preference/lesson.ts';
import type { Teacher } from '../../preference/teacher.ts';
import type { TrainParts } from '../../run/drive.ts';
import { type Run, readMetrics } from '../../run/run.ts';
import { isLogJson, note as say } from '../program/log.ts';
import type { Staying } from '../run/run-training.ts';
import { DEFAULT_STORE } from './store.ts';
import { startStudioThread } from './studio-thread.ts';

/** The person whom the link signs in, as in `heed studio`. */
const OWNER = 'me';
/** Milliseconds for which a room stays open when its last page is gone: a page that is loaded again comes back. */
const RETURN = 4000;
/** Milliseconds in which open pages hear of a training's end. */
const HEAR = 400;

/** A teacher that is set once the run's folder exists. */
export interface TeacherToCome<Option> extends Teacher<Option> {
  is?: Teacher<Option>;
  /** Called when the training begins to wait for judgments, and when it continues. */
  onWait(waiting: boolean): void;
}

function teacherToCome<Option>(): TeacherToCome<Option> {
  const teacher: TeacherToCome<Option> = {
    name: 'human',
    later: true,
    answer: (questions, signal) => teacher.is!.answer(questions, signal),
    changed: async (standings) => teacher.is!.changed!(standings),
    onWait() {},
  };
  return teacher;
}

/** Where the studio of a training listens. */
export interface StudioAddress {
  port: number;
  host?: string;
  hosts?: string[];
}

/** What a room shows of a training, and the queries that people answer there. */
export interface RoomParts<Option> {
  people: { store?: string; project?: string; guidelines: string; goal?: string };
  /** Name of the project, unless `people.project` is set. */
  name: string;
  /** What to teach, unless `people.goal` is set. */
  goal: string;
  settings: ProjectInput;
  toContent: HumanTeacherOptions<Option>['toContent'];
  /** Text before the link. */
  invitation: string;
  /** The first state of the room. */
  state: RoomState;
  /** Frees what the queries are shown with. */
  [Symbol.dispose]?(): void;
}

/** The room of a training, as the training sees it. */
export interface TeachingRoom {
  /** The address of the studio. */
  readonly url: string;
  /** Changes what the page says. */
  update(changes: Partial<RoomState>): void;
  /** Shows a new clip, or new completions. */
  show(play: RoomPlay): void;
  /** Resolves at once, or when the owner no longer pauses the training. Rejects with the signal's reason. */
  unpaused(signal: AbortSignal | undefined): Promise<void>;
  /** Says that the training is over. The room stays open as long as somebody is in it, or until `signal` aborts. */
  stay(result: NonNullable<RoomState['result']>, signal: AbortSignal | undefined): Promise<'more' | 'closed'>;
  /** Says why the training ended early. */
  end(changes: Pick<RoomState, 'phase' | 'error'>): Promise<void>;
  /** Closes items without a judgment. */
  withdraw(): Promise<void>;
  /** Closes the room, its studio and its store. */
  close(): Promise<void>;
}

/** A kind of training that people can teach in a room. */
export interface TaughtTraining<Option, Learner extends StageLearner, Step, Result> {
  /** Whether people teach with these settings. */
  asks(settings: Record<string, unknown>): boolean;
  /** Creates the learner of such settings. */
  create(
    settings: Record<string, unknown>,
    parts: LearnerParts,
    teacher: TeacherToCome<Option>,
  ): Learner | Promise<Learner>;
  /** What the room shows at first. */
  show(learner: Learner, run: Run): RoomParts<Option>;
  /** The learner and its parts as the room watches them: it shows how the training is doing, and can pause it. */
  watch(
    room: TeachingRoom,
    learner: Learner,
    teacher: TeacherToCome<Option>,
    parts: TrainParts<Step>,
  ): { learner: Learner; parts: TrainParts<Step>; [Symbol.dispose]?(): void };
  /** What the room says at the end. Its `more` labels are what the owner can add. */
  ending(result: Result, learner: Learner, run: Run): NonNullable<RoomState['result']>;
}

/** The training; if its settings ask people, with a studio where they answer. */
export function withRoom<Option, Learner extends StageLearner, Step, Result extends { run: string }>(
  training: StageTraining,
  addressOf: () => StudioAddress,
  taught: TaughtTraining<Option, Learner, Step, Result>,
): StageTraining & Staying {
  const teachers = new WeakMap<object, TeacherToCome<Option>>();
  const ended = new WeakMap<object, { room: TeachingRoom; result: Result; run: Run; signal?: AbortSignal }>();
  return {
    ...training,
    create(settings, parts) {
      if (!taught.asks(settings)) return training.create(settings, parts);
      const teacher = teacherToCome<Option>();
      // wrong settings throw here, at once
      const created = taught.create(settings, parts, teacher);
      return Promise.resolve(created).then((learner) => {
        teachers.set(learner, teacher);
        return learner;
      });
    },
    async train(stage, all) {
      const teacher = teachers.get(stage);
      if (!teacher) return training.train(stage, all);
      const [learner, parts] = [stage as Learner, all as unknown as TrainParts<Step>];
      const { run, signal } = parts;
      const shown = taught.show(learner, run);
      try {
        const room = await openRoom(shown, teacher, run, addressOf());
        const watched = taught.watch(room, learner, teacher, parts);
        try {
          const train = () => training.train(watched.learner, watched.parts as never);
          const stopped = `Continue with: heed ${run.info.command} --resume ${run.folder}`;
          const result = (await trainInRoom(room, train, stopped)) as Result | undefined;
          if (result) ended.set(learner, { room, result, run, signal });
          return result;
        } finally {
          watched[Symbol.dispose]?.();
        }
      } finally {
        shown[Symbol.dispose]?.();
      }
    },
    async stay(learner) {
      const end = ended.get(learner);
      if (!end) return undefined;
      const { room, result, run, signal } = end;
      const ending = taught.ending(result, learner as Learner, run);
      try {
        const next = await room.stay(ending, signal);
        if (next !== 'more') return undefined;
        return () => continued(run.info.command, result.run, ending.more, room.url, addressOf());
      } finally {
        await room.close();
      }
    },
  };
}

/** Continues a finished run in a process of its own, at the same address, so that open pages find it. */
async function continued(
  command: string,
  run: string,
  more: number,
  url: string,
  { host, hosts }: StudioAddress,
): Promise<void> {
  const place = [
    '--port',
    new URL(url).port,
    '--host',
    host ?? '127.0.0.1',
    ...(hosts ? ['--hosts', hosts.join()] : []),
  ];
  const json = process.argv.includes('--json') ? ['--json'] : [];
  const args = [process.argv[1], command, '--resume', run, '--more', String(more), ...place, ...json];
  const child = spawn(process.execPath, args, { stdio: 'inherit' });
  const interrupt = () => {}; // Ctrl-C reaches both processes, and the other one saves a checkpoint
  const end = () => child.kill('SIGTERM');
  process.on('SIGINT', interrupt).on('SIGTERM', end);
  try {
    const [code] = await once(child, 'exit');
    process.exitCode = code ?? 1;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', end);
  }
}

/** The values of a metric of a run so far. */
export const curveOf = (folder: string, metric: string): RoomState['curve'] =>
  readMetrics(folder).flatMap(({ step, [metric]: value }) => (value === undefined ? [] : [{ step, value }]));

/** A lesson as the room shows it. */
export const lessonShown = (step: number, lesson: readonly LearnedComparison[]): NonNullable<RoomState['lesson']> => ({
  step,
  pairs: lesson.map(({ id, choice, before, after }) => ({ id, choice: choice[0], before, after })),
});

/** Opens the studio of a training and prints its link, which leads to the first query. */
async function openRoom<Option>(
  parts: RoomParts<Option>,
  teacher: TeacherToCome<Option>,
  run: Run,
  address: StudioAddress,
): Promise<TeachingRoom> {
  const { people, name, goal, settings, toContent, invitation, state } = parts;
  const store = people.store ?? join(run.folder, DEFAULT_STORE);
  const database = await openDatabase(store);
  try {
    const project = await projectFor(database, people.project ?? name, {
      settings: { ...settings, goal: people.goal ?? goal },
      guidelines: people.guidelines,
    });
    const asker = run.info.started;
    const human = createHumanTeacher<Option>(database, project, { source: run.folder, asker, toContent });
    teacher.is = human;
    const events = new EventTarget();
    let readers = 0;
    let request: RoomRequest['kind'] | undefined;
    let { phase } = state;
    let over = false;
    /** What the owner asked for stands before what the training says of itself. */
    const publish = (changes: Partial<RoomState>): void => {
      phase = changes.phase ?? phase;
      const paused = request === 'pause' && !over;
      const still = paused && { phase: 'paused' as const, next: undefined, secondsLeft: undefined };
      studio.update({ ...changes, phase, ...still });
    };
    const studio = await startStudioThread(
      { store, runs: dirname(run.folder), ...address, owner: OWNER, room: { project: project.name, asker, state } },
      say,
      {
        onRequest({ kind }) {
          request = kind;
          publish({});
          events.dispatchEvent(new Event('change'));
        },
        onReaders(count) {
          readers = count;
          events.dispatchEvent(new Event('change'));
        },
      },
    );
    const page = `/teach/${encodeURIComponent(project.name)}`;
    // logs are read by others: they have no link that signs in
    say(`${invitation}: ${isLogJson() ? `${studio.url}/#` : studio.link}${page}`);
    say('Training continues in the meantime. Ctrl-C stops it with a checkpoint; no judgment is lost.');

    /** Waits for the next request or reader, or until the signal aborts or some time has passed. */
    const change = (signal: AbortSignal | undefined, milliseconds = 2 ** 31 - 1) =>
      new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          events.removeEventListener('change', done);
          signal?.removeEventListener('abort', done);
          resolve();
        };
        const timer = setTimeout(done, milliseconds);
        events.addEventListener('change', done);
        signal?.addEventListener('abort', done);
        if (signal?.aborted) done();
      });

    return {
      url: studio.url,
      update: publish,
      show: studio.show,
      async unpaused(signal) {
        while (request === 'pause') {
          await change(signal);
          signal?.throwIfAborted();
        }
      },
      async stay(result, signal) {
        request = undefined;
        over = true;
        publish({ phase: 'done', result, next: undefined, secondsLeft: undefined });
        if (readers > 0) say('The room stays open until it is closed in the browser, or by Ctrl-C.');
        for (;;) {
          if (signal?.aborted || request === 'close') return 'closed';
          if (request === 'more') return 'more';
          if (readers === 0) {
            await change(signal, RETURN);
            if (readers === 0) return 'closed';
          } else await change(signal);
        }
      },
      async end(changes) {
        over = true;
        publish({ ...changes, next: undefined, secondsLeft: undefined });
        if (readers > 0) await pause(HEAR);
      },
      withdraw: human.withdraw,
      async close() {
        await studio.close();
        await database.close();
      },
    };
  } catch (error) {
    await database.close();
    throw error;
  }
}

/**
 * Runs a training in a room. If it fails or is stopped, the room says so and closes; else it stays, for `stay`.
 *
 * @returns Undefined if it was stopped.
 */
async function trainInRoom<Result>(
  room: TeachingRoom,
  train: () => Promise<Result | undefined>,
  stopped: string,
): Promise<Result | undefined> {
  try {
    const result = await train();
    if (result) {
      await room.withdraw();
      return result;
    }
    await room.end({
      phase: 'stopped',
      error: { message: 'The training was stopped, with a checkpoint.', hint: stopped },
    });
  } catch (error) {
    const hint = error instanceof HeedError ? error.hint : undefined;
    await room.end({ phase: 'failed', error: { message: messageOf(error), hint } });
    await room.close();
    throw error;
  }
  await room.close();
  return undefined;
}

/** The project with a name; created if needed. */
async function projectFor(
  database: Database,
  name: string,
  { settings, guidelines }: { settings: ProjectInput; guidelines: string },
): Promise<Project> {
  const there = (await listProjects(database)).find((project) => project.name === name);
  return there ?? createProject(database, name, settings, { guidelines });
}
