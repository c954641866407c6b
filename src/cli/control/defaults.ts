/** The defaults of the commands that train agents depend on the environment: its preset, its episodes, its images. */
import type { Command } from 'commander';
import { valueAt } from '../../options.ts';
import type { TrainingRecord } from '../../run/training-record.ts';
import type { Shortcuts } from '../program/flags.ts';
import { showDefaultsBy } from '../program/help.ts';
import { checking } from '../program/usage.ts';

/** Lets the help of a command that trains agents show the defaults in the environment of `--env`. */
export function showDefaultsByEnvironment(command: Command, training: TrainingRecord, shortcuts: Shortcuts = {}): void {
  showDefaultsBy(command, async ({ env, algorithm, python }) => {
    if (typeof env !== 'string') return undefined;
    const settings = { env, ...(algorithm !== undefined && { algorithm }), ...(python !== undefined && { python }) };
    const learner = await Promise.resolve(checking(() => training.open(settings, { onNotice() {} }), settings));
    try {
      const { options } = learner;
      const short = Object.entries(shortcuts).map(([name, full]) => [name, valueAt(options, full.split('.'))]);
      return { of: env, settings: { ...options, ...Object.fromEntries(short) } };
    } finally {
      learner[Symbol.dispose]();
    }
  });
}
