/** The reward of each token of a completion, and the advantages that follow from it. */
import { chart } from '../../figures/chart.ts';
import { row, sentence, slider } from '../../figures/elements.ts';
import { short } from '../../figures/numbers.ts';

/** log π − log π_ref of eight tokens: the fourth has strayed far. */
const distances = [0.1, -0.2, 0.3, 2.2, 0.4, -0.3, 0.2, 0.1];
/** What a critic expects before each token. */
const values = [0.8, 0.8, 0.9, 0.9, 0.6, 0.6, 0.7, 0.8];

export function draw(root: HTMLElement): void {
  const score = slider('score', { min: -2, max: 2, step: 0.1, value: 1 }, update);
  const beta = slider('price of KL, β', { min: 0, max: 1, step: 0.05, value: 0.2 }, update);
  const lambda = slider('λ', { min: 0, max: 1, step: 0.05, value: 0.95 }, update);
  row(root, score.element, beta.element, lambda.element);
  const axes = { x: [0.5, 8.5], y: [-2, 2], xLabel: 'token', ticks: [1, 2, 3, 4, 5, 6, 7, 8] } as const;
  const rewardChart = chart(root, { ...axes, yLabel: 'reward of the token' });
  const advantageChart = chart(root, { ...axes, yLabel: 'advantage' });
  const say = sentence(root);

  function update() {
    const rewards = distances.map((distance) => -beta.value() * distance);
    rewards[rewards.length - 1] += score.value();
    const advantages = rewards.map(() => 0);
    for (let t = rewards.length - 1, running = 0; t >= 0; t--) {
      running = rewards[t] + (values[t + 1] ?? 0) - values[t] + lambda.value() * running;
      advantages[t] = running;
    }
    const bars = (numbers: readonly number[]) => numbers.map((x, t): [number, number] => [t + 1, x]);
    rewardChart('The reward of each of eight tokens', [{ color: 'b', kind: 'bars', points: bars(rewards) }]);
    advantageChart('The advantage of each of eight tokens', [{ color: 'a', kind: 'bars', points: bars(advantages) }]);
    const paid = beta.value() * distances.reduce((sum, x) => sum + x, 0);
    const share = short(lambda.value() ** 7);
    say(
      `The fourth token is nine times as likely as under the reference, and pays ${short(beta.value() * 2.2)};`,
      `the whole completion pays ${short(paid)}. The score of ${short(score.value(), 1)} reaches the first token with`,
      `a weight of λ⁷ = ${share}; its advantage is ${short(advantages[0])}.`,
    );
  }
  update();
}
