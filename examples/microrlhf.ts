/**
 * Reinforcement learning from human feedback for language, in one file without an import:
 *
 *   demonstrations (SFT) → comparisons → a reward model → PPO, and DPO on the same comparisons
 *
 * A model of 4,480 numbers writes about animals, letter by letter. A reader likes kind words. The model never hears that:
 * it only learns which of two sentences the reader chose. docs/explanation/microrlhf.md walks through this file.
 * node microrlhf.ts      (Node 22.18 or later, Deno or Bun)
 */

// ————— 1. Matrices that know their gradients —————

type Push = (gradient: Float64Array) => void;
/** Numbers in rows, how much a loss changes with each, and how that reaches the parents that they were made from. */
export class Matrix {
  gradient: Float64Array;
  rows: number;
  columns: number;
  data: Float64Array;
  parents: Matrix[];
  push: Push;
  constructor(rows: number, columns: number, data: Float64Array, parents: Matrix[] = [], push: Push = () => {}) {
    [this.rows, this.columns, this.data, this.parents, this.push] = [rows, columns, data, parents, push];
    this.gradient = new Float64Array(data.length);
  }
}
export const column = (numbers: ArrayLike<number>) => new Matrix(numbers.length, 1, Float64Array.from(numbers));
const ones = (rows: number, columns: number) => new Matrix(rows, columns, new Float64Array(rows * columns).fill(1));

/** Fills the gradients of all that a loss was made from: from the loss backward, each matrix once. */
export function backward(loss: Matrix): void {
  const order = new Set<Matrix>(); // parents first
  const visit = (matrix: Matrix) => {
    for (const parent of matrix.parents) if (!order.has(parent)) visit(parent);
    order.add(matrix);
  };
  visit(loss);
  loss.gradient[0] = 1;
  for (const matrix of [...order].reverse()) matrix.push(matrix.gradient);
}
function matmul(a: Matrix, b: Matrix): Matrix {
  const [n, inner, m] = [a.rows, a.columns, b.columns];
  const [x, y, z, dx, dy] = [a.data, b.data, new Float64Array(n * m), a.gradient, b.gradient];
  for (let i = 0; i < n; i++)
    for (let k = 0; k < inner; k++)
      for (let j = 0, factor = x[i * inner + k]; j < m; j++) z[i * m + j] += factor * y[k * m + j];
  return new Matrix(n, m, z, [a, b], (dz) => {
    for (let i = 0; i < n; i++)
      for (let k = 0; k < inner; k++)
        for (let j = 0, at = i * inner + k; j < m; j++) {
          dx[at] += dz[i * m + j] * y[k * m + j];
          dy[k * m + j] += dz[i * m + j] * x[at];
        }
  });
}
type Slope = (x: number, y: number) => number;
/** f(x, y) of each number of a and b, with the slopes of f in x and in y. A smaller b repeats. */
function zip(a: Matrix, b: Matrix, f: Slope, inX: Slope, inY: Slope): Matrix {
  const [x, y, size] = [a.data, b.data, b.data.length];
  const z = x.map((one, i) => f(one, y[i % size]));
  return new Matrix(a.rows, a.columns, z, [a, b], (dz) => {
    for (let i = 0; i < x.length; i++) {
      a.gradient[i] += dz[i] * inX(x[i], y[i % size]);
      b.gradient[i % size] += dz[i] * inY(x[i], y[i % size]);
    }
  });
}
const [zero, one]: Slope[] = [() => 0, () => 1];
// biome-ignore format: one operation a line, with its slopes beside it
const add = (a: Matrix, b: Matrix) => zip(a, b, (x, y) => x + y, one, one),
  sub = (a: Matrix, b: Matrix) => zip(a, b, (x, y) => x - y, one, () => -1),
  mul = (a: Matrix, b: Matrix) => zip(a, b, (x, y) => x * y, (_, y) => y, (x) => x),
  min = (a: Matrix, b: Matrix) => zip(a, b, Math.min, (x, y) => Number(x <= y), (x, y) => Number(x > y)),
  map = (a: Matrix, f: (x: number) => number, slope: (x: number) => number) => zip(a, column([0]), f, slope, zero),
  times = (a: Matrix, factor: number) => map(a, (x) => x * factor, () => factor),
  exp = (a: Matrix) => map(a, Math.exp, Math.exp),
  log = (a: Matrix) => map(a, Math.log, (x) => 1 / x),
  inverseRoot = (a: Matrix) => map(a, (x) => x ** -0.5, (x) => -0.5 * x ** -1.5),
  relu = (a: Matrix) => map(a, (x) => Math.max(x, 0), (x) => Number(x > 0)),
  logSigmoid = (a: Matrix) => map(a, (x) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x))), (x) => sigmoid(-x));
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
/** A matrix of numbers of others: `from` says for each which matrix, and which of its numbers. */
function gather(rows: number, columns: number, parents: Matrix[], from: (i: number) => [Matrix, number]): Matrix {
  const places = Array.from({ length: rows * columns }, (_, i) => from(i));
  const z = Float64Array.from(places, ([a, at]) => a.data[at]);
  return new Matrix(rows, columns, z, parents, (dz) => {
    for (const [i, [a, at]] of places.entries()) a.gradient[at] += dz[i];
  });
}
const transpose = (a: Matrix) =>
  gather(a.columns, a.rows, [a], (i) => [a, (i % a.rows) * a.columns + Math.floor(i / a.rows)]);
const takeRows = (a: Matrix, rows: readonly number[]) =>
  gather(rows.length, a.columns, [a], (i) => [a, rows[Math.floor(i / a.columns)] * a.columns + (i % a.columns)]);
const pick = (a: Matrix, columns: readonly number[]) => gather(a.rows, 1, [a], (i) => [a, i * a.columns + columns[i]]);
/** Columns one below the other. */
function stack(parts: Matrix[]): Matrix {
  const places = parts.flatMap((part) => Array.from(part.data, (_, i): [Matrix, number] => [part, i]));
  return gather(places.length, 1, parts, (i) => places[i]);
}

const sumRows = (a: Matrix) => matmul(a, ones(a.columns, 1));
const sum = (a: Matrix) => matmul(ones(1, a.rows), sumRows(a));
const mean = (a: Matrix) => times(sum(a), 1 / a.data.length);
const widen = (a: Matrix, columns: number) => matmul(a, ones(1, columns)); // a column, repeated
const logSoftmax = (a: Matrix) => sub(a, widen(log(sumRows(exp(a))), a.columns));
const normalize = (a: Matrix) => mul(a, widen(inverseRoot(sumRows(times(mul(a, a), 1 / a.columns))), a.columns));

// ————— 2. The three losses —————

/** How badly scores explain choices: −log σ(chosen − rejected), the mean over pairs (Bradley and Terry 1952). */
export const rewardLoss = (chosen: Matrix, rejected: Matrix) => times(mean(logSigmoid(sub(chosen, rejected))), -1);

/** The same, with β (log π − log π_ref) as the score: the policy is its own reward model (Rafailov et al. 2023). */
export const dpoLoss = (chosen: Matrix, rejected: Matrix, chosenRef: Matrix, rejectedRef: Matrix, beta: number) =>
  rewardLoss(times(sub(chosen, chosenRef), beta), times(sub(rejected, rejectedRef), beta));

/** What pays becomes likelier, but one batch moves it by ε at most (Schulman et al. 2017, equation 7). */
export const ppoLoss = (logProbs: Matrix, oldLogProbs: Matrix, advantages: Matrix, epsilon: number) => {
  const limit = column(advantages.data.map((a) => a + epsilon * Math.abs(a))); // clip(ρ, 1 − ε, 1 + ε) A where it counts
  return times(mean(min(mul(exp(sub(logProbs, oldLogProbs)), advantages), limit)), -1);
};

// ————— 3. A transformer, its tokenizer and its optimizer —————

const letters = [...'\n abcdefghijklmnopqrstuvwxyz.']; // a character's number is its place here; \n ends a text
const encode = (text: string) => [...text].map((letter) => letters.indexOf(letter));
const decode = (tokens: readonly number[]) => tokens.map((token) => letters[token]).join('');
const [size, longest] = [16, 30]; // numbers in a state; characters in a text

let seed = 1;
function uniform(): number {
  seed = (seed * 48271) % 2147483647; // the same draws in every run (Park and Miller 1988)
  return seed / 2147483647;
}
const gaussian = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
function random(rows: number, columns: number, deviation: number): Matrix {
  const data = new Float64Array(rows * columns).map(() => deviation * gaussian());
  return new Matrix(rows, columns, data);
}
// biome-ignore format: a transformer of one block on a screen
const shapes = {
  tokens: [letters.length, size], places: [longest, size], query: [size, size], key: [size, size], value: [size, size],
  mix: [size, size], up: [size, 4 * size], down: [4 * size, size], head: [size, letters.length],
};
type Model = Record<keyof typeof shapes, Matrix>;
const createModel = () =>
  Object.fromEntries(Object.entries(shapes).map(([name, [n, m]]) => [name, random(n, m, n ** -0.5)])) as Model;
const copy = ({ rows, columns, data }: Matrix) => new Matrix(rows, columns, data.slice());
const copyModel = (model: Model) => Object.fromEntries(Object.entries(model).map(([k, v]) => [k, copy(v)])) as Model;
/** A model that gives one number at each place instead: a score, or what a critic expects. */
const createScorer = (model: Model): Model => ({ ...copyModel(model), head: random(size, 1, 0.02) });

/** The outputs at some places: each looks back at what stands before it (attention), then works on what it found. */
function run(model: Model, text: readonly number[], at: readonly number[]): Matrix {
  const all = add(takeRows(model.tokens, text), takeRows(model.places, [...text.keys()]));
  const [seen, n] = [normalize(all), text.length];
  const queries = matmul(takeRows(seen, at), model.query);
  const match = times(matmul(queries, transpose(matmul(seen, model.key))), size ** -0.5);
  const past = new Float64Array(at.length * n).map((_, i) => (i % n <= at[Math.floor(i / n)] ? 0 : -1e9));
  const attention = exp(logSoftmax(add(match, new Matrix(at.length, n, past))));
  let x = add(takeRows(all, at), matmul(matmul(attention, matmul(seen, model.value)), model.mix));
  x = add(x, matmul(relu(matmul(normalize(x), model.up)), model.down));
  return matmul(normalize(x), model.head);
}
/** A function that makes a loss smaller by a step of Adam (Kingma and Ba 2015). */
function adam(model: Model, rate: number): (loss: Matrix) => void {
  const state = Object.values(model).map((weight) => ({ weight, m: copy(weight).gradient, v: copy(weight).gradient }));
  let t = 0;
  return (loss) => {
    backward(loss);
    t++;
    for (const { weight, m, v } of state) {
      for (const [i, g] of weight.gradient.entries()) {
        m[i] = 0.9 * m[i] + 0.1 * g;
        v[i] = 0.99 * v[i] + 0.01 * g * g;
        weight.data[i] -= (rate * (m[i] / (1 - 0.9 ** t))) / (Math.sqrt(v[i] / (1 - 0.99 ** t)) + 1e-8);
      }
      weight.gradient.fill(0);
    }
  };
}
type Text = Record<'prompt' | 'completion', number[]>;
type Side = 'chosen' | 'rejected';
/** What a model gives at the places before each character of the completion. */
function atCompletion(model: Model, { prompt, completion }: Text): Matrix {
  const before = completion.map((_, i) => prompt.length - 1 + i);
  return run(model, [...prompt, ...completion], before);
}
const logProbs = (model: Model, text: Text) => pick(logSoftmax(atCompletion(model, text)), text.completion);
const scoreOf = (model: Model, { prompt, completion }: Text) =>
  run(model, [...prompt, ...completion], [prompt.length + completion.length - 1]); // where the text ends

function write(model: Model, prompt: number[]): Text {
  const completion: number[] = [];
  while (completion.at(-1) !== 0 && prompt.length + completion.length < longest) {
    const text = [...prompt, ...completion];
    const probabilities = exp(logSoftmax(run(model, text, [text.length - 1]))).data;
    let [next, left] = [0, uniform()];
    while (left >= probabilities[next] && next < letters.length - 1) left -= probabilities[next++];
    completion.push(next);
  }
  return { prompt, completion };
}

// ————— 4. A world: animals, demonstrations, and a reader who likes kind words —————

const many = <T>(count: number, f: () => T): T[] => Array.from({ length: count }, f);
const draw = <T>(list: readonly T[]): T => list[Math.floor(uniform() * list.length)];
const ask = () => encode(`the ${draw(['cat', 'dog', 'owl', 'fox'])} is `);
const word = () => draw(['kind', 'warm', 'calm', 'rude', 'cold', 'loud']);
const words = () => (uniform() < 0.5 ? word() : `${word()} and ${word()}`);
const demonstrate = (): Text => ({ prompt: ask(), completion: encode(`${words()}.\n`) });
/** What the reader likes. No model sees it: only choices are made from it, and the results measured. */
const truth = ({ completion }: Text) =>
  decode(completion).split(/kind|warm|calm/).length - decode(completion).split(/rude|cold|loud/).length;

/** What a policy's completions are worth to the reader, how far they are from the reference (KL, in nats), and two. */
function report(name: string, policy: Model, reference: Model): string {
  const texts = many(50, () => write(policy, ask()));
  const average = (f: (text: Text) => number) => (texts.reduce((s, text) => s + f(text), 0) / texts.length).toFixed(2);
  const distance = average((text) => sum(sub(logProbs(policy, text), logProbs(reference, text))).data[0]);
  const [first, second] = texts.map(({ prompt, completion }) => decode([...prompt, ...completion]).trim());
  return `${name.padEnd(10)} reader ${average(truth).padStart(5)}   KL ${distance}   “${first}” “${second}”`;
}

// ————— 5. The method —————

/** Learns all of it in order, and yields what it learns, line by line. */
export function* microrlhf(batch = 16): Generator<string> {
  seed = 1;
  const [beta, lambda, epsilon] = [0.2, 0.95, 0.2];

  // Supervised fine-tuning: become less surprised by each character of the demonstrations.
  const reference = createModel();
  yield report('untrained', reference, reference);
  const imitate = adam(reference, 0.01);
  for (let step = 0; step < 150; step++) {
    imitate(times(mean(stack(many(batch, () => logProbs(reference, demonstrate())))), -1));
  }
  yield report('SFT', reference, reference);

  // The reader compares two completions of a prompt, 300 times, and is less sure where they are nearly as good.
  const pairs = many(300, () => {
    const first = write(reference, ask());
    const second = write(reference, first.prompt);
    const firstWins = uniform() < sigmoid(3 * (truth(first) - truth(second)));
    return firstWins ? { chosen: first, rejected: second } : { chosen: second, rejected: first };
  });

  // A reward model: scores under which the reader would have chosen like this.
  const reward = createScorer(reference);
  const judge = adam(reward, 0.003);
  for (let step = 1; step <= 40; step++) {
    const drawn = many(batch, () => draw(pairs));
    const scores = (side: Side) => stack(drawn.map((pair) => scoreOf(reward, pair[side])));
    const loss = rewardLoss(scores('chosen'), scores('rejected'));
    judge(loss);
    if (step % 20 === 0) yield `reward ${step}  loss ${loss.data[0].toFixed(3)}; a coin has 0.693`;
  }

  // PPO: write, score, pay for distance, see what went better than expected, and make it likelier.
  const [policy, critic] = [copyModel(reference), copyModel(reward)];
  const [improve, expect] = [adam(policy, 0.002), adam(critic, 0.003)];
  for (let step = 1; step <= 24; step++) {
    const rollouts = many(batch, () => {
      const text = write(policy, ask());
      const [old, near] = [logProbs(policy, text).data, logProbs(reference, text).data];
      const rewards = old.map((logP, t) => -beta * (logP - near[t])); // the price of leaving the reference
      rewards[rewards.length - 1] += scoreOf(reward, text).data[0];
      const values = atCompletion(critic, text).data;
      const advantages = new Float64Array(rewards.length);
      for (let t = rewards.length - 1, later = 0; t >= 0; t--) {
        later = rewards[t] + (values[t + 1] ?? 0) - values[t] + lambda * later; // GAE (Schulman et al. 2016), γ = 1
        advantages[t] = later;
      }
      return { text, old, advantages, returns: advantages.map((a, t) => a + values[t]) };
    });
    const all = (part: 'old' | 'advantages' | 'returns') => column(rollouts.flatMap((rollout) => [...rollout[part]]));
    for (let epoch = 0; epoch < 2; epoch++) {
      const current = stack(rollouts.map(({ text }) => logProbs(policy, text)));
      improve(ppoLoss(current, all('old'), all('advantages'), epsilon));
      const missed = sub(stack(rollouts.map(({ text }) => atCompletion(critic, text))), all('returns'));
      expect(times(mean(mul(missed, missed)), 0.5));
    }
    if (step % 12 === 0) yield report(`PPO ${step}`, policy, reference);
  }

  // DPO: the same pairs, and no reward model.
  const direct = copyModel(reference);
  const prefer = adam(direct, 0.001);
  for (let step = 1; step <= 40; step++) {
    const drawn = many(batch, () => draw(pairs));
    const sums = (model: Model, side: Side) => stack(drawn.map((pair) => sum(logProbs(model, pair[side]))));
    const [chosen, rejected] = [sums(reference, 'chosen'), sums(reference, 'rejected')];
    prefer(dpoLoss(sums(direct, 'chosen'), sums(direct, 'rejected'), chosen, rejected, beta));
    if (step % 20 === 0) yield report(`DPO ${step}`, direct, reference);
  }
}

if (/microrlhf\.[jt]s$/.test(globalThis.process?.argv[1] ?? '')) for (const line of microrlhf()) console.log(line);
