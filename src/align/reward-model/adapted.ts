/**
 * Reward models that are adapters and a head (heed reward --lora.rank) over weights already in memory, such as the
 * policy's.
 */

import type { PullOptions } from '../../lm/hub.ts';
import { loadAdapter } from '../../lm/lora.ts';
import { baseFolder, type Model, modelFolder } from '../../lm/model.ts';
import { weightedLinear } from '../../nn/decoder.ts';
import { loraLinear } from '../../nn/lora.ts';
import { realpathSync } from '../../node.ts';
import { checkRewardModel, type RewardModel, readCalibration, rewardModelOf, type ScorerOptions } from './model.ts';

interface AdaptedReward extends ScorerOptions {
  /** The reward model; its parameters are only the adapters and the head. */
  model: RewardModel;
}

/**
 * A reward model over the weights of `base`, which stay the caller's; undefined if it is a whole model or has another
 * base.
 *
 * @throws HeedError when the adapters have no head with one label.
 */
export async function rewardModelOver(
  base: Model,
  nameOrFolder: string,
  pull: PullOptions = {},
): Promise<AdaptedReward | undefined> {
  const folder = await modelFolder(nameOrFolder, pull);
  const of = await baseFolder(folder, pull);
  if (of === undefined || base.folder === undefined || realpathSync(of) !== realpathSync(base.folder)) return undefined;
  const { config } = base;
  const { parameters, options } = loadAdapter(folder, config, base.architecture);
  try {
    const model = rewardModelOf({ ...base, folder, parameters }, readCalibration(folder));
    checkRewardModel(model);
    return {
      model,
      weights: { ...base.parameters.values, ...parameters.values },
      linear: loraLinear(config, options, weightedLinear(config)),
    };
  } catch (error) {
    parameters[Symbol.dispose]();
    throw error;
  }
}
