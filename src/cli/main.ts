/** The `heed` command: each subcommand parses, calls the library and prints. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { DEVICES, type DeviceChoice, useDevice } from '../engine/device.ts';
import { HeedError } from '../error.ts';
import type { LogFormat } from '../monitoring/log.ts';
import { loadPlugins } from '../plugins.ts';
import { commands } from './commands.ts';
import { isLogJson, log, setLogFormat } from './program/log.ts';
import { UsageError } from './program/usage.ts';

/** Commands that compute nothing. */
const IDLE = new Set(['envs', 'plan', 'pull', 'data', 'feedback', 'cluster', 'report', 'doctor']);

const START = `
heed COMMAND --help lists what a command takes, with examples. To begin:
  heed train --env CartPole-v1 --labels 10    # an agent from ten comparisons
  heed sft                                    # a tiny language model, from demonstrations that come with heed`;

/**
 * Runs one command line (without node and script). Returns the exit code: 0, 1 failed, 2 bad usage, 130 interrupted.
 */
export async function main(args: readonly string[]): Promise<number> {
  process.exitCode = 0;
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const program = new Command('heed')
    .description('Learn from human feedback.')
    .version(version)
    .addHelpText('after', START)
    .exitOverride()
    .showHelpAfterError('(run with --help for usage)');
  for (const [name, description, add, example, alias = name] of commands) {
    const command = program.command(name).description(description).allowExcessArguments(false);
    if (alias !== name) command.alias(alias);
    // other commands are only listed; "heed help train" names its command second
    if (![name, alias].some((one) => args.slice(0, 2).includes(one))) continue;
    await add(command);
    command.addHelpText('after', `\n${example}`);
    for (const runs of runnable(command)) {
      if (!IDLE.has(name)) {
        runs
          .addOption(
            new Option('--device <name>', 'where to compute; auto is the CPU (default: HEED_DEVICE, or auto)').choices(
              DEVICES,
            ),
          )
          .hook('preAction', () => chooseDevice(runs.opts<{ device?: DeviceChoice }>().device));
      }
      runs
        .optionsGroup('Output:')
        .option(
          '--json',
          'print the result as one JSON object on the last line of stdout; everything else goes to stderr',
        )
        .option('--verbose', 'show the stack trace of errors')
        .option('--plugin <file...>', 'your own modules that register losses, rewards, environments and more by name');
    }
  }
  setLogFormat();
  program.hook('preAction', (_, command) => {
    const { logFormat, plugin } = command.opts<{ logFormat?: LogFormat; plugin?: string[] }>();
    setLogFormat(logFormat);
    return loadPlugins(plugin);
  });
  // the reader may stop reading: `heed … | head`
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return Number(process.exitCode);
  } catch (error) {
    return complain(error, args.includes('--verbose'));
  }
}

function chooseDevice(device: DeviceChoice | undefined): void {
  if (device === undefined) return;
  useDevice(device);
  process.env.HEED_DEVICE = device; // for the processes and threads that the command starts
}

/** The command itself if it has options or no commands of its own, and those below it. */
const runnable = (command: Command): Command[] => [
  ...(command.commands.length === 0 || command.options.length > 0 ? [command] : []),
  ...command.commands.flatMap(runnable),
];

function complain(error: unknown, verbose: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has printed it
  const expected = error instanceof HeedError;
  const message = error instanceof Error ? error.message : String(error);
  if (isLogJson()) {
    const hint = expected ? error.hint : 'This is a bug in heed.';
    log('error', message, { hint, ...(verbose && { stack: trail(error) }) });
    return error instanceof UsageError ? 2 : 1;
  }
  process.stderr.write(`error: ${expected ? message : `unexpected: ${message}`}\n`);
  if (expected && error.hint) process.stderr.write(`${error.hint}\n`);
  if (verbose) process.stderr.write(`${trail(error)}\n`);
  else if (!expected) process.stderr.write('This is a bug in heed. --verbose shows where.\n');
  return error instanceof UsageError ? 2 : 1;
}

/** The stack of an error and of its causes. */
function trail(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause ? `${error.stack}\ncaused by ${trail(error.cause)}` : String(error.stack);
}
