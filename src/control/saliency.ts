/** What a learned reward looks at in clips, step by step, and a page about it. */
import { withCommas } from '../commas.ts';
import { percent } from '../percent.ts';
import type { LearnedStepReward } from '../rl/agent.ts';
import type { LineChart } from '../run/report/line-chart.ts';
import type { Report } from '../run/report.ts';
import { byClip, scoredSteps, stepScores, sumOf } from './reward/clip-scores.ts';
import type { LearnRewardMetrics } from './reward/cross-validation.ts';
import type { FitComparison } from './reward/fit.ts';
import type { Segment } from './segments.ts';

/** What a reward makes of a clip of t steps. */
export interface ClipSaliency {
  /** The reward of each step, [t]. */
  rewards: Float32Array;
  /**
   * By number of an observation: by how much each step's reward changes if that number is replaced by its mean over all
   * clips, [t]. Empty for images.
   */
  influence: Float32Array[];
}

const SHOWN = 3; // numbers of an observation in a chart

/** What a reward makes of some clips. The means of observations are those of `all`. */
export function saliencyOf(
  reward: LearnedStepReward,
  clips: readonly Segment[],
  all: readonly Segment[] = clips,
): ClipSaliency[] {
  const steps = scoredSteps(clips);
  const rewards = reward.scoreAll(steps);
  const size = clips[0].nextObservations.length === 0 ? 0 : steps.observations.length / rewards.length;
  const means = meansOf(all, size);
  const influence = Array.from({ length: size }, (_, number) => {
    const hidden = (rows: Float32Array) => rows.map((x, i) => (i % size === number ? means[number] : x));
    const without = {
      ...steps,
      observations: hidden(steps.observations),
      nextObservations: hidden(steps.nextObservations),
    };
    return reward.scoreAll(without).map((x, t) => Math.abs(x - rewards[t]));
  });
  return byClip(clips, rewards).map((clipRewards, i) => ({
    rewards: clipRewards,
    influence: influence.map((values) => byClip(clips, values)[i]),
  }));
}

function meansOf(clips: readonly Segment[], size: number): Float64Array {
  const sums = new Float64Array(size);
  for (const { observations } of clips) {
    for (let i = 0; i < observations.length && size > 0; i++) sums[i % size] += observations[i];
  }
  const steps = clips.reduce((sum, { length }) => sum + length, 0);
  return sums.map((sum) => sum / steps);
}

/** The page of a learned reward: how good it is, and what it sees in two of the comparisons. */
export function rewardPage(
  reward: LearnedStepReward,
  comparisons: readonly FitComparison[],
  { comparisons: count, decided, trainAccuracy, heldOut }: LearnRewardMetrics,
): Report {
  const all = comparisons.flatMap(({ segments }) => segments);
  return {
    title: 'A reward from comparisons',
    subtitle: `${withCommas(count)} comparisons, ${withCommas(decided)} of them decided`,
    summary: [
      ...(heldOut
        ? [
            {
              label: 'held out',
              value: percent(heldOut.accuracy),
              note: 'in the right order, by rewards that learned from the others',
            },
            {
              label: 'calibration',
              value: percent(heldOut.calibrationError),
              note: 'by which probabilities are off on average',
            },
          ]
        : []),
      { label: 'learned', value: percent(trainAccuracy), note: 'of the decided ones in the right order' },
    ],
    sections: extremes(reward, comparisons).flatMap(({ title, number }) =>
      chartsOf(reward, comparisons[number], title, all),
    ),
  };
}

/** The decided comparison that the reward orders most surely as it was judged, and the one most surely the other way. */
function extremes(reward: LearnedStepReward, comparisons: readonly FitComparison[]) {
  const clips = comparisons.flatMap(({ segments }) => segments);
  const returns = stepScores(reward, clips).map(sumOf);
  const margins = comparisons.flatMap(({ choice: [p, q] }, number) =>
    p === q ? [] : [{ number, margin: (returns[2 * number] - returns[2 * number + 1]) * Math.sign(p - q) }],
  );
  margins.sort((a, b) => b.margin - a.margin);
  const [best, worst] = [margins[0], margins[margins.length - 1]];
  const shown = [{ ...best, title: 'the surest of those that it orders as they were judged' }];
  if (worst.margin < 0) shown.push({ ...worst, title: 'the surest of those that it orders the other way' });
  return shown.map(({ number, title }) => ({ number, title: `Comparison ${number + 1}: ${title}` }));
}

/** The rewards of both clips by step, and which numbers of the observations they depend on. */
function chartsOf(
  reward: LearnedStepReward,
  { segments, choice: [p, q] }: FitComparison,
  title: string,
  all: readonly Segment[],
): LineChart[] {
  const clips = p > q ? segments : segments.toReversed();
  const found = saliencyOf(reward, clips, all);
  const [preferred] = found;
  const size = preferred.influence.length;
  const total = (number: number) => sumOf(preferred.influence[number]);
  const most = Array.from({ length: size }, (_, number) => number)
    .sort((a, b) => total(b) - total(a))
    .slice(0, SHOWN);
  const line = (name: string, y: Float32Array) => ({ name, x: [Float32Array.from(y, (_, t) => t + 1)], y });
  const rewards: LineChart = {
    kind: 'lines',
    title,
    caption: 'The learned reward of each step.',
    xLabels: ['step of the clip'],
    yLabel: 'reward',
    series: found.map((clip, i) => line(i === 0 ? 'preferred' : 'other', clip.rewards)),
  };
  if (size === 0) return [rewards];
  return [
    rewards,
    {
      kind: 'lines',
      title: 'What the reward of the preferred clip depends on',
      caption: `By how much a step's reward changes if a number of the observation is its mean over all clips; the ${most.length} that matter most.`,
      xLabels: ['step of the clip'],
      yLabel: 'change of the reward',
      series: most.map((number) => line(`number ${number + 1}`, preferred.influence[number])),
    },
  ];
}
