/** An environment of one's own, a point on a line; thermostat.ts is a longer one, with pictures. */
import { random, withTimeLimit } from 'heed/env';
import { rl } from 'heed/rl';

const line = () => {
  let x = 0;
  return withTimeLimit({
    id: 'Line',
    maxEpisodeSteps: 50,
    framesPerSecond: 10,
    observationSpace: { kind: 'box', low: [-2], high: [2] },
    actionSpace: { kind: 'discrete', n: 3 },
    start(seed) {
      x = 4 * random(seed).uniform() - 2;
    },
    advance(action, outcome) {
      x = Math.max(-2, Math.min(2, x + (action[0] - 1) * 0.1));
      outcome.reward = -Math.abs(x);
    },
    observe(observation) {
      observation[0] = x;
    },
  });
};

const { policy, metrics } = await rl({ env: line, steps: 20_000, evaluations: 0 });
console.log(`return ${metrics.return.mean.toFixed(1)}`);
console.log(`at -1: ${policy.act([-1])}, at 1: ${policy.act([1])}`); // 2 goes right, 0 goes left
