/**
 * An algorithm of your own: REINFORCE (Williams 1992) with a mean baseline learns CartPole within seconds.
 *
 * node examples/own-algorithm.ts
 */
import { gatherElements, logSoftmax, mean, mul, neg, random, softmax, trace, Value } from 'heed/engine';
import { makeEnvironment } from 'heed/env';
import { createOptimizer, createParameters, createTrainStep, mlp } from 'heed/nn';

const seed = Number(process.argv[2] ?? 1);
const rows = 4000; // room for the steps of one update: whole episodes, then empty rows
const discount = 0.99;

const environment = makeEnvironment('CartPole-v1');
const network = mlp('policy', { sizes: [4, 64, 2] });
const parameters = createParameters(network.parameters, random(seed, 'parameters'));

// The policy acts on one observation.
const observation = new Value('float32', [1, 4]);
const probabilities = new Value('float32', [1, 2]);
const policy = trace(
  { observation },
  ({ observation: x }) => ({ probabilities: softmax(network.apply(x)) }),
  { singleThread: true }, // it is too small to share among threads
);
const act = policy.bind({ ...parameters.values, observation }, { probabilities });

// The loss, −mean(log π(action | observation) · advantage), learns from many.
const step = createTrainStep(
  parameters,
  { observations: ['n', 4], actions: { dtype: 'int32', shape: ['n', 1] }, advantages: ['n', 1] },
  ({ observations, actions, advantages }) => {
    const logProbability = gatherElements(logSoftmax(network.apply(observations)), actions, 1);
    return neg(mean(mul(logProbability, advantages)));
  },
  { dims: { n: rows } },
);
const optimizer = createOptimizer(parameters, step.gradients, { kind: 'adam' });

const draw = random(seed, 'episodes');
const rewards = new Float32Array(rows);
for (let update = 1; update <= 40; update++) {
  const { observations, actions, advantages } = step.inputs;
  let [filled, episodes, total] = [0, 0, 0];
  for (; filled + environment.maxEpisodeSteps <= rows; episodes++) {
    const start = filled;
    environment.reset(draw.uint32(), observation.data);
    for (let ended = false; !ended; filled++) {
      observations.data.set(observation.data, 4 * filled);
      act.run();
      actions.data[filled] = draw.uniform() < probabilities.data[0] ? 0 : 1;
      const { reward, terminated, truncated } = environment.step([actions.data[filled]], observation.data);
      rewards[filled] = reward;
      total += reward;
      ended = terminated || truncated;
    }
    for (let t = filled - 1, following = 0; t >= start; t--) {
      following = rewards[t] + discount * following;
      advantages.data[t] = following;
    }
  }
  // Actions whose discounted return is above the mean become more likely, the others less.
  const returns = advantages.data.subarray(0, filled);
  const average = returns.reduce((sum, x) => sum + x, 0) / filled;
  const deviation = Math.sqrt(returns.reduce((sum, x) => sum + (x - average) ** 2, 0) / filled);
  advantages.data.forEach((x, t, all) => {
    all[t] = t < filled ? (x - average) / deviation : 0;
  });
  step.run();
  optimizer.step(0.01);
  console.log(`update ${update}: return ${(total / episodes).toFixed(1)}`);
}
