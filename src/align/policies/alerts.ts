/** When a metric of a policy's training leaves its healthy range: what that usually means, and what to try. */
export interface Alert {
  metric: string;
  value: number;
  /** What is out of range, what it usually means, and what to try. */
  text: string;
}

interface Rule {
  metric: string;
  /** Whether it has left its range, by the value at the start too. `step` is counted from 0. */
  out(value: number, first: number, step: number): boolean;
  means: string;
  try: string;
}

const PATIENCE = 10; // steps that a critic has to learn

const rules: readonly Rule[] = [
  {
    metric: 'kl/mean',
    out: (kl) => kl > 15,
    means: 'the policy is far from the reference, where the reward was never taught: it is likely to be exploited',
    try: 'a higher β or a KL target, a lower learning rate, fewer steps',
  },
  {
    metric: 'kl/mean',
    out: (kl) => kl < -5,
    means: 'answers are less likely under the policy than under the reference, which draws from the policy cannot be',
    try: 'the same temperature and vocabulary for both; look for tokens that are suppressed',
  },
  {
    metric: 'policy/entropy',
    out: (entropy, first) => entropy < 0.2 * first,
    means: 'the policy writes nearly the same each time and no longer explores',
    try: 'a higher β, an entropy bonus, a lower learning rate',
  },
  {
    metric: 'policy/clip_fraction',
    out: (share) => share > 0.3,
    means: 'updates go further than the clip range trusts',
    try: 'a lower learning rate, fewer epochs, a target for the KL of an update',
  },
  {
    metric: 'policy/ratio',
    out: (ratio) => ratio < 0.8 || ratio > 1.25,
    means: 'the policy after an update is far from the one that wrote the answers',
    try: 'a lower learning rate, fewer epochs',
  },
  {
    metric: 'value/explained_var',
    out: (share, _, step) => step >= PATIENCE && share < -0.1,
    means: 'the critic foresees returns worse than their mean does',
    try: 'a higher learning rate of the critic, a critic that begins as the reward model, larger batches',
  },
  {
    metric: 'reward/std',
    out: (deviation) => deviation < 1e-6,
    means: 'all answers are worth the same, so that there is nothing to learn',
    try: 'look at the reward, and at the answers',
  },
  {
    metric: 'response/eos_rate',
    out: (share) => share < 0.5,
    means: 'most answers are cut before they end',
    try: 'a higher --maxTokens or missing-EOS penalty, or a model that was fine-tuned to end its answers',
  },
  {
    metric: 'response/length',
    out: (length, first) => length > 2 * first || length < first / 2,
    means: 'length alone may be what is rewarded',
    try: 'answers of an evaluation side by side; a reward that does not grow with length',
  },
  {
    metric: 'probe/failed',
    out: (share, first) => share > first + 0.2,
    means: 'the policy says more often what it is led to say: it has learned to please',
    try: 'comparisons in which what pleases loses, a higher β, an earlier model',
  },
  {
    metric: 'gradient/norm',
    out: (norm) => norm > 100,
    means: 'gradients are far above what they are clipped to',
    try: 'a lower learning rate; rewards of a smaller scale',
  },
];

/** What is out of its range in a step. */
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
