/** The diagnosis of a process reward model: of heed process. */

import { percent } from '../../percent.ts';
import { type Diagnosis, diagnosisOf, type Finding } from '../../run/diagnosis.ts';
import { figure } from '../../run/progress.ts';
import type { MetricsRow } from '../../run/run.ts';
import { change, courseOf, failure, measuresOf, warning } from './course.ts';

const BLIND = 0.55; // area under the ROC curve; 0.5 is chance

/** Diagnoses the training of a process reward model from its metrics, oldest first, by their names in metrics.jsonl. */
export function diagnoseProcess(rows: readonly MetricsRow[]): Diagnosis {
  const course = (metric: string) => courseOf(rows, metric);
  const [loss, held] = [course('loss/train'), course('loss/eval')];
  if (!loss) return diagnosisOf([], 'There is nothing to diagnose yet: the run has no step.', {});
  const last = (metric: string) => course(metric)?.values.at(-1);
  const [auc, accuracy, unseen] = ['auc', 'accuracy/eval', 'loss/eval'].map(last);
  const lowest = Math.min(...(held?.values ?? []));
  const findings: Finding[] = [];
  if (!(loss.last < 1.3 * Math.max(Math.LN2, loss.first)) || (unseen !== undefined && !(unseen < 2 * Math.LN2))) {
    findings.push(
      failure(
        'learning-rate-high',
        `The training does not converge: loss ${figure(loss.last)}${unseen === undefined ? '' : `, held out ${figure(unseen)}`}, where ln 2 = 0.693 is chance.`,
        'Divide --learning-rate by ten, or leave it out.',
      ),
    );
  } else if (auc !== undefined && auc < BLIND) {
    findings.push(
      failure(
        'steps-not-told-apart',
        `The model cannot tell right steps from wrong ones: a held-out right step scores higher than a wrong one in ${percent(auc, 0)} of the cases, where 50 % is chance.`,
        'Check the labels, and that each label belongs to its step; otherwise use more completions or a larger --model.',
      ),
    );
  } else if (held && unseen! > 1.15 * lowest && held.values.length > 2) {
    findings.push(
      warning(
        'overfitted',
        `The model memorizes its steps: ${change(held, 'held-out loss')} after a lowest of ${lowest.toFixed(3)}.`,
        'Use fewer --epochs, or the model in best/.',
      ),
    );
  }
  const good =
    accuracy === undefined ? change(loss, 'loss') : `${percent(accuracy, 0)} of held-out steps are predicted`;
  return diagnosisOf(findings, `The process reward model is healthy: ${good}.`, {
    ...measuresOf({ accuracy, auc, loss: unseen ?? loss.last, trainingLoss: loss.last }),
  });
}
