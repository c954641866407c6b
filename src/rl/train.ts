/**
 * Learning from the environment's own reward with any of the algorithms: a learner, and its training in a run's folder.
 *
 * Run it: heed rl --env CartPole-v1
 */

import { z } from 'zod';
import { withCommas } from '../commas.ts';
import type { EnvironmentSource } from '../env/batch/source.ts';
import { createVectorEnvironment, type FinishedEpisodes, type VectorState } from '../env/batch/vector.ts';
import { sizeOf } from '../env/environment.ts';
import { HeedError } from '../error.ts';
import { atOnce, emitWarning } from '../node.ts';
import { parseOptions } from '../options.ts';
import { type Diagnosis, type DiagnosisRow, noticesOnce } from '../run/diagnosis.ts';
import { driveRun, type TrainParts } from '../run/drive.ts';
import { figure } from '../run/progress.ts';
import { type Run, readMetrics } from '../run/run.ts';
import {
  type Agent,
  type Algorithm,
  algorithmSettings,
  algorithmShape,
  checkChoice,
  createAgent,
  type LearnedStepReward,
} from './agent.ts';
import { diagnoseControl, diagnoseControlRun } from './diagnosis/diagnose.ts';
import { type ControlRow, rewardedFacts, type Standard, type WorldSample, worldFacts } from './diagnosis/measures.ts';
import { discountIn } from './discount.ts';
import { sampleEpisodes } from './episodes.ts';
import { createEvaluator, type Evaluation, meanAndDeviation } from './evaluate.ts';
import { policiesOf } from './load-policy.ts';
import { presetOf, steady } from './presets.ts';
import { worldShape } from './world-options.ts';

/** The settings of `heed rl`. */
export const rlSchema = z.object({
  ...worldShape,
  reward: z
    .string()
    .optional()
    .describe(
      'learned reward to train on: a run of heed train, or a folder of heed learn-reward (default: the true reward)',
    ),
  steps: z.number().int().min(1).default(60_000).describe('total environment steps'),
  seed: z.number().int().min(0).default(0).describe('seed of all random numbers'),
  evaluations: z.number().int().min(0).default(20).describe('number of evaluations during training, evenly spaced'),
  episodes: z
    .number()
    .int()
    .min(1)
    .default(100)
    .describe('episodes in each evaluation, played with the most likely actions'),
  ...algorithmShape,
});
/** Checked settings of `heed rl`. */
export type RlOptions = z.infer<typeof rlSchema>;
/** Settings of `heed rl` as a caller writes them: plain data, all optional. */
export type RlSettings = z.input<typeof rlSchema>;

/**
 * Checked settings: the caller's over the environment's preset over the defaults.
 *
 * @throws HeedError naming what is wrong.
 */
export function rlOptions(settings: RlSettings): RlOptions {
  checkChoice(settings);
  const { algorithm = 'ppo', env = 'CartPole-v1' } = settings;
  if (settings.policy === 'recurrent' && algorithm !== 'ppo') {
    throw new HeedError(`${algorithm} has no recurrent policy`, { hint: 'use --algorithm ppo, or leave out --policy' });
  }
  const { options, ...preset } = presetOf(env, algorithm) ?? { options: steady[algorithm] };
  return parseOptions(rlSchema, { ...preset, ...settings, [algorithm]: { ...options, ...settings[algorithm] } });
}

/**
 * Sets the discount of PPO, A2C and TRPO by how long episodes last, in an environment without a preset and where
 * `settings` leave it open.
 */
export function fitToEnvironment(
  options: RlOptions,
  settings: Pick<RlSettings, Algorithm>,
  environment: EnvironmentSource,
): RlOptions {
  const { algorithm, env, seed } = options;
  const open = presetOf(env, algorithm) === undefined && settings[algorithm]?.discount === undefined;
  if (algorithm === 'sac' || !open) return options;
  return { ...options, [algorithm]: { ...options[algorithm], discount: discountIn(environment, seed) } };
}

/** A step of the learner: one update, or several small ones. */
export interface RlStep {
  /** Environment steps so far. */
  step: number;
  /** Metrics of the algorithm: means over the updates since the last step. Empty before learning starts. */
  metrics: Record<string, number>;
  /** Greedy episodes; at evaluations and at the end. */
  evaluation?: Evaluation;
  /** Whether all steps are done. */
  done: boolean;
}

interface RlState {
  step: number;
  agent: unknown;
  environment: VectorState;
}

/** The result of `createRlLearner`. */
export type RlLearner = ReturnType<typeof createRlLearner>;

/** What a learner acts in, and what it learns from in place of the environment's reward. */
interface RlParts {
  environment: EnvironmentSource;
  reward?: LearnedStepReward;
}

/** Creates a learner from `reward`, or the environment's own. Throws if settings are wrong, before anything runs. */
export const createRlLearner = (options: RlOptions, parts: RlParts) => atOnce(createRlLearnerInParts(options, parts));

/** The same in parts. */
export function* createRlLearnerInParts(options: RlOptions, { environment: source, reward }: RlParts) {
  if (reward) checkFits(reward, source);
  const { seed, steps } = options;
  const environment = createVectorEnvironment(source.batch(algorithmSettings(options).environments), seed);
  /** The learned rewards of the last rollout. */
  let learned: Float32Array | undefined;
  const scoring: LearnedStepReward | undefined = reward && {
    ...reward,
    scoreAll(steps) {
      learned = reward.scoreAll(steps);
      return learned;
    },
  };
  yield;
  const agent = yield* createAgent(options, environment, scoring);
  yield;
  const { policy, parameters, prepare } = agent;
  const evaluator = createEvaluator(source.batch(options.episodes), policy, parameters, { seed, prepare });
  let step = 0;
  environment.reset();

  return {
    options,
    /** The environment. The learner does not dispose of it. */
    environment: source,
    /** What success is measured by: a learned reward's teacher may want something other than the environment's return. */
    standard: (reward ? 'teacher' : 'return') as Standard,
    /** Takes one step. */
    async next(): Promise<RlStep> {
      const before = step;
      const { metrics, ...reached } = await agent.advance(step);
      ({ step } = reached);
      const done = step >= steps;
      const every = options.evaluations > 0 ? steps / options.evaluations : Number.POSITIVE_INFINITY;
      const evaluate = done || Math.floor(step / every) > Math.floor(before / every);
      return {
        step,
        metrics: { ...metrics, ...playMetrics(environment.takeFinished(), learned) },
        evaluation: evaluate ? await evaluator.run() : undefined,
        done,
      };
    },
    /** Greedy episodes. */
    evaluate: evaluator.run,
    /** The current policy, and the initial one. */
    policies() {
      return policiesOf(options, source, agent.save());
    },
    /** State and tensors, for a checkpoint. */
    save(): { state: RlState; tensors: ReturnType<Agent['save']>['tensors'] } {
      const { state, tensors } = agent.save();
      return { state: { step, agent: state, environment: environment.save() }, tensors };
    },
    /** Restores what `save` returned. */
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const state = checkpoint.state as RlState;
      agent.restore(state.agent, checkpoint.tensors);
      environment.restore(state.environment);
      step = state.step;
    },
    /** Frees what it holds; it cannot be used afterwards. */
    [Symbol.dispose](): void {
      evaluator[Symbol.dispose]();
      agent[Symbol.dispose]();
      environment[Symbol.dispose]();
    },
  };
}

/** Checks that a reward scores what an environment shows and takes. @throws HeedError if it does not. */
export function checkFits(reward: LearnedStepReward, { id, observationSpace, actionSpace }: EnvironmentSource): void {
  const kinds = [reward.actionSpace, actionSpace].map((space) =>
    space.kind === 'discrete' ? `one of ${space.n} actions` : `actions of ${sizeOf(space)} numbers`,
  );
  const sizes = [reward.observationSpace, observationSpace].map((space) => `observations of ${sizeOf(space)} numbers`);
  if (kinds[0] === kinds[1] && sizes[0] === sizes[1]) return;
  const { stack = 1 } = reward.observationSpace;
  const other = stack !== (observationSpace.stack ?? 1) ? `set --frame-stack ${stack}, as for the reward, or ` : '';
  throw new HeedError(`the reward scores ${sizes[0]} and ${kinds[0]}, and ${id} has ${sizes[1]} and ${kinds[1]}`, {
    hint: `${other}pass a reward that was learned in this environment as --reward, or the --env that it was learned in`,
  });
}

/** Records facts of the environment. A report only has the run's folder, and cannot open every environment. */
export function sampleWorld(run: Run, environment: EnvironmentSource, standard: Standard): void {
  const { id, rewardThreshold } = environment;
  run.sample({
    kind: 'world',
    id,
    ...worldFacts(environment, standard),
    ...(rewardThreshold !== undefined && { rewardThreshold }),
  } satisfies WorldSample);
}

/** The figures of a finished run. */
export interface RlMetrics {
  /** Mean and standard deviation of the returns of the final policy's greedy episodes. */
  return: { mean: number; std: number; episodes: number };
  /** Environment steps. */
  steps: number;
  /** Wall time of the training in seconds, including earlier processes of the run. */
  seconds: number;
  /** Environment steps per second of collecting and learning, including evaluations and checkpoints. */
  stepsPerSecond: number;
}

/** The result of a run: what `heed rl --json` prints. */
export interface RlRunResult extends RlMetrics {
  /** The run's folder. */
  run: string;
  /** What went wrong, if anything did, and what to do about it. */
  diagnosis: Diagnosis;
}

/**
 * Trains in a run's folder: rows of metrics, checkpoints, the result. Continues from the run's latest checkpoint, if
 * there is one. Undefined if the signal stopped it; then a checkpoint was written.
 */
export async function trainRl(learner: RlLearner, parts: TrainParts<RlStep>): Promise<RlRunResult | undefined> {
  const { seed, steps, episodes, algorithm } = learner.options;
  const { onWarning: onNotice = emitWarning } = parts;
  const facts = { steps, episodes, algorithm, ...rewardedFacts(learner.environment, learner.standard) };
  const notice = noticesOnce(onNotice);
  let rows: ControlRow[] | undefined;
  /** Adds a row, and notices what went wrong so far, twenty times in a run. */
  const add = (row: ControlRow): void => {
    rows ??= [...readMetrics(parts.run.folder)];
    const before = rows.at(-1)?.step ?? 0;
    rows.push(row);
    if (Math.floor((20 * row.step) / steps) === Math.floor((20 * before) / steps)) return;
    notice(diagnoseControl(rows, facts));
  };
  return driveRun(learner, {
    ...parts,
    async before() {
      sampleWorld(parts.run, learner.environment, learner.standard);
      return returnMetrics(await evaluateUntrained(learner, onNotice));
    },
    record({ step, metrics, evaluation, done }) {
      if (done) sampleEpisodes(parts.run, learner.environment, learner.policies(), { seed, step, onNotice });
      const row = { ...metrics, ...returnMetrics(evaluation) };
      add({ step, ...row });
      return row;
    },
    result({ step, evaluation }, seconds) {
      const diagnosis = diagnoseControlRun(parts.run.folder);
      parts.run.sample({ kind: 'diagnosis', step, ...diagnosis } satisfies DiagnosisRow);
      return {
        run: parts.run.folder,
        diagnosis,
        return: returnOf(evaluation!),
        steps: step,
        seconds,
        stepsPerSecond: step / seconds,
      };
    },
  });
}

const LONG = 10_000; // steps

/** Warns of an environment whose episodes may go on for so long that evaluations hardly end. */
function warnOfLongEpisodes(
  { id, maxEpisodeSteps }: Evaluating['environment'],
  episodes: number,
  onNotice: (text: string) => void,
): void {
  if (maxEpisodeSteps < LONG) return;
  const steps = withCommas(maxEpisodeSteps);
  onNotice(
    `An episode of ${id} may take ${steps} steps, and an evaluation has ${episodes} of them. Give it a shorter time limit, or set --episodes and --evaluations.`,
  );
}

const SLOW = 10; // seconds

/** What evaluates a policy in an environment. */
interface Evaluating {
  environment: Pick<EnvironmentSource, 'id' | 'maxEpisodeSteps'>;
  options: { episodes: number; evaluations: number };
  evaluate(): Promise<Evaluation>;
}

/** Evaluates the untrained policy, and reports how long the evaluations of a run take if that is long. */
export async function evaluateUntrained(
  { environment, options, evaluate }: Evaluating,
  onNotice: (text: string) => void,
): Promise<Evaluation> {
  warnOfLongEpisodes(environment, options.episodes, onNotice);
  const began = performance.now();
  const evaluation = await evaluate();
  const seconds = (performance.now() - began) / 1000;
  const { evaluations } = options;
  if (seconds > SLOW && evaluations > 1) {
    const { episodes, length } = evaluation;
    const all = (evaluations * seconds) / 60;
    onNotice(
      `An evaluation of ${episodes} episodes takes ${figure(seconds)} s (${figure(length)} steps each), and ${evaluations} more follow: about ${figure(Number(all.toPrecision(2)))} minutes. Fewer --episodes or --evaluations take less.`,
    );
  }
  return evaluation;
}

/** The figures of an evaluation for results. */
export const returnOf = ({ mean, std, episodes }: Evaluation) => ({ mean, std, episodes });

/** Finished episodes under the standard names of metrics; none if none finished. */
export const finishedEpisodeMetrics = ({ ended, cut, steps }: FinishedEpisodes): Record<string, number> =>
  ended + cut > 0 ? { 'episodes/ended': ended, 'episodes/cut': cut, 'episodes/length': steps / (ended + cut) } : {};

/** Finished episodes; the least and greatest reward of the environment's steps, or mean and deviation of learned ones. */
function playMetrics(episodes: FinishedEpisodes, learned: Float32Array | undefined): Record<string, number> {
  const finished = finishedEpisodeMetrics(episodes);
  if (!learned) return { ...finished, 'reward/least': episodes.rewards[0], 'reward/greatest': episodes.rewards[1] };
  const { mean, std } = meanAndDeviation(learned);
  return { ...finished, 'reward/mean': mean, 'reward/std': std };
}

/** An evaluation under the standard names of metrics. */
export const returnMetrics = (evaluation: Evaluation | undefined): Record<string, number> =>
  evaluation
    ? { 'return/mean': evaluation.mean, 'return/std': evaluation.std, 'episode/length': evaluation.length }
    : {};
