/** A teacher as a function: it prefers the clip in which the cart is further to the right. */
import { type Clip, learnFromPreferences } from 'heed/control';

const position = ({ steps }: Clip) => steps.reduce((sum, { next }) => sum + next[0], 0) / steps.length;

const { reward, metrics } = await learnFromPreferences({
  env: 'CartPole-swing', // CartPole's cart and pole without a task; an episode ends where the track does
  teacher: (first, second) => (position(first) > position(second) ? 'first' : 'second'),
  labels: 60,
  steps: 20_000,
  episodes: 10,
  segment: { window: 20 },
});
console.log(`${metrics.labels} labels, ${Math.round(100 * metrics.foreseen)} % of them foreseen`);

const [left, right] = [-1, 1].map((x) => reward.score([x, 0, 0, 1, 0], 1, [x, 0, 0, 1, 0]));
console.log(`reward at the left ${left.toFixed(2)}, at the right ${right.toFixed(2)}`);
