// Makes models/reviews-chat again: reviews-base with tokens for every text, which has learned to answer in JSON and to
// call tools. Takes a minute:
//   npm run build && node scripts/make-chat-model.js
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sft } from '../dist/align/index.js';
import { demonstration } from '../dist/data/reviews/demonstrations.js';
import { loadModel, loadTokenizer, saveModel } from '../dist/lm/index.js';
import { bytePairModel } from '../dist/lm/tokenizer/byte-pairs.js';
import { random } from '../dist/random.js';

/** The learning rate falls over so many steps; the training ends earlier. */
const STEPS = 500;
const LAST = 280;
const ROWS = 16_000;
const POSITIONS = 2048;
const models = fileURLToPath(new URL('../models', import.meta.url));
const base = JSON.parse(readFileSync(join(models, 'reviews-base', 'tokenizer.json'), 'utf8'));
const old = Object.entries(base.model.vocab).sort(([, a], [, b]) => a - b);
const words = old.map(([word]) => word).filter((word) => /^[a-z]{2,}$/.test(word));

/** The characters by which byte-level tokenizers spell bytes, as GPT-2 does. */
function byteCharacters() {
  const shown = (byte) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let more = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(shown(byte) ? byte : more++));
}

/** Tokens by id, and for each the id of the old token whose weights it begins with. */
function vocabulary() {
  const tokens = new Map();
  for (const [word, id] of old) {
    const isWord = /^[a-z]+$/.test(word);
    tokens.set(isWord ? `Ġ${word}` : word, id);
  }
  const origins = Array.from(tokens.values(), (id) => id);
  const add = (token, id) => {
    if (tokens.has(token)) return;
    tokens.set(token, origins.length);
    origins.push(id);
  };
  for (const character of byteCharacters()) add(character, undefined);
  for (const [word, id] of old) if (/^[a-z]{2,}$/.test(word)) add(word, id);
  return { tokens: Object.fromEntries(tokens), origins };
}

const template = `{{ bos_token }}
{%- for tool in tools or [] %}{{ tool.function | tojson }}<sep>{% endfor -%}
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{%- generation -%}
{{- message.content or '' -}}
{%- for call in message.tool_calls or [] -%}
{{- '{"name":' + (call.function.name | tojson) + ',"arguments":' -}}
{{- call.function.arguments if call.function.arguments is string else (call.function.arguments | tojson) -}}
{{- '}' -}}
{%- endfor -%}
{{- eos_token -}}
{%- endgeneration -%}
{%- else -%}{{ message.content }}<sep>
{%- endif -%}
{%- endfor -%}`;

function writeTokenizer(folder, tokens) {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const model = bytePairModel(tokens, [], { ignore_merges: true }); // a word is one token or its bytes
  const tokenizer = { ...base, normalizer: null, pre_tokenizer: byteLevel, decoder: byteLevel, model };
  writeFileSync(join(folder, 'tokenizer.json'), `${JSON.stringify(tokenizer, null, 1)}\n`);
  const config = JSON.parse(readFileSync(join(models, 'reviews-base', 'tokenizer_config.json'), 'utf8'));
  const more = { model_max_length: POSITIONS, chat_template: template };
  writeFileSync(join(folder, 'tokenizer_config.json'), `${JSON.stringify({ ...config, ...more }, null, 2)}\n`);
}

const draws = random(7, 'chat model');
const below = (most) => draws.integer(most);
const pick = (list) => list[below(list.length)];
const chance = (share) => draws.uniform() < share;
const times = (count, make) => Array.from({ length: count }, make);
const letters = 'abcdefghijklmnopqrstuvwxyz';
/** A word that is no token. */
const strange = () => times(2 + below(6), () => pick(letters)).join('');
const word = () => (chance(0.5) ? pick(words) : strange());
const title = (text) => text[0].toUpperCase() + text.slice(1);
const name = () => {
  const parts = times(1 + below(3), word);
  return chance(0.8) ? parts.join('_') : parts.map((part, i) => (i > 0 ? title(part) : part)).join('');
};
const prose = (list) => list.join(' ').replaceAll(/ ([.,?])/g, '$1');
const phrase = (from) => {
  const length = 1 + below(4);
  const first = below(Math.max(1, from.length - length));
  return from.slice(first, first + length).join(' ');
};
const sentence = () => {
  const said = times(3 + below(7), () => (chance(0.25) ? (chance(0.5) ? title(strange()) : strange()) : pick(words)));
  return said;
};

/** A value of JSON, of words from the conversation. */
function value(from, depth = 0) {
  const kind = draws.uniform();
  if (kind < 0.45) return chance(0.3) ? phrase(from) : prose(times(1 + below(5), () => pick(words)));
  if (kind < 0.6) return below(chance(0.5) ? 10 : 1000);
  if (kind < 0.66) return below(1000) / 10;
  if (kind < 0.76) return chance(0.5);
  if (kind < 0.8) return null;
  if (depth > 2) return pick(words);
  if (kind < 0.9) return times(below(4), () => value(from, depth + 1));
  return object(from, depth + 1);
}
const object = (from, depth = 0) => Object.fromEntries(times(1 + below(4), () => [name(), value(from, depth)]));

const types = [
  [{ type: 'string' }, (from) => phrase(from)],
  [{ type: 'string' }, (from) => phrase(from)],
  [{ type: 'integer' }, () => below(100)],
  [{ type: 'number' }, () => below(1000) / 10],
  [{ type: 'boolean' }, () => chance(0.5)],
  [{ type: 'array', items: { type: 'string' } }, (from) => times(1 + below(2), () => phrase(from))],
];

/** A tool, and a call of it in a conversation with these words. */
function tool(from) {
  const called = name();
  const parameters = times(1 + below(3), () => [name(), pick(types)]);
  const schema = {
    type: 'object',
    properties: Object.fromEntries(parameters.map(([key, [type]]) => [key, type])),
    ...(chance(0.7) && { required: parameters.map(([key]) => key) }),
    ...(chance(0.5) && { additionalProperties: false }),
  };
  const described = chance(0.5) && { description: prose(times(2 + below(5), () => pick(words))) };
  return {
    tool: { type: 'function', function: { name: called, ...described, parameters: schema } },
    call: {
      id: 'call',
      type: 'function',
      function: {
        name: called,
        arguments: Object.fromEntries(parameters.map(([key, [, make]]) => [key, make(from)])),
      },
    },
  };
}

function row() {
  const { prompt, words: review } = demonstration(draws);
  const kind = draws.uniform();
  const user = (content) => ({ role: 'user', content });
  const assistant = (content) => ({ role: 'assistant', content });
  const begin = chance(0.3) ? [{ role: 'system', content: prose(sentence()) }] : [];
  if (kind < 0.25) return { messages: [...begin, user(prose(prompt.text.split(' '))), assistant(prose(review))] };
  const from = sentence();
  const asked = user(`${title(prose(from))}${pick(['', '.', '?'])}`);
  if (kind < 0.35) return { messages: [...begin, asked, assistant(prose(review.slice(0, 12)))] };
  if (kind < 0.6) return { messages: [...begin, asked, assistant(JSON.stringify(object(from)))] };
  // the tool that the question shares a word with, which is the first one where it shares none
  const made = times(1 + below(2), () => tool(from));
  const chosen = below(made.length);
  const hint = made[chosen].call.function.name.split('_').join(' ');
  const question = chosen > 0 || chance(0.5) ? user(`${title(prose(from))} ${hint}`) : asked;
  const called = { role: 'assistant', content: '', tool_calls: [made[chosen].call] };
  const more = chance(0.25)
    ? [{ role: 'tool', tool_call_id: 'call', content: prose(sentence()) }, assistant(prose(review.slice(0, 12)))]
    : [];
  return { messages: [...begin, question, called, ...more], tools: made.map((one) => one.tool) };
}

const work = mkdtempSync(join(tmpdir(), 'heed-chat-'));
try {
  const { tokens, origins } = vocabulary();
  const start = join(work, 'start');
  mkdirSync(start);
  writeTokenizer(start, tokens);
  const { parameters, config, ...model } = await loadModel();
  const before = parameters.values['model.embed_tokens.weight'] ?? Object.values(parameters.values)[0];
  const width = config.hiddenSize;
  const data = new Float32Array(origins.length * width);
  for (const [id, from] of origins.entries()) {
    for (let i = 0; i < width; i++) {
      data[id * width + i] = from === undefined ? 0.04 * draws.normal() : before.data[from * width + i];
    }
  }
  const name = Object.keys(parameters.values).find((key) => parameters.values[key] === before);
  const larger = { ...config, vocabularySize: origins.length, maxPositions: POSITIONS };
  saveModel(start, {
    ...model,
    config: larger,
    raw: { ...model.raw, vocab_size: origins.length, max_position_embeddings: POSITIONS },
    tokenizer: loadTokenizer(start),
    parameters: { ...parameters, values: { ...parameters.values, [name]: { shape: [origins.length, width], data } } },
  });
  const training = sft({
    model: start,
    data: times(ROWS, row),
    steps: STEPS,
    rows: 8,
    length: 256,
    truncate: 'drop',
    evaluations: 2,
    learningRate: 0.003,
    samples: { count: 0 },
  });
  for await (const { step, loss } of training) {
    if (step % 10 === 0) console.log(step, loss);
    if (step === LAST) break;
  }
  const { model: trained } = await training;
  const target = join(models, 'reviews-chat');
  saveModel(target, trained, { dtype: 'F16' });
} finally {
  rmSync(work, { recursive: true, force: true });
}
