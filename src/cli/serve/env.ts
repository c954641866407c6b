/** heed env serve: a language environment by OpenEnv's protocol. */
import type { Command } from 'commander';
import { openNamedTasks } from '../../align/agents/tasks/named.ts';
import { environmentServerSchema, serveEnvironment } from '../../serve/environments/serve.ts';
import { addFlags, settingsFrom } from '../program/flags.ts';
import { listenForInterrupt } from '../program/interrupt.ts';
import { createOutput } from '../program/output.ts';
import { checking } from '../program/usage.ts';

export function addEnv(command: Command): void {
  const serving = command
    .command('serve')
    .description('serve an environment, so that TRL and others train on it')
    .argument('<file>', 'calculator, sql, guess, or a .js or .ts file with a language environment');
  addFlags(serving, environmentServerSchema);
  serving.action((file: string) => serveFile(serving, file));
}

async function serveFile(command: Command, file: string): Promise<void> {
  const input = settingsFrom(command, environmentServerSchema);
  const settings = checking(() => environmentServerSchema.parse(input), input);
  const output = createOutput(command.optsWithGlobals<{ json?: boolean }>());
  const interrupted = listenForInterrupt((text) => void process.stderr.write(`${text}\n`), 'Closing the server.');
  try {
    const server = await serveEnvironment(await openNamedTasks(file), settings);
    output.say(`OpenEnv's clients connect to ${server.url}. Ctrl-C closes the server.`);
    output.result({ url: server.url });
    if (!interrupted.signal.aborted) {
      await new Promise((resolve) => interrupted.signal.addEventListener('abort', resolve));
    }
    await server.close();
  } finally {
    interrupted.dispose();
  }
}
