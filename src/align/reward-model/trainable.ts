/** What of a reward model is trained: all of its weights, or adapters beside them and the head. */
import type { SaveOptions } from '../../lm/checkpoint.ts';
import { SCORE } from '../../lm/layout.ts';
import { saveAdapter } from '../../lm/lora.ts';
import {
  type Arena,
  createParameters,
  type Linear,
  loraLinear,
  loraParameters,
  mergeLora,
  weightedLinear,
} from '../../nn/index.ts';
import { random } from '../../random.ts';
import type { Weights } from '../training/policy.ts';
import { copyOf, type LoraSettings, loraOptions } from '../training/trainable.ts';
import { type Calibrated, type RewardModel, saveRewardModel, whileCalibrated, writeCalibration } from './model.ts';

/** What of a reward model is trained, and how it is written. */
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
  /**
   * Writes the adapters with the head alone, as PEFT reads them, for `openReward` over the model that they are of. Absent without
   * adapters, and of GPT-2, for which PEFT has none like these.
   */
  saveAdapter?(folder: string, calibrated: Calibrated): void;
  /** Merges adapters and their head into the model's own weights. Where all weights are trained, they are there already. */
  merge(): void;
  /** Frees the adapters; the model stays. */
  [Symbol.dispose](): void;
}

export function trainedReward(model: RewardModel, lora: LoraSettings, seed: number): TrainedReward {
  const { config, parameters } = model;
  const options = loraOptions(lora);
  if (!options) {
    return {
      model,
      parameters,
      weights: parameters.values,
      frozen: {},
      linear: undefined,
      save: (folder, calibrated, options) =>
        whileCalibrated(model, calibrated, (whole) => saveRewardModel(folder, whole, options)),
      merge() {},
      [Symbol.dispose]() {},
    };
  }
  const head = parameters.values[SCORE];
  const begin = (data: Float32Array) => data.set(head.data);
  const adapters = createParameters(
    [...loraParameters(config, options), { name: SCORE, shape: head.shape, initialize: begin }],
    random(seed, 'adapters'),
  );
  const { [SCORE]: _, ...frozen } = parameters.values;
  const mergeInto = (arena: Arena) => {
    mergeLora(arena, adapters, options);
    arena.values[SCORE].data.set(adapters.values[SCORE].data);
  };
  return {
    model,
    parameters: adapters,
    weights: { ...frozen, ...adapters.values },
    frozen,
    linear: loraLinear(config, options, weightedLinear(config)),
    save(folder, calibrated, saving) {
      const merged = copyOf(parameters);
      mergeInto(merged);
      whileCalibrated({ ...model, parameters: merged }, calibrated, (whole) => saveRewardModel(folder, whole, saving));
      merged[Symbol.dispose]();
    },
    ...(config.positions.kind === 'rotary' && {
      saveAdapter(folder: string, calibrated: Calibrated) {
        whileCalibrated(
          { ...model, parameters: adapters },
          calibrated,
          ({ calibration, architecture, folder: base }) => {
            // before adapter_config.json: a folder that has one is whole
            writeCalibration(folder, calibration);
            saveAdapter(folder, config, { options, parameters: adapters, base }, architecture);
          },
        );
      },
    }),
    merge: () => mergeInto(parameters),
    [Symbol.dispose]: adapters[Symbol.dispose],
  };
}
