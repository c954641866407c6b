/** heed init: three questions, or flags, and then a folder with a recipe, a sample of data and the next command. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type Command, Option } from 'commander';
import { HeedError } from '../../error.ts';
import { fileError } from '../../files.ts';
import { nearest } from '../../nearest.ts';
import { createOutput } from '../program/output.ts';
import { UsageError } from '../program/usage.ts';
import { type InitAnswers, kinds, usual } from './starts.ts';

interface Flags extends Partial<InitAnswers> {
  for?: string;
  json?: boolean;
}

const names = Object.keys(kinds);

export function addInit(command: Command): void {
  command
    .argument('[folder]', 'new or empty folder to write into')
    .addOption(new Option('--for <kind>', `what you want: ${names.join(', ')}`).argParser(kindOf))
    .option('--model <name>', `for rows, preferences, serve: a folder or a name on the Hub (default: ${usual.model})`)
    .option('--env <name>', `for agent: an environment that comes with heed (default: ${usual.env})`)
    .option('--data <file>', 'for rows, preferences: a dataset of yours, in place of a sample')
    .action((folder: string | undefined, flags: Flags) => init(folder, flags));
}

function kindOf(text: string): string {
  if (Object.hasOwn(kinds, text)) return text;
  const [meant] = nearest(text, names);
  throw new UsageError(`--for: expected one of ${names.join(', ')}, got "${text}"`, {
    hint: meant && `Did you mean ${meant}?`,
  });
}

async function init(named: string | undefined, flags: Flags): Promise<void> {
  const output = createOutput(flags);
  const { name, folder, ...answers } = await answered(named, flags);
  const stray = (['model', 'env', 'data'] as const).find((flag) => {
    const taken = flag === 'data' ? kinds[name].takesData : kinds[name].asks === flag;
    return flags[flag] !== undefined && !taken;
  });
  if (stray) throw new UsageError(`--${stray} does not go with --for ${name}`, { hint: `leave --${stray} out` });
  const { files, next } = kinds[name].start({ ...answers, data: dataFrom(folder, flags.data) });
  write(folder, files);
  const width = Math.max(...next.map(([line]) => line.length));
  const steps = next.map(([line, purpose]) => `  ${line.padEnd(width)}  # ${purpose}`);
  output.say([`In ${folder}: ${Object.keys(files).join(', ')}`, '', 'Next:', `  cd ${folder}`, ...steps].join('\n'));
  output.result({ folder, for: name, files: Object.keys(files), commands: next.map(([line]) => line) });
}

/** The flags, and answers to the questions that they leave open. */
async function answered(
  folder: string | undefined,
  flags: Flags,
): Promise<InitAnswers & { name: string; folder: string }> {
  const { model = usual.model, env = usual.env } = flags;
  if (flags.for !== undefined && folder !== undefined) return { name: flags.for, folder, model, env };
  if (!process.stdin.isTTY) {
    const what = flags.for === undefined ? `--for ${names.join('|')}` : `--for ${flags.for}`;
    throw new UsageError('heed init asks questions, and there is no terminal to ask in', {
      hint: `Answer with flags: heed init my-task ${what}`,
    });
  }
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  const typed = reader[Symbol.asyncIterator](); // keeps what is typed ahead
  const ask = async (question: string, by: string) => {
    process.stderr.write(`${question} [${by}] `);
    const { done, value } = await typed.next();
    if (done) throw new HeedError('heed init was ended before all questions were answered: nothing was written');
    return String(value).trim() || by;
  };
  try {
    const listed = names.map((name, i) => `  ${i + 1}  ${kinds[name].title} (${name})`).join('\n');
    const said = flags.for ?? (await ask(`What do you want to do?\n${listed}\n1 to ${names.length}, or a name`, '1'));
    const name = names[Number(said) - 1] ?? kindOf(said);
    const into = folder ?? (await ask('In which new folder?', `my-${name}`));
    const { asks } = kinds[name];
    const answers: InitAnswers = { model, env };
    if (asks && flags[asks] === undefined) answers[asks] = await ask(questions[asks], usual[asks]);
    return { name, folder: into, ...answers };
  } finally {
    reader.close();
  }
}

const questions = {
  model: 'Which language model? (a folder, or a name on the Hub)',
  env: 'In which environment? (heed envs lists them)',
} as const;

/** The path of a dataset from within the folder; names on the Hub stay as they are. */
function dataFrom(folder: string, data: string | undefined): string | undefined {
  if (data === undefined || isAbsolute(data) || !existsSync(data)) return data;
  return relative(resolve(folder), resolve(data)).replaceAll('\\', '/');
}

/** Writes files into a folder that does not exist or is empty. */
function write(folder: string, files: Readonly<Record<string, string>>): void {
  try {
    mkdirSync(folder, { recursive: true });
    if (readdirSync(folder).length > 0) {
      throw new HeedError(`"${folder}" is not empty`, { hint: 'Name a new folder: nothing is ever overwritten.' });
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { flag: 'wx' });
  } catch (error) {
    throw error instanceof HeedError ? error : fileError(error, 'write into', folder);
  }
}
