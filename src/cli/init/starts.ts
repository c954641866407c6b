/** What `heed init` writes for each kind of task, and what to type next. Everything runs as it is written. */
import { usualWorld } from '../../align/world/worlds.ts';
import { embeddedModel } from '../../lm/embedded.ts';
import type { RecipeInput } from '../../pipeline/recipe.ts';

/** The answers to the questions. */
export interface InitAnswers {
  /** A language model: a folder, or a name on the Hub. */
  model: string;
  /** An environment that comes with heed. */
  env: string;
  /** A dataset of the reader's own, in place of a sample. */
  data?: string;
}

/** What is written, and what comes next. */
interface Start {
  files: Readonly<Record<string, string>>;
  /** Command lines for the folder, each with its purpose. */
  next: readonly (readonly [command: string, purpose: string])[];
}

/** A kind of task. */
interface Kind {
  title: string;
  /** The last question: which of the answers it asks for. */
  asks: keyof Omit<InitAnswers, 'data'> | undefined;
  /** Whether `--data` takes the place of its sample. */
  takesData: boolean;
  start(answers: InitAnswers): Start;
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
const lines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const recipe = (stages: RecipeInput['stages'], count = 0): string => json({ stages, completions: { count } });

const RUN = 'heed pipeline recipe.json --out run';

/** The answers that need no thought. */
export const usual: InitAnswers = { model: embeddedModel, env: 'CartPole-v1' };

/** The kinds of task, by the name that `--for` takes. */
export const kinds: Readonly<Record<string, Kind>> = {
  agent: {
    title: 'teach an agent by comparing clips',
    asks: 'env',
    takesData: false,
    start: ({ env }) => ({
      files: { 'recipe.json': recipe([{ command: 'train', settings: { env } }]) },
      next: [
        [RUN, 'a synthetic teacher compares'],
        ['heed watch run/train', 'see the agent before and after'],
        [`heed train --env ${env} --teacher human --labels 30`, 'teach it yourself'],
      ],
    }),
  },
  environment: {
    title: 'train an agent in an environment of your own',
    asks: undefined,
    takesData: false,
    start: () => {
      const settings = { env: './environment.mjs', steps: 30_000, evaluations: 5 };
      return {
        files: {
          'environment.mjs': environment,
          'recipe.json': recipe([
            { command: 'rl', settings },
            { command: 'train', settings: { ...settings, labels: 60 } },
          ]),
        },
        next: [
          [RUN, 'by its own reward, then from comparisons'],
          ['heed watch run/rl', 'see what was learned'],
          ['heed train --env ./environment.mjs --teacher human --labels 40', 'teach it yourself'],
        ],
      };
    },
  },
  rows: {
    title: 'fine-tune a language model on your rows',
    asks: 'model',
    takesData: true,
    start: ({ model, data = 'rows.jsonl' }) => ({
      files: {
        ...(data === 'rows.jsonl' && { 'rows.jsonl': lines(sampleRows(model)) }),
        'recipe.json': recipe([{ command: 'sft', settings: { model, data, epochs: 3 } }], 2),
      },
      next: [
        [`heed data check ${quoted(data)}`, 'what is wrong with the rows, if anything'],
        [RUN, 'fine-tune'],
        [`heed generate --model run/sft/model --chat --prompt ${quoted(questionFor(model))}`, 'try it'],
      ],
    }),
  },
  preferences: {
    title: 'collect preferences from people, and learn from them',
    asks: 'model',
    takesData: true,
    start: ({ model, data = 'items.jsonl' }) => {
      const stages = ['reward', 'dpo'].map((command) => ({ command, settings: { model, data: 'preferences.jsonl' } }));
      return {
        files: {
          ...(data === 'items.jsonl' && { 'items.jsonl': lines(sampleItems(model)) }),
          'recipe.json': recipe(stages),
        },
        next: [
          [`heed feedback import ${quoted(data)} --project mine`, 'the pairs to be judged'],
          ['heed studio', 'judge them in the browser; Ctrl-C when done'],
          ['heed feedback export preferences.jsonl --project mine', 'the judgments as a dataset'],
          [RUN, 'a reward model, and DPO'],
        ],
      };
    },
  },
  serve: {
    title: "serve a model by OpenAI's API",
    asks: 'model',
    takesData: false,
    start: ({ model }) => ({
      files: {
        'serve.json': json({ maxTokens: 256, perMinute: 60 }),
        'request.json': json({
          model: 'mine',
          messages: [{ role: 'user', content: questionFor(model) }],
          max_tokens: 60,
        }),
      },
      next: [
        [`heed serve --model ${quoted(`mine=${model}`)} --config serve.json`, 'Ctrl-C ends it'],
        [
          "curl http://127.0.0.1:7420/v1/chat/completions -H 'content-type: application/json' -d @request.json",
          'in another terminal',
        ],
      ],
    }),
  },
};

/** A word for a shell: quoted only where it has to be. */
const quoted = (word: string): string => (/^[\w./@:=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

const environment = `/**
 * A point on a line, which should go to the middle and stay there: change it into your own task.
 * An episode depends on its seed and its actions alone, so that heed can replay it.
 */
export default () => {
  let x = 0;
  let steps = 0;
  return {
    id: 'Point',
    observationSpace: { kind: 'box', low: Float32Array.of(-2), high: Float32Array.of(2) },
    actionSpace: { kind: 'discrete', n: 3 }, // left, stay, right
    maxEpisodeSteps: 50,
    framesPerSecond: 10,
    reset(seed, observation) {
      x = 4 * fraction(seed) - 2;
      steps = 0;
      observation[0] = x;
    },
    step([action], observation) {
      x = Math.max(-2, Math.min(2, x + (action - 1) * 0.1));
      steps++;
      observation[0] = x;
      // terminated: the task ended; truncated: the time was up
      return { reward: -Math.abs(x), terminated: false, truncated: steps >= 50 };
    },
    // what people see when they compare clips
    frame: () => ({
      width: 400,
      height: 60,
      shapes: [
        { kind: 'line', points: [200, 10, 200, 50], stroke: '#999', width: 1 },
        { kind: 'circle', x: 200 + 100 * x, y: 30, radius: 8, fill: '#36c' },
      ],
    }),
  };
};

/** A number from 0 to 1 that depends on the seed alone. */
function fraction(seed) {
  const number = Math.sin(seed + 1) * 10_000;
  return number - Math.floor(number);
}
`;

/** A question that the model can understand: the one that comes with heed knows the words of its world only. */
const questionFor = (model: string): string =>
  model === embeddedModel ? 'please write a short review of the tavern .' : 'How do I return an order?';

/** Requests of the embedded world and what was written for them, for the model that comes with heed. */
const demonstrations = (count: number): string[][] =>
  [...usualWorld().demonstrations(count, 0)].map(({ value }) =>
    (value.messages as { content: string }[]).map(({ content }) => content),
  );

/** Demonstrations of the embedded world for the model that comes with heed, else of a shop's answers. */
const sampleRows = (model: string): object[] =>
  (model === embeddedModel ? demonstrations(60) : answers).map(([prompt, completion]) => ({
    prompt: [{ role: 'user', content: prompt }],
    completion: [{ role: 'assistant', content: completion }],
  }));

/** Pairs of two completions each. Which is better is for people to say: the import mixes their order. */
function sampleItems(model: string): object[] {
  if (model !== embeddedModel) return pairs;
  const byPrompt = new Map<string, string[]>();
  for (const [prompt, text] of demonstrations(400)) byPrompt.set(prompt, [...(byPrompt.get(prompt) ?? []), text]);
  const twice = [...byPrompt].filter(([, texts]) => texts.length > 1).slice(0, 12);
  return twice.map(([prompt, [chosen, rejected]]) => ({ prompt, chosen, rejected }));
}

const answers = [
  ['How do I return an order?', 'Send it back within 30 days. The label is in your account under Orders.'],
  ['When will my order arrive?', 'Two to four days after it has left us. The mail with the number says when that was.'],
  ['Can I change my address?', 'Yes, until the order has left us: open Orders and choose Change address.'],
  ['Do you ship abroad?', 'Yes, to all of Europe. It takes five to eight days.'],
  ['How do I pay?', 'By card, by bank transfer, or by invoice from your second order on.'],
  ['My parcel is damaged. What now?', 'Send us a picture within a week. We send a new one at once.'],
  ['How do I cancel an order?', 'Open Orders and choose Cancel. Once it has left us, return it instead.'],
  ['Where is my invoice?', 'In your account under Orders, as a PDF.'],
  ['Is there a warranty?', 'Yes, two years on all devices. Keep the invoice.'],
  ['Can I pick it up myself?', 'Yes, in the shop, from one hour after you have ordered.'],
  ['How do I reach you?', 'By phone from nine to five, or by mail at any time.'],
  ['Do you have gift cards?', 'Yes, from 10 to 200 euros. They never expire.'],
];

const pairs = [
  ['How do I return an order?', 'Send it back within 30 days.', 'Returns are described in our terms and conditions.'],
  ['When will my order arrive?', 'Two to four days after it has left us.', 'It depends on many factors.'],
  ['Do you ship abroad?', 'Yes, to all of Europe.', 'Shipping is an important part of our service.'],
  ['How do I pay?', 'By card, bank transfer or invoice.', 'There are several ways to pay, which you will see later.'],
  ['Where is my invoice?', 'In your account under Orders.', 'An invoice is a document that lists what was bought.'],
  ['How do I cancel an order?', 'Open Orders and choose Cancel.', 'Please think again before you cancel.'],
  ['Is there a warranty?', 'Yes, two years on all devices.', 'We stand by our products, always have and always will.'],
  ['Do you have gift cards?', 'Yes, from 10 to 200 euros.', 'Gift cards make people happy.'],
].map(([prompt, chosen, rejected]) => ({ prompt, chosen, rejected }));
