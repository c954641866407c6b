/**
 * A MuJoCo world: one simulation (`mjData`) of a compiled model, and its task.
 *
 * MuJoCo runs in this process as Google DeepMind's own WASM build. Its arrays are views of the module's memory, which
 * are detached whenever that memory grows. A world renews its views, so read them from the world and do not store them.
 */

import type { MainModule, MjData, MjModel } from '@mujoco/mujoco';
import { HeedError, messageOf } from '../../error.ts';
import type { MujocoTask, World } from './task.ts';

/** MuJoCo's numbers for kinds of objects, `mjtObj`. */
const objects = { body: 1, joint: 3, geom: 5, site: 6 } as const;

const none = new Float64Array(0);

/** One simulation, in memory outside JavaScript's heap. */
export class Simulation implements World {
  readonly mujoco: MainModule;
  readonly model: MjModel;
  /**
   * All of MuJoCo's state. Each read of one of its arrays creates a new view, so prefer the fields below in every step.
   */
  readonly data: MjData;
  readonly dt: number;
  qpos: Float64Array = none;
  qvel: Float64Array = none;
  ctrl: Float64Array = none;
  xpos: Float64Array = none;
  site_xpos: Float64Array = none;
  cfrc_ext: Float64Array = none;
  qfrc_constraint: Float64Array = none;
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

  body(name: string): number {
    return this.index('body', name);
  }

  site(name: string): number {
    return this.index('site', name);
  }

  joint(name: string): number {
    const cached = this.indices.get(`qpos ${name}`);
    if (cached !== undefined) return cached;
    const address = this.model.jnt_qposadr[this.index('joint', name)] as number;
    this.indices.set(`qpos ${name}`, address);
    return address;
  }

  /** Resets everything to the model's start, including the solver's state. */
  clear(): void {
    this.mujoco.mj_resetData(this.model, this.data);
    this.renew();
  }

  /** Computes all that follows from `qpos` and `qvel`; call it after changing them. */
  forward(): void {
    this.mujoco.mj_forward(this.model, this.data);
    this.renew();
  }

  setState(qpos: ArrayLike<number>, qvel: ArrayLike<number>): void {
    this.clear();
    this.qpos.set(qpos);
    this.qvel.set(qvel);
    this.forward();
  }

  /** Takes one step of the environment with the action in `ctrl`. */
  step(): void {
    const { mujoco, model, data } = this;
    this.before.qpos.set(this.qpos);
    this.before.xpos.set(this.xpos);
    for (let i = 0; i < this.frameSkip; i++) mujoco.mj_step(model, data);
    if (this.contactForces) mujoco.mj_rnePostConstraint(model, data);
    this.renew();
  }

  /** Frees the simulation; later uses of the world throw. */
  delete(): void {
    if (!this.data.isDeleted()) this.data.delete();
    this.qpos = none;
  }

  /**
   * Creates new views if the module's memory has moved. Call it before a step, since another world may have grown the
   * memory.
   */
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
    const cached = this.indices.get(key);
    if (cached !== undefined) return cached;
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

/**
 * Compiles MJCF. `delete()` frees the model's memory, which is outside JavaScript's heap. @throws HeedError with
 * MuJoCo's message.
 */
export function compileModel(mujoco: MainModule, { id, model, assets = {} }: MujocoTask): MjModel {
  const files = new mujoco.MjVFS();
  try {
    for (const [name, bytes] of Object.entries(assets)) files.addBuffer(name, bytes);
    const compiled = mujoco.MjModel.from_xml_string(model, files);
    if (compiled.nq > 0) return compiled;
    compiled.delete();
  } catch (error) {
    const message = messageOf(error).replace('MuJoCo Error: Loading error: ', '').trim();
    throw new HeedError(`${id}: expected a model that MuJoCo can compile, got: ${message}`, {
      hint: 'fix the MJCF; the XML reference is at mujoco.readthedocs.io/en/stable/XMLreference.html',
      cause: error,
    });
  } finally {
    files.delete();
  }
  throw new HeedError(`${id}: expected a model with a joint, got one in which nothing can move`, {
    hint: 'give a body of the MJCF a <joint> or a <freejoint>',
  });
}
