/**
 * The diagnosis of a policy that learns from rewards of its own completions: of heed ppo, grpo, reinforce, rloo, raft,
 * rest and online-dpo. It knows the signals of signals.ts, which alerts report live, and what only several metrics
 * together show: a reward that is exploited, inverted or about length.
 */
import { type Diagnosis, diagnosisOf, type Finding } from '../../run/diagnosis.ts';
import { mean } from '../../run/intervals.ts';
import { figure } from '../../run/progress.ts';
import type { MetricsRow } from '../../run/run.ts';
import { change, courseOf, failure, lastQuarter, type MetricCourse, measuresOf, since, warning } from './course.ts';
import { EARNED, type Signal, signals, signalsThatCount } from './signals.ts';
import { vocabularyFindings } from './vocabulary.ts';

/** What a diagnosis knows of a policy's training besides its metrics. */
export interface PolicyFacts {
  /** KL at which the learning rate reaches 0; 0 or absent: no limit. */
  maxKl?: number;
  /** Target of the KL controller; absent without one. */
  target?: number;
  /** The weight of the KL; 0: off. */
  beta?: number;
}

const JUMP = 8; // nats of KL in one step: more than any healthy training takes
const AGAINST = -0.35; // a correlation that 48 completions do not show by chance
const FEW = 8; // steps before a policy is said not to learn

/** Codes of what a policy lets drift for its reward. */
const drifts = signals.filter(({ drift }) => drift).map(({ code }) => code);

/** The parts of a policy's options that its diagnosis reads. */
interface PolicyConfig {
  maxKl?: number;
  beta?: number;
  kl?: { beta?: number; target?: number; controller?: string };
}

/** What a diagnosis knows from the options of a policy's training. */
export const policyFacts = ({ maxKl, beta, kl }: PolicyConfig): PolicyFacts => ({
  maxKl,
  beta: kl?.beta ?? beta,
  ...(kl && kl.controller !== 'fixed' && { target: kl.target }),
});

/** Diagnoses a policy's training from its metrics, oldest first, and its options. */
export const diagnosePolicySettings = (rows: readonly MetricsRow[], config: unknown): Diagnosis =>
  diagnosePolicy(rows, policyFacts(config as PolicyConfig));

/** A run under diagnosis: its courses, and what is found so far. */
interface PolicyCase {
  rows: readonly MetricsRow[];
  facts: PolicyFacts;
  course(metric: string): MetricCourse | undefined;
  reward: MetricCourse;
  kl: MetricCourse;
  gold: MetricCourse | undefined;
  /** The first deviation of rewards within a step, which gains are measured by. */
  unit: number;
  gain: number;
  /** Signals that are out of range. */
  outside: readonly Outside[];
  is(code: string): boolean;
  findings: Finding[];
  /** Codes of signals that a finding explains. */
  explained: Set<string>;
}

function explain({ findings, explained }: PolicyCase, finding: Finding, ...codes: string[]): void {
  findings.push(finding);
  for (const code of codes) explained.add(code);
}

/** Diagnoses a policy's training from its metrics, oldest first, by their names in metrics.jsonl. */
export function diagnosePolicy(rows: readonly MetricsRow[], facts: PolicyFacts = {}): Diagnosis {
  const course = (metric: string) => courseOf(rows, metric);
  const evaluated = course('eval/reward');
  const reward = evaluated && evaluated.values.length > 1 ? evaluated : course('reward/mean');
  const kl = course('kl/mean');
  if (!reward || !kl) return diagnosisOf([], 'There is nothing to diagnose yet: the run has no step.', {});
  const deviation = course('reward/std');
  const unit = deviation?.values.find((value) => value > 0) ?? 1;
  const gain = (reward.last - reward.first) / unit;
  const gold = course('reward/gold') ?? course('reward/true');
  const improves = gain > 0.1 && course(EARNED) !== undefined;
  const outside = signalsThatCount(improves).flatMap((signal) => outsideOf(course(signal.metric), signal));
  const is = (code: string) => outside.some(({ signal }) => signal.code === code);
  const findings = vocabularyFindings(rows, 'prompts');
  const run: PolicyCase = {
    rows,
    facts,
    course,
    reward,
    kl,
    gold,
    unit,
    gain,
    outside,
    is,
    findings,
    explained: new Set(),
  };
  explainInversion(run);
  explainRate(run);
  explainLength(run);
  explainExploit(run);
  tellOutside(run);
  if (deviation && deviation.last > 8 * unit && !is('reward-constant')) {
    findings.push(
      failure(
        'reward-scale',
        `The scale of the reward changes: the standard deviation of a step's rewards went from ${figure(unit)} to ${figure(deviation.last)}.`,
        'Use a --reward of fixed scale, --score.normalize running, or score.clip 5 in a file of --config.',
      ),
    );
  }
  findings.push(...steering(kl, course('learning_rate'), facts, is('kl-unbounded')));
  tellIdleness(run);
  tellDoubt(run);
  return diagnosisOf(findings, healthyText(reward, kl, gold), measuresOfCase(run));
}

/** A reward that ranks completions the wrong way round. */
function explainInversion(run: PolicyCase): void {
  const { course, gold, reward } = run;
  const agreement = course('gold/correlation');
  // a few completions can seem inverted once, by chance
  if (agreement && agreement.first < AGAINST && mean(agreement.values) < AGAINST / 2) {
    const fell = gold && gold.last < gold.first ? `; ${change(reward, 'reward')}, ${change(gold, 'gold')}` : '';
    explain(
      run,
      failure(
        'reward-inverted',
        `The reward and the gold rank completions in opposite orders: their correlation is ${figure(agreement.first)}${fell}.`,
        'Reverse the sign of --reward, or swap chosen and rejected in the data that it learned from.',
      ),
      ...drifts,
      'length-changed',
    );
  }
}

/** Steps that are too large. */
function explainRate(run: PolicyCase): void {
  const { kl, is, outside, gain } = run;
  const steep = steepest(kl);
  if (steep.jump > JUMP || is('learning-rate-high')) {
    const ratio = outside.find(({ signal }) => signal.code === 'learning-rate-high');
    explain(
      run,
      failure(
        'learning-rate-high',
        ratio
          ? `The policy changes too much in a step: policy/ratio is ${figure(ratio.value)}, expected 1, and the KL changes by up to ${figure(steep.jump)} nats.`
          : `The policy changes too much in a step: the KL changes by ${figure(steep.jump)} nats in step ${steep.step}.`,
        'Divide --learning-rate by ten, or leave it out: the default suits the size of the model.',
      ),
      'learning-rate-high',
      'updates-clipped',
      'gradients-large',
      'entropy-collapsed',
      ...(gain < 0.5 ? drifts : []),
    );
  }
}

/** A reward that is about length. */
function explainLength(run: PolicyCase): void {
  const { course, explained } = run;
  const length = course('eval/response/length') ?? course('response/length');
  const byLength = course('reward/length_correlation');
  if (length && byLength && !explained.has('length-changed')) {
    const ratio = length.last / length.first;
    const strength = Math.abs(byLength.first) > Math.abs(byLength.last) ? byLength.first : byLength.last;
    const along = strength * Math.log(ratio) > 0;
    const far = Math.abs(Math.log(ratio));
    const begun = along && Math.abs(byLength.first) > 0.6 && far > 0.1; // before the policy went after it
    if (begun || (along && Math.abs(strength) > 0.5 && far > 0.4)) {
      const more = ratio > 1;
      explain(
        run,
        failure(
          'length-preferred',
          `The reward pays for ${more ? 'long' : 'short'} completions: ${change(length, 'their length')} tokens, and its correlation with the length is ${figure(strength)}.`,
          more
            ? 'Use a --reward that does not grow with length, --guards.length 1 with heed ppo, or comparisons of about equal length.'
            : 'Use a --reward that does not fall with length, or comparisons of about equal length.',
        ),
        ...['length-changed', 'repetitive', 'same-everywhere', 'entropy-collapsed'],
        ...(more ? ['no-eos'] : []),
      );
    }
  }
}

/** A reward that rises while what it stands for falls, or while the texts lose their shape. */
function explainExploit(run: PolicyCase): void {
  const { rows, outside, explained, course, gain, gold, reward } = run;
  const error = course('gold/error');
  const drifted = outside.filter(({ signal: { drift, code } }) => drift && !explained.has(code));
  const falls = gold && error ? fallen(gold, error) : undefined;
  if (gain > 1 && drifted.length > 0) {
    const evidence = drifted.map(({ signal, course }) => change(course, signal.drift)).join(', ');
    const begun = Math.min(...drifted.map(({ from }) => from));
    explain(
      run,
      failure(
        'reward-exploited',
        `The policy exploits the reward: ${evidence} since step ${begun}, while the reward rises (${change(reward, 'reward')}${falls ? `, ${change(gold, 'gold')}` : ''}).`,
        `Set --max-kl ${figure(Math.max(1, klAt(rows, begun) * 0.8))}, add what the reward misses to it, or use the model of an evaluation before step ${begun}.`,
      ),
      ...['repetitive', 'same-everywhere', 'entropy-collapsed', 'length-changed'],
    );
  } else if (falls && !explained.has('repetitive') && reward.last > reward.first) {
    explain(
      run,
      failure(
        'over-optimized',
        `The policy over-optimizes the reward: the gold fell from ${figure(falls.peak)} at step ${falls.step} to ${figure(gold!.last)}, while the reward rose (${change(reward, 'reward')}).`,
        `Use fewer --steps or --max-kl ${figure(Math.max(1, klAt(rows, falls.step)))}, or more comparisons for the reward model.`,
      ),
    );
  }
}

/** The signals that no finding explains. */
function tellOutside({ outside, explained, facts, findings }: PolicyCase): void {
  for (const { signal, value, from } of outside) {
    if (explained.has(signal.code)) continue;
    const free = signal.code === 'kl-unbounded' && facts.beta === 0 && !facts.maxKl;
    findings.push({
      code: signal.code,
      severity: signal.severity,
      text: free
        ? `Nothing keeps the policy near its reference (KL weight 0, --max-kl 0): the KL is ${figure(value)} nats, above 12 since step ${from}.`
        : `${signal.metric} is ${figure(value)}, out of its healthy range since step ${from}: ${signal.means}.`,
      advice: `Try ${signal.try}.`,
    });
  }
}

function tellIdleness({ kl, gain, findings, reward }: PolicyCase): void {
  if (kl.values.length >= FEW && gain < 0.1 && findings.length === 0) {
    findings.push(
      warning(
        'not-learning',
        `The policy does not learn: ${change(reward, 'reward')} after ${kl.values.length} steps, at a KL of ${figure(kl.last)} nats.`,
        kl.last < 0.5
          ? 'Raise --learning-rate or --steps.'
          : 'Raise --batch: a step has too few completions for a reward this noisy.',
      ),
    );
  }
}

function tellDoubt({ course, findings }: PolicyCase): void {
  const unsure = course('reward/disagreement');
  if (unsure && unsure.last > 2 * unsure.first) {
    findings.push(
      warning(
        'reward-uncertain',
        `The reward model does not know what the policy now writes: ${change(unsure, "its members' disagreement")}.`,
        'Compare completions of this policy and train the reward model again, or set --reward-call.pessimism 1.',
      ),
    );
  }
}

function measuresOfCase({ course, kl, gold, gain, unit }: PolicyCase): Record<string, number> {
  const length = course('eval/response/length') ?? course('response/length');
  const deviation = course('reward/std');
  return measuresOf({
    gain,
    kl: kl.last,
    klPerStep: rateOf(kl),
    gainPerNat: kl.last > 0 ? gain / kl.last : undefined,
    steepestKl: steepest(kl).jump,
    goldGain: gold && gold.last - gold.first,
    goldCorrelation: course('gold/correlation')?.first,
    lengthCorrelation: course('reward/length_correlation')?.last,
    length: length && length.last / length.first,
    entropy: ratioOf(course('policy/entropy')),
    deviation: deviation && deviation.last / unit,
    repetition: course('text/repetition')?.last,
    sameness: course('text/sameness')?.last,
    shift: course('text/shift')?.last,
    ended: course('response/eos_rate')?.last,
    disagreement: ratioOf(course('reward/disagreement')),
    failedProbes: course('probe/failed')?.last,
  });
}

interface Outside {
  signal: Signal;
  course: MetricCourse;
  /** The latest mean. */
  value: number;
  /** Since which step it is out of range. */
  from: number;
}

/** A signal that is out of range in most of the last quarter of a run. */
function outsideOf(course: MetricCourse | undefined, signal: Signal): Outside[] {
  if (!course) return [];
  const out = course.values.map((value, i) => signal.out(value, course.first, i));
  if (lastQuarter(out).filter(Boolean).length * 2 <= lastQuarter(out).length) return [];
  const from = since({ ...course, values: out.map(Number) }, (value) => value === 1) ?? course.steps[out.indexOf(true)];
  return [{ signal, course, value: course.last, from }];
}

/** The largest rise of the KL in a step. */
function steepest({ values, steps }: MetricCourse): { jump: number; step: number } {
  let found = { jump: 0, step: steps[0] };
  for (let i = 0; i < values.length; i++) {
    const jump = values[i] - (i === 0 ? 0 : values[i - 1]);
    if (jump > found.jump) found = { jump, step: Math.max(1, steps[i] - 1) };
  }
  return found;
}

/** Where gold was highest, if it fell since by more than chance: 2.5 standard errors of the difference. */
function fallen(gold: MetricCourse, error: MetricCourse): { peak: number; step: number } | undefined {
  const at = gold.values.reduce((best, value, i) => (value > gold.values[best] ? i : best), 0);
  const chance = 2.5 * Math.hypot(error.values[at], error.last);
  return gold.values[at] - gold.last > chance ? { peak: gold.values[at], step: gold.steps[at] } : undefined;
}

/** What the means that hold the KL do. */
function steering(
  kl: MetricCourse,
  rate: MetricCourse | undefined,
  { target, maxKl, beta }: PolicyFacts,
  far: boolean,
): Finding[] {
  if (far) return [];
  if (beta === 0 && maxKl === 0 && kl.last > 5) {
    return [
      warning(
        'kl-unbounded',
        `Nothing keeps the policy near its reference (KL weight 0, --max-kl 0): the KL is ${figure(kl.last)} nats so far.`,
        'Set --max-kl 6.',
      ),
    ];
  }
  if (target && kl.last > 1.2 * target && kl.values.length >= FEW) {
    return [
      warning(
        'kl-over-target',
        `The KL is above its target: ${figure(kl.last)} nats, where --kl.target is ${figure(target)}.`,
        'Raise --kl.beta, or lower --learning-rate.',
      ),
    ];
  }
  const still = rate && since(rate, (value) => value < 0.05 * Math.max(...rate.values));
  if (
    maxKl &&
    rate &&
    still !== undefined &&
    rate.steps.at(-1)! - still > rate.steps.length / 4 &&
    kl.last > 0.8 * maxKl
  ) {
    return [
      warning(
        'kl-at-limit',
        `The policy has not moved since step ${still}: its KL is ${figure(kl.last)} nats, and --max-kl is ${figure(maxKl)}.`,
        `Use ${still} --steps, or a higher --max-kl if you trust the reward that far from its data.`,
      ),
    ];
  }
  return [];
}

/** Nats per step over the last quarter. */
function rateOf({ values, steps }: MetricCourse): number {
  const [levels, at] = [lastQuarter(values), lastQuarter(steps)];
  return levels.length < 2 ? Number.NaN : (levels.at(-1)! - levels[0]) / (at.at(-1)! - at[0]);
}

/** The KL around a step. */
const klAt = (rows: readonly MetricsRow[], step: number): number =>
  mean(rows.filter((row) => 'kl/mean' in row && Math.abs(row.step - step) <= 2).map((row) => row['kl/mean'])) || 5;

const ratioOf = (course: MetricCourse | undefined) => course && course.last / course.first;

function healthyText(reward: MetricCourse, kl: MetricCourse, gold: MetricCourse | undefined): string {
  const judged = gold && gold.metric !== reward.metric ? `, ${change(gold, 'gold')}` : '';
  return `The policy is healthy: ${change(reward, 'reward')}${judged}, at a KL of ${figure(kl.last)} nats; length, repetition and entropy are in range.`;
}
