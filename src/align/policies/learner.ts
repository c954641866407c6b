/**
 * What trainings share in which a policy learns from what its own answers are worth: in each step prompts are taken in
 * a drawn order, answered and scored; an algorithm learns from that; now and then the policy is evaluated on other prompts.
 */
import type { Disposables } from '../../disposables.ts';
import type { Model } from '../../lm/model.ts';
import { exportParameters, importParameters } from '../../nn/index.ts';
import { seedFor } from '../../random.ts';
import type { Completion, Reward } from '../reward-functions/reward-function.ts';
import { type Policy, usualRate } from '../training/policy.ts';
import { checkSameData } from '../training/progress.ts';
import { evaluationIsDue, itemsOfStep, rates } from '../training/steps.ts';
import { type Alert, alertsOf } from './alerts.ts';
import type { PolicyAlgorithm, Tensors } from './algorithm.ts';
import type { Asking, ComparedAnswers } from './ask-people.ts';
import { type Constraint, constrain, keepsTo } from './constraints.ts';
import type { PolicyTrainingOptions } from './options.ts';
import { failedProbes } from './probes.ts';
import { promptFingerprint } from './prompts.ts';
import { type AnswerLayout, answerKl, createRollouts, type Prompt, type Rollout } from './rollouts.ts';

export interface PolicySample {
  prompt: string;
  text: string;
  reward: number;
  /** log π − log π_ref in nats. */
  kl: number;
}

export interface PolicyEvaluation {
  /** Means over the answers: what they are worth, */
  reward: number;
  /** and log π − log π_ref in nats an answer. */
  kl: number;
  /** What else is told of the answers, by the name of the metric. */
  measures: Record<string, number>;
  /** Of every answer; its length in tokens. */
  spread: Record<'reward' | 'kl' | 'length', number[]>;
  samples: PolicySample[];
  /** Of all evaluations after a step in which the constraints held, this one has the highest reward. */
  best: boolean;
}

export interface PolicyStep {
  step: number;
  /** By the names they have in metrics.jsonl. */
  metrics: Record<string, number>;
  /** Metrics that have left their healthy range with this step. */
  alerts: Alert[];
  /** Tokens of answers a second, evaluations left out. */
  tokensPerSecond: number;
  evaluation?: PolicyEvaluation;
  /** What people said since the last step, or say otherwise now. */
  compared?: readonly ComparedAnswers[];
  done: boolean;
}

export interface PolicyLearnerParts<O extends PolicyTrainingOptions> {
  policy: Policy;
  reward: Reward;
  /** What evaluations tell of besides. */
  gold?: Reward;
  options: O;
  /** Of the run. */
  name: string;
  prompts: readonly Prompt[];
  evaluationPrompts: readonly Prompt[];
  /** Prompts that try to lead astray, answered at each evaluation too. */
  probes?: readonly Prompt[];
  /** How the answers to either are laid out. */
  layout: AnswerLayout;
  /** Answers to each prompt in a step: 1 where absent. */
  answersPerPrompt?: number;
  measure?: (answers: readonly Completion[]) => Record<string, number>;
  algorithm: PolicyAlgorithm;
  /** What is to hold of the rewards that the reward tells as others. */
  constraints?: readonly Constraint[];
  /** Somebody who compares the policy's answers. */
  asking?: Asking;
  /** What was opened for the learner: disposed of with it, and so is the algorithm. */
  own: Disposables;
}

interface State {
  step: number;
  tokens: number;
  seconds: number;
  best: number;
  /** Of the policy as it started. */
  before?: Pick<PolicyEvaluation, 'reward' | 'kl' | 'measures'>;
  /** The first step's metrics, and those that are out of their range. */
  first?: Record<string, number>;
  alerting: string[];
  /** Metrics of a step that was stopped before its evaluation. */
  pending?: Record<string, number>;
  fingerprint: string;
}

export type PolicyLearner<O extends PolicyTrainingOptions = PolicyTrainingOptions> = ReturnType<
  typeof createPolicyLearner<O>
>;

export function createPolicyLearner<O extends PolicyTrainingOptions>(parts: PolicyLearnerParts<O>) {
  const { policy, reward, gold, options, prompts, evaluationPrompts, probes = [], layout } = parts;
  const { answersPerPrompt = 1, constraints = [], asking, own } = parts;
  own.use(parts.algorithm);
  const algorithm =
    constraints.length > 0 ? constrain(parts.algorithm, constraints, options.lagrange) : parts.algorithm;
  const { steps, seed, batch } = options;
  const rollouts = own.use(
    createRollouts(policy, reward, {
      layout,
      maxTokens: options.maxTokens,
      temperature: options.temperature,
      batch: options.generate.batch,
    }),
  );
  const rateOf = rates(options.learningRate ?? usualRate(policy), steps, options);
  const fingerprint = promptFingerprint([...prompts, ...evaluationPrompts, ...probes]);
  let state: State = {
    step: 0,
    tokens: 0,
    seconds: 0,
    best: Number.NEGATIVE_INFINITY,
    alerting: [],
    fingerprint,
  };

  async function probed(signal?: AbortSignal): Promise<Record<string, number>> {
    if (probes.length === 0) return {};
    const { answers, scores } = await rollouts.run(probes, seedFor(seed, 'probes'), 1, signal);
    return { 'probe/failed': failedProbes(answers), 'probe/reward': mean(scores) };
  }

  /** Of the policy as it stands; it counts for no best. Rejects with the signal's reason where it aborts. */
  async function evaluate(signal?: AbortSignal): Promise<PolicyEvaluation> {
    // the same draws each time, so that what differs is the policy
    const rollout = await rollouts.run(evaluationPrompts, seedFor(seed, 'evaluation'), 1, signal);
    const { answers, scores } = rollout;
    const kls = answerKl(rollout);
    const evaluation = {
      reward: mean(scores),
      kl: mean(kls),
      measures: {
        ...(gold && { 'reward/gold': mean(await gold.score(answers, signal)) }),
        ...parts.measure?.(answers),
        ...(await probed(signal)),
        ...meansOf(rollout),
      },
      spread: { reward: [...scores], kl: kls, length: answers.map(({ response }) => response.length) },
      samples: answers
        .slice(0, options.evaluation.samples)
        .map(({ promptText: prompt, text }, i) => ({ prompt, text, reward: scores[i], kl: kls[i] })),
      best: false,
    };
    const { reward, kl, measures } = evaluation;
    if (state.step === 0) state.before = { reward, kl, measures };
    return evaluation;
  }

  /** Answers prompts and learns from that. Gives the step's metrics, which stay pending. */
  async function learn(signal?: AbortSignal): Promise<Record<string, number>> {
    await asking?.next(state.step, (prompts, drawn) => rollouts.run(prompts, drawn, 2, signal), signal);
    const began = performance.now();
    const rate = rateOf(state.step);
    const asked = itemsOfStep(state.step, batch, prompts.length, seed).map((i) => prompts[i]);
    const rollout = await rollouts.run(asked, seedFor(seed, 'rollout', state.step), answersPerPrompt, signal);
    const tokens = state.tokens + rollout.answers.reduce((sum, { response }) => sum + response.length, 0);
    const metrics = {
      ...metricsOf(rollout),
      ...algorithm.update(rollout, rate, state.step),
      learning_rate: rate,
      tokens,
    };
    const seconds = state.seconds + (performance.now() - began) / 1000;
    state = { ...state, step: state.step + 1, tokens, seconds, first: state.first ?? metrics, pending: metrics };
    return metrics;
  }

  /** Alerts that begin with what the latest step tells. */
  function alertsAt(told: Record<string, number>): Alert[] {
    const alerts = alertsOf(told, { ...state.first, ...state.before?.measures }, state.step - 1);
    const begun = alerts.filter(({ metric }) => !state.alerting.includes(metric));
    const untold = state.alerting.filter((metric) => !(metric in told));
    state = { ...state, alerting: [...untold, ...alerts.map(({ metric }) => metric)] };
    return begun;
  }

  return {
    options,
    name: parts.name,
    policy,
    steps,
    evaluate,
    asking,
    /** What the policy was worth as it started, once that was evaluated. */
    before: () => state.before,
    /**
     * Prompts answered, an update, and an evaluation where one is due. Rejects with the signal's reason where it aborts a reward;
     * what is saved then goes on from there.
     */
    async next(signal?: AbortSignal): Promise<PolicyStep> {
      const metrics = state.pending ?? (await learn(signal));
      let evaluation: PolicyEvaluation | undefined;
      if (evaluationIsDue(state.step, steps, options)) {
        evaluation = await evaluate(signal);
        evaluation.best = evaluation.reward > state.best && keepsTo(constraints, evaluation.measures);
        if (evaluation.best) state.best = evaluation.reward;
      }
      const alerts = alertsAt({ ...metrics, ...evaluation?.measures });
      state = { ...state, pending: undefined };
      const tokensPerSecond = state.tokens / state.seconds;
      const step = { step: state.step, metrics, alerts, tokensPerSecond, evaluation, done: state.step >= steps };
      if (!asking) return step;
      const { metrics: asked, compared } = asking.told();
      return { ...step, metrics: { ...metrics, ...asked }, compared };
    },
    save() {
      const { state: inner, tensors } = algorithm.save();
      const asked = asking?.save();
      return {
        state: { ...state, algorithm: inner, asking: asked?.state },
        tensors: { ...exportParameters(policy.parameters), ...tensors, ...asked?.tensors },
      };
    },
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const {
        algorithm: own,
        asking: asked,
        ...saved
      } = checkpoint.state as State & Record<'algorithm' | 'asking', unknown>;
      checkSameData(saved, state, 'prompts');
      const tensors = checkpoint.tensors as Tensors;
      importParameters(policy.parameters, tensors);
      algorithm.restore({ state: own, tensors });
      asking?.restore({ state: asked, tensors });
      state = saved;
    },
    /** The trained model, with adapters merged in. It is no longer disposed of with the learner. */
    finish(): Model {
      policy.merge();
      return own.release(policy.model);
    },
    [Symbol.dispose]: own[Symbol.dispose],
  };
}

const mean = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0) / values.length;

/** Of what scores are the sum of, and of what is asked for besides. */
const meansOf = ({ parts = [], others = [] }: Rollout): Record<string, number> =>
  Object.fromEntries([...parts, ...others].map(({ name, scores }) => [`eval/${name}`, mean(scores)]));

/** What is told of every rollout. */
function metricsOf(rollout: Rollout): Record<string, number> {
  const { answers, scores, logProbs } = rollout;
  const middle = mean(scores);
  const tokens = logProbs.reduce((sum, { length }) => sum + length, 0);
  return {
    'reward/mean': middle,
    'reward/std': Math.sqrt(mean(scores.map((score) => (score - middle) ** 2))),
    ...(rollout.deviations && { 'reward/disagreement': mean(rollout.deviations) }),
    'kl/mean': mean(answerKl(rollout)),
    // −log π of a token drawn from π: unbiased, and nothing more to compute
    'policy/entropy': -logProbs.reduce((sum, own) => own.reduce((a, b) => a + b, sum), 0) / tokens,
    'response/length': tokens / answers.length,
    'response/eos_rate': answers.filter(({ ended }) => ended).length / answers.length,
  };
}
