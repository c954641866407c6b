/** Continues a finished run that people taught with more labels and the steps that belong to them. */
import { HeedError } from '../../error.ts';
import { extendedBy, reopenRun } from '../../run/reopen.ts';
import { roundsOf } from './ask-people.ts';
import type { PolicyTrainingOptions } from './options.ts';

/**
 * Gives a finished run more comparisons to ask people for, and steps in the same proportion. Resume it afterwards.
 *
 * @param folder The run's folder, which no process may be writing.
 * @param more How many comparisons; at least 1.
 * @throws HeedError if the run has not finished, or asked nobody.
 */
export function extendPolicyRun(folder: string, more: number): void {
  reopenRun<PolicyTrainingOptions, { asking?: { nextRound: number } }>(folder, ({ config, learner, step }) => {
    const { people, steps, evaluations } = config;
    if (!people || !learner.asking) {
      throw new HeedError(`The run "${folder}" does not ask people, so it cannot get more labels.`, {
        hint: 'Only runs with --ask-people can.',
      });
    }
    const { labels, until, ...total } = extendedBy(more, { labels: people.labels, steps });
    const extended = { ...people, labels, schedule: { ...people.schedule, until } };
    const passed = roundsOf(extended, total.steps).filter(({ atStep }) => atStep < step);
    return {
      config: { ...total, people: extended, evaluations: Math.round((evaluations * total.steps) / steps) },
      learner: { ...learner, asking: { ...learner.asking, nextRound: passed.length } },
    };
  });
}
