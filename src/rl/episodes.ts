/** Episodes of a policy as clips, to show what an agent learned. */

import { withCommas } from '../commas.ts';
import type { EnvironmentSource } from '../env/batch/source.ts';
import { type Environment, type Frame, type FrameShape, sizeOf } from '../env/environment.ts';
import { messageOf } from '../error.ts';
import { seedFor } from '../random.ts';
import type { ClipsSection } from '../run/report/clips.ts';
import type { Run } from '../run/run.ts';
import { type ControlPolicy, createControlPolicy } from './control-policy.ts';
import type { PolicySnapshot } from './policy-snapshot.ts';

/** An episode: its return, and pictures of its beginning. */
export interface RecordedEpisode {
  /** The sum of its rewards. */
  return: number;
  /** Number of steps. */
  length: number;
  /** Pictures of its first seconds. */
  frames: Frame[];
  /** How many of the pictures are one second. */
  framesPerSecond: number;
}

/** How much of an episode to show. */
export interface RecordingOptions {
  /** Seconds to show, from the episode's start. */
  seconds: number;
  /** Maximum frames per second. */
  framesPerSecond: number;
}

/** Plays the greedy episode of a seed. */
export function recordEpisode(
  environment: Environment,
  policy: Pick<ControlPolicy, 'act' | 'reset'>,
  seed: number,
  { seconds, framesPerSecond }: RecordingOptions,
): RecordedEpisode {
  const every = Math.max(1, Math.ceil(environment.framesPerSecond / framesPerSecond));
  const shown = seconds * environment.framesPerSecond;
  const observation = new Float32Array(sizeOf(environment.observationSpace));
  environment.reset(seed, observation);
  policy.reset();
  const frames = [roundFrame(environment.frame())];
  let total = 0;
  for (let length = 1; ; length++) {
    const action = policy.act(observation);
    const outcome = environment.step(typeof action === 'number' ? [action] : action, observation);
    const ended = outcome.terminated || outcome.truncated;
    total += outcome.reward;
    if (length <= shown && (ended || length % every === 0)) frames.push(roundFrame(environment.frame()));
    if (ended) return { return: total, length, frames, framesPerSecond: environment.framesPerSecond / every };
  }
}

/** A row of samples.jsonl: an episode of the untrained and of the trained agent, from the same start. */
export interface EpisodeSample {
  kind: 'episode';
  step: number;
  /** Number of the episode, from 1. */
  episode: number;
  /** The beginning of the untrained agent's episode, and of the trained one's. */
  first: Frame[];
  second: Frame[];
  framesPerSecond: number;
  /** Returns and steps of both, the untrained agent's first. */
  returns: [number, number];
  lengths: [number, number];
}

/** The policies before and after training. */
interface BeforeAndAfter {
  untrained: PolicySnapshot;
  policy: PolicySnapshot;
}

const EPISODES = 2;
const SHOWN: RecordingOptions = { seconds: 12, framesPerSecond: 15 };

/** Records the same episodes of the untrained and of the trained agent: the first ones of an evaluation. */
export function recordEpisodes(
  source: Pick<EnvironmentSource, 'make'>,
  { untrained, policy }: BeforeAndAfter,
  options: { seed: number; step: number; episodes?: number } & Partial<RecordingOptions>,
): EpisodeSample[] {
  const { seed, step, episodes = EPISODES, ...shown } = options;
  const environment = source.make();
  const policies = [createControlPolicy(untrained), createControlPolicy(policy)];
  try {
    return Array.from({ length: episodes }, (_, i) => {
      const [first, second] = policies.map((one) =>
        recordEpisode(environment, one, seedFor(seed, 'evaluation', i), { ...SHOWN, ...shown }),
      );
      return {
        kind: 'episode',
        step,
        episode: i + 1,
        first: first.frames,
        second: second.frames,
        framesPerSecond: first.framesPerSecond,
        returns: [first.return, second.return],
        lengths: [first.length, second.length],
      };
    });
  } finally {
    for (const one of policies) one[Symbol.dispose]();
    environment[Symbol.dispose]?.();
  }
}

/** Adds episodes of before and after training to a run's samples. If pictures fail, the run does not. */
export function sampleEpisodes(
  run: Pick<Run, 'sample'>,
  source: Pick<EnvironmentSource, 'make'>,
  policies: BeforeAndAfter,
  options: { seed: number; step: number; onNotice?: (text: string) => void },
): void {
  try {
    for (const sample of recordEpisodes(source, policies, options)) run.sample({ ...sample });
  } catch (error) {
    options.onNotice?.(`The report has no clips of the trained agent: ${messageOf(error)}`);
  }
}

/** The clips of samples, as a section of a report. `unit`: the unit of returns that measure a behavior. */
export function episodeClips(samples: readonly Record<string, unknown>[], unit?: string): ClipsSection[] {
  const episodes = samples.filter(({ kind }) => kind === 'episode') as unknown as EpisodeSample[];
  if (episodes.length === 0) return [];
  const value = (x: number) => (unit ? `${readable(x)} ${unit}` : `return ${readable(x)}`);
  return [
    {
      kind: 'clips',
      title: 'What it learned',
      caption:
        'Greedy episodes of the agent before and after training, from the same starts. heed film RUN writes those at the end of training as GIFs.',
      comparisons: episodes.map(({ episode, first, second, framesPerSecond, returns, lengths }) => ({
        first,
        second,
        framesPerSecond,
        names: [`before training: ${value(returns[0])}`, `after training: ${value(returns[1])}`],
        caption: `Episode ${episode}: ${steps(lengths[0])} before training, ${steps(lengths[1])} after.`,
      })),
    },
  ];
}

const readable = (x: number) => withCommas(Number(x.toFixed(1))).replace('-', '−');
const steps = (n: number) => `${withCommas(n)} ${n === 1 ? 'step' : 'steps'}`;

/** Rounds coordinates to a thousandth of the picture, which is invisible and keeps rows short. */
export function roundFrame({ width, height, shapes }: Frame): Frame {
  const digits = Math.max(0, Math.ceil(3 - Math.log10(Math.max(width, height))));
  const round = (_: string, value: unknown) => (typeof value === 'number' ? Number(value.toFixed(digits)) : value);
  return { width, height, shapes: JSON.parse(JSON.stringify(shapes, round)) as FrameShape[] };
}
