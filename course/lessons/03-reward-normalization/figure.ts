/** Rewards of some scale and offset, with their running mean and deviation; and what they are normalized to. */
import { chart } from '../../figures/chart.ts';
import { row, sentence, slider } from '../../figures/elements.ts';
import { short, uniform } from '../../figures/numbers.ts';

const COUNT = 60;

export function draw(root: HTMLElement): void {
  const scale = slider('scale', { min: 0, max: 5, step: 0.5, value: 2 }, update);
  const offset = slider('offset', { min: -5, max: 5, step: 0.5, value: 3 }, update);
  row(root, scale.element, offset.element);
  const raw = chart(root, {
    x: [1, COUNT],
    y: [-12, 12],
    ticks: [1, 30, COUNT],
    xLabel: 'reward number',
    yLabel: 'reward',
  });
  const normal = chart(root, {
    x: [1, COUNT],
    y: [-4, 4],
    ticks: [1, 30, COUNT],
    xLabel: 'reward number',
    yLabel: 'normalized',
  });
  const say = sentence(root);

  function update() {
    const draws = uniform(5);
    let [mean, squares] = [0, 0];
    const rows = Array.from({ length: COUNT }, (_, i) => {
      const reward = offset.value() + scale.value() * (draws() + draws() + draws() - 1.5) * 1.5;
      const next = mean + (reward - mean) / (i + 1);
      squares += (reward - mean) * (reward - next);
      mean = next;
      const deviation = Math.sqrt(squares / (i + 1));
      return { at: i + 1, reward, mean, deviation, result: deviation < 1e-12 ? 0 : (reward - mean) / deviation };
    });
    raw('Rewards one after another, with their running mean', [
      { color: 'quiet', kind: 'bars', points: rows.map(({ at, reward }) => [at, reward]) },
      { name: 'mean', color: 'a', kind: 'line', points: rows.map(({ at, mean: m }) => [at, m]) },
      {
        name: '± deviation',
        color: 'b',
        kind: 'dashed',
        points: rows.map(({ at, mean: m, deviation }) => [at, m + deviation]),
      },
      { color: 'b', kind: 'dashed', points: rows.map(({ at, mean: m, deviation }) => [at, m - deviation]) },
    ]);
    normal('The same rewards, normalized', [
      { color: 'a', kind: 'bars', points: rows.map(({ at, result }) => [at, result]) },
    ]);
    const { mean: m, deviation } = rows[COUNT - 1];
    say(
      ...(scale.value() === 0
        ? ['All rewards are equal: the deviation is 0, and the result is 0 instead of 0/0.']
        : [
            `After ${COUNT} rewards, the mean is ${short(m)} and the deviation ${short(deviation)}.`,
            'Below, nothing depends on the scale or the offset.',
          ]),
    );
  }
  update();
}
