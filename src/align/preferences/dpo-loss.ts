/**
 * The losses of direct preference optimization. s is the log-ratio log(π/π_ref) of a completion (or its f-divergence
 * score), w the chosen completion, l the rejected one, Δ = s_w − s_l, and ε the assumed share of wrong labels:
 *
 * - `sigmoid` −log σ(βΔ) (Rafailov et al. 2023, §4); with ε the conservative one: −(1 − ε) log σ(βΔ) − ε log σ(−βΔ)
 * - `sigmoid_norm` the same with log-ratios per token (SimPO's, with a reference)
 * - `hinge` max(0, 1 − βΔ) (Zhao et al. 2023, SLiC; Liu et al. 2023, RSO)
 * - `ipo` (Δ − 1/2β)², per token (Azar et al. 2023, eq. 17)
 * - `exo_pair` KL of the policy's choice from the labels' (Ji et al. 2024, eq. 16): needs ε > 0
 * - `nca_pair` −log σ(βs_w) − ½ log σ(−βs_w) − ½ log σ(−βs_l) (Chen et al. 2024)
 * - `robust` (−(1 − ε) log σ(βΔ) + ε log σ(−βΔ)) / (1 − 2ε), unbiased for flipped labels (Chowdhury et al. 2024)
 * - `bco_pair` −log σ(βs_w) − log σ(−βs_l) (Jung et al. 2024), without the δ of bco.ts
 * - `sppo_hard` (s_w − 1/2β)² + (s_l + 1/2β)² (Wu et al. 2024)
 * - `aot`, `aot_unpaired` `sigmoid` of sorted differences or of sorted scores: compares whole distributions, not single
 *   pairs (Melnyk et al. 2024)
 * - `apo_zero` 1 − σ(βs_w) + σ(βs_l); `apo_down` σ(βs_w) + 1 − σ(βΔ) (D'Oosterlinck et al. 2024)
 * - `discopop` log-logistic and exponential loss, mixed by σ(βΔ/τ) (Lu et al. 2024)
 * - `sft` −log π of the chosen completions, the mean over tokens; used alone it needs no reference
 *
 * Several losses can be added, each with a weight (Wang et al. 2024, MPO). Departure: ε works in `sigmoid_norm` too.
 */

import type { Tensor } from '../../engine/graph.ts';
import {
  add,
  cast,
  clip,
  div,
  equal,
  exp,
  less,
  logicalAnd,
  logicalOr,
  logSigmoid,
  minimum,
  mul,
  neg,
  relu,
  sigmoid,
  square,
  stopGradient,
  sub,
} from '../../engine/ops/elementwise.ts';
import { oneHot } from '../../engine/ops/gather.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { sum } from '../../engine/ops/reduce.ts';
import { range, reshape, unsqueeze } from '../../engine/ops/shape.ts';
import { createRegistry, type NameOr } from '../../registry.ts';
import { type Completions, logRatios, type PreferenceLoss, pairs, smoothed } from './loss.ts';

/** The name of a built-in loss on pairs; the head of dpo-loss.ts has the formulas. */
export type DpoLoss =
  | 'sigmoid'
  | 'sigmoid_norm'
  | 'hinge'
  | 'ipo'
  | 'exo_pair'
  | 'nca_pair'
  | 'robust'
  | 'bco_pair'
  | 'sppo_hard'
  | 'aot'
  | 'aot_unpaired'
  | 'apo_zero'
  | 'apo_down'
  | 'discopop'
  | 'sft';

/** What `dpoLoss` computes: which losses, and their parameters. */
export interface DpoLossOptions {
  /** The losses to add up: names or functions. */
  losses: readonly NameOr<PairLoss, DpoLoss>[];
  /** The weight of each loss, in the order of `losses`; 1 where absent. */
  weights?: readonly number[];
  /** β, the strength of the pull toward the reference: log-ratios are multiplied by it. */
  beta: number;
  /** ε: the assumed share of wrong labels, from 0 up to ½. */
  labelSmoothing: number;
  /** The f-divergence that scores are derived from; `reverse_kl` is plain DPO. */
  divergence: Divergence;
  /** α of `alpha_divergence`. */
  alpha: number;
  /** τ of `discopop`. */
  temperature: number;
  /** Whether pairs are weighted by how likely the policy itself is to write them (Zhou et al. 2024, WPO, eq. 2). */
  weighting: boolean;
}

/** Names of the f-divergences between policy and reference (Wang et al. 2023, f-DPO, Table 1). */
export const divergences = ['reverse_kl', 'forward_kl', 'js_divergence', 'alpha_divergence'] as const;
/** One of `divergences`. */
export type Divergence = (typeof divergences)[number];

/** The inputs of a loss on pairs, with the options of the training. */
export interface LossPairs extends DpoLossOptions {
  /** Log-probabilities and lengths of all completions: the chosen ones, then the rejected ones. */
  readonly completions: Completions;
  /** Scores of the chosen completions, log(π/π_ref) as transformed by the divergence: [pairs]. */
  readonly chosen: Tensor;
  /** Scores of the rejected completions: [pairs]. */
  readonly rejected: Tensor;
  /** Δ, the chosen's score less the rejected's: [pairs]. */
  readonly margin: Tensor;
}

/** The loss of each pair, [pairs]: `({ margin, beta }) => neg(logSigmoid(mul(margin, beta)))` is DPO's. */
export type PairLoss = (pairs: LossPairs) => Tensor;

const scaled = ({ margin, beta }: LossPairs): Tensor => mul(margin, beta);

/** Differences of the scores per token: [pairs]. */
function marginPerToken({ completions, chosen, rejected }: LossPairs): Tensor {
  const [long, longRejected] = pairs(completions.tokens);
  return sub(div(chosen, long), div(rejected, longRejected));
}

const byName: Record<DpoLoss, PairLoss> = {
  sigmoid: (pair) => smoothed(scaled(pair), pair.labelSmoothing),
  sigmoid_norm: (pair) => smoothed(mul(marginPerToken(pair), pair.beta), pair.labelSmoothing),
  hinge: (pair) => relu(sub(1, scaled(pair))),
  ipo: (pair) => square(sub(marginPerToken(pair), 1 / (2 * pair.beta))),
  exo_pair: (pair) => {
    const x = scaled(pair);
    const right = mul(sigmoid(x), sub(logSigmoid(x), Math.log1p(-pair.labelSmoothing)));
    const wrong = mul(sigmoid(neg(x)), sub(logSigmoid(neg(x)), Math.log(pair.labelSmoothing)));
    return add(right, wrong);
  },
  nca_pair: ({ chosen, rejected, beta }) => {
    const [w, l] = [mul(chosen, beta), mul(rejected, beta)];
    return neg(add(logSigmoid(w), mul(add(logSigmoid(neg(w)), logSigmoid(neg(l))), 0.5)));
  },
  robust: (pair) => {
    const epsilon = pair.labelSmoothing;
    const right = mul(logSigmoid(scaled(pair)), 1 - epsilon);
    return mul(sub(mul(logSigmoid(neg(scaled(pair))), epsilon), right), 1 / (1 - 2 * epsilon));
  },
  bco_pair: ({ chosen, rejected, beta }) => neg(add(logSigmoid(mul(chosen, beta)), logSigmoid(mul(rejected, -beta)))),
  sppo_hard: ({ chosen, rejected, beta }) => add(square(sub(chosen, 0.5 / beta)), square(add(rejected, 0.5 / beta))),
  aot: ({ completions, beta, labelSmoothing }) => {
    const difference = (x: Tensor) => sorted(sub(...pairs(x)));
    return smoothed(mul(sub(difference(completions.logP), difference(completions.reference)), beta), labelSmoothing);
  },
  aot_unpaired: ({ chosen, rejected, beta, labelSmoothing }) =>
    smoothed(mul(sub(sorted(chosen), sorted(rejected)), beta), labelSmoothing),
  apo_zero: ({ chosen, rejected, beta }) => add(sub(1, sigmoid(mul(chosen, beta))), sigmoid(mul(rejected, beta))),
  apo_down: (pair) => add(sigmoid(mul(pair.chosen, pair.beta)), sub(1, sigmoid(scaled(pair)))),
  discopop: (pair) => {
    const x = scaled(pair);
    const share = sigmoid(mul(x, 1 / pair.temperature));
    return add(mul(neg(logSigmoid(x)), sub(1, share)), mul(exp(neg(x)), share));
  },
  sft: ({ completions }) => neg(pairs(mul(completions.likely, completions.perToken))[0]),
};

/** Losses on pairs by name, for the option `loss` of `dpo` and `onlineDpo`. Plugins add to them. */
export const pairLosses = createRegistry<PairLoss, DpoLoss>('loss', byName);

/** The loss of pairs of completions. The reward of a completion is β log(π/π_ref). */
export function dpoLoss(options: DpoLossOptions): PreferenceLoss {
  return (completions) => {
    const ratios = logRatios(completions);
    const [chosen, rejected] = pairs(scoresOf(ratios, options));
    const pair: LossPairs = { ...options, completions, chosen, rejected, margin: sub(chosen, rejected) };
    const weigh = options.weighting ? sureness(completions) : undefined;
    const losses = options.losses.map((name, i) => mul(pairLosses.resolve(name)(pair), options.weights?.[i] ?? 1));
    const loss = losses.reduce(add);
    return { loss: weigh ? mul(loss, weigh) : loss, rewards: mul(ratios, options.beta) };
  };
}

/** f′(π/π_ref) up to a constant, where f is the divergence from the reference (Wang et al. 2023, f-DPO, Table 1). */
function scoresOf(ratios: Tensor, { divergence, alpha }: DpoLossOptions): Tensor {
  if (divergence === 'reverse_kl') return ratios;
  if (divergence === 'js_divergence') return logSigmoid(ratios);
  // exponents beyond these overflow
  const power = (x: Tensor) => exp(clip(x, -LARGEST, LARGEST));
  if (divergence === 'forward_kl') return neg(power(neg(ratios)));
  return mul(power(mul(ratios, alpha - 1)), 1 / (alpha - 1));
}
const LARGEST = 80;

/** min(1, π(chosen) π(rejected)) per token, relative to the policy's own certainty. No gradient flows through it. */
function sureness({ confidence }: Completions): Tensor {
  const [chosen, rejected] = pairs(confidence);
  return stopGradient(minimum(exp(add(chosen, rejected)), 1));
}

/** Sorts numbers [n] in ascending order, so that gradients flow: each is moved to the place of its rank. */
function sorted(x: Tensor): Tensor {
  const n = Number(x.shape[0]);
  const fixed = stopGradient(x);
  const order = range(x.graph, n);
  const below = less(unsqueeze(fixed, 0), unsqueeze(fixed, 1));
  const earlier = logicalAnd(
    equal(unsqueeze(fixed, 0), unsqueeze(fixed, 1)),
    less(unsqueeze(order, 0), unsqueeze(order, 1)),
  );
  const rank = sum(cast(logicalOr(below, earlier), 'float32'), { axes: [1] });
  return reshape(matmul(reshape(x, [1, n]), oneHot(cast(rank, 'int32'), n)), [n]);
}
