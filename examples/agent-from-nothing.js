/**
 * A model that learns to use a tool, from nothing: no download, no text by people. A program writes what it reads:
 *
 *   copying → careless demonstrations of the task → GRPO on the task itself
 *
 * node agent-from-nothing.js [--seed 0] [--steps 80] [--out FOLDER]
 */
import { parseArgs } from 'node:util';
import { calculatorTasks, evaluateTasks, grpo, sft } from 'heed/align';
import { random } from 'heed/engine';
import { createModel, saveModel, tokenizerFrom, trainBpe } from 'heed/lm';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '0' },
    copying: { type: 'string', default: '300' }, // steps of each stage
    demonstrations: { type: 'string', default: '100' },
    steps: { type: 'string', default: '80' },
    out: { type: 'string' },
  },
});
const seed = Number(values.seed);
const env = calculatorTasks({ seed });

// ————— What it reads before —————

const draw = random(seed, 'texts');
const digits = (most) => Array.from({ length: 1 + draw.integer(most) }, () => draw.integer(10)).join('');
const say = (role, content) => ({ role, content });
const call = (expression) =>
  `<tool_call>{"name": "calculator", "arguments": {"expression": "${expression}"}}</tool_call>`;

/** Something to repeat, also as a call and as its result: what a new model cannot do, and every tool needs. */
function copying() {
  const [first, second] = [0, 1].map(() => {
    const kind = draw.integer(3);
    if (kind < 2) return kind === 0 ? digits(8) : `-${digits(6)}`;
    return `${digits(3)} ${'+-*'[draw.integer(3)]} ${digits(3)}`;
  });
  if (draw.uniform() < 0.4) return { messages: [say('user', `Say ${first}.`), say('assistant', first)] };
  const result = [say('tool', second), say('assistant', second)];
  return { messages: [say('user', `Call ${first}.`), say('assistant', call(first)), ...result] };
}

/** A demonstration by someone careless: two in three guess, and of those who use the tool half mistype. */
function demonstration({ question, answer }) {
  const expression = question.slice('What is '.length, -1);
  const guess = String(Math.round(answer * (0.5 + draw.uniform())));
  if (draw.uniform() < 0.65) return { messages: [say('user', question), say('assistant', guess)] };
  const typed = draw.uniform() < 0.5 ? expression : expression.replace(/\d/, String(1 + draw.integer(9)));
  const [a, sign, b] = typed.split(' ');
  const result = String(sign === '*' ? +a * +b : sign === '+' ? +a + +b : +a - +b);
  const reply = [say('tool', result), say('assistant', draw.uniform() < 0.7 ? result : guess)];
  return { messages: [say('user', question), say('assistant', call(typed)), ...reply] };
}
// 150 of them fill the rows of a step, so that none is read twice; and none is one of the held-out tasks
const copies = Array.from({ length: 150 * Number(values.copying) }, copying);
const held = new Set(env.heldOut.map(({ question }) => question));
const others = calculatorTasks({ seed: seed + 1, count: 150 * Number(values.demonstrations) }).tasks;
const demonstrations = others.filter(({ question }) => !held.has(question)).map(demonstration);

// ————— The model: numbers are read digit by digit, and the frame of a call is two tokens —————

const words =
  '<tool_call>\\{"name": "\\w+", "arguments": \\{"\\w+": "|"\\}\\}</tool_call>|\\d|[A-Za-z]+:?|\\s+|[^\\w\\s]';
const texts = [copies, demonstrations].flatMap((rows) =>
  rows
    .slice(0, 3000)
    .map(({ messages }) => messages.map(({ content }) => `User: Assistant: Tool: ${content}\n\n`).join('')),
);
const special = { pad_token: '<pad>', eos_token: '</s>' };
const tokenizer = tokenizerFrom({
  'tokenizer.json': JSON.stringify(
    trainBpe(texts, { vocabularySize: 350, specialTokens: Object.values(special), words }),
  ),
  'tokenizer_config.json': JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast', ...special }),
});
const model = createModel(
  {
    vocabularySize: tokenizer.vocabularySize,
    ...{ hiddenSize: 128, layers: 4, heads: 4, keyValueHeads: 4, headSize: 32, feedForwardSize: 352 },
    ...{ activation: 'silu', gated: true, norm: 'rms', normEpsilon: 1e-5, queryKeyNorm: false },
    ...{ positions: { kind: 'rotary', theta: 1e4 }, maxPositions: 256, tied: true, initialDeviation: 0.04 },
    ...{ bias: { queryKeyValue: false, attentionOutput: false, feedForward: false }, precision: 'fp32' },
  },
  tokenizer,
  seed,
);

// ————— The stages —————

const since = performance.now();
const log = (text) => console.log(`${((performance.now() - since) / 60_000).toFixed(1)} min  ${text}`);
const play = { episode: { turns: 4, tokens: 96 }, maxTokens: 24 };
const heldOut = async () => (await evaluateTasks(model, env, { ...play, seed })).reward.toFixed(3);

/** A stage of supervised learning. */
async function learn(name, data, steps, learningRate) {
  const settings = { rows: 32, length: 128, warmup: 0.06, weightDecay: 0.1, beta2: 0.95, learningRate, steps, seed };
  const quiet = { evaluations: 0, samples: { count: 0 }, evaluation: { share: 0 } };
  const { metrics } = await sft({ model, data, chatTemplate: 'plain', ...settings, ...quiet });
  log(`${name}: loss ${metrics['loss/train'].toFixed(3)}, ${metrics.tokens} tokens, held out ${await heldOut()}`);
}
await learn('copying', copies, Number(values.copying), 3e-3);
await learn('demonstrations', demonstrations, Number(values.demonstrations), 1e-3);

const [batch, answers] = [16, 8];
const settings = {
  steps: Number(values.steps),
  batch,
  answers,
  learningRate: 5e-4,
  schedule: 'linear',
  beta: 0,
  maxKl: 0,
};
let tokens = 0;
for await (const { step, metrics } of grpo({ model, env, seed, ...play, ...settings, evaluations: 0 })) {
  tokens += metrics['response/length'] * batch * answers;
  const [reward, calls] = [metrics['reward/mean'].toFixed(2), metrics['episode/calls'].toFixed(2)];
  if (step % 10 === 0 || step === settings.steps)
    log(`GRPO ${step}: reward ${reward}, calls ${calls}, ${Math.round(tokens)} tokens, held out ${await heldOut()}`);
}
if (values.out !== undefined) saveModel(values.out, model);
