/** People as the teacher of heed train: the studio runs beside the training, on the store of the run. */
import { join } from 'node:path';
import {
  clipsOf,
  createLearner,
  type Learner,
  type Segment,
  trainFromPreferences,
  trainOptions,
} from '../control/index.ts';
import { withEnvironment } from '../env/index.ts';
import {
  createPeopleTeacher,
  createProject,
  type Database,
  listProjects,
  openDatabase,
  type Project,
} from '../feedback/index.ts';
import { startStudio } from '../feedback/server/index.ts';
import type { Training } from '../pipeline/index.ts';
import type { Teacher } from '../preference/index.ts';
import { DEFAULT_STORE } from './feedback.ts';

/** Whom the link signs in, as in `heed studio`. */
const OWNER = 'me';

interface PeoplesLearner extends Learner {
  /** Known once the run's folder is. */
  teacher?: Teacher<Segment>;
}

/** The training, where `teacher` is "human" with a studio in which people answer. */
export function withPeople(training: Training, portOf: () => number): Training {
  return {
    ...training,
    create(settings, parts) {
      const options = trainOptions(settings);
      if (options.teacher !== 'human') return training.create(settings, parts);
      return withEnvironment(options, (environment) => {
        const learner: PeoplesLearner = createLearner(options, {
          environment,
          teacher: {
            name: 'human',
            later: true,
            answer: (questions, signal) => learner.teacher!.answer(questions, signal),
          },
        });
        return learner;
      });
    },
    train(learner, parts) {
      const { options } = learner as Learner;
      return options.teacher === 'human'
        ? trainByPeople(learner as Learner, parts, portOf())
        : training.train(learner, parts);
    },
  };
}

async function trainByPeople(learner: PeoplesLearner, parts: Parameters<typeof trainFromPreferences>[1], port: number) {
  const { env, people } = learner.options;
  const { run } = parts;
  const database = await openDatabase(people.store ?? join(run.folder, DEFAULT_STORE));
  try {
    const project = await projectFor(database, people.project ?? env, people.guidelines);
    const environment = learner.environment.make();
    const teacher = createPeopleTeacher<Segment>(database, project, {
      source: run.folder,
      toContent({ options }) {
        const { framesPerSecond, first, second } = clipsOf(options, environment);
        return {
          options: [first, second].map((frames) => ({ kind: 'clip', frames: [...frames] as never, framesPerSecond })),
        };
      },
    });
    learner.teacher = teacher;
    const say = (text: string) => void process.stderr.write(`${text}\n`);
    const studio = await startStudio({ database, port, owner: OWNER, onError: say });
    try {
      say(`Compare clips of the agent here: ${studio.link}`);
      say('Training goes on meanwhile. Ctrl-C stops it with a checkpoint; no answer is lost.');
      const result = await trainFromPreferences(learner, parts);
      if (result) await teacher.withdraw();
      return result;
    } finally {
      await studio.close();
    }
  } finally {
    await database.close();
  }
}

/** The project of that name, made where there is none. */
async function projectFor(database: Database, name: string, guidelines: string): Promise<Project> {
  const there = (await listProjects(database)).find((project) => project.name === name);
  return there ?? createProject(database, name, { goldShare: 0, bothBad: false }, { guidelines });
}
