/**
 * What memory a training takes, by what it is for: the weights of each model in it, gradients, AdamW's moments, activations,
 * logits, and the cache of answers that are being written. From the model's shape alone, by what heed allocates:
 * plan-roles.ts has the models, plan-memory.ts the programs, docs/reference/plan.md the formulas in words and how far they were off.
 *
 * Run it: heed plan --params 7B --algorithm ppo --method lora
 */
import { existsSync, readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { HeedError, messageOf } from '../../error.ts';
import { fileError } from '../../files.ts';
import { readConfig } from '../../lm/config.ts';
import { bytesPerFloat } from '../../lm/floats.ts';
import type { PullOptions } from '../../lm/hub.ts';
import { modelFolder } from '../../lm/model.ts';
import type { DecoderConfig } from '../../nn/index.ts';
import {
  onPolicy,
  type PlanInput,
  type Planned,
  type PlanOptions,
  paired,
  parseBytes,
  parseCount,
  planSchema,
  rated,
} from './options.ts';
import { isOneOf, type Role, rolesOf, rowsOf, rowsOfItem, writesAnswers } from './roles.ts';
import { countParameters, type ModelShape, typicalShape } from './shapes.ts';

export interface Change {
  /** A setting of the command that trains, or what to do. */
  change: string;
  /** Bytes with it, and those that it saves. */
  total: number;
  saves: number;
  fits: boolean;
}

export interface Plan {
  /** The model's name, or that of the published shape that was taken. */
  shape: string;
  parameters: number;
  /** Bytes of the model's files. */
  disk: number;
  roles: Role[];
  total: number;
  devices: (Role & { fits: boolean })[];
  /** It fits one of the devices: a training is on one. */
  fits: boolean;
  /** Where it does not fit, what would save memory: each by itself, and all of them last. */
  changes: Change[];
  /** Where even these do not do: parameters of the largest model in a usual shape that fits with all of them. */
  largest?: number;
}

/** Of a device's memory; the rest is for the system, and for what an estimate is off by. */
const USABLE = 0.9;

/**
 * Memory of a training. Throws a ZodError at once where settings are wrong; rejects with a HeedError where the model's config
 * cannot be read, or no shape is known of so many parameters.
 */
export function plan(given: PlanInput, parts: { pull?: PullOptions } = {}): Promise<Plan> {
  return create(planSchema.parse(given), parts.pull);
}

async function create(options: PlanOptions, pull: PullOptions | undefined): Promise<Plan> {
  const { model, params, dtype } = options;
  const { name, config } = model === undefined ? typicalShape(parseCount(params!)!) : await shapeOfModel(model, pull);
  const parameters = countParameters(config);
  const planned: Planned = { ...options, length: lengthOf(options, config) };
  const devices = devicesOf(options.device);
  const most = USABLE * Math.max(...devices.map(({ bytes }) => bytes));
  const roles = rolesOf(config, planned);
  const total = sum(roles);
  return {
    shape: name,
    parameters,
    disk: parameters * bytesPerFloat(dtype),
    roles,
    total,
    devices: devices.map((device) => ({ ...device, fits: total <= USABLE * device.bytes })),
    fits: total <= most,
    ...(total <= most ? { changes: [] } : changesFor(config, planned, most)),
  };
}

const LONGEST = 1024;

function lengthOf({ length, maxTokens = 1 }: PlanOptions, { maxPositions }: DecoderConfig): number {
  if (length !== undefined && length > maxPositions) {
    throw new HeedError(`A row of ${length} tokens is longer than the ${maxPositions} positions of the model.`, {
      hint: `Give --length ${maxPositions} or less.`,
    });
  }
  const tokens = length ?? Math.min(LONGEST, maxPositions);
  if (maxTokens < tokens) return tokens;
  throw new HeedError(`Answers of ${maxTokens} tokens leave no room for a prompt in rows of ${tokens}.`, {
    hint: `Give a greater --length, or a --maxTokens below ${tokens}.`,
  });
}

/** What would save a hundredth or more, in the order of what it costs. */
function changesFor(config: DecoderConfig, options: Planned, most: number): Pick<Plan, 'changes' | 'largest'> {
  const total = sum(rolesOf(config, options));
  const told = (change: string, changed: Partial<Planned>): Change => {
    const then = sum(rolesOf(config, { ...options, ...changed }));
    return { change, total: then, saves: total - then, fits: then <= most };
  };
  const useful = candidates(options).filter(([change, changed]) => told(change, changed).saves >= total / 100);
  const changes = useful.map(([change, changed]) => told(change, changed));
  const all: Planned = Object.assign({ ...options }, ...useful.map(([, changed]) => changed));
  if (useful.length > 1) changes.push(told('all of these', all));
  const largest = changes.some(({ fits }) => fits) ? undefined : largestWithin(most, all, countParameters(config));
  return { changes, ...(largest !== undefined && { largest }) };
}

/** Settings as the command of the algorithm calls them, and what they are here. */
function candidates(options: Planned): [change: string, changed: Partial<Planned>][] {
  const { algorithm, method, length, maxTokens = Math.ceil(length / 4), generate } = options;
  const trains = algorithm !== 'best-of-n';
  const items = rowsOfItem(algorithm);
  const byItems = algorithm === 'reward' ? '--batch' : isOneOf([...paired, ...rated], algorithm) ? '--part' : '--rows';
  const shorter = Math.max(length >> 1, maxTokens + 1);
  const fewer = Math.max(1, generate.batch >> 3);
  const side = writesAnswers(algorithm) ? 'generate' : 'evaluation';
  const list: [change: string, possible: boolean, changed: Partial<Planned>][] = [
    ['--checkpointLayers', trains && !options.checkpointLayers, { checkpointLayers: true }],
    [`${byItems} 1`, trains && rowsOf(options) > items, { rows: items }],
    [
      `--${side}.batch ${fewer}`,
      isOneOf([...onPolicy, ...paired, ...rated, 'best-of-n'], algorithm) && fewer < generate.batch,
      { generate: { batch: fewer } },
    ],
    [`--lora.rank ${options.lora.rank}`, trains && algorithm !== 'pretrain' && method === 'full', { method: 'lora' }],
    [
      writesAnswers(algorithm) ? `answers and prompts of ${shorter} tokens together` : `--length ${shorter}`,
      shorter < length,
      { length: shorter },
    ],
    ['--critic.kind shared', algorithm === 'ppo' && options.critic.kind !== 'shared', { critic: { kind: 'shared' } }],
    [
      '--reward with adapters of the same model (heed reward --lora.rank)',
      writesAnswers(algorithm) && options.reward === 'model' && (method === 'lora' || !trains),
      { reward: 'adapters' },
    ],
    [
      '--reward with a function or an address, not a model',
      writesAnswers(algorithm) && options.reward === 'model',
      { reward: 'function' },
    ],
  ];
  return list.flatMap(([change, possible, changed]) => (possible ? [[change, changed]] : []));
}

const SMALLEST = 260e3;

/** Parameters, to two digits, of the largest typical model that fits; undefined where none does. */
function largestWithin(most: number, options: Planned, parameters: number): number | undefined {
  const fitting = (count: number) => sum(rolesOf(typicalShape(count).config, options)) <= most;
  let [fits, not] = [SMALLEST, parameters];
  if (not <= fits || !fitting(fits)) return undefined;
  while (not / fits > 1.05) {
    const middle = Math.sqrt(fits * not);
    if (fitting(middle)) fits = middle;
    else not = middle;
  }
  return Number(countParameters(typicalShape(fits).config).toPrecision(2));
}

async function shapeOfModel(nameOrFolder: string, pull: PullOptions | undefined): Promise<ModelShape> {
  const folder = await modelFolder(nameOrFolder, { ...pull, include: ['config.json'] });
  const path = join(folder, 'config.json');
  if (!existsSync(path)) {
    throw new HeedError(`The folder "${folder}" has no "config.json".`, {
      hint: existsSync(join(folder, 'adapter_config.json'))
        ? 'It holds an adapter: give its base model.'
        : 'Give the folder of a model.',
    });
  }
  return { name: nameOrFolder, config: readConfig(readJson(path), `"${path}"`) };
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw fileError(error, 'read', path);
    throw new HeedError(`"${path}" is not JSON: ${messageOf(error)}`, { hint: 'Fetch the model again.', cause: error });
  }
}

function devicesOf(text: string | undefined): Role[] {
  if (text === undefined) return [{ name: 'this machine', bytes: machineBytes() }];
  return text.split(',').map((part) => ({ name: part.trim(), bytes: parseBytes(part)! }));
}

/** A container may be given less than the machine has. */
function machineBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

const sum = (roles: readonly Role[]): number => roles.reduce((total, { bytes }) => total + bytes, 0);
