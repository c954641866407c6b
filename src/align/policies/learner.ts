/**
 * The training loop of a policy that learns from rewards of its own completions. Each step takes prompts in a random
 * order, completes and scores them, and has an algorithm learn from the rollout. At intervals the policy is evaluated
 * on held-out prompts.
 */
import type { Disposables } from '../../disposables.ts';
import type { Model } from '../../lm/model.ts';
import { exportParameters, importParameters } from '../../nn/parameters.ts';
import type { LearnedComparison } from '../../preference/lesson.ts';
import type { Round } from '../../preference/schedule.ts';
import { seedFor } from '../../random.ts';
import { mean } from '../../run/intervals.ts';
import type { EpisodeTasks } from '../agents/environment.ts';
import { type EpisodeFailure, episodeMetrics, failuresOf } from '../agents/rollouts.ts';
import { type Alert, alertsOf, isTrusted } from '../diagnosis/signals.ts';
import { type Completion, type Reward, writtenTokens } from '../reward-functions/reward-function.ts';
import { usualRate } from '../training/policy.ts';
import {
  checkSameData,
  evaluationIsDue,
  itemsOfStep,
  parameterCount,
  rates,
  sampleHeldOut,
} from '../training/steps.ts';
import { asynchronyMetrics, createAhead } from './ahead.ts';
import type { PolicyAlgorithm, Tensors } from './algorithm.ts';
import type { ComparedCompletions, CompletionQueries } from './ask-people.ts';
import type { CompletionLayout, EncodedPrompt } from './completion-batches.ts';
import { type Constraint, constrain, keepsTo } from './constraints.ts';
import { type KlBefore, klTaper } from './kl.ts';
import type { PolicyTrainingOptions } from './options.ts';
import { type CompletionMeasures, describeEvaluation, type PolicyEvaluation } from './policy-evaluation.ts';
import { failedProbes, promptFingerprint } from './prompts.ts';
import { type AnyPolicy, createRemoteRollouts, isRemote, localPolicy, type RemoteState } from './remote-policy.ts';
import { createRollouts, type LanguageRollout } from './rollouts.ts';
import { shiftOf, type TokenShares, tokenShares } from './texts.ts';

/** A step of a policy's training. */
export interface PolicyStep {
  /** Steps so far. */
  step: number;
  /** Metrics by their names in metrics.jsonl. */
  metrics: Record<string, number>;
  /** Metrics that left their healthy range in this step. */
  alerts: Alert[];
  /** Tokens of completions per second, without evaluations. */
  tokensPerSecond: number;
  /** With an environment: share of the step's time in which it was waited for, and nothing was computed. */
  idle?: number;
  /** The evaluation after this step, if one was due. */
  evaluation?: PolicyEvaluation;
  /** Episodes of the step, and of its evaluation, whose environment or agent failed. */
  failures?: readonly EpisodeFailure[];
  /** Judgments that people made or changed since the last step. */
  compared?: readonly ComparedCompletions[];
  /** What a fit of the reward model in this step changed about the latest judgments. */
  lesson?: readonly LearnedComparison[];
  /** The next round of queries to people, if there is one. */
  nextRound?: Round;
  /** Whether this was the last step. */
  done: boolean;
}

/** What `createPolicyLearner` puts together. */
export interface PolicyLearnerParts<O extends PolicyTrainingOptions> {
  /** The policy to train, in place or at a service. */
  policy: AnyPolicy;
  /** What scores completions. */
  reward: Reward;
  /** A second reward for evaluations only. */
  gold?: Reward;
  /** Options of the training. */
  options: O;
  /** Name of the run. */
  name: string;
  /** Prompts to train on. */
  prompts: readonly EncodedPrompt[];
  /** Held-out prompts for evaluations. */
  evaluationPrompts: readonly EncodedPrompt[];
  /** Leading prompts, completed at each evaluation too. */
  probes?: readonly EncodedPrompt[];
  /** How completions of all these prompts are laid out in batches. */
  layout: CompletionLayout;
  /** Completions of each prompt in a step. Default 1. */
  completionsPerPrompt?: number;
  /** Measures an evaluation's completions. */
  measure?: (completions: readonly Completion[]) => CompletionMeasures;
  /** What learns from rollouts. */
  algorithm: PolicyAlgorithm;
  /** Constraints on the rewards that `reward` gives as `others`. */
  constraints?: readonly Constraint[];
  /** Collects judgments from people. */
  asking?: CompletionQueries;
  /** The environment that the prompts are tasks of, if the policy acts in one. */
  environment?: EpisodeTasks;
  /** What was opened for the learner; disposed of with it, as is the algorithm. */
  scope: Disposables;
}

interface State {
  step: number;
  tokens: number;
  seconds: number;
  best: number;
  /** Number of evaluations since the best one. */
  worse: number;
  /** Evaluation of the initial policy. */
  before?: Pick<PolicyEvaluation, 'reward' | 'kl' | 'measures' | 'signals'> & { tokens: TokenShares };
  /** The initial policy's completions of the evaluation prompts, if the reward learns from people. */
  initial?: readonly Completion[];
  /** The first step's metrics, and the names of those that are out of range. */
  first?: Record<string, number>;
  alerting: string[];
  /** The KL before the last step. */
  last?: KlBefore;
  /** Metrics of a step that was interrupted before its evaluation. */
  pending?: Record<string, number>;
  fingerprint: string;
}

/** Trains a policy, a step at a time. */
export type PolicyLearner<O extends PolicyTrainingOptions = PolicyTrainingOptions> = ReturnType<
  typeof createPolicyLearner<O>
>;

/** Completes the prompts of a training: those of a step, of evaluations and of queries to people. */
function createSampler({ policy, reward, options, prompts, layout, completionsPerPrompt = 1, ...parts }: AnyParts) {
  const { environment, scope } = parts;
  const { steps, seed, batch, maxTokens, temperature, generate, episode, rollouts: asynchrony } = options;
  const drawing = {
    layout,
    environment,
    episode,
    rollouts: asynchrony,
    maxTokens,
    temperature,
    batch: generate.batch,
  };
  const rollouts = scope.use(
    isRemote(policy) ? createRemoteRollouts(policy, reward, drawing) : createRollouts(policy, reward, drawing),
  );
  const promptsOf = (step: number) => itemsOfStep(step, batch, prompts.length, seed).map((i) => prompts[i]);
  const { early } = rollouts;
  const ahead =
    early &&
    scope.use(createAhead(early, { ...asynchrony!, promptsOf, completions: completionsPerPrompt, steps, seed }));
  return {
    rollouts,
    /** The completions that a step learns from. */
    ofStep: (step: number, signal?: AbortSignal): Promise<LanguageRollout> =>
      ahead
        ? ahead.take(step, signal)
        : rollouts.run(promptsOf(step), seedFor(seed, 'rollout', step), completionsPerPrompt, signal),
    /** The policy has changed. */
    learned: () => early?.learned(),
    /** How early the completions of a step began. */
    asynchrony: (rollout: LanguageRollout) => (early ? asynchronyMetrics(rollout) : {}),
    /** Drops what was completed ahead: the policy is another. */
    drop: () => ahead?.drop(),
  };
}

type AnyParts = PolicyLearnerParts<PolicyTrainingOptions>;

/** A training under way. */
interface Loop {
  parts: AnyParts;
  sampler: ReturnType<typeof createSampler>;
  algorithm: PolicyAlgorithm;
  rateOf(step: number): number;
  state: State;
  /** Episodes that failed since the last step. */
  failures: EpisodeFailure[];
  /** Share of the latest step in which an environment was waited for. */
  idle?: number;
}

/** Evaluates the current policy; `best` is not set. Rejects with the signal's reason when it aborts. */
async function evaluatePolicy(loop: Loop, signal?: AbortSignal): Promise<PolicyEvaluation> {
  const { state, sampler, failures, parts } = loop;
  const { policy, options, gold, probes = [] } = parts;
  const { rollouts } = sampler;
  // the same draws each time, so that only the policy differs
  const rollout = await rollouts.run(parts.evaluationPrompts, seedFor(options.seed, 'evaluation'), 1, signal);
  const { completions } = rollout;
  failures.push(...failuresOf(completions));
  const judged = gold && (await gold.score(completions, signal));
  if (state.step === 0 && parts.asking) state.initial = completions;
  // the reward changes as it learns, so that it scores the earlier completions anew
  const earlier = state.initial && (await parts.reward.score(state.initial, signal));
  const tokens = tokenShares(completions);
  const evaluation = describeEvaluation(rollout, {
    gold: judged,
    earlier,
    probed: await probed(rollouts, probes, options.seed, signal),
    shift: shiftOf(tokens, state.before?.tokens ?? tokens),
    measured: parts.measure?.(completions),
    unknown: isRemote(policy) ? undefined : policy.model.tokenizer.unknown,
    samples: options.evaluation.samples,
  });
  const { reward, kl, measures, signals } = evaluation;
  if (state.step === 0) state.before = { reward, kl, measures, signals, tokens };
  return evaluation;
}

async function probed(
  rollouts: Loop['sampler']['rollouts'],
  probes: readonly EncodedPrompt[],
  seed: number,
  signal?: AbortSignal,
): Promise<Record<string, number>> {
  if (probes.length === 0) return {};
  const { completions, scores } = await rollouts.run(probes, seedFor(seed, 'probes'), 1, signal);
  return { 'probe/failed': failedProbes(completions), 'probe/reward': mean(scores) };
}

/** Completes prompts and learns from them. Returns the step's metrics, which stay pending. */
async function learnFromStep(loop: Loop, signal?: AbortSignal): Promise<Record<string, number>> {
  const { sampler, algorithm, parts } = loop;
  const { rollouts } = sampler;
  const { step } = loop.state;
  await parts.asking?.next(step, (prompts, drawn) => rollouts.run(prompts, drawn, 2, signal), signal);
  const [began, waited] = [performance.now(), rollouts.waited];
  const rollout = await sampler.ofStep(step, signal);
  loop.failures.push(...failuresOf(rollout.completions));
  const kl = mean(rollout.kl);
  const factor = klTaper(kl, parts.options.maxKl, loop.state.last);
  const rate = loop.rateOf(step) * factor;
  const tokens =
    loop.state.tokens + rollout.completions.reduce((sum, completion) => sum + writtenTokens(completion).length, 0);
  const updated = await algorithm.update(rollout, rate, step);
  sampler.learned();
  const metrics = {
    ...metricsOf(rollout),
    ...sampler.asynchrony(rollout),
    ...(isRemote(parts.policy) ? known(updated) : updated),
    learning_rate: rate,
    tokens,
  };
  const time = performance.now() - began;
  if (waited !== undefined) loop.idle = (rollouts.waited! - waited) / time;
  loop.state = {
    ...loop.state,
    step: step + 1,
    tokens,
    seconds: loop.state.seconds + time / 1000,
    last: { kl, factor },
    first: loop.state.first ?? metrics,
    pending: metrics,
  };
  return metrics;
}

/** Values at the start. */
const atStart = ({ first, before }: State) => ({ ...first, ...before?.measures, ...before?.signals });

/** Evaluates the policy if it is due, and says whether it is the best so far. */
async function evaluateIfDue(
  loop: Loop,
  metrics: Record<string, number>,
  signal?: AbortSignal,
): Promise<PolicyEvaluation | undefined> {
  const { options, constraints = [] } = loop.parts;
  if (!evaluationIsDue(loop.state.step, options.steps, options)) return undefined;
  const evaluation = await evaluatePolicy(loop, signal);
  const { state } = loop;
  const { reward, measures, signals } = evaluation;
  // whether the reward of the evaluation can be trusted
  const trusted = () => isTrusted({ ...metrics, ...measures, ...signals }, atStart(state), state.step - 1);
  evaluation.best = reward > state.best && keepsTo(constraints, measures) && trusted();
  if (evaluation.best) state.best = reward;
  state.worse = evaluation.best ? 0 : state.worse + 1;
  return evaluation;
}

/** Alerts that start with the metrics of the latest step, and the names of all metrics that are out of range. */
function alertsAt(state: State, metrics: Record<string, number>): { alerts: Alert[]; alerting: string[] } {
  const alerts = alertsOf(metrics, atStart(state), state.step - 1);
  const absent = state.alerting.filter((metric) => !(metric in metrics));
  return {
    alerts: alerts.filter(({ metric }) => !state.alerting.includes(metric)),
    alerting: [...absent, ...alerts.map(({ metric }) => metric)],
  };
}

/** Learns from a step, unless that is done already, and evaluates if it is due. */
async function takeStep(loop: Loop, signal?: AbortSignal): Promise<PolicyStep> {
  const { options, asking } = loop.parts;
  const metrics = loop.state.pending ?? (await learnFromStep(loop, signal));
  const evaluation = await evaluateIfDue(loop, metrics, signal);
  const seen = { ...metrics, ...evaluation?.measures, ...evaluation?.signals };
  const { alerts, alerting } = alertsAt(loop.state, seen);
  loop.state = { ...loop.state, alerting, pending: undefined };
  const { step, tokens, seconds, worse } = loop.state;
  const stopped = evaluation !== undefined && options.patience > 0 && worse >= options.patience;
  const failures = loop.failures.splice(0);
  const { metrics: askingMetrics, ...judged } = asking?.report() ?? { metrics: {} };
  return {
    step,
    metrics: { ...metrics, ...askingMetrics },
    alerts,
    tokensPerSecond: tokens / seconds,
    evaluation,
    done: stopped || step >= options.steps,
    ...(loop.idle !== undefined && { idle: loop.idle }),
    ...(failures.length > 0 && { failures }),
    ...judged,
  };
}

/** Makes the training loop of a policy from its parts, which it disposes of. */
export function createPolicyLearner<O extends PolicyTrainingOptions>(parts: PolicyLearnerParts<O>) {
  const { policy, options, prompts, evaluationPrompts, probes = [], constraints = [], asking, scope } = parts;
  scope.use(parts.algorithm);
  const algorithm =
    constraints.length > 0 ? constrain(parts.algorithm, constraints, options.lagrange) : parts.algorithm;
  const { steps } = options;
  const remote = isRemote(policy) ? policy : undefined;
  const usual = isRemote(policy) ? policy.usualRate : usualRate(policy);
  const loop: Loop = {
    parts: { ...parts, evaluationPrompts: evaluatedPrompts(parts) },
    sampler: createSampler(parts),
    algorithm,
    rateOf: rates(options.learningRate ?? usual, steps, options),
    state: {
      step: 0,
      tokens: 0,
      seconds: 0,
      best: Number.NEGATIVE_INFINITY,
      worse: 0,
      alerting: [],
      fingerprint: promptFingerprint([...prompts, ...evaluationPrompts, ...probes]),
    },
    failures: [],
  };

  return {
    options,
    name: parts.name,
    policy,
    steps,
    /** Evaluates the policy on the held-out prompts. */
    evaluate: (signal?: AbortSignal): Promise<PolicyEvaluation> => evaluatePolicy(loop, signal),
    asking,
    /** The evaluation of the initial policy, once there is one. */
    before: () => loop.state.before,
    /**
     * Completes prompts, learns from them, and evaluates if it is due. Rejects with the signal's reason when it aborts;
     * a checkpoint taken then continues from there.
     */
    next: (signal?: AbortSignal): Promise<PolicyStep> => takeStep(loop, signal),
    /** Saves what is at a service: call it before `save`. */
    prepareSave: async () => remote?.checkpoint(),
    /** State and tensors, for a checkpoint. */
    save() {
      const { state: inner, tensors } = algorithm.save();
      const people = asking?.save();
      return {
        state: { ...loop.state, algorithm: inner, asking: people?.state, ...(remote && { remote: remote.save() }) },
        tensors: { ...(!isRemote(policy) && exportParameters(policy.parameters)), ...tensors, ...people?.tensors },
      };
    },
    /** Restores what `save` returned. */
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const {
        algorithm: inner,
        asking: people,
        remote: there,
        ...saved
      } = checkpoint.state as State & Record<'algorithm' | 'asking', unknown> & { remote?: RemoteState };
      checkSameData(saved, loop.state, 'prompts');
      loop.sampler.drop();
      const tensors = checkpoint.tensors as Tensors;
      if (!isRemote(policy)) importParameters(policy.parameters, tensors);
      else if (there) policy.restore(there);
      algorithm.restore({ state: inner, tensors });
      asking?.restore({ state: people, tensors });
      loop.state = saved;
    },
    /**
     * The trained model, with adapters merged in. It is no longer disposed of with the learner.
     *
     * @throws HeedError if the model is at a service.
     */
    finish(): Model {
      return scope.release(localPolicy(policy, 'The trained model').merge());
    },
    /** Frees what it holds; it cannot be used afterwards. */
    [Symbol.dispose]: scope[Symbol.dispose],
  };
}

/** The metrics that a service gives: those that it does not are NaN. */
const known = (metrics: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(metrics).filter(([, value]) => !Number.isNaN(value)));

/** The metrics of every rollout. */
function metricsOf(rollout: LanguageRollout): Record<string, number> {
  const { completions, scores, logProbs } = rollout;
  const middle = mean(scores);
  const tokens = logProbs.reduce((sum, { length }) => sum + length, 0);
  return {
    'reward/mean': middle,
    'reward/std': Math.sqrt(mean(scores.map((score) => (score - middle) ** 2))),
    ...(rollout.deviations && { 'reward/disagreement': mean(rollout.deviations) }),
    'kl/mean': mean(rollout.kl),
    // −log π of a token drawn from π: an unbiased estimate at no cost
    'policy/entropy': -logProbs.reduce((sum, sequence) => sequence.reduce((a, b) => a + b, sum), 0) / tokens,
    'response/length': tokens / completions.length,
    'response/eos_rate': completions.filter(({ ended }) => ended).length / completions.length,
    ...episodeMetrics(completions),
  };
}

/** The held-out prompts that evaluations complete: a completion takes as much as one of a step, without its update. */
function evaluatedPrompts<O extends PolicyTrainingOptions>({
  policy,
  options,
  prompts,
  evaluationPrompts,
  completionsPerPrompt = 1,
}: PolicyLearnerParts<O>): readonly EncodedPrompt[] {
  if (isRemote(policy)) return evaluationPrompts;
  const tokensOf = (some: readonly EncodedPrompt[]) => some.map(({ ids }) => ids.length + options.maxTokens);
  const completions = options.steps * options.batch * completionsPerPrompt;
  const { sampled } = sampleHeldOut(tokensOf(evaluationPrompts), {
    parameters: parameterCount(policy.model.parameters),
    work: completions * mean(tokensOf(prompts)),
    options,
  });
  return sampled.map((i) => evaluationPrompts[i]);
}
