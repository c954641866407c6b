/** How what a model writes is bent: JSON by a schema, biases of tokens, penalties. */
import { HeedError, revived } from '../../error.ts';
import { applyMask } from '../../lm/constrain.ts';
import type { Sampler } from '../../lm/sampling.ts';
import type { Tokenizer } from '../../lm/tokenizer.ts';
import { ApiError } from '../errors.ts';
import type { LoadedModel } from '../loaded-model.ts';
import type { CompletionFormat, MaskOrder, MaskReply } from './format-engine.ts';
import { createFormatThread } from './format-thread.ts';
import type { SharedRequest } from './schema.ts';

/** A format that was read. */
export interface Formatter {
  /** A processor for each completion. */
  processor(): Sampler;
  /** What is wrong with a finished text; undefined if nothing is. */
  fault(text: string): Promise<string | undefined>;
  /** Whether the processor does not ensure all of the format, so that texts have to be checked. */
  isChecked: boolean;
}

const MOST_BYTES = 2 ** 20;
const MOST_GRAMMARS = 64;

/** Grammars of all servers of the process; checks may run forever, so they have a thread of their own. */
const thread = createFormatThread();
const checks = createFormatThread(5);
const vocabularies = new Map<string, number>();
const numbers = new WeakMap<LoadedModel, number>();
/** What the thread knows since it last ended: vocabularies by number, and formats by their text. */
const known = { ends: 0, vocabularies: new Set<number>(), formats: new Map<string, Promise<Opened>>() };
let grammars = 0;

interface Opened {
  grammar: number;
  unchecked: string[];
}

/**
 * Reads a format, off the event loop.
 *
 * @throws HeedError that names the part of a schema that cannot be, or if the model's tokenizer cannot.
 */
export async function openFormat(model: LoadedModel, format: CompletionFormat): Promise<Formatter> {
  const text = JSON.stringify(format);
  if (text.length > MOST_BYTES) {
    const size = (text.length / MOST_BYTES).toFixed(1);
    const message = `The JSON schema has ${size} MiB: expected at most 1. Let the model write a text, and match it.`;
    throw new ApiError(400, message, { param: 'response_format' });
  }
  const vocabulary = numberOf(model);
  await makeKnown(vocabulary, model.tokenizer);
  const key = `${vocabulary} ${text}`;
  let opening = known.formats.get(key);
  if (!opening) {
    const grammar = grammars++;
    opening = thread
      .ask({ kind: 'open', vocabulary, grammar, format: text })
      .then((unchecked) => ({ grammar, unchecked }));
    opening.catch(() => known.formats.delete(key));
  }
  known.formats.delete(key);
  known.formats.set(key, opening);
  if (known.formats.size > MOST_GRAMMARS) known.formats.delete(known.formats.keys().next().value!);
  const { grammar, unchecked } = await opening;
  return {
    processor: () => grammarProcessor(vocabulary, grammar),
    fault: (written) => checks.ask({ kind: 'check', format: text, text: written }),
    isChecked: unchecked.length > 0,
  };
}

/** The vocabulary's number: versions of a model share one. */
function numberOf(model: LoadedModel): number {
  let number = numbers.get(model);
  if (number === undefined) {
    const text = model.tokenizer.files['tokenizer.json'];
    number = vocabularies.get(text) ?? vocabularies.size;
    vocabularies.set(text, number);
    numbers.set(model, number);
  }
  return number;
}

async function makeKnown(vocabulary: number, { files }: Tokenizer): Promise<void> {
  if (known.ends !== thread.ends) {
    known.vocabularies.clear();
    known.formats.clear();
    known.ends = thread.ends;
  }
  if (!known.vocabularies.has(vocabulary)) {
    known.vocabularies.add(vocabulary);
    await thread.ask({ kind: 'vocabulary', vocabulary, files });
  }
}

interface Asked extends MaskOrder {
  settle(reply: MaskReply | HeedError): void;
}
let asking: Asked[] = [];

/** Asks for what may come next. What is asked in one turn of the loop is one message. */
function maskOf(order: MaskOrder): Promise<MaskReply | HeedError> {
  return new Promise((settle) => {
    if (asking.length === 0) queueMicrotask(() => void askAll());
    asking.push({ ...order, settle });
  });
}

async function askAll(): Promise<void> {
  const asked = asking;
  asking = [];
  try {
    const replies = await thread.ask({ kind: 'masks', orders: asked.map(({ settle: _, ...order }) => order) });
    for (const [i, reply] of replies.entries()) asked[i].settle('failed' in reply ? revived(reply.failed) : reply);
  } catch (error) {
    for (const { settle } of asked) settle(error as HeedError);
  }
}

/** The mask of the next token is computed while the model computes its logits. */
function grammarProcessor(vocabulary: number, grammar: number): Sampler {
  let reply: MaskReply | HeedError | undefined;
  let read = 0;
  const processor: Sampler = (logits, { ends }) => {
    if (!reply || reply instanceof HeedError) throw reply ?? new HeedError('The format was not prepared.');
    applyMask(logits, reply.mask, reply.ends ? ends : []);
  };
  processor.prepare = async ({ tokens, generated }) => {
    if (reply instanceof HeedError || (reply && read === generated)) return;
    const written = Array.from({ length: generated - read }, (_, i) => tokens[tokens.length - generated + read + i]);
    read = generated;
    reply = await maskOf({ vocabulary, grammar, state: reply?.state ?? 0, tokens: written });
  };
  return processor;
}

/** The processor of one completion, if it needs any. */
export function processorOf(request: SharedRequest, format?: Sampler): Sampler | undefined {
  const { logit_bias, presence_penalty, frequency_penalty } = request;
  const biases = Object.entries(logit_bias).map(([id, bias]) => [Number(id), bias] as const);
  const penalized = presence_penalty !== 0 || frequency_penalty !== 0;
  if (biases.length === 0 && !penalized) return format;
  const processor: Sampler = (logits, context) => {
    const { tokens, generated } = context;
    for (const [id, bias] of biases) if (id < logits.length) logits[id] += bias;
    if (penalized) {
      const seen = new Set<number>();
      for (let i = tokens.length - generated; i < tokens.length; i++) {
        logits[tokens[i]] -= frequency_penalty + (seen.has(tokens[i]) ? 0 : presence_penalty);
        seen.add(tokens[i]);
      }
    }
    format?.(logits, context);
  };
  processor.prepare = format?.prepare;
  return processor;
}
