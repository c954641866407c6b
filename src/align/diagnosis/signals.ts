/**
 * The signals of a policy's training: metrics with a healthy range. They have two readers. Alerts report, live, a
 * metric that leaves its range; the diagnosis of a run (diagnosis/policy.ts) reports one that is outside at the end.
 */
import type { Finding } from '../../run/diagnosis.ts';

/** A metric of a policy's training that left its healthy range: what that usually means, and what to try. */
export interface Alert {
  /** The metric's name. */
  metric: string;
  /** The metric's value. */
  value: number;
  /** What is out of range, what it usually means, and what to try. */
  text: string;
}

/** A metric with its healthy range. */
export interface Signal {
  /** The code of the finding. */
  code: string;
  /** The metric's name. */
  metric: string;
  /** How severe it is that a run ends out of range. */
  severity: Finding['severity'];
  /** Whether the value is out of range. `first` is the value at the start; `step` counts from 0. */
  out(value: number, first: number, step: number): boolean;
  /** What it usually means. */
  means: string;
  /** What to try, with flags. Follows the word "Try". */
  try: string;
  /** What a policy lets drift for its reward, as a noun; absent for signals that do not show such a thing. */
  drift?: string;
  /**
   * Whether a policy that gets better at the tasks of an environment may leave the range: only a learned reward is
   * unreliable far from the reference, and a task may well have one good completion.
   */
  allowedInTasks?: true;
}

const PATIENCE = 10; // steps before the critic is judged

/** All signals, causes before their effects. */
export const signals: readonly Signal[] = [
  {
    code: 'reward-constant',
    metric: 'reward/std',
    severity: 'failure',
    out: (deviation) => deviation < 1e-6,
    means: 'all completions get the same reward, so there is nothing to learn',
    try: 'another --reward that tells two completions of a prompt apart',
  },
  {
    code: 'no-eos',
    metric: 'response/eos_rate',
    severity: 'failure',
    out: (share, first) => share < Math.min(0.5, 0.7 * first) || share < 0.2,
    means: 'most completions are cut before they end',
    try: 'a higher --max-tokens or --score.missing-eos, or a --model that was fine-tuned to end its completions',
  },
  {
    code: 'learning-rate-high',
    metric: 'policy/ratio',
    severity: 'failure',
    out: (ratio) => ratio < 0.8 || ratio > 1.25,
    means: 'the policy after an update is far from the one that wrote the completions',
    try: 'a lower --learning-rate, fewer --ppo.epochs',
  },
  {
    code: 'updates-clipped',
    metric: 'policy/clip_fraction',
    severity: 'warning',
    out: (share) => share > 0.3,
    means: 'many updates exceed the clip range',
    try: 'a lower --learning-rate, fewer epochs',
  },
  {
    code: 'gradients-large',
    metric: 'gradient/norm',
    severity: 'warning',
    out: (norm) => norm > 100,
    means: 'gradients are far above their clipping threshold',
    try: 'a lower --learning-rate; rewards of a smaller scale',
  },
  {
    code: 'sycophantic',
    metric: 'probe/failed',
    severity: 'failure',
    out: (share, first) => share > first + 0.2,
    means: 'the policy gives in to leading prompts more often: it has learned to please',
    try: 'comparisons in which the pleasing completion loses, a lower --max-kl, an earlier model',
  },
  {
    code: 'repetitive',
    metric: 'text/repetition',
    severity: 'failure',
    out: (share, first) => share > first + 0.08 && share > 2 * first,
    means: 'the policy repeats itself within a completion',
    try: 'a lower --max-kl; with heed ppo, --guards.repetition 2',
    drift: 'repetition',
  },
  {
    code: 'same-everywhere',
    metric: 'text/sameness',
    severity: 'failure',
    out: (share, first) => share > first + 0.2,
    means: 'the policy writes nearly the same text for every prompt',
    try: 'a lower --max-kl; with heed ppo, --guards.sameness 2',
    drift: 'sameness',
    allowedInTasks: true,
  },
  {
    code: 'entropy-collapsed',
    metric: 'policy/entropy',
    severity: 'warning',
    out: (entropy, first) => entropy < 0.2 * first,
    means: 'the policy writes nearly the same text each time and no longer explores',
    try: 'a lower --max-kl or --learning-rate; with heed ppo, a higher --kl.beta or --ppo.entropy 0.01',
    drift: 'entropy',
    allowedInTasks: true,
  },
  {
    code: 'length-changed',
    metric: 'response/length',
    severity: 'failure',
    out: (length, first) => length > 2 * first || length < first / 2,
    means: 'the reward may favor length alone',
    try: 'comparing completions of evaluations; a reward that does not grow with length',
  },
  {
    code: 'kl-unbounded',
    metric: 'kl/mean',
    severity: 'failure',
    out: (kl) => kl > 12, // PPO's default of --max-kl, and a fifth more
    means: 'the policy is far from the reference, where the reward is unreliable: it is likely being exploited',
    try: '--max-kl 6, with heed ppo a lower --kl.target, a lower --learning-rate, fewer --steps',
    drift: 'KL',
    allowedInTasks: true,
  },
  {
    code: 'critic-lags',
    metric: 'value/explained_var',
    severity: 'warning',
    out: (share, _, step) => step >= PATIENCE && share < -0.1,
    means: 'the critic predicts returns worse than their mean does',
    try: 'a higher --critic.rate, a --critic.model that starts from the reward model, larger --batch',
  },
];

/** The reward of episodes in an environment; runs without one have no such metric. */
export const EARNED = 'episode/reward';

/** The signals that count. `improves`: whether the policy gets better at the tasks of an environment. */
export const signalsThatCount = (improves: boolean): readonly Signal[] =>
  improves ? signals.filter(({ allowedInTasks }) => !allowedInTasks) : signals;

type Metrics = Readonly<Record<string, number>>;

const signalsOf = (metrics: Metrics, first: Metrics) => signalsThatCount(metrics[EARNED] > first[EARNED]);

/** What a signal reports for a value. */
const textOf = ({ metric, means, try: advice }: Signal, value: number): string =>
  `${metric} is ${Number(value.toPrecision(3))}: ${means}. Try ${advice}.`;

/** The metrics of a step that are out of range. `first` has their values at the start; `step` counts from 0. */
export function alertsOf(metrics: Metrics, first: Metrics, step: number): Alert[] {
  return signalsOf(metrics, first).flatMap((signal) => {
    const { metric } = signal;
    const value = metrics[metric];
    if (value === undefined || !signal.out(value, first[metric], step)) return [];
    return [{ metric, value, text: textOf(signal, value) }];
  });
}

/**
 * Whether the reward of a policy with these metrics can be trusted: none of what a policy lets drift for its reward is
 * out of range. Needs no gold.
 */
export const isTrusted = (metrics: Metrics, first: Metrics, step: number): boolean =>
  !signalsOf(metrics, first).some(
    ({ drift, metric, out }) => drift && metric in metrics && out(metrics[metric], first[metric], step),
  );
