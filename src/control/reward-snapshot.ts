/** A learned reward as plain data and tensors: the basis of checkpoints, saved rewards and ONNX graphs. */

import { readSafetensors, type SafetensorsTensor, writeSafetensors } from '../engine/safetensors.ts';
import { type Box, type Space, sizeOf } from '../env/environment.ts';
import { checkFormat } from '../file-format.ts';
import { createFolder } from '../files.ts';
import { createArena, importParameters } from '../nn/parameters.ts';
import { existsSync, join } from '../node.ts';
import { checkSaved } from '../options.ts';
import { type PlainSpace, plainSpace, spaceOf } from '../rl/policy-snapshot.ts';
import { fromJson, toJson } from '../run/json.ts';
import type { InputScale } from './reward/inputs.ts';
import { createRewardNetworks } from './reward/model.ts';
import type { RewardOptions } from './reward/options.ts';

/** A reward as plain data: options and weights of its networks, and the scaling of its inputs and outputs. */
export interface RewardSnapshot {
  /** Observations that the reward reads. */
  observationSpace: Box;
  /** Actions that the reward reads. */
  actionSpace: Space;
  /** Architecture and training of the networks. */
  options: RewardOptions;
  /** Statistics that the networks' inputs are scaled by. */
  scale: InputScale;
  /** By member: the number that is subtracted from its rewards before they are divided. */
  shift: readonly number[];
  /** By member: the number that a shifted reward is divided by. */
  divisor: readonly number[];
  /** The networks' parameters by name; others are ignored. */
  tensors: Readonly<Record<string, SafetensorsTensor>>;
}

/** The networks of a snapshot and their parameters. The caller disposes of the parameters. */
export function snapshotRewardModel({ observationSpace, actionSpace, options, scale, tensors }: RewardSnapshot) {
  const spaces = { observationSize: sizeOf(observationSpace), actionSpace, shape: observationSpace.shape };
  const model = createRewardNetworks(spaces, options);
  model.inputs.scale = scale;
  const parameters = createArena(model.parameters);
  try {
    importParameters(parameters, tensors);
  } catch (error) {
    parameters[Symbol.dispose]();
    throw error;
  }
  return { model, parameters };
}

const FILE = 'reward.safetensors';
const FORMAT = 'heed control reward 1';

type Saved = Omit<RewardSnapshot, 'tensors' | 'observationSpace' | 'actionSpace'> & {
  observationSpace: PlainSpace;
  actionSpace: PlainSpace;
};

/**
 * Writes a learned reward as `reward.safetensors` to a folder, which is created if needed: `loadReward(folder)` makes the
 * same reward again.
 *
 * @throws HeedError if it is no reward of an agent, or the system refuses.
 */
export function saveReward(folder: string, reward: { snapshot(): RewardSnapshot }): void {
  checkSaved('saveReward', folder, 'reward', reward, 'snapshot');
  const { tensors, observationSpace, actionSpace, ...rest } = reward.snapshot();
  const saved: Saved = {
    ...rest,
    observationSpace: plainSpace(observationSpace),
    actionSpace: plainSpace(actionSpace),
  };
  createFolder(folder);
  writeSafetensors(join(folder, FILE), tensors, { format: FORMAT, reward: toJson(saved, 'the reward') });
}

/** Whether a folder holds a saved reward. */
export const isSavedReward = (folder: string): boolean => existsSync(join(folder, FILE));

/**
 * Reads a reward that `saveReward` wrote.
 * @throws HeedError if there is no such file, or it is of another format.
 */
export function readReward(folder: string): RewardSnapshot {
  const path = join(folder, FILE);
  const { metadata, tensors } = readSafetensors(path);
  const hint = 'Pass the folder of a run of heed train, or one that a reward was saved to.';
  checkFormat(path, 'a reward', metadata.format, FORMAT, hint);
  const saved = fromJson(metadata.reward) as Saved;
  return {
    ...saved,
    observationSpace: spaceOf(saved.observationSpace) as Box,
    actionSpace: spaceOf(saved.actionSpace),
    tensors,
  };
}
