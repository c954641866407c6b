/**
 * What a task in MuJoCo is, and what its functions are shown. Named without MuJoCo's own types, which not every
 * compiler takes.
 */

import type { Random } from '../../random.ts';
import type { Environment } from '../environment.ts';

/** What a picture shows. */
export interface Camera {
  /** `side` looks along y at x and z, `above` looks down at x and y. */
  from: 'side' | 'above';
  /** Width of the picture, m. Default 4. */
  meters?: number;
  /** Body kept in the middle: its x from the side, its x and y from above. Default none: the middle is `center`. */
  follow?: string;
  /** What is in the middle of the picture where no body is followed: x and z from the side, x and y from above, m. */
  center?: readonly [number, number];
}

/** A world's physics and what is asked of the agent in it. Names of arrays are MuJoCo's own. */
export interface MujocoTask {
  /** The environment's name, such as Hopper-v5. */
  readonly id: string;
  /** MJCF. */
  readonly model: string;
  /** Files that the model names (`<include>`, meshes, height fields), by the names it uses. */
  readonly assets?: Readonly<Record<string, Uint8Array>>;
  /** Simulation steps in one step of the environment. Default 1. */
  readonly frameSkip?: number;
  /** Default 1000. */
  readonly maxEpisodeSteps?: number;
  /** Return from which the task counts as solved. Default: none. */
  readonly rewardThreshold?: number;
  /** Computes the contact forces, `cfrc_ext`, after each step: takes time. Default false. */
  readonly contactForces?: boolean;
  /** What a picture of the task shows. Default: from the side, 4 m wide. */
  readonly camera?: Camera;
  /** Changes the start of an episode, `qpos` and `qvel`, from the model's own: the noise. Default: changes nothing. */
  reset?(world: World, random: Random): void;
  /** The reward of the step just made; `world.ctrl` is the action, clipped. */
  reward(world: World): number;
  /** Whether the step just made ended the task. Default: never. */
  terminated?(world: World): boolean;
  /** How many numbers an observation has; needed with `observe`. */
  readonly observationSize?: number;
  /** Writes the observation. Default: all of `qpos`, then all of `qvel`. */
  observe?(world: World, observation: Float32Array | Float64Array): void;
}

/**
 * One simulation. Its arrays are views of memory that may move: read them from here each time, and do not keep them.
 */
export interface World {
  /** MuJoCo's `mjModel` and `mjData`, by its own names; each read of one of their arrays makes a new view. */
  readonly model: object;
  /** MuJoCo's `mjData`. */
  readonly data: object;
  /** Seconds of one step of the environment. */
  readonly dt: number;
  /** [nq] generalized positions. */
  readonly qpos: Float64Array;
  /** [nv] generalized velocities. */
  readonly qvel: Float64Array;
  /** [nu] the action, clipped. */
  readonly ctrl: Float64Array;
  /**
   * [nbody, 3] positions of the bodies, m. Of the last point at which MuJoCo computed them: within the last simulation
   * step.
   */
  readonly xpos: Float64Array;
  /** [nsite, 3] positions of the sites, m. */
  readonly site_xpos: Float64Array;
  /** [nbody, 6] torque and force of contacts on the bodies; only with `contactForces`. */
  readonly cfrc_ext: Float64Array;
  /** [nv] forces of constraints: contacts and limits. */
  readonly qfrc_constraint: Float64Array;
  /** `qpos` and `xpos` before the step. */
  readonly before: { readonly qpos: Float64Array; readonly xpos: Float64Array };
  /** The index of a named body, in `xpos` and `cfrc_ext`; likewise below. HeedError when there is none. */
  body(name: string): number;
  /** The index of a named site. HeedError if there is none. */
  site(name: string): number;
  /** Where a named joint's positions begin in `qpos`. */
  joint(name: string): number;
  /** Starts from exactly this state. qpos: [nq]; qvel: [nv]. */
  setState(qpos: ArrayLike<number>, qvel: ArrayLike<number>): void;
}

/** `world` is open to be read and, after a `reset`, set by `setState`. */
export type MujocoEnvironment = Environment & { readonly world: World; [Symbol.dispose](): void };
