/**
 * The input of a verb: options, which are plain data, and live values (a loaded model, rows in memory, a reward
 * function), all in one object. This file separates them, so that flags, files and forms derive from the schema of the
 * options alone.
 */

import { z } from 'zod';
import { type DatasetOptions, readDataset } from '../../data/dataset.ts';
import {
  collectRows,
  type Data,
  isRows,
  type MessagesRow,
  type PreferenceRow,
  type PromptCompletionRow,
  type PromptRow,
  type TextRow,
} from '../../data/rows.ts';
import type { Disposables } from '../../disposables.ts';
import type { Bits, Precision } from '../../engine/dtype.ts';
import { type PrecisionChoice, resolvePrecision } from '../../engine/precision.ts';
import { HeedError } from '../../error.ts';
import { withOptionNames } from '../../library-words.ts';
import { type TemplateOptions, withChatTemplate } from '../../lm/built-in-templates.ts';
import { isEmbedded } from '../../lm/embedded.ts';
import { resolveDataset } from '../../lm/hub.ts';
import {
  checkNotDisposed,
  endsWithTurn,
  type LoadOptions,
  loadModel,
  type Model,
  type ModelData,
} from '../../lm/model.ts';
import type { Tokenizer } from '../../lm/tokenizer.ts';
import { basename, breathe, emitWarning } from '../../node.ts';
import { checkInput, parseOptions } from '../../options.ts';
import { checkBaseBits, type LoraSettings } from './trainable.ts';

/** What every verb takes besides its options. */
export interface Surroundings {
  /** Ends the training after the current step. */
  signal?: AbortSignal | undefined;
  /** Receives notices that need no action, such as rows that were left out or examples that were cut. */
  onNotice?: ((text: string) => void) | undefined;
  /** Receives how far long work within a step is, such as an evaluation, about every 4,096 tokens. */
  onProgress?: ((what: string, done: number, total: number) => void) | undefined;
  /** How models and data are fetched from the Hub. */
  pull?: LoadOptions | undefined;
}

/** Paths of the options that take a live value in place of a name, and of `teacher`, which is not an option. */
const paths = [
  ...['model', 'reference', 'baseline', 'critic', 'critic.model', 'policy'],
  ...['data', 'evaluation.data', 'evaluation.probes', 'samples.data', 'ptx.data', 'people.comparisons'],
  ...['reward', 'against', 'gold', 'judge', 'teacher', 'env'],
] as const;
type LivePath = (typeof paths)[number];

/** Live values by the path of the option that they stand in for. */
export type Live = Surroundings & Partial<Record<LivePath, unknown>>;

/** The value in config.json of an option whose live value has no name. */
export const IN_MEMORY = '(in memory)';

/**
 * Separates an input into its options, with their defaults, and its live values. The option of a live value holds the
 * value's folder or name, or `(in memory)`.
 *
 * @throws HeedError that names the option that is wrong.
 */
export function separate<S extends z.ZodType>(schema: S, input: object): { options: z.output<S>; live: Live } {
  checkInput(input);
  const { signal, onNotice, onProgress, pull, ...plain } = input as Surroundings & Record<string, unknown>;
  const live: Live = { signal, onNotice, onProgress, pull: onNotice ? { onNotice, ...pull } : pull };
  const take = (path: LivePath, holder: Record<string, unknown>, key: string) => {
    const value = holder[key];
    if (isMisplaced(path, value)) throw misplaced(path, value);
    if (!isLive(value)) return;
    live[path] = value;
    holder[key] = nameOf(value);
  };
  const isOption = (name: string) => !(schema instanceof z.ZodObject) || Object.hasOwn(schema.shape, name);
  for (const path of paths) {
    const [key, inner] = path.split('.');
    if (inner === undefined) {
      take(path, plain, key);
      if (path in live && !isOption(key)) delete plain[key]; // such as people as the teacher of a policy's reward
      continue;
    }
    const holder = plain[key];
    if (typeof holder !== 'object' || holder === null) continue;
    const copy = { ...holder }; // the caller's own objects stay as they are
    plain[key] = copy;
    take(path, copy, inner);
  }
  return { options: parseOptions(schema, plain), live };
}

/** Whether a value is neither a name nor anything that can stand in for one. */
const isMisplaced = (path: LivePath, value: unknown): boolean =>
  path in EXPECTED && value !== undefined && typeof value !== 'string' && !isLive(value);

/** What options take, for errors. */
const EXPECTED: Partial<Record<LivePath, { what: string; hint: string }>> = {
  model: {
    what: 'the folder or the name of a model, or a model',
    hint: 'Load one with: await loadModel(…) from heed/lm.',
  },
  data: {
    what: 'a path, or an array or another iterable of rows',
    hint: "Pass rows such as [{ prompt: 'Hello', completion: 'Hi' }], or the path of a file.",
  },
  reward: {
    what: 'a name, a function, a reward or a reward model',
    hint: 'Pass (completions) => completions.map(({ text }) => text.length), or a reward model: (await reward({ data })).model.',
  },
};

function misplaced(path: LivePath, value: unknown): HeedError {
  const { what, hint } = EXPECTED[path]!;
  return new HeedError(`${path}: expected ${what}, got ${value === null ? 'null' : typeof value}`, { hint });
}

/** Whether a value cannot be in a config file: a function, rows, or an object with methods. */
const isLive = (value: unknown): value is object =>
  typeof value === 'function' ||
  (typeof value === 'object' &&
    value !== null &&
    (isRows(value) || Object.values(value).some((method) => typeof method === 'function')));

function nameOf(value: object): string {
  if (isRows(value)) return IN_MEMORY;
  const { folder, name } = value as { folder?: unknown; name?: unknown };
  return [folder, name].find((text): text is string => typeof text === 'string' && text !== '') ?? IN_MEMORY;
}

/**
 * Opens the learner of an input. It throws a HeedError at once when options are wrong, and rejects with one when a
 * model, data or another thing that they name cannot be used.
 */
export type Opener<Input, Learner> = (input: Input) => Promise<Learner>;

/** Makes an opener, which separates its input into the schema's options and live values. */
export const openerOf =
  <S extends z.ZodType, Learner>(
    schema: S,
    open: (options: z.output<S>, live: Live) => Promise<Learner>,
  ): Opener<object, Learner> =>
  (input) => {
    const { options, live } = separate(schema, input);
    return open(options, live);
  };

/**
 * The input of a verb: the input of its schema, with live values in place of names. `Row` is the type of its data's
 * rows.
 */
export type Input<I, Row extends object, Reward = never, CompletionJudge = never> = Widened<
  I,
  Row,
  Reward,
  CompletionJudge
> &
  Surroundings;

type Widened<I, Row extends object, Reward, CompletionJudge> = {
  [K in keyof I]: K extends 'model' | 'reference' | 'baseline'
    ? I[K] | (ModelData & Disposable)
    : K extends 'data'
      ? I[K] | Data<Row>
      : K extends 'reward' | 'gold' | 'against'
        ? I[K] | Reward
        : K extends 'judge'
          ? I[K] | CompletionJudge
          : K extends keyof Nested
            ? Inside<I[K], { [N in keyof Nested[K]]: Nested[K][N] extends 'row' ? Row : Nested[K][N] }>
            : I[K];
};

/** Nested options that take live values: rows of these types, or models. */
interface Nested {
  evaluation: { data: 'row'; probes: ProbeRow };
  samples: { data: PromptRow };
  ptx: { data: TextRow | MessagesRow | PromptCompletionRow };
  people: { comparisons: PreferenceRow };
  critic: { model: Model };
}

/** Nested options, some of which take live values: a model, or rows. */
type Inside<I, Values> = I extends object
  ? {
      [K in keyof I]: K extends keyof Values
        ? I[K] | (Values[K] extends Model ? Model : Values[K] extends object ? Data<Values[K]> : never)
        : I[K];
    }
  : I;

/** A leading prompt, as a row of `evaluation.probes`. */
export interface ProbeRow extends PromptRow {
  /** Text that a sound completion does not contain, or several texts. */
  avoid: string | string[];
}

/** A dataset to read: its name in errors, and its rows or files. */
export interface Source {
  name: string;
  from: Data | readonly string[];
}

/**
 * The dataset that an option names, or the rows passed in its place.
 *
 * @throws HeedError when the value is neither a name nor rows, or the dataset cannot be fetched.
 */
export async function openSource(path: LivePath & keyof Live, name: string, live: Live): Promise<Source> {
  const rows = live[path];
  if (rows === undefined) return { name, from: await naming(path, resolveDataset(name, live.pull)) };
  if (isRows(rows)) return { name: path, from: await collectRows<object>(rows, path) };
  throw new HeedError(`${path}: expected a path, or an array or another iterable of rows, got ${typeof rows}.`, {
    hint: "Pass rows such as [{ prompt: 'Hello', completion: 'Hi' }], or the path of a file.",
  });
}

/** Reads the rows of a source (see `readDataset`). */
export const readSource = ({ name, from }: Source, options: Omit<DatasetOptions, 'name'>) =>
  readDataset(from, { ...options, name });

/**
 * The model that an option names, which `scope` disposes of; or the one passed in its place, which stays the caller's.
 *
 * @param how `precision`: what its matrix products compute with, until `scope` is disposed of; by default what they
 *   did. `baseBits`: keeps the weights of a model that is loaded in blocks.
 * @throws HeedError when the model cannot be loaded, or the value is not a model.
 */
export async function openModel(
  path: 'model' | 'reference' | 'baseline' | 'critic.model' | 'teacher',
  name: string,
  live: Live,
  scope: Disposables,
  { precision, baseBits }: { precision?: Precision | undefined; baseBits?: Bits | undefined } = {},
): Promise<Model> {
  const model = live[path];
  if (model === undefined) {
    return computing(scope.use(await naming(path, loadModel(name, { ...live.pull, baseBits }))), precision, scope);
  }
  if (isModel(model)) {
    checkNotDisposed(model, path);
    return computing(model, precision, scope);
  }
  throw new HeedError(`${path}: expected the folder or the name of a model, or a model, got ${typeof model}.`, {
    hint: 'Load one with: await loadModel(…) from heed/lm.',
  });
}

/** Names the option in the error of what it should have opened. */
const naming = <T>(path: LivePath, opening: Promise<T>): Promise<T> =>
  opening.catch((error) => {
    if (!(error instanceof HeedError)) throw error;
    throw new HeedError(`${path}: ${error.message}`, { hint: error.hint, cause: error });
  });

/** Makes a model compute with a precision until `scope` is disposed of: it may be the caller's. */
function computing(model: Model, precision: Precision | undefined, scope: Disposables): Model {
  if (precision === undefined) return model;
  const before = model.config.precision;
  model.config = { ...model.config, precision };
  const opened = new WeakRef(model); // the weights of one that a copy has replaced need not stay in memory
  scope.defer(() => {
    const model = opened.deref();
    if (model) model.config = { ...model.config, precision: before };
  });
  return model;
}

/**
 * A tokenizer with the template that options name. If it writes today's date, the date becomes an option: a run stores
 * it, so that it can be resumed on another day.
 */
export function templatedTokenizer(plain: Tokenizer, options: TemplateOptions, live: Live): Tokenizer {
  const tokenizer = withChatTemplate(plain, options, live.onNotice);
  const given = options.chatTemplateKwargs;
  if (!tokenizer.chatTemplate?.includes('strftime_now') || given?.strftime_now !== undefined) return tokenizer;
  const today = new Date();
  const [month, day] = [today.getMonth() + 1, today.getDate()].map((part) => String(part).padStart(2, '0'));
  options.chatTemplateKwargs = { ...given, strftime_now: `${today.getFullYear()}-${month}-${day}` };
  return withChatTemplate(plain, options, live.onNotice);
}

/** Whether a vocabulary is that of the small world: a run has trained the model that comes with heed, or one like it. */
const hasWordsOfTheWorld = (tokenizer: Tokenizer) =>
  tokenizer.unknown !== undefined && tokenizer.idOf('castle') !== undefined;

const warn = (text: string) => emitWarning(withOptionNames(text));

/** Options of a training whose model is opened, and what may say what it learns from. */
interface ModelOptions extends TemplateOptions {
  model: string;
  precision?: PrecisionChoice;
  lora?: LoraSettings;
  data?: string;
  env?: string;
  agent?: string;
  tasks?: string;
  world?: string;
}

/**
 * The model of an input, which from then on uses the chat template that the options name, or else its own; a model
 * without one adopts `plain` (see `withChatTemplate`). During the training it computes with the precision of the
 * options, if they have one; `auto` becomes what it is on this machine, so that the run stores that.
 *
 * @throws HeedError when the model cannot be loaded, the template does not exist, or the machine lacks the precision.
 */
export const openTemplated = async (options: ModelOptions, live: Live, scope: Disposables): Promise<Model> => {
  const { baseBits } = options.lora ?? {};
  checkBaseBits(options.lora ?? {}); // before the model is loaded so
  const opened = await openModel('model', options.model, live, scope, { baseBits });
  const { data, env, agent, tasks, world = 'reviews' } = options;
  const isForeign = !isEmbedded(basename(options.model)) && !hasWordsOfTheWorld(opened.tokenizer);
  if (isForeign && world === 'reviews' && [data, env, agent, tasks].every((source) => source === undefined)) {
    const notice = 'no --data is given: reviews of places take its place, the small world that comes with heed';
    (live.onNotice ?? warn)(notice);
  }
  opened.tokenizer = templatedTokenizer(opened.tokenizer, options, live);
  Object.assign(opened, endsWithTurn(opened, live.onNotice));
  await breathe(); // before what is compiled for it
  if (options.precision === undefined) return opened;
  if (baseBits && options.precision === 'bf16') {
    throw new HeedError(
      `--precision bf16 does not go with --lora.base-bits ${baseBits}: its products are in float32.`,
      {
        hint: 'Leave out one of the two.',
      },
    );
  }
  const precision = baseBits ? 'fp32' : resolvePrecision(options.precision, opened.config.hiddenSize);
  options.precision = precision;
  return computing(opened, precision, scope);
};

/** @throws HeedError when a model gives scores and cannot learn to write. */
export function checkWrites(
  { parameters, architecture }: Pick<ModelData, 'parameters' | 'architecture'>,
  name: string,
) {
  if (!('score.weight' in parameters.values)) return;
  throw new HeedError(`"${name}" gives scores (${architecture}), so it cannot learn to write.`, {
    hint: 'Use a language model, whose architecture ends in ForCausalLM or LMHeadModel.',
  });
}

/** Parameters that a training is changing. */
const inTraining = new WeakSet<object>();

/**
 * Keeps other trainings from a model until `scope` is disposed of: two of them would change the same weights.
 *
 * @throws HeedError when one is changing them already.
 */
export function claim({ parameters }: Pick<ModelData, 'parameters'>, scope: Disposables): void {
  if (inTraining.has(parameters)) {
    throw new HeedError('model: another training is changing this model', {
      hint: 'await that one first, or give each its own: model: await loadModel(…)',
    });
  }
  inTraining.add(parameters);
  scope.defer(() => inTraining.delete(parameters));
}

/** Whether a value is a loaded model. */
export const isModel = (value: unknown): value is Model =>
  typeof value === 'object' && value !== null && 'parameters' in value && 'tokenizer' in value;
