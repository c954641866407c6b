/** heed plan: the memory that training takes, and what to change if it does not fit. */
import type { Command } from 'commander';
import { z } from 'zod';
import { planCluster } from '../../align/plan/cluster.ts';
import { clusterOnlySchema, clusterPlanSchema } from '../../align/plan/cluster-options.ts';
import { planSchema } from '../../align/plan/options.ts';
import { type Plan, plan } from '../../align/plan/plan.ts';
import { flagFor } from '../../flag-names.ts';
import { addFlags, settingsFrom } from '../program/flags.ts';
import { createOutput, table } from '../program/output.ts';
import { checking, UsageError } from '../program/usage.ts';
import { inWords, size } from './amounts.ts';
import { clusterPlanText } from './plan-cluster.ts';
import { pullProgress } from './pull.ts';

const flagsSchema = z.object({ ...clusterOnlySchema.shape, ...planSchema.shape });

export function addPlan(command: Command): void {
  addFlags(command, flagsSchema);
  command.action(() => {
    const input = settingsFrom(command, flagsSchema);
    return input.cluster === undefined ? planHere(command, input) : planThere(command, input);
  });
}

/** Refuses settings that this kind of plan does not have. */
function refuseOthers(input: object, known: z.ZodObject, why: string): void {
  const stray = Object.keys(input).find((name) => !Object.hasOwn(known.shape, name));
  if (stray !== undefined) throw new UsageError(`${flagFor(stray)} ${why}`);
}

async function planThere(command: Command, input: Record<string, unknown>): Promise<void> {
  refuseOthers(input, clusterPlanSchema, 'does not go with --cluster');
  const output = createOutput(command.opts<{ json?: boolean }>());
  const { done, ...pull } = pullProgress('pull');
  const found = await checking(
    () => planCluster({ ...(input as z.input<typeof clusterPlanSchema>), pull }),
    input,
  ).finally(done);
  output.say(clusterPlanText(found));
  output.result(found);
}

async function planHere(command: Command, input: Record<string, unknown>): Promise<void> {
  refuseOthers(input, planSchema, 'needs --cluster, such as --cluster 8xH100');
  const output = createOutput(command.opts<{ json?: boolean }>());
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
  teacher: 'weights of the teacher',
  critic: 'weights of the critic, which predicts the reward to come',
  reward: 'weights of the reward model',
  gradients: 'gradients of all trained weights',
  optimizer: "AdamW's two moments of each trained weight",
  activations: "activations kept for the gradient, at a step's peak",
  logits: 'logits of the learned tokens, and their gradients; with a teacher, of both models',
  cache: 'keys and values of completions in progress',
  generation: 'reading prompts',
  copy: 'the frozen weights once more, in an order in which writing is fast',
  runtime: 'Node and the engine',
};

function advice({ changes, largest }: Plan): string {
  if (changes.length === 0) return 'No option saves more memory: choose a smaller model.';
  const rows = changes.map(({ change, total, saves, fits }): [string, string] => [
    change,
    `saves ${size(saves)}: ${size(total)}${fits ? ', and it fits' : ''}`,
  ]);
  const smaller =
    largest === undefined ? '' : `\nWith all of these, a model of about ${inWords(largest)} parameters fits.`;
  return `What to change:\n${table(rows)}${smaller}`;
}
