/** The trained part of a reward model: all its weights, or adapters and the head. */
import { keptAtOnce } from '../../disposables.ts';
import type { SaveOptions } from '../../lm/checkpoint.ts';
import { SCORE } from '../../lm/layout.ts';
import { saveAdapter } from '../../lm/lora.ts';
import { type Linear, weightedLinear } from '../../nn/decoder.ts';
import { createLora, frozenBeside, loraLinear, mergedParameters } from '../../nn/lora.ts';
import type { Arena } from '../../nn/parameters.ts';
import { random } from '../../random.ts';
import type { Weights } from '../training/policy.ts';
import { adapterBase, type LoraSettings } from '../training/trainable.ts';
import { type Calibrated, type RewardModel, saveRewardModel, whileCalibrated, writeCalibration } from './model.ts';

/** The trained part of a reward model, and how to save it. */
export interface TrainedReward {
  /** The model, as it computes: with `baseBits`, a copy of the one that was passed in. */
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
export function trainedReward(given: RewardModel, lora: LoraSettings, seed: number): TrainedReward {
  const under = adapterBase(given, lora);
  if (!under) {
    const { parameters } = given;
    return {
      model: given,
      parameters,
      weights: parameters.values,
      frozen: {},
      linear: undefined,
      save: (folder, calibrated, options) =>
        whileCalibrated(given, calibrated, (whole) => saveRewardModel(folder, whole, options)),
      merge() {},
      [Symbol.dispose]() {},
    };
  }
  const { model, options, merge } = under;
  const { config, parameters } = model;
  const head = parameters.values[SCORE];
  const begin = (data: Float32Array) => data.set(head.data);
  const further = [{ name: SCORE, shape: head.shape, initialize: begin }];
  const draws = random(seed, 'adapters');
  const adapters = keptAtOnce(under, () => createLora(config, options, parameters.values, draws, further));
  const frozen = frozenBeside(adapters, parameters.values);
  return {
    model,
    parameters: adapters,
    weights: { ...frozen, ...adapters.values },
    frozen,
    linear: loraLinear(config, options, weightedLinear(config)),
    save(folder, calibrated, saving) {
      const merged = mergedParameters(parameters, adapters, options); // reads the adapters' head, which is calibrated
      whileCalibrated({ ...model, parameters: adapters }, calibrated, ({ calibration }) =>
        saveRewardModel(folder, { ...model, calibration, parameters: merged }, saving),
      );
    },
    saveAdapter(folder: string, calibrated: Calibrated) {
      const adapted = { ...model, parameters: adapters };
      whileCalibrated(adapted, calibrated, ({ calibration, architecture, folder: base }) => {
        // before adapter_config.json: a folder that has one is complete
        writeCalibration(folder, calibration);
        saveAdapter(folder, { config, architecture, options, parameters: adapters, base });
      });
    },
    merge: () => merge(adapters),
    [Symbol.dispose]() {
      adapters[Symbol.dispose]();
      under[Symbol.dispose]();
    },
  };
}
