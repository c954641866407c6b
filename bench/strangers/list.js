/**
 * The environments without a preset that the bench trains in, by name: what docs/lab/strangers.md calls them, the steps
 * of a training, and the discount that heed finds for them. `npm run bench` stops if it finds another one.
 */
const row = (label, steps, discount) => ({ label, steps, discount });

export const strangers = {
  chase: row('Chase', 60_000, 0.97),
  reservoir: row('Reservoir', 60_000, 0.975),
  ballBeam: row('BallBeam', 60_000, 0.9833),
  dodge: row('Dodge', 60_000, 0.9833),
  docking: row('Docking', 60_000, 0.975),
  lava: row('Lava', 60_000, 0.97),
  collect: row('Collect', 60_000, 0.97),
  signal: row('Signal', 60_000, 0.97),
  // heed's own, under names that no preset has
  cartPole: row('CartPole', 60_000, 0.99),
  acrobot: row('Acrobot', 100_000, 0.99),
  mountainCar: row('MountainCar', 100_000, 0.975),
  mountainCarContinuous: row('MountainCarContinuous', 60_000, 0.995),
  pendulum: row('Pendulum', 100_000, 0.975),
  // Python's, which are slower, so with fewer steps
  'gym:FrozenLake-v1?is_slippery=false': row('FrozenLake, not slippery (Gymnasium)', 30_000, 0.97),
  'gym:CliffWalking-v1?max_episode_steps=100': row('CliffWalking, 100 steps (Gymnasium)', 30_000, 0.97),
  'gym:MiniGrid-Empty-5x5-v0': row('MiniGrid-Empty-5x5', 30_000, 0.97),
  'gym:MiniGrid-DoorKey-5x5-v0': row('MiniGrid-DoorKey-5x5', 60_000, 0.98),
  'gym:Blackjack-v1': row('Blackjack (Gymnasium)', 30_000, 0.99),
  lunarLanderContinuous: row('LunarLanderContinuous, 200,000 steps', 200_000, 0.995),
  catchBall: row('CatchBall, [images](#image-observations)', 60_000, 0.97),
};

/** Those with image observations. */
export const ofImages = ['catchBall'];
