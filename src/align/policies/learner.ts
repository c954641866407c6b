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
import { type EpisodeFailure, episodeMetrics, failuresOf } from '../agents/metrics.ts';
import { type Alert, alertsOf, isTrusted } from '../diagnosis/signals.ts';
import { type Completion, type Reward, writtenTokens } from '../reward-functions/reward-function.ts';
import { sampleHeldOut } from '../training/held-out.ts';
import { usualRate } from '../training/policy.ts';
import { checkSameData } from '../training/progress.ts';
import { evaluationIsDue, itemsOfStep, parameterCount, rates } from '../training/steps.ts';
import { asynchronyMetrics, createAhead } from './ahead.ts';
import type { PolicyAlgorithm, Tensors } from './algorithm.ts';
import type { AnswerLayout, EncodedPrompt } from './answer-batches.ts';
import type { ComparedAnswers, CompletionQueries } from './ask-people.ts';
import { type Constraint, constrain, keepsTo } from './constraints.ts';
import { type KlBefore, klTaper } from './kl.ts';
import type { PolicyTrainingOptions } from './options.ts';
import { type AnswerMeasures, describeEvaluation, type PolicyEvaluation } from './policy-evaluation.ts';
import { failedProbes } from './probes.ts';
import { promptFingerprint } from './prompts.ts';
import { type AnyPolicy, isRemote, localPolicy, type RemoteState } from './remote-policy.ts';
import { createRemoteRollouts } from './remote-rollouts.ts';
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
  compared?: readonly ComparedAnswers[];
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
  layout: AnswerLayout;
  /** Completions of each prompt in a step. Default 1. */
  answersPerPrompt?: number;
  /** Measures an evaluation's completions. */
  measure?: (answers: readonly Completion[]) => AnswerMeasures;
  /** What learns from rollouts. */
  algorithm: PolicyAlgorithm;
  /** Constraints on the rewards that `reward` gives as `others`. */
  constraints?: readonly Constraint[];
  /** Collects judgments from people. */
  asking?: CompletionQueries;
  /** The environment that the prompts are tasks of, if the policy acts in one. */
  environment?: EpisodeTasks;
  /** What was opened for the learner; disposed of with it, as is the algorithm. */
  own: Disposables;
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

/** Makes the training loop of a policy from its parts, which it disposes of. */
export function createPolicyLearner<O extends PolicyTrainingOptions>(parts: PolicyLearnerParts<O>) {
  const { policy, reward, gold, options, prompts, probes = [], layout } = parts;
  const evaluationPrompts = evaluatedPrompts(parts);
  const { answersPerPrompt = 1, constraints = [], asking, environment, own } = parts;
  own.use(parts.algorithm);
  const algorithm =
    constraints.length > 0 ? constrain(parts.algorithm, constraints, options.lagrange) : parts.algorithm;
  const { steps, seed, batch } = options;
  const { maxTokens, temperature, generate, episode, rollouts: asynchrony } = options;
  const drawing = {
    layout,
    environment,
    episode,
    rollouts: asynchrony,
    maxTokens,
    temperature,
    batch: generate.batch,
  };
  const remote = isRemote(policy) ? policy : undefined;
  const rollouts = own.use(
    isRemote(policy) ? createRemoteRollouts(policy, reward, drawing) : createRollouts(policy, reward, drawing),
  );
  const promptsOf = (step: number) => itemsOfStep(step, batch, prompts.length, seed).map((i) => prompts[i]);
  const { early } = rollouts;
  const ahead =
    early && own.use(createAhead(early, { ...asynchrony!, promptsOf, answers: answersPerPrompt, steps, seed }));
  const usual = isRemote(policy) ? policy.usualRate : usualRate(policy);
  const rateOf = rates(options.learningRate ?? usual, steps, options);
  const fingerprint = promptFingerprint([...prompts, ...parts.evaluationPrompts, ...probes]);
  let state: State = {
    step: 0,
    tokens: 0,
    seconds: 0,
    best: Number.NEGATIVE_INFINITY,
    worse: 0,
    alerting: [],
    fingerprint,
  };

  async function probed(signal?: AbortSignal): Promise<Record<string, number>> {
    if (probes.length === 0) return {};
    const { answers, scores } = await rollouts.run(probes, seedFor(seed, 'probes'), 1, signal);
    return { 'probe/failed': failedProbes(answers), 'probe/reward': mean(scores) };
  }

  /** Evaluates the current policy; `best` is not set. Rejects with the signal's reason when it aborts. */
  async function evaluate(signal?: AbortSignal): Promise<PolicyEvaluation> {
    // the same draws each time, so that only the policy differs
    const rollout = await rollouts.run(evaluationPrompts, seedFor(seed, 'evaluation'), 1, signal);
    const { answers } = rollout;
    failures.push(...failuresOf(answers));
    const judged = gold && (await gold.score(answers, signal));
    if (state.step === 0 && asking) state.initial = answers;
    // the reward changes as it learns, so that it scores the earlier completions anew
    const earlier = state.initial && (await parts.reward.score(state.initial, signal));
    const tokens = tokenShares(answers);
    const evaluation = describeEvaluation(rollout, {
      gold: judged,
      earlier,
      probed: await probed(signal),
      shift: shiftOf(tokens, state.before?.tokens ?? tokens),
      measured: parts.measure?.(answers),
      unknown: isRemote(policy) ? undefined : policy.model.tokenizer.unknown,
      samples: options.evaluation.samples,
    });
    const { reward, kl, measures, signals } = evaluation;
    if (state.step === 0) state.before = { reward, kl, measures, signals, tokens };
    return evaluation;
  }

  let failures: EpisodeFailure[] = [];
  /** Of the latest step. */
  let idle: number | undefined;

  /** Completes prompts and learns from them. Returns the step's metrics, which stay pending. */
  async function learn(signal?: AbortSignal): Promise<Record<string, number>> {
    await asking?.next(state.step, (prompts, drawn) => rollouts.run(prompts, drawn, 2, signal), signal);
    const [began, waited] = [performance.now(), rollouts.waited];
    const { step } = state;
    const rollout = await (ahead
      ? ahead.take(step, signal)
      : rollouts.run(promptsOf(step), seedFor(seed, 'rollout', step), answersPerPrompt, signal));
    failures.push(...failuresOf(rollout.answers));
    const kl = mean(rollout.kl);
    const factor = klTaper(kl, options.maxKl, state.last);
    const rate = rateOf(state.step) * factor;
    const tokens = state.tokens + rollout.answers.reduce((sum, answer) => sum + writtenTokens(answer).length, 0);
    const updated = await algorithm.update(rollout, rate, state.step);
    early?.learned();
    const learned = remote ? known(updated) : updated;
    const metrics = {
      ...metricsOf(rollout),
      ...(early && asynchronyMetrics(rollout, asynchrony!)),
      ...learned,
      learning_rate: rate,
      tokens,
    };
    const time = performance.now() - began;
    const seconds = state.seconds + time / 1000;
    if (waited !== undefined) idle = (rollouts.waited! - waited) / time;
    state = {
      ...state,
      step: state.step + 1,
      tokens,
      seconds,
      last: { kl, factor },
      first: state.first ?? metrics,
      pending: metrics,
    };
    return metrics;
  }

  /** Values at the start. */
  const first = () => ({ ...state.first, ...state.before?.measures, ...state.before?.signals });

  /** Whether the reward of an evaluation can be trusted. */
  const trusts = (metrics: Record<string, number>, { signals, measures }: PolicyEvaluation): boolean =>
    isTrusted({ ...metrics, ...measures, ...signals }, first(), state.step - 1);

  /** Alerts that start with the metrics of the latest step. */
  function alertsAt(metrics: Record<string, number>): Alert[] {
    const alerts = alertsOf(metrics, first(), state.step - 1);
    const begun = alerts.filter(({ metric }) => !state.alerting.includes(metric));
    const absent = state.alerting.filter((metric) => !(metric in metrics));
    state = { ...state, alerting: [...absent, ...alerts.map(({ metric }) => metric)] };
    return begun;
  }

  return {
    options,
    name: parts.name,
    policy,
    steps,
    /** Evaluates the policy on the held-out prompts. */
    evaluate,
    asking,
    /** The evaluation of the initial policy, once there is one. */
    before: () => state.before,
    /**
     * Completes prompts, learns from them, and evaluates if it is due. Rejects with the signal's reason when it aborts;
     * a checkpoint taken then continues from there.
     */
    async next(signal?: AbortSignal): Promise<PolicyStep> {
      const metrics = state.pending ?? (await learn(signal));
      let evaluation: PolicyEvaluation | undefined;
      if (evaluationIsDue(state.step, steps, options)) {
        evaluation = await evaluate(signal);
        evaluation.best =
          evaluation.reward > state.best && keepsTo(constraints, evaluation.measures) && trusts(metrics, evaluation);
        if (evaluation.best) state.best = evaluation.reward;
        state.worse = evaluation.best ? 0 : state.worse + 1;
      }
      const alerts = alertsAt({ ...metrics, ...evaluation?.measures, ...evaluation?.signals });
      state = { ...state, pending: undefined };
      const tokensPerSecond = state.tokens / state.seconds;
      const stopped = evaluation !== undefined && options.patience > 0 && state.worse >= options.patience;
      const done = stopped || state.step >= steps;
      const failed = failures;
      failures = [];
      const step = {
        step: state.step,
        metrics,
        alerts,
        tokensPerSecond,
        evaluation,
        done,
        ...(idle !== undefined && { idle }),
        ...(failed.length > 0 && { failures: failed }),
      };
      if (!asking) return step;
      const { metrics: askingMetrics, ...judged } = asking.report();
      return { ...step, metrics: { ...metrics, ...askingMetrics }, ...judged };
    },
    /** Saves what is at a service: call it before `save`. */
    prepareSave: async () => remote?.checkpoint(),
    /** State and tensors, for a checkpoint. */
    save() {
      const { state: inner, tensors } = algorithm.save();
      const people = asking?.save();
      return {
        state: { ...state, algorithm: inner, asking: people?.state, ...(remote && { remote: remote.save() }) },
        tensors: { ...(!isRemote(policy) && exportParameters(policy.parameters)), ...tensors, ...people?.tensors },
      };
    },
    /** Restores what `save` returned. */
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const {
        algorithm: own,
        asking: people,
        remote: there,
        ...saved
      } = checkpoint.state as State & Record<'algorithm' | 'asking', unknown> & { remote?: RemoteState };
      checkSameData(saved, state, 'prompts');
      ahead?.drop();
      const tensors = checkpoint.tensors as Tensors;
      if (!isRemote(policy)) importParameters(policy.parameters, tensors);
      else if (there) policy.restore(there);
      algorithm.restore({ state: own, tensors });
      asking?.restore({ state: people, tensors });
      state = saved;
    },
    /**
     * The trained model, with adapters merged in. It is no longer disposed of with the learner.
     *
     * @throws HeedError if the model is at a service.
     */
    finish(): Model {
      const { model, merge } = localPolicy(policy, 'The trained model');
      merge();
      return own.release(model);
    },
    /** Frees what it holds; it cannot be used afterwards. */
    [Symbol.dispose]: own[Symbol.dispose],
  };
}

/** The metrics that a service gives: those that it does not are NaN. */
const known = (metrics: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(metrics).filter(([, value]) => !Number.isNaN(value)));

/** The metrics of every rollout. */
function metricsOf(rollout: LanguageRollout): Record<string, number> {
  const { answers, scores, logProbs } = rollout;
  const middle = mean(scores);
  const tokens = logProbs.reduce((sum, { length }) => sum + length, 0);
  return {
    'reward/mean': middle,
    'reward/std': Math.sqrt(mean(scores.map((score) => (score - middle) ** 2))),
    ...(rollout.deviations && { 'reward/disagreement': mean(rollout.deviations) }),
    'kl/mean': mean(rollout.kl),
    // −log π of a token drawn from π: an unbiased estimate at no cost
    'policy/entropy': -logProbs.reduce((sum, own) => own.reduce((a, b) => a + b, sum), 0) / tokens,
    'response/length': tokens / answers.length,
    'response/eos_rate': answers.filter(({ ended }) => ended).length / answers.length,
    ...episodeMetrics(answers),
  };
}

/** The held-out prompts that evaluations complete: a completion takes as much as one of a step, without its update. */
function evaluatedPrompts<O extends PolicyTrainingOptions>({
  policy,
  options,
  prompts,
  evaluationPrompts,
  answersPerPrompt = 1,
}: PolicyLearnerParts<O>): readonly EncodedPrompt[] {
  if (isRemote(policy)) return evaluationPrompts;
  const tokensOf = (some: readonly EncodedPrompt[]) => some.map(({ ids }) => ids.length + options.maxTokens);
  const completions = options.steps * options.batch * answersPerPrompt;
  const { sampled } = sampleHeldOut(tokensOf(evaluationPrompts), {
    parameters: parameterCount(policy.model.parameters),
    work: completions * mean(tokensOf(prompts)),
    options,
  });
  return sampled.map((i) => evaluationPrompts[i]);
}
