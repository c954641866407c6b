/**
 * Branches: what else could have happened. An episode is repeated up to the start of a segment, and continues from there
 * with other actions. The two segments begin in the same state, as two completions have the same prompt, so the
 * teacher's choice is about the actions alone. Two segments from anywhere differ most of all in their states.
 */

import { isAllowed } from '../../env/action-mask.ts';
import type { EnvironmentBatch } from '../../env/batch/batch.ts';
import { sizeOf } from '../../env/environment.ts';
import type { Random } from '../../random.ts';
import { uniformActions } from '../../rl/policy.ts';
import type { Actor } from '../../rl/rollout.ts';
import { like, type Segment } from '../segments.ts';

/** A segment with its episode, and how many steps the other that begins in the same state may have. */
export interface BranchPoint {
  segment: Segment;
  steps: number;
}

/** Makes branches. */
export interface Branching extends Disposable {
  /**
   * For each segment, another that begins in the same state. Undefined where the environment does not get to that state
   * again by the same actions.
   */
  branch(points: readonly BranchPoint[], random: Random): (Segment | undefined)[];
}

const HELD = 0.5; // share of the branches that begin with one action, repeated: policies rarely do that by chance
const SAME = 1e-3; // largest difference of a number in an observation, as a share of its size

/** Branches in the copies of `batch`, with the actor's actions. Disposes of both. */
export function createBranching(
  batch: EnvironmentBatch,
  actor: Actor,
  prepare: (observations: Float32Array) => Float32Array = (observations) => observations,
): Branching {
  const { count, observationSpace, actionSpace, observations, finalObservations, rewards, terminated, truncated } =
    batch;
  const sizes = { observation: sizeOf(observationSpace), action: sizeOf(actionSpace) };
  const image = observationSpace.shape !== undefined;
  const actions = new Float32Array(count * sizes.action);
  const heldActions = new Float32Array(count * sizes.action);
  const logProbs = new Float32Array(count);
  const stay = new Float64Array(count).fill(-1); // an episode that ends is not followed by another
  batch.reset(new Float64Array(count)); // copies without a branch are stepped too

  const rowOf = (rows: Float32Array, size: number, copy: number): Float32Array =>
    rows.subarray(copy * size, (copy + 1) * size);

  /** Brings a copy to where a segment begins. */
  function begin(copy: number, { segment: { episode, from, observations: seen } }: BranchPoint): boolean {
    try {
      batch.replay(copy, episode!.seed, episode!.actions.subarray(0, from! * sizes.action));
    } catch {
      batch.replay(copy, episode!.seed, new Float32Array(0)); // this time the episode ended sooner
      return false;
    }
    const found = rowOf(observations, sizes.observation, copy);
    return found.every((x, i) => Math.abs(x - seen[i]) <= SAME * (1 + Math.abs(seen[i])));
  }

  /** Branches of at most `count` segments, side by side. */
  function branchFew(points: readonly BranchPoint[], random: Random): (Segment | undefined)[] {
    uniformActions(batch, random, observations, heldActions);
    actor.memory?.fill(0); // what happened before a branch is shown by its first observation alone
    const branches = points.map((point, copy) => {
      const { segment, steps } = point;
      const held = random.uniform() < HELD ? 1 + random.integer(steps) : 0;
      return { ...point, copy, held, length: 0, isOpen: begin(copy, point), ...emptySteps(segment, steps, sizes) };
    });
    for (let t = 0; branches.some(({ isOpen }) => isOpen); t++) {
      actor.observations.set(prepare(observations));
      actor.act(random, actions, logProbs);
      const open = branches.filter(({ isOpen }) => isOpen);
      for (const { copy, held, ...branch } of open) {
        const action = rowOf(actions, sizes.action, copy);
        const heldAction = rowOf(heldActions, sizes.action, copy);
        const isPossible = isAllowed(observationSpace, rowOf(observations, sizes.observation, copy), heldAction[0]);
        if (t < held && isPossible) action.set(heldAction);
        branch.observations.set(rowOf(observations, sizes.observation, copy), t * sizes.observation);
        branch.actions.set(action, t * sizes.action);
      }
      batch.step(actions, stay);
      for (const branch of open) {
        const { copy } = branch;
        const hasEnded = terminated[copy] === 1 || truncated[copy] === 1;
        const next = rowOf(hasEnded ? finalObservations : observations, sizes.observation, copy);
        if (!image) branch.nextObservations.set(next, t * sizes.observation);
        branch.rewards[t] = rewards[copy];
        branch.terminated = terminated[copy] === 1;
        branch.length = t + 1;
        branch.isOpen = !hasEnded && t + 1 < branch.steps;
      }
    }
    return branches.map((branch) => (branch.length > 0 ? segmentOf(branch, sizes) : undefined));
  }

  return {
    branch: (points, random) =>
      Array.from({ length: Math.ceil(points.length / count) }, (_, i) =>
        branchFew(points.slice(i * count, (i + 1) * count), random),
      ).flat(),
    [Symbol.dispose]() {
      actor[Symbol.dispose]();
      batch[Symbol.dispose]();
    },
  };
}

interface Sizes {
  observation: number;
  action: number;
}

/** Memory for a segment of `steps` steps, of the same kind as `segment`. */
function emptySteps(segment: Segment, steps: number, sizes: Sizes) {
  return {
    observations: like(segment.observations, steps * sizes.observation),
    actions: new Float32Array(steps * sizes.action),
    nextObservations: like(
      segment.nextObservations,
      segment.nextObservations.length > 0 ? steps * sizes.observation : 0,
    ),
    rewards: new Float32Array(steps),
    terminated: false,
  };
}

/** A branch as a segment: its own steps, in an episode that begins with another's. */
function segmentOf(
  { segment, length, terminated, ...branch }: BranchPoint & ReturnType<typeof emptySteps> & { length: number },
  sizes: Sizes,
): Segment {
  const from = segment.from!;
  const actions = new Float32Array((from + length) * sizes.action);
  actions.set(segment.episode!.actions.subarray(0, from * sizes.action));
  actions.set(branch.actions.subarray(0, length * sizes.action), from * sizes.action);
  return {
    length,
    observations: branch.observations.slice(0, length * sizes.observation),
    actions: branch.actions.slice(0, length * sizes.action),
    nextObservations: branch.nextObservations.slice(0, length * sizes.observation),
    rewards: branch.rewards.slice(0, length),
    terminated,
    episode: { seed: segment.episode!.seed, actions, length: from + length },
    from,
  };
}
