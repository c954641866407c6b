/**
 * The gate: whether a trained version may be shown to anybody. By held-out users' feedback on the serving version's
 * completions, the new version must have moved toward what they liked: with its implicit reward r = log π_new − log
 * π_serving of a completion, a good completion has a higher r than a bad one more often than not. To first order that is
 * also whether the mean rating rises: d/dε E[rating] = Cov(rating, r) under the serving version. An evaluation set, if
 * there is one, adds a win rate by a judge or a reward. The other checks are bounds on how far the version has moved.
 */
import { signals } from '../../align/diagnosis/signals.ts';
import { grouped } from '../../grouped.ts';
import { bootstrap, type Interval } from '../../run/intervals.ts';
import { errorsAbove } from './gate-level.ts';

/** Held-out feedback with the implicit reward of what it is about. */
export interface HeldOutFeedback {
  /** Pseudonym of the user. */
  user: string;
  /** Implicit reward of a good or the preferred completion; undefined if the feedback found its completion bad. */
  better?: number;
  /** Implicit reward of a bad or the other completion; undefined if the feedback found its completion good. */
  worse?: number;
  /** Whether it came before what the version learned from, at the time of a version that came to serve. */
  earlier?: boolean;
}

/** What is measured of a trained version. */
export interface GateMeasures {
  /** Held-out users' feedback; pairs have both rewards. */
  heldOut: readonly HeldOutFeedback[];
  /** KL from the serving version, in nats per completion. */
  kl: number;
  /** Metrics of the serving version's completions, and of the new one's, of the same prompts: `response/length`, … */
  texts: { serving: Readonly<Record<string, number>>; version: Readonly<Record<string, number>> };
  /** Win rate over the serving version on the evaluation set, if there is one. */
  evaluation?: { winRate: number; interval: Interval };
}

/** What a version needs to pass. */
export interface GateRule {
  /** What the agreement with held-out feedback, and the win rate on the evaluation set, have to be above. */
  winRate: number;
  /** How often a version that is no better than `winRate` passes, at most: see gate-level.ts. */
  level: number;
  /** Held-out judgments that the agreement needs. */
  heldOut: number;
  /** maximum KL from the serving version, in nats per completion. */
  maxKl: number;
}

/** One check of the gate. */
export interface GateCheck {
  /** What was checked. */
  name: string;
  passed: boolean;
  /** The figure and its bound, in words. */
  text: string;
}

/** The outcome of the gate. */
export interface GateResult {
  /**
   * `better`: it may be shown; `worse`: held-out feedback or the evaluation set says so, or it left a bound; `undecided`:
   * the evidence is for neither; `not measured`: something that the gate needs could not be measured, so it says nothing.
   */
  verdict: 'better' | 'worse' | 'undecided' | 'not measured';
  /** All checks, the failed ones first. */
  checks: GateCheck[];
  /**
   * Share of pairs of a good and a bad completion that the version orders as held-out users do, with its 95 % interval:
   * by the earlier feedback if there is enough of it.
   */
  agreement: { share: number; interval: Interval; n: number };
}

interface Share {
  share: number;
  /** 95 % of it. */
  interval: Interval;
}

/** The signals that a version's texts must not show. */
const guards = signals.filter(({ code }) =>
  ['no-eos', 'repetitive', 'same-everywhere', 'length-changed'].includes(code),
);

/** Checks a version. */
export function checkVersion(measures: GateMeasures, rule: GateRule): GateResult {
  const { kl, texts, evaluation } = measures;
  // a model whose numbers have overflowed says nothing
  const heldOut = measures.heldOut.filter(
    ({ better = 0, worse = 0 }) => Number.isFinite(better) && Number.isFinite(worse),
  );
  const earlier = heldOut.filter((one) => one.earlier);
  const vouched = earlier.length >= rule.heldOut;
  const agreement = agreementOf(vouched ? earlier : heldOut);
  const newer = agreementOf(vouched ? heldOut.filter((one) => !one.earlier) : []);
  /** The lower bound at the rule's level: the 95 % interval, as much wider. */
  const lowest = ({ share, interval: [low] }: Share) => share - ((share - low) * errorsAbove(rule.level)) / 1.96;
  const above = (measure: Share) => lowest(measure) > rule.winRate;
  const below = ({ interval: [, high] }: Share) => high < rule.winRate;
  const figures = (measure: Share) =>
    `${measure.share.toFixed(3)} (${measure.interval.map((bound) => bound.toFixed(3)).join(' to ')}), ` +
    `at least ${lowest(measure).toFixed(3)} at the level ${rule.level.toPrecision(2)}, needed above ${rule.winRate}`;
  const enough = agreement.n >= rule.heldOut;
  const winRate = evaluation && { share: evaluation.winRate, interval: evaluation.interval };
  const judged = [
    {
      name: 'held-out feedback',
      // an evaluation set makes up for held-out feedback that is missing
      measured: enough || evaluation !== undefined,
      passed: enough && above(agreement),
      harmful: enough && below(agreement),
      text: enough ? `agreement ${figures(agreement)}` : `${agreement.n} held-out judgments, needed ${rule.heldOut}`,
    },
    ...(newer.n >= rule.heldOut
      ? [
          {
            name: "held-out feedback of the version's own time",
            measured: true,
            passed: !below(newer),
            harmful: below(newer),
            text: `agreement ${newer.share.toFixed(3)}, at most ${newer.interval[1].toFixed(3)}, needed above ${rule.winRate}`,
          },
        ]
      : []),
    ...(winRate
      ? [
          {
            name: 'evaluation set',
            measured: !Number.isNaN(winRate.share),
            passed: above(winRate),
            harmful: below(winRate),
            text: `win rate ${figures(winRate)}`,
          },
        ]
      : []),
    {
      name: 'KL',
      measured: !Number.isNaN(kl),
      passed: kl <= rule.maxKl,
      harmful: kl > rule.maxKl,
      text: Number.isNaN(kl)
        ? 'could not be measured: no prompt of the feedback leaves room for a completion, or all completions were empty'
        : `${kl.toFixed(2)} nats from the serving version, at most ${rule.maxKl}`,
    },
    ...guards.flatMap(({ code, metric, out, means }) => {
      const [first, value] = [texts.serving[metric], texts.version[metric]];
      if (first === undefined || value === undefined) return [];
      // what the serving version shows too says nothing about this one
      const harmful = out(value, first, 0) && !out(first, first, 0);
      const change = `${metric} ${first.toPrecision(3)} → ${value.toPrecision(3)}`;
      return [
        { name: code, measured: true, passed: !harmful, harmful, text: harmful ? `${change}: ${means}` : change },
      ];
    }),
  ];
  const checks = judged
    .toSorted((a, b) => Number(a.passed) - Number(b.passed))
    .map(({ name, passed, text }) => ({ name, passed, text }));
  return { verdict: verdictOf(judged, evaluation !== undefined), checks, agreement };
}

/** The verdict of all checks; the first one is that of held-out feedback. */
function verdictOf(
  judged: readonly { measured: boolean; passed: boolean; harmful: boolean }[],
  hasEvaluation: boolean,
): GateResult['verdict'] {
  if (judged.some(({ harmful }) => harmful)) return 'worse';
  if (judged.some(({ measured }) => !measured)) return 'not measured';
  // an evaluation set that says better makes up for held-out feedback that says nothing yet
  const [heldOut, ...others] = judged;
  return (heldOut.passed || hasEvaluation) && others.every(({ passed }) => passed) ? 'better' : 'undecided';
}

/**
 * The probability that a good completion has a higher implicit reward than a bad one, or the preferred of a pair than
 * the other (the area under the ROC curve), with a 95 % interval over users. Pairs count by their number, single
 * completions by theirs. All rewards have to be finite.
 */
export function agreementOf(heldOut: readonly HeldOutFeedback[]): GateResult['agreement'] {
  const users = [...grouped(heldOut, ({ user }) => user).values()];
  const pairs = users.map((theirs) =>
    theirs.flatMap(({ better, worse }) =>
      better === undefined || worse === undefined ? [] : (1 + Math.sign(better - worse)) / 2,
    ),
  );
  const singles = users
    .flatMap((theirs, user) =>
      theirs.flatMap(({ better, worse }) =>
        (better === undefined) === (worse === undefined)
          ? []
          : [{ user, isGood: better !== undefined, value: (better ?? worse)! }],
      ),
    )
    .sort((a, b) => a.value - b.value);

  /** Of a sample of users, each as often as it is in there. NaN if there is nothing to compare. */
  function shareOf(sample: readonly number[]): number {
    const times = new Uint32Array(users.length);
    for (const user of sample) times[user]++;
    let [won, count] = [0, 0];
    times.forEach((n, user) => {
      count += n * pairs[user].length;
      for (const win of pairs[user]) won += n * win;
    });
    // from the lowest to the highest; equal ones, which stand together, count a half
    let [good, bad, above] = [0, 0, 0];
    for (let i = 0; i < singles.length; ) {
      const { value } = singles[i];
      let [goodHere, badHere] = [0, 0];
      for (; i < singles.length && singles[i].value === value; i++) {
        if (singles[i].isGood) goodHere += times[singles[i].user];
        else badHere += times[singles[i].user];
      }
      above += goodHere * (bad + badHere / 2);
      good += goodHere;
      bad += badHere;
    }
    if (good > 0 && bad > 0) {
      won += ((good + bad) * above) / (good * bad);
      count += good + bad;
    }
    return won / count;
  }
  const everybody = users.map((_, i) => i);
  const share = shareOf(everybody);
  const interval: Interval = Number.isNaN(share) ? [0, 1] : bootstrap(everybody, shareOf);
  return { share, interval: interval.some(Number.isNaN) ? [0, 1] : interval, n: heldOut.length };
}
