/** A critic that is a head on the policy's own states: one program computes the losses and gradients of both. */
import { add, mul, stopGradient } from '../../engine/ops/elementwise.ts';
import type { Value } from '../../engine/value.ts';
import type { PackedLoss, PackedTrainer, Reading } from '../../lm/packed-program.ts';
import { scoresOf } from '../../lm/packed-program.ts';
import { type Arena, createArena, partOf } from '../../nn/parameters.ts';
import { createCompletionScorer } from '../policies/completion-batches.ts';
import type { LanguagePolicy } from '../training/policy.ts';
import { adamw } from '../training/steps.ts';
import {
  type Critic,
  type CriticOptions,
  type CriticUpdate,
  headSpec,
  packedValueLoss,
  VALUE_WEIGHT,
} from './critic.ts';

interface SharedCritic {
  /** The policy's parameters, followed by the head. */
  readonly parameters: Pick<Arena, 'specs' | 'values'>;
  /** The policy's loss plus that of the values. It also reads `return` and `old value` by label. */
  beside(policyLoss: PackedLoss): PackedLoss;
  /** The critic. Its updates step the head by the gradients that the program computed. */
  critic(trainer: PackedTrainer): Critic;
  /** Adds up the value metrics of a run of the program, for the next update. */
  count(outputs: Readonly<Record<string, Value>>): void;
}

interface SharedCriticOptions extends CriticOptions {
  /** Whether only the head learns from the loss of the values, not the policy. */
  detached: boolean;
}

/** A shared critic. The head starts at 0. It reads the states before each token, so that it has none after the last. */
export function createSharedCritic(policy: LanguagePolicy, options: SharedCriticOptions): SharedCritic {
  const { layout, clip, detached, training } = options;
  const { config } = policy.model;
  const head = createArena([headSpec(config)]);
  const trained = policy.parameters;
  let counted: Omit<CriticUpdate, 'gradientNorm'> = { loss: 0, clipFraction: 0 };
  const valuesOf = (reading: Reading) =>
    scoresOf(detached ? { ...reading, states: stopGradient(reading.states) } : reading);
  return {
    parameters: { specs: [...trained.specs, ...head.specs], values: { ...trained.values, ...head.values } },
    beside: (policyLoss) => (reading) => {
      const { loss, ...others } = policyLoss(reading);
      const values = packedValueLoss(reading, valuesOf(reading), clip);
      return { loss: add(loss, mul(values.value, VALUE_WEIGHT)), policy: loss, ...others, ...values };
    },
    count({ value, valuesClipped }) {
      counted.loss += value.data[0] as number;
      counted.clipFraction += valuesClipped.data[0] as number;
    },
    critic(trainer) {
      const weights = { ...policy.weights, ...head.values };
      const scorer = createCompletionScorer(config, weights, layout, {
        linear: policy.linear,
        read: scoresOf,
        states: 'before',
      });
      const optimizer = adamw(head, partOf(trainer.gradients, trained.specs.length), training);
      return {
        parameters: head,
        optimizer,
        values: scorer.run,
        async update(_completions, _returns, _old, rate) {
          const update = { ...counted, gradientNorm: await optimizer.stepFreely(rate) };
          counted = { loss: 0, clipFraction: 0 };
          return update;
        },
        [Symbol.dispose]() {
          for (const part of [scorer, optimizer, head]) part[Symbol.dispose]();
        },
      };
    },
  };
}
