/** Language environments by name, as `--env` takes them: those that come with heed, those of plugins, and files. */
import { HeedError } from '../../../error.ts';
import { existsSync } from '../../../node.ts';
import { createRegistry } from '../../../registry.ts';
import { type LanguageTasks, openLanguageTasks } from '../environment.ts';
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
      hint: `--env is one of ${languageTasks.names().join(', ')}, or a .js or .ts file.`,
    });
  }
  return openLanguageTasks(name);
}
