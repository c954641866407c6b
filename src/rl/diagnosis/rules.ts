/**
 * The rules of the diagnosis: what goes wrong in control, by which measures it shows, and what to do. Causes come
 * before their effects. The thresholds are checked by `npm run bench -- control --only diagnosis`: failures made on
 * purpose, and healthy runs.
 */
import { withCommas } from '../../commas.ts';
import { flagFor } from '../../flag-names.ts';
import { percent as percentOf } from '../../percent.ts';
import type { Finding } from '../../run/diagnosis.ts';
import type { ControlFacts, ControlMeasures } from './measures.ts';

/** What a training consists of, from cause to effect. */
export const stages = ['teacher', 'reward', 'policy'] as const;

interface Rule {
  code: string;
  severity: Finding['severity'] | ((measures: ControlMeasures, facts: ControlFacts) => Finding['severity']);
  /** Where it goes wrong. What comes later suffers from it, and is not judged then. */
  stage: (typeof stages)[number];
  /** The command that it is about; absent: both. */
  only?: ControlFacts['command'];
  /** Share of the run from which it is judged. */
  from: number;
  /** Whether it applies. Comparisons with NaN, a measure that is absent, are false. */
  applies(measures: ControlMeasures, facts: ControlFacts): boolean;
  text(measures: ControlMeasures, facts: ControlFacts): string;
  advice: string | ((facts: ControlFacts, measures: ControlMeasures) => string);
}

const percent = (share: number): string => percentOf(share, 0);
const figure = (x: number): string => String(Number(x.toPrecision(2))).replace('-', '−');
/** Whether only the teacher knows what is better. */
const onlyTeacherKnows = ({ standard }: ControlFacts): boolean => standard === 'teacher' || standard === 'people';
/** A gain over random play, in deviations, from which on a policy does better. */
const GAIN = 0.2;
/**
 * By how much the policy exceeds random play in what the agent was taught: in the environment's reward, a judge's
 * scores, or, where only the teacher knows, the learned reward.
 */
const gainOf = ({ trueGain, learnedGain }: ControlMeasures, facts: ControlFacts): number =>
  onlyTeacherKnows(facts) || !Number.isFinite(trueGain) ? learnedGain : trueGain;
/**
 * Whether the policy does no better than at first, or than random play if there are no evaluations or the environment's
 * return is not what was taught.
 */
function unimproved(measures: ControlMeasures, facts: ControlFacts): boolean {
  const { returnLast, returnBefore } = measures;
  if (facts.standard !== 'return' || !Number.isFinite(returnLast + returnBefore)) return gainOf(measures, facts) < GAIN;
  return returnLast <= returnBefore + noiseOf(measures, facts);
}
/** Two standard errors of the difference between two evaluations. */
const noiseOf = ({ returnSpread }: ControlMeasures, { episodes }: ControlFacts): number =>
  Math.min(0.5, 2 * Math.sqrt(2 / episodes)) * returnSpread;
/** Whether the agent ends below random play in what it was taught. */
function isBelowRandom(measures: ControlMeasures, facts: ControlFacts): boolean {
  const { returnLast, returnRandom, randomError } = measures;
  if (gainOf(measures, facts) < -GAIN) return true;
  // a second look, since the first is at windows and at a policy that still explores
  return facts.standard === 'return' && gainOf(measures, facts) < 0 && returnLast < returnRandom - 4 * randomError;
}
/**
 * Whether the reward model is judged already: more labels may still mend it. A run that asks for all its labels early is
 * judged early.
 */
const rewardIsFinal = ({ labels, progress }: ControlMeasures, facts: ControlFacts): boolean =>
  labels >= 0.9 * facts.labels || progress >= 0.8;
/** How many standard errors the predicted share of a teacher's judgments lies above half. */
const certaintyOf = ({ judgments, tested }: ControlMeasures): number => (judgments - 0.5) * 2 * Math.sqrt(tested);
/** Whether a reward predicts the teacher's judgments hardly better than a coin. */
const isCoin = (measures: ControlMeasures): boolean => certaintyOf(measures) < 2 || measures.judgments < COIN;
/** Whether the policy improved in what it was taught, as far as anybody can tell. */
function succeeded(measures: ControlMeasures, facts: ControlFacts): boolean {
  if (onlyTeacherKnows(facts)) return measures.judgments >= COIN && !isCoin(measures) && measures.learnedGain >= GAIN;
  return measures.trueGain > 0 && !unimproved(measures, facts);
}
/**
 * Of the teacher or a poor reward model: a warning where the policy improves all the same in what it was taught. Of what
 * people want, the environment's returns say nothing.
 */
const severityOfReward = (measures: ControlMeasures, facts: ControlFacts): Finding['severity'] =>
  succeeded(measures, facts) ? 'warning' : 'failure';
/** From this share of held-out pairs on, a learned reward is good enough to blame the policy. */
const GOOD_REWARD = 0.75;
/** Up to this share of a teacher's judgments, a coin explains them as well as any taste. */
const COIN = 0.65;
/** From this share of its labels on, a reward model has learned them, and may only lack others. */
const FITS = 0.8;
/** From this share on, the labels did not contradict each other. */
const RIGHT_REWARD = 0.85;

/** A flag of the policy's algorithm. */
const flag = ({ algorithm }: ControlFacts, name: string): string => flagFor(`${algorithm}.${name}`);
const isSac = ({ algorithm }: ControlFacts): boolean => algorithm === 'sac' || algorithm === 'pebble';
/** How a policy explores more. */
function exploration(facts: ControlFacts): string {
  if (isSac(facts)) return `a fixed ${flag(facts, 'temperature')} above the learned one`;
  return facts.algorithm === 'trpo' ? 'a lower --trpo.target-kl' : `${flag(facts, 'entropyCoefficient')} 0.01`;
}
/** How updates become smaller. */
function smallerUpdates(facts: ControlFacts): string {
  if (facts.algorithm === 'trpo') return 'Lower --trpo.target-kl.';
  if (facts.algorithm !== 'ppo') return `Lower ${flag(facts, 'learningRate')}.`;
  return 'Lower --ppo.learning-rate or --ppo.epochs, or set --ppo.target-kl 0.02.';
}
/** What a critic needs that predicts nothing. */
function betterCritic(facts: ControlFacts): string {
  if (isSac(facts)) return 'Train longer (--steps).';
  const longer = `collect more steps per update (${flag(facts, 'horizon')})`;
  // pixels are scaled already
  if (facts.images) return `Train longer (--steps), or ${longer}.`;
  return `Normalize rewards and observations (${flag(facts, 'normalizeObservations')} true), or ${longer}.`;
}

/** Many ties say that few steps earn anything: from this share on, a penalty on the others replaces labels. */
const MOSTLY_TIED = 0.5;
/** What to do about too few labels: those of a run are not lost. */
function moreLabels({ labels }: ControlFacts, { tied }: ControlMeasures): string {
  const again = `Ask for as many again: --labels ${labels}, and --comparisons with the folder of this run, so that both are learned from.`;
  return tied >= MOSTLY_TIED ? `${again} Most pairs are equal: --reward.sparsity 0.05 may be enough instead.` : again;
}

/** All rules, in the order of cause and effect. */
export const rules: readonly Rule[] = [
  {
    code: 'episodes-one-step',
    stage: 'teacher',
    severity: 'failure',
    from: 0,
    // where the time limit is one step, they are meant to be
    applies: ({ ended, cut, length }, { maxEpisodeSteps }) => ended + cut >= 20 && length < 2 && maxEpisodeSteps > 1,
    text: ({ ended, cut, length }) =>
      `Episodes are over at once: ${withCommas(ended + cut)} of them had ${length.toFixed(1)} steps on average.`,
    advice: ({ command }) =>
      `Look at what \`terminated\` means in the environment${command === 'train' ? '; --segment.window 1 compares single steps' : ''}.`,
  },
  {
    code: 'episodes-never-end',
    stage: 'teacher',
    severity: 'failure',
    from: 0.05,
    applies: ({ ended, cut }, { maxEpisodeSteps }) => ended + cut === 0 && maxEpisodeSteps >= 10_000,
    text: (_, { maxEpisodeSteps }) =>
      `No episode has ended yet, and the time limit is ${withCommas(maxEpisodeSteps)} steps: the agent may be stuck in one place for the whole run.`,
    advice: 'Give the environment a time limit: withTimeLimit in a file of your own, ?max_episode_steps=500 in a name.',
  },
  {
    code: 'reward-constant',
    stage: 'teacher',
    severity: 'failure',
    from: 0.1, // PPO finds MountainCar's goal after 9 %
    applies: ({ leastReward, greatestReward, ended, cut }) =>
      leastReward === greatestReward && ended < 0.01 * (ended + cut),
    text: ({ leastReward }) =>
      `Every step has earned a reward of ${figure(leastReward)} so far, and no episode ended early: nothing shows the agent what is better.`,
    advice: (facts) =>
      `Check the reward; if it is rare, reward steps toward it too, or explore more (${exploration(facts)}).`,
  },
  {
    code: 'reward-scale-changes',
    stage: 'teacher',
    severity: 'failure',
    from: 0.05,
    applies: ({ rewardGrowth }) => rewardGrowth > 1e4 || rewardGrowth < 1e-4,
    text: ({ rewardGrowth }) =>
      `The environment's rewards change their scale during the run: they ${rewardGrowth > 1 ? 'grew' : 'shrank'} ${figure(rewardGrowth > 1 ? rewardGrowth : 1 / rewardGrowth)} times.`,
    advice: 'A reward must mean the same from the first step to the last: check what it is divided or multiplied by.',
  },
  {
    code: 'labels-missing',
    stage: 'teacher',
    only: 'train',
    severity: ({ labels }) => (labels === 0 ? 'failure' : 'warning'),
    from: 0,
    applies: ({ labels, owed, progress }, facts) => {
      if (labels === 0 && facts.standard !== 'people' && owed >= 4) return true;
      return facts.labels > 0 && progress >= 0.8 && labels < 0.5 * facts.labels;
    },
    text: ({ labels }, facts) => {
      const had = `${withCommas(labels)} of ${withCommas(facts.labels)} labels`;
      return facts.standard === 'people'
        ? `People have given ${had}: the agent learns from those alone.`
        : `The teacher has given ${had}: it skipped the other pairs.`;
    },
    advice: ({ standard }) =>
      standard === 'people'
        ? 'Open the page and answer before the run ends; a longer run (--steps) leaves more time.'
        : "Look at why it skips: a teacher that returns 'skip' teaches nothing. Longer segments differ more (--segment.window).",
  },
  {
    code: 'labels-incomparable',
    stage: 'teacher',
    only: 'train',
    severity: severityOfReward,
    from: 0,
    applies: ({ incomparable, decided, labels }) => labels >= 5 && decided < 20 && incomparable > 0.8,
    text: ({ incomparable, labels }) =>
      `The teacher cannot compare ${percent(incomparable)} of ${labels} pairs, and nothing is learned from those.`,
    advice:
      'Longer segments show more (--segment.window); check what the teacher needs to see in order to compare them.',
  },
  {
    code: 'labels-tied',
    stage: 'teacher',
    only: 'train',
    // where rewards are rare most of the first pairs are equal
    severity: severityOfReward,
    from: 0,
    applies: (measures, facts) => {
      const { tied, decided, labels } = measures;
      return labels >= 5 && decided < 20 && tied > (rewardIsFinal(measures, facts) ? 0.8 : 0.95);
    },
    text: ({ tied, labels }) =>
      `The teacher calls ${percent(tied)} of ${labels} pairs equal, so there is next to nothing to learn from.`,
    advice: 'Longer segments differ more (--segment.window); check that what is judged varies in the clips at all.',
  },
  {
    code: 'labels-one-sided',
    stage: 'teacher',
    only: 'train',
    severity: 'failure',
    from: 0,
    applies: ({ first, decided }) => oneSided(first, decided) < (first === 0 || first === 1 ? 1e-3 : 1e-4),
    text: ({ first, decided }) =>
      `The teacher prefers the ${first > 0.5 ? 'first' : 'second'} clip in ${percent(Math.max(first, 1 - first))} of ${decided} pairs, whatever they show.`,
    advice: 'Check the teacher: the clips come in random order, so each side should win about half of the time.',
  },
  {
    code: 'reward-inverted',
    stage: 'teacher',
    only: 'train',
    // people may well want the opposite of what an environment pays for; a function that does so has its sign wrong
    severity: (_, { standard }) => (standard === 'people' ? 'warning' : 'failure'),
    from: 0,
    applies: ({ byReward, against }) => byReward >= 10 && against >= 0.97,
    text: ({ byReward, against }) =>
      `The teacher prefers the clip with the lower reward of the environment in ${percent(against)} of the ${byReward} pairs that differ in it: the sign looks wrong.`,
    advice:
      'Check that the teacher returns the better clip and not the worse one; if it is meant to do the opposite, nothing is wrong.',
  },
  {
    code: 'reward-inverted',
    stage: 'reward',
    only: 'train',
    severity: 'failure',
    from: 0,
    applies: ({ heldOut, labels, trueGain, learnedGain }) =>
      (labels >= 4 && heldOut < 0.3) || (labels >= 10 && heldOut < 0.5 && learnedGain > 0.5 && trueGain < -0.5),
    text: ({ heldOut }) =>
      `The learned reward has the wrong sign: it orders ${percent(1 - heldOut)} of random held-out pairs the wrong way round.`,
    advice: 'Check that the teacher returns the better clip and not the worse one.',
  },
  {
    code: 'labels-contradict',
    stage: 'reward',
    only: 'train',
    severity: severityOfReward,
    from: 0.2,
    applies: (measures, facts) => {
      const { decided, fitted, foreseen, heldOut, tested } = measures;
      if (!rewardIsFinal(measures, facts) || heldOut >= GOOD_REWARD) return false;
      if (tested >= 20) return isCoin(measures) && fitted < FITS;
      return decided >= 30 && foreseen < 0.65 && fitted < 0.95;
    },
    text: ({ fitted, foreseen, judgments, tested }) =>
      Number.isFinite(judgments)
        ? `The judgments look contradictory: a reward that learned from four fifths of ${tested} predicts ${percent(judgments)} of the rest, about as many as a coin flip would.`
        : `The labels look contradictory: the reward model fits ${percent(fitted)} of them, and foresaw ${percent(foreseen)}, about as many as a coin flip would.`,
    advice:
      'Check the teacher; with about 20 % wrong labels, ask for several times as many and set --choice.error-rate 0.4.',
  },
  {
    code: 'reward-constant',
    stage: 'reward',
    only: 'train',
    severity: 'failure',
    from: 0.1,
    applies: (measures, facts) => {
      const { spread, offset, ended, cut, labels } = measures;
      const constant = labels > 0 && ended < 0.01 * (ended + cut) && (spread < 1e-6 || Math.abs(offset) > 50);
      return constant && rewardIsFinal(measures, facts);
    },
    text: () => 'The learned reward is the same for every step, and no episode ends early: there is nothing to learn.',
    advice: 'Ask for more comparisons (--labels), or lower --reward.weight-decay and --reward.constant.',
  },
  {
    code: 'reward-drifts',
    stage: 'reward',
    only: 'train',
    severity: 'failure',
    from: 0.2,
    applies: (measures, facts) => rewardIsFinal(measures, facts) && measures.drift > 0.5,
    text: ({ drift }) =>
      `The learned reward changes completely at every fit (r = ${figure(1 - drift)} between one fit and the next), so the policy has nothing to follow.`,
    advice: 'Lower --reward.learning-rate, or raise --labels and --reward.members.',
  },
  {
    code: 'too-few-labels',
    stage: 'reward',
    only: 'train',
    severity: (measures, facts) =>
      onlyTeacherKnows(facts) && measures.judgments >= 0.55 && measures.learnedGain >= GAIN
        ? 'warning' // hard pairs may look like a coin's
        : severityOfReward(measures, facts),
    from: 0.2,
    applies: (measures, facts) => {
      const { heldOut, fitted, decided, foreseen, tested } = measures;
      if (!rewardIsFinal(measures, facts)) return false;
      if (onlyTeacherKnows(facts)) return isCoin(measures) && fitted >= FITS;
      const fits = heldOut >= 0.3 && heldOut < GOOD_REWARD && fitted >= 0.82;
      return fits && (tested >= 20 || !(decided >= 30 && foreseen < 0.65 && fitted < 0.95));
    },
    text: ({ heldOut, fitted, labels, judgments }) =>
      Number.isFinite(heldOut)
        ? `The reward fits its ${labels} labels (${percent(fitted)}) but orders only ${percent(heldOut)} of random held-out pairs: these are too few.`
        : `The reward fits its ${labels} labels (${percent(fitted)}) but one that learned from four fifths of them predicts only ${percent(judgments)} of the rest: these are too few.`,
    advice: moreLabels,
  },
  {
    code: 'labels-few',
    stage: 'reward',
    only: 'train',
    severity: 'warning',
    from: 0.8,
    applies: ({ decided, labels }, facts) => onlyTeacherKnows(facts) && labels > 0 && decided < 8,
    text: ({ decided }) =>
      `Only ${decided} judgments prefer one of two clips, which is too few to say whether the reward is right.`,
    advice: moreLabels,
  },
  {
    code: 'reward-unfit',
    stage: 'reward',
    only: 'train',
    severity: severityOfReward,
    from: 0.2,
    applies: (measures, facts) => {
      const { heldOut, fitted } = measures;
      return rewardIsFinal(measures, facts) && heldOut >= 0.3 && heldOut < GOOD_REWARD && fitted < 0.82;
    },
    text: ({ heldOut, fitted }) =>
      `The reward model fits only ${percent(fitted)} of its labels and orders ${percent(heldOut)} of random held-out pairs.`,
    advice: ({ images }) =>
      `What decides the comparisons must be in the observations; try ${images ? 'a longer fit (--reward.steps)' : '--reward.change true, a larger --reward.hidden'}, more --labels.`,
  },
  {
    code: 'policy-unstable',
    stage: 'policy',
    severity: 'failure',
    from: 0.1,
    applies: ({ kl, clipped }) => kl > 0.15 || clipped > 0.5,
    text: ({ kl, clipped }) =>
      `Each update changes the policy too much: KL ${figure(kl)} nats, ${percent(clipped)} of the actions clipped.`,
    advice: smallerUpdates,
  },
  {
    code: 'reward-offset',
    stage: 'policy',
    only: 'train',
    severity: 'failure',
    from: 0.5,
    applies: (measures, facts) => {
      const { offset, ended, cut } = measures;
      return Math.abs(offset) > 1.5 && ended < 0.01 * (ended + cut) && unimproved(measures, facts);
    },
    text: ({ offset }) =>
      `No episode ends early, and every step earns ${figure(Math.abs(offset))} deviations ${offset > 0 ? 'above' : 'below'} zero: the critic learns that constant instead of the differences.`,
    advice: 'Set --reward.normalize zero-mean.',
  },
  {
    code: 'reward-exploited',
    stage: 'policy',
    only: 'train',
    severity: 'failure',
    from: 0.5,
    applies: (measures, facts) =>
      measures.learnedGain > 0.8 &&
      measures.trueGain < Math.min(0.2, 0.25 * measures.learnedGain) &&
      unimproved(measures, facts),
    text: ({ learnedGain, trueGain, coverage }) =>
      `The policy exploits the reward: it earns ${figure(learnedGain)} deviations more learned reward than random play, and ${figure(trueGain)} more true reward${coverage < 0.6 ? `; only ${percent(coverage)} of what it does now resembles a compared clip` : ''}.`,
    advice:
      'Keep asking until the end (--schedule.until 0.9), ask for more (--labels), or add members (--reward.members 5).',
  },
  {
    code: 'updates-missing',
    stage: 'policy',
    severity: 'failure',
    from: 1,
    applies: ({ greatestRate }, { algorithm }) => greatestRate === 0 && algorithm !== 'trpo',
    text: () => 'All steps together are one update, and the learning rate is 0 at the end: the policy has not learned.',
    advice: 'Set --steps to several times as many.',
  },
  {
    code: 'policy-still',
    stage: 'policy',
    severity: 'failure',
    from: 0.3,
    // a policy that has learned all it can hardly changes either, but it has become more certain
    applies: (measures, facts) => {
      const { greatestKl, greatestClipped, entropy, entropyFirst } = measures;
      const learned = entropyFirst - entropy > 0.05 * Math.abs(entropyFirst) && !unimproved(measures, facts);
      // in none of its updates: the last ones move it little by design, since the learning rate falls
      return greatestKl < 1e-6 && greatestClipped < 1e-3 && !learned;
    },
    text: ({ greatestKl }) =>
      `The policy hardly changes: no update moved it by more than ${greatestKl.toExponential(0)} nats.`,
    advice: (facts) =>
      `Raise ${flag(facts, facts.algorithm === 'trpo' ? 'targetKl' : 'learningRate')}; check that the reward varies.`,
  },
  {
    code: 'exploration-stopped',
    stage: 'policy',
    severity: 'failure',
    from: 0.3,
    // SAC's entropy comes to a target, below 0, by design
    applies: (measures, facts) =>
      !isSac(facts) &&
      measures.entropyFirst > 0 &&
      measures.entropy < 0.1 * measures.entropyFirst &&
      unimproved(measures, facts),
    text: ({ entropyFirst, entropy }) =>
      `The policy has stopped exploring before it found anything (entropy ${figure(entropyFirst)} → ${figure(entropy)} nats).`,
    advice: (facts) => `Set ${exploration(facts)}, or lower ${flag(facts, 'learningRate')}.`,
  },
  {
    code: 'value-lags',
    stage: 'policy',
    severity: 'failure',
    from: 0.3,
    applies: (measures, facts) => measures.updates >= 15 && measures.explained < 0.05 && unimproved(measures, facts),
    text: ({ explained }) =>
      `The critic explains ${percent(Math.max(-9.99, explained))} of the returns' variance, and the policy does no better than random play.`,
    advice: betterCritic,
  },
  {
    code: 'policy-below-random',
    stage: 'policy',
    only: 'train',
    severity: 'failure',
    from: 1, // of fresh clips of the finished agent
    applies: isBelowRandom,
    text: (measures, facts) => {
      const { returnLast, returnRandom } = measures;
      const gain = `${figure(-gainOf(measures, facts))} deviations`;
      if (facts.standard === 'judge') return `The agent does worse than random play, by ${gain} of the judge's scores.`;
      if (facts.standard !== 'return')
        return `The agent does worse than random play, by ${gain} of its learned reward.`;
      return Number.isFinite(returnLast + returnRandom)
        ? `The agent ends below random play: its return is ${figure(returnLast)}, random play's ${figure(returnRandom)}.`
        : `The agent does worse than random play, by ${gain} of the environment's reward.`;
    },
    advice: (facts) =>
      `Ask for more labels (--labels), keep asking until the end (--schedule.until 0.9), or explore more (${exploration(facts)}).`,
  },
  {
    code: 'policy-stuck',
    stage: 'policy',
    only: 'train',
    severity: 'failure',
    from: 0.5,
    applies: (measures, facts) =>
      (onlyTeacherKnows(facts) ? measures.judgments : measures.heldOut) >= GOOD_REWARD && unimproved(measures, facts),
    text: ({ heldOut, judgments }, facts) =>
      onlyTeacherKnows(facts)
        ? `The reward is good (it predicts ${percent(judgments)} of judgments that it has not learned from), but by it the policy does no better than random play.`
        : `The reward is ${heldOut >= RIGHT_REWARD ? 'right' : 'good'} (it orders ${percent(heldOut)} of held-out pairs), but the policy does no better than at first.`,
    advice: (facts) =>
      `Let it train longer (--steps) or explore more (${exploration(facts)})${facts.standard === 'return' ? '; `heed rl` shows whether the true reward teaches it' : ''}.`,
  },
  {
    code: 'policy-fell',
    stage: 'policy',
    severity: 'warning',
    from: 0.5,
    applies: (measures, facts) => {
      const { returnBefore, returnBest, returnLast, greatestRate } = measures;
      if (facts.standard !== 'return' || greatestRate === 0) return false; // it has not learned
      const rose = returnBest - returnBefore;
      return returnBest - returnLast > (rose > 0 ? 0.4 * rose : noiseOf(measures, facts));
    },
    text: ({ returnBefore, returnBest, returnLast, bestStep }) =>
      returnBest > returnBefore
        ? `The policy fell back from a return of ${figure(returnBest)} at step ${withCommas(bestStep)} to ${figure(returnLast)}.`
        : `The policy ends below where it began: its return is ${figure(returnLast)}, at first ${figure(returnBefore)}.`,
    advice: (facts) =>
      `Lower ${flag(facts, 'learningRate')}${facts.command === 'train' ? ', or keep asking for longer (--schedule.until 0.9)' : ''}.`,
  },
  {
    code: 'policy-falls-early',
    stage: 'policy',
    only: 'train',
    severity: 'warning',
    from: 0.5,
    applies: ({ endedLately, lengthLately, offset }, { maxEpisodeSteps }) =>
      offset > 0.5 && endedLately > 0.9 && lengthLately < 0.4 * maxEpisodeSteps,
    text: ({ lengthLately }, { maxEpisodeSteps }) =>
      `Each step earns reward, yet episodes still end after ${Math.round(lengthLately)} of ${maxEpisodeSteps} steps: there is more to gain by lasting.`,
    advice: 'Train longer (--steps), or start again with another --seed: the same reward often teaches another policy.',
  },
  {
    code: 'coverage-low',
    stage: 'policy',
    only: 'train',
    severity: 'warning',
    from: 0.5,
    applies: ({ coverage }) => coverage < 0.3,
    text: ({ coverage }) => `Only ${percent(coverage)} of what the policy does now resembles a clip that was compared.`,
    advice: 'Keep asking until the end: --schedule.until 0.9.',
  },
];

/**
 * Probability that a fair coin lands at least this far from half: exact if all tosses are equal, else by the normal
 * approximation with continuity.
 */
function oneSided(share: number, count: number): number {
  if (!(count > 0)) return 1;
  if (share === 0 || share === 1) return 2 ** (1 - count);
  const z = Math.max(0, Math.abs(share - 0.5) * count - 0.5) / Math.sqrt(count / 4);
  return Math.min(1, 2 * Math.exp(-0.717 * z - 0.416 * z * z)); // within 1 % of the tail (Bowling et al. 2009)
}
