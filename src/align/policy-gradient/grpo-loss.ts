/**
 * The losses of GRPO and its kin. With a token's importance ratio ρ = π/π_old, the advantage A of its answer, and a weight w
 * (`tokenWeights`: what the kinds differ in that share a formula):
 *
 *   L = −Σ w · min(ρA, clip(ρ, 1 − ε_low, 1 + ε_high)·A) + β Σ w · KL        KL ≈ e^d − d − 1,  d = log π_ref − log π
 *
 * - `grpo` (Shao et al. 2024, DeepSeekMath): each answer's mean; `dr_grpo` (Liu et al. 2025): a constant for its length;
 *   `dapo` (Yu et al. 2025), `bnpo` (Xiao et al. 2025): the mean over all answers' tokens; `luspo` (Liu et al. 2026): each answer's sum
 * - by `sequence` (GSPO, Zheng et al. 2025): ρ is its geometric mean over the answer, for all of its tokens
 * - `cispo` (MiniMax-M1, 2025): min(ρ, ε_high)·A·log π, without a gradient through ρ: what is clipped goes on learning
 * - `sapo` (Gao et al. 2025): (4/τ)·σ(τ(ρ − 1))·A, a soft gate for the clip
 * - `vespo` (Shen et al. 2026): φ(W)·A·log π, φ(W) = e^λ·W^k·e^(−λW) of the whole answer's ratio W = Πρ, without a gradient through it
 */
import {
  add,
  cast,
  clip,
  exp,
  greater,
  greaterOrEqual,
  less,
  lessOrEqual,
  logicalAnd,
  logicalOr,
  minimum,
  mul,
  neg,
  sigmoid,
  stopGradient,
  sub,
  sum,
  type Tensor,
  where,
} from '../../engine/index.ts';
import type { PackedLoss, Reading } from '../../lm/packed-program.ts';

export const grpoLosses = ['grpo', 'dr_grpo', 'dapo', 'bnpo', 'luspo', 'cispo', 'sapo', 'vespo'] as const;
export type GrpoLoss = (typeof grpoLosses)[number];

export const levels = ['token', 'sequence'] as const;

export interface GrpoLossOptions {
  loss: GrpoLoss;
  /** Whose ratio it is: each token's, or, of the kinds that clip, the answer's. */
  level: (typeof levels)[number];
  /** ε_low and ε_high. */
  clip: { low: number; high: number };
  /** The ratio itself is at most this, whatever the advantage (two-sided clipping; INTELLECT-2, 2025). */
  delta?: number;
  /** Weight of the KL to the reference; 0 needs none. */
  beta: number;
  /** Weighs the KL by ρ: unbiased where the policy has moved on (DeepSeek-V3.2, 2025, §3.1). */
  unbiasedKl?: boolean;
  /** Leaves out answers of negative advantage whose mean of log π_old − log π is above this (there too). */
  offPolicy?: number;
  /** Weight of the entropy bonus; with one, `entropyOf` says what the entropy of each label is. */
  entropy?: number;
}

/** τ of `sapo`; k and λ of `vespo`: where the advantage is positive (of `vespo` 0 too), and where it is not. */
const SAPO = { positive: 1, other: 1.05 };
const VESPO = { positive: { k: 2, lambda: 3 }, other: { k: 3, lambda: 2 } };

/** Ratios beyond e^±20 say nothing; those of places without a label would overflow. */
const MOST = 20;

/**
 * The loss as a packed program makes it; `grpoInputs` says which of these it reads. By label: `old` (log π_old), `advantage`,
 * `weight`, for the KL `reference` (log π_ref) and `kl weight`, for the bonus `entropy weight`; by sequence: `answer advantage` and
 * `1/length`. Besides the loss it gives, summed over the batch, `clippedLow` and `clippedHigh`: of labels (by sequence, of
 * answers) that the clip holds back; `kl`, of labels; and the weighted `entropy`.
 */
export function grpoLoss(options: GrpoLossOptions, entropyOf?: (reading: Reading) => Tensor): PackedLoss {
  return (reading) => {
    const { logP, perLabel, perSequence, sums } = reading;
    const { loss: kind, level, beta, offPolicy } = options;
    const bySequence = level === 'sequence';
    const logRatio = clip(sub(logP, perLabel('old')), -MOST, MOST);
    const weight = perLabel('weight');
    const drift = bySequence || offPolicy !== undefined ? mul(sums(logRatio), perSequence('1/length')) : undefined;
    const ratio = exp(bySequence ? drift! : logRatio);
    const advantage = bySequence ? perSequence('answer advantage') : perLabel('advantage');

    // what is to become large, by sequence: the weighted sums over its labels
    let objective: Tensor;
    if (kind === 'vespo') {
      const answer = perSequence('answer advantage');
      const phi = vespoWeight(clip(sums(logRatio), Math.log(1e-8), MOST), answer);
      objective = mul(mul(phi, answer), sums(mul(weight, logP)));
    } else if (kind === 'cispo') {
      const kept = stopGradient(minimum(ratio, options.clip.high));
      objective = sums(mul(weight, mul(mul(kept, advantage), logP)));
    } else {
      const gain = kind === 'sapo' ? softlyGated(ratio, advantage) : clippedGain(ratio, advantage, options);
      objective = bySequence ? mul(sums(weight), gain) : sums(mul(weight, gain));
    }
    if (offPolicy !== undefined) {
      const kept = logicalOr(greaterOrEqual(perSequence('answer advantage'), 0), lessOrEqual(neg(drift!), offPolicy));
      objective = mul(objective, cast(kept, 'float32'));
    }

    let loss = neg(sum(objective));
    const told: Record<string, Tensor> = clips(kind) ? clippedCounts(ratio, advantage, reading, options) : {};
    if (beta > 0) {
      const kl = referenceKl(reading, options.unbiasedKl ? ratio : undefined, options);
      loss = add(loss, mul(kl.loss, beta));
      told.kl = kl.total;
    }
    if (options.entropy && entropyOf) {
      told.entropy = sum(mul(entropyOf(reading), perLabel('entropy weight')));
      loss = sub(loss, mul(told.entropy, options.entropy));
    }
    return { loss, ...told };
  };
}

/** The names of the inputs that a loss reads. */
export function grpoInputs({ loss, level, beta, offPolicy, entropy }: GrpoLossOptions): Set<string> {
  const byAnswer = level === 'sequence' || loss === 'vespo';
  const drifts = level === 'sequence' || offPolicy !== undefined;
  return new Set([
    'old',
    'weight',
    ...(byAnswer ? [] : ['advantage']),
    ...(byAnswer || offPolicy !== undefined ? ['answer advantage'] : []),
    ...(drifts ? ['1/length'] : []),
    ...(beta > 0 ? ['reference', 'kl weight'] : []),
    ...(entropy ? ['entropy weight'] : []),
  ]);
}

/** Whether a loss has a clip. */
export const clips = (kind: GrpoLoss): boolean => kind !== 'sapo' && kind !== 'vespo';

function clippedGain(ratio: Tensor, advantage: Tensor, { clip: { low, high }, delta }: GrpoLossOptions): Tensor {
  const bounded = delta === undefined ? ratio : minimum(ratio, delta);
  return minimum(mul(bounded, advantage), mul(clip(ratio, 1 - low, 1 + high), advantage));
}

function softlyGated(ratio: Tensor, advantage: Tensor): Tensor {
  const positive = greater(advantage, 0);
  const gated = (tau: number) => mul(sigmoid(mul(sub(ratio, 1), tau)), 4 / tau);
  return mul(where(positive, gated(SAPO.positive), gated(SAPO.other)), advantage);
}

/** φ, at most e^λ · (k/λ)^k · e^−k; log W and A by sequence. */
function vespoWeight(logW: Tensor, advantage: Tensor): Tensor {
  const phi = ({ k, lambda }: { k: number; lambda: number }) =>
    exp(add(sub(mul(logW, k), mul(exp(logW), lambda)), lambda));
  return stopGradient(where(greaterOrEqual(advantage, 0), phi(VESPO.positive), phi(VESPO.other)));
}

function clippedCounts(ratio: Tensor, advantage: Tensor, { sums }: Reading, { loss, level, clip }: GrpoLossOptions) {
  const [low, high] = loss === 'cispo' ? [0, clip.high] : [1 - clip.low, 1 + clip.high];
  const count = (held: Tensor) => {
    const each = cast(held, 'float32');
    return sum(level === 'sequence' ? each : sums(each));
  };
  return {
    clippedLow: count(logicalAnd(less(ratio, low), less(advantage, 0))),
    clippedHigh: count(logicalAnd(greater(ratio, high), greater(advantage, 0))),
  };
}

function referenceKl({ logP, perLabel, sums }: Reading, ratio: Tensor | undefined, { level }: GrpoLossOptions) {
  const d = clip(sub(perLabel('reference'), logP), -MOST, MOST);
  const k3 = sub(sub(exp(d), d), 1);
  // a ratio of the answer is the same for all of its labels
  const weighted = (kl: Tensor) =>
    ratio === undefined ? sum(sums(kl)) : sum(level === 'sequence' ? mul(sums(kl), ratio) : sums(mul(kl, ratio)));
  return { loss: weighted(mul(k3, perLabel('kl weight'))), total: weighted(k3) };
}

/**
 * The weight of each answer's tokens in a batch, whatever parts it is computed in. `most` is how long an answer may be, for
 * `dr_grpo`.
 */
export function tokenWeights(kind: GrpoLoss, lengths: readonly number[], most: number): number[] {
  const answers = lengths.length;
  if (kind === 'grpo' || kind === 'sapo') return lengths.map((length) => 1 / (length * answers));
  if (kind === 'dr_grpo') return lengths.map(() => 1 / (answers * most));
  if (kind === 'luspo') return lengths.map(() => 1 / answers);
  const tokens = lengths.reduce((a, b) => a + b, 0);
  return lengths.map(() => 1 / tokens);
}
