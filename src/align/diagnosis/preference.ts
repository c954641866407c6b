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

/** Diagnoses a training on preferences from its metrics, oldest first, by their names in metrics.jsonl. */
export function diagnosePreference(rows: readonly MetricsRow[]): Diagnosis {
  const course = (metric: string) => courseOf(rows, metric);
  const loss = course('loss/train');
  if (!loss) return diagnosisOf([], 'There is nothing to diagnose yet: the run has no step.', {});
  const held = course('loss/eval');
  const [accuracy, trained] = [course('eval/rewards/accuracies'), course('rewards/accuracies')];
  const kl = course('eval/kl');
  const [chosen, margins] = [course('eval/logps/chosen'), course('eval/rewards/margins')];
  const length = course('eval/response/length');
  const reward = course('eval/reward');
  const findings: Finding[] = vocabularyFindings(rows);
  const far = kl !== undefined && kl.last > FAR;
  // the loss of the first step is that of the initial model
  const worse = !(loss.last < 1.2 * loss.first) || (held && held.values.length > 1 && !(held.last < 1.2 * held.first));
  // accuracies of pairs say more about a loss that hardly rises
  if (held && memorized(loss, held) && (worse || !accuracy) && !(kl && kl.last > LARGE)) {
    const [n, all] = [course('data/heldOut')?.last, course('data/items')?.last];
    const lower = Math.min(...held.values) < held.first;
    findings.push(
      failure(
        'overfitted',
        `The policy memorizes its ${all ? `${all} ` : ''}rows: ${change(loss, 'loss')} in training, ${change(held, 'held-out loss')}${n ? ` (${n} rows)` : ''}.`,
        `Collect more rows, or use a larger model${lower ? ', fewer --epochs, or the model in best/' : ': the initial model is better than this one'}.`,
      ),
    );
  } else if (worse || far) {
    findings.push(
      failure(
        'learning-rate-high',
        `The training goes too far in a step: ${change(held ?? loss, held ? 'held-out loss' : 'loss')}${kl ? `, KL ${figure(kl.last)} nats` : ''}.`,
        'Divide --learning-rate by ten, or leave it out; --max-kl 10 bounds the KL.',
      ),
    );
  } else if (Math.abs(course('rewards/margins')?.first ?? 1) < 1e-3) {
    // with a reference, margins begin at 0; without one, accuracies begin with what the model already preferred
    const n = course('data/heldOut')?.last ?? 0;
    findings.push(...labelFindings({ trained, accuracy: accuracy?.last, n, items: course('data/items')?.last, held }));
  }
  if (reward && kl && kl.last > 0.5 && reward.values.length > 1) {
    const unit = course('reward/error');
    if (unit && reward.first - reward.last > 2.5 * Math.SQRT2 * unit.first) {
      findings.unshift(
        failure(
          'preferences-inverted',
          `The policy follows the preferences and gets worse: ${change(reward, 'the reward of its completions')}.`,
          'Swap chosen and rejected in --data, or check what --reward measures.',
        ),
      );
    }
  }
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
