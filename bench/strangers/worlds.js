/**
 * Eight small environments, and one with image observations, for `bench -- control --only strangers`. No preset knows
 * them, and nobody may tune on them: discrete and continuous actions, sparse and dense rewards, episodes of fixed length
 * and such that end early.
 *
 * | name | actions | reward | episodes |
 * | --- | --- | --- | --- |
 * | Chase | 2 numbers | dense | fixed length |
 * | Reservoir | 1 number | dense | fixed length |
 * | BallBeam | 1 number | dense | end early when it fails |
 * | Dodge | 3 choices | each step the same | end early when it fails |
 * | Docking | 3 choices | sparse | end early when it succeeds |
 * | Lava | 4 choices | sparse | end early either way |
 * | Collect | 5 choices | sparse | fixed length |
 * | Signal | 4 choices | dense | fixed length |
 * | CatchBall (images) | 3 choices | sparse | fixed length |
 */
import { random, withTimeLimit } from '../../dist/env/index.js';
import { box, clamp, discrete, frame } from '../spaces.js';

/** A point with inertia follows a goal that circles. */
export function chase() {
  let [x, y, vx, vy, angle, turn] = [0, 0, 0, 0, 0, 0];
  const goal = () => [Math.cos(angle), Math.sin(angle)];
  return withTimeLimit({
    id: 'Chase',
    observationSpace: box(-5, 5, 6),
    actionSpace: box(-1, 1, 2),
    maxEpisodeSteps: 150,
    framesPerSecond: 30,
    start(seed) {
      const draw = random(seed, 'chase');
      x = draw.uniform() * 2 - 1;
      y = draw.uniform() * 2 - 1;
      vx = vy = 0;
      angle = draw.uniform() * 2 * Math.PI;
      turn = draw.uniform() < 0.5 ? 0.03 : -0.03;
    },
    advance(action, outcome) {
      vx = 0.9 * vx + 0.02 * clamp(action[0], -1, 1);
      vy = 0.9 * vy + 0.02 * clamp(action[1], -1, 1);
      x = clamp(x + vx, -2, 2);
      y = clamp(y + vy, -2, 2);
      angle += turn;
      const [gx, gy] = goal();
      outcome.reward = -Math.hypot(x - gx, y - gy);
    },
    observe(into) {
      const [gx, gy] = goal();
      into.set([x, y, 10 * vx, 10 * vy, gx - x, gy - y]);
    },
    frame,
  });
}

/** A gate lets water out of a reservoir; its level is to stay at a mark while the inflow changes. */
export function reservoir() {
  let draw = random(0);
  let [level, inflow, gate, mark] = [0, 0, 0, 0];
  return withTimeLimit({
    id: 'Reservoir',
    observationSpace: box(-3, 3, 4),
    actionSpace: box(-1, 1, 1),
    maxEpisodeSteps: 200,
    framesPerSecond: 20,
    start(seed) {
      draw = random(seed, 'reservoir');
      level = draw.uniform();
      mark = 0.3 + 0.4 * draw.uniform();
      inflow = 0.5;
      gate = 0.5;
    },
    advance(action, outcome) {
      gate = clamp(gate + 0.1 * clamp(action[0], -1, 1), 0, 1);
      inflow = clamp(inflow + 0.05 * draw.normal(), 0.1, 0.9);
      level = clamp(level + 0.1 * (inflow - gate), 0, 1);
      outcome.reward = -10 * (level - mark) ** 2;
    },
    observe(into) {
      into.set([level - mark, mark, inflow, gate]);
    },
    frame,
  });
}

/** A ball rolls on a beam that tilts; it falls off either end. */
export function ballBeam() {
  let [at, speed, tilt] = [0, 0, 0];
  return withTimeLimit({
    id: 'BallBeam',
    observationSpace: box(-3, 3, 3),
    actionSpace: box(-1, 1, 1),
    maxEpisodeSteps: 300,
    framesPerSecond: 30,
    start(seed) {
      const draw = random(seed, 'beam');
      at = draw.uniform() - 0.5;
      speed = 0.1 * draw.normal();
      tilt = 0;
    },
    advance(action, outcome) {
      tilt = clamp(tilt + 0.1 * clamp(action[0], -1, 1), -0.5, 0.5);
      speed += 0.05 * tilt;
      at += speed;
      outcome.terminated = Math.abs(at) > 1;
      outcome.reward = outcome.terminated ? 0 : 1 - Math.abs(at);
    },
    observe(into) {
      into.set([at, 10 * speed, tilt]);
    },
    frame,
  });
}

/** Stones fall; left, stay or right. A hit ends the episode, and each step before it earns 1. */
export function dodge() {
  let draw = random(0);
  let at = 0;
  const stones = [
    [0, 0],
    [0, 0],
  ];
  const drop = (stone, height) => {
    stone[0] = draw.uniform() * 2 - 1;
    stone[1] = height;
  };
  return withTimeLimit({
    id: 'Dodge',
    observationSpace: box(-2, 2, 7),
    actionSpace: discrete(3),
    maxEpisodeSteps: 300,
    framesPerSecond: 30,
    start(seed) {
      draw = random(seed, 'dodge');
      at = 0;
      for (const [i, stone] of stones.entries()) drop(stone, 1 + 0.5 * i);
    },
    advance(action, outcome) {
      at = clamp(at + 0.1 * (action[0] - 1), -1, 1);
      outcome.terminated = false;
      for (const stone of stones) {
        stone[1] -= 0.06;
        if (Math.abs(stone[1]) < 0.06 && Math.abs(stone[0] - at) < 0.2) outcome.terminated = true;
        if (stone[1] < -0.06) drop(stone, 1);
      }
      outcome.reward = outcome.terminated ? 0 : 1;
    },
    observe(into) {
      into.set([at, ...stones.flatMap(([x, height]) => [x, height, x - at])]);
    },
    frame,
  });
}

/** A craft on a rail: thrust back, none or forward. It docks where it arrives slowly; time costs. */
export function docking() {
  let [at, speed] = [0, 0];
  return withTimeLimit({
    id: 'Docking',
    observationSpace: box(-3, 3, 2),
    actionSpace: discrete(3),
    maxEpisodeSteps: 200,
    framesPerSecond: 30,
    start(seed) {
      const draw = random(seed, 'docking');
      at = (draw.uniform() < 0.5 ? -1 : 1) * (0.3 + 0.7 * draw.uniform());
      speed = 0.02 * draw.normal();
    },
    advance(action, outcome) {
      speed = clamp(0.95 * speed + 0.006 * (action[0] - 1), -0.1, 0.1);
      at = clamp(at + speed, -2, 2);
      outcome.terminated = Math.abs(at) < 0.1 && Math.abs(speed) < 0.03;
      outcome.reward = outcome.terminated ? 10 : -0.1;
    },
    observe(into) {
      into.set([at, 20 * speed]);
    },
    frame,
  });
}

const map = ['S....', '.LL..', '...L.', '.L...', '...LG'];

/** A grid with lava: the goal earns 1 less what the way took, lava costs 1; both end the episode. */
export function lava() {
  let [row, column, steps] = [0, 0, 0];
  return withTimeLimit({
    id: 'Lava',
    observationSpace: box(0, 1, 25),
    actionSpace: discrete(4),
    maxEpisodeSteps: 50,
    framesPerSecond: 10,
    start(seed) {
      const draw = random(seed, 'lava');
      do {
        row = draw.integer(5);
        column = draw.integer(3);
      } while (map[row][column] === 'L');
      steps = 0;
    },
    advance(action, outcome) {
      const [down, right] = [
        [-1, 0],
        [1, 0],
        [0, -1],
        [0, 1],
      ][action[0]];
      row = clamp(row + down, 0, 4);
      column = clamp(column + right, 0, 4);
      steps++;
      const tile = map[row][column];
      outcome.terminated = tile === 'L' || tile === 'G';
      outcome.reward = tile === 'L' ? -1 : tile === 'G' ? 1 - steps / 100 : 0;
    },
    observe(into) {
      into.fill(0);
      into[5 * row + column] = 1;
    },
    frame,
  });
}

/** Things lie about on a floor; each that is reached earns 1, and another appears. */
export function collect() {
  let draw = random(0);
  let [x, y, tx, ty] = [0, 0, 0, 0];
  const place = () => {
    tx = draw.uniform() * 2 - 1;
    ty = draw.uniform() * 2 - 1;
  };
  return withTimeLimit({
    id: 'Collect',
    observationSpace: box(-2, 2, 4),
    actionSpace: discrete(5),
    maxEpisodeSteps: 150,
    framesPerSecond: 30,
    start(seed) {
      draw = random(seed, 'collect');
      x = draw.uniform() * 2 - 1;
      y = draw.uniform() * 2 - 1;
      place();
    },
    advance(action, outcome) {
      const move = 0.1;
      x = clamp(x + [0, move, -move, 0, 0][action[0]], -1, 1);
      y = clamp(y + [0, 0, 0, move, -move][action[0]], -1, 1);
      const reached = Math.hypot(x - tx, y - ty) < 0.15;
      outcome.reward = Number(reached);
      if (reached) place();
    },
    observe(into) {
      into.set([x, y, tx - x, ty - y]);
    },
    frame,
  });
}

const side = 10;

/** A ball falls in an image of 10 × 10 pixels, and a paddle of three catches it: 1, or −1 for a miss; then the next. */
export function catchBall() {
  let draw = random(0);
  let [x, height, paddle] = [0, 0, 0];
  return withTimeLimit({
    id: 'CatchBall',
    observationSpace: { ...box(0, 255, side * side), shape: [1, side, side] },
    actionSpace: discrete(3),
    maxEpisodeSteps: 90,
    framesPerSecond: 10,
    start(seed) {
      draw = random(seed, 'catch');
      x = draw.integer(side);
      height = side - 1;
      paddle = 1 + draw.integer(side - 2);
    },
    advance(action, outcome) {
      paddle = clamp(paddle + action[0] - 1, 1, side - 2);
      height--;
      outcome.reward = height > 0 ? 0 : Math.abs(x - paddle) <= 1 ? 1 : -1;
      if (height > 0) return;
      x = draw.integer(side);
      height = side - 1;
    },
    observe(into) {
      into.fill(0);
      into[(side - 1 - height) * side + x] = 255;
      for (let i = -1; i <= 1; i++) into[(side - 1) * side + paddle + i] = 128;
    },
    frame,
  });
}

/** A crossing with four roads: which one gets green. Cars wait; each that waits costs. */
export function signal() {
  let draw = random(0);
  const waiting = [0, 0, 0, 0];
  const rates = [0, 0, 0, 0];
  let green = 0;
  let changing = 0;
  return withTimeLimit({
    id: 'Signal',
    observationSpace: box(0, 2, 9),
    actionSpace: discrete(4),
    maxEpisodeSteps: 150,
    framesPerSecond: 10,
    start(seed) {
      draw = random(seed, 'signal');
      for (let i = 0; i < 4; i++) {
        waiting[i] = draw.integer(6);
        rates[i] = 0.05 + 0.25 * draw.uniform();
      }
      green = draw.integer(4);
      changing = 0;
    },
    advance(action, outcome) {
      if (action[0] !== green) {
        green = action[0];
        changing = 1;
      } else if (changing > 0) changing--;
      for (let i = 0; i < 4; i++) if (draw.uniform() < rates[i]) waiting[i] = Math.min(20, waiting[i] + 1);
      if (changing === 0) waiting[green] = Math.max(0, waiting[green] - 2);
      outcome.reward = -waiting.reduce((a, b) => a + b, 0) / 20;
    },
    observe(into) {
      for (let i = 0; i < 4; i++) {
        into[i] = waiting[i] / 10;
        into[4 + i] = Number(green === i);
      }
      into[8] = changing;
    },
    frame,
  });
}
