/**
 * What is learned of each shape of rows, for each use: test/fixtures/shapes-and-uses.txt, a table to be checked by eye.
 * G is the better answer and B the worse; A is an answer alone.
 */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { HeedError } from '../../error.ts';
import { loadTokenizer } from '../../lm/tokenizer.ts';
import { dataUses, viewTokens } from './token-view.ts';

const says = (role: string, content: unknown) => ({ role, content });
const ask = [says('user', 'Q')];
const talk = (content: string) => [...ask, says('assistant', content)];
const said = (content: string) => [says('assistant', content)];
const from = (from: string, value: string) => ({ from, value });
const shared = [from('system', 'S'), from('human', 'Q'), from('gpt', 'A')];
const parts = (text: string) => [{ type: 'text', text }];
const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }];
const call = { name: 'f', arguments: '{"x": 1}' };
const step = (text: string, rating: number) => ({ completions: [{ text, rating }], chosen_completion: 0 });

const shapes: Record<string, object> = {
  text: { text: 'Q A' },
  'prompt and completion': { prompt: 'Q', completion: ' A' },
  'prompt and completion, chats': { prompt: ask, completion: said('A') },
  prompt: { prompt: 'Q' },
  'prompt, chat': { prompt: ask, answer: 'A' },
  messages: { messages: [says('system', 'S'), ...talk('A'), ...talk('A2')] },
  'messages in parts': { messages: [says('user', parts('Q')), says('assistant', parts('A'))] },
  'messages with weights': { messages: [...talk('A'), says('user', 'Q2'), { ...said('A2')[0], weight: 0 }] },
  'messages with a call': {
    messages: [
      ...ask,
      { role: 'assistant', content: null, tool_calls: [{ id: '1', type: 'function', function: call }] },
      { role: 'tool', tool_call_id: '1', content: '2' },
      ...said('A'),
    ],
    tools,
  },
  'messages with a call, tools as text': {
    messages: [...ask, { role: 'assistant', tool_calls: [{ type: 'function', function: call }] }],
    tools: JSON.stringify(tools),
  },
  'messages with an older call': {
    messages: [
      ...ask,
      { role: 'assistant', content: null, function_call: call },
      { role: 'function', name: 'f', content: '2' },
      ...said('A'),
    ],
  },
  ShareGPT: { conversations: shared },
  'ShareGPT, system beside': { system: 'S', conversations: shared.slice(1) },
  Alpaca: { instruction: 'Q', input: 'x', output: 'A' },
  'Alpaca with history': { instruction: 'Q', input: '', output: 'A', system: 'S', history: [['Q0', 'A0']] },
  'Alpaca preferences': { instruction: 'Q', input: 'x', chosen: 'G', rejected: 'B' },
  'ShareGPT preferences': {
    conversations: [from('human', 'Q')],
    chosen: from('gpt', 'G'),
    rejected: from('gpt', 'B'),
  },
  'LLaMA-Factory KTO': { conversations: shared.slice(1), kto_tag: true },
  'instruction and response': { instruction: 'Q', response: 'A' },
  'query and response': { query: 'Q', response: 'A' },
  'prompt and response': { prompt: 'Q', response: 'A' },
  'question and answer': { question: 'Q', answer: 'A' },
  'problem, solution and answer': { problem: 'Q', solution: 'S', answer: 'A' },
  'question about a context': { question: 'Q', context: 'C', answer: 'A' },
  'question with choices': { question: 'Q', choices: ['A', 'B'], answer: 0 },
  Magpie: { uuid: 'u', conversations: shared.slice(1), instruction: 'Q', response: 'A' },
  verl: { data_source: 'd', prompt: ask, ability: 'math', reward_model: { style: 'rule', ground_truth: '4' } },
  pair: { prompt: 'Q', chosen: ' G', rejected: ' B' },
  'pair of answers, chats': { prompt: ask, chosen: said('G'), rejected: said('B') },
  'pair of whole chats': { chosen: talk('G'), rejected: talk('B') },
  'pair of texts': { chosen: '\n\nHuman: Q\n\nAssistant: G', rejected: '\n\nHuman: Q\n\nAssistant: B' },
  'system and question with a pair': { system: 'S', question: 'Q', chosen: 'G', rejected: 'B' },
  'text prompt with chats': { prompt: 'Q', chosen: said('G'), rejected: said('B') },
  'UltraFeedback, made binary': { prompt: 'Q', chosen: talk('G'), rejected: talk('B'), score_chosen: 8 },
  UltraFeedback: {
    instruction: 'Q',
    completions: [
      { response: 'G', overall_score: 9 },
      { response: 'B', overall_score: 2 },
    ],
  },
  Nectar: {
    prompt: '\n\nHuman: Q\n\nAssistant: ',
    answers: [
      { answer: 'G', rank: 1 },
      { answer: 'B', rank: 2 },
    ],
  },
  'OpenAI preferences': {
    input: { messages: ask, tools: [], parallel_tool_calls: true },
    preferred_output: said('G'),
    non_preferred_output: said('B'),
  },
  'Arena conversations': { conversation_a: talk('B'), conversation_b: talk('G'), winner: 'model_b' },
  'HelpSteer, ratings': { prompt: 'Q', response: 'A', helpfulness: 3, correctness: 4, coherence: 4 },
  'HelpSteer3, preference': { context: ask, response1: 'B', response2: 'G', overall_preference: 2 },
  SHP: { history: 'Q', human_ref_A: 'B', human_ref_B: 'G', labels: 0 },
  SafeRLHF: { prompt: 'Q', response_0: 'B', response_1: 'G', better_response_id: 1, safer_response_id: 0 },
  'Stack Exchange pairs': { qid: 1, question: 'Q', response_j: 'G', response_k: 'B' },
  'OpenAssistant tree': {
    message_tree_id: 't',
    prompt: {
      text: 'Q',
      role: 'prompter',
      replies: [
        { text: 'B', role: 'assistant', rank: 1, replies: [] },
        { text: 'G', role: 'assistant', rank: 0, replies: [] },
      ],
    },
  },
  WildChat: { conversation: talk('A'), model: 'm' },
  PRM800K: { question: { problem: 'Q' }, label: { steps: [step('s1', 1), step('s2', -1)] } },
  'rated completion': { prompt: 'Q', completion: ' A', label: true },
  'rated completion, label as text': { prompt: 'Q', completion: ' A', label: 'undesirable' },
  'rated completion, chats': { prompt: ask, completion: said('A'), label: 0 },
};

// writes the tools and the calls
const template = `{%- if tools %}{{- '<|im_start|>system\\n' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}{{- '<|im_end|>\\n' }}{%- endif %}
{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + (m.content or '') }}{%- for c in m.tool_calls or [] %}{{- '<tool_call>' + (c.function | tojson) + '</tool_call>' }}{%- endfor %}{{- '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`;
const tokenizer = {
  ...loadTokenizer(fileURLToPath(new URL('../../../test/fixtures/models/tiny-qwen2', import.meta.url))),
  chatTemplate: template,
  chatTemplates: { default: template },
};

it('of each shape, for each use, is learned what the table says', async () => {
  const lines: string[] = [];
  for (const [name, row] of Object.entries(shapes)) {
    lines.push(`${name}: ${JSON.stringify(row)}`);
    for (const use of dataUses) {
      lines.push(`  ${use.padEnd(8)}${await shown(row, use)}`);
    }
  }
  const table = `${lines.join('\n')}\n`;
  await expect(table).toMatchFileSnapshot('../../../test/fixtures/shapes-and-uses.txt');
});

async function shown(row: object, use: (typeof dataUses)[number]): Promise<string> {
  const sequences: string[] = [];
  const unused: string[] = [];
  try {
    for await (const sequence of viewTokens([row], tokenizer, { for: use })) {
      const text = sequence.pieces.map(({ text, learned }) => (learned ? `[${text}]` : text)).join('');
      sequences.push(`${sequence.part} ${JSON.stringify(text)}`);
      unused.push(...sequence.unused.filter((column) => !unused.includes(column)));
    }
  } catch (error) {
    if (!(error instanceof HeedError)) throw error;
    return `refused: ${error.message.split(/[;\n]/)[0]}`;
  }
  return `${sequences.join(' | ')}${unused.length > 0 ? `  unused: ${unused.join(', ')}` : ''}`;
}
