/** A critic that is a head on the policy's own states: one program computes both losses and the gradients of both. */
import { add, mul, stopGradient, type Value } from '../../engine/index.ts';
import type { PackedLoss, PackedTrainer, Reading } from '../../lm/packed-program.ts';
import { scoresOf } from '../../lm/packed-program.ts';
import { type Arena, createArena, partOf } from '../../nn/index.ts';
import { createAnswerScorer } from '../policies/rollouts.ts';
import type { LanguagePolicy } from '../training/policy.ts';
import { adamw } from '../training/steps.ts';
import { type Critic, type CriticOptions, type CriticUpdate, headSpec, valueLoss } from './critic.ts';

interface SharedCritic {
  /** The policy's parameters, and the head behind them. */
  readonly parameters: Pick<Arena, 'specs' | 'values'>;
  /** The policy's loss with that of the values. By label it reads `return` and `old value` as well. */
  beside(policyLoss: PackedLoss): PackedLoss;
  /** The critic, whose updates step the head by the gradients that the program left. */
  critic(trainer: PackedTrainer): Critic;
  /** Counts what a run of the program tells of the values, for the next update. */
  count(outputs: Readonly<Record<string, Value>>): void;
}

interface SharedCriticOptions extends CriticOptions {
  /** Only the head learns from the values, not the policy. */
  detached: boolean;
}

/** The head begins at 0. It reads the states that tokens are told from, and so knows none behind the last. */
export function createSharedCritic(policy: LanguagePolicy, options: SharedCriticOptions): SharedCritic {
  const { layout, clip, coefficient, detached, training } = options;
  const { config } = policy.model;
  const head = createArena([headSpec(config)]);
  const trained = policy.parameters;
  let told: Omit<CriticUpdate, 'gradientNorm'> = { loss: 0, clipFraction: 0 };
  const valuesOf = (reading: Reading) =>
    scoresOf(detached ? { ...reading, states: stopGradient(reading.states) } : reading);
  return {
    parameters: { specs: [...trained.specs, ...head.specs], values: { ...trained.values, ...head.values } },
    beside: (policyLoss) => (reading) => {
      const { loss, ...others } = policyLoss(reading);
      const values = valueLoss(reading, valuesOf(reading), clip);
      return { loss: add(loss, mul(values.value, coefficient)), policy: loss, ...others, ...values };
    },
    count({ value, valuesClipped }) {
      told.loss += value.data[0] as number;
      told.clipFraction += valuesClipped.data[0] as number;
    },
    critic(trainer) {
      const weights = { ...policy.weights, ...head.values };
      const scorer = createAnswerScorer(config, weights, layout, {
        linear: policy.linear,
        read: scoresOf,
        states: 'before',
      });
      const optimizer = adamw(head, partOf(trainer.gradients, trained.specs.length), training);
      return {
        parameters: head,
        optimizer,
        values: scorer.run,
        update(_answers, _returns, _old, rate) {
          const update = { ...told, gradientNorm: optimizer.step(rate) };
          told = { loss: 0, clipFraction: 0 };
          return update;
        },
        [Symbol.dispose]() {
          for (const part of [scorer, optimizer, head]) part[Symbol.dispose]();
        },
      };
    },
  };
}
