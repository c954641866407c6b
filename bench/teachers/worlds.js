/**
 * Small worlds for bench/control-teachers.js: a policy learns any of them in some thousand steps. Their own
 * rewards are dense, sparse, delayed, periodic, or none.
 */
import { random, withTimeLimit } from '../../dist/env/index.js';
import { box, clamp, discrete, frame } from '../spaces.js';

const world = (id, rest) => withTimeLimit({ id, framesPerSecond: 20, maxEpisodeSteps: 50, frame, ...rest });

/** A point on a line that thrust moves; its reward is its nearness to 0. Observed: place, speed. */
export function slider() {
  let [x, v] = [0, 0];
  return world('Slider', {
    observationSpace: box(-3, 3, 2),
    actionSpace: box(-1, 1, 1),
    start(seed) {
      x = 4 * random(seed, 'slider').uniform() - 2;
      v = 0;
    },
    advance([thrust], outcome) {
      v = 0.8 * v + 0.1 * clamp(thrust, -1, 1);
      x = clamp(x + v, -3, 3);
      outcome.reward = -Math.abs(x);
    },
    observe: (into) => into.set([x, 4 * v]),
  });
}

/** A shop orders 0 to 4 pieces a day; a piece sold earns 1, a piece on the shelf costs 0.1. Observed: stock, demand. */
export function shop() {
  let [draw, stock, demand] = [random(0), 0, 0];
  return world('Shop', {
    observationSpace: box(0, 2, 2),
    actionSpace: discrete(5),
    start(seed) {
      draw = random(seed, 'shop');
      [stock, demand] = [4, 0];
    },
    advance([order], outcome) {
      demand = draw.integer(4);
      const sold = Math.min(stock, demand);
      stock = Math.min(20, stock - sold + order);
      outcome.reward = sold - 0.1 * stock;
    },
    observe: (into) => into.set([stock / 10, demand / 4]),
  });
}

/** A heater against the cold; the reward is the nearness to 20 degrees. Observed: warmth from 20, outside, last heat. */
export function heater() {
  let [draw, warm, outside, heat] = [random(0), 0, 0, 0];
  return world('Heater', {
    observationSpace: box(-3, 3, 3),
    actionSpace: discrete(3),
    start(seed) {
      draw = random(seed, 'heater');
      warm = 15 + 10 * draw.uniform();
      outside = 5 * draw.normal();
      heat = 0;
    },
    advance([level], outcome) {
      heat = level / 2;
      outside = 0.95 * outside + draw.normal();
      warm += 0.1 * (outside - warm) + 4 * heat;
      outcome.reward = -Math.abs(warm - 20) / 10;
    },
    observe: (into) => into.set([(warm - 20) / 10, outside / 10, heat]),
  });
}

/** A walk on five by five fields to one corner: 1 at the goal, else nothing. Observed: place. */
export function corner() {
  let [x, y] = [0, 0];
  return world('Corner', {
    observationSpace: box(-1, 1, 2),
    actionSpace: discrete(4),
    start(seed) {
      const draw = random(seed, 'corner');
      [x, y] = [draw.integer(4), draw.integer(4)];
    },
    advance([move], outcome) {
      if (move < 2) x = clamp(x + (move === 0 ? 1 : -1), 0, 4);
      else y = clamp(y + (move === 2 ? 1 : -1), 0, 4);
      outcome.terminated = x === 4 && y === 4;
      outcome.reward = Number(outcome.terminated);
    },
    observe: (into) => into.set([x / 2 - 1, y / 2 - 1]),
  });
}

/** A tide: the right one of two actions changes with it. Observed: its sine and cosine. */
export function tide() {
  let phase = 0;
  return world('Tide', {
    observationSpace: box(-1, 1, 2),
    actionSpace: discrete(2),
    start(seed) {
      phase = random(seed, 'tide').uniform() * 2 * Math.PI;
    },
    advance([action], outcome) {
      outcome.reward = Number(action === Number(Math.sin(phase) > 0));
      phase += 0.3;
    },
    observe: (into) => into.set([Math.sin(phase), Math.cos(phase)]),
  });
}

/** A car on a road; what it drove is paid when the day is over. Observed: speed, slope, share of the day. */
export function road() {
  let [draw, speed, slope, driven, day] = [random(0), 0, 0, 0, 0];
  return world('Road', {
    observationSpace: box(-2, 2, 3),
    actionSpace: box(-1, 1, 1),
    start(seed) {
      draw = random(seed, 'road');
      [speed, slope, driven, day] = [0, draw.normal() / 2, 0, 0];
    },
    advance([pedal], outcome) {
      slope = clamp(0.9 * slope + 0.2 * draw.normal(), -1, 1);
      speed = clamp(0.9 * speed + 0.15 * clamp(pedal, -1, 1) - 0.05 * slope, -1, 2);
      driven += speed;
      day++;
      outcome.reward = day === 50 ? driven : 0;
    },
    observe: (into) => into.set([speed, slope, day / 25 - 1]),
  });
}

/** Four lamps that an action each turns on or off; nothing is paid. Observed: the lamps. */
export function lamps() {
  const on = [0, 0, 0, 0];
  return world('Lamps', {
    observationSpace: box(0, 1, 4),
    actionSpace: discrete(4),
    start(seed) {
      const draw = random(seed, 'lamps');
      for (let i = 0; i < 4; i++) on[i] = draw.integer(2);
    },
    advance([lamp]) {
      on[lamp] = 1 - on[lamp];
    },
    observe: (into) => into.set(on),
  });
}
