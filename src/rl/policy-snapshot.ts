/** A policy as plain data and tensors: the basis of checkpoints, saved policies and ONNX graphs. */

import { readSafetensors, type SafetensorsTensor, writeSafetensors } from '../engine/safetensors.ts';
import { type Box, type Discrete, type Space, sizeOf } from '../env/environment.ts';
import { checkFormat } from '../file-format.ts';
import { createFolder } from '../files.ts';
import { type Arena, arenaOf, createParameters, exportParameters } from '../nn/parameters.ts';
import { existsSync, join } from '../node.ts';
import { checkSaved } from '../options.ts';
import { random } from '../random.ts';
import { fromJson, toJson } from '../run/json.ts';
import type { Algorithm } from './agent.ts';
import { createPolicyNetwork, type PolicyNetwork, type PolicyNetworkOptions } from './policy.ts';
import { createRecurrentPolicy } from './recurrent-policy.ts';
import { createSquashedPolicy, type SquashedPolicy } from './squashed-policy.ts';

/** A policy as plain data: its network's description and weights, and the normalization of observations. */
export interface PolicySnapshot {
  /** The algorithm that trained it, which determines the network; PEBBLE's policies are SAC's. */
  algorithm: Algorithm;
  /** Widths of the hidden layers. */
  hidden: readonly number[];
  /** Activation of the hidden layers. */
  activation: 'tanh' | 'relu';
  /** Numbers that a recurrent policy remembers; absent: it has no memory. */
  memory?: number;
  /** Observations that the policy reads. */
  observationSpace: Box;
  /** Actions that the policy chooses from. */
  actionSpace: Space;
  /** Whether continuous actions are rescaled to ±1 (`PolicyNetworkOptions`); absent: they are not. */
  rescaleActions?: boolean;
  /** Mean and variance of each number of an observation, if observations are normalized. */
  statistics?: { mean: readonly number[]; variance: readonly number[] };
  /** The actor's parameters by name; others are ignored. */
  tensors: Readonly<Record<string, SafetensorsTensor>>;
}

/** The network of a snapshot's policy. */
export interface ActorNetwork {
  network: PolicyNetwork | SquashedPolicy;
  /** The actor's parameters with the snapshot's weights, without a critic. */
  parameters: Arena;
}

const GAIN = 1; // seed of initial weights, which are all replaced

/** Builds the network of a snapshot. The caller disposes of its parameters. */
export function actorOf({ tensors, ...description }: PolicySnapshot): ActorNetwork {
  const { network, specs } = networkOf(description);
  return { network, parameters: arenaOf(specs, tensors) };
}

function networkOf(snapshot: Omit<PolicySnapshot, 'tensors'>, { gain = GAIN, initialDeviation }: InitialWeights = {}) {
  const { algorithm, hidden, activation, rescaleActions, memory, observationSpace, actionSpace } = snapshot;
  const size = sizeOf(observationSpace);
  if (algorithm === 'sac') {
    const network = createSquashedPolicy(size, actionSpace, { hidden, activation });
    return { network, specs: network.actor.parameters };
  }
  const options = { hidden, activation, rescaleActions, gain, initialDeviation };
  const network = memory
    ? createRecurrentPolicy(size, actionSpace, { ...options, memory }, observationSpace)
    : createPolicyNetwork(size, actionSpace, options, observationSpace);
  return { network, specs: network.parameters.slice(0, -network.critic.parameters.length) };
}

/** What an algorithm's options say of initial weights; SAC's say nothing. */
type InitialWeights = Partial<Pick<PolicyNetworkOptions, 'gain' | 'initialDeviation'>>;

/**
 * The initial policy of training with this seed: the same network with its first weights, drawn as the algorithm draws
 * them.
 */
export function untrained(
  snapshot: PolicySnapshot,
  { seed, ...initial }: InitialWeights & { seed: number },
): PolicySnapshot {
  const { algorithm, observationSpace, statistics } = snapshot;
  const { specs } = networkOf(snapshot, initial);
  const purpose = algorithm === 'sac' ? 'actor' : 'parameters';
  const parameters = createParameters(specs, random(seed, algorithm, purpose)); // critics are drawn after the actor
  const tensors = Object.fromEntries(
    Object.entries(exportParameters(parameters)).map(([name, tensor]) => [
      name,
      { ...tensor, data: tensor.data.slice() },
    ]),
  );
  parameters[Symbol.dispose]();
  const size = sizeOf(observationSpace);
  const fresh = { mean: new Array<number>(size).fill(0), variance: new Array<number>(size).fill(1) };
  return { ...snapshot, tensors, statistics: statistics && fresh };
}

const FILE: SnapshotFile = { name: 'policy.safetensors', kind: 'policy', format: 'heed policy 1' };

/**
 * Writes a policy as `policy.safetensors` to a folder, which is created if needed: `loadPolicy(folder)` makes the same
 * policy again.
 *
 * @throws HeedError if it is no policy, or the system refuses.
 */
export function savePolicy(folder: string, policy: { snapshot(): PolicySnapshot }): void {
  checkSaved('savePolicy', folder, 'policy', policy, 'snapshot');
  writeSnapshot(FILE, folder, policy.snapshot());
}

/** Whether a folder holds a saved policy. */
export const isSavedPolicy = (folder: string): boolean => existsSync(join(folder, FILE.name));

/**
 * Reads a policy that `savePolicy` wrote.
 * @throws HeedError if there is no such file, or it is of another format.
 */
export const readPolicy = (folder: string): PolicySnapshot =>
  readSnapshot(FILE, folder, 'Pass the folder of a run, or one that a policy was saved to.');

/** Spaces and tensors, and what else is known of a policy or a reward. */
interface Snapshot {
  observationSpace: Box;
  actionSpace: Space;
  tensors: Readonly<Record<string, SafetensorsTensor>>;
}

/** The file of a saved policy or reward in its folder. */
export interface SnapshotFile {
  name: string;
  kind: 'policy' | 'reward';
  format: string;
}

/** Writes a snapshot to a folder, which is created if needed. */
export function writeSnapshot({ name, kind, format }: SnapshotFile, folder: string, snapshot: Snapshot): void {
  const { tensors, ...description } = snapshot;
  const plain = { ...description, observationSpace: plainSpace(description.observationSpace) };
  const text = toJson({ ...plain, actionSpace: plainSpace(description.actionSpace) }, `the ${kind}`);
  createFolder(folder);
  writeSafetensors(join(folder, name), tensors, { format, [kind]: text });
}

/** Reads what `writeSnapshot` wrote. @throws HeedError if there is no such file, or it is of another format. */
export function readSnapshot<S extends Snapshot>(
  { name, kind, format }: SnapshotFile,
  folder: string,
  hint: string,
): S {
  const path = join(folder, name);
  const { metadata, tensors } = readSafetensors(path);
  checkFormat(path, `a ${kind}`, metadata.format, format, hint);
  const saved = fromJson(metadata[kind]) as { observationSpace: PlainSpace; actionSpace: PlainSpace };
  const [observationSpace, actionSpace] = [saved.observationSpace, saved.actionSpace].map(spaceOf);
  return { ...saved, observationSpace, actionSpace, tensors } as Snapshot as S;
}

/** A space as plain data: JSON has no typed arrays. */
type PlainSpace = Discrete | (Omit<Box, 'low' | 'high'> & { low: number[]; high: number[] });

/** A space as plain data. */
const plainSpace = (space: Space): PlainSpace =>
  space.kind === 'discrete' ? space : { ...space, low: [...space.low], high: [...space.high] };

/** The inverse of `plainSpace`. */
const spaceOf = (plain: PlainSpace): Space =>
  plain.kind === 'discrete'
    ? plain
    : { ...plain, low: Float32Array.from(plain.low), high: Float32Array.from(plain.high) };
