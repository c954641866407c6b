/** You choose between two sentences; the weights of the words move. */
import { button, colors, html, row, sentence } from '../../figures/elements.ts';
import { short, sigmoid } from '../../figures/numbers.ts';

const pairs = [
  ['the soup was hot', 'the soup was cold'],
  ['a friendly waiter', 'a slow waiter'],
  ['cold beer', 'hot beer'],
  ['a slow evening with friendly people', 'a loud evening with people'],
  ['the room was loud', 'the room was clean'],
  ['hot coffee and a clean table', 'cold coffee and a clean table'],
] as const;

export function draw(root: HTMLElement): void {
  let weights = new Map<string, number>();
  let turn = 0;
  root.append(html('p', { style: 'margin: 0.5rem 0' }, 'Which do you prefer?'));
  const choices = row(root);
  const say = sentence(root);
  const list = html('ul', { style: 'list-style: none; padding: 0; margin: 0.5rem 0; max-width: 34rem' });
  root.append(list);
  row(
    root,
    button('Start over', () => {
      weights = new Map();
      turn = 0;
      ask();
      say('All weights are 0, so each text scores 0.');
    }),
  );

  const words = (text: string) => text.split(' ');
  const score = (text: string) => words(text).reduce((sum, word) => sum + (weights.get(word) ?? 0), 0);

  const bar = (weight: number) =>
    `width: ${Math.min(100, 40 * Math.abs(weight))}%; background: ${weight > 0 ? colors.a : colors.b}`;

  function ask() {
    const pair = pairs[turn % pairs.length];
    choices.replaceChildren(...pair.map((text, i) => button(text, () => learn(text, pair[1 - i]))));
    const sorted = [...weights].filter(([, weight]) => Math.abs(weight) > 1e-6).sort(([, a], [, b]) => b - a);
    list.replaceChildren(
      ...sorted.map(([word, weight]) =>
        html(
          'li',
          { style: 'display: grid; grid-template-columns: 5.5rem 3.5rem 1fr; align-items: center; gap: 0.5rem' },
          html('span', {}, word),
          html('span', { style: 'text-align: right; font-variant-numeric: tabular-nums' }, short(weight)),
          html('span', { 'aria-hidden': 'true', style: `height: 0.7em; ${bar(weight)}` }),
        ),
      ),
    );
  }

  function learn(chosen: string, rejected: string) {
    const p = sigmoid(score(chosen) - score(rejected));
    const move = (text: string, by: number) => {
      for (const word of words(text)) weights.set(word, (weights.get(word) ?? 0) + by);
    };
    move(chosen, 1 - p);
    move(rejected, p - 1);
    say(
      `The model gave your choice ${short(100 * p, 0)} %, so its surprise was ${short(1 - p)}: each word of the chosen`,
      'text moves up by that, each of the rejected down, and shared words stay.',
    );
    turn++;
    // the button that was pressed is gone: the next question takes the focus
    const focused = root.contains(document.activeElement) || document.activeElement === document.body;
    ask();
    if (focused) choices.querySelector('button')?.focus({ preventScroll: true });
  }
  ask();
  say('All weights are 0, so each text scores 0.');
}
