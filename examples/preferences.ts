/** Teaches an agent by 20 comparisons of clips. It never sees the environment's reward. */
import { learnFromPreferences } from 'heed/control';

const training = learnFromPreferences({ env: 'CartPole-v1', labels: 20, steps: 30_000, evaluations: 5, episodes: 20 });
for await (const { step, labels, evaluation } of training) {
  if (evaluation) console.log(`${step} steps, ${labels} labels: return ${evaluation.mean}`);
}
const { policy, reward, metrics } = await training;
console.log(`held-out accuracy ${metrics.heldOutAccuracy?.toFixed(2)}`);

const [upright, fallen] = [
  [0, 0, 0, 0],
  [0, 0, 0.2, 2],
];
console.log(
  `action ${policy.act(upright)}, reward upright ${reward.score(upright, 1)}, falling ${reward.score(fallen, 1)}`,
);
