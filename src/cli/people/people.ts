/** People beside a training: they answer its queries in a project of the studio. */
import { dirname, join } from 'node:path';
import { createProject, listProjects, type Project, type ProjectInput } from '../../feedback/project.ts';
import { type Database, openDatabase } from '../../feedback/store/database.ts';
import { createHumanTeacher, type HumanTeacherOptions } from '../../feedback/teacher.ts';
import type { Teacher } from '../../preference/teacher.ts';
import type { Run } from '../../run/run.ts';
import { DEFAULT_STORE } from './feedback.ts';
import { startStudioThread } from './studio-thread.ts';

/** The person whom the link signs in, as in `heed studio`. */
const OWNER = 'me';

/** A teacher that is set once the run's folder exists. */
export interface TeacherToCome<Option> extends Teacher<Option> {
  is?: Teacher<Option>;
}

export function teacherToCome<Option>(): TeacherToCome<Option> {
  const teacher: TeacherToCome<Option> = {
    name: 'human',
    later: true,
    answer: (questions, signal) => teacher.is!.answer(questions, signal),
    changed: async (standings) => teacher.is!.changed!(standings),
  };
  return teacher;
}

interface PeopleParts<Option> {
  teacher: TeacherToCome<Option>;
  run: Run;
  people: { store?: string; project?: string; guidelines: string };
  /** Name of the project, unless `people.project` is set. */
  name: string;
  settings: ProjectInput;
  toContent: HumanTeacherOptions<Option>['toContent'];
  port: number;
  /** Text before the link. */
  invitation: string;
}

/** Trains while people answer. Queries that are open at the end are withdrawn. */
export async function besidePeople<Option, Result>(
  { teacher, run, people, name, settings, toContent, port, invitation }: PeopleParts<Option>,
  train: () => Promise<Result | undefined>,
): Promise<Result | undefined> {
  const store = people.store ?? join(run.folder, DEFAULT_STORE);
  const database = await openDatabase(store);
  try {
    const project = await projectFor(database, people.project ?? name, settings, people.guidelines);
    const options = { source: run.folder, asker: run.info.started, toContent };
    const present = createHumanTeacher<Option>(database, project, options);
    teacher.is = present;
    const say = (text: string) => void process.stderr.write(`${text}\n`);
    const studio = await startStudioThread({ store, runs: dirname(run.folder), port, owner: OWNER }, say);
    try {
      say(`${invitation}: ${studio.link}/label/${encodeURIComponent(project.name)}`);
      say('Training continues in the meantime. Ctrl-C stops it with a checkpoint; no judgment is lost.');
      const result = await train();
      if (result) await present.withdraw();
      return result;
    } finally {
      await studio.close();
    }
  } finally {
    await database.close();
  }
}

/** The project with a name; created if needed. */
async function projectFor(
  database: Database,
  name: string,
  settings: ProjectInput,
  guidelines: string,
): Promise<Project> {
  const there = (await listProjects(database)).find((project) => project.name === name);
  return there ?? createProject(database, name, settings, { guidelines });
}
