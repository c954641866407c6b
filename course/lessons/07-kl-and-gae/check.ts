import { allNear, checks } from 'heed/course';

export default checks<typeof import('./exercise.ts')>({
  'without a distance, only the score': ({ tokenRewards }) => {
    allNear(
      tokenRewards(2, [-1, -2, -3], [-1, -2, -3], 0.1),
      [0, 0, 2],
      'Where the policy is the reference, the rewards are 0, 0, 2',
    );
    allNear(tokenRewards(2, [-1], [-1], 0.1), [2], 'A completion of one token gets the score at once');
  },
  'each token pays for its distance': ({ tokenRewards }) => {
    allNear(
      tokenRewards(0, [-1, -1], [-2, -1], 0.5),
      [-0.5, 0],
      'A token that is likelier than under the reference costs: −0.5 · 1',
    );
    allNear(
      tokenRewards(0, [-3, -1], [-1, -1], 0.5),
      [1, 0],
      'A token that is less likely than under the reference earns: 0.5 · 2',
    );
  },
  'both together': ({ tokenRewards }) => {
    allNear(
      tokenRewards(1, [-0.5, -1, -1.5], [-1, -1, -1], 0.2),
      [-0.1, 0, 1.1],
      'The rewards are −0.1, 0, and 1 + 0.1',
    );
    allNear(tokenRewards(1, [-1, -2], [-5, -1], 0), [0, 1], 'With β = 0 the distance costs nothing');
  },
  'one step': ({ advantages }) => {
    allNear(
      advantages([1], [0.4], 0.9, 0.95),
      [0.6],
      'After the last step nothing follows: its advantage is r − V = 1 − 0.4',
    );
  },
  'λ = 0 trusts the critic': ({ advantages }) => {
    allNear(
      advantages([1, 1, 1], [0.5, 0.7, 0.2], 0.9, 0),
      [1.13, 0.48, 0.8],
      'With λ = 0, the advantage is r + γ · V(next) − V',
    );
  },
  'λ = 1 trusts the rewards': ({ advantages }) => {
    allNear(
      advantages([1, 1, 1], [0.5, 0.7, 0.2], 0.9, 1),
      [2.21, 1.2, 0.8],
      'With λ = 1, the advantage is the discounted return less V',
    );
    allNear(
      advantages([0, 0, 1], [0, 0, 0], 0.5, 1),
      [0.25, 0.5, 1],
      'A reward at the end reaches the first step with γ²',
    );
  },
  'in between': ({ advantages }) => {
    allNear(
      advantages([1, 1, 1], [0.5, 0.7, 0.2], 0.9, 0.5),
      [1.508, 0.84, 0.8],
      'With λ = 0.5, the middle one is 0.48 + 0.9 · 0.5 · 0.8',
    );
  },
});
