/**
 * The losses of GRPO and its variants. ρ = π/π_old is a token's importance ratio, A the advantage of its completion,
 * and w a weight (`tokenWeights`), in which the variants with the same formula differ:
 *
 *   L = −Σ w · min(ρA, clip(ρ, 1 − ε_low, 1 + ε_high)·A) + β Σ w · KL        KL ≈ e^d − d − 1,  d = log π_ref − log π
 *
 * - `grpo` (Shao et al. 2024, DeepSeekMath): the mean over each completion; `dr_grpo` (Liu et al. 2025): the sum
 *   divided by a constant length; `dapo` (Yu et al. 2025), `bnpo` (Xiao et al. 2025): the mean over the tokens of all
 *   completions; `luspo` (Liu et al. 2026): the sum over each completion
 * - level `sequence` (GSPO, Zheng et al. 2025): ρ is the geometric mean over the completion, the same for all its
 *   tokens
 * - `cispo` (MiniMax-M1, 2025): min(ρ, ε_high)·A·log π, without a gradient through ρ: clipped tokens still learn
 * - `sapo` (Gao et al. 2025): (4/τ)·σ(τ(ρ − 1))·A, a soft gate in place of the clip
 * - `vespo` (Shen et al. 2026): φ(W)·A·log π with φ(W) = e^λ·W^k·e^(−λW), where W = Πρ is the ratio of the whole
 *   completion, without a gradient through φ
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

/** Names of the losses of GRPO; the head of grpo-loss.ts has the formulas. */
export const grpoLosses = ['grpo', 'dr_grpo', 'dapo', 'bnpo', 'luspo', 'cispo', 'sapo', 'vespo'] as const;
/** One of `grpoLosses`. */
export type GrpoLoss = (typeof grpoLosses)[number];

/** Whose importance ratio is used: each token's, or the whole completion's (GSPO). */
export const levels = ['token', 'sequence'] as const;

/** What `grpoLoss` computes: which loss, and its parameters. */
export interface GrpoLossOptions {
  /** Name of the loss. */
  loss: GrpoLoss;
  /** Whose ratio is used: each token's, or the whole completion's, which only losses with a clip support. */
  level: (typeof levels)[number];
  /** ε_low and ε_high: the ratio is clipped to 1 − low … 1 + high. */
  clip: { low: number; high: number };
  /** Upper bound of the ratio, whatever the advantage (two-sided clipping; INTELLECT-2, 2025). */
  delta?: number;
  /** Weight of the KL to the reference. 0: off, and no reference is needed. */
  beta: number;
  /** Whether the KL is weighted by ρ, which keeps it unbiased once the policy has moved (DeepSeek-V3.2, 2025, §3.1). */
  unbiasedKl?: boolean;
  /** Masks completions of negative advantage whose mean log π_old − log π, in nats, is above this (ibid.). */
  offPolicy?: number;
  /** Weight of the entropy bonus. Above 0, `grpoLoss` needs `entropyOf`. */
  entropy?: number;
}

/** τ of `sapo`, and k and λ of `vespo`: for a positive advantage (for `vespo`, 0 too), and otherwise. */
const SAPO = { positive: 1, other: 1.05 };
const VESPO = { positive: { k: 2, lambda: 3 }, other: { k: 3, lambda: 2 } };

/** Log-ratios are clipped to ±20: beyond, they carry no information, and those of padding would overflow. */
const MOST = 20;

/**
 * The loss, for a packed program. `grpoInputs` lists which of these inputs it reads:
 *
 * - by label: `old` (log π_old), `advantage`, `weight`; for the KL `reference` (log π_ref) and `kl weight`; for the
 *   bonus `entropy weight`
 * - by sequence: `answer advantage` and `1/length`
 *
 * Besides the loss it outputs, summed over the batch: `clippedLow` and `clippedHigh`, the number of labels (at level
 * `sequence`, of completions) that the clip holds back; `kl`, over labels; and the weighted `entropy`.
 *
 * @param entropyOf The entropy of the policy at each label, in nats: [labels]. Needed for an entropy bonus only.
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

    // what is maximized, by sequence: the weighted sums over its labels
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

/** φ, at most e^λ · (k/λ)^k · e^−k. log W and A are by sequence. */
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
  // the ratio of a completion is the same for all its labels
  const weighted = (kl: Tensor) =>
    ratio === undefined ? sum(sums(kl)) : sum(level === 'sequence' ? mul(sums(kl), ratio) : sums(mul(kl, ratio)));
  return { loss: weighted(mul(k3, perLabel('kl weight'))), total: weighted(k3) };
}

/**
 * The weight of the tokens of each completion in a batch, independent of the parts that the batch is computed in.
 *
 * @param lengths Tokens of each completion.
 * @param most The longest completion allowed, in tokens; `dr_grpo` divides by it.
 */
export function tokenWeights(kind: GrpoLoss, lengths: readonly number[], most: number): number[] {
  const answers = lengths.length;
  if (kind === 'grpo' || kind === 'sapo') return lengths.map((length) => 1 / (length * answers));
  if (kind === 'dr_grpo') return lengths.map(() => 1 / (answers * most));
  if (kind === 'luspo') return lengths.map(() => 1 / answers);
  const tokens = lengths.reduce((a, b) => a + b, 0);
  return lengths.map(() => 1 / tokens);
}
