/** Gold and proxy against KL, as a policy follows reward models of few or many comparisons. */
import { chart } from '../../figures/chart.ts';
import { choice, row, sentence, slider } from '../../figures/elements.ts';
import { short } from '../../figures/numbers.ts';
import { curve, pessimistic, turn } from './solution.ts';
import { base, gold, kinds, rewardModels } from './world.ts';

const counts = [50, 100, 200, 400, 1000];
const strengths = Array.from({ length: 61 }, (_, i) => i / 10);

export function draw(root: HTMLElement): void {
  const labels = choice('Comparisons', counts.map(String), learn, 1);
  const how = choice('The policy follows', ['the mean of eight reward models', 'the lowest of them'], learn);
  const strength = slider('strength', { min: 0, max: 6, step: 0.1, value: 1 }, update);
  row(root, labels.element);
  row(root, how.element);
  row(root, strength.element);
  const show = chart(root, { x: [0, 25], y: [-5, 15], xLabel: 'KL from the base, nats', yLabel: 'reward' });
  const say = sentence(root);
  let points = curve(base, gold, gold, strengths);

  function learn() {
    const members = rewardModels(counts[labels.value()], 8, 5);
    const mean = kinds.map((_, i) => members.reduce((sum, scores) => sum + scores[i], 0) / members.length);
    points = curve(base, how.value() === 0 ? mean : pessimistic(members), gold, strengths);
    update();
  }

  function update() {
    const at = points[Math.round(10 * strength.value())];
    const top = turn(points);
    show('The proxy and gold by the distance from the base', [
      { name: 'proxy', color: 'b', kind: 'dashed', points: points.map(({ kl, proxy }) => [kl, proxy]) },
      { name: 'gold', color: 'a', kind: 'line', points: points.map((point) => [point.kl, point.gold]) },
      { color: 'a', kind: 'dots', points: [[at.kl, at.gold]] },
      { color: 'b', kind: 'dots', points: [[at.kl, at.proxy]] },
    ]);
    const turns = top !== points[points.length - 1];
    say(
      `At ${short(at.kl, 1)} nats, the proxy says ${short(at.proxy)} and gold is ${short(at.gold)}. ${
        turns ? `Gold turns at ${short(top.kl, 1)} nats, at ${short(top.gold)}.` : 'Gold does not turn here.'
      }`,
    );
  }
  learn();
}
