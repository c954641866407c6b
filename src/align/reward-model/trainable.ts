/** The trained part of a reward model: all its weights, or adapters and the head. */
import type { SaveOptions } from '../../lm/checkpoint.ts';
import { SCORE } from '../../lm/layout.ts';
import { saveAdapter } from '../../lm/lora.ts';
import { type Linear, weightedLinear } from '../../nn/decoder.ts';
import { createLora, frozenBeside, loraLinear, mergeLora } from '../../nn/lora.ts';
import type { Arena } from '../../nn/parameters.ts';
import { random } from '../../random.ts';
import type { Weights } from '../training/policy.ts';
import { copyOf, type LoraSettings, loraOptions } from '../training/trainable.ts';
import { type Calibrated, type RewardModel, saveRewardModel, whileCalibrated, writeCalibration } from './model.ts';

/** The trained part of a reward model, and how to save it. */
export interface TrainedReward {
  model: RewardModel;
  /** The trained parameters. */
  parameters: Arena;
  /** All weights. */
  weights: Weights;
  /** The weights that are not trained. */
  frozen: Weights;
  /** The linear layers with adapters; undefined without adapters. */
  linear: Linear | undefined;
  /** Writes a whole model, with adapters merged into a copy of the weights. */
  save(folder: string, calibrated: Calibrated, options?: SaveOptions): void;
  /**
   * Writes only the adapters and the head, in PEFT's format, for `openReward` over their base model. Absent without
   * adapters.
   */
  saveAdapter?(folder: string, calibrated: Calibrated): void;
  /** Merges adapters and their head into the model's own weights. */
  merge(): void;
  /** Frees the adapters; the model stays. */
  [Symbol.dispose](): void;
}

/** Makes the trained part of a reward model: adapters and the head, or all weights if `lora.rank` is 0. */
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
  const further = [{ name: SCORE, shape: head.shape, initialize: begin }];
  const adapters = createLora(config, options, parameters.values, random(seed, 'adapters'), further);
  const frozen = frozenBeside(adapters, parameters.values);
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
    saveAdapter(folder: string, calibrated: Calibrated) {
      const adapted = { ...model, parameters: adapters };
      whileCalibrated(adapted, calibrated, ({ calibration, architecture, folder: base }) => {
        // before adapter_config.json: a folder that has one is complete
        writeCalibration(folder, calibration);
        saveAdapter(folder, { config, architecture, options, parameters: adapters, base });
      });
    },
    merge: () => mergeInto(parameters),
    [Symbol.dispose]: adapters[Symbol.dispose],
  };
}
