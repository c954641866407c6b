/**
 * A client of Tinker's API: the loop runs here, the model is there. It speaks to `heed serve --tinker` and to every
 * other server of the protocol.
 *
 *     using tinker = await createTinkerClient({ url: 'http://127.0.0.1:7420' });
 *     const model = await tinker.createModel('reviews-base', { rank: 8 });
 *     const sampler = await model.sampler();
 *     const { sequences } = await sampler.sample(prompt, { count: 4, maxTokens: 16 });
 *     const data = sequences.map(({ tokens, logprobs }) =>
 *       completionDatum(prompt, tokens, { logprobs, advantages: reward(tokens) }));
 *     const pass = model.forwardBackward(data, 'importance_sampling');
 *     await model.step({ learningRate: 1e-4 });
 *     const { loss } = await pass;
 */
import { HeedError } from '../error.ts';
import { env } from '../node.ts';
import { type Connection, type ConnectionOptions, connect, passOf, samplesOf, TinkerError } from './connection.ts';
import { type Datum, wireDatum } from './datum.ts';
import { encodeForwardBackwardRequest } from './messages.ts';
import type { ForwardBackwardOutput, ForwardBackwardRequest } from './protocol.ts';

/** Options of `createTinkerClient`. */
export interface TinkerOptions extends Omit<ConnectionOptions, 'url'> {
  /** The server's address; by default the environment's TINKER_BASE_URL. */
  url?: string;
  /** The client's own labels of the session. */
  labels?: Readonly<Record<string, string>>;
}

/** The losses that every server of the protocol has; some have more. */
export type TinkerLoss = 'cross_entropy' | 'importance_sampling' | 'ppo' | (string & {});

/** The adapters of a new model. */
export interface AdapterOptions {
  /** Rank of the adapters; 32 by default. */
  rank?: number;
  /** Seed of their first weights. */
  seed?: number;
  /** Whether linear layers of the attention get adapters; they do by default. */
  attention?: boolean;
  /** Whether those of the feed-forward parts do; they do by default. */
  feedForward?: boolean;
  /** Whether the output layer does, on servers that can; not by default. */
  output?: boolean;
  /** The client's own labels. */
  labels?: Readonly<Record<string, string>>;
}

/** What a forward or backward pass results in. */
export interface PassResult {
  /** The sum of the loss over all tokens. */
  loss: number;
  /** log π of each datum's targets. */
  logprobs: number[][];
  /** All metrics of the server, by name. */
  metrics: Record<string, number>;
}

/** Settings of a step of AdamW. */
export interface StepOptions {
  /** Learning rate; 1e-4 by default. */
  learningRate?: number;
  /** Shares of the first and the second moment that stay; [0.9, 0.95] by default. */
  betas?: readonly [number, number];
  /** Added to the root of the second moment; 1e-12 by default. */
  epsilon?: number;
  /** Decoupled weight decay; 0 by default. */
  weightDecay?: number;
  /** Maximum norm of the gradients; 0, the default: no limit. */
  maxGradientNorm?: number;
}

/** How to save a checkpoint. */
export interface KeepOptions {
  /** Seconds after which the server deletes it, from an hour on; by default it stays. */
  seconds?: number;
  /** Replaces one of the same name. */
  overwrite?: boolean;
}

/** A model that is trained there. Requests are sent in order; each result comes on its own. */
export interface TinkerModel {
  /** Its id. */
  readonly id: string;
  /** Adds the gradients of a loss to those since the last step. The loss is a sum over all tokens. */
  forwardBackward(data: readonly Datum[], loss: TinkerLoss, config?: LossConfig): Promise<PassResult>;
  /** The same without gradients. */
  forward(data: readonly Datum[], loss: TinkerLoss, config?: LossConfig): Promise<PassResult>;
  /**
   * The gradients of a loss that is computed here, from log π of each datum's targets. It returns the loss and its
   * derivative by each log π. Takes two passes.
   */
  forwardBackwardCustom(data: readonly Datum[], loss: CustomLoss): Promise<PassResult>;
  /** Applies the gradients by AdamW, and forgets them. Returns the server's metrics. */
  step(options?: StepOptions): Promise<Record<string, number>>;
  /** A sampler of the weights as they are now. */
  sampler(): Promise<TinkerSampler>;
  /** Saves weights and optimizer. Returns the path to load them by. */
  save(name: string, options?: KeepOptions): Promise<string>;
  /** Saves the weights to sample from. Returns the path for `client.sampler`. */
  saveForSampler(name: string, options?: Pick<KeepOptions, 'seconds'>): Promise<string>;
  /** Frees the server's memory. The model cannot be used afterwards. */
  unload(): Promise<void>;
}

/** A loss's own settings, such as `clip_low_threshold` of `ppo`. */
export type LossConfig = Readonly<Record<string, number | string>>;

/** A loss that is computed here: from log π of each datum's targets to the loss and its derivatives by them. */
export type CustomLoss = (logprobs: readonly (readonly number[])[]) => {
  loss: number;
  gradients: readonly ArrayLike<number>[];
};

/** How completions are drawn. */
export interface SampleOptions {
  /** Number of completions; 1 by default. */
  count?: number;
  /** Maximum number of tokens; by default as many as the model has room for. */
  maxTokens?: number;
  /** Divides the logits; 1 by default. */
  temperature?: number;
  /** Draw from the k likeliest tokens; 0, the default: from all. */
  topK?: number;
  /** Draw from the likeliest tokens whose probabilities sum to this; 1 by default. */
  topP?: number;
  /** Seed; a new one by default. */
  seed?: number;
  /** Texts or tokens that end a completion; by default the model's own. */
  stop?: string | readonly string[] | readonly number[];
  /** Also return log p of the prompt's tokens. */
  promptLogprobs?: boolean;
}

/** Completions of a prompt. */
export interface SampledCompletions {
  /** The completions: tokens, log p of each, and whether it ended by itself. */
  sequences: { tokens: number[]; logprobs: number[]; finish: 'stop' | 'length' }[];
  /** log p of each token of the prompt, null for the first; only if asked for. */
  promptLogprobs?: (number | null)[];
}

/** Samples from weights that stay as they are. */
export interface TinkerSampler {
  /** Its id. */
  readonly id: string;
  /** Completions of a prompt. */
  sample(prompt: ArrayLike<number>, options?: SampleOptions): Promise<SampledCompletions>;
  /** log p of each token, null for the first. */
  logprobs(tokens: ArrayLike<number>): Promise<(number | null)[]>;
}

/** A client. Dispose of it to end its sign of life, and the requests under way. */
export interface TinkerClient extends Disposable {
  /** Makes adapters to train on a base model. */
  createModel(base: string, options?: AdapterOptions): Promise<TinkerModel>;
  /** A model from a checkpoint that `save` wrote; with its optimizer, unless that is left out. */
  loadModel(path: string, options?: { optimizer?: boolean }): Promise<TinkerModel>;
  /** A sampler of a base model, or of a checkpoint (`tinker://…`). */
  sampler(baseOrPath: string): Promise<TinkerSampler>;
}

const HEARTBEAT = 10_000; // ms
const FIRST_PATIENCE = 5000; // ms
const REQUEST_DATA = 1024; // of these and
const REQUEST_BYTES = 5e6; // of these, at most

/**
 * Begins a session with a server of Tinker's API.
 *
 * @throws HeedError if the server cannot be reached, and TinkerError if it refuses.
 */
export async function createTinkerClient(options: TinkerOptions = {}): Promise<TinkerClient> {
  const { url = env.TINKER_BASE_URL, key = env.TINKER_API_KEY, labels = {} } = options;
  if (!url) throw new HeedError('A client of Tinker needs an address.', { hint: 'Pass url, or set TINKER_BASE_URL.' });
  const ended = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, ended.signal]) : ended.signal;
  const connection = connect({ ...options, url, key, signal });
  // a wrong address shows at once
  const patience = Math.min(options.patience ?? Number.POSITIVE_INFINITY, FIRST_PATIENCE);
  const first = connect({ ...options, url, key, signal, patience });
  const { session_id } = (await first.post('/create_session', {
    tags: [],
    user_metadata: labels,
    sdk_version: 'heed',
    type: 'create_session',
  })) as { session_id: string };
  const heart = setInterval(() => {
    connection.post('/session_heartbeat', { session_id }).catch(() => {});
  }, HEARTBEAT);
  (heart as { unref?: () => void }).unref?.();
  let [models, samplers] = [0, 0];
  const context: Session = { connection, session: session_id, nextSampler: () => samplers++, wire: { binary: true } };

  return {
    async createModel(base, { rank = 32, seed, attention = true, feedForward = true, output = false, labels } = {}) {
      const { request_id } = (await connection.post('/create_model', {
        session_id,
        model_seq_id: models++,
        base_model: base,
        lora_config: { rank, seed, train_attn: attention, train_mlp: feedForward, train_unembed: output },
        user_metadata: labels,
        type: 'create_model',
      })) as Accepted;
      const { model_id } = (await connection.result(request_id)) as { model_id: string };
      return modelOf(context, model_id);
    },
    async loadModel(path, { optimizer = true } = {}) {
      const number = models++;
      const { request_id } = (await connection.post('/load_weights', {
        session_id,
        path,
        optimizer,
        model_seq_id: number,
        type: 'load_weights',
      })) as Accepted;
      const { model_id } = (await connection.result(request_id)) as { model_id?: string };
      return modelOf(context, model_id ?? `${session_id}:train:${number}`);
    },
    async sampler(baseOrPath) {
      const { sampling_session_id } = (await connection.post('/create_sampling_session', {
        session_id,
        sampling_session_seq_id: context.nextSampler(),
        [baseOrPath.startsWith('tinker://') ? 'model_path' : 'base_model']: baseOrPath,
        type: 'create_sampling_session',
      })) as { sampling_session_id: string };
      return samplerOf(connection, sampling_session_id);
    },
    [Symbol.dispose]() {
      clearInterval(heart);
      ended.abort();
    },
  };
}

type Accepted = { request_id: string };

interface Session {
  connection: Connection;
  session: string;
  nextSampler(): number;
  /** Whether the server reads passes as Protocol Buffers; older ones read JSON. */
  wire: { binary: boolean };
}

/** Sends a model's requests in order; each result comes on its own. */
function createRequests({ connection, wire }: Session, id: string) {
  let sequence = 0;
  let last: Promise<unknown> = Promise.resolve();
  /** Sends a request after those before it; its result comes later. */
  const submit = (send: (seq_id: number) => Promise<unknown>): Promise<unknown> => {
    const number = ++sequence;
    const sent = last.then(() => send(number));
    last = sent.catch(() => {});
    return sent.then((accepted) => connection.result((accepted as Accepted).request_id));
  };
  const call = (path: string, body: object) =>
    submit((seq_id) => connection.post(path, { ...body, model_id: id, seq_id }));
  const sendPass = async (request: ForwardBackwardRequest): Promise<unknown> => {
    if (wire.binary) {
      try {
        return await connection.post('/forward_backward', encodeForwardBackwardRequest(request));
      } catch (error) {
        // what reads JSON only refuses bytes as no JSON; what the request itself gets wrong is refused again
        if (!(error instanceof TinkerError) || ![400, 415, 422].includes(error.status)) throw error;
      }
    }
    const { forward_only, forward_backward_input, ...rest } = request;
    const accepted = await (forward_only
      ? connection.post('/forward', { ...rest, forward_input: forward_backward_input })
      : connection.post('/forward_backward', { ...rest, forward_backward_input }));
    wire.binary = false;
    return accepted;
  };
  const pass = async (
    data: readonly Datum[],
    loss: TinkerLoss,
    config: LossConfig | undefined,
    forward_only: boolean,
  ) => {
    const parts = partsOf(data).map(async (part) =>
      passOf(
        await submit((seq_id) =>
          sendPass({
            model_id: id,
            seq_id,
            forward_only,
            forward_backward_input: { data: part.map(wireDatum), loss_fn: loss, loss_fn_config: config },
          }),
        ),
      ),
    );
    return passResult(await Promise.all(parts));
  };
  return {
    call,
    pass,
    /** Resolves when all requests so far were sent. */
    sent: () => last,
  };
}

function modelOf(session: Session, id: string): TinkerModel {
  const { connection, nextSampler } = session;
  const { call, pass, sent } = createRequests(session, id);
  return {
    id,
    forwardBackward: (data, loss, config) => pass(data, loss, config, false),
    forward: (data, loss, config) => pass(data, loss, config, true),
    async forwardBackwardCustom(data, loss) {
      const targets = (datum: Datum, weights: ArrayLike<number>) => ({
        tokens: datum.tokens,
        inputs: { target_tokens: datum.inputs.target_tokens, weights },
      });
      const none = data.map((datum) => targets(datum, new Float32Array(datum.tokens.length)));
      const { logprobs } = await pass(none, 'cross_entropy', undefined, true);
      const { loss: value, gradients } = loss(logprobs);
      const linear = data.map((datum, i) =>
        targets(
          datum,
          Array.from(gradients[i], (gradient) => -gradient),
        ),
      );
      return { ...(await pass(linear, 'cross_entropy', undefined, false)), loss: value };
    },
    async step({ learningRate, betas: [beta1, beta2] = [0.9, 0.95], epsilon, weightDecay, maxGradientNorm } = {}) {
      const adam_params = {
        learning_rate: learningRate ?? 1e-4,
        beta1,
        beta2,
        eps: epsilon ?? 1e-12,
        weight_decay: weightDecay ?? 0,
        grad_clip_norm: maxGradientNorm ?? 0,
      };
      const { metrics } = (await call('/optim_step', { adam_params, type: 'optim_step' })) as {
        metrics?: Record<string, number>;
      };
      return metrics ?? {};
    },
    async sampler() {
      const body = { sampling_session_seq_id: nextSampler(), kind: 'snapshot', type: 'save_weights_for_sampler' };
      const { sampling_session_id } = (await call('/save_weights_for_sampler', body)) as {
        sampling_session_id: string;
      };
      return samplerOf(connection, sampling_session_id);
    },
    save: (name, { seconds, overwrite = false } = {}) =>
      pathOf(call('/save_weights', { path: name, ttl_seconds: seconds, overwrite, type: 'save_weights' })),
    saveForSampler: (name, { seconds } = {}) =>
      pathOf(call('/save_weights_for_sampler', { path: name, ttl_seconds: seconds, type: 'save_weights_for_sampler' })),
    async unload() {
      await sent();
      const { request_id } = (await connection.post('/unload_model', {
        model_id: id,
        type: 'unload_model',
      })) as Accepted;
      await connection.result(request_id);
    },
  };
}

const pathOf = async (result: Promise<unknown>) => ((await result) as { path: string }).path;

function samplerOf(connection: Connection, id: string): TinkerSampler {
  let sequence = 0;
  const sample: TinkerSampler['sample'] = async (prompt, options = {}) => {
    const { count = 1, maxTokens, temperature = 1, topK = 0, topP = 1, seed, stop, promptLogprobs } = options;
    const { request_id } = (await connection.post('/asample', {
      sampling_session_id: id,
      seq_id: sequence++,
      num_samples: count,
      prompt: { chunks: [{ type: 'encoded_text', tokens: Array.from(prompt) }] },
      sampling_params: { max_tokens: maxTokens, temperature, top_k: topK || -1, top_p: topP, seed, stop },
      prompt_logprobs: promptLogprobs,
      type: 'sample',
    })) as Accepted;
    const { sequences, prompt_logprobs } = samplesOf(await connection.result(request_id));
    return {
      sequences: sequences.map(({ tokens, logprobs = [], stop_reason: finish }) => ({ tokens, logprobs, finish })),
      ...(prompt_logprobs && { promptLogprobs: prompt_logprobs }),
    };
  };
  return {
    id,
    sample,
    async logprobs(tokens) {
      const { promptLogprobs } = await sample(tokens, { maxTokens: 1, promptLogprobs: true });
      return promptLogprobs!;
    },
  };
}

/** Data in requests that servers accept. */
function partsOf(data: readonly Datum[]): Datum[][] {
  const parts: Datum[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const datum of data) {
    const size = 8 * datum.tokens.length * (1 + Object.keys(datum.inputs).length);
    if (bytes + size > REQUEST_BYTES || parts.at(-1)!.length === REQUEST_DATA) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(datum);
    bytes += size;
  }
  if (parts.length === 0) throw new HeedError('A pass needs data.');
  return parts;
}

/** The results of the parts together. A metric's name says how: `loss:sum`, `tokens:mean`. */
function passResult(parts: readonly ForwardBackwardOutput[]): PassResult {
  const sizes = parts.map(({ loss_fn_outputs }) => loss_fn_outputs.length);
  const all = sizes.reduce((a, b) => a + b, 0);
  const metrics = Object.fromEntries(
    Object.keys(parts[0].metrics).map((name) => {
      const values = parts.map(({ metrics }) => metrics[name]);
      const how = name.split(':').at(-1);
      if (how === 'sum') return [name, values.reduce((a, b) => a + b, 0)];
      if (how === 'mean') return [name, values.reduce((sum, value, i) => sum + (value * sizes[i]) / all, 0)];
      if (how === 'min') return [name, Math.min(...values)];
      return [name, how === 'max' ? Math.max(...values) : values[0]];
    }),
  );
  const logprobs = parts.flatMap(({ loss_fn_outputs }) => loss_fn_outputs.map(({ logprobs }) => logprobs?.data ?? []));
  return { loss: metrics['loss:sum'] ?? Number.NaN, logprobs, metrics };
}
