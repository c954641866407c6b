/** Policies that runs of `heed train` or `heed rl` trained, read from checkpoints. */
import { z } from 'zod';
import type { EnvironmentSource } from '../env/batch/source.ts';
import { openEnvironment } from '../env/open/open.ts';
import { HeedError } from '../error.ts';
import { parseOptions } from '../options.ts';
import { readCheckpoint } from '../run/checkpoint.ts';
import { readInfo } from '../run/run.ts';
import { type Algorithm, rlAlgorithms } from './agent.ts';
import { type ControlPolicy, createControlPolicy } from './control-policy.ts';
import type { SavedStatistics } from './normalize.ts';
import { isSavedPolicy, type PolicySnapshot, readPolicy, untrained } from './policy-snapshot.ts';

/** Options that choose a run's checkpoint. */
export const checkpointShape = {
  seed: z.number().int().min(0).optional().describe("seed of the episodes' starts (default: the run's)"),
  step: z.number().int().min(0).optional().describe('environment step of the checkpoint to load (default: the latest)'),
  python: z.string().optional().describe("Python with Gymnasium (default: the run's)"),
};

/** Options of `loadPolicy`. */
export interface LoadPolicyOptions {
  /** Environment step of the checkpoint to load; the latest by default. */
  step?: number;
  /** Seed of drawn actions. Default 0. */
  seed?: number;
  /** Python with Gymnasium, for runs in its environments; the run's by default. */
  python?: string;
}

/**
 * Loads the policy of a run of `heed train` or `heed rl`, or one that was saved to a folder. It normalizes observations
 * as it did in training. The caller disposes of it.
 *
 * @param folder The run's folder, or the one passed to `savePolicy`.
 * @throws HeedError if the folder is neither, has no such checkpoint, or its environment cannot be opened.
 */
export async function loadPolicy(folder: string, options: LoadPolicyOptions = {}): Promise<ControlPolicy> {
  const { step, seed, python } = parseOptions(z.object(checkpointShape), options);
  if (isSavedPolicy(folder)) return createControlPolicy(readPolicy(folder), { seed });
  const settings = controlSettings(folder);
  using environment = await openEnvironment(settings.env, { ...worldOf(settings), ...(python && { python }) });
  return createControlPolicy(readRunPolicy(folder, environment, { step }).policy, { seed });
}

const networkSchema = z.object({
  hidden: z.array(z.number()),
  activation: z.enum(['tanh', 'relu']),
  gain: z.number().optional(),
  initialDeviation: z.number().optional(),
  rescaleActions: z.boolean().optional(),
  memory: z.number().optional(),
});
const settingsSchema = z.looseObject({
  env: z.string(),
  python: z.string().optional(),
  frameStack: z.number().optional(),
  seed: z.number(),
  algorithm: z.enum([...rlAlgorithms, 'pebble']),
});

/** How a run opened its environment. */
export const worldOf = ({ python, frameStack }: ControlSettings) => ({ python, frameStack });

/** Settings that all runs in environments share. */
export type ControlSettings = z.infer<typeof settingsSchema> & {
  /** The command that created the run. */
  command: 'train' | 'rl';
};

/**
 * The settings of a run of `heed train` or `heed rl`.
 * @throws HeedError if the folder holds no such run.
 */
export function controlSettings(folder: string): ControlSettings {
  const { command, config } = readInfo(folder);
  if (command !== 'train' && command !== 'rl') {
    throw new HeedError(`"${folder}" is a run of "heed ${command}": expected one of "heed train" or "heed rl"`, {
      hint: 'pass the folder of a run of heed train or heed rl',
    });
  }
  const { success, data, error } = settingsSchema.safeParse(config);
  if (success) return { ...data, command };
  throw new HeedError(`The settings of "${folder}" are wrong: ${z.prettifyError(error)}`, {
    hint: 'Was config.json edited by hand, or made by another version of heed?',
  });
}

/** Policies of a run, by the spaces of its environment. */
export interface RunPolicies {
  /** The environment step of the checkpoint. */
  step: number;
  policy: PolicySnapshot;
  /** The initial policy, before training. */
  untrained: PolicySnapshot;
}

/** Reads the policy of a run's checkpoint, the latest unless `step` is set. */
export function readRunPolicy(
  folder: string,
  spaces: Pick<EnvironmentSource, 'observationSpace' | 'actionSpace'>,
  { step }: { step?: number } = {},
): RunPolicies {
  const settings = controlSettings(folder);
  const checkpoint = readCheckpoint(folder, { step });
  const { learner } = checkpoint.state as { learner: Record<string, unknown> };
  const acting = settings.algorithm === 'pebble' ? 'sac' : settings.algorithm;
  const state = settings.command === 'rl' ? learner.agent : learner[acting];
  return { step: checkpoint.step, ...policiesOf(settings, spaces, { state, tensors: checkpoint.tensors }) };
}

/** The policy that an algorithm saved, and its initial policy. */
export function policiesOf(
  settings: { algorithm: Algorithm | 'pebble'; seed: number; policy?: unknown; [algorithm: string]: unknown },
  { observationSpace, actionSpace }: Pick<EnvironmentSource, 'observationSpace' | 'actionSpace'>,
  saved: { state: unknown; tensors: PolicySnapshot['tensors'] },
): Pick<RunPolicies, 'policy' | 'untrained'> {
  const { algorithm: name, seed } = settings;
  const { gain, initialDeviation, memory, ...network } = networkSchema.parse(settings[name]);
  const { observationStatistics: statistics } = saved.state as { observationStatistics?: SavedStatistics };
  const policy: PolicySnapshot = {
    algorithm: name === 'pebble' ? 'sac' : name,
    ...network,
    ...(settings.policy === 'recurrent' && { memory }),
    observationSpace,
    actionSpace,
    ...(statistics && { statistics: { mean: statistics.mean, variance: statistics.variance } }),
    tensors: saved.tensors,
  };
  return { policy, untrained: untrained(policy, { seed, gain, initialDeviation }) };
}
