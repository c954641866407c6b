import { expect, it } from 'vitest';
import { random } from '../../random.ts';
import { decideCanary } from './canary.ts';

const rule = { error: 0.05, margin: 0.1, least: 30, most: 3000 };

/** How often each verdict is reached when judgments are looked at five by five; a canary gets every third. */
function verdicts(canaryRate: number, servingRate: number, times: number) {
  const counts = { continue: 0, 'roll back': 0, promote: 0, undecided: 0 };
  let judged = 0;
  for (let time = 0; time < times; time++) {
    const draws = random(time, 'canary', canaryRate);
    const [canary, serving] = [
      { good: 0, judged: 0 },
      { good: 0, judged: 0 },
    ];
    for (let i = 0; ; i++) {
      const [tally, rate] = i % 3 === 0 ? [canary, canaryRate] : [serving, servingRate];
      tally.judged++;
      tally.good += Number(draws.uniform() < rate);
      if (i % 5 > 0) continue;
      const { verdict, reason } = decideCanary(canary, serving, { ...rule, most: 400 });
      if (verdict === 'continue') continue;
      counts[reason.startsWith('undecided') ? 'undecided' : verdict]++;
      judged += canary.judged;
      break;
    }
  }
  return { ...counts, judged: judged / times };
}

it('rolls back what is worse and promotes what is not, soon', () => {
  const worse = verdicts(0.4, 0.65, 40);
  expect(worse['roll back']).toBe(40);
  expect(worse.judged).toBeLessThan(150);
  const better = verdicts(0.75, 0.65, 40);
  expect(better.promote).toBeGreaterThan(37);
  expect(better.judged).toBeLessThan(250);
});

it('errs no more often than it says, although it looks after each judgment', () => {
  const times = 60;
  // as good: few are rolled back; worse by the margin: few are promoted. The bounds leave three standard errors.
  const most = times * (rule.error + 3 * Math.sqrt((rule.error * (1 - rule.error)) / times));
  expect(verdicts(0.6, 0.6, times)['roll back']).toBeLessThan(most);
  expect(verdicts(0.5, 0.6, times).promote).toBeLessThan(most);
});

it('waits for judgments, and gives up in the end', () => {
  const none = { good: 0, judged: 0 };
  expect(decideCanary(none, none, rule)).toMatchObject({ verdict: 'continue', worse: 0, notWorse: 0 });
  expect(decideCanary({ good: 20, judged: 20 }, { good: 10, judged: 100 }, rule).verdict).toBe('continue'); // below least
  expect(decideCanary({ good: 30, judged: 30 }, { good: 10, judged: 100 }, rule).verdict).toBe('promote');
  const undecided = { good: 540, judged: 1000 };
  expect(decideCanary(undecided, { good: 600, judged: 1000 }, { ...rule, error: 0.001, most: 1000 })).toMatchObject({
    verdict: 'roll back',
    reason: expect.stringContaining('undecided'),
  });
});

it('without a margin promotes only what is better', () => {
  const strict = { ...rule, margin: 0 };
  const decide = (...[good, judged, others, all]: number[]) =>
    decideCanary({ good, judged }, { good: others, judged: all }, strict);
  // where nearly everything is found good, a version that is worse looks the same
  expect(decide(74, 76, 127, 132).verdict).toBe('continue');
  expect(decide(180, 256, 116, 232)).toMatchObject({
    verdict: 'promote',
    reason: 'better than the serving version: 180 of 256 good, against 116 of 232',
  });
});
