/** People compare a policy's completions while it trains: --ask-people of the commands that train one. */

import type { PolicyTrainingOptions } from '../../align/policies/options.ts';
import type { Completion } from '../../align/reward-functions/reward-function.ts';
import type { Content } from '../../feedback/judgment.ts';
import type { StageTraining } from '../../pipeline/trainings.ts';
import { besidePeople, type TeacherToCome, teacherToCome } from '../people/people.ts';

/** The training; if `askPeople` is set, with a studio where people answer. */
export function withAnnotators(training: StageTraining, portOf: () => number): StageTraining {
  const teachers = new WeakMap<object, TeacherToCome<Completion>>();
  return {
    ...training,
    create(settings, parts) {
      if (settings.askPeople !== true) return training.create(settings, parts);
      const teacher = teacherToCome<Completion>();
      const made = training.create(settings, { ...parts, teacher });
      const learner = made instanceof Promise ? made : Promise.resolve(made);
      return learner.then((learner) => {
        teachers.set(learner, teacher);
        return learner;
      });
    },
    train(learner, parts) {
      const teacher = teachers.get(learner);
      if (!teacher) return training.train(learner, parts);
      const { people } = learner.options as PolicyTrainingOptions;
      return besidePeople(
        {
          ...{ teacher, run: parts.run, people: people!, port: portOf() },
          name: training.about(learner).name,
          settings: { goldShare: 0, strength: true },
          invitation: 'Compare completions of the policy here',
          toContent: ({ options }): Content => ({
            prompt: (options[0].row?.prompt ?? options[0].promptText) as Content['prompt'],
            options: options.map(({ text }) => ({ kind: 'text', text })),
          }),
        },
        () => training.train(learner, parts),
      );
    },
  };
}
