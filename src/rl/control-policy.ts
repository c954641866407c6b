/** A trained policy that acts, and can be saved to a folder or written as ONNX (policy-onnx.ts). */
import { Disposables } from '../disposables.ts';
import type { EnvironmentSource } from '../env/batch/source.ts';
import { type Box, type Space, sizeOf } from '../env/environment.ts';
import { HeedError } from '../error.ts';
import { type Arena, exportParameters } from '../nn/parameters.ts';
import { random } from '../random.ts';
import { createEvaluator, type Evaluation } from './evaluate.ts';
import { createForward } from './forward.ts';
import { normalizeRows, normalizer } from './normalize.ts';
import { type ActingPolicy, greedyActions, type PolicyNetwork } from './policy.ts';
import { policyOnnx } from './policy-onnx.ts';
import { actorOf, type PolicySnapshot } from './policy-snapshot.ts';
import { type Actor, createActor } from './rollout.ts';
import { createSquashedActor } from './sac.ts';
import type { SquashedPolicy } from './squashed-policy.ts';

/** An action for callers: the number of a discrete one, or one number per element of a box. */
export type Action = number | number[];

/** A trained policy. Dispose of it when it is no longer needed. */
export interface ControlPolicy extends Disposable {
  /** Observations that it acts on: as many numbers as `low` has. */
  readonly observationSpace: Box;
  /** Its actions. */
  readonly actionSpace: Space;
  /**
   * The action for one observation. An element of a box is within the action space's bounds.
   *
   * @param options.greedy The likeliest action (the default), or one drawn from the policy's distribution.
   * @throws HeedError if the observation does not have the right number of finite numbers.
   */
  act(observation: ArrayLike<number>, options?: { greedy?: boolean }): Action;
  /** The actions for several observations at once; faster than one at a time. */
  actAll(observations: readonly ArrayLike<number>[], options?: { greedy?: boolean }): Action[];
  /**
   * Forgets the episode so far: call it when one begins, before the first `act`. Only a recurrent policy remembers; with
   * `actAll`, each place in the list is an episode of its own, and a list of another length begins anew.
   */
  reset(): void;
  /**
   * The bytes of `policy.onnx`, which ONNX Runtime runs in any language. `policyOnnx` describes its inputs and outputs.
   */
  onnx(): Uint8Array;
  /** Its state as plain data and tensors. */
  snapshot(): PolicySnapshot;
}

/** A policy from its snapshot. `seed` is the seed of drawn actions. */
export function createControlPolicy(snapshot: PolicySnapshot, { seed = 0 }: { seed?: number } = {}): ControlPolicy {
  const scope = new Disposables();
  const { network, parameters } = actorOf(snapshot);
  scope.use(parameters);
  const held: PolicySnapshot = { ...snapshot, tensors: exportParameters(parameters) };
  const { observationSpace, actionSpace, statistics } = held;
  const size = sizeOf(observationSpace);
  const rng = random(seed, 'act');
  const actors = {
    likeliest: ofAnyCount((rows) => createGreedyActor(network, parameters, rows)),
    drawing: ofAnyCount((rows) => createDrawingActor(network, parameters, rows)),
  };
  for (const actor of Object.values(actors)) scope.use(actor);

  function actAll(observations: readonly ArrayLike<number>[], { greedy = true } = {}): Action[] {
    const rows = observations.length;
    if (rows === 0) return [];
    const actor = (greedy ? actors.likeliest : actors.drawing).of(rows);
    observations.forEach((observation, row) => {
      checkObservation(observation, observationSpace);
      actor.observations.set(observation, row * size);
    });
    if (statistics) normalizeRows(statistics, actor.observations, actor.observations);
    const width = sizeOf(actionSpace);
    const actions = new Float32Array(rows * width);
    actor.act(rng, actions, new Float32Array(rows));
    return observations.map((_, row) => actionOf(actionSpace, actions.subarray(row * width, (row + 1) * width)));
  }

  return {
    observationSpace,
    actionSpace,
    act: (observation, options) => actAll([observation], options)[0],
    actAll,
    reset() {
      for (const actor of Object.values(actors)) actor.forget();
    },
    onnx: () => policyOnnx(held),
    snapshot: () => held,
    [Symbol.dispose]: scope[Symbol.dispose],
  };
}

/** Draws a snapshot's actions for a number of rows of raw observations, or with `greedy` takes the likeliest. */
export function createSnapshotActor(snapshot: PolicySnapshot, rows: number, greedy = false): Actor {
  const scope = new Disposables();
  const { network, parameters } = actorOf(snapshot);
  scope.use(parameters);
  const actor = scope.use((greedy ? createGreedyActor : createDrawingActor)(network, parameters, rows));
  const observations = new Float32Array(actor.observations.length);
  const { statistics } = snapshot;
  return {
    observations,
    act(random, actions, logProbs) {
      if (statistics) normalizeRows(statistics, observations, actor.observations);
      else actor.observations.set(observations);
      actor.act(random, actions, logProbs);
    },
    [Symbol.dispose]: scope[Symbol.dispose],
  };
}

/** Full greedy episodes of a snapshot's policy, from the same seeds as the evaluations of a run with this seed. */
export async function evaluateControlPolicy(
  source: Pick<EnvironmentSource, 'batch'>,
  snapshot: PolicySnapshot,
  { episodes, seed }: { episodes: number; seed: number },
): Promise<Evaluation> {
  const { network, parameters } = actorOf(snapshot);
  const { statistics } = snapshot;
  const prepare = normalizer(statistics);
  const evaluator = createEvaluator(source.batch(episodes), network, parameters, { seed, prepare });
  try {
    return await evaluator.run();
  } finally {
    evaluator[Symbol.dispose]();
    parameters[Symbol.dispose]();
  }
}

/** An actor that draws actions. */
export const createDrawingActor = (network: PolicyNetwork | SquashedPolicy, parameters: Arena, rows: number): Actor =>
  'sample' in network ? createSquashedActor(network, parameters, rows) : createActor(network, parameters, rows);

/** Makes an actor for a number of rows, and reuses it until the number changes. */
function ofAnyCount(make: (rows: number) => Actor): Disposable & { of(rows: number): Actor; forget(): void } {
  let made: { rows: number; it: Actor } | undefined;
  const dispose = () => made?.it[Symbol.dispose]();
  return {
    of(rows) {
      if (made?.rows !== rows) {
        dispose();
        made = { rows, it: make(rows) };
      }
      return made.it;
    },
    forget: () => made?.it.memory?.fill(0),
    [Symbol.dispose]: dispose,
  };
}

/** An actor that takes the likeliest actions. */
function createGreedyActor(network: ActingPolicy, parameters: Arena, rows: number): Actor {
  const forward = createForward(network, parameters, rows);
  return {
    observations: forward.observations,
    memory: forward.memory,
    act(_, actions) {
      forward.run();
      greedyActions(network, forward.distribution, actions);
    },
    [Symbol.dispose]: forward[Symbol.dispose],
  };
}

function checkObservation(observation: ArrayLike<number>, { low: { length: size }, mask }: Box): void {
  if (observation?.length !== size) {
    const hint = mask
      ? `the last ${mask} are the action mask: 1 for each action that is allowed, 0 for the others`
      : 'pass one observation to act, and a list of them to actAll';
    throw new HeedError(`an observation has ${size} numbers here, got ${observation?.length ?? observation}`, { hint });
  }
  for (let i = 0; i < size; i++) {
    if (Number.isFinite(observation[i])) continue;
    throw new HeedError(`number ${i} of the observation is ${observation[i]}`, { hint: 'pass finite numbers' });
  }
  if (mask && !Array.prototype.some.call(observation, (x, i) => i >= size - mask && x === 1)) {
    throw new HeedError('the action mask allows no action', {
      hint: `write 1 for each action that is allowed into the last ${mask} numbers of the observation`,
    });
  }
}

function actionOf(space: Space, action: Float32Array): Action {
  if (space.kind === 'discrete') return action[0];
  return Array.from(action, (x, j) => Math.max(space.low[j], Math.min(space.high[j], x)));
}
