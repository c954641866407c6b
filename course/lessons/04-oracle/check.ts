import { allNear, checks, draws, fail, near, numbers } from 'heed/course';

type Exercise = typeof import('./exercise.ts');
type Faults = Parameters<Exercise['judge']>[2];

/** The share of 4,000 judgments that prefer the first. */
function share({ judge }: Exercise, first: number[], second: number[], faults: Faults): number {
  const draw = draws(1);
  let sum = 0;
  for (let i = 0; i < 4000; i++) {
    const [p, q] = numbers(judge(first, second, faults, draw), 2);
    if (p !== 1 - q || (p !== 0 && p !== 1)) fail('A choice that is no tie must be [1, 0] or [0, 1].');
    sum += p;
  }
  return sum / 4000;
}

const draw = draws(2);

export default checks<Exercise>({
  'a perfect teacher': ({ judge }) => {
    allNear(judge([1, 1], [1, 0], {}, draw), [1, 0], 'The first segment earns more, so the completion is [1, 0]');
    allNear(judge([0, 0], [0, 0.1], {}, draw), [0, 1], 'The second segment earns more, so the completion is [0, 1]');
  },
  ties: ({ judge }) => {
    allNear(judge([1, 0], [0, 1], {}, draw), [0.5, 0.5], 'Equal returns are a tie, [0.5, 0.5]');
    allNear(judge([1, 1], [1, 0.5], { tieWithin: 0.5 }, draw), [0.5, 0.5], 'A difference of 0.5 is within 0.5: a tie');
    allNear(judge([1, 1], [1, 0.4], { tieWithin: 0.5 }, draw), [1, 0], 'A difference of 0.6 is not within 0.5');
  },
  'a teacher who is not quite rational': (exercise) => {
    near(
      share(exercise, [1], [0], { rationality: 1 }),
      0.731,
      'With β = 1, one point ahead wins 73 % of the time',
      0.03,
    );
    near(
      share(exercise, [1], [0], { rationality: 4 }),
      0.982,
      'With β = 4, one point ahead wins 98 % of the time',
      0.03,
    );
    near(
      share(exercise, [0], [2], { rationality: 1 }),
      0.119,
      'With β = 1, two points behind wins 12 % of the time',
      0.03,
    );
  },
  mistakes: (exercise) => {
    near(
      share(exercise, [1], [0], { mistake: 0.1 }),
      0.9,
      'With mistake 0.1, one judgment in ten is turned around',
      0.02,
    );
    near(share(exercise, [1], [0], { mistake: 1 }), 0, 'With mistake 1, all judgments are turned around');
    near(share(exercise, [0], [1], { mistake: 0.25 }), 0.25, 'A mistake turns both kinds of choices around', 0.03);
    allNear(exercise.judge([1], [1], { mistake: 1 }, draw), [0.5, 0.5], 'A mistake leaves a tie a tie');
  },
  'a short memory': ({ judge }) => {
    allNear(
      judge([3, 0], [0, 2], { discount: 0.5 }, draw),
      [0, 1],
      'With γ = 0.5, an early 3 weighs 1.5, less than a late 2',
    );
    allNear(judge([0, 2], [3, 0], { discount: 0.5 }, draw), [1, 0], 'With γ = 0.5, a late 2 beats an early 3');
    allNear(
      judge([4, 0, 0], [0, 0, 1], { discount: 0.5 }, draw),
      [0.5, 0.5],
      'With γ = 0.5, a 4 two steps ago weighs as much as a 1 now',
    );
  },
  'all together': (exercise) => {
    const faults = { rationality: 1, mistake: 0.1, discount: 0.5 };
    near(
      share(exercise, [2, 1], [2, 0], faults),
      0.685,
      'With β = 1 and mistake 0.1, P = 0.9 · 0.731 + 0.1 · 0.269',
      0.03,
    );
  },
});
