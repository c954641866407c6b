import { describe, expect, it } from 'vitest';
import { checkGradient, evaluate, expectClose, of } from '../../test/support/gradients.ts';
import { gradients, input, sum, trace } from '../engine/index.ts';
import { random } from '../random.ts';
import { choiceLosses } from './choice-loss.ts';
import { type ChoiceModel, choiceLoss, choiceModelSchema } from './choice-model.ts';

const model = (settings: Partial<ChoiceModel>) => choiceModelSchema.parse(settings);
const models: [string, ChoiceModel][] = [
  ['Bradley–Terry', model({})],
  ['Bradley–Terry of scale 0.2', model({ scale: 0.2 })],
  ['Bradley–Terry of scale 30', model({ scale: 30 })],
  ['Bradley–Terry with errors', model({ errorRate: 0.1 })],
  ['Bradley–Terry of scale 0.5 with many errors', model({ scale: 0.5, errorRate: 0.8 })],
  ['hinge', model({ kind: 'hinge' })],
  ['hinge of scale 3', model({ kind: 'hinge', scale: 3 })],
];

/** Random pairs of returns; choices are decided, ties, and distributions. */
function cases(count: number, spread: number) {
  const { uniform, integer } = random(1, 'choice loss', count, spread);
  const draw = () => Math.fround(spread * (2 * uniform() - 1));
  const p = Array.from({ length: count }, () => [1, 0, 0.5, Math.fround(uniform())][integer(4)]);
  return {
    first: of([1, count], Array.from({ length: count }, draw)),
    second: of([1, count], Array.from({ length: count }, draw)),
    p: of([1, count], p),
    q: of(
      [1, count],
      p.map((x) => 1 - x),
    ),
  };
}

const build = (choiceModel: ChoiceModel) => (t: Parameters<Parameters<typeof evaluate>[0]>[0]) =>
  choiceLosses(choiceModel, t.first, t.second, t.p, t.q);

describe.each(models)('%s', (_, choiceModel) => {
  it.each([1, 10, 1000])('is choiceLoss, returns up to ±%d', (spread) => {
    const inputs = cases(60, spread);
    const expected = inputs.p.data.map((p, i) =>
      choiceLoss(choiceModel, inputs.first.data[i], inputs.second.data[i], [p, 1 - p]),
    );
    expectClose(evaluate(build(choiceModel), inputs), expected, 3e-6);
  });

  it('has the gradient that differences give', () => {
    const inputs = cases(20, 2);
    // no difference straddles a corner of the hinge
    inputs.first.data.forEach((a, i) => {
      const d = (a - inputs.second.data[i]) / choiceModel.scale;
      if (choiceModel.kind === 'hinge' && Math.abs(Math.abs(d) - 1) < 0.2) inputs.first.data[i] += 0.5;
    });
    checkGradient(build(choiceModel), inputs, {
      wrt: ['first', 'second'],
      step: 0.004 * Math.max(1, choiceModel.scale),
      tolerance: 2e-3,
    });
  });

  it('stays finite, with its gradient, however far apart the returns are', () => {
    const returns = [-1e30, -1e6, -100, 0, 100, 1e6, 1e30];
    const pairs = returns.flatMap((a) => returns.flatMap((b) => [1, 0, 0.5].map((p) => [a, b, p])));
    const column = (k: number) => pairs.map((pair) => pair[k]);
    const program = trace((g) => {
      const [first, second, p, q] = ['first', 'second', 'p', 'q'].map((name) => input(g, name, [pairs.length]));
      const losses = choiceLosses(choiceModel, first, second, p, q);
      const [dFirst, dSecond] = gradients(sum(losses), [first, second]);
      return { losses, dFirst, dSecond };
    });
    const out = program.run({ first: column(0), second: column(1), p: column(2), q: column(2).map((p) => 1 - p) });
    program[Symbol.dispose]();
    for (const [name, values] of Object.entries(out)) {
      pairs.forEach((pair, i) => {
        expect(Number.isFinite(values[i]), `${name} of ${pair}: ${values[i]}`).toBe(true);
      });
    }
  });
});

it('broadcasts one row of choices over members', () => {
  const choiceModel = model({});
  const returns = [
    [1, 2, 3],
    [3, 2, 1],
  ];
  const inputs = {
    first: of([2, 3], returns.flat()),
    second: of([2, 3], [0, 0, 0, 0, 0, 0]),
    p: of([1, 3], [1, 0.5, 0]),
    q: of([1, 3], [0, 0.5, 1]),
  };
  const expected = returns.flatMap((row) =>
    row.map((r, i) =>
      choiceLoss(
        choiceModel,
        r,
        0,
        [
          [1, 0],
          [0.5, 0.5],
          [0, 1],
        ][i] as never,
      ),
    ),
  );
  expectClose(evaluate(build(choiceModel), inputs), expected, 1e-6);
});
