/**
 * The critic: what is still to come from each token of an answer on. It is a network of its own that begins as a reward model
 * or as the policy with a new head; or, beside a policy that is adapters, further adapters over the same weights; or a head on
 * the policy's own states, that learns in the policy's own program (shared-critic.ts).
 *
 *   L = ½ E[max((V − R)², (clip(V, V_old ± ε) − R)²)]        over the tokens of a minibatch
 */
import { mul, sum, type Tensor } from '../../engine/index.ts';
import { HeedError } from '../../error.ts';
import { classifierParameters } from '../../lm/checkpoint.ts';
import { SCORE } from '../../lm/layout.ts';
import type { Model } from '../../lm/model.ts';
import { createPackedTrainer, type PackedLoss, type Reading, scoresOf } from '../../lm/packed-program.ts';
import {
  type Arena,
  clippedSquare,
  createArena,
  type DecoderConfig,
  type Linear,
  type Optimizer,
  type ParameterSpec,
} from '../../nn/index.ts';
import type { PolicyTrainingOptions } from '../policies/options.ts';
import { type AnswerLayout, answerBatches, createAnswerScorer, inOrder } from '../policies/rollouts.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import { checkSameTokens, type Policy, type Weights } from '../training/policy.ts';
import { adamw } from '../training/steps.ts';

export interface CriticNetwork {
  config: DecoderConfig;
  /** What is trained, the head among it. */
  parameters: Arena;
  weights: Weights;
  frozen: Weights;
  linear: Linear | undefined;
}

/**
 * A critic for a policy: `model` where one is given, a copy of the policy's weights, or further adapters beside them. A new head
 * begins at 0.
 *
 * @throws HeedError where the model reads other tokens than the policy.
 */
export function criticNetwork(policy: Policy, model?: Model, kind?: 'own' | 'adapters'): CriticNetwork {
  if (model) {
    checkCritic(policy.model, model);
    return ofItsOwn(model.config, model.parameters);
  }
  const { config, parameters } = policy.model;
  if (policy.parameters === parameters || kind === 'own') return ofItsOwn(config, parameters);
  const adapters = createArena([...policy.parameters.specs, headSpec(config)]);
  for (const { name } of policy.parameters.specs) adapters.values[name].data.set(policy.parameters.values[name].data);
  return {
    config,
    parameters: adapters,
    weights: { ...parameters.values, ...adapters.values },
    frozen: parameters.values,
    linear: policy.linear,
  };
}

function ofItsOwn(config: DecoderConfig, from: Arena): CriticNetwork {
  const parameters = classifierParameters(from, headSpec(config));
  return { config, parameters, weights: parameters.values, frozen: {}, linear: undefined };
}

export const headSpec = ({ hiddenSize }: DecoderConfig): ParameterSpec => ({
  name: SCORE,
  shape: [1, hiddenSize],
  initialize: (data) => void data.fill(0),
});

function checkCritic(policy: Model, critic: Model): void {
  checkSameTokens(policy, critic, 'The critic', 'Let it begin as the policy, or as a model with the same tokenizer.');
  const labels = critic.parameters.values[SCORE]?.shape[0] ?? 1;
  if (labels === 1) return;
  throw new HeedError(`The critic gives ${labels} numbers a token, expected 1.`, {
    hint: 'Give a reward model, or a language model, which gets a new head.',
  });
}

/** The loss of values [labels] in a packed program. By label: `return`, `old value` and `weight`. */
export function valueLoss(
  { perLabel }: Reading,
  values: Tensor,
  clip: number,
): { value: Tensor; valuesClipped: Tensor } {
  const weight = perLabel('weight');
  const terms = { values, returns: perLabel('return'), oldValues: perLabel('old value') };
  const { square, clipped } = clippedSquare(terms, clip);
  return { value: mul(sum(mul(square, weight)), 0.5), valuesClipped: sum(mul(clipped, weight)) };
}

export interface CriticUpdate {
  loss: number;
  clipFraction: number;
  gradientNorm: number;
}

export interface Critic {
  readonly parameters: Arena;
  readonly optimizer: Optimizer;
  /** V of the state before each token and behind the last, of each answer. */
  values(answers: readonly Completion[]): Float32Array[];
  /** An optimizer step on answers, by what was seen to come from the states before their tokens, and behind the last where it has as many. */
  update(
    answers: readonly Completion[],
    returns: readonly Float32Array[],
    old: readonly Float32Array[],
    rate: number,
  ): CriticUpdate;
  [Symbol.dispose](): void;
}

export interface CriticOptions {
  layout: AnswerLayout;
  clip: number;
  coefficient: number;
  training: PolicyTrainingOptions;
}

/** A critic that learns; the network is released with it. */
export function createCritic(network: CriticNetwork, { layout, clip, coefficient, training }: CriticOptions): Critic {
  const { config, parameters, weights, frozen, linear } = network;
  const states = 'last too';
  const scorer = createAnswerScorer(config, weights, layout, { linear, read: scoresOf, states });
  const objective: PackedLoss = (reading) => {
    const told = valueLoss(reading, scoresOf(reading), clip);
    return { loss: mul(told.value, coefficient), ...told };
  };
  const trainer = createPackedTrainer(config, parameters, objective, {
    linear,
    frozen,
    checkpointLayers: training.checkpointLayers,
  });
  const optimizer = adamw(parameters, trainer.gradients, training);
  return {
    parameters,
    optimizer,
    values: scorer.run,
    update(answers, returns, old, rate) {
      const count = returns.reduce((sum, { length }) => sum + length, 0);
      // a state behind the last token that no return is known of weighs nothing
      const full = (numbers: readonly Float32Array[]) =>
        numbers.map((own, i) => {
          const all = new Float32Array(answers[i].response.length + 1);
          all.set(own.subarray(0, all.length));
          return all;
        });
      const perLabel = {
        return: full(returns),
        'old value': full(old),
        weight: full(returns.map((own) => own.map(() => 1 / count))),
      };
      const totals = { loss: 0, clipFraction: 0 };
      trainer.reset();
      for (const { batch, members } of answerBatches(answers, layout, states)) {
        const numbers = Object.entries(perLabel).map(([name, own]) => [name, inOrder(own, members)]);
        const { value, valuesClipped } = trainer.run(batch, Object.fromEntries(numbers));
        totals.loss += value.data[0] as number;
        totals.clipFraction += valuesClipped.data[0] as number;
      }
      return { ...totals, gradientNorm: optimizer.step(rate) };
    },
    [Symbol.dispose]() {
      for (const part of [scorer, trainer, optimizer, parameters]) part[Symbol.dispose]();
    },
  };
}
