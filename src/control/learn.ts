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
import { createVectorEnvironment, type Environment, makeEnvironment, type VectorState } from '../env/index.ts';
import { HeedError } from '../error.ts';
import {
  ask,
  type Choice,
  labelSchedule,
  parseTeacher,
  type Question,
  type Round,
  selectQueries,
  type Teacher,
} from '../preference/index.ts';
import { random } from '../random.ts';
import { createEvaluator, createPpo, type Evaluation, type PpoMetrics, type Rollout } from '../rl/index.ts';
import { createStatistics, updateStatistics } from '../rl/normalise.ts';
import { type LearnInput, type LearnOptions, learnOptions } from './options.ts';
import { createRewardEnsemble } from './reward-ensemble.ts';
import type { Fit, Labelled } from './reward-fit.ts';
import { createExperience, type Segment } from './segments.ts';

/** A comparison that was asked, as the report shows it. */
export interface Asked {
  id: string;
  step: number;
  segments: readonly [Segment, Segment];
  choice: Choice;
  /** Probability the ensemble gave the first before it learnt of the answer; NaN before the first fit. */
  predicted: number;
}

/** What the iterator yields: after every PPO update, with what happened since the last. */
export interface LearnStep {
  /** Environment steps so far. */
  step: number;
  labels: number;
  ppo?: PpoMetrics;
  fit?: Fit;
  asked: Asked[];
  /** Greedy episodes on the true reward; at evaluations and at the end. */
  evaluation?: Evaluation;
  /** Share of the teacher's decided choices that the ensemble predicted before learning of them, so far. */
  accuracy: number;
  /** Mean variance over members of the probability of the first, of what was asked last. */
  disagreement: number;
  done: boolean;
}

export interface LearnerState {
  step: number;
  updates: number;
  nextRound: number;
  /** Labels that rounds asked for and the teacher skipped; asked again in the next. */
  owed: number;
  questions: number;
  labels: number;
  predictions: { right: number; decided: number };
  fitted: boolean;
  disagreement: number;
  comparisons: { choice: Choice; lengths: [number, number]; terminated: [boolean, boolean] }[];
  /** Of observations and of what steps changed, one after the other. */
  statistics: { count: number; mean: number[]; variance: number[] };
  environment: VectorState;
  experience: ReturnType<ReturnType<typeof createExperience>['save']>['state'];
  ppo: ReturnType<ReturnType<typeof createPpo>['save']>['state'];
  reward: ReturnType<ReturnType<typeof createRewardEnsemble>['save']>['state'];
}
type Tensors = Parameters<ReturnType<typeof createPpo>['restore']>[1];

export interface Learner {
  readonly options: LearnOptions;
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
  parts: { teacher?: Teacher<Segment>; makeEnvironment?: () => Environment } = {},
): Learner {
  const options = learnOptions(given);
  const { seed, steps, labels, ppo: ppoOptions, segment: cutting, choice: choiceModel } = options;
  const make = parts.makeEnvironment ?? (() => makeEnvironment(options.env));
  const teacher = parts.teacher ?? parseTeacher(options.teacher, seed);
  const environment = createVectorEnvironment(make, ppoOptions.environments, seed);
  checkSettings(options, environment.maxEpisodeSteps);
  const { count, observationSize, actionSize, actionSpace } = environment;
  const batch = count * ppoOptions.horizon;
  const rounds: Round[] = labelSchedule(options.schedule, { labels, steps, randomSteps: options.randomSteps });

  environment.reset();
  const agent = createPpo(environment, ppoOptions, seed);
  const ensemble = createRewardEnsemble({ observationSize, actionSpace }, options.reward, choiceModel, {
    window: cutting.window,
    rows: Math.min(batch, 1024),
    seed,
  });
  const experience = createExperience(environment, ppoOptions.horizon, cutting.memory);
  const statistics = createStatistics(2 * observationSize);
  const described = new Float32Array(batch * 2 * observationSize);
  const evaluator = createEvaluator(make, agent.policy, agent.parameters, {
    episodes: options.episodes,
    seed,
    prepare: agent.prepare,
  });
  const comparisons: (Labelled & { original: Choice })[] = [];
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
    disagreement: 0,
  };

  /** Takes a rollout into the statistics of observations and of what steps change. */
  function takeIntoAccount({ observations, nextObservations }: Rollout): void {
    const o = observationSize;
    for (let i = 0; i < batch; i++) {
      for (let j = 0; j < o; j++) {
        described[i * 2 * o + j] = observations[i * o + j];
        described[i * 2 * o + o + j] = nextObservations[i * o + j] - observations[i * o + j];
      }
    }
    updateStatistics(statistics, described);
  }

  const inputScale = () => ({
    mean: [...statistics.mean.subarray(0, observationSize)],
    variance: [...statistics.variance.subarray(0, observationSize)],
    changeVariance: [...statistics.variance.subarray(observationSize)],
  });

  function drawSegment(rng: ReturnType<typeof random>): Segment {
    const window = Math.max(1, Math.round(cutting.window * (1 - rng.uniform() * (1 - cutting.shortest))));
    const anchored = rng.uniform() < cutting.anchored && experience.sample(rng, { steps: window, anchor: true });
    const segment = anchored || experience.sample(rng, { steps: window, anchor: false });
    if (segment) return segment;
    throw new HeedError(`no window of ${window} steps fits the experience of ${experience.held} steps an environment`, {
      hint: 'shorten --segment.window, or raise --randomSteps or --segment.memory',
    });
  }

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

  /** Asks until `wanted` labels are given, or the teacher has skipped three times as many. */
  async function askRound(wanted: number, signal: AbortSignal | undefined): Promise<Asked[]> {
    const asked: Asked[] = [];
    for (let attempt = 0; attempt < 4 && asked.length < wanted; attempt++) {
      const missing = wanted - asked.length;
      const rng = random(seed, 'queries', progress.questions);
      const pairs = drawPairs(rng, missing);
      const sides = [0, 1].map((side) => ensemble.segmentReturns(pairs.map((pair) => pair[side])));
      const predictions = { first: sides[0], second: sides[1] };
      const chosen = selectQueries(options.query, predictions, choiceModel, missing, rng);
      const typicalReturn = typical(cutting.window);
      const questions: Question<Segment & { typicalReturn: number }>[] = chosen.map((i) => ({
        id: `q${progress.questions++}`,
        options: [0, 1].map((side) => ({ ...pairs[i][side], typicalReturn })) as never,
      }));
      const probability = new Map(questions.map(({ id }, at) => [id, probabilities(predictions, chosen[at])]));
      const variances = [...probability.values()].map((p) => variance(p));
      progress.disagreement = variances.reduce((a, b) => a + b, 0) / Math.max(1, variances.length);
      const answers = new Map<string, Asked>();
      for await (const { id, options: segments, choice } of ask<Segment>(
        teacher as Teacher<Segment>,
        questions,
        signal,
      )) {
        const p = probability.get(id)!;
        const predicted = progress.fitted ? p.reduce((a, b) => a + b, 0) / p.length : Number.NaN;
        answers.set(id, { id, step: progress.step, segments, choice, predicted });
      }
      // in the order asked, whatever the order of the answers: a person's pace must not change what is learnt
      for (const { id } of questions) if (answers.has(id)) asked.push(answers.get(id)!);
    }
    progress.owed = wanted - asked.length;
    return asked;
  }

  function drawPairs(rng: ReturnType<typeof random>, wanted: number): [Segment, Segment][] {
    const enough = Math.max(cutting.fewest, wanted * cutting.candidates);
    const pairs = Array.from({ length: enough }, (): [Segment, Segment] => [drawSegment(rng), drawSegment(rng)]);
    if (!cutting.differ) return pairs;
    const differing = pairs.filter(([a, b]) => a.length !== b.length);
    return differing.length >= wanted ? differing : pairs;
  }

  /** Each member's probability that the first of a pair is chosen. */
  const probabilities = ({ first, second }: { first: Float64Array[]; second: Float64Array[] }, i: number) =>
    first.map((member, m) => 1 / (1 + Math.exp(-(member[i] - second[m][i]) / choiceModel.scale)));

  /** True return of an average stretch of recent experience; what B-Pref's skipping and equal teachers measure by. */
  function typical(window: number): number {
    const { rewards, held } = experience;
    let total = 0;
    for (let i = 0; i < held * count; i++) total += rewards[i];
    return (total / (held * count)) * window;
  }

  function learn(asked: readonly Asked[]): Fit | undefined {
    for (const { segments, choice, predicted } of asked) {
      progress.labels++;
      if (choice === 'incomparable') continue;
      comparisons.push({ segments: segments.map(withoutEpisode) as never, choice, original: choice });
      if (choice[0] === choice[1] || Number.isNaN(predicted)) continue;
      progress.predictions.decided++;
      if (predicted !== 0.5 && predicted > 0.5 === choice[0] > choice[1]) progress.predictions.right++;
    }
    if (comparisons.length === 0) return undefined;
    ensemble.setScale(inputScale());
    const fit = ensemble.fit(comparisons, { first: !progress.fitted });
    progress.fitted = true;
    return fit;
  }

  const renormalise = () => ensemble.normalise(experience, ppoOptions.discount);

  async function next(signal?: AbortSignal): Promise<LearnStep> {
    const exploring = progress.step < options.randomSteps;
    const rollout: Rollout = agent.collect(exploring ? 'uniform' : undefined);
    const before = progress.step;
    progress.step += batch;
    experience.add(rollout);
    takeIntoAccount(rollout);

    const wanted = labelsWanted();
    const asked = wanted > 0 ? await askRound(wanted, signal) : [];
    const fit = asked.length > 0 ? learn(asked) : undefined;
    if (wanted > 0) renormalise();
    let ppo: PpoMetrics | undefined;
    if (!exploring) {
      if (progress.updates % options.renormalise === 0) {
        if (!progress.fitted) ensemble.setScale(inputScale());
        renormalise();
      }
      ensemble.reward(rollout, learned);
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
      done,
    };
  }

  return {
    options,
    next,
    evaluate: evaluator.run,
    compareRewards(wanted = 200) {
      const rng = random(seed, 'correlation', progress.step);
      const segments = Array.from({ length: wanted }, () => drawSegment(rng));
      return {
        predicted: [...ensemble.meanReturns(segments)],
        true: segments.map(({ rewards }) => rewards.reduce((a, b) => a + b, 0)),
      };
    },
    save() {
      const saved = { agent: agent.save(), ensemble: ensemble.save(), experience: experience.save() };
      const all = comparisons.flatMap(({ segments }) => segments);
      const packed = (key: 'observations' | 'actions' | 'nextObservations' | 'rewards') => {
        const data = new Float32Array(all.reduce((n, s) => n + s[key].length, 0));
        let at = 0;
        for (const s of all) {
          data.set(s[key], at);
          at += s[key].length;
        }
        return { dtype: 'F32' as const, shape: [data.length], data };
      };
      return {
        state: {
          ...progress,
          predictions: { ...progress.predictions },
          comparisons: comparisons.map(({ original, segments: [a, b] }) => ({
            choice: original,
            lengths: [a.length, b.length],
            terminated: [a.terminated, b.terminated],
          })),
          statistics: { count: statistics.count, mean: [...statistics.mean], variance: [...statistics.variance] },
          environment: environment.save(),
          experience: saved.experience.state,
          ppo: saved.agent.state,
          reward: saved.ensemble.state,
        },
        tensors: {
          ...saved.agent.tensors,
          ...(saved.ensemble.tensors as Tensors),
          ...saved.experience.tensors,
          'comparisons.observations': packed('observations'),
          'comparisons.actions': packed('actions'),
          'comparisons.nextObservations': packed('nextObservations'),
          'comparisons.rewards': packed('rewards'),
        },
      };
    },
    restore(checkpoint) {
      const state = checkpoint.state as LearnerState;
      const tensors = checkpoint.tensors as Tensors;
      const { comparisons: saved, statistics: seen, environment: world, experience: e, ppo, reward, ...rest } = state;
      agent.restore(ppo, tensors);
      ensemble.restore(reward, tensors);
      experience.restore(e, tensors);
      environment.restore(world);
      statistics.count = seen.count;
      statistics.mean.set(seen.mean);
      statistics.variance.set(seen.variance);
      Object.assign(progress, rest);
      const at = { observations: 0, actions: 0, nextObservations: 0, rewards: 0 };
      const take = (key: keyof typeof at, n: number) => {
        at[key] += n;
        return tensors[`comparisons.${key}`].data.slice(at[key] - n, at[key]);
      };
      comparisons.length = 0;
      for (const { choice, lengths, terminated } of saved) {
        const segments = lengths.map((length, side) => ({
          length,
          observations: take('observations', length * observationSize),
          actions: take('actions', length * actionSize),
          nextObservations: take('nextObservations', length * observationSize),
          rewards: take('rewards', length),
          terminated: terminated[side],
        }));
        comparisons.push({ segments: segments as never, choice: choice as never, original: choice });
      }
    },
    release() {
      evaluator.release();
      ensemble.release();
      agent.release();
    },
  };
}

/** Learns from preferences, one PPO update a step, until the steps are done or `signal` aborts. */
export async function* learnFromPreferences(
  given: LearnInput,
  parts: Parameters<typeof createLearner>[1] & { signal?: AbortSignal } = {},
): AsyncGenerator<LearnStep, void, undefined> {
  const learner = createLearner(given, parts);
  try {
    for (let done = false; !done && !parts.signal?.aborted; ) {
      const step = await learner.next(parts.signal);
      ({ done } = step);
      yield step;
    }
  } finally {
    learner.release();
  }
}

const variance = (values: readonly number[]): number => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
};

const withoutEpisode = ({ episode: _, from: __, ...segment }: Segment): Segment => segment;

function checkSettings(options: LearnOptions, maxEpisodeSteps: number): void {
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
