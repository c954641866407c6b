/** What a preference costs a reward, by how far ahead the first option is. */
import { chart, plot } from '../../figures/chart.ts';
import { choice, row, sentence, slider } from '../../figures/elements.ts';
import { short, sigmoid } from '../../figures/numbers.ts';

const preferences = [
  [1, 0],
  [0.5, 0.5],
  [0, 1],
] as const;

export function draw(root: HTMLElement): void {
  const completion = choice('What the person said', ['the first', 'both alike', 'the second'], update);
  const ahead = slider('first − second', { min: -6, max: 6, step: 0.1, value: 2 }, update);
  const error = slider('share of coin flips', { min: 0, max: 0.5, step: 0.05, value: 0 }, update);
  row(root, completion.element);
  row(root, ahead.element, error.element);
  const show = chart(root, { x: [-6, 6], y: [0, 6], xLabel: 'first − second', yLabel: 'loss' });
  const say = sentence(root);

  function update() {
    const [p, q] = preferences[completion.value()];
    const logP = (x: number) => Math.log((1 - error.value()) * sigmoid(x) + error.value() / 2);
    const loss = (x: number) => -p * logP(x) - q * logP(-x);
    const at = ahead.value();
    const slope = (loss(at + 1e-4) - loss(at - 1e-4)) / 2e-4;
    show('The loss by the difference of the rewards', [
      { color: 'quiet', kind: 'dashed', points: plot(-6, 6, () => Math.LN2, 1) },
      { color: 'a', kind: 'line', points: plot(-6, 6, loss) },
      { color: 'b', kind: 'dots', points: [[at, loss(at)]] },
    ]);
    const pull =
      Math.abs(slope) < 0.005
        ? 'Nothing pulls at the rewards here.'
        : `Training pulls the first ${slope < 0 ? 'up' : 'down'} with a force of ${short(Math.abs(slope))}.`;
    say(`The loss is ${short(loss(at))}; a reward that knows nothing pays 0.69. ${pull}`);
  }
  update();
}
