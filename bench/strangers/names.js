/** The environments of the strangers' benchmark, opened under names that no preset has. */
import * as env from '../../dist/env/index.js';
import * as worlds from './worlds.js';

const own = ['chase', 'reservoir', 'ballBeam', 'dodge', 'docking', 'lava', 'collect', 'signal'];
const classic = {
  cartPole: 60_000,
  acrobot: 100_000,
  mountainCar: 100_000,
  mountainCarContinuous: 60_000,
  pendulum: 100_000,
  lunarLanderContinuous: 200_000,
};
const makeClassic = {
  ...env,
  lunarLanderContinuous: () => env.lunarLander({ continuous: true }),
};
/** Environments of Python's Gymnasium and MiniGrid: slower, so with fewer steps. */
const bridged = {
  'gym:FrozenLake-v1?is_slippery=false': 30_000,
  'gym:CliffWalking-v1?max_episode_steps=100': 30_000,
  'gym:Blackjack-v1': 30_000,
  'gym:MiniGrid-Empty-5x5-v0': 30_000,
  'gym:MiniGrid-DoorKey-5x5-v0': 60_000,
};

/** The environments by name, with the steps of a training. */
export const strangers = {
  ...Object.fromEntries(own.map((name) => [name, 60_000])),
  catchBall: 60_000,
  ...classic,
  ...bridged,
};

/** Those with image observations. */
export const ofImages = ['catchBall'];

/** Greedy episodes that a return is the mean of: in Blackjack most of it is luck. */
export const episodesIn = (name) => (name === 'gym:Blackjack-v1' ? 2000 : 50);

/** The environment as `learnFromPreferences` takes it. */
export function disguised(name) {
  if (name in worlds) return worlds[name];
  if (!(name in classic)) return name;
  return () => ({ ...makeClassic[name](), id: `stranger ${name}` });
}
