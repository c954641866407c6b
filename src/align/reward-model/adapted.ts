/** Reward models that are adapters and a head (heed reward --lora.rank) over weights that are in memory already: the policy's. */
import { realpathSync } from 'node:fs';
import type { PullOptions } from '../../lm/hub.ts';
import { loadAdapter } from '../../lm/lora.ts';
import { baseFolder, type Model, modelFolder } from '../../lm/model.ts';
import { loraLinear, weightedLinear } from '../../nn/index.ts';
import { checkRewardModel, type RewardModel, readCalibration, rewardModelOf, type ScorerOptions } from './model.ts';

interface AdaptedReward extends ScorerOptions {
  /** Its parameters are the adapters and the head alone. */
  model: RewardModel;
}

/**
 * A reward model over the weights of `base`; undefined where it is whole, or adapters of what another folder holds. The weights stay
 * the caller's. Throws a HeedError where the adapters have no head of one label.
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
  const { parameters, options } = loadAdapter(folder, config);
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
