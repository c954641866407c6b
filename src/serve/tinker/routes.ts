/** Tinker's API below /api/v1: docs/reference/tinker.md has the calls. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type Context, Hono } from 'hono';
import type { z } from 'zod';
import { readJson } from '../../http/bodies.ts';
import {
  decodeForwardBackwardRequest,
  encodeForwardBackwardOutput,
  encodeSampleResult,
  PROTOBUF,
} from '../../tinker/messages.ts';
import {
  type CheckpointKind,
  createModelSchema,
  createSamplingSessionSchema,
  createSessionSchema,
  type ForwardBackwardOutput,
  formatPath,
  forwardBackwardSchema,
  forwardSchema,
  loadWeightsSchema,
  modelRequestSchema,
  numberedSchema,
  optimStepSchema,
  parsePath,
  pathSchema,
  retrieveFutureSchema,
  type SampleResult,
  sampleSchema,
  saveForSamplerSchema,
  saveWeightsSchema,
  sessionRequestSchema,
} from '../../tinker/protocol.ts';
import { parseBody } from '../body.ts';
import { type Env, requestOf, requires, type ServeContext } from '../context.ts';
import { ApiError } from '../errors.ts';
import { type CheckpointCard, type CheckpointFile, openCheckpoints } from './checkpoints.ts';
import { createFutures } from './futures.ts';
import { lossSequences } from './loss.ts';
import { createSessions, type SamplingSession, type SessionModel } from './sessions.ts';

/** The routes of Tinker's API. */
export function tinkerRoutes(context: ServeContext): Hono<Env> {
  const { shelf, now, onNotice } = context;
  const sessions = createSessions(context);
  const checkpoints = openCheckpoints(join(context.folder, 'tinker'), now);
  const futures = createFutures(context.isDraining, (error) =>
    onNotice(`Tinker: ${error instanceof Error ? error.stack : error}`),
  );

  /** Accepts work, and returns the id of its result. A request that is sent again is the same. */
  const accept = (c: Context, id: string, begin: () => Promise<unknown>, more: object = {}) => {
    if (!futures.has(id)) futures.add(id, begin());
    return c.json({ request_id: id, ...more });
  };
  /** Accepts work on a model, in the order of its requests. */
  const acceptFor = (c: Context, { model_id, seq_id }: Numbered, work: Work) => {
    const model = sessions.model(model_id);
    const id = `${model_id}:${seq_id ? seq_id : randomUUID()}`;
    const begin = () => model.inOrder(seq_id, async () => work({ model, ...(await model.ready) }));
    return accept(c, id, begin, { model_id });
  };
  /** The checked body of a request on a model. A refused request takes its place in the order, too. */
  const numbered = <S extends z.ZodObject>(body: unknown, schema: S): z.output<S> => {
    try {
      return checked(body, schema);
    } catch (error) {
      const { success, data } = numberedSchema.safeParse(body);
      if (success && data.seq_id) void sessions.model(data.model_id).inOrder(data.seq_id, () => {});
      throw error;
    }
  };
  const cardOf = (model: SessionModel, { options }: Made['training'], request: Labeled): CheckpointCard => ({
    base: model.base,
    rank: options.rank,
    alpha: options.alpha,
    targets: options.targets && [...options.targets],
    trainAttention: model.lora.train_attn,
    trainMlp: model.lora.train_mlp,
    created: now(),
    expires: request.ttl_seconds ? now() + 1000 * request.ttl_seconds : undefined,
    labels: request.user_metadata ?? {},
  });
  const baseOf = (name: string) => {
    if (shelf.get(name)) return name;
    const names = shelf.list().map(({ name }) => name);
    throw new ApiError(404, `There is no base model "${name}". There are: ${names.join(', ')}.`, {
      param: 'base_model',
      code: 'model_not_found',
    });
  };
  const samplingFrom = (
    session: string,
    number: number,
    path: string | null | undefined,
    base: string | null | undefined,
  ) => {
    if (path == null && base == null) throw new ApiError(400, 'Pass a base_model, or a model_path.');
    if (path == null) return sessions.addSampling(session, number, { base: baseOf(base!) });
    const found = checkpoints.find(path, 'sampler_weights');
    return sessions.addSampling(session, number, {
      base: baseOf(found.card.base),
      path,
      load: ({ model }) => checkpoints.loadAdapters(found, model),
    });
  };
  const pass = (c: Context, request: z.output<typeof forwardBackwardSchema>) => {
    const { data, loss_fn, loss_fn_config } = request.forward_backward_input;
    return acceptFor(c, request, ({ training }) => {
      const sequences = lossSequences(data, loss_fn, loss_fn_config ?? {});
      return request.forward_only ? training.forward(sequences) : training.forwardBackward(sequences);
    });
  };
  const runOf = (id: string, files: readonly CheckpointFile[], model?: SessionModel) => {
    const last = (kind: CheckpointKind) => {
      const file = files.findLast((file) => file.kind === kind);
      return file ? checkpointOf(file) : null;
    };
    const card = files.at(-1)?.card;
    return {
      training_run_id: id,
      base_model: model?.base ?? card?.base ?? '',
      model_owner: 'heed',
      is_lora: true,
      lora_rank: model?.lora.rank ?? card?.rank,
      corrupted: false,
      last_request_time: new Date(model?.used ?? card?.created ?? 0).toISOString(),
      last_checkpoint: last('weights'),
      last_sampler_checkpoint: last('sampler_weights'),
      user_metadata: textsOf(model?.labels),
    };
  };
  const runs = () => {
    const files = checkpoints.list();
    const live = sessions.models();
    const ids = [...new Set([...files.map(({ model }) => model), ...live.map(({ id }) => id)])];
    return ids.map((id) =>
      runOf(
        id,
        files.filter(({ model }) => model === id),
        live.find((model) => model.id === id),
      ),
    );
  };

  return new Hono<Env>()
    .use(requires('train'))
    .get('/healthz', (c) => c.json({ status: 'ok' }))
    .post('/client/config', (c) => c.json({ pjwt_auth_enabled: false, proto_compress_fwdbwd: false }))
    .post('/client/dynamic_config', (c) => c.json({}))
    .post('/telemetry', (c) => c.json({ status: 'accepted' }))
    .get('/get_server_capabilities', (c) =>
      c.json({
        supported_models: shelf.list().map(({ name }) => ({ model_name: name, trainable: true, sampleable: true })),
      }),
    )

    .post('/create_session', async (c) => {
      await bodyOf(c, createSessionSchema);
      return c.json({ type: 'create_session', session_id: sessions.begin() });
    })
    .post('/session_heartbeat', async (c) => {
      sessions.find((await bodyOf(c, sessionRequestSchema)).session_id);
      return c.json({ type: 'session_heartbeat' });
    })
    .get('/sessions/:id', (c) => {
      const { models, samplers } = sessions.find(c.req.param('id'));
      return c.json({ training_run_ids: [...models.keys()], sampler_ids: [...samplers.keys()] });
    })

    .post('/create_model', async (c) => {
      const request = await bodyOf(c, createModelSchema);
      const model = sessions.addModel(request.session_id, request.model_seq_id, {
        base: baseOf(request.base_model),
        lora: request.lora_config,
        labels: request.user_metadata ?? {},
      });
      if (request.lora_config.train_unembed) {
        onNotice('Tinker: train_unembed is on, but the output layer gets no adapter here.');
      }
      const begin = async () => {
        await model.ready;
        return { type: 'create_model', model_id: model.id };
      };
      return accept(c, `${model.id}:0`, begin, { model_id: model.id });
    })
    .post('/get_info', async (c) => {
      const model = sessions.model((await bodyOf(c, modelRequestSchema)).model_id);
      const { served } = await model.ready;
      const { architecture: arch, folder } = served.model;
      return c.json({
        type: 'get_info',
        model_id: model.id,
        model_name: model.base,
        model_data: { arch, model_name: model.base, tokenizer_id: folder ?? model.base },
        is_lora: true,
        lora_rank: model.lora.rank,
      });
    })
    .post('/unload_model', async (c) => {
      const { model_id } = await bodyOf(c, modelRequestSchema);
      sessions.model(model_id)[Symbol.dispose]();
      return accept(c, randomUUID(), async () => ({ type: 'unload_model', model_id }));
    })

    .post('/forward_backward', async (c) => {
      const isBinary = c.req.header('content-type')?.startsWith(PROTOBUF);
      const body = isBinary
        ? decodeForwardBackwardRequest(new Uint8Array(await c.req.arrayBuffer()))
        : await readJson(c);
      return pass(c, numbered(body, forwardBackwardSchema));
    })
    .post('/forward', async (c) => {
      const { forward_input, ...rest } = numbered(await readJson(c), forwardSchema);
      return pass(c, { ...rest, forward_backward_input: forward_input, forward_only: true });
    })
    .post('/optim_step', async (c) => {
      const request = numbered(await readJson(c), optimStepSchema);
      return acceptFor(c, request, ({ training }) => ({ metrics: training.step(request.adam_params) }));
    })

    .post('/save_weights', async (c) => {
      const request = numbered(await readJson(c), saveWeightsSchema);
      return acceptFor(c, request, ({ model, training }) => {
        const at = { model: model.id, kind: 'weights' as const, name: request.path ?? `${now()}` };
        const card = cardOf(model, training, request);
        return { type: 'save_weights', path: checkpoints.saveState(at, card, training.save(), request.overwrite) };
      });
    })
    .post('/save_weights_for_sampler', async (c) => {
      const request = numbered(await readJson(c), saveForSamplerSchema);
      return acceptFor(c, request, async ({ model, training, served }) => {
        const type = 'save_weights_for_sampler';
        const { path: name, sampling_session_seq_id: number } = request;
        if (name == null && number != null) {
          return { type, sampling_session_id: (await sessions.addSnapshot(model, number)).id };
        }
        const at = { model: model.id, kind: 'sampler_weights' as const, name: name ?? `${now()}` };
        const adapters = { options: training.options, parameters: training.adapters };
        const card = cardOf(model, training, request);
        return { type, path: checkpoints.saveAdapters(at, card, served.model, adapters) };
      });
    })
    .post('/load_weights', async (c) => {
      const request = numbered(await readJson(c), loadWeightsSchema);
      const load = ({ training }: Pick<Made, 'training'>) =>
        training.load(checkpoints.loadState(checkpoints.find(request.path, 'weights')), request.optimizer);
      const loaded = (model_id: string) => ({ type: 'load_weights', path: request.path, model_id });
      if (request.session_id == null || request.model_seq_id == null) {
        const { model_id, seq_id } = request;
        if (model_id == null) throw new ApiError(400, 'Pass a model_id, or a session_id and a model_seq_id.');
        return acceptFor(c, { model_id, seq_id }, (made) => {
          load(made);
          return loaded(model_id);
        });
      }
      const { base, rank, trainAttention, trainMlp } = checkpoints.find(request.path, 'weights').card;
      const lora = { rank, train_attn: trainAttention, train_mlp: trainMlp, train_unembed: false };
      const model = sessions.addModel(
        request.session_id,
        request.model_seq_id,
        { base: baseOf(request.base_model ?? base), lora, labels: request.user_metadata ?? {} },
        (training) => load({ training }),
      );
      const begin = async () => {
        await model.ready;
        return loaded(model.id);
      };
      return accept(c, `${model.id}:0`, begin, { model_id: model.id });
    })
    .post('/weights_info', async (c) => {
      const { tinker_path } = await bodyOf(c, pathSchema);
      const { base, rank, trainAttention, trainMlp } = checkpoints.find(
        tinker_path,
        parsePath(tinker_path)?.kind ?? 'weights',
      ).card;
      const trained = { train_attn: trainAttention, train_mlp: trainMlp, train_unembed: false };
      return c.json({ base_model: base, is_lora: true, lora_rank: rank, ...trained });
    })

    .post('/create_sampling_session', async (c) => {
      const { session_id, sampling_session_seq_id, model_path, base_model } = await bodyOf(
        c,
        createSamplingSessionSchema,
      );
      const { id } = samplingFrom(session_id, sampling_session_seq_id, model_path, base_model);
      return c.json({ type: 'create_sampling_session', sampling_session_id: id });
    })
    .get('/samplers/:id', (c) => {
      const { id, base, path } = sessions.sampling(c.req.param('id'));
      return c.json({ sampler_id: id, base_model: base, model_path: path && parsePath(path) ? path : null });
    })
    .post('/asample', async (c) => {
      const request = await bodyOf(c, sampleSchema);
      const { sampling_session_id, model_path, base_model, seq_id, num_samples: count, sampling_params } = request;
      const sampling: SamplingSession =
        sampling_session_id != null
          ? sessions.sampling(sampling_session_id)
          : samplingFrom(sessions.begin(), 0, model_path, base_model);
      const { key } = requestOf(c);
      const prompt = request.prompt.chunks.flatMap(({ tokens }) => tokens);
      const promptLogprobs = request.prompt_logprobs ? (request.prompt_logprobs_last_n ?? prompt.length) : 0;
      const id = `${sampling.id}:${seq_id ?? randomUUID()}`;
      const begin = async () => {
        const sampler = await sampling.sampler();
        const result = await sampler.sample({ prompt, count, params: sampling_params, promptLogprobs });
        const completion_tokens = result.sequences.reduce((sum, { tokens }) => sum + tokens.length, 0);
        const total_tokens = prompt.length + completion_tokens;
        for (const hook of context.hooks.usage)
          await hook(key, { prompt_tokens: prompt.length, completion_tokens, total_tokens });
        return result;
      };
      return accept(c, id, begin, { sample_sequence_ids: Array.from({ length: count }, (_, i) => `${id}:${i}`) });
    })

    .post('/retrieve_future', async (c) => {
      const { request_id } = await bodyOf(c, retrieveFutureSchema);
      const outcome = await futures.retrieve(request_id);
      if (!outcome) return c.json({ type: 'try_again', request_id, queue_state: 'active' }, 408);
      if (outcome.kind === 'failed') return c.json({ error: outcome.error, category: outcome.category });
      const binary = c.req.header('accept')?.includes(PROTOBUF) ? binaryOf(outcome.value) : undefined;
      return binary ? c.body(binary, 200, { 'content-type': PROTOBUF }) : c.json(outcome.value as object);
    })

    .get('/training_runs', (c) => {
      const all = runs();
      const { offset, limit } = pageOf(c);
      const cursor = { offset, limit, total_count: all.length };
      return c.json({ training_runs: all.slice(offset, offset + limit), cursor });
    })
    .get('/training_runs/:id', (c) => {
      const id = c.req.param('id');
      const run = runs().find(({ training_run_id }) => training_run_id === id);
      if (!run) throw new ApiError(404, `There is no training run "${id}".`);
      return c.json(run);
    })
    .get('/training_runs/:id/checkpoints', (c) =>
      c.json({ checkpoints: checkpoints.list(c.req.param('id')).map(checkpointOf) }),
    )
    .delete('/training_runs/:id/checkpoints/:kind/:name', (c) => {
      const { id, kind, name } = c.req.param();
      const path = formatPath({ model: id, kind: kind as CheckpointKind, name });
      checkpoints.remove(checkpoints.find(path, kind as CheckpointKind));
      return c.body(null, 204);
    })
    .get('/checkpoints', (c) => c.json({ checkpoints: checkpoints.list().map(checkpointOf) }));
}

type Made = Awaited<SessionModel['ready']>;
type Work = (made: Made & { model: SessionModel }) => unknown;
type Numbered = z.output<typeof numberedSchema>;
type Labeled = { ttl_seconds?: number | null; user_metadata?: Record<string, unknown> | null };

/** The body of a request in JSON. */
const bodyOf = async <S extends z.ZodObject>(c: Context, schema: S): Promise<z.output<S>> =>
  checked(await readJson(c), schema);

/** A checked body. A parameter that this server has not may be there while it is off: clients send all of theirs. */
function checked<S extends z.ZodObject>(body: unknown, schema: S): z.output<S> {
  if (typeof body !== 'object' || body === null) return parseBody(schema, body);
  const isOff = (value: unknown) => !value || (Array.isArray(value) && value.length === 0);
  const known = Object.entries(body).filter(([name, value]) => name in schema.shape || !isOff(value));
  return parseBody(schema, Object.fromEntries(known));
}

/** A result as Protocol Buffers, if it is one of those. */
function binaryOf(value: unknown): Uint8Array<ArrayBuffer> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if ('loss_fn_outputs' in value) return encodeForwardBackwardOutput(value as ForwardBackwardOutput);
  return 'sequences' in value ? encodeSampleResult(value as SampleResult) : undefined;
}

const checkpointOf = (file: CheckpointFile) => ({
  checkpoint_id: `${file.kind}/${file.name}`,
  checkpoint_type: file.kind === 'weights' ? 'training' : 'sampler',
  time: new Date(file.card.created).toISOString(),
  tinker_path: formatPath(file),
  size_bytes: file.size,
  public: false,
  user_metadata: textsOf(file.card.labels),
  expires_at: file.card.expires === undefined ? null : new Date(file.card.expires).toISOString(),
});

const textsOf = (labels: Record<string, unknown> = {}) =>
  Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)]));

const pageOf = (c: Context) => {
  const number = (name: string, otherwise: number) => {
    const value = Number(c.req.query(name) ?? otherwise);
    return Number.isInteger(value) && value >= 0 ? value : otherwise;
  };
  return { offset: number('offset', 0), limit: number('limit', 20) };
};
