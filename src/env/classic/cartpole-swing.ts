/**
 * CartPole-swing: CartPole's cart and pole without a task. The pole may fall, hang and go round; an episode ends only
 * when the cart leaves its track. There is no reward: a teacher has to show what to do.
 *
 * The return counts full clockwise turns of the pole that take at least half a second. It measures how well swinging
 * was learned. Faster turns do not count: with Euler steps, the pole can be driven to six turns a second.
 */

import { random } from '../../random.ts';
import { type StateEnvironment, withTimeLimit } from '../dynamics.ts';
import { drawCart, maxPosition, moveCart } from './cartpole.ts';

const turn = 2 * Math.PI;
const quickest = 25; // steps

/**
 * Observation [5]: cart position m, velocity m/s, sine and cosine of the pole's angle (0 is upright), angular velocity
 * rad/s. `state` [4] as CartPole's, its angle not wrapped. Actions: 0 left, 1 right.
 */
export function cartPoleSwing(): StateEnvironment {
  const id = 'CartPole-swing';
  const state = new Float64Array(4);
  const high = Float32Array.of(2 * maxPosition, Infinity, 1, 1, Infinity);
  /** The pole's angle at the start or at its last full turn, and the steps since. */
  let from = 0;
  let since = 0;

  const environment = withTimeLimit({
    id,
    observationSpace: { kind: 'box', low: high.map((x) => -x), high },
    actionSpace: { kind: 'discrete', n: 2 },
    maxEpisodeSteps: 500,
    framesPerSecond: 50,
    start(seed) {
      const { uniform } = random(seed, id);
      for (let i = 0; i < 4; i++) state[i] = -0.05 + 0.1 * uniform();
      from = state[2];
      since = 0;
    },
    advance(action, outcome) {
      moveCart(state, action[0]);
      const whole = state[2] - from >= turn;
      since++;
      outcome.reward = whole && since >= quickest ? 1 : 0;
      if (whole) {
        from += turn;
        since = 0;
      }
      outcome.terminated = Math.abs(state[0]) > maxPosition;
    },
    observe(observation) {
      observation[0] = state[0];
      observation[1] = state[1];
      observation[2] = Math.sin(state[2]);
      observation[3] = Math.cos(state[2]);
      observation[4] = state[3];
    },
    frame: () => drawCart(state, 212), // a hanging pole is fully visible
  });
  return { ...environment, state };
}
