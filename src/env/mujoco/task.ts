/**
 * The interface of MuJoCo tasks, and what their functions get. It avoids MuJoCo's own types, which not every compiler
 * accepts.
 */

import type { Random } from '../../random.ts';
import type { Environment } from '../environment.ts';

/** What pictures show. */
export interface Camera {
  /** `side` looks along y at x and z, `above` looks down at x and y. */
  from: 'side' | 'above';
  /** Width of the picture, m. Default 4. */
  meters?: number;
  /**
   * Body in the middle of the picture: its x from the side, its x and y from above. Default: none; the middle is
   * `center`.
   */
  follow?: string;
  /** Middle of the picture if no body is followed: x and z from the side, x and y from above, m. */
  center?: readonly [number, number];
}

/** A world's physics and task. Names of arrays are MuJoCo's own. */
export interface MujocoTask {
  /** The environment's name, such as Hopper-v5. */
  readonly id: string;
  /** The model as MJCF. */
  readonly model: string;
  /** Files that the model names (`<include>`, meshes, height fields), by the names it uses. */
  readonly assets?: Readonly<Record<string, Uint8Array>>;
  /** Simulation steps in one step of the environment. Default 1. */
  readonly frameSkip?: number;
  /** Steps after which an episode is truncated. Default 1000. */
  readonly maxEpisodeSteps?: number;
  /** Return from which the task counts as solved. Default: none. */
  readonly rewardThreshold?: number;
  /** Computes the contact forces, `cfrc_ext`, after each step, which takes time. Default false. */
  readonly contactForces?: boolean;
  /** What a picture of the task shows. Default: from the side, 4 m wide. */
  readonly camera?: Camera;
  /** Adds noise to the start of an episode: changes `qpos` and `qvel` from the model's own. Default: no change. */
  reset?(world: World, random: Random): void;
  /** The reward of the last step; `world.ctrl` is the action, clipped. */
  reward(world: World): number;
  /** Whether the last step ended the task. Default: never. */
  terminated?(world: World): boolean;
  /** Numbers in an observation; required with `observe`. */
  readonly observationSize?: number;
  /** Writes the observation. Default: all of `qpos`, then all of `qvel`. */
  observe?(world: World, observation: Float32Array | Float64Array): void;
}

/** A simulation. Its arrays are views of memory that may move: read them from here each time, and do not store them. */
export interface World {
  /** MuJoCo's `mjModel`; each read of one of its arrays creates a new view. */
  readonly model: object;
  /** MuJoCo's `mjData`; each read of one of its arrays creates a new view. */
  readonly data: object;
  /** Seconds of one step of the environment. */
  readonly dt: number;
  /** [nq] generalized positions. */
  readonly qpos: Float64Array;
  /** [nv] generalized velocities. */
  readonly qvel: Float64Array;
  /** [nu] the action, clipped. */
  readonly ctrl: Float64Array;
  /** [nbody, 3] positions of the bodies, m, as MuJoCo last computed them: within the last simulation step. */
  readonly xpos: Float64Array;
  /** [nsite, 3] positions of the sites, m. */
  readonly site_xpos: Float64Array;
  /** [nbody, 6] torque and force of contacts on the bodies; only with `contactForces`. */
  readonly cfrc_ext: Float64Array;
  /** [nv] forces of constraints: contacts and limits. */
  readonly qfrc_constraint: Float64Array;
  /** `qpos` and `xpos` before the step. */
  readonly before: { readonly qpos: Float64Array; readonly xpos: Float64Array };
  /** The index of a named body, in `xpos` and `cfrc_ext`. @throws HeedError if there is none. */
  body(name: string): number;
  /** The index of a named site. @throws HeedError if there is none. */
  site(name: string): number;
  /** The index in `qpos` where a named joint's positions begin. @throws HeedError if there is none. */
  joint(name: string): number;
  /** Starts from exactly this state. qpos: [nq]; qvel: [nv]. */
  setState(qpos: ArrayLike<number>, qvel: ArrayLike<number>): void;
}

/** `world` can be read and, after a `reset`, set by `setState`. */
export type MujocoEnvironment = Environment & { readonly world: World; [Symbol.dispose](): void };
