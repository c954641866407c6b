/**
 * A MuJoCo world: one simulation (`mjData`) of a compiled model, and the task it is used for.
 *
 * MuJoCo runs in this process as Google DeepMind's own WASM build. Its arrays are views of the module's memory, which
 * are detached whenever that memory grows: a world renews its views, so read them from the world and do not keep them.
 */

import type { MainModule, MjData, MjModel } from '@mujoco/mujoco';
import { HeedError, messageOf } from '../../error.ts';
import type { Random } from '../../random.ts';

/** What a picture shows. */
export interface Camera {
  /** `side` looks along y at x and z, `above` looks down at x and y. */
  from: 'side' | 'above';
  /** Width of the picture, m. Default 4. */
  metres?: number;
  /** Body kept in the middle: its x from the side, its x and y from above. Default none: the middle is `centre`. */
  follow?: string;
  /** What is in the middle of the picture where no body is followed: x and z from the side, x and y from above, m. */
  centre?: readonly [number, number];
}

/** A world's physics and what is asked of the agent in it. Names of arrays are MuJoCo's own. */
export interface MujocoTask {
  readonly id: string;
  /** MJCF. */
  readonly model: string;
  /** Files that the model names (`<include>`, meshes, height fields), by the names it uses. */
  readonly assets?: Readonly<Record<string, Uint8Array>>;
  /** Simulation steps in one step of the environment. Default 1. */
  readonly frameSkip?: number;
  /** Default 1000. */
  readonly maxEpisodeSteps?: number;
  readonly rewardThreshold?: number;
  /** Computes the contact forces, `cfrc_ext`, after each step: takes time. Default false. */
  readonly contactForces?: boolean;
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

/** MuJoCo's numbers of kinds of objects, `mjtObj`. */
const objects = { body: 1, joint: 3, geom: 5, site: 6 } as const;

const none = new Float64Array(0);

/** One simulation, in memory outside JavaScript's heap. */
export class World {
  readonly mujoco: MainModule;
  readonly model: MjModel;
  /** All of MuJoCo's state; each read of one of its arrays makes a new view, so prefer the fields below in every step. */
  readonly data: MjData;
  /** Seconds of one step of the environment. */
  readonly dt: number;
  /** [nq] generalised positions. */
  qpos: Float64Array = none;
  /** [nv] generalised velocities. */
  qvel: Float64Array = none;
  /** [nu] the action, clipped. */
  ctrl: Float64Array = none;
  /** [nbody, 3] positions of the bodies, m. Of the last point at which MuJoCo computed them: within the last simulation step. */
  xpos: Float64Array = none;
  /** [nsite, 3] positions of the sites, m. */
  site_xpos: Float64Array = none;
  /** [nbody, 6] torque and force of contacts on the bodies; only with `contactForces`. */
  cfrc_ext: Float64Array = none;
  /** [nv] forces of constraints: contacts and limits. */
  qfrc_constraint: Float64Array = none;
  /** `qpos` and `xpos` before the step. */
  readonly before: { readonly qpos: Float64Array; readonly xpos: Float64Array };
  private readonly frameSkip: number;
  private readonly contactForces: boolean;
  private readonly indices = new Map<string, number>();

  constructor(mujoco: MainModule, model: MjModel, { frameSkip = 1, contactForces = false }: MujocoTask) {
    this.mujoco = mujoco;
    this.model = model;
    this.data = new mujoco.MjData(model);
    this.dt = (model.opt as { timestep: number }).timestep * frameSkip;
    this.frameSkip = frameSkip;
    this.contactForces = contactForces;
    this.renew();
    this.before = { qpos: this.qpos.slice(), xpos: this.xpos.slice() };
  }

  /** The index of a named body, in `xpos` and `cfrc_ext`; likewise below. HeedError when there is none. */
  body(name: string): number {
    return this.index('body', name);
  }

  site(name: string): number {
    return this.index('site', name);
  }

  /** Where a named joint's positions begin in `qpos`. */
  joint(name: string): number {
    const known = this.indices.get(`qpos ${name}`);
    if (known !== undefined) return known;
    const address = this.model.jnt_qposadr[this.index('joint', name)] as number;
    this.indices.set(`qpos ${name}`, address);
    return address;
  }

  /** Back to the model's own start, with nothing kept of what was before, also not the solver's. */
  clear(): void {
    this.mujoco.mj_resetData(this.model, this.data);
    this.renew();
  }

  /** Computes all that follows from `qpos` and `qvel`; call it after changing them. */
  forward(): void {
    this.mujoco.mj_forward(this.model, this.data);
    this.renew();
  }

  /** Starts from exactly this state. qpos: [nq]; qvel: [nv]. */
  setState(qpos: ArrayLike<number>, qvel: ArrayLike<number>): void {
    this.clear();
    this.qpos.set(qpos);
    this.qvel.set(qvel);
    this.forward();
  }

  /** Moves on by one step of the environment with the action in `ctrl`. */
  step(): void {
    const { mujoco, model, data } = this;
    this.before.qpos.set(this.qpos);
    this.before.xpos.set(this.xpos);
    for (let i = 0; i < this.frameSkip; i++) mujoco.mj_step(model, data);
    if (this.contactForces) mujoco.mj_rnePostConstraint(model, data);
    this.renew();
  }

  /** Frees the simulation; what is done with the world after that throws. */
  delete(): void {
    if (!this.data.isDeleted()) this.data.delete();
    this.qpos = none;
  }

  /** Takes new views where the module's memory has moved; call it before a step, since another world may have made it grow. */
  renew(): void {
    if (this.qpos.length > 0) return; // a detached view is empty
    const { data } = this;
    this.qpos = data.qpos;
    this.qvel = data.qvel;
    this.ctrl = data.ctrl;
    this.xpos = data.xpos;
    this.site_xpos = data.site_xpos;
    this.cfrc_ext = data.cfrc_ext;
    this.qfrc_constraint = data.qfrc_constraint;
  }

  private index(kind: keyof typeof objects, name: string): number {
    const key = `${kind} ${name}`;
    const known = this.indices.get(key);
    if (known !== undefined) return known;
    const found = this.mujoco.mj_name2id(this.model, objects[kind], name);
    if (found < 0) {
      throw new HeedError(`expected the name of a ${kind} of the model, got "${name}"`, {
        hint: `give the ${kind} that name in the MJCF`,
      });
    }
    this.indices.set(key, found);
    return found;
  }
}

/** Compiles MJCF. HeedError with MuJoCo's message. Owns memory outside JavaScript's heap: `delete()` frees it. */
export function compile(mujoco: MainModule, { id, model, assets = {} }: MujocoTask): MjModel {
  const files = new mujoco.MjVFS();
  try {
    for (const [name, bytes] of Object.entries(assets)) files.addBuffer(name, bytes);
    const compiled = mujoco.MjModel.from_xml_string(model, files);
    if (compiled.nq > 0) return compiled;
    compiled.delete();
  } catch (error) {
    const message = messageOf(error).replace('MuJoCo Error: Loading error: ', '').trim();
    throw new HeedError(`${id}: expected a model that MuJoCo can compile, got: ${message}`, {
      hint: 'mend the MJCF; the XML reference is at mujoco.readthedocs.io/en/stable/XMLreference.html',
      cause: error,
    });
  } finally {
    files.delete();
  }
  throw new HeedError(`${id}: expected a model with a joint, got one in which nothing can move`, {
    hint: 'give a body of the MJCF a <joint> or a <freejoint>',
  });
}
