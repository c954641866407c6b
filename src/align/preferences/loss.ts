/** What losses of preferences are made of, and what such a loss is on numbers at hand. */
import {
  add,
  div,
  type Graph,
  input,
  logSigmoid,
  mean,
  mul,
  neg,
  split,
  stopGradient,
  sub,
  sum,
  type Tensor,
  trace,
} from '../../engine/index.ts';

/** A batch's answers, a number for each: [answers]. Where they come in pairs, all chosen ones stand before all rejected ones. */
export interface Answers {
  /** Σ w · log π(token) over the tokens of the answer; the weights w are 1 but where long answers are held down. */
  readonly logP: Tensor;
  /** The same under the reference. */
  readonly reference: Tensor;
  /** Tokens of the answer. */
  readonly tokens: Tensor;
  /** Σ log π(token) over the tokens that are to be likely as such: the answer's, or those of the prompt too. */
  readonly likely: Tensor;
  /** Items of the batch over such tokens of its chosen answers: a sum times this is, as a mean of items, one of tokens. */
  readonly perToken: Tensor;
  /** Mean of log π(token) − log Σ π(any)² over the tokens: how surely the policy itself would write this. */
  readonly confidence: Tensor;
  /** 1 of an answer that is wanted, 0 of another. */
  readonly desirable: Tensor;
  /** How far the policy is from the reference, in nats an answer. */
  readonly kl: Tensor;
  /** Sum and number of the rewards seen in earlier batches. */
  readonly seenSum: Tensor;
  readonly seenCount: Tensor;
}

/** A loss for each item, a pair or an answer, of which the mean is minimized; and each answer's reward by the policy itself. */
export type PreferenceLoss = (answers: Answers) => { loss: Tensor; rewards: Tensor };

/** [chosen, rejected], [pairs] each. */
export function pairs(x: Tensor): [chosen: Tensor, rejected: Tensor] {
  const half = Number(x.shape[0]) / 2;
  const [chosen, rejected] = split(x, [half, half], 0);
  return [chosen, rejected];
}

/** log(π / π_ref) of each answer. */
export const logRatios = ({ logP, reference }: Answers): Tensor => sub(logP, reference);

/** −(1 − ε) log σ(x) − ε log σ(−x): the choice of x, where a share ε of choices is thought wrong. */
export function smoothed(x: Tensor, epsilon: number): Tensor {
  const right = neg(logSigmoid(x));
  return epsilon === 0 ? right : sub(mul(right, 1 - epsilon), mul(logSigmoid(neg(x)), epsilon));
}

/** The mean of all rewards seen so far, those of this batch included: []. */
export function meanReward({ seenSum, seenCount }: Answers, rewards: Tensor): Tensor {
  // the numbers so far are the same for every answer
  const total = add(mean(seenSum), sum(rewards));
  const count = add(mean(seenCount), Number(rewards.shape[0]));
  return stopGradient(div(total, count));
}

/** Names of the numbers that a loss may be given; what it does not read is no input of its program. */
const given = ['reference', 'tokens', 'perToken', 'desirable', 'kl', 'seenSum', 'seenCount'] as const;
const computed = ['logP', 'likely', 'confidence'] as const;
type Given = (typeof given)[number];
type Computed = (typeof computed)[number];

/** Answers whose numbers are made when they are asked for. */
export function answersOf(make: Record<Computed, () => Tensor>, read: (name: Given) => Tensor): Answers {
  const answers = {};
  for (const name of computed) Object.defineProperty(answers, name, { get: make[name] });
  for (const name of given) Object.defineProperty(answers, name, { get: () => read(name) });
  return answers as Answers;
}

export type LossNumbers = Partial<Record<Computed | Given, ArrayLike<number>>>;

interface LossProgram {
  /** Which numbers the loss reads. */
  readonly reads: ReadonlySet<string>;
  run(numbers: LossNumbers): { loss: Float32Array; rewards: Float32Array };
  [Symbol.dispose](): void;
}

/** A loss of so many answers, whose log-probabilities are known already. */
export function createLossProgram(loss: PreferenceLoss, answers: number): LossProgram {
  const program = trace((graph: Graph) => {
    const named = (name: string) => input(graph, name, [answers]);
    const make = Object.fromEntries(computed.map((name) => [name, () => named(name)]));
    return loss(answersOf(make as Record<Computed, () => Tensor>, named));
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

/** Which numbers a loss reads. */
export function readsOf(loss: PreferenceLoss): ReadonlySet<string> {
  using program = createLossProgram(loss, 2);
  return program.reads;
}
