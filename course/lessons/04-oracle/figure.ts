/** How often a faulty teacher prefers the first segment, and how often it is wrong. */
import { chart, plot } from '../../figures/chart.ts';
import { row, sentence, slider } from '../../figures/elements.ts';
import { short, sigmoid } from '../../figures/numbers.ts';

export function draw(root: HTMLElement): void {
  const beta = slider('rationality β', { min: 0.1, max: 5, step: 0.1, value: 1 }, update);
  const mistake = slider('mistakes ε', { min: 0, max: 0.5, step: 0.05, value: 0.1 }, update);
  const tie = slider('a tie within', { min: 0, max: 2, step: 0.1, value: 0.3 }, update);
  row(root, beta.element, mistake.element, tie.element);
  const show = chart(root, {
    x: [-4, 4],
    y: [0, 1],
    xLabel: 'true return of first − second',
    yLabel: 'share of [1, 0]',
  });
  const say = sentence(root);

  function update() {
    const share = (x: number) => {
      const p = sigmoid(beta.value() * x);
      return (1 - mistake.value()) * p + mistake.value() * (1 - p);
    };
    const within = tie.value();
    show('The share of judgments for the first segment by the difference of the true returns', [
      {
        name: 'an oracle',
        color: 'quiet',
        kind: 'dashed',
        points: [
          [-4, 0],
          [0, 0],
          [0, 1],
          [4, 1],
        ],
      },
      { name: 'this teacher', color: 'a', kind: 'line', points: plot(-4, -within, share) },
      { color: 'a', kind: 'line', points: plot(within, 4, share) },
      {
        color: 'b',
        kind: 'line',
        points: [
          [-within, 0.5],
          [within, 0.5],
        ],
      },
    ]);
    // pairs whose difference is spread evenly from 0 to 4
    const grid = plot(0.005, 4, (x) => (x <= within ? 0 : 1 - share(x)), 400);
    const wrong = grid.reduce((sum, [, y]) => sum + y, 0) / grid.length;
    say(
      `Of pairs that are 0 to 4 points apart, this teacher calls ${short(25 * within, 0)} % a tie`,
      `and judges ${short(100 * wrong, 0)} % wrongly.`,
    );
  }
  update();
}
