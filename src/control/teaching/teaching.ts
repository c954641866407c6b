/**
 * What the loops that learn from preferences share, whatever algorithm acts: experience is kept, the teacher is asked about
 * it when that is due, the reward ensemble learns from the answers, and the policy is judged on the true reward.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import { createVectorEnvironment, type EnvironmentSource, type VectorState } from '../../env/index.ts';
import type { Arena } from '../../nn/index.ts';
import {
  createLateAnswers,
  labelSchedule,
  parseTeacher,
  type Round,
  type Standing,
  type Teacher,
} from '../../preference/index.ts';
import { random } from '../../random.ts';
import { createEvaluator, type Evaluation, type Rollout } from '../../rl/index.ts';
import type { SavedStatistics } from '../../rl/normalize.ts';
import type { ActingPolicy } from '../../rl/policy.ts';
import { type Judge, judged, judgeNamed, judgingTeacher, tryJudge } from '../behaviors/index.ts';
import type { LearnOptions } from '../options.ts';
import { createRewardEnsemble } from '../reward/ensemble.ts';
import type { Fit, Labeled } from '../reward/fit.ts';
import { createInputStatistics } from '../reward/inputs.ts';
import { type FitJob, type FitOutcome, startRewardThread } from '../reward/thread.ts';
import { createExperience, type SavedNumbers, type Segment } from '../segments.ts';
import { checkSettings } from './check-settings.ts';
import {
  type Learned,
  packComparisons,
  packPending,
  type SavedComparison,
  type SavedPending,
  unpackComparisons,
  unpackPending,
} from './comparisons.ts';
import { type Asked, askRound, drawQuestions, drawSegment, type Pending, type Questioning } from './queries.ts';
import { createUnderway } from './underway.ts';

export interface TeachingState extends Questioning {
  anew: boolean;
  unlearned: number | null;
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
  reward: ReturnType<ReturnType<typeof createRewardEnsemble>['save']>['state'];
}
/** Of what acts, as a checkpoint has them. */
export type Tensors = Record<string, { dtype: 'F32'; shape: number[]; data: Float32Array }>;

/** What a loop acts in, and who is asked. */
export interface LearnParts {
  environment: EnvironmentSource;
  teacher?: Teacher<Segment>;
  /** What a synthetic teacher goes by; of the settings where that is a name. */
  judge?: Judge;
}

/** Pairs that nobody was asked about, of each fit. */
const UNASKED = 200;

export type Teaching = ReturnType<typeof createTeaching>;

/**
 * The environment is `environments` copies, started. `horizon` is the steps of each in a rollout, `rows` the steps whose reward
 * is predicted at once, and `begin` the environment step before which nothing is asked.
 */
export function createTeaching(
  options: LearnOptions,
  parts: LearnParts,
  settings: { environments: number; horizon: number; rows: number; begin: number },
) {
  const { seed, steps, labels, segment: cutting } = options;
  const { horizon, rows, begin } = settings;
  checkSettings(options, begin, parts.environment);
  const judge = parts.judge ?? (options.judge === undefined ? undefined : judgeNamed(options.judge, options.env));
  if (parts.judge) tryJudge(parts.judge, parts.environment, cutting.window);
  const synthetic = () =>
    judge ? judgingTeacher(options.teacher, seed, judge) : (parseTeacher(options.teacher, seed) as Teacher<Segment>);
  const teacher = parts.teacher ?? synthetic();
  const environment = createVectorEnvironment(parts.environment.batch(settings.environments), seed);
  const { observationSize, actionSpace } = environment;
  const { shape } = environment.observationSpace;
  const batch = environment.count * horizon;
  const rounds: Round[] = labelSchedule(options.schedule, { labels, steps, randomSteps: begin });
  environment.reset();
  const model: Parameters<typeof createRewardEnsemble> = [
    { observationSize, actionSpace, shape },
    options.reward,
    options.choice,
    { window: cutting.window, rows, seed },
  ];
  const ensemble = createRewardEnsemble(...model);
  const experience = createExperience(environment, horizon, cutting.memory);
  const statistics = createInputStatistics(observationSize, shape);
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
  let comparisons: Learned[] = [];
  /** Of the asynchronous loop: what goes on beside acting and its updates. */
  const thread = options.async ? startRewardThread(model) : undefined;
  const stopping = new AbortController();
  const asking = createUnderway<Asked[]>();
  const fitting = createUnderway<FitOutcome>();
  /** What a resumption begins again: the round that is being asked, and whether the fit under way begins anew. */
  const underway = { nextRound: 0, anew: false };
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
    /** Updates there were when the first answer came that no fit has begun with; null where there is none. */
    unlearned: null as number | null,
    disagreement: 0,
  };

  /** What a segment is worth to a synthetic teacher who makes no mistakes. */
  const worth = (segment: Segment): number =>
    judge ? judged(judge, segment) : segment.rewards.reduce((a, b) => a + b, 0);

  /** Labels to ask for now: of the rounds that are due, and what the teacher skipped before. */
  function labelsWanted(): number {
    if (progress.step < begin) return 0;
    let due = 0;
    for (; rounds[progress.nextRound]?.atStep <= progress.step; progress.nextRound++)
      due += rounds[progress.nextRound].labels;
    // what was skipped in the last round is asked again each time the reward is renormalized
    const again = progress.nextRound === rounds.length && progress.updates % options.renormalize === 0;
    return due > 0 || again ? due + progress.owed : 0;
  }

  /** Keeps what was said. */
  function note(asked: readonly Asked[], changed: ReadonlyMap<string, Standing>): void {
    if (asked.length + changed.size === 0) return;
    progress.unlearned ??= progress.updates;
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
  }

  /** A fit to all that was said, where any of it was not in one before and tells which is better. */
  function fitDue(): FitJob | undefined {
    if (progress.unlearned === null) return undefined;
    const labeled = comparisons.filter((one): one is Learned & Labeled => typeof one.choice !== 'string');
    progress.unlearned = null;
    if (labeled.length === 0) return undefined;
    const { anew, fitted } = progress;
    progress.anew = false;
    // what was learned of an answer that is another now is in all weights
    return {
      ensemble: anew ? untaught! : ensemble.save(),
      ...{ labeled, scale: statistics.scale(), first: anew || !fitted, unasked: drawUnasked() },
    };
  }

  function fitHere(): Fit | undefined {
    const job = fitDue();
    if (!job) return undefined;
    const { ensemble: before, scale, labeled, ...call } = job;
    if (before === untaught) ensemble.adopt(before.state, before.tensors);
    ensemble.setScale(scale);
    const fit = ensemble.fit(labeled, call);
    progress.fitted = true;
    return fit;
  }

  /** The outcome of a fit on the thread where there is one, and begins what is due; waits where the reward would be too old. */
  async function fitBeside(): Promise<Fit | undefined> {
    let fit: Fit | undefined;
    await breathe(); // what the thread has said is heard
    for (;;) {
      const age = progress.updates - (fitting.since ?? progress.updates);
      const wait = !progress.fitted || age >= options.staleness || progress.step >= steps;
      const outcome = await fitting.take(wait);
      if (outcome) {
        ensemble.adopt(outcome.ensemble.state, outcome.ensemble.tensors);
        progress.fitted = true;
        ({ fit } = outcome);
      }
      if (fitting.since !== undefined) return fit;
      const since = progress.unlearned;
      underway.anew = progress.anew;
      const job = fitDue();
      if (!job) return fit;
      fitting.begin(since!, thread!.fit(job));
    }
  }

  /** What was answered of a round; begins the next that is due. Waits before the first fit, and where training is too far ahead. */
  async function askBeside(signal: AbortSignal | undefined) {
    let wanted = 0;
    if (asking.since === undefined) {
      underway.nextRound = progress.nextRound;
      wanted = labelsWanted();
      if (wanted > 0) asking.begin(progress.step, askRound({ ...source, teacher }, progress, wanted, stopping.signal));
    }
    await breathe(); // a teacher who need not think has answered
    const ahead = progress.step - (asking.since ?? progress.step);
    const wait = !progress.fitted || ahead > options.people.ahead * steps || progress.step >= steps;
    return { wanted, asked: (await asking.take(wait, signal)) ?? [] };
  }

  async function askHere(answered: readonly Asked[], signal: AbortSignal | undefined) {
    const wanted = labelsWanted();
    if (late && wanted > 0) late.ask(drawQuestions(source, progress, wanted));
    const asked = !late && wanted > 0 ? await askRound({ ...source, teacher }, progress, wanted, signal) : answered;
    return { wanted, asked };
  }

  /** Pairs for the ensemble to be sure of, where it learns from such. */
  function drawUnasked(): (readonly [Segment, Segment])[] {
    const rng = random(seed, 'unasked', progress.step);
    const draw = () => withoutEpisode(drawSegment(experience, cutting, rng));
    return Array.from({ length: options.reward.pseudo > 0 ? UNASKED : 0 }, () => [draw(), draw()] as const);
  }

  return {
    environment,
    ensemble,
    experience,
    statistics,
    progress,
    worth,
    /** What was said since the last call, where the teacher answers later; waits where training is too far ahead. */
    async hear(signal: AbortSignal | undefined) {
      const learned = new Map(comparisons.map(({ id, choice }) => [id, choice]));
      return (await late?.hear(progress, learned, signal)) ?? nothing;
    },
    /** Keeps a rollout. */
    add(rollout: Rollout): void {
      progress.step += batch;
      experience.add(rollout);
      statistics.add(rollout);
    },
    /** Asks what is due, and fits the ensemble where something was answered. `wanted`: the labels that were due. */
    async teach({ answered, changed }: Heard, signal: AbortSignal | undefined) {
      const { wanted, asked } = await (thread && !late ? askBeside(signal) : askHere(answered, signal));
      note(asked, changed);
      return { wanted, asked, fit: thread ? await fitBeside() : fitHere() };
    },
    /** Judges a policy by greedy episodes on the true reward. */
    evaluator: (agent: { policy: ActingPolicy; parameters: Arena; prepare?: (rows: Float32Array) => Float32Array }) => {
      const { policy, parameters, prepare } = agent;
      return createEvaluator(parts.environment.batch(options.episodes), policy, parameters, { seed, prepare });
    },
    /** What every step of a learner tells; `before`: the environment step that it began at. */
    tell(before: number, evaluate: () => Evaluation) {
      const { step, predictions, disagreement } = progress;
      const done = step >= steps;
      const every = options.evaluations > 0 ? steps / options.evaluations : Number.POSITIVE_INFINITY;
      const due = done || Math.floor(step / every) > Math.floor(before / every);
      return {
        step,
        labels: progress.labels,
        evaluation: due ? evaluate() : undefined,
        accuracy: predictions.right / predictions.decided,
        disagreement,
        ...(late && { waiting: late.waiting }),
        done,
      };
    },
    compareRewards(wanted = 200) {
      const rng = random(seed, 'correlation', progress.step);
      const segments = Array.from({ length: wanted }, () => drawSegment(experience, cutting, rng));
      return {
        predicted: [...ensemble.meanReturns(segments)],
        true: segments.map(worth),
      };
    },
    save(): { state: TeachingState; tensors: Record<string, SavedNumbers> } {
      const saved = {
        ensemble: ensemble.save(),
        experience: experience.save(),
        comparisons: packComparisons(comparisons),
        waiting: late && packPending(late.open, environment),
      };
      return {
        state: {
          ...progress,
          predictions: { ...progress.predictions },
          ...(asking.since !== undefined && { nextRound: underway.nextRound }),
          unlearned: fitting.since ?? progress.unlearned,
          anew: progress.anew || (fitting.since !== undefined && underway.anew),
          comparisons: saved.comparisons.state,
          waiting: saved.waiting?.state,
          statistics: statistics.save(),
          environment: environment.save(),
          experience: saved.experience.state,
          reward: saved.ensemble.state,
        },
        tensors: {
          ...(saved.ensemble.tensors as Tensors),
          ...saved.experience.tensors,
          ...saved.comparisons.tensors,
          ...saved.waiting?.tensors,
        },
      };
    },
    restore(state: TeachingState, tensors: Record<string, SavedNumbers>): void {
      const {
        comparisons: saved,
        waiting,
        statistics: seen,
        environment: world,
        experience: e,
        reward,
        ...rest
      } = state;
      ensemble.restore(reward, tensors);
      experience.restore(e, tensors);
      environment.restore(world);
      statistics.restore(seen);
      Object.assign(progress, rest);
      comparisons = unpackComparisons(saved, tensors, environment);
      asking.forget();
      fitting.forget();
      if (!late) return;
      late.stop();
      late = listen();
      late.ask(unpackPending(waiting ?? [], tensors, environment));
    },
    [Symbol.dispose](): void {
      late?.stop();
      stopping.abort();
      thread?.[Symbol.dispose]();
      ensemble[Symbol.dispose]();
      environment[Symbol.dispose]();
    },
  };
}

interface Heard {
  answered: readonly Asked[];
  changed: ReadonlyMap<string, Standing>;
}

const nothing: Heard = { answered: [], changed: new Map() };

const withoutEpisode = ({ episode: _, from: __, ...segment }: Segment): Segment => segment;
