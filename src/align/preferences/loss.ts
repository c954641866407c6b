/** Building blocks of preference losses, and a program that computes a loss from plain numbers. */

import { type Graph, input, type Tensor } from '../../engine/graph.ts';
import { add, div, logSigmoid, mul, neg, stopGradient, sub } from '../../engine/ops/elementwise.ts';
import { mean, sum } from '../../engine/ops/reduce.ts';
import { split } from '../../engine/ops/shape.ts';
import { trace } from '../../engine/program.ts';

/**
 * The completions of a batch, a number for each: [completions]. In pairs, all chosen ones come before all rejected ones.
 */
export interface Completions {
  /**
   * Σ w · log π(token) over the tokens of the completion, in nats; w is 1, or `tailWeight` beyond the shorter one's
   * length.
   */
  readonly logP: Tensor;
  /** The same under the reference. */
  readonly reference: Tensor;
  /** Number of tokens of the completion. */
  readonly tokens: Tensor;
  /** Σ log π(token), unweighted, over the tokens of the completion and, with `wholeTexts`, of the prompt. */
  readonly likely: Tensor;
  /**
   * Items of the batch divided by those tokens of its chosen completions: turns a mean over items into one over tokens.
   */
  readonly perToken: Tensor;
  /** Mean over tokens of log π(token) − log Σ π(any)²: how likely the policy itself is to write the completion. */
  readonly confidence: Tensor;
  /** 1 for a desirable completion, 0 for an undesirable one. */
  readonly desirable: Tensor;
  /** KL of the policy from the reference, in nats per completion; the same number for all. */
  readonly kl: Tensor;
  /** Sum of the rewards of earlier batches; the same number for all. */
  readonly seenSum: Tensor;
  /** Number of the rewards of earlier batches; the same number for all. */
  readonly seenCount: Tensor;
}

/**
 * A loss for each item, a pair or a completion: [items], whose mean is minimized; and the reward of each completion by
 * the policy itself: [completions].
 */
export type PreferenceLoss = (completions: Completions) => { loss: Tensor; rewards: Tensor };

/** Splits [completions] into chosen and rejected, [pairs] each. */
export function pairs(x: Tensor): [chosen: Tensor, rejected: Tensor] {
  const half = Number(x.shape[0]) / 2;
  const [chosen, rejected] = split(x, [half, half], 0);
  return [chosen, rejected];
}

/** log(π / π_ref) of each completion: [completions]. */
export const logRatios = ({ logP, reference }: Completions): Tensor => sub(logP, reference);

/** −(1 − ε) log σ(x) − ε log σ(−x), where ε is the assumed share of wrong labels. */
export function smoothed(x: Tensor, epsilon: number): Tensor {
  const right = neg(logSigmoid(x));
  return epsilon === 0 ? right : sub(mul(right, 1 - epsilon), mul(logSigmoid(neg(x)), epsilon));
}

/** The mean of all rewards so far, including this batch: []. No gradient flows through it. */
export function meanReward({ seenSum, seenCount }: Completions, rewards: Tensor): Tensor {
  // the numbers so far are the same for every completion
  const total = add(mean(seenSum), sum(rewards));
  const count = add(mean(seenCount), Number(rewards.shape[0]));
  return stopGradient(div(total, count));
}

/** Names of the numbers that a loss can read as inputs. Its program has only those that it reads. */
const inputs = ['reference', 'tokens', 'perToken', 'desirable', 'kl', 'seenSum', 'seenCount'] as const;
const computed = ['logP', 'likely', 'confidence'] as const;
type Input = (typeof inputs)[number];
type Computed = (typeof computed)[number];

/** Answers whose numbers are made when they are read. */
export function completionsOf(make: Record<Computed, () => Tensor>, read: (name: Input) => Tensor): Completions {
  const completions = {};
  for (const name of computed) Object.defineProperty(completions, name, { get: make[name] });
  for (const name of inputs) Object.defineProperty(completions, name, { get: () => read(name) });
  return completions as Completions;
}

/** Numbers of a batch by name: [completions] each. */
export type LossNumbers = Partial<Record<Computed | Input, ArrayLike<number>>>;

interface LossProgram {
  /** Names of the numbers that the loss reads. */
  readonly reads: ReadonlySet<string>;
  run(numbers: LossNumbers): { loss: Float32Array; rewards: Float32Array };
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** A program that computes a loss from the log-probabilities and other numbers of `completions` completions. */
export function createLossProgram(loss: PreferenceLoss, completions: number): LossProgram {
  const program = trace((graph: Graph) => {
    const named = (name: string) => input(graph, name, [completions]);
    const make = Object.fromEntries(computed.map((name) => [name, () => named(name)]));
    return loss(completionsOf(make as Record<Computed, () => Tensor>, named));
  });
  const reads = new Set(program.inputs.map(({ name }) => name));
  return {
    reads,
    run(numbers) {
      const read = Object.entries(numbers).filter(([name]) => reads.has(name));
      const { loss, rewards } = program.run(Object.fromEntries(read.map(([name, n]) => [name, Float32Array.from(n)])));
      return { loss: loss as Float32Array, rewards: rewards as Float32Array };
    },
    [Symbol.dispose]: () => program[Symbol.dispose](),
  };
}

/** Names of the numbers that a loss reads. */
export function readsOf(loss: PreferenceLoss): ReadonlySet<string> {
  using program = createLossProgram(loss, 2);
  return program.reads;
}
