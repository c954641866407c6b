/** What of a reward model is trained: all of its weights, or adapters beside them and the head. */
import type { z } from 'zod';
import type { SaveOptions } from '../../lm/checkpoint.ts';
import { SCORE } from '../../lm/layout.ts';
import {
  type Arena,
  createParameters,
  type Linear,
  type LoraOptions,
  loraLinear,
  loraParameters,
  mergeLora,
  weightedLinear,
} from '../../nn/index.ts';
import { random } from '../../random.ts';
import { copyOf, type loraSchema, type Weights } from '../policies/policy.ts';
import { type Calibrated, type RewardModel, saveRewardModel, whileCalibrated } from './model.ts';

export interface TrainedReward {
  model: RewardModel;
  /** What is trained. */
  parameters: Arena;
  /** Every weight, and those that are not trained. */
  weights: Weights;
  frozen: Weights;
  /** How its linear layers map, where not by their weights alone. */
  linear: Linear | undefined;
  /** Writes it as a whole model: adapters are merged into a copy of the weights. */
  save(folder: string, calibrated: Calibrated, options?: SaveOptions): void;
  release(): void;
}

export function trainedReward(model: RewardModel, lora: z.output<typeof loraSchema>, seed: number): TrainedReward {
  const { config, parameters } = model;
  if (lora.rank === 0) {
    return {
      model,
      parameters,
      weights: parameters.values,
      frozen: {},
      linear: undefined,
      save: (folder, calibrated, options) =>
        whileCalibrated(model, calibrated, (whole) => saveRewardModel(folder, whole, options)),
      release: parameters.release,
    };
  }
  const options: LoraOptions = { rank: lora.rank, alpha: lora.alpha ?? 2 * lora.rank };
  const head = parameters.values[SCORE];
  const begin = (data: Float32Array) => data.set(head.data);
  const adapters = createParameters(
    [...loraParameters(config, options), { name: SCORE, shape: head.shape, initialise: begin }],
    random(seed, 'adapters'),
  );
  const { [SCORE]: _, ...frozen } = parameters.values;
  return {
    model,
    parameters: adapters,
    weights: { ...frozen, ...adapters.values },
    frozen,
    linear: loraLinear(config, options, weightedLinear(config)),
    save(folder, calibrated, saving) {
      const merged = copyOf(parameters);
      mergeLora(merged, adapters, options);
      merged.values[SCORE].data.set(adapters.values[SCORE].data);
      whileCalibrated({ ...model, parameters: merged }, calibrated, (whole) => saveRewardModel(folder, whole, saving));
      merged.release();
    },
    release() {
      for (const arena of [adapters, parameters]) arena.release();
    },
  };
}
