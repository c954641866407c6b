/** heed pull: downloads a model or dataset from the Hub into the local cache. */
import type { Command } from 'commander';
import { hubName, type PullOptions, pull } from '../../lm/hub.ts';
import { count, createProgress, type Progress } from '../../run/progress.ts';
import { listenForInterrupt } from '../program/interrupt.ts';
import { createOutput, table } from '../program/output.ts';
import { checking } from '../program/usage.ts';

interface Flags {
  dataset?: boolean;
  include?: string[];
  exclude?: string[];
  json?: boolean;
}

export function addPull(command: Command): void {
  command
    .argument('<name>', 'OWNER/NAME or OWNER/NAME@REVISION: a branch, tag or commit (default: main)')
    .option('--dataset', 'pull a dataset instead of a model')
    .option('--include <pattern>', 'only files that match, such as "*.json"; may be repeated', gather)
    .option('--exclude <pattern>', 'no files that match; may be repeated', gather)
    .action(pulling);
}

const gather = (pattern: string, earlier: string[] = []) => [...earlier, pattern];

/**
 * Shows the progress of a download on stderr, if there is one. Other commands use it for the models and datasets they
 * name.
 */
export function pullProgress(
  label: string,
): Required<Pick<PullOptions, 'onProgress' | 'onWarning'>> & { done(): void } {
  let progress: Progress | undefined;
  return {
    onProgress(bytes, total) {
      progress ??= createProgress({ total, from: bytes, label, unit: 'B' });
      progress.update(bytes);
    },
    onWarning: (text) => (progress ? progress.note(text) : process.stderr.write(`${text}\n`)),
    done: () => progress?.done(),
  };
}

async function pulling(name: string, flags: Flags): Promise<void> {
  const output = createOutput(flags);
  const repo = checking(() => hubName(name, flags.dataset ? 'dataset' : 'model'));
  const { done, ...progress } = pullProgress(repo.name);
  const interrupted = listenForInterrupt(() => {});
  try {
    const { include, exclude } = flags;
    const result = await pull(repo, { include, exclude, signal: interrupted.signal, ...progress }).finally(done);
    const { folder, commit, files, bytes } = result;
    output.say(
      table([
        ['folder', folder],
        ['commit', commit],
        ['files', `${files.length}, ${count(bytes)}B`],
      ]),
    );
    output.result(result);
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    process.stderr.write('Stopped. Downloaded parts are kept: run the same command again to continue.\n');
    process.exitCode = interrupted.exitCode;
  } finally {
    interrupted.dispose();
  }
}
