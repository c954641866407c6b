/**
 * LunarLander-v3: bring a lander down on a pad with a main engine and two orientation engines, which are on or off, or in
 * LunarLanderContinuous-v3 have a throttle. The task of Gymnasium 1.3.0 (Klimov's), on planck's port of the same physics
 * in float64.
 *
 * A world of 20 × 13⅓ units: the ground is ten edges, flat about the pad in the middle; the lander is a body and two
 * legs on motorized hinges. Reward: what a shaping of distance, speed, tilt and leg contact gained, less fuel (0.3 a
 * step of the main engine at full power, 0.03 of a side engine); −100 and the end for touching down on the body or
 * leaving the view, +100 and the end for coming to rest.
 *
 * An episode draws, in this order: twelve heights, the two parts of the first push, and two numbers a step by which the
 * engines stray.
 */

import { type Body, Box, type Contact, Edge, type MassData, Polygon, Vec2, World } from 'planck';
import { random } from '../../random.ts';
import { withTimeLimit } from '../dynamics.ts';
import type { Environment, FrameShape, Space } from '../environment.ts';
import { flag, ink, polygon } from '../picture/shapes.ts';
import { LegHinge } from './leg-hinge.ts';

const scale = 30; // pixels a unit, in which the sizes below were chosen
const width = 600 / scale;
const height = 400 / scale;
const stepsPerSecond = 50;
const velocityIterations = 180;
const positionIterations = 60;

const chunks = 11;
const padHeight = height / 4;
const padChunk = 5;
const chunkX = (i: number) => (width / (chunks - 1)) * i;

const hull = [-14, 17, -17, 0, -17, -10, 17, -10, 17, 0, 14, 17].map((x) => x / scale);
const legAway = 20 / scale;
const legDown = 18 / scale;
const legHalfWidth = 2 / scale;
const legHalfHeight = 8 / scale;
const legTorque = 40;
const legSpeed = 0.3;
const legTravel = [0.4, 0.9];

const firstPush = 1000; // maximum newtons, for one step
const mainPower = 13;
const mainOffset = 4 / scale;
const sidePower = 0.6;
const sideAway = 12 / scale;
// where the side engines push: two numbers that would be one on a real lander, kept as in the original task
const sideAlong = 17 / scale;
const sideHeight = 14 / scale;

const groundBits = 0x0001;
const landerBits = 0x0010;
const legBits = 0x0020;

/** Power of the main engine, 0 or 0.5 … 1, and of the side engines, the same, negative for the left one. */
type Engines = readonly [main: number, side: number];
const off: Engines = [0, 0];
const onOff: Engines[] = [off, [0, -1], [1, 0], [0, 1]];

/** What differs between engines that are on or off and engines with a throttle. */
const kinds = {
  discrete: {
    id: 'LunarLander-v3',
    actionSpace: { kind: 'discrete', n: 4 } as Space,
    enginesOf: (action: ArrayLike<number>): Engines => onOff[action[0]],
  },
  continuous: {
    id: 'LunarLanderContinuous-v3',
    actionSpace: { kind: 'box', low: Float32Array.of(-1, -1), high: Float32Array.of(1, 1) } as Space,
    enginesOf({ 0: throttle, 1: turn }: ArrayLike<number>): Engines {
      const [main, side] = [throttle, turn].map((x) => Math.min(1, Math.max(-1, x)));
      return [main > 0 ? (main + 1) / 2 : 0, Math.abs(side) > 0.5 ? side : 0];
    },
  },
};

/** Options of `lunarLander`. */
export interface LunarLanderOptions {
  /** Whether the engines have a throttle; false by default. */
  continuous?: boolean;
  /** An episode's stream of numbers in [0, 1), by its seed; tests pass a recording. */
  uniformOf?: (seed: number) => () => number;
}

/**
 * Observation [8]: x and y from the pad and their velocities, scaled to the view; angle rad, scaled angular velocity;
 * whether the right and the left leg touch. Actions: 0 nothing, 1 left engine, 2 main engine, 3 right engine; or, if
 * `continuous`, two numbers of −1 … 1: the main engine is off up to 0 and at 50 to 100 % above, and the left engine
 * fires below −0.5, the right one above 0.5.
 */
export function lunarLander({ continuous = false, ...options }: LunarLanderOptions = {}): Environment {
  const { id, actionSpace, enginesOf } = kinds[continuous ? 'continuous' : 'discrete'];
  const { uniformOf = (seed: number) => random(seed, id).uniform } = options;
  let uniform: () => number;
  let world: World;
  let lander: Body;
  let legs: Body[] = [];
  let ground: number[] = [];
  const touching = [false, false];
  let crashed = false;
  let shaping = 0;
  let engines = off; // of the last step
  const seen = new Float64Array(8);

  const onContact = (contact: Contact, begins: boolean) => {
    for (const body of [contact.getFixtureA().getBody(), contact.getFixtureB().getBody()]) {
      if (body === lander) crashed ||= begins;
      const leg = legs.indexOf(body);
      if (leg >= 0) touching[leg] = begins;
    }
  };

  /** Takes one step of the world and returns the reward of the shaping. */
  const move = (engines: Engines): number => {
    fire(lander, engines, uniform);
    world.step(1 / stepsPerSecond, velocityIterations, positionIterations);

    const position = lander.getPosition();
    const velocity = lander.getLinearVelocity();
    seen[0] = (position.x - width / 2) / (width / 2);
    seen[1] = (position.y - (padHeight + legDown)) / (height / 2);
    seen[2] = (velocity.x * (width / 2)) / stepsPerSecond;
    seen[3] = (velocity.y * (height / 2)) / stepsPerSecond;
    seen[4] = lander.getAngle();
    seen[5] = (20 * lander.getAngularVelocity()) / stepsPerSecond;
    seen[6] = touching[0] ? 1 : 0;
    seen[7] = touching[1] ? 1 : 0;
    const before = shaping;
    shaping =
      -100 * Math.sqrt(seen[0] * seen[0] + seen[1] * seen[1]) -
      100 * Math.sqrt(seen[2] * seen[2] + seen[3] * seen[3]) -
      100 * Math.abs(seen[4]) +
      10 * (seen[6] + seen[7]);
    return shaping - before;
  };

  return withTimeLimit({
    id,
    observationSpace: {
      kind: 'box',
      low: Float32Array.of(-2.5, -2.5, -10, -10, -2 * Math.PI, -10, 0, 0),
      high: Float32Array.of(2.5, 2.5, 10, 10, 2 * Math.PI, 10, 1, 1),
    },
    actionSpace,
    maxEpisodeSteps: 1000,
    rewardThreshold: 200,
    framesPerSecond: stepsPerSecond,
    start(seed) {
      uniform = uniformOf(seed);
      // a new world each time: a reused one remembers the order of its old contacts
      world = new World({ gravity: { x: 0, y: -10 } });
      world.on('begin-contact', (contact) => onContact(contact, true));
      world.on('end-contact', (contact) => onContact(contact, false));
      crashed = false;
      touching.fill(false);
      ground = buildGround(world, uniform);
      lander = buildLander(world, uniform);
      legs = [buildLeg(world, -1), buildLeg(world, 1)];
      const left = hinge(world, lander, legs[0], -1);
      hinge(world, lander, legs[1], 1, left);
      engines = off;
      move(engines);
    },
    advance(action, outcome) {
      engines = enginesOf(action);
      const [main, side] = engines;
      outcome.reward = move(engines) - 0.3 * main - 0.03 * Math.abs(side);
      if (crashed || Math.abs(seen[0]) >= 1) {
        outcome.terminated = true;
        outcome.reward = -100;
      }
      if (!lander.isAwake()) {
        outcome.terminated = true;
        outcome.reward = 100;
      }
    },
    observe: (observation) => observation.set(seen),
    frame: () => ({ width: 600, height: 400, shapes: picture(ground, lander, legs, engines) }),
  });
}

/** Fires the engines for a step, each slightly astray. */
function fire(lander: Body, [main, side]: Engines, uniform: () => number): void {
  const angle = lander.getAngle();
  const sin = Math.sin(angle);
  const cos = Math.cos(angle);
  const stray0 = (2 * uniform() - 1) / scale;
  const stray1 = (2 * uniform() - 1) / scale;
  if (main !== 0) {
    const down = mainOffset + 2 * stray0;
    thrust(lander, main * mainPower, sin * down - cos * stray1, -cos * down - sin * stray1, 0, 0);
  }
  if (side !== 0) {
    const across = 3 * stray1 + Math.sign(side) * sideAway;
    const [x, y] = [sin * stray0 - cos * across, -cos * stray0 - sin * across];
    thrust(lander, Math.abs(side) * sidePower, x, y, -sin * sideAlong, cos * sideHeight);
  }
}

/** Builds the ground; its heights, from left to right. */
function buildGround(world: World, uniform: () => number): number[] {
  const heights = Array.from({ length: chunks + 1 }, () => (height / 2) * uniform());
  heights.fill(padHeight, padChunk - 2, padChunk + 3);
  // the first chunk's left neighbor is the last height drawn
  const ground = Array.from({ length: chunks }, (_, i) => 0.33 * (heights.at(i - 1)! + heights[i] + heights[i + 1]));
  const body = world.createBody();
  body.createFixture({ shape: new Edge(new Vec2(0, 0), new Vec2(width, 0)) });
  for (let i = 0; i + 1 < chunks; i++) {
    const edge = new Edge(new Vec2(chunkX(i), ground[i]), new Vec2(chunkX(i + 1), ground[i + 1]));
    body.createFixture({ shape: edge, friction: 0.1 });
  }
  return ground;
}

function buildLander(world: World, uniform: () => number): Body {
  const lander = world.createBody({ type: 'dynamic', position: { x: width / 2, y: height } });
  lander.createFixture({
    shape: new Polygon(pairs(hull)),
    density: 5,
    friction: 0.1,
    filterCategoryBits: landerBits,
    filterMaskBits: groundBits,
  });
  lander.setMassData(massOf(hull, 5));
  const push = { x: firstPush * (2 * uniform() - 1), y: firstPush * (2 * uniform() - 1) };
  lander.applyForceToCenter(new Vec2(push.x, push.y), true);
  return lander;
}

function buildLeg(world: World, side: -1 | 1): Body {
  const leg = world.createBody({
    type: 'dynamic',
    position: { x: width / 2 - side * legAway, y: height },
    angle: side * 0.05,
  });
  leg.createFixture({
    shape: new Box(legHalfWidth, legHalfHeight),
    density: 1,
    friction: 0.2,
    filterCategoryBits: legBits,
    filterMaskBits: groundBits,
  });
  return leg;
}

function hinge(world: World, lander: Body, leg: Body, side: -1 | 1, sibling?: LegHinge): LegHinge {
  const definition = {
    bodyA: lander,
    bodyB: leg,
    localAnchorA: { x: 0, y: 0 },
    localAnchorB: { x: side * legAway, y: legDown },
    // angles are relative to the legs' built position, slightly splayed
    referenceAngle: leg.getAngle() - lander.getAngle(),
    enableMotor: true,
    maxMotorTorque: legTorque,
    motorSpeed: legSpeed * side,
    enableLimit: true,
    lowerAngle: side < 0 ? legTravel[0] : -legTravel[1],
    upperAngle: side < 0 ? legTravel[1] : -legTravel[0],
  };
  return world.createJoint(new LegHinge(definition, sibling))!;
}

/** Thrust of `power` against the direction (x, y), at the lander's position plus (x, y) plus (dx, dy). */
function thrust(lander: Body, power: number, x: number, y: number, dx: number, dy: number): void {
  const at = lander.getPosition();
  lander.applyLinearImpulse(new Vec2(-x * power, -y * power), new Vec2(at.x + x + dx, at.y + y + dy), true);
}

function picture(ground: number[], lander: Body, legs: Body[], [main, side]: Engines): FrameShape[] {
  // points of a body, x and y alternating, in the frame
  const placed = (body: Body, points: number[]): number[] =>
    pairs(points).flatMap((point) => {
      const { x, y } = body.getWorldPoint(point);
      return [x * scale, 400 - y * scale];
    });
  const [w, h] = [legHalfWidth, legHalfHeight];
  const flame = (points: number[]) =>
    polygon(
      ink.part,
      placed(
        lander,
        points.map((x) => x / scale),
      ),
    );
  return [
    polygon(ink.ground, [0, 400, ...ground.flatMap((y, i) => [chunkX(i) * scale, 400 - y * scale]), 600, 400]),
    ...[padChunk - 1, padChunk + 1].flatMap((i) => flag(ink.goal, chunkX(i) * scale, 400 - ground[i] * scale, 40)),
    ...legs.map((leg) => polygon(ink.joint, placed(leg, [-w, -h, w, -h, w, h, -w, h]))),
    ...(main > 0 ? [flame([-6, -10, 6, -10, 0, -10 - 20 * main])] : []),
    // the left engine pushes to the left: its flame is on the right
    ...(side < 0 ? [flame([14, 11, 14, 17, 14 - 14 * side, 14])] : []),
    ...(side > 0 ? [flame([-14, 11, -14, 17, -14 - 14 * side, 14])] : []),
    polygon(ink.body, placed(lander, hull)),
  ];
}

/**
 * Mass, center of mass and moment of inertia about the origin of a counterclockwise polygon. Planck 1.4.2 puts a
 * polygon's center of mass at the mean of its corners, which is wrong for the hull.
 */
function massOf(points: number[], density: number): MassData {
  const { length } = points;
  let area = 0;
  let centerX = 0;
  let centerY = 0;
  let inertia = 0;
  for (let i = 0; i < length; i += 2) {
    const [x, y, nextX, nextY] = [points[i], points[i + 1], points[(i + 2) % length], points[(i + 3) % length]];
    const cross = x * nextY - nextX * y;
    area += cross / 2;
    centerX += ((x + nextX) * cross) / 6;
    centerY += ((y + nextY) * cross) / 6;
    inertia += ((x * x + x * nextX + nextX * nextX + y * y + y * nextY + nextY * nextY) * cross) / 12;
  }
  return { mass: density * area, center: new Vec2(centerX / area, centerY / area), I: density * inertia };
}

const pairs = (points: number[]): Vec2[] =>
  Array.from({ length: points.length / 2 }, (_, i) => new Vec2(points[2 * i], points[2 * i + 1]));
