/** PPO's surrogate by the ratio of probabilities, for a good and for a bad action. */
import { chart, plot } from '../../figures/chart.ts';
import { choice, row, sentence, slider } from '../../figures/elements.ts';
import { short } from '../../figures/numbers.ts';

export function draw(root: HTMLElement): void {
  const sign = choice('The action was', ['better than expected (A = 1)', 'worse than expected (A = −1)'], update);
  const ratio = slider('ratio ρ', { min: 0, max: 2, step: 0.05, value: 1.1 }, update);
  const epsilon = slider('ε', { min: 0.05, max: 0.5, step: 0.05, value: 0.2 }, update);
  row(root, sign.element);
  row(root, ratio.element, epsilon.element);
  const show = chart(root, {
    x: [0, 2],
    y: [-2, 2],
    xLabel: 'ratio of the probabilities, now to then',
    yLabel: 'surrogate',
  });
  const say = sentence(root);

  function update() {
    const advantage = sign.value() === 0 ? 1 : -1;
    const clipped = (x: number) => Math.max(1 - epsilon.value(), Math.min(1 + epsilon.value(), x)) * advantage;
    const surrogate = (x: number) => Math.min(x * advantage, clipped(x));
    const at = ratio.value();
    const flat = advantage > 0 ? at > 1 + epsilon.value() : at < 1 - epsilon.value();
    show('The surrogate by the ratio', [
      { name: 'ρA', color: 'quiet', kind: 'dashed', points: plot(0, 2, (x) => x * advantage) },
      { name: 'clipped', color: 'b', kind: 'dashed', points: plot(0, 2, clipped) },
      { name: 'minimum', color: 'a', kind: 'line', points: plot(0, 2, surrogate) },
      { color: 'ink', kind: 'dots', points: [[at, surrogate(at)]] },
    ]);
    const wrongWay = advantage > 0 ? at < 1 - epsilon.value() : at > 1 + epsilon.value();
    say(
      `The surrogate is ${short(surrogate(at))}. ${
        flat
          ? 'It is flat here: the action has moved far enough, and nothing pushes it on.'
          : wrongWay
            ? 'The action has moved the wrong way. Clipping alone would be flat here; the minimum pulls it back.'
            : `Training makes the action ${advantage > 0 ? 'likelier' : 'less likely'}.`
      }`,
    );
  }
  update();
}
