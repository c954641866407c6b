/** Two rewards, and the probability that the first option is chosen. */
import { chart, plot } from '../../figures/chart.ts';
import { html, row, sentence, slider } from '../../figures/elements.ts';
import { short, sigmoid } from '../../figures/numbers.ts';

export function draw(root: HTMLElement): void {
  const range = { min: -5, max: 5, step: 0.1 };
  const first = slider('reward of the first', { ...range, value: 2 }, update);
  const second = slider('reward of the second', { ...range, value: 1.2 }, update);
  row(root, first.element, second.element);
  const show = chart(root, { x: [-10, 10], y: [0, 1], xLabel: 'first − second', yLabel: 'P(first is preferred)' });
  const say = sentence(root);
  const hundred = html('div', {
    'aria-hidden': 'true',
    style: 'line-height: 1.2; max-width: 34rem; overflow-wrap: anywhere',
  });
  root.append(hundred);

  function update() {
    const difference = first.value() - second.value();
    const p = sigmoid(difference);
    show(`The sigmoid curve, with a dot at a difference of ${short(difference, 1)}`, [
      { color: 'a', kind: 'line', points: plot(-10, 10, sigmoid) },
      { color: 'b', kind: 'dots', points: [[difference, p]] },
    ]);
    const count = Math.round(100 * p);
    say(
      `A difference of ${short(difference, 1)}: of a hundred people, ${count} choose the first`,
      `and ${100 - count} the second.`,
    );
    hundred.textContent = '●'.repeat(count) + '○'.repeat(100 - count);
  }
  update();
}
