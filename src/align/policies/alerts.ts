/** A metric of a policy's training that left its healthy range: what that usually means, and what to try. */
export interface Alert {
  /** The metric's name. */
  metric: string;
  /** The metric's value. */
  value: number;
  /** What is out of range, what it usually means, and what to try. */
  text: string;
}

interface Rule {
  metric: string;
  /** Whether the value is out of range. `first` is the value at the start; `step` counts from 0. */
  out(value: number, first: number, step: number): boolean;
  means: string;
  try: string;
}

const PATIENCE = 10; // steps before the critic is judged

const rules: readonly Rule[] = [
  {
    metric: 'kl/mean',
    out: (kl) => kl > 15,
    means: 'the policy is far from the reference, where the reward is unreliable: it is likely being exploited',
    try: 'a higher β or a KL target, a lower learning rate, fewer steps',
  },
  {
    metric: 'kl/mean',
    out: (kl) => kl < -5,
    means:
      'completions are less likely under the policy than under the reference, which is impossible for its own samples',
    try: 'the same temperature and vocabulary for both; look for tokens that are suppressed',
  },
  {
    metric: 'policy/entropy',
    out: (entropy, first) => entropy < 0.2 * first,
    means: 'the policy writes nearly the same text each time and no longer explores',
    try: 'a higher β, an entropy bonus, a lower learning rate',
  },
  {
    metric: 'policy/clip_fraction',
    out: (share) => share > 0.3,
    means: 'many updates exceed the clip range',
    try: 'a lower learning rate, fewer epochs, a target for the KL of an update',
  },
  {
    metric: 'policy/ratio',
    out: (ratio) => ratio < 0.8 || ratio > 1.25,
    means: 'the policy after an update is far from the one that wrote the completions',
    try: 'a lower learning rate, fewer epochs',
  },
  {
    metric: 'value/explained_var',
    out: (share, _, step) => step >= PATIENCE && share < -0.1,
    means: 'the critic predicts returns worse than their mean does',
    try: 'a higher learning rate for the critic, a critic that starts from the reward model, larger batches',
  },
  {
    metric: 'reward/std',
    out: (deviation) => deviation < 1e-6,
    means: 'all completions get the same reward, so that there is nothing to learn',
    try: 'looking at the reward and at the completions',
  },
  {
    metric: 'response/eos_rate',
    out: (share) => share < 0.5,
    means: 'most completions are cut before they end',
    try: 'a higher --maxTokens or missing-EOS penalty, or a model that was fine-tuned to end its completions',
  },
  {
    metric: 'response/length',
    out: (length, first) => length > 2 * first || length < first / 2,
    means: 'the reward may favor length alone',
    try: 'comparing completions of evaluations; a reward that does not grow with length',
  },
  {
    metric: 'probe/failed',
    out: (share, first) => share > first + 0.2,
    means: 'the policy gives in to leading prompts more often: it has learned to please',
    try: 'comparisons in which the pleasing completion loses, a higher β, an earlier model',
  },
  {
    metric: 'gradient/norm',
    out: (norm) => norm > 100,
    means: 'gradients are far above their clipping threshold',
    try: 'a lower learning rate; rewards of a smaller scale',
  },
];

/** The metrics of a step that are out of range. `first` has their values at the start; `step` counts from 0. */
export function alertsOf(
  metrics: Readonly<Record<string, number>>,
  first: Readonly<Record<string, number>>,
  step: number,
): Alert[] {
  return rules.flatMap(({ metric, out, means, try: advice }) => {
    const value = metrics[metric];
    if (value === undefined || !out(value, first[metric], step)) return [];
    return [{ metric, value, text: `${metric} is ${Number(value.toPrecision(3))}: ${means}. Try ${advice}.` }];
  });
}
