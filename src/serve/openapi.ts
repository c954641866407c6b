/** The server's HTTP interface as an OpenAPI 3.1 document, from what its routes declare. */
import type { RouterRoute } from 'hono/types';
import { z } from 'zod';
import { errorResponse, operationPaths, operationsOf } from '../http/operations.ts';

/** Builds the document of an app's routes. */
export function openApi(routes: readonly RouterRoute[]): object {
  const paths = operationPaths(operationsOf(routes), ({ scope }) => ({
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

/** To readBody, an optional field of a body that is null counts as one that is left out. */
function withNulls(paths: Record<string, Record<string, object>>): typeof paths {
  for (const route of Object.values(paths).flatMap(Object.values)) {
    addNulls(route.requestBody?.content['application/json']?.schema ?? {});
  }
  return paths;
}

function addNulls({ properties = {}, required = [], items, anyOf = [], oneOf = [] }: JsonSchema): void {
  const inside = [...Object.values(properties), ...(items ? [items] : []), ...anyOf, ...oneOf];
  for (const part of inside) addNulls(part);
  for (const [name, schema] of Object.entries(properties)) {
    if (!required.includes(name)) properties[name] = { anyOf: [schema, { type: 'null' }] };
  }
}

/** The parts of a JSON Schema in which fields are found. */
interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  type?: string;
}
