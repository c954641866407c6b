/** People beside a training: they answer its queries in a project of the studio, in the training's room. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { HeedError, messageOf } from '../../error.ts';
import type { RoomState } from '../../feedback/room.ts';
import type { LearnedComparison } from '../../preference/lesson.ts';
import type { TrainParts } from '../../run/drive.ts';
import { type Run, readMetrics } from '../../run/run.ts';
import type { LearnerParts, StageLearner, TrainingRecord } from '../../run/training-record.ts';
import type { Staying } from '../run/run-training.ts';
import type { StudioAddress } from './address.ts';
import type { RoomParts, TeacherToCome, TeachingRoom } from './room.ts';

function teacherToCome<Option>(): TeacherToCome<Option> {
  const teacher: TeacherToCome<Option> = {
    name: 'human',
    later: true,
    answer: (queries, signal) => teacher.is!.answer(queries, signal),
    changed: async (standings) => teacher.is!.changed!(standings),
    onWait() {},
  };
  return teacher;
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
  training: TrainingRecord,
  addressOf: () => StudioAddress,
  taught: TaughtTraining<Option, Learner, Step, Result>,
): TrainingRecord & Staying {
  const teachers = new WeakMap<object, TeacherToCome<Option>>();
  const ended = new WeakMap<object, { room: TeachingRoom; result: Result; run: Run; signal?: AbortSignal }>();
  return {
    ...training,
    open(settings, parts) {
      if (!taught.asks(settings)) return training.open(settings, parts);
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
        const { openRoom } = await import('./room.ts'); // a studio is much to load
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
