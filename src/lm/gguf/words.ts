/**
 * How byte-level tokenizers split text into words before they merge bytes, by the name in "tokenizer.ggml.pre". The
 * expressions are those of the tokenizers of Transformers that llama.cpp's converter gives these names to.
 */

type Json = Record<string, unknown>;

/** A way to split text. */
interface Words {
  /** Its names in files; the first is written. */
  names: readonly string[];
  /** Splits before the bytes, one after another, as regular expressions. */
  splits: readonly string[];
  /** Whether GPT-2's words are split after those. */
  gpt2?: boolean;
  /** Whether digits are split one by one first. */
  digits?: true;
  /** Whether words that are tokens are not merged from bytes. */
  ignoreMerges?: true;
  /** Whether a text begins with the first token where the file does not say. */
  begins?: true;
  /** The Unicode normalization of texts. */
  normalizer?: 'NFC';
}

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const rest = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
/** Words, numbers of at most so many digits, punctuation with the line ends after it. */
const cl100k = (numbers: string) =>
  `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${rest}`;
const [upper, lower] = ['[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]', '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]'];
/** Words that change from small to large letters are split; `ends` is what may follow a word. */
const o200k = (ends: string, numbers: string) =>
  [
    `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+${ends}`,
    `[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*${ends}`,
    `${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${rest}`,
  ].join('|');

/** All ways that heed knows. Where several have the same rules, the first is written. */
export const WORDS: readonly Words[] = [
  { names: ['gpt-2', 'phi-2', 'olmo', 'mpt', 'jais', 'trillion', 'exaone4', 'mellum'], splits: [], gpt2: true },
  {
    names: ['smollm', 'starcoder', 'refact', 'command-r', 'codeshell', 'exaone', 'minerva-7b'],
    splits: [],
    digits: true,
    gpt2: true,
  },
  {
    names: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'pixtral', 'midm-2.0'],
    splits: [cl100k('\\p{N}{1,3}')],
    ignoreMerges: true,
    begins: true,
  },
  { names: ['dbrx', 'smaug-bpe', 'glm4', 'chatglm-bpe'], splits: [cl100k('\\p{N}{1,3}')] },
  {
    names: ['qwen2', 'deepseek-r1-qwen', 'megrez', 'f2llmv2', 'kormo'],
    splits: [cl100k('\\p{N}')],
    normalizer: 'NFC',
  },
  { names: ['stablelm2', 'grok-2'], splits: [cl100k('\\p{N}')] },
  { names: ['gpt-4o', 'llama4', 'kanana2'], splits: [o200k(`${contractions}?`, '\\p{N}{1,3}')] },
  { names: ['tekken'], splits: [o200k('', '\\p{N}')], ignoreMerges: true, begins: true },
];

const split = (regex: string): Json => ({
  type: 'Split',
  pattern: { Regex: regex },
  behavior: 'Isolated',
  invert: false,
});

/** The pre-tokenizer of a tokenizer.json that splits so. */
export function preTokenizer({ splits, digits, gpt2 = false }: Words): Json {
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: gpt2 };
  const parts = [...(digits ? [{ type: 'Digits', individual_digits: true }] : []), ...splits.map(split), bytes];
  return parts.length === 1 ? bytes : { type: 'Sequence', pretokenizers: parts };
}

/** Expressions that split alike, in another spelling. */
const respelled = (regex: string) =>
  regex
    .replaceAll("(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])", contractions)
    .replaceAll('{1}', '')
    .replaceAll('\r', '\\r')
    .replaceAll('\n', '\\n');

/** GPT-2's words, which a ByteLevel part with `use_regex` splits by. */
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** What a pre-tokenizer of a tokenizer.json does, as one line to compare; undefined if it has another kind of part. */
function rulesOf(config: Json | null | undefined): string | undefined {
  const parts = (config?.type === 'Sequence' ? config.pretokenizers : [config]) as (Json | null)[];
  const rules = parts.map((part) => {
    if (part?.type === 'Digits') return part.individual_digits ? 'digits' : undefined;
    if (part?.type === 'ByteLevel') {
      if (part.add_prefix_space) return undefined;
      return part.use_regex === false ? 'bytes' : 'gpt2 bytes';
    }
    // these expressions match all of a text: keeping the matches is the same as splitting at them
    const kept = `${part?.behavior} ${part?.invert === true}`.toLowerCase();
    if (part?.type !== 'Split' || !['isolated false', 'removed true'].includes(kept)) return undefined;
    const regex = (part.pattern as Json | undefined)?.Regex;
    if (typeof regex !== 'string') return undefined;
    if (regex === '\\p{N}' || regex === '\\d') return 'digits';
    return regex === GPT2 ? 'gpt2' : respelled(regex);
  });
  return rules.includes(undefined) ? undefined : rules.join(' ');
}

/** The way that a tokenizer.json splits text; undefined if it is none of those that have a name. */
export function namedWords(json: Json): Words | undefined {
  const rules = rulesOf(json.pre_tokenizer as Json | null | undefined);
  if (rules === undefined) return undefined;
  const { ignore_merges: ignore } = json.model as Json;
  const alike = WORDS.filter((words) => rulesOf(preTokenizer(words)) === rules);
  const normalizer = (json.normalizer as Json | null | undefined)?.type;
  return (
    alike.find((words) => (words.ignoreMerges === true) === (ignore === true) && words.normalizer === normalizer) ??
    alike.find((words) => words.normalizer === normalizer && !ignore)
  );
}
