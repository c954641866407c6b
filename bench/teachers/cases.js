/**
 * Fifty trainings for the diagnosis, half of them healthy: teachers and worlds of kinds that its rules were not written
 * for. Which world, how many labels, how noisy: that is drawn, so that another `draw` gives another fifty of the same
 * kinds.
 *
 * A case is { name, settings, codes?, worth? }. `codes` name what goes wrong; without any nothing does. `worth` is what
 * the teacher wants of a step: a healthy training in which the agent does not come to do more of it than random play is
 * no healthy training, and does not count.
 */
import { cartPole } from '../../dist/env/index.js';
import { random } from '../../dist/random.js';
import * as worlds from './worlds.js';

const { slider, shop, heater, corner, tide, road, lamps } = worlds;
const sum = (worth, { steps, terminated }) =>
  steps.reduce((total, step, i) => total + worth(step, terminated && i === steps.length - 1), 0);
const prefer = (a, b) => (a > b ? 'first' : 'second');
/** A teacher that prefers what has more of `worth`. */
const wants = (worth) => (first, second) => {
  const [a, b] = [sum(worth, first), sum(worth, second)];
  return a === b ? 'equal' : prefer(a, b);
};

/** What somebody may want of a world, besides what it pays for. */
const tastes = [
  ['full shelves', shop, ({ next }) => next[0]],
  ['empty shelves', shop, ({ next }) => -next[0]],
  ['small orders', shop, ({ action }) => -action[0]],
  ['the right end', slider, ({ next }) => next[0]],
  ['the middle', slider, ({ next }) => -Math.abs(next[0])],
  ['little thrust', slider, ({ action }) => -Math.abs(action[0])],
  ['speed', slider, ({ next }) => Math.abs(next[1])],
  ['an even warmth', heater, ({ next }) => -Math.abs(next[0])],
  ['little heat', heater, ({ next }) => -next[2]],
  ['never above 22 degrees', heater, ({ next }) => -Number(next[0] > 0.2)],
  ['the left edge', corner, ({ next }) => -next[0]],
  ['the corner', corner, ({ next }) => next[0] + next[1]],
  ['the tide', tide, ({ observation, action }) => Number(action[0] === Number(observation[0] > 0))],
  ['against the tide', tide, ({ observation, action }) => Number(action[0] !== Number(observation[0] > 0))],
  ['a fast car', road, ({ next }) => next[0]],
  ['a car at half speed', road, ({ next }) => -Math.abs(next[0] - 0.5)],
  ['a gentle foot', road, ({ action }) => -(action[0] ** 2)],
  ['many lamps', lamps, ({ next }) => next[0] + next[1] + next[2] + next[3]],
  ['the first lamp alone', lamps, ({ next }) => 2 * next[0] - next[1] - next[2] - next[3]],
  ['an upright pole', cartPole, (_, ended) => 1 - 20 * Number(ended)],
];
/** What a world itself pays for, as a function of a step. */
const paid = [
  ['Slider', slider, ({ next }) => -Math.abs(next[0])],
  ['Heater', heater, ({ next }) => -Math.abs(next[0])],
  ['Tide', tide, ({ observation, action }) => Number(action[0] === Number(observation[0] > 0))],
  ['CartPole', cartPole, () => 1],
];

/** A number from 0 to 1 that depends on a clip alone. */
const chance = ({ steps }, salt) => {
  const seen = steps.flatMap(({ observation, action }) => [...observation, ...action]);
  return random(seen.reduce((hash, x) => (hash * 31 + Math.round(1e4 * x)) >>> 0, salt)).uniform();
};
const noisy = (teacher, share) => (first, second) => {
  const said = teacher(first, second);
  if (said === 'equal' || chance(first, 1) >= share) return said;
  return said === 'first' ? 'second' : 'first';
};

/** Trainings in which nothing goes wrong: kinds, each of a taste. */
const healthyKinds = {
  function: (worth) => wants(worth),
  'function that waits': (worth) => async (first, second) => wants(worth)(first, second),
  'object like an endpoint': (worth) => ({
    name: 'endpoint',
    async *answer(queries) {
      for (const { id, options } of queries.toReversed()) {
        const [a, b] = options.map((segment) => sum(worth, clipOf(segment)));
        yield { id, choice: a === b ? [0.5, 0.5] : [Number(a > b), Number(a < b)] };
      }
    },
  }),
  'with shares of preference': (worth) => (first, second) => {
    const p = 1 / (1 + Math.exp(sum(worth, second) - sum(worth, first)));
    return [p, 1 - p];
  },
  'one in ten wrong': (worth) => noisy(wants(worth), 0.1),
  'who skips a third': (worth) => (first, second) => (chance(first, 2) < 0.33 ? 'skip' : wants(worth)(first, second)),
  'who cannot compare a fifth': (worth) => (first, second) =>
    chance(first, 3) < 0.2 ? 'incomparable' : wants(worth)(first, second),
  'who calls the near ones equal': (worth) => (first, second) => {
    const [a, b] = [sum(worth, first), sum(worth, second)];
    return Math.abs(a - b) <= 0.1 * Math.max(Math.abs(a), Math.abs(b)) ? 'equal' : prefer(a, b);
  },
};

function clipOf({ length, observations, actions, nextObservations, terminated }) {
  const row = (values, i) => values.subarray((i * values.length) / length, ((i + 1) * values.length) / length);
  const steps = Array.from({ length }, (_, i) => ({
    observation: row(observations, i),
    action: row(actions, i),
    next: row(nextObservations, i),
  }));
  return { steps, terminated };
}

const oneStep = (make) => () => {
  const inner = make();
  return {
    ...inner,
    id: `One step of ${inner.id}`,
    step: (action, into) => ({ ...inner.step(action, into), terminated: true, truncated: false }),
  };
};
const unpaid = (make) => () => {
  const inner = make();
  return { ...inner, id: `Unpaid ${inner.id}`, step: (action, into) => ({ ...inner.step(action, into), reward: 0 }) };
};

/** What goes wrong, by the code that names it. Each takes a taste and a way to draw numbers. */
const failureKinds = [
  [
    'an inverted function',
    (_, draw) => {
      const [name, env, worth] = paid[draw.integer(paid.length)];
      const labels = 30 + draw.integer(40);
      return { name, env, labels, teacher: (a, b) => wants(worth)(b, a), codes: ['reward-inverted'] };
    },
  ],
  [
    'an inverted oracle',
    (_, draw) => ({
      ...world(draw),
      teacher: 'mistake:1',
      labels: 30 + draw.integer(30),
      codes: ['reward-inverted'],
    }),
  ],
  [
    'a coin',
    ({ env }, draw) => ({
      env,
      labels: 50 + draw.integer(50),
      teacher: (a) => (chance(a, 4) < 0.5 ? 'first' : 'second'),
      codes: ['labels-contradict'],
    }),
  ],
  [
    'nearly a coin',
    ({ env, worth }, draw) => ({
      env,
      labels: 60 + draw.integer(60),
      teacher: noisy(wants(worth), 0.45),
      codes: ['labels-contradict'],
    }),
  ],
  [
    'who changes their mind at each other clip',
    ({ env, worth }, draw) => {
      let n = 0;
      return {
        env,
        labels: 60 + draw.integer(40),
        teacher: (a, b) => (n++ % 2 === 0 ? wants(worth)(a, b) : wants(worth)(b, a)),
        codes: ['labels-contradict'],
      };
    },
  ],
  [
    'who drifts to the opposite',
    ({ env, worth }, draw) => {
      const labels = 60 + draw.integer(40);
      let n = 0;
      return {
        env,
        labels,
        teacher: (a, b) => (n++ < labels / 2 ? wants(worth)(a, b) : wants(worth)(b, a)),
        codes: ['labels-contradict', 'reward-drifts'],
      };
    },
  ],
  [
    'who judges what cannot be seen',
    ({ env }, draw) => ({
      env,
      labels: 60 + draw.integer(40),
      teacher: (a, b) => prefer(chance(a, 5), chance(b, 5)),
      codes: ['labels-contradict'],
    }),
  ],
  [
    'who skips everything',
    ({ env }, draw) => ({
      env,
      labels: 20 + draw.integer(20),
      teacher: () => 'skip',
      codes: ['labels-missing'],
    }),
  ],
  [
    'who can compare nothing',
    ({ env }, draw) => ({
      env,
      labels: 20 + draw.integer(20),
      teacher: () => 'incomparable',
      codes: ['labels-incomparable'],
    }),
  ],
  [
    'who always says equal',
    ({ env }, draw) => ({
      env,
      labels: 20 + draw.integer(20),
      teacher: () => 'equal',
      codes: ['labels-tied'],
    }),
  ],
  [
    'who says equal but for one in twelve',
    ({ env, worth }, draw) => ({
      env,
      labels: 40 + draw.integer(20),
      teacher: (a, b) => (chance(a, 6) < 0.92 ? 'equal' : noisy(wants(worth), 0.5)(a, b)),
      codes: ['labels-tied', 'labels-contradict'],
    }),
  ],
  [
    'who always says first',
    ({ env }, draw) => ({
      env,
      labels: 30 + draw.integer(40),
      teacher: () => 'first',
      codes: ['labels-one-sided'],
    }),
  ],
  [
    'who is lazy: second, but for one in eight',
    ({ env, worth }, draw) => ({
      env,
      labels: 60 + draw.integer(40),
      teacher: (a, b) => (chance(a, 7) < 0.875 ? 'second' : wants(worth)(a, b)),
      codes: ['labels-one-sided'],
    }),
  ],
  [
    'two labels',
    ({ env, worth }) => ({
      env,
      labels: 2,
      teacher: wants(worth),
      codes: ['labels-few'],
      warning: true,
    }),
  ],
  [
    'an oracle that is wrong in two of five',
    (_, draw) => ({
      ...world(draw),
      labels: 60 + draw.integer(40),
      teacher: 'mistake:0.4',
      codes: ['labels-contradict', 'reward-unfit', 'too-few-labels'],
    }),
  ],
  [
    'a learning rate of nothing',
    ({ env, worth }, draw) => ({
      env,
      labels: 40,
      teacher: wants(worth),
      ppo: { learningRate: 10 ** -(8 + draw.integer(3)) },
      codes: ['policy-still', 'policy-stuck'],
    }),
  ],
  [
    'a learning rate without brakes',
    ({ env, worth }) => ({
      env,
      worth,
      labels: 40,
      teacher: wants(worth),
      ppo: { learningRate: 0.1, clip: 100, maxGradientNorm: 1e6 },
      codes: ['policy-unstable', 'exploration-stopped', 'policy-below-random'],
    }),
  ],
  [
    'episodes of one step',
    ({ env, worth }) => ({
      env: oneStep(env),
      labels: 30,
      teacher: wants(worth),
      codes: ['episodes-one-step'],
    }),
  ],
  [
    'a world that pays nothing',
    (_, draw) => ({
      env: unpaid(paid[draw.integer(3)][1]),
      labels: 30,
      teacher: 'oracle',
      codes: ['labels-tied'],
    }),
  ],
  [
    'a judge that is constant',
    ({ env }) => ({
      env,
      labels: 30,
      judge: () => 1,
      codes: ['labels-tied'],
    }),
  ],
];
const world = (draw) => {
  const [name, env] = paid[draw.integer(paid.length)];
  return { name, env };
};

/** Fifty cases of a draw: 25 healthy ones, then 25 failures. */
export function cases(number) {
  const draw = random(number, 'teachers');
  const tasteOf = () => {
    const [name, env, worth] = tastes[draw.integer(tastes.length)];
    return { name, env, worth };
  };
  const kinds = Object.entries(healthyKinds);
  const healthy = Array.from({ length: 25 }, (_, i) => {
    const labels = 60 + draw.integer(60);
    if (i >= 22) {
      const [name, env, worth] = paid[draw.integer(3)];
      const teacher = i === 22 ? 'mistake:0.1' : 'oracle';
      return { name: `${name}, ${teacher}`, worth, settings: { env, labels, teacher } };
    }
    const { name, env, worth } = tasteOf();
    const [kind, teacher] = kinds[i % kinds.length];
    if (i >= 20) {
      return { name: `${name}, a judge`, worth, settings: { env, labels, judge: (clip) => sum(worth, clip) } };
    }
    return { name: `${name}, a ${kind}`, worth, settings: { env, labels, teacher: teacher(worth) } };
  });
  const failures = Array.from({ length: 25 }, (_, i) => {
    const [kind, make] = failureKinds[i % failureKinds.length];
    const taste = tasteOf();
    const { codes, name, warning, worth, ...settings } = make(taste, draw);
    return { name: `${kind} (${name ?? taste.name})`, codes, warning, worth, settings };
  });
  return [...healthy, ...failures];
}
