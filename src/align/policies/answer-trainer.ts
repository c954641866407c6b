/** Optimizer steps on a policy's own answers: what the algorithms without a critic share. */
import { createPackedTrainer, type PackedLoss } from '../../lm/packed-program.ts';
import { exportOptimizer, importOptimizer } from '../../nn/index.ts';
import { random } from '../../random.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import type { Policy } from '../training/policy.ts';
import { adamw } from '../training/steps.ts';
import type { Tensors } from './algorithm.ts';
import type { PolicyTrainingOptions } from './options.ts';
import { type AnswerLayout, answerBatches, inOrder } from './rollouts.ts';

/** The inputs of a loss by their names: of each answer's tokens, and of each answer. */
export interface AnswerNumbers {
  perLabel?: Readonly<Record<string, readonly Float32Array[]>>;
  perSequence?: Readonly<Record<string, readonly number[]>>;
}

export interface AnswerTrainer {
  /**
   * One optimizer step on some answers, in as many parts as memory needs. Gives the sums of the loss and its other outputs
   * over the parts, and the norm of the gradients before they were clipped.
   */
  step(
    answers: readonly Completion[],
    numbers: AnswerNumbers,
    rate: number,
  ): { sums: Record<string, number>; norm: number };
  save(): Tensors;
  restore(tensors: Tensors): void;
  [Symbol.dispose](): void;
}

/** `most` answers make one step at most; the outputs of `loss` are scalars, sums over answers or labels. */
export function createAnswerTrainer(
  policy: Policy,
  layout: AnswerLayout,
  loss: PackedLoss,
  options: PolicyTrainingOptions,
  most: number,
): AnswerTrainer {
  const trainer = createPackedTrainer(policy.model.config, policy.parameters, loss, {
    frozen: policy.frozen,
    linear: policy.linear,
    temperature: options.temperature,
    checkpointLayers: options.checkpointLayers,
    sequences: most,
  });
  const optimizer = adamw(policy.parameters, trainer.gradients, options);
  return {
    step(answers, { perLabel = {}, perSequence = {} }, rate) {
      trainer.reset();
      const sums: Record<string, number> = {};
      for (const { batch, members } of answerBatches(answers, layout)) {
        const labels = mapped(perLabel, (values) => inOrder(values, members));
        const sequences = mapped(perSequence, (values) => members.map((i) => values[i]));
        for (const [name, { data }] of Object.entries(trainer.run(batch, labels, sequences))) {
          sums[name] = (sums[name] ?? 0) + (data[0] as number);
        }
      }
      return { sums, norm: optimizer.step(rate) };
    },
    save: () => exportOptimizer(optimizer),
    restore: (tensors) => importOptimizer(optimizer, tensors),
    [Symbol.dispose]() {
      for (const part of [optimizer, trainer]) part[Symbol.dispose]();
    },
  };
}

const mapped = <A, B>(record: Readonly<Record<string, A>>, of: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, of(value)]));

/** So many parts of 0 … count − 1, alike in size, each epoch in an order of its own. */
export function* minibatches(
  count: number,
  { epochs, minibatches: parts }: { epochs: number; minibatches: number },
  ...seed: Parameters<typeof random>
): Generator<number[]> {
  const draws = random(...seed);
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = Array.from(draws.shuffle(Uint32Array.from({ length: count }, (_, i) => i)));
    for (let part = 0; part < parts; part++) {
      const [start, end] = [part, part + 1].map((at) => Math.round((at * count) / parts));
      if (end > start) yield order.slice(start, end);
    }
  }
}
