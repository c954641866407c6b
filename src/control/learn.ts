/**
 * Learning from human preferences in an environment (Christiano et al. 2017): an agent learns what a teacher wants from
 * comparisons of short clips, and never sees the environment's reward.
 *
 *   roll out → cut segments → choose pairs → ask the teacher → fit the reward ensemble → normalise → PPO, again and again
 *
 * Where it departs from the paper: segments are windows of time (segments.ts), the reward is scaled and not centred by
 * default, and PPO stands in for A2C and TRPO. docs/preferences.md has the reasons and the figures.
 *
 * Run it: heed train --env CartPole-v1
 */
import { createVectorEnvironment, type EnvironmentSource, type VectorState, withEnvironment } from '../env/index.ts';
import { HeedError } from '../error.ts';
import {
  createLateAnswers,
  labelSchedule,
  parseTeacher,
  type Round,
  type Standing,
  type Teacher,
} from '../preference/index.ts';
import { random } from '../random.ts';
import { createEvaluator, createPpo, type Evaluation, type PpoMetrics, type Rollout } from '../rl/index.ts';
import type { SavedStatistics } from '../rl/normalise.ts';
import { stepsOf } from '../run/index.ts';
import {
  type Learnt,
  packComparisons,
  packPending,
  type SavedComparison,
  type SavedPending,
  unpackComparisons,
  unpackPending,
} from './comparisons.ts';
import { type LearnInput, type LearnOptions, learnOptions } from './options.ts';
import { type Asked, askRound, drawQuestions, drawSegment, type Pending, type Questioning } from './queries.ts';
import { createRewardEnsemble } from './reward-ensemble.ts';
import type { Fit, Labelled } from './reward-fit.ts';
import { createInputStatistics } from './reward-inputs.ts';
import { createExperience, type Segment } from './segments.ts';

/** What the iterator yields: after every PPO update, with what happened since the last. */
export interface LearnStep {
  /** Environment steps so far. */
  step: number;
  labels: number;
  ppo?: PpoMetrics;
  fit?: Fit;
  asked: readonly Asked[];
  /** Greedy episodes on the true reward; at evaluations and at the end. */
  evaluation?: Evaluation;
  /** Share of the teacher's decided choices that the ensemble predicted before learning of them, so far. */
  accuracy: number;
  /** Mean variance over members of the probability of the first, of what was asked last. */
  disagreement: number;
  /** Questions without an answer; only where the teacher answers later. */
  waiting?: number;
  done: boolean;
}

/** Pairs that nobody was asked about, of each fit. */
const UNASKED = 200;

export interface LearnerState extends Questioning {
  anew: boolean;
  updates: number;
  nextRound: number;
  labels: number;
  predictions: { right: number; decided: number };
  comparisons: SavedComparison[];
  waiting?: SavedPending[];
  /** Of observations and of what steps changed, one after the other. */
  statistics: SavedStatistics;
  environment: VectorState;
  experience: ReturnType<ReturnType<typeof createExperience>['save']>['state'];
  ppo: ReturnType<ReturnType<typeof createPpo>['save']>['state'];
  reward: ReturnType<ReturnType<typeof createRewardEnsemble>['save']>['state'];
}
type Tensors = Parameters<ReturnType<typeof createPpo>['restore']>[1];

export interface Learner {
  readonly options: LearnOptions;
  /** What it acts in; not its to release. */
  readonly environment: EnvironmentSource;
  /** One rollout, whatever rounds of questions are due, and one PPO update. */
  next(signal?: AbortSignal): Promise<LearnStep>;
  /** Greedy episodes on the true reward. */
  evaluate(): Evaluation;
  /** Predicted and true returns of segments drawn from recent experience: how well the one follows the other. */
  compareRewards(count?: number): { predicted: number[]; true: number[] };
  save(): { state: LearnerState; tensors: Tensors };
  restore(checkpoint: { state: unknown; tensors: unknown }): void;
  release(): void;
}

export function createLearner(
  given: LearnInput,
  parts: { environment: EnvironmentSource; teacher?: Teacher<Segment> },
): Learner {
  const options = learnOptions(given);
  const { seed, steps, labels, ppo: ppoOptions, segment: cutting, choice: choiceModel } = options;
  const teacher = parts.teacher ?? (parseTeacher(options.teacher, seed) as Teacher<Segment>);
  checkSettings(options, parts.environment);
  const environment = createVectorEnvironment(parts.environment.batch(ppoOptions.environments), seed);
  const { observationSize, actionSpace } = environment;
  const batch = environment.count * ppoOptions.horizon;
  const rounds: Round[] = labelSchedule(options.schedule, { labels, steps, randomSteps: options.randomSteps });

  environment.reset();
  const agent = createPpo(environment, ppoOptions, seed);
  const ensemble = createRewardEnsemble({ observationSize, actionSpace }, options.reward, choiceModel, {
    window: cutting.window,
    rows: Math.min(batch, 1024),
    seed,
  });
  const experience = createExperience(environment, ppoOptions.horizon, cutting.memory);
  const statistics = createInputStatistics(observationSize);
  const { policy, parameters, prepare } = agent;
  const evaluator = createEvaluator(parts.environment.batch(options.episodes), policy, parameters, { seed, prepare });
  const asked = (): Pending['segments'][] => [...comparisons, ...(late?.open ?? [])].map(({ segments }) => segments);
  const source = { options, experience, ensemble, asked };
  const listen = () =>
    createLateAnswers<Pending, Segment>(teacher, {
      ...{ labels, steps, people: options.people },
      optionsOf: ({ segments }) => segments,
      others: (count) => drawQuestions(source, progress, count),
    });
  let late = teacher.later ? listen() : undefined;
  const untaught = late && structuredClone(ensemble.save());
  let comparisons: Learnt[] = [];
  const learned = new Float32Array(batch);
  const progress = {
    step: 0,
    updates: 0,
    nextRound: 0,
    owed: 0,
    questions: 0,
    labels: 0,
    predictions: { right: 0, decided: 0 },
    fitted: false,
    /** An answer was taken back or changed since the last fit. */
    anew: false,
    disagreement: 0,
  };

  /** Labels to ask for now: of the rounds that are due, and what the teacher skipped before. */
  function labelsWanted(): number {
    if (progress.step < options.randomSteps) return 0;
    let due = 0;
    for (; rounds[progress.nextRound]?.atStep <= progress.step; progress.nextRound++)
      due += rounds[progress.nextRound].labels;
    // what was skipped in the last round is asked again each time the reward is renormalised
    const again = progress.nextRound === rounds.length && progress.updates % options.renormalise === 0;
    return due > 0 || again ? due + progress.owed : 0;
  }

  function learn(asked: readonly Asked[], changed: ReadonlyMap<string, Standing>): Fit | undefined {
    for (const { id, segments, choice, predicted } of asked) {
      comparisons.push({ id, segments: segments.map(withoutEpisode) as never, choice });
      if (choice === 'incomparable' || choice[0] === choice[1] || Number.isNaN(predicted)) continue;
      progress.predictions.decided++;
      if (predicted !== 0.5 && predicted > 0.5 === choice[0] > choice[1]) progress.predictions.right++;
    }
    if (changed.size > 0) {
      comparisons = comparisons.map((one) => ({ ...one, choice: changed.get(one.id) ?? one.choice }));
      progress.anew = true;
    }
    progress.labels = comparisons.filter(({ choice }) => choice !== 'taken back').length;
    const decided = comparisons.filter((one): one is Learnt & Labelled => typeof one.choice !== 'string');
    if (decided.length === 0) return undefined;
    // what was learnt of an answer is in all weights
    if (progress.anew) ensemble.restore(untaught!.state, untaught!.tensors);
    ensemble.setScale(statistics.scale());
    const fit = ensemble.fit(decided, { first: !progress.fitted || progress.anew, unasked: drawUnasked() });
    progress.anew = false;
    progress.fitted = true;
    return fit;
  }

  /** Pairs for the ensemble to be sure of, where it learns from such. */
  function drawUnasked(): (readonly [Segment, Segment])[] {
    const rng = random(seed, 'unasked', progress.step);
    const draw = () => drawSegment(experience, cutting, rng);
    return Array.from({ length: options.reward.pseudo > 0 ? UNASKED : 0 }, () => [draw(), draw()] as const);
  }

  async function next(signal?: AbortSignal): Promise<LearnStep> {
    const learnt = new Map(comparisons.map(({ id, choice }) => [id, choice]));
    const { answered, changed } = (await late?.hear(progress, learnt, signal)) ?? nothing;
    const exploring = progress.step < options.randomSteps;
    const rollout: Rollout = agent.collect(exploring ? 'uniform' : undefined);
    const before = progress.step;
    progress.step += batch;
    experience.add(rollout);
    statistics.add(rollout);

    const wanted = labelsWanted();
    if (late && wanted > 0) late.ask(drawQuestions(source, progress, wanted));
    const asked = !late && wanted > 0 ? await askRound({ ...source, teacher }, progress, wanted, signal) : answered;
    const fit = asked.length + changed.size > 0 ? learn(asked, changed) : undefined;
    const renormaliseDue = !exploring && progress.updates % options.renormalise === 0;
    if (renormaliseDue && !progress.fitted) ensemble.setScale(statistics.scale());
    if (fit || wanted > 0 || renormaliseDue) ensemble.normalise(experience, ppoOptions.discount);
    let ppo: PpoMetrics | undefined;
    if (!exploring) {
      ensemble.reward(rollout, learned, progress.step);
      ppo = agent.update({ ...rollout, rewards: learned }, progress.step / steps);
      progress.updates++;
    }
    const done = progress.step >= steps;
    const every = options.evaluations > 0 ? steps / options.evaluations : Number.POSITIVE_INFINITY;
    const evaluate = done || Math.floor(progress.step / every) > Math.floor(before / every);
    const { right, decided } = progress.predictions;
    return {
      step: progress.step,
      labels: progress.labels,
      ppo,
      fit,
      asked,
      evaluation: evaluate ? evaluator.run() : undefined,
      accuracy: right / decided,
      disagreement: progress.disagreement,
      ...(late && { waiting: late.waiting }),
      done,
    };
  }

  return {
    options,
    environment: parts.environment,
    next,
    evaluate: evaluator.run,
    compareRewards(wanted = 200) {
      const rng = random(seed, 'correlation', progress.step);
      const segments = Array.from({ length: wanted }, () => drawSegment(experience, cutting, rng));
      return {
        predicted: [...ensemble.meanReturns(segments)],
        true: segments.map(({ rewards }) => rewards.reduce((a, b) => a + b, 0)),
      };
    },
    save() {
      const saved = {
        agent: agent.save(),
        ensemble: ensemble.save(),
        experience: experience.save(),
        comparisons: packComparisons(comparisons),
        waiting: late && packPending(late.open, environment),
      };
      return {
        state: {
          ...progress,
          predictions: { ...progress.predictions },
          comparisons: saved.comparisons.state,
          waiting: saved.waiting?.state,
          statistics: statistics.save(),
          environment: environment.save(),
          experience: saved.experience.state,
          ppo: saved.agent.state,
          reward: saved.ensemble.state,
        },
        tensors: {
          ...saved.agent.tensors,
          ...(saved.ensemble.tensors as Tensors),
          ...saved.experience.tensors,
          ...saved.comparisons.tensors,
          ...saved.waiting?.tensors,
        },
      };
    },
    restore(checkpoint) {
      const state = checkpoint.state as LearnerState;
      const tensors = checkpoint.tensors as Tensors;
      const { comparisons: saved, waiting, statistics: seen, environment: world, ...other } = state;
      const { experience: e, ppo, reward, ...rest } = other;
      agent.restore(ppo, tensors);
      ensemble.restore(reward, tensors);
      experience.restore(e, tensors);
      environment.restore(world);
      statistics.restore(seen);
      Object.assign(progress, rest);
      comparisons = unpackComparisons(saved, tensors, environment);
      if (!late) return;
      late.stop();
      late = listen();
      late.ask(unpackPending(waiting ?? [], tensors, environment));
    },
    release() {
      late?.stop();
      evaluator.release();
      ensemble.release();
      agent.release();
      environment.release();
    },
  };
}

/**
 * Learns from preferences, one PPO update a step, until the steps are done or `signal` aborts. Acts in `environment` where it is
 * given, and not in the one that the settings name.
 */
export async function* learnFromPreferences(
  given: LearnInput,
  parts: { environment?: EnvironmentSource; teacher?: Teacher<Segment>; signal?: AbortSignal } = {},
): AsyncGenerator<LearnStep, void, undefined> {
  const { environment, teacher, signal } = parts;
  const create = (source: EnvironmentSource) => createLearner(given, { environment: source, teacher });
  yield* stepsOf(environment ? create(environment) : await withEnvironment(learnOptions(given), create), signal);
}

const nothing = { answered: [], changed: new Map<string, Standing>() };

const withoutEpisode = ({ episode: _, from: __, ...segment }: Segment): Segment => segment;

function checkSettings(options: LearnOptions, { observationSpace, maxEpisodeSteps }: EnvironmentSource): void {
  if (observationSpace.shape) {
    throw new HeedError(`the reward of ${options.env} cannot be learnt from preferences: its observations are images`, {
      hint: 'learn from its own reward with heed rl, or take an environment whose observations are numbers',
    });
  }
  const { window } = options.segment;
  if (window > maxEpisodeSteps) {
    throw new HeedError(
      `a segment of ${window} steps is longer than any episode of ${options.env} (${maxEpisodeSteps})`,
      {
        hint: `give --segment.window ${Math.min(25, maxEpisodeSteps)} or so`,
      },
    );
  }
  if (
    options.labels > 0 &&
    options.reward.members < 2 &&
    options.query.rule === 'disagreement' &&
    options.query.share > 0
  ) {
    throw new HeedError('one member cannot disagree with itself, so that no query can be chosen by disagreement', {
      hint: 'give --reward.members 3, or --query.rule entropy or random',
    });
  }
  if (options.randomSteps >= options.steps) {
    throw new HeedError(`${options.randomSteps} random steps leave none of ${options.steps} for learning`, {
      hint: `give --randomSteps ${Math.floor(options.steps / 30)}, or more --steps`,
    });
  }
}
