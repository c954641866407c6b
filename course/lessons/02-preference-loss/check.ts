import { checks, near, ok } from 'heed/course';

export default checks<typeof import('./exercise.ts')>({
  'the logarithm of the sigmoid': ({ logSigmoid }) => {
    near(logSigmoid(0), -Math.LN2, 'log σ(0) is log ½ = −0.693');
    near(logSigmoid(2), -0.126928, 'log σ(2) is −0.127');
    near(logSigmoid(-2), -2.126928, 'log σ(−2) is −2.127');
  },
  'it stays finite far out': ({ logSigmoid }) => {
    near(logSigmoid(-1000), -1000, 'log σ(−1000) is −1000');
    near(logSigmoid(1000), 0, 'log σ(1000) is 0');
  },
  'a clear choice': ({ loss }) => {
    near(loss(0, 0, [1, 0]), Math.LN2, 'A model that knows nothing pays log 2 = 0.693 for each choice');
    near(loss(2, 0, [1, 0]), 0.126928, 'Two points ahead and chosen, the loss is small');
    near(loss(2, 0, [0, 1]), 2.126928, 'Two points ahead and not chosen, the loss is large');
    near(loss(0, 1000, [1, 0]), 1000, 'A choice against a thousand points costs 1000');
  },
  'a tie': ({ loss }) => {
    near(loss(2, 0, [0.5, 0.5]), 1.126928, 'A tie costs half of each choice');
    near(loss(0, 2, [0.5, 0.5]), 1.126928, 'A tie costs the same whichever option is ahead');
    ok(loss(0.1, 0, [0.5, 0.5]) > loss(0, 0, [0.5, 0.5]), 'For a tie, equal rewards must cost least.');
  },
  'shares in between': ({ loss }) => {
    near(
      loss(2, 0, [0.75, 0.25]),
      0.626928,
      'With three votes of four for the first, three quarters of its loss count',
    );
  },
  'people err': ({ loss }) => {
    near(loss(0, 0, [1, 0], 0.1), Math.LN2, 'A coin changes nothing where P is ½');
    near(
      loss(0, 1000, [1, 0], 0.1),
      2.9957323,
      'With an error rate of 0.1, P is never below 0.05, so no choice costs more than 3.00',
    );
    near(loss(2, 0, [1, 0], 0.2), 0.2176, 'With an error rate of 0.2, two points ahead, P is 0.804', 1e-3);
  },
});
