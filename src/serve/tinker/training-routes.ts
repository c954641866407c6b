/** Routes of Tinker's API that make models and train them. */
import { randomUUID } from 'node:crypto';
import { type Context, Hono } from 'hono';
import type { z } from 'zod';
import { readJsonBody } from '../../http/bodies.ts';
import { decodeForwardBackwardRequest, PROTOBUF } from '../../tinker/messages.ts';
import {
  createModelSchema,
  forwardBackwardSchema,
  forwardSchema,
  modelRequestSchema,
  optimStepSchema,
} from '../../tinker/protocol.ts';
import type { Env } from '../context.ts';
import { lossSequences } from './loss.ts';
import { accept, acceptFor, baseOf, bodyOf, numbered, type TinkerParts } from './requests.ts';

/** The routes that make a model, say what it is, and unload it. */
export const trainableRoutes = (parts: TinkerParts): Hono<Env> => {
  const {
    context: { onNotice },
    sessions,
  } = parts;
  return new Hono<Env>()
    .post('/create_model', async (c) => {
      const request = await bodyOf(c, createModelSchema);
      const model = sessions.addModel(request.session_id, request.model_seq_id, {
        base: baseOf(parts, request.base_model),
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
      return accept(parts, c, { id: `${model.id}:0`, begin, model_id: model.id });
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
      return accept(parts, c, { id: randomUUID(), begin: async () => ({ type: 'unload_model', model_id }) });
    });
};

/** The routes that compute gradients, and make steps. */
export const stepRoutes = (parts: TinkerParts): Hono<Env> =>
  new Hono<Env>()
    .post('/forward_backward', async (c) => {
      const isBinary = c.req.header('content-type')?.startsWith(PROTOBUF);
      const body = isBinary
        ? decodeForwardBackwardRequest(new Uint8Array(await c.req.arrayBuffer()))
        : await readJsonBody(c);
      return pass(parts, c, numbered(parts, body, forwardBackwardSchema));
    })
    .post('/forward', async (c) => {
      const { forward_input, ...rest } = numbered(parts, await readJsonBody(c), forwardSchema);
      return pass(parts, c, { ...rest, forward_backward_input: forward_input, forward_only: true });
    })
    .post('/optim_step', async (c) => {
      const request = numbered(parts, await readJsonBody(c), optimStepSchema);
      return acceptFor(parts, c, request, ({ training }) => ({ metrics: training.step(request.adam_params) }));
    });

function pass(parts: TinkerParts, c: Context, request: z.output<typeof forwardBackwardSchema>) {
  const { data, loss_fn, loss_fn_config } = request.forward_backward_input;
  return acceptFor(parts, c, request, ({ training }) => {
    const sequences = lossSequences(data, loss_fn, loss_fn_config ?? {});
    return request.forward_only ? training.forward(sequences) : training.forwardBackward(sequences);
  });
}
