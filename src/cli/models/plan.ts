/** heed plan: the memory that training takes, and what to change if it does not fit. */
import type { Command } from 'commander';
import { planSchema } from '../../align/plan/options.ts';
import { type Plan, plan } from '../../align/plan/plan.ts';
import { addFlags, settingsFrom } from '../program/flags.ts';
import { createOutput, table } from '../program/output.ts';
import { checking } from '../program/usage.ts';
import { pullProgress } from './pull.ts';

export function addPlan(command: Command): void {
  addFlags(command, planSchema);
  command.action(() => planning(command));
}

async function planning(command: Command): Promise<void> {
  const output = createOutput(command.opts<{ json?: boolean }>());
  const input = settingsFrom(command, planSchema);
  const { done, ...pull } = pullProgress('pull');
  const found = await checking(() => plan({ ...input, pull }), input).finally(done);
  const { shape, parameters, disk, roles, total, devices } = found;
  const rows: [string, string][] = [
    ['model', `${shape}: ${inWords(parameters)} parameters, ${size(disk)} on disk as ${found.dtype}`],
    ...roles.map(({ name, bytes }): [string, string] => [name, `${size(bytes).padStart(8)}  ${meanings[name]}`]),
    ['total', size(total).padStart(8)],
    ...devices.map(({ name, bytes, fits }): [string, string] => [
      name,
      `${size(bytes).padStart(8)}: ${fits ? 'it fits' : 'it does not fit'}`,
    ]),
  ];
  output.say(table(rows));
  if (!found.fits) output.say(`\n${advice(found)}`);
  output.result(found);
}

const meanings: Record<string, string> = {
  actor: 'weights of the model that is trained, or that generates',
  reference: 'a frozen copy: the reference of the KL penalty',
  critic: 'weights of the critic, which predicts the reward to come',
  reward: 'weights of the reward model',
  gradients: 'gradients of all trained weights',
  optimizer: "AdamW's two moments of each trained weight",
  activations: "activations kept for the gradient, at a step's peak",
  logits: 'logits of the learned tokens, and their gradients',
  cache: 'keys and values of completions in progress',
  generation: 'reading prompts',
  saving: 'a copy that adapters are merged into',
  runtime: 'Node and the engine',
};

function advice({ changes, largest }: Plan): string {
  if (changes.length === 0) return 'No option saves more memory: choose a smaller model.';
  const rows = changes.map(({ change, total, saves, fits }): [string, string] => [
    change,
    `saves ${size(saves)}: ${size(total)}${fits ? ', and it fits' : ''}`,
  ]);
  const smaller =
    largest === undefined ? '' : `\nWith all of these, a model of some ${inWords(largest)} parameters fits.`;
  return `What to change:\n${table(rows)}${smaller}`;
}

/** Bytes in decimal units. */
const size = (bytes: number) => (bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);

/** A parameter count as in model names, such as 135M. */
const inWords = (n: number) =>
  n < 1e9 ? `${Number((n / 1e6).toPrecision(3))}M` : `${Number((n / 1e9).toPrecision(3))}B`;
