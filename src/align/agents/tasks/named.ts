/** Language environments by name, as `--env` takes them: those that come with heed, those of plugins, and files. */
import { HeedError } from '../../../error.ts';
import { existsSync } from '../../../node.ts';
import { createRegistry } from '../../../registry.ts';
import {
  checkedTasks,
  type EnvironmentSourceOptions,
  type EpisodeTasks,
  environmentKinds,
  type LanguageTasks,
  openLanguageTasks,
} from '../environment.ts';
import { calculatorTasks } from './calculator.ts';
import { guessTasks } from './guess.ts';
import { sqlTasks } from './sql.ts';

/**
 * Language environments by name. A plugin adds its own: `languageTasks.register('chess', () => ({ name: 'chess', make,
 * tasks }))`; `--env chess` then plays it.
 */
export const languageTasks = createRegistry<() => LanguageTasks>('language environment', {
  calculator: () => calculatorTasks(),
  sql: () => sqlTasks(),
  guess: () => guessTasks(),
});

/**
 * Opens a language environment: a registered name, or a file as `openLanguageTasks` reads it.
 *
 * @throws HeedError if there is no such environment, or its file cannot be used.
 */
export async function openNamedTasks(name: string): Promise<LanguageTasks> {
  if (languageTasks.has(name)) return languageTasks.get(name)();
  if (/^\w+$/.test(name) && !existsSync(name)) {
    throw new HeedError(`There is no language environment "${name}".`, {
      hint: `Set --env to one of ${languageTasks.names().join(', ')}, or to a .js or .ts file.`,
    });
  }
  return openLanguageTasks(name);
}

/**
 * Opens an environment by its name: a registered one, a file, or a kind with a source, such as `openenv:http://localhost:8000`.
 *
 * @throws HeedError if it cannot be opened, or is a file that has tasks of its own besides those of the options.
 */
export async function openEpisodeTasks(name: string, options: EnvironmentSourceOptions): Promise<EpisodeTasks> {
  const [, kind, source] = /^([a-z][a-z\d-]+):(.*)$/s.exec(name) ?? [];
  if (kind !== undefined && environmentKinds.has(kind)) {
    return checkedTasks(await environmentKinds.get(kind)(source, options));
  }
  if (kind === 'agent' || kind === 'verifiers') {
    const what = kind === 'agent' ? 'Agents' : 'Environments of verifiers';
    throw new HeedError(`${what} need the endpoint of heed/serve.`, { hint: "Write first: import 'heed/serve';" });
  }
  if (!options.tasks) return openNamedTasks(name);
  throw new HeedError(`--tasks does not go together with --env ${name}, which has tasks of its own.`, {
    hint: 'Leave out --tasks, or export other tasks from the file.',
  });
}
