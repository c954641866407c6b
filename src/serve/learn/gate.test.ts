import { expect, it } from 'vitest';
import { random } from '../../random.ts';
import { agreementOf, checkVersion, type GateMeasures, type HeldOutFeedback } from './gate.ts';

const rule = { winRate: 0.5, level: 0.025, heldOut: 40, maxKl: 10 };

/** Feedback of 60 users; good completions have an implicit reward that is higher by `shift` standard deviations. */
function feedback(shift: number): HeldOutFeedback[] {
  const draws = random(0, 'held out');
  return Array.from({ length: 60 }, (_, u) => {
    const user = `user-${u}`;
    return Array.from({ length: 4 }, () => {
      const good = draws.uniform() < 0.6;
      return { user, [good ? 'better' : 'worse']: draws.normal() + (good ? shift : 0) };
    });
  }).flat();
}
const liked = feedback(2).slice(0, 60);
const measures = (changes: Partial<GateMeasures>): GateMeasures => ({
  heldOut: liked,
  kl: 1,
  texts: { serving: { 'response/length': 30 }, version: { 'response/length': 33 } },
  ...changes,
});
const failed = (changes: Partial<GateMeasures>) => {
  const { verdict, checks } = checkVersion(measures(changes), rule);
  return [verdict, ...checks.filter(({ passed }) => !passed).map(({ name }) => name)];
};

it('passes a version that held-out users like better, and no other', () => {
  expect(failed({ heldOut: feedback(1) })).toEqual(['better']);
  expect(failed({ heldOut: feedback(-1) })).toEqual(['worse', 'held-out feedback']);
  expect(failed({ heldOut: feedback(0) })).toEqual(['undecided', 'held-out feedback']);
  expect(failed({ heldOut: feedback(3).slice(0, 30) })).toEqual(['not measured', 'held-out feedback']);
  expect(failed({ heldOut: [] })).toEqual(['not measured', 'held-out feedback']);
});

it('does not let judgments vouch for themselves', () => {
  const earlier = (shift: number) => feedback(shift).map((one) => ({ ...one, earlier: true }));
  expect(failed({ heldOut: [...feedback(3), ...earlier(1)] })).toEqual(['better']);
  expect(failed({ heldOut: [...feedback(3), ...earlier(0)] })).toEqual(['undecided', 'held-out feedback']);
  expect(failed({ heldOut: [...feedback(3), ...earlier(-1)] })).toEqual(['worse', 'held-out feedback']);
  const own = "held-out feedback of the version's own time";
  expect(failed({ heldOut: [...feedback(-3), ...earlier(1)] })).toEqual(['worse', own]);
  // too few earlier ones say nothing
  expect(failed({ heldOut: [...feedback(1), ...earlier(-1).slice(0, 39)] })).toEqual(['better']);
});

it('is stricter at a lower level', () => {
  const strict = checkVersion(measures({ heldOut: feedback(0.6) }), { ...rule, level: 1e-4 });
  const usual = checkVersion(measures({ heldOut: feedback(0.6) }), rule);
  expect([usual.verdict, strict.verdict]).toEqual(['better', 'undecided']);
  expect(strict.agreement).toEqual(usual.agreement);
});

it('never decides by what it did not measure', () => {
  // a training that overflowed: every log-probability is NaN
  const nothing = (one: HeldOutFeedback) => ({ ...one, [one.better === undefined ? 'worse' : 'better']: Number.NaN });
  expect(failed({ heldOut: liked.map(nothing) })).toEqual(['not measured', 'held-out feedback']);
  expect(failed({ heldOut: [...liked.map(nothing), ...feedback(1)] })).toEqual(['better']);
  expect(failed({ heldOut: [...feedback(1), ...liked.map((one) => ({ ...nothing(one), earlier: true }))] })).toEqual([
    'better',
  ]);
  // what is worse for sure is so, whatever else is not known
  expect(failed({ heldOut: feedback(-1), kl: Number.NaN })).toEqual(['worse', 'held-out feedback', 'KL']);
  const evaluation = { winRate: Number.NaN, interval: [Number.NaN, Number.NaN] as const };
  expect(failed({ evaluation: evaluation as never })).toEqual(['not measured', 'evaluation set']);
});

it('refuses versions that left the bounds', () => {
  expect(failed({ kl: 11 })).toEqual(['worse', 'KL']);
  expect(failed({ kl: Number.NaN })).toEqual(['not measured', 'KL']);
  expect(failed({ kl: Number.POSITIVE_INFINITY })).toEqual(['worse', 'KL']);
  const length = { serving: { 'response/length': 30 }, version: { 'response/length': 90 } };
  expect(failed({ texts: length })).toEqual(['worse', 'length-changed']);
  const repetition = { serving: { 'text/repetition': 0.02 }, version: { 'text/repetition': 0.4 } };
  expect(failed({ texts: repetition })).toEqual(['worse', 'repetitive']);
});

it('takes the word of an evaluation set', () => {
  expect(failed({ heldOut: [], evaluation: { winRate: 0.7, interval: [0.6, 0.8] } })).toEqual([
    'better',
    'held-out feedback',
  ]);
  expect(failed({ evaluation: { winRate: 0.5, interval: [0.4, 0.6] } })).toEqual(['undecided', 'evaluation set']);
  expect(failed({ evaluation: { winRate: 0.3, interval: [0.2, 0.4] } })).toEqual(['worse', 'evaluation set']);
});

it('counts pairs and single completions, and ties a half', () => {
  const one = (fields: object) => ({ user: 'ann', ...fields });
  expect(agreementOf([one({ better: 2, worse: 1 }), one({ better: 1, worse: 1 })]).share).toBe(0.75);
  const singles = [one({ better: 3 }), one({ better: 1 }), one({ worse: 1 }), one({ worse: 0 })];
  expect(agreementOf(singles).share).toBe((1 + 1 + 0.5 + 1) / 4);
  expect(agreementOf([...singles, one({ better: 1, worse: 2 })]).share).toBe((4 * 0.875) / 5);
});
