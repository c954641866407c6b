/** Comparisons under a reward that is known, and ensembles small enough to learn it in a moment. */

import { createRewardEnsemble, type RewardEnsemble } from '../../src/control/reward/ensemble.ts';
import type { FitComparison } from '../../src/control/reward/fit.ts';
import type { StepRows } from '../../src/control/reward/inputs.ts';
import { type RewardOptions, rewardSchema } from '../../src/control/reward/options.ts';
import type { Segment } from '../../src/control/segments.ts';
import type { Space } from '../../src/env/index.ts';
import { type ChoiceModel, choiceModelSchema, choices, type Preference } from '../../src/preference/index.ts';
import { random } from '../../src/random.ts';
import { releasedAfterwards } from './released.ts';

const WINDOW = 6;
export const OBSERVATION_SIZE = 3;
const discrete: Space = { kind: 'discrete', n: 2 };

/** Makes ensembles, which are released after their test. */
export function ensemblesReleasedAfterwards() {
  const keep = releasedAfterwards();
  return (
    options: Partial<RewardOptions> = {},
    { model = {} as Partial<ChoiceModel>, seed = 0, actionSpace = discrete, rows = 64 } = {},
  ): RewardEnsemble =>
    keep(
      createRewardEnsemble(
        { observationSize: OBSERVATION_SIZE, actionSpace },
        rewardSchema.parse({ hidden: [16], ...options }),
        choiceModelSchema.parse(model),
        { window: WINDOW, rows, seed },
      ),
    );
}

const WEIGHTS = [1, -0.5, 0.25];
/** What is to be learned: linear in the observation, and the second action pays. */
const trueReward = (observation: ArrayLike<number>, action: number) =>
  WEIGHTS.reduce((sum, w, j) => sum + w * observation[j], 0) + 0.5 * action;

export const returnOf = ({ rewards }: Segment) => rewards.reduce((a, b) => a + b, 0);
const better = (a: Segment, b: Segment): Preference => (returnOf(a) > returnOf(b) ? choices.first : choices.second);
export const flipped = ({ segments, choice: [p, q] }: FitComparison): FitComparison => ({ segments, choice: [q, p] });

export const parametersOf = (ensemble: RewardEnsemble) => structuredClone(ensemble.save().tensors);

/** Draws segments, comparisons of them, and steps; `name` names the random stream. */
export function drawing(name: string) {
  const rng = random(0, name);

  function segment({ length = WINDOW, terminated = false, level = 0 } = {}): Segment {
    const observations = Float32Array.from({ length: length * OBSERVATION_SIZE }, () => rng.normal() + level);
    const actions = Float32Array.from({ length }, () => rng.integer(2));
    return {
      length,
      observations,
      actions,
      nextObservations: observations.map((x) => x + rng.normal()),
      rewards: Float32Array.from({ length }, (_, t) =>
        trueReward(observations.subarray(t * OBSERVATION_SIZE), actions[t]),
      ),
      terminated,
    };
  }

  const labeled = (count: number, choose: (a: Segment, b: Segment) => Preference = better): FitComparison[] =>
    Array.from({ length: count }, () => {
      const segments = [segment(), segment()] as const;
      return { segments, choice: choose(...segments) };
    });

  const coin = (): Preference => (rng.uniform() < 0.5 ? choices.first : choices.second);

  const stepsOf = (count: number): StepRows => {
    const { observations, actions, nextObservations } = segment({ length: count });
    return { observations, actions, nextObservations, terminated: new Uint8Array(count) };
  };

  return { segment, labeled, coin, stepsOf };
}
