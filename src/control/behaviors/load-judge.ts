/**
 * Behaviors that no reward function describes, and the judges that recognize them. See docs/how-to/teach-a-behavior.md.
 */

import type { EnvironmentSource } from '../../env/batch/source.ts';
import { type Environment, sizeOf } from '../../env/environment.ts';
import { isFile } from '../../env/open/own-file.ts';
import { HeedError, messageOf } from '../../error.ts';
import { importFile } from '../../files.ts';
import { existsSync } from '../../node.ts';
import { parseTeacher } from '../../preference/synthetic-teacher.ts';
import type { Teacher } from '../../preference/teacher.ts';
import { random } from '../../random.ts';
import type { Segment } from '../segments.ts';
import { backflip } from './backflip.ts';
import { clipOf, type Judge } from './judge.ts';
import { oneLeg } from './one-leg.ts';
import { swing } from './swing.ts';

/**
 * Judges by name, each with the environment whose observations it reads. That environment has no reward: its return
 * measures how well the behavior was learned, in `unit`.
 */
export const judges: Readonly<Record<string, { env: string; judge: Judge; unit: string }>> = {
  swing: { env: 'CartPole-swing', judge: swing, unit: 'turns in 10 s' },
  backflip: { env: 'Hopper-backflip', judge: backflip, unit: 'turns in 4 s' },
  'one-leg': { env: 'HalfCheetah-one-leg', judge: oneLeg, unit: 'm in 25 s' },
};

/** The unit of an environment's return if it measures a behavior; undefined for other environments. */
export const unitOf = (env: string): string | undefined =>
  Object.values(judges).find((behavior) => behavior.env === env)?.unit;

/** The judge with a name, for an environment. @throws HeedError if there is none, or it judges another environment. */
export function judgeNamed(name: string, env: string): Judge {
  const judge = Object.hasOwn(judges, name) ? judges[name] : undefined;
  if (!judge) {
    throw new HeedError(`unknown judge: expected one of ${Object.keys(judges).join(', ')} or a file, got "${name}"`, {
      hint: 'your own judge is a file, ./my-judge.js; docs/how-to/teach-a-behavior.md has an example',
    });
  }
  if (judge.env === env) return judge.judge;
  throw new HeedError(`the judge "${name}" is for ${judge.env}, but the environment is ${env}`, {
    hint: `use --env ${judge.env}, or your own judge: docs/how-to/teach-a-behavior.md has an example`,
  });
}

/** The judge that the settings name, or the default export of a file. Undefined if they name none. */
export async function loadJudge({ judge: name, env }: { judge?: string; env: string }): Promise<Judge | undefined> {
  if (name === undefined) return undefined;
  if (!isFile(name)) return judgeNamed(name, env);
  if (!existsSync(name)) {
    throw new HeedError(`there is no file "${name}" with a judge`, {
      hint: 'relative paths start from the current folder',
    });
  }
  const { default: exported } = await importFile(name, 'The judge');
  if (typeof exported === 'function') return exported as Judge;
  throw new HeedError(`"${name}": expected a function as default export, got ${typeof exported}`, {
    hint: 'write: export default ({ steps, terminated }) => a number; docs/how-to/teach-a-behavior.md has an example',
  });
}

/** A judge's score of a segment. @throws HeedError if it is not a finite number. */
export function judged(judge: Judge, segment: Segment): number {
  let score: unknown;
  try {
    score = judge(clipOf(segment));
  } catch (cause) {
    throw new HeedError(`the judge failed at a clip of ${segment.length} steps: ${messageOf(cause)}`, {
      hint: (cause as HeedError).hint ?? 'the error is in the judge; --verbose shows where',
      cause,
    });
  }
  if (typeof score === 'number' && Number.isFinite(score)) return score;
  throw new HeedError(
    `the judge must return a finite number for a clip of ${segment.length} steps, got ${String(score)}`,
    { hint: 'return a number for every clip, however short' },
  );
}

/** Scores one clip of random play, of up to `steps` steps, so that a broken judge fails before training. */
export function tryJudge(judge: Judge, source: EnvironmentSource, steps: number): void {
  const environment = source.make();
  try {
    judged(judge, randomClip(environment, steps));
  } finally {
    environment[Symbol.dispose]?.();
  }
}

function randomClip(environment: Environment, steps: number): Segment {
  const { observationSpace, actionSpace } = environment;
  const { uniform, integer } = random(0, 'judge');
  const size = sizeOf(observationSpace);
  const seen = new Float32Array(size);
  const rows = { observations: [] as number[], actions: [] as number[], nextObservations: [] as number[] };
  environment.reset(0, seen);
  for (let length = 1; ; length++) {
    const action =
      actionSpace.kind === 'discrete' ? [integer(actionSpace.n)] : Array.from(actionSpace.low, () => 2 * uniform() - 1);
    rows.observations.push(...seen);
    rows.actions.push(...action);
    const { terminated, truncated } = environment.step(action, seen);
    rows.nextObservations.push(...seen);
    if (length < steps && !terminated && !truncated) continue;
    return {
      length,
      observations: Float32Array.from(rows.observations),
      actions: Float32Array.from(rows.actions),
      nextObservations: Float32Array.from(rows.nextObservations),
      rewards: new Float32Array(length),
      terminated,
    };
  }
}

/** A synthetic teacher, from its text, that judges by a judge's scores of clips instead of true returns. */
export function judgingTeacher(text: string, seed: number, judge: Judge): Teacher<Segment> {
  if (/\b(skip|equal)\b/.test(text)) {
    throw new HeedError(
      `the teacher '${text}' compares with an average clip's true return, which a judge does not know`,
      {
        hint: 'leave out skip and equal; tie:1 calls clips equal whose scores differ by no more than 1',
      },
    );
  }
  const teacher = parseTeacher(text, seed, ['human']);
  return {
    name: text,
    answer: (queries, signal) =>
      teacher.answer(
        queries.map(({ id, options: [first, second] }) => ({
          id,
          options: [{ rewards: [judged(judge, first)] }, { rewards: [judged(judge, second)] }],
        })),
        signal,
      ),
  };
}
