/** Tinker's API below /api/v1: docs/reference/tinker.md has the calls. */
import { join } from 'node:path';
import { Hono } from 'hono';
import { encodeForwardBackwardOutput, encodeSampleResult, PROTOBUF } from '../../tinker/messages.ts';
import {
  createSessionSchema,
  type ForwardBackwardOutput,
  retrieveFutureSchema,
  type SampleResult,
  sessionRequestSchema,
} from '../../tinker/protocol.ts';
import { type Env, requires, type ServeContext } from '../context.ts';
import { openCheckpoints } from './checkpoints.ts';
import { createFutures } from './futures.ts';
import { bodyOf, type TinkerParts } from './requests.ts';
import { trainingRunRoutes } from './run-routes.ts';
import { samplingRoutes } from './sampling-routes.ts';
import { createSessions } from './sessions.ts';
import { stepRoutes, trainableRoutes } from './training-routes.ts';
import { weightRoutes } from './weight-routes.ts';

/** The routes of Tinker's API. */
export function tinkerRoutes(context: ServeContext): Hono<Env> {
  const { clock, onNotice } = context;
  const parts: TinkerParts = {
    context,
    sessions: createSessions(context),
    checkpoints: openCheckpoints(join(context.folder, 'tinker'), clock),
    futures: createFutures(context.isDraining, (error) =>
      onNotice(`Tinker: ${error instanceof Error ? error.stack : error}`),
    ),
  };
  return new Hono<Env>()
    .use(requires('train'))
    .route('/', sessionRoutes(parts))
    .route('/', trainableRoutes(parts))
    .route('/', stepRoutes(parts))
    .route('/', weightRoutes(parts))
    .route('/', samplingRoutes(parts))
    .route('/', futureRoutes(parts))
    .route('/', trainingRunRoutes(parts));
}

/** What clients ask first, and their sessions. */
const sessionRoutes = ({ context: { shelf }, sessions }: TinkerParts): Hono<Env> =>
  new Hono<Env>()
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
    });

/** Results of accepted work. */
const futureRoutes = ({ futures }: TinkerParts): Hono<Env> =>
  new Hono<Env>().post('/retrieve_future', async (c) => {
    const { request_id } = await bodyOf(c, retrieveFutureSchema);
    const outcome = await futures.retrieve(request_id);
    if (!outcome) return c.json({ type: 'try_again', request_id, queue_state: 'active' }, 408);
    if (outcome.kind === 'failed') return c.json({ error: outcome.error, category: outcome.category });
    const binary = c.req.header('accept')?.includes(PROTOBUF) ? binaryOf(outcome.value) : undefined;
    return binary ? c.body(binary, 200, { 'content-type': PROTOBUF }) : c.json(outcome.value as object);
  });

/** A result as Protocol Buffers, if it is one of those. */
function binaryOf(value: unknown): Uint8Array<ArrayBuffer> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if ('loss_fn_outputs' in value) return encodeForwardBackwardOutput(value as ForwardBackwardOutput);
  return 'sequences' in value ? encodeSampleResult(value as SampleResult) : undefined;
}
