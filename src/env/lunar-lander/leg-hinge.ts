/**
 * The lunar lander's hinge: planck's revolute joint, with a velocity solver that allocates nothing and stops once it
 * has converged. Nearly all time of a step goes there. The equations are those of a revolute joint with a motor and a
 * limit under sequential impulses (Catto 2009).
 *
 * It uses private parts of planck 1.4.2; the recorded episodes in the tests would reveal a change there.
 */

import { type Body, RevoluteJoint, type RevoluteJointDef, type TimeStep } from 'planck';

interface Velocity {
  v: { x: number; y: number };
  w: number;
}

interface Vector {
  x: number;
  y: number;
  z: number;
}

interface Internals {
  m_invMassA: number;
  m_invMassB: number;
  m_invIA: number;
  m_invIB: number;
  m_rA: { x: number; y: number };
  m_rB: { x: number; y: number };
  m_mass: { ex: Vector; ey: Vector; ez: Vector };
  m_impulse: Vector;
  m_motorMass: number;
  m_motorImpulse: number;
  m_limitState: number;
}

const atLowerLimit = 1;
const atUpperLimit = 2;

/**
 * Change in a sweep below which the solver has converged, units/s: about the resolution of float32, in which the task
 * was designed.
 */
const converged = 1e-6;

const velocityOf = (body: Body): Velocity => (body as unknown as { c_velocity: Velocity }).c_velocity;

/**
 * A hinge between the lander, `definition.bodyA`, and a leg, `bodyB`. The hinge that is created last gets the other
 * one. It ends the sweeps over all joints and contacts once a sweep changes neither the three bodies' velocities nor
 * the motors' impulses, which keep rising against a limit after the velocities have settled.
 */
export class LegHinge extends RevoluteJoint {
  private readonly lander: Velocity;
  private readonly leg: Velocity;
  private readonly maxTorque: number;
  private readonly speed: number;
  private readonly sibling: LegHinge | undefined;
  private readonly current = new Float64Array(11);
  private readonly before = new Float64Array(11);
  private sweeps = 0;

  constructor(definition: RevoluteJointDef & { bodyA: Body; bodyB: Body }, sibling?: LegHinge) {
    super(definition);
    this.lander = velocityOf(definition.bodyA);
    this.leg = velocityOf(definition.bodyB);
    this.maxTorque = definition.maxMotorTorque ?? 0;
    this.speed = definition.motorSpeed ?? 0;
    this.sibling = sibling;
  }

  override initVelocityConstraints(step: TimeStep): void {
    super.initVelocityConstraints(step);
    this.before.fill(Number.NaN);
    this.sweeps = step.velocityIterations;
  }

  override solveVelocityConstraints(step: TimeStep): void {
    if (this.sibling && this.hasConverged(this.sibling)) step.velocityIterations = 0;

    const inner = this as unknown as Internals;
    const { m_invMassA: massA, m_invMassB: massB, m_invIA: inertiaA, m_invIB: inertiaB } = inner;
    const { x: ax, y: ay } = inner.m_rA;
    const { x: bx, y: by } = inner.m_rB;
    const { ex, ey, ez } = inner.m_mass;
    const total = inner.m_impulse;
    const { lander, leg } = this;
    let spinA = lander.w;
    let spinB = leg.w;

    const maxImpulse = step.dt * this.maxTorque;
    const motorBefore = inner.m_motorImpulse;
    const impulse = motorBefore - inner.m_motorMass * (spinB - spinA - this.speed);
    inner.m_motorImpulse = Math.min(Math.max(impulse, -maxImpulse), maxImpulse);
    spinA -= inertiaA * (inner.m_motorImpulse - motorBefore);
    spinB += inertiaB * (inner.m_motorImpulse - motorBefore);

    // how fast the two anchors separate, and the hinge opens
    const slipX = leg.v.x - spinB * by - lander.v.x + spinA * ay;
    const slipY = leg.v.y + spinB * bx - lander.v.y - spinA * ax;
    const opening = spinB - spinA;

    const k11 = ex.x;
    const k12 = ey.x;
    const k22 = ey.y;
    const minor = k11 * k22 - k12 * k12;
    const state = inner.m_limitState;
    let twist = 0;
    if (state === atLowerLimit || state === atUpperLimit) {
      const k13 = ez.x;
      const k23 = ez.y;
      const cofactor1 = k12 * k23 - k22 * k13;
      const cofactor2 = k12 * k13 - k11 * k23;
      const determinant = k13 * cofactor1 + k23 * cofactor2 + ez.z * minor;
      twist = -(cofactor1 * slipX + cofactor2 * slipY + minor * opening) / determinant;
      // the stop can only push one way
      const after = total.z + twist;
      if (state === atLowerLimit ? after < 0 : after > 0) twist = -total.z;
      total.z += twist;
    }
    const restX = -slipX - ez.x * twist;
    const restY = -slipY - ez.y * twist;
    const impulseX = (k22 * restX - k12 * restY) / minor;
    const impulseY = (k11 * restY - k12 * restX) / minor;
    total.x += impulseX;
    total.y += impulseY;

    lander.v.x -= massA * impulseX;
    lander.v.y -= massA * impulseY;
    lander.w = spinA - inertiaA * (ax * impulseY - ay * impulseX + twist);
    leg.v.x += massB * impulseX;
    leg.v.y += massB * impulseY;
    leg.w = spinB + inertiaB * (bx * impulseY - by * impulseX + twist);
  }

  override solvePositionConstraints(step: TimeStep): boolean {
    // the sweeps are over: restore the count, which later parts of the step read
    step.velocityIterations = this.sweeps;
    return super.solvePositionConstraints(step);
  }

  private hasConverged(sibling: LegHinge): boolean {
    const { current, before, lander } = this;
    current[0] = lander.v.x;
    current[1] = lander.v.y;
    current[2] = lander.w;
    this.writeTo(current, 3);
    sibling.writeTo(current, 7);
    let same = true;
    for (let i = 0; i < current.length; i++) {
      same &&= Math.abs(current[i] - before[i]) < converged;
      before[i] = current[i];
    }
    return same;
  }

  private writeTo(out: Float64Array, at: number): void {
    out[at] = this.leg.v.x;
    out[at + 1] = this.leg.v.y;
    out[at + 2] = this.leg.w;
    out[at + 3] = (this as unknown as Internals).m_motorImpulse;
  }
}
