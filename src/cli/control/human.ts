/** People as the teacher of heed train: they compare clips of the agent while it trains. */
import { clipsOf } from '../../control/clips.ts';
import { openLearner } from '../../control/learn.ts';
import type { Learner } from '../../control/learner.ts';
import type { Segment } from '../../control/segments.ts';
import { trainFromPreferences, trainSchema } from '../../control/train.ts';
import type { StageTraining } from '../../pipeline/trainings.ts';
import { besidePeople, type TeacherToCome, teacherToCome } from '../people/people.ts';

/** The training; if `teacher` is "human", with a studio where people answer. */
export function withPeople(training: StageTraining, portOf: () => number): StageTraining {
  const teachers = new WeakMap<object, TeacherToCome<Segment>>();
  return {
    ...training,
    create(settings, parts) {
      if (settings.teacher !== 'human') return training.create(settings, parts);
      const teacher = teacherToCome<Segment>();
      return openLearner({ ...settings, teacher, onNotice: parts.onNotice }, trainSchema).then((learner) => {
        teachers.set(learner, teacher);
        return learner;
      });
    },
    train(learner, parts) {
      const teacher = teachers.get(learner);
      return teacher ? trainByPeople(learner as Learner, teacher, parts, portOf()) : training.train(learner, parts);
    },
  };
}

function trainByPeople(
  learner: Learner,
  teacher: TeacherToCome<Segment>,
  parts: Parameters<typeof trainFromPreferences>[1],
  port: number,
) {
  const { env: name, people } = learner.options;
  const environment = learner.environment.make();
  return besidePeople<Segment, unknown>(
    {
      ...{ teacher, run: parts.run, people, name, port },
      settings: { goldShare: 0, bothBad: false },
      invitation: 'Compare clips of the agent here',
      toContent({ options }) {
        const { framesPerSecond, first, second } = clipsOf(options, environment);
        return {
          options: [first, second].map((frames) => ({ kind: 'clip', frames: [...frames] as never, framesPerSecond })),
        };
      },
    },
    () => trainFromPreferences(learner, parts),
  ) as ReturnType<typeof trainFromPreferences>;
}
