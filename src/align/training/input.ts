/**
 * What a caller passes to a verb: options, which are plain data, and live values (a loaded model, rows in memory, a reward
 * function), all in one object. They are told apart here, so that flags, files and forms come from the options' schema alone.
 */
import { z } from 'zod';
import {
  collectRows,
  type Data,
  type DatasetOptions,
  isRows,
  type MessagesRow,
  type PreferenceRow,
  type PromptCompletionRow,
  type PromptRow,
  readDataset,
  type TextRow,
} from '../../data/index.ts';
import type { Disposables } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import { withChatTemplate } from '../../lm/built-in-templates.ts';
import { type PullOptions, resolveDataset } from '../../lm/hub.ts';
import { loadModel, type Model } from '../../lm/model.ts';
import { parseOptions } from '../../options.ts';

/** What every verb takes besides its options. */
export interface Surroundings {
  /** Ends the training after the step under way. */
  signal?: AbortSignal;
  /** Called with what a person should know and need not act on: rows that were left out, examples that were cut. */
  onNotice?: (text: string) => void;
  /** How models and data are fetched from the Hub. */
  pull?: PullOptions;
}

/** Options that take a live value in place of a name, by their path; and what is no option at all. */
const paths = [
  ...['model', 'reference', 'baseline', 'critic', 'critic.model', 'policy'],
  ...['data', 'evaluation.data', 'evaluation.probes', 'samples.data', 'ptx.data', 'people.comparisons'],
  ...['reward', 'against', 'gold', 'judge', 'teacher'],
] as const;
type LivePath = (typeof paths)[number];

/** Live values by the path of the option that they stand in for. */
export type Live = Surroundings & Partial<Record<LivePath, unknown>>;

/** What an option is called in config.json whose value was not a name. */
export const IN_MEMORY = '(in memory)';

/**
 * The options of an input, with their defaults, and its live values. Options that were given live hold the folder or the
 * name of the value, or `(in memory)`.
 *
 * @throws HeedError naming the option that is wrong.
 */
export function separate<S extends z.ZodType>(schema: S, input: object): { options: z.output<S>; live: Live } {
  const { signal, onNotice, pull, ...plain } = input as Surroundings & Record<string, unknown>;
  const live: Live = { signal, onNotice, pull };
  const take = (path: LivePath, holder: Record<string, unknown>, key: string) => {
    const value = holder[key];
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

/** A function, rows, or an object with methods: what no config file could hold. */
const isLive = (value: unknown): value is object =>
  typeof value === 'function' ||
  (typeof value === 'object' &&
    value !== null &&
    (isRows(value) || Object.values(value).some((of) => typeof of === 'function')));

function nameOf(value: object): string {
  if (isRows(value)) return IN_MEMORY;
  const { folder, name } = value as { folder?: unknown; name?: unknown };
  return [folder, name].find((text): text is string => typeof text === 'string' && text !== '') ?? IN_MEMORY;
}

/**
 * Opens the learner of an input. It throws a HeedError at once where options are wrong, and rejects with one where what they
 * name cannot be used.
 */
export type Opener<Input, Learner> = (input: Input) => Promise<Learner>;

/** What opens a learner of an input, which is told apart into the schema's options and live values. */
export const learnerOf =
  <S extends z.ZodType, Learner>(
    schema: S,
    open: (options: z.output<S>, live: Live) => Promise<Learner>,
  ): Opener<object, Learner> =>
  (input) => {
    const { options, live } = separate(schema, input);
    return open(options, live);
  };

/** The input of a verb: what its schema takes, with live values where it takes names; `Row` are the rows of its data. */
export type Input<I, Row extends object, Reward = never, CompletionJudge = never> = Widened<
  I,
  Row,
  Reward,
  CompletionJudge
> &
  Surroundings;

type Widened<I, Row extends object, Reward, CompletionJudge> = {
  [K in keyof I]: K extends 'model' | 'reference' | 'baseline'
    ? I[K] | Model
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

/** Options within options that take live values: rows of these kinds, or models. */
interface Nested {
  evaluation: { data: 'row'; probes: ProbeRow };
  samples: { data: PromptRow };
  ptx: { data: TextRow | MessagesRow | PromptCompletionRow };
  people: { comparisons: PreferenceRow };
  critic: { model: Model };
}

/** Options within an option, of which some take live values: a model, or rows. */
type Inside<I, Values> = I extends object
  ? {
      [K in keyof I]: K extends keyof Values
        ? I[K] | (Values[K] extends Model ? Model : Values[K] extends object ? Data<Values[K]> : never)
        : I[K];
    }
  : I;

/** A prompt that tries to lead a policy astray. */
export interface ProbeRow extends PromptRow {
  /** What a sound completion does not say: a text, or several. */
  avoid: string | string[];
}

/** A dataset to read: what errors call it, and its rows or files. */
export interface Source {
  name: string;
  from: Data | readonly string[];
}

/**
 * The dataset that an option names, or whose rows were passed in its place.
 *
 * @throws HeedError where it is neither, or cannot be fetched.
 */
export async function openSource(path: LivePath & keyof Live, name: string, live: Live): Promise<Source> {
  const rows = live[path];
  if (rows === undefined) return { name, from: await resolveDataset(name, live.pull) };
  if (isRows(rows)) return { name: path, from: await collectRows<object>(rows) };
  throw new HeedError(`${path}: expected a path, or an array or another iterable of rows, got ${typeof rows}.`, {
    hint: "Pass rows such as [{ prompt: 'Hello', completion: 'Hi' }], or the path of a file.",
  });
}

/** The rows of a source, as `readDataset` reads them. */
export const readSource = ({ name, from }: Source, options: Omit<DatasetOptions, 'name'>) =>
  readDataset(from, { ...options, name });

/**
 * The model that an option names, which `own` then keeps; or the one that was passed in its place, which stays the caller's.
 *
 * @throws HeedError where it cannot be loaded, or what was passed is no model.
 */
export async function openModel(
  path: 'model' | 'reference' | 'baseline' | 'critic.model',
  name: string,
  live: Live,
  own: Disposables,
): Promise<Model> {
  const model = live[path];
  if (model === undefined) return own.use(await loadModel(name, live.pull));
  if (isModel(model)) return model;
  throw new HeedError(`${path}: expected the folder or the name of a model, or a model, got ${typeof model}.`, {
    hint: 'Load one with: await loadModel(…) of heed/lm.',
  });
}

/**
 * The model that an input names or passes. From then on it reads messages by the template that its options name, else by
 * its own; one without a template adopts `plain` (see `withChatTemplate`).
 *
 * @throws HeedError as `openModel` does, and where there is no such template.
 */
export const openTemplated = async (
  { model, chatTemplate }: { model: string; chatTemplate?: string },
  live: Live,
  own: Disposables,
): Promise<Model> => {
  const opened = await openModel('model', model, live, own);
  opened.tokenizer = withChatTemplate(opened.tokenizer, chatTemplate, live.onNotice);
  return opened;
};

/** Whether a live value is a model. */
export const isModel = (value: unknown): value is Model =>
  typeof value === 'object' && value !== null && 'parameters' in value && 'tokenizer' in value;
