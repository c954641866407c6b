/** heed plan --cluster: what a training needs on a cluster, what to change, how long it takes and what it costs. */

import type { ClusterPlan, PartPlan } from '../../align/plan/cluster.ts';
import { withCommas } from '../../commas.ts';
import { table } from '../program/output.ts';
import { inWords, size } from './amounts.ts';

/** The plan as text. */
export function clusterPlanText(plan: ClusterPlan): string {
  const { shape, parameters, cluster, parts, changes } = plan;
  const { nodes, perNode, device } = cluster;
  const head = table([
    ['model', `${shape}: ${inWords(parameters)} parameters, ${size(2 * parameters)} as BF16`],
    ['cluster', `${nodes} ${nodes === 1 ? 'node' : 'nodes'} of ${perNode} ${device.name}, ${size(device.memory)} each`],
  ]);
  const sections = [head, ...parts.map(partText)];
  if (changes.length > 0) sections.push(adviceText(changes));
  else if (!plan.fits) sections.push('No option saves more memory: choose more or larger devices.');
  if (plan.fits) sections.push(timeText(plan));
  return sections.join('\n\n');
}

const meanings: Readonly<Record<string, string>> = {
  actor: 'weights of the policy or of the trained model, bf16',
  reference: 'weights of the frozen reference, bf16',
  teacher: 'weights of the teacher, bf16',
  critic: 'weights of the critic, bf16',
  reward: 'weights of the reward model, bf16',
  gradients: 'gradients of all trained weights, bf16',
  optimizer: "master weights and Adam's two moments, float32",
  gathered: 'weights of the layers in progress, whole',
  activations: 'activations kept for the gradient',
  logits: 'logits and their gradients',
  runtime: 'driver, communication buffers, allocator',
  engine: 'weights of the engine, bf16',
  cache: 'keys and values of completions in progress',
  trainer: 'what the trainer keeps meanwhile',
};

function partText({ name, devices, roles, total, fits, host, completions }: PartPlan): string {
  const rows: [string, string][] = [
    ...roles.map(({ name, bytes }): [string, string] => [name, `${size(bytes).padStart(8)}  ${meanings[name]}`]),
    ['total', `${size(total).padStart(8)}: ${fits ? 'it fits' : 'it does not fit'}`],
  ];
  if (host > 0) rows.push(['offloaded', `${size(host).padStart(8)} of each node's own memory`]);
  if (completions !== undefined) rows.push(['at a time', `${withCommas(completions)} completions per engine`]);
  return `${name}, on each of ${devices} ${devices === 1 ? 'device' : 'devices'}:\n${table(rows)}`;
}

const adviceText = (changes: ClusterPlan['changes']): string =>
  `What to change, each on top of the last:\n${table(
    changes.map(({ change, total, host, fits }) => [
      change,
      `${size(total).padStart(8)}${host > 0 ? `, and ${size(host)} of each node's own memory` : ''}${fits ? ': it fits' : ''}`,
    ]),
  )}`;

function timeText({ time, cluster }: ClusterPlan): string {
  const parts = (['generation', 'scoring', 'training', 'synchronization'] as const).filter((part) => time[part] > 0);
  const rows: [string, string][] = [
    ...parts.map((part): [string, string] => [part, seconds(time[part])]),
    ['step', `${seconds(time.step)}, ${withCommas(Math.round(time.tokensPerSecond))} tokens/s`],
    [`${time.steps} steps`, `${number(time.hours)} hours, ${number(time.deviceHours)} device-hours`],
  ];
  if (time.cost !== undefined) rows.push(['cost', number(time.cost)]);
  return `time, at ${cluster.device.name}'s usual speed:\n${table(rows)}`;
}

const seconds = (value: number): string => `${number(value)} s`;

const number = (value: number): string =>
  value < 100 ? String(Number(value.toPrecision(2))) : withCommas(Math.round(value));
