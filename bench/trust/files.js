/**
 * Kinds of files that people bring: valid ones, how they are changed, and the public function that reads them. A reader
 * takes a place: a folder of its own, where the input lies under the kind's name.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { path } from '../sides.js';
import { bytes, json, jsonText, text } from './mutations.js';

const MODEL = path('../test/fixtures/models/tiny-llama');

/** A model of a few hundred weights. */
const SMALL = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 8,
  intermediate_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 4,
  vocab_size: 300,
  max_position_embeddings: 64,
  hidden_act: 'silu',
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  tie_word_embeddings: true,
  torch_dtype: 'float32',
  bos_token_id: 0,
  eos_token_id: 0,
  attention_bias: false,
  mlp_bias: false,
};

/** A folder with a model that loads: config.json, model.safetensors, tokenizer.json, chat_template.jinja. */
async function modelFolder({ lm }, folder) {
  const tokenizer = lm.tokenizerFrom({ 'tokenizer.json': JSON.stringify(await bpe(lm)) });
  const outline = join(folder, 'config.json');
  lm.saveTokenizer(folder, tokenizer);
  writeFileSync(outline, JSON.stringify(SMALL));
  const { config } = await lm.loadOutline(folder);
  const model = lm.createModel(config, tokenizer, 1);
  lm.saveModel(folder, { ...model, raw: SMALL, architecture: 'LlamaForCausalLM' });
  model.parameters[Symbol.dispose]();
  for (const name of ['chat_template.jinja', 'tokenizer_config.json']) cpSync(join(MODEL, name), join(folder, name));
}

const bpe = (lm) =>
  lm.trainBpe(['the quick brown fox jumps over the lazy dog', 'naïve café 東京 12345'], {
    vocabularySize: 300,
    specialTokens: ['<|end|>'],
    bos: undefined,
  });

const wholeSizes = (sizes) => sizes.every((size) => Number.isInteger(size) && size > 0);

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Throws where something was accepted that cannot be right. */
function insist(right, what) {
  if (!right) throw new Error(`accepted nonsense: ${what}`);
}

const safetensors = {
  file: 'model.safetensors',
  rooms: ['lm'],
  async seeds(heed, folder) {
    await modelFolder(heed, folder);
    return [readFileSync(join(folder, 'model.safetensors'))];
  },
  /** Half of the time the header by its structure, with the length that it then has or with another. */
  mutate(input, steps, other) {
    const { op, at } = steps[0];
    if (op % 2) return bytes(input, steps, other);
    const length = Number(input.readBigUInt64LE());
    const header = Buffer.from(jsonText(JSON.parse(input.subarray(8, 8 + length).toString()), steps));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(at < 0.9 ? header.length : Math.floor(at * 1e6)));
    return Buffer.concat([size, header, input.subarray(8 + length)]);
  },
  read({ lm }, folder) {
    const { parameters } = lm.loadCheckpoint(folder);
    for (const { name, shape } of parameters.specs) {
      const { length } = parameters.values[name].data;
      insist(
        wholeSizes(shape) && length === shape.reduce((a, b) => a * b),
        `"${name}" [${shape}] of ${length} weights`,
      );
    }
    parameters[Symbol.dispose]();
  },
};

const adapter = {
  ...safetensors,
  file: 'adapter_model.safetensors',
  async seeds(_, folder) {
    const from = path('../test/fixtures/models/tiny-llama-lora');
    cpSync(from, folder, { recursive: true });
    return [readFileSync(join(folder, 'adapter_model.safetensors'))];
  },
  read: ({ lm }, folder) => void lm.readAdapter(folder),
};

const adapterConfig = {
  file: 'adapter_config.json',
  rooms: ['lm'],
  async seeds(heed, folder) {
    await adapter.seeds(heed, folder);
    return [readFileSync(join(folder, 'adapter_config.json'))];
  },
  mutate: json,
  read: ({ lm }, folder) => void lm.readAdapter(folder),
};

const config = {
  file: 'config.json',
  rooms: ['lm'],
  async seeds(heed, folder) {
    await modelFolder(heed, folder);
    const families = ['gemma2', 'gpt-neox', 'llama-yarn', 'granite4', 'gemma3'];
    const others = families.map((name) => readFileSync(path(`../test/fixtures/families/${name}/config.json`)));
    return [readFileSync(join(folder, 'config.json')), ...others];
  },
  mutate: json,
  async read({ lm, HeedError }, folder) {
    // the weights and the tokenizer beside it are those of the first valid one
    const unlikeOthers = (error) =>
      error instanceof HeedError && /^(Tensor|The weights|The tokenizer)/.test(error.message);
    try {
      const { config } = await lm.loadOutline(folder);
      for (const [name, value] of Object.entries(config))
        if (typeof value === 'number') insist(Number.isFinite(value), `config.${name} ${value}`);
    } catch (error) {
      if (!unlikeOthers(error)) throw error;
    }
    try {
      lm.loadCheckpoint(folder).parameters[Symbol.dispose]();
    } catch (error) {
      if (!unlikeOthers(error)) throw error;
    }
  },
};

const TEXTS = ['', 'The quick <|end|> brown fox', ' naïve café\n\n東京 🙂', 'a'.repeat(300), '\0\ufeff\u202e 12345,67'];

const tokenizer = {
  file: 'tokenizer.json',
  rooms: ['lm'],
  async seeds({ lm }) {
    const words = lm.wordLevelTokenizer(['the', 'quick', 'fox'], { unknown: '<unk>' });
    const others = [PIECES, UNIGRAM, SENTENCES].map((model) => JSON.stringify(model));
    const fixtures = ['tiny-llama'].map((name) => readFileSync(path(`../test/fixtures/models/${name}/tokenizer.json`)));
    return [await bpe(lm), words]
      .map((value) => Buffer.from(JSON.stringify(value)))
      .concat(others.map(Buffer.from), fixtures);
  },
  mutate: json,
  names: ['tokenizer.json', 'tokenizer'],
  read({ lm }, folder) {
    const tokenizer = lm.loadTokenizer(folder);
    insist(Number.isInteger(tokenizer.vocabularySize), `vocabularySize ${tokenizer.vocabularySize}`);
    for (const text of TEXTS) {
      const ids = tokenizer.encode(text);
      insist(
        ids.every((id) => Number.isInteger(id) && id >= 0),
        `ids ${ids.slice(0, 5)}`,
      );
      insist(typeof tokenizer.decode(ids) === 'string', 'decoded is no text');
    }
    const { ids, offsets } = tokenizer.encodeWithOffsets(TEXTS[1]);
    insist(ids.length === offsets.length, `${ids.length} ids with ${offsets.length} offsets`);
  },
};

/** Tokenizers of other models than BPE, as small as they come. */
const PIECES = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [{ id: 0, content: '[UNK]', special: true, single_word: false, lstrip: false, rstrip: false }],
  normalizer: {
    type: 'BertNormalizer',
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '[CLS]', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '[CLS]': { id: '[CLS]', ids: [1], tokens: ['[CLS]'] } },
  },
  decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: { '[UNK]': 0, '[CLS]': 1, the: 2, qui: 3, '##ck': 4, a: 5, '##a': 6 },
  },
};
const UNIGRAM = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: {
    type: 'Sequence',
    normalizers: [{ type: 'NFKC' }, { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' }],
  },
  pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
  post_processor: null,
  decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
  model: {
    type: 'Unigram',
    unk_id: 0,
    vocab: [
      ['<unk>', 0],
      ['▁', -2],
      ['▁the', -3],
      ['a', -3.5],
      ['aa', -4],
    ],
    byte_fallback: false,
  },
};
const SENTENCES = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: {
    type: 'Split',
    pattern: { Regex: '[^\\s\\p{L}]+|\\p{L}+|\\s+(?!\\S)|\\s+' },
    behavior: 'Isolated',
    invert: false,
  },
  post_processor: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: '<unk>',
    fuse_unk: true,
    byte_fallback: true,
    ignore_merges: false,
    vocab: { '<unk>': 0, '▁': 1, t: 2, h: 3, e: 4, th: 5, the: 6, '<0x0A>': 7, a: 8, aa: 9 },
    merges: [
      ['t', 'h'],
      ['th', 'e'],
      ['a', 'a'],
    ],
  },
};

const MESSAGES = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hello {{ 1 }} \ufdd0' },
  { role: 'assistant', content: 'Hi.', tool_calls: [{ function: { name: 'f', arguments: { a: 1 } } }] },
  { role: 'user', content: 'More' },
];
const PARTS = [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }];

const chatTemplate = {
  file: 'chat_template.jinja',
  rooms: ['lm'],
  async seeds(heed, folder) {
    await modelFolder(heed, folder);
    const names = ['tiny-llama', 'tiny-gpt2', 'tiny-qwen2'];
    const tools =
      "{%- macro show(x, n=2) -%}{{ x | tojson(indent=n) | replace('a', 'b') | trim }}{%- endmacro -%}{% set ns = namespace(i=0) %}{% for m in messages if m.role != 'system' %}{% set ns.i = ns.i + 1 %}{{ loop.index0 ~ m['role'] | upper }}{{ show(m) }}{% if loop.last and not add_generation_prompt %}{{ bos_token or '' }}{% elif m.content is string %}{{ m.content.split(' ')[::-1] | join('-') }}{% else %}{{ range(3) | join }}{% endif %}{% endfor %}{% if tools is defined and tools %}{{ raise_exception('no') }}{% endif %}{{ strftime_now('%d %b %Y') }}{% generation %}x{% endgeneration %}";
    return [
      ...names.map((name) => readFileSync(path(`../test/fixtures/models/${name}/chat_template.jinja`))),
      Buffer.from(tools),
    ];
  },
  mutate: text(
    ...['{% for i in range(1000000000) %}', '{% endfor %}', '{% if messages %}', '{% endif %}', '{% set x = x ~ x %}'],
    ...["{% set x = 'ab' * 99999999 %}", '{{ messages }}', '{{ messages | tojson(indent=999999) }}', '{%- ', ' -%}'],
    ...['{{', '}}', '{#', '#}', '{% raw %}', '(', '[', '"', "'", ' | join', ' | indent(99999999)', ' | length', '.a.b'],
    ...[
      '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}',
      '[0]',
      '[::-1]',
      '[:-1]',
      ' ~ ',
      ' + ',
      ' * 1000000',
      'namespace',
    ],
    ...['.__proto__', '.constructor', '{% for i in messages %}', '{% for j in range(99999) %}', ' is defined', ' in '],
    ...[' | replace("", "xxxxxxxx")', '.format()', '{% set messages = messages + messages %}', ' // 0', ' % 0', '\\u{'],
    ...['{% call m() %}', '{% filter upper %}', '{% break %}', '{% generation %}', '{% endgeneration %}', 'not ', '**'],
  ),
  names: ['chat template', 'tokenizer'],
  read({ lm, HeedError }, folder) {
    const tokenizer = lm.loadTokenizer(folder);
    for (const messages of [MESSAGES, PARTS]) {
      try {
        lm.encodeChat(tokenizer, messages, { addGenerationPrompt: true });
      } catch (error) {
        if (messages === MESSAGES || !(error instanceof HeedError)) throw error; // few templates take parts
      }
    }
    const { ids, assistantMask } = lm.encodeChat(tokenizer, MESSAGES.slice(1, 3), { assistantMask: true });
    insist(ids.length === assistantMask.length, `${ids.length} ids with a mask of ${assistantMask.length}`);
  },
};

const ROWS = [
  { prompt: 'Say "a", b', chosen: 'Good\nanswer', rejected: 'Bad, answer', source: 'web', score: 1.5 },
  { prompt: 'Naïve 東京?', chosen: 'Yes 🙂', rejected: 'No', source: 'book', score: -2 },
  { prompt: 'x', chosen: 'y', rejected: 'z', source: '', score: 1e-9 },
];
const CHATS = [
  {
    messages: [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello' },
    ],
    source: 'a',
  },
  {
    messages: [
      { role: 'user', content: 'Bye' },
      { role: 'assistant', content: 'See you' },
    ],
  },
];
const SHARED = [
  {
    conversations: [
      { from: 'human', value: 'Hi' },
      { from: 'gpt', value: 'Hello' },
    ],
  },
];
const lines = (rows) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

/** All rows of a file, and what `heed data inspect` says of it. */
async function readRows({ data }, place) {
  for await (const { value, line } of data.readDataset(place)) {
    insist(typeof value === 'object' && line >= 1, `a row at ${line}`);
  }
  await data.inspect(place);
}

const dataset = (file, seeds, mutate) => ({
  file,
  rooms: ['data'],
  seeds,
  mutate,
  read: (heed, folder) => readRows(heed, join(folder, file)),
});

/** Lines of JSON, each by its structure; now and then the bytes. */
function jsonLines(input, steps, other) {
  const { op, at, to, more } = steps[0];
  if (op % 3 === 0) return bytes(input, steps, other);
  const rows = input.toString().trimEnd().split('\n');
  const index = Math.floor(at * rows.length);
  rows[index] = jsonText(JSON.parse(rows[index]), steps, JSON.parse(other.toString().split('\n')[0]));
  if (op % 7 === 0) rows[Math.floor(to * rows.length)] += ['\r', '\0', ',', '}', '\u2028'][Math.floor(more * 5)];
  return Buffer.from(rows.join(op % 5 === 0 ? '\r\n' : '\n'));
}

const jsonlSeeds = () => [ROWS, CHATS, SHARED].map((rows) => Buffer.from(lines(rows)));

const parquetSeeds = async ({ data }, folder) => {
  const seeds = [];
  for (const rows of [
    ROWS,
    CHATS,
    Array.from({ length: 300 }, (_, i) => ({ text: `row ${i % 7} ${'x'.repeat(i % 11)}` })),
  ]) {
    const at = join(folder, 'seed.parquet');
    await data.writeDataset(at, rows);
    seeds.push(readFileSync(at));
    rmSync(at);
  }
  return seeds;
};

/** What gzip expands a thousandfold: a row of a few MB, blank lines, zeros. */
const bombs = [
  () => gzipSync(`{"text":"${'a'.repeat(2 ** 24)}"}\n`),
  () => gzipSync('\n'.repeat(2 ** 25)),
  () => gzipSync(Buffer.alloc(2 ** 26)),
];

const gzip = {
  ...dataset(
    'rows.jsonl.gz',
    () => [...jsonlSeeds().map((rows) => gzipSync(rows)), ...bombs.map((make) => make())],
    (input, steps, other) => {
      if (input.length > 10_000 || steps[0].op % 3) return bytes(input, steps, other);
      return gzipSync(jsonLines(gunzipSync(input), steps, Buffer.from(lines(SHARED))));
    },
  ),
  // zeros are no rows
  checked: (seeds) => seeds.slice(0, -1),
};

const csvText = 'prompt,chosen,rejected\n"Say ""a"", b","Good\nanswer",Bad\r\nNaïve 東京?,Yes 🙂,"No"\n';
const csv = dataset(
  'rows.csv',
  () => [
    Buffer.from(csvText),
    Buffer.from('prompt,completion,label\nx,y,true\nz,w,0\n'),
    Buffer.from(`messages,source\n"${JSON.stringify(CHATS[0].messages).replaceAll('"', '""')}",web\n`),
  ],
  text(
    '"',
    '""',
    ',',
    '\n',
    '\r',
    '\r\n',
    '\t',
    '[',
    '[{"role":"user"}]',
    '\0',
    '\ufeff',
    'prompt',
    '__proto__',
    'true',
    "'",
  ),
);

const recipe = {
  file: 'recipe.json',
  rooms: ['pipeline'],
  async seeds({ pipeline }) {
    const others = [
      { name: 'x', stages: [{ command: 'train', settings: { env: 'CartPole-v1', steps: 100, teacher: 'perfect' } }] },
      {
        seed: 3,
        stages: [
          { command: 'sft', settings: { data: 'owner/rows', epochs: 1, lora: { rank: 4 } } },
          { name: 'r', command: 'reward', settings: { model: '@sft', data: 'owner/rows' } },
          { command: 'ppo', settings: { model: '@sft', reward: '@r', kl: { target: 8 }, ppo: { minibatch: 16 } } },
          { command: 'dpo', settings: { model: '@sft', data: 'owner/pairs', beta: 0.1 }, on: 'trl', trainer: {} },
        ],
        answers: { count: 2, maxTokens: 10 },
      },
    ];
    return [pipeline.defaultRecipe, ...others].map((value) => Buffer.from(JSON.stringify(value)));
  },
  // what is no JSON, the reader of JSON files refuses before the recipe is checked
  mutate(input, steps, other) {
    const text = jsonText(JSON.parse(input.toString()), steps, JSON.parse(other.toString()));
    return isJson(text) ? Buffer.from(text) : input;
  },
  names: ['recipe', 'stage'],
  read({ pipeline }, folder) {
    const { stages } = pipeline.checkRecipe(JSON.parse(readFileSync(join(folder, 'recipe.json'), 'utf8')));
    insist(
      stages.every(({ name, command }) => name && command),
      'a stage without a name',
    );
  },
};

export const fileKinds = {
  safetensors,
  adapter,
  'adapter-config': adapterConfig,
  config,
  tokenizer,
  'chat-template': chatTemplate,
  jsonl: dataset('rows.jsonl', jsonlSeeds, jsonLines),
  json: dataset('rows.json', () => [ROWS, CHATS].map((rows) => Buffer.from(JSON.stringify(rows))), json),
  csv,
  gzip,
  parquet: dataset('rows.parquet', parquetSeeds, bytes),
  recipe,
};
