/** The diagnosis of a training on preferences: of heed dpo, orpo, cpo, kto and bco. */
import { type Diagnosis, diagnosisOf, type Finding } from '../../run/diagnosis.ts';
import { figure } from '../../run/progress.ts';
import type { MetricsRow } from '../../run/run.ts';
import { change, courseOf, failure, type MetricCourse, measuresOf, warning } from './course.ts';
import { labelFindings } from './labels.ts';
import { vocabularyFindings } from './vocabulary.ts';

const FAR = 15; // nats
const LARGE = 12; // nats: from here on, too large steps explain more

/** Whether a loss fell in training, and rose on held-out rows above that of the initial model. */
const memorized = (loss: MetricCourse, held: MetricCourse): boolean =>
  held.values.length > 1 && loss.last < 0.9 * loss.first && held.last > 1.05 * held.first;

type Course = (metric: string) => MetricCourse | undefined;

/** Whether the training memorizes its rows, goes too far in a step, or learns nothing about held-out pairs. */
function lossFindings(course: Course, loss: MetricCourse, worse: boolean): Finding[] {
  const [held, kl] = [course('loss/eval'), course('eval/kl')];
  const [accuracy, trained] = [course('eval/rewards/accuracies'), course('rewards/accuracies')];
  const items = course('data/items')?.last;
  // accuracies of pairs say more about a loss that hardly rises
  if (held && memorized(loss, held) && (worse || !accuracy) && !(kl && kl.last > LARGE)) {
    const n = course('data/heldOut')?.last;
    const lower = Math.min(...held.values) < held.first;
    return [
      failure(
        'overfitted',
        `The policy memorizes its ${items ? `${items} ` : ''}rows: ${change(loss, 'loss')} in training, ${change(held, 'held-out loss')}${n ? ` (${n} rows)` : ''}.`,
        `Collect more rows, or use a larger model${lower ? ', fewer --epochs, or the model in best/' : ': the initial model is better than this one'}.`,
      ),
    ];
  }
  if (worse || (kl && kl.last > FAR)) {
    return [
      failure(
        'learning-rate-high',
        `The steps are too large: ${change(held ?? loss, held ? 'held-out loss' : 'loss')}${kl ? `, KL ${figure(kl.last)} nats` : ''}.`,
        'Divide --learning-rate by ten, or leave it out; --max-kl 10 bounds the KL.',
      ),
    ];
  }
  // with a reference, margins begin at 0; without one, accuracies begin with what the model already preferred
  if (!(Math.abs(course('rewards/margins')?.first ?? 1) < 1e-3)) return [];
  const n = course('data/heldOut')?.last ?? 0;
  return labelFindings({ trained, accuracy: accuracy?.last, n, items, held });
}

/** Whether the reward of the policy's completions falls by more than noise while it follows the preferences. */
function invertedFindings(reward: MetricCourse | undefined, unit: number | undefined): Finding[] {
  if (!reward || unit === undefined || !(reward.first - reward.last > 2.5 * Math.SQRT2 * unit)) return [];
  return [
    failure(
      'preferences-inverted',
      `The policy learns the preferences, but its completions get worse: ${change(reward, 'the reward of its completions')}.`,
      'Swap chosen and rejected in --data, or check what --reward measures.',
    ),
  ];
}

/** Diagnoses a training on preferences from its metrics, oldest first, by their names in metrics.jsonl. */
export function diagnosePreference(rows: readonly MetricsRow[]): Diagnosis {
  const course = (metric: string) => courseOf(rows, metric);
  const loss = course('loss/train');
  if (!loss) return diagnosisOf([], 'There is nothing to diagnose yet: the run has no step.', {});
  const [held, kl] = [course('loss/eval'), course('eval/kl')];
  const [accuracy, trained] = [course('eval/rewards/accuracies'), course('rewards/accuracies')];
  const [chosen, margins] = [course('eval/logps/chosen'), course('eval/rewards/margins')];
  const [length, reward] = [course('eval/response/length'), course('eval/reward')];
  // the loss of the first step is that of the initial model
  const worse =
    !(loss.last < 1.2 * loss.first) ||
    (held !== undefined && held.values.length > 1 && !(held.last < 1.2 * held.first));
  const findings: Finding[] = [...vocabularyFindings(rows), ...lossFindings(course, loss, worse)];
  if (kl && kl.last > 0.5) findings.unshift(...invertedFindings(reward, course('reward/error')?.first));
  if (length && length.last > 1.6 * length.first) {
    findings.push(
      failure(
        'length-preferred',
        `The policy learns to write long completions: ${change(length, 'their length')} tokens.`,
        'Use comparisons of about equal length, or heed cpo, whose loss is per token.',
      ),
    );
  }
  const rollbacks = Math.max(0, ...(course('kl/rolled_back')?.values ?? []));
  if (rollbacks > 0) {
    const most = Math.max(...course('kl/mean')!.values);
    findings.push(
      warning(
        'kl-rolled-back',
        `The training passed --max-kl and was rolled back ${rollbacks === 1 ? 'once' : `${rollbacks} times`}: the KL was up to ${figure(most)} nats.`,
        'Use a lower --learning-rate or a larger --batch.',
      ),
    );
  }
  if (chosen && margins && chosen.last < 1.3 * chosen.first && margins.last > margins.first && !worse) {
    findings.push(
      warning(
        'chosen-falls',
        `Chosen completions become less likely: ${change(chosen, 'their log-probability')} nats, while ${change(margins, 'margins')} grow.`,
        'Raise --beta, use fewer --epochs, or heed orpo, which also learns the chosen completions.',
      ),
    );
  }
  return diagnosisOf(findings, healthy(), {
    ...measuresOf({
      accuracy: accuracy?.last,
      trainingAccuracy: trained?.last,
      loss: held?.last ?? loss.last,
      kl: kl?.last,
      rollbacks: rollbacks || undefined,
      margin: margins?.last,
      chosen: chosen && chosen.last - chosen.first,
      length: length && length.last / length.first,
      rewardGain: reward && reward.last - reward.first,
    }),
  });

  function healthy(): string {
    const parts = [
      accuracy && `held-out accuracy ${figure(accuracy.last)}`,
      held && change(held, 'held-out loss'),
      reward && change(reward, 'reward'),
      kl && `KL ${figure(kl.last)} nats`,
    ].filter(Boolean);
    return `The policy is healthy: ${parts.join(', ') || change(loss!, 'loss')}.`;
  }
}
