/** The server's HTTP interface as an OpenAPI 3.1 document, from the schemas that the server itself uses. */
import { z } from 'zod';
import { errorResponse, operationPaths } from '../http/operations.ts';
import { chatRequestSchema, textRequestSchema } from './completions/schema.ts';
import { storedChangeSchema, storedListSchema, storedMessagesSchema } from './completions/stored.ts';
import type { ServeOperation } from './context.ts';
import { feedbackSchema } from './feedback/feedback.ts';
import { fileOperations } from './files/routes.ts';
import { fineTuningOperations } from './fine-tuning/routes.ts';
import { graderOperations } from './graders/routes.ts';
import { responseOperations } from './responses/routes.ts';

/** Every route, by method and path. Parts add theirs. */
export const operations: Record<string, ServeOperation> = {
  ...fileOperations,
  ...fineTuningOperations,
  ...graderOperations,
  ...responseOperations,
  'GET /health': { summary: 'Whether the server lives' },
  'GET /ready': { summary: 'Whether the server takes requests' },
  'GET /metrics': { summary: 'Counts in the text format of Prometheus', scope: 'admin', types: ['text/plain'] },
  'GET /openapi.json': { summary: 'This document', scope: 'chat' },
  'GET /v1/models': { summary: 'The models', scope: 'chat' },
  'GET /v1/models/:model': { summary: 'A model', scope: 'chat' },
  'DELETE /v1/models/:model': { summary: 'Remove a model that was trained', scope: 'train' },
  'POST /v1/chat/completions': {
    summary: 'Complete a conversation',
    scope: 'chat',
    body: chatRequestSchema,
    types: ['application/json', 'text/event-stream'],
  },
  'GET /v1/chat/completions': { summary: 'Stored completions', scope: 'chat', query: storedListSchema },
  'GET /v1/chat/completions/:id': { summary: 'A stored completion', scope: 'chat' },
  'GET /v1/chat/completions/:id/messages': {
    summary: 'The messages of a stored completion',
    scope: 'chat',
    query: storedMessagesSchema,
  },
  'POST /v1/chat/completions/:id': {
    summary: 'Change the metadata of a stored completion',
    scope: 'chat',
    body: storedChangeSchema,
  },
  'DELETE /v1/chat/completions/:id': { summary: 'Delete a stored completion', scope: 'chat' },
  'POST /v1/completions': {
    summary: 'Continue a text',
    scope: 'chat',
    body: textRequestSchema,
    types: ['application/json', 'text/event-stream'],
  },
  'POST /v1/feedback': { summary: 'Say how good a completion is; by key, or by feedback token', body: feedbackSchema },
  'GET /v1/feedback.js': { summary: 'A script for pages, with buttons for feedback', types: ['text/javascript'] },
  'GET /v1/versions': { summary: 'The versions that were trained from feedback', scope: 'train' },
  'GET /v1/versions/:id': { summary: 'A version', scope: 'train' },
  'POST /v1/versions/:id/rollback': { summary: 'Take a version back', scope: 'admin' },
  'GET /versions': { summary: 'A page with the versions', types: ['text/html'] },
  'POST /versions': {
    summary: 'Take a version back, by the form of the page',
    body: z.object({ id: z.string() }),
    bodyType: 'application/x-www-form-urlencoded',
    types: ['text/html'],
  },
  'POST /v1/embeddings': { summary: 'Goes on to the provider, if there is one', scope: 'chat' },
  'POST /v1/moderations': { summary: 'Goes on to the provider, if there is one', scope: 'chat' },
  'DELETE /v1/users/:user/data': { summary: 'Delete what the server has of an end user', scope: 'admin' },
};

/** Builds the document. */
export function openApi(): object {
  const paths = operationPaths(operations, ({ scope }) => ({
    ...(scope && { description: `Needs a key with the scope ${scope} or admin.` }),
    security: scope ? [{ key: [] }] : [],
  }));
  const error = z.object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  });
  return {
    openapi: '3.1.0',
    info: { title: 'heed serve', version: '1', description: 'Language models by OpenAI’s API.' },
    paths: withNulls(paths),
    components: {
      responses: errorResponse('What is wrong.', error),
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'A key of heed serve keys.' } },
    },
  };
}

/** To readBody, a field of a body that is null counts as one that is left out. */
function withNulls(paths: Record<string, Record<string, object>>): typeof paths {
  for (const route of Object.values(paths).flatMap(Object.values)) {
    const { properties = {}, required = [] } = route.requestBody?.content['application/json']?.schema ?? {};
    for (const [name, schema] of Object.entries(properties)) {
      if (!required.includes(name)) properties[name] = { anyOf: [schema, { type: 'null' }] };
    }
  }
  return paths;
}
