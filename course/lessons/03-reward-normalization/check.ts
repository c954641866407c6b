import { allNear, checks, draws, fields, near, number, ok } from 'heed/course';

type Exercise = typeof import('./exercise.ts');

/** The statistics of rewards, one after another. */
function after({ update }: Exercise, rewards: readonly number[]) {
  let statistics = { count: 0, mean: 0, squares: 0 };
  for (const reward of rewards) statistics = fields(update(statistics, reward), 'count', 'mean', 'squares');
  return statistics;
}

export default checks<Exercise>({
  'the mean': (exercise) => {
    near(after(exercise, [4]).mean, 4, 'After one reward of 4 the mean is 4');
    near(after(exercise, [1, 2, 3]).mean, 2, 'The mean of 1, 2, 3 is 2');
    near(after(exercise, [1, 2, 3]).count, 3, 'After three rewards the count is 3');
  },
  'nothing is changed in place': ({ update }) => {
    const before = Object.freeze({ count: 1, mean: 1, squares: 0 });
    update(before, 3);
    near(before.mean, 1, 'The statistics that go in must stay as they are');
  },
  'the deviation': (exercise) => {
    near(exercise.deviation(after(exercise, [4])), 0, 'One reward deviates from itself by 0');
    near(exercise.deviation(after(exercise, [1, 2, 3])), 0.8164966, 'The deviation of 1, 2, 3 is √(2/3) = 0.816');
    near(exercise.deviation(after(exercise, [2, 0, 0, 0])), 0.8660254, 'The deviation of 2, 0, 0, 0 is 0.866');
  },
  'rewards that are far from zero': (exercise) => {
    const far = after(exercise, [1e9, 1e9 + 1, 1e9 + 2]);
    near(
      exercise.deviation(far),
      0.8164966,
      'Adding 1,000,000,000 to 0, 1, 2 must not change the deviation of 0.816',
      1e-3,
    );
  },
  'normalized rewards': (exercise) => {
    const statistics = after(exercise, [1, 2, 3]);
    near(exercise.normalize(statistics, 2), 0, 'The mean itself becomes 0');
    near(exercise.normalize(statistics, 3), 1.2247449, 'With 1, 2, 3 so far, 3 becomes (3 − 2) / 0.816 = 1.225');
  },
  'no spread, no division': (exercise) => {
    near(exercise.normalize(after(exercise, [5, 5, 5]), 5), 0, 'Where all rewards were equal, the result is 0');
    near(exercise.normalize(after(exercise, []), 5), 0, 'Before the first reward, the result is 0');
  },
  'the scale of the rewards is gone': (exercise) => {
    const draw = draws(3);
    const rewards = Array.from({ length: 500 }, () => draw() * draw());
    const [small, large] = [1, 1000].map((scale) => {
      const statistics = after(
        exercise,
        rewards.map((reward) => scale * reward - 7),
      );
      return rewards.slice(0, 5).map((reward) => number(exercise.normalize(statistics, scale * reward - 7)));
    });
    allNear(large, small, 'Rewards a thousand times as large must come to the same', 1e-4);
    ok(Math.max(...small.map(Math.abs)) < 10, 'Normalized rewards should be of the size of 1.');
  },
});
