/**
 * A model that learns to use a tool, or to play a game, from nothing: no download, no text by people. A program writes
 * what it reads (agent-texts.js):
 *
 *   drills → careless demonstrations of the task → GRPO on the task itself
 *
 * node agent-from-nothing.js [--task calculator|sql|guess] [--seed 0] [--steps 80] [--out FOLDER]
 */
import { parseArgs } from 'node:util';
import { calculatorTasks, evaluateTasks, grpo, guessTasks, sft, sqlTasks } from 'heed/align';
import { createModel, renderChat, saveModel, tokenizerFrom, trainBpe } from 'heed/lm';
import { textsOf } from './agent-texts.js';

const { values } = parseArgs({
  options: {
    task: { type: 'string', default: 'calculator' },
    seed: { type: 'string', default: '0' },
    drills: { type: 'string' }, // steps of each stage
    demonstrations: { type: 'string' },
    steps: { type: 'string', default: '80' },
    episodes: { type: 'string', default: '200' }, // of an evaluation
    out: { type: 'string' },
  },
});
const seed = Number(values.seed);
const env = { calculator: calculatorTasks, sql: sqlTasks, guess: guessTasks }[values.task]({ seed });
// SQL has a grammar to learn from its demonstrations; of the others only the form is new
const stages = { calculator: [300, 100], sql: [200, 300], guess: [300, 100] }[values.task];
const [drillSteps, demonstrationSteps] = [values.drills ?? stages[0], values.demonstrations ?? stages[1]].map(Number);

// ————— What it reads before —————

const { tools, drill, demonstration } = textsOf(values.task, env, seed);
// 150 of them fill the rows of a step, so that none is read twice
const drills = Array.from({ length: 150 * drillSteps }, drill);
const demonstrations = [];
for (let i = 0; i < Math.min(6000, 60 * demonstrationSteps); i++) demonstrations.push(await demonstration());

/** How a conversation is written. The model carries it, so every command and agent writes the same. */
const template = `
{%- if tools -%} {{ 'Tools:' }}{% for tool in tools %}{{ ' ' + tool.function.name }}{% endfor %}{{ '\\n\\n' }} {%- endif -%}
{%- for message in messages -%}
  {{- message.role | capitalize + ': ' -}}
  {%- if message.role == 'assistant' -%}
    {%- generation -%}
      {{- message.content -}}
      {%- for call in message.tool_calls or [] -%} {{- '<tool_call>' + call.function | tojson + '</tool_call>' -}} {%- endfor -%}
      {{- eos_token -}}
    {%- endgeneration -%}
  {%- else -%} {{- message.content -}} {%- endif -%}
  {{- '\\n\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%} {{- 'Assistant: ' -}} {%- endif -%}`;

// ————— The model: numbers are read digit by digit, and the frame of a call is two tokens —————

const special = { pad_token: '<pad>', eos_token: '</s>' };
const texts = [drills, demonstrations].flatMap((rows) =>
  rows.slice(0, 3000).map(({ messages }) => renderChat(template, messages, { tools, eosToken: special.eos_token })),
);
const words =
  '<tool_call>\\{"name": "\\w+", "arguments": \\{"\\w+": "|"\\}\\}</tool_call>|\\d|[A-Za-z]+:?|\\s+|[^\\w\\s]';
const tokenizer = tokenizerFrom({
  'tokenizer.json': JSON.stringify(
    trainBpe(texts, { vocabularySize: 512, specialTokens: Object.values(special), words }),
  ),
  'tokenizer_config.json': JSON.stringify({
    tokenizer_class: 'PreTrainedTokenizerFast',
    chat_template: template,
    ...special,
  }),
});
const size = { hiddenSize: 128, layers: 4, heads: 4, keyValueHeads: 4, headSize: 32, feedForwardSize: 352 };
const layer = { activation: 'silu', gated: true, norm: 'rms', normEpsilon: 1e-5, queryKeyNorm: false };
const model = createModel(
  {
    vocabularySize: tokenizer.vocabularySize,
    ...size,
    ...layer,
    positions: { kind: 'rotary', theta: 1e4 },
    maxPositions: 256,
    tied: true,
    initialDeviation: 0.04,
    bias: { queryKeyValue: false, attentionOutput: false, feedForward: false },
    precision: 'fp32',
  },
  tokenizer,
  seed,
);

// ————— The stages —————

const since = performance.now();
const log = (text) => console.log(`${((performance.now() - since) / 60_000).toFixed(1)} min  ${text}`);
const play = { episode: { tokens: 160 }, maxTokens: 40 };
const count = Math.min(Number(values.episodes), env.heldOut.length);
const evaluation = { ...play, seed, count, repeats: Math.round(Number(values.episodes) / count) };
const heldOut = async () => (await evaluateTasks(model, env, evaluation)).reward.toFixed(3);

/** A stage of supervised learning. */
async function learn(name, data, steps, learningRate) {
  const settings = { rows: 32, length: 128, warmup: 0.06, weightDecay: 0.1, beta2: 0.95, learningRate, steps, seed };
  const quiet = { evaluations: 0, samples: { count: 0 }, evaluation: { share: 0 } };
  const { metrics } = await sft({ model, data, ...settings, ...quiet });
  log(`${name}: loss ${metrics['loss/train'].toFixed(3)}, ${metrics.tokens} tokens, held out ${await heldOut()}`);
}
await learn('drills', drills, drillSteps, 3e-3);
await learn('demonstrations', demonstrations, demonstrationSteps, 1e-3);

const [steps, batch, completions] = [Number(values.steps), 16, 8];
const sizes = { steps, batch, completions, evaluations: 0 };
const settings = { ...sizes, learningRate: 5e-4, schedule: 'linear', beta: 0, maxKl: 0 };
let tokens = 0;
for await (const { step, metrics } of steps > 0 ? grpo({ model, env, seed, ...play, ...settings }) : []) {
  tokens += metrics['response/length'] * batch * completions;
  if (step % 10 > 0 && step < steps) continue;
  const [reward, calls] = [metrics['reward/mean'].toFixed(2), metrics['episode/calls'].toFixed(2)];
  log(`GRPO ${step}: reward ${reward}, calls ${calls}, ${Math.round(tokens)} tokens, held out ${await heldOut()}`);
}
if (values.out !== undefined) saveModel(values.out, model);
