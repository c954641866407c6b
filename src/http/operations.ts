/**
 * Routes declare what they take and return where they are written, and a server's OpenAPI 3.1 document is made from its
 * routes: what the documents of heed's servers share.
 */
import type { RouterRoute } from 'hono/types';
import { z } from 'zod';

/** What a document says about one route. */
export interface Operation<Scope extends string = string> {
  /** What it does, in a few words. */
  summary: string;
  /** The body of a request. */
  body?: z.ZodType;
  /** Content type of the request's body; JSON by default. */
  bodyType?: string;
  /** The query of a request. */
  query?: z.ZodObject;
  /** The JSON of a response; of any shape if there is none. */
  response?: z.ZodType;
  /** Content types of a response; JSON alone by default. */
  types?: readonly string[];
  /** The status of a response, if it is not 200. */
  status?: 201;
  /** The scope that a key needs for it. */
  scope?: Scope;
}

/** Who may use a route. */
export interface OperationAccess {
  /** What a person reads about it. */
  description?: string;
  /** OpenAPI's security requirements; none for a route that is open to everybody. */
  security: readonly object[];
}

const JSON_TYPE = 'application/json';
const declared = new WeakMap<object, Partial<Operation>>();

/** Makes a document describe the routes of a handler, or in part those that a middleware stands before. */
export function declare<H extends object, O extends Partial<Operation>>(handler: H, operation: O): H {
  declared.set(handler, operation);
  return handler;
}

/** The operations that an app's routes declare, by method and path, such as `GET /runs/:run`. */
export function operationsOf(routes: readonly RouterRoute[]): Record<string, Operation> {
  const found: Record<string, Operation> = {};
  for (const { method, path, handler } of routes) {
    const [route, operation] = [`${method} ${path.replace('{.+}', '')}`, declared.get(handler)];
    if (operation) found[route] = { ...found[route], ...operation } as Operation;
  }
  return found;
}

/** JSON Schema of a body or a response, as a document has it. */
export const schemaOf = (schema: z.ZodType, io: 'input' | 'output') => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
};

/**
 * The `paths` of a document, from operations by method and path, such as `GET /runs/:run`. Paths begin with `base`.
 * Every operation refers to the response `error` of the document's components.
 */
export function operationPaths<O extends Operation>(
  operations: Readonly<Record<string, O>>,
  accessOf: (operation: O, method: string) => OperationAccess,
  base = '',
): Record<string, Record<string, object>> {
  const paths: Record<string, Record<string, object>> = {};
  for (const [route, operation] of Object.entries(operations)) {
    const { summary, body, bodyType = JSON_TYPE, query, response, types = [JSON_TYPE], status = 200 } = operation;
    const [method, pattern] = route.split(' ');
    const path = `${base}${pattern.replace(/:(\w+)/g, '{$1}')}`;
    const parameters = [
      ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
        name,
        in: 'path',
        required: true,
        schema: { type: 'string' },
      })),
      ...(query ? queryParameters(query) : []),
    ];
    const content = types.map((type) => [
      type,
      { schema: response && type === JSON_TYPE ? schemaOf(response, 'output') : {} },
    ]);
    paths[path] ??= {};
    paths[path][method.toLowerCase()] = {
      summary,
      ...accessOf(operation, method),
      ...(parameters.length > 0 && { parameters }),
      ...(body && { requestBody: { required: true, content: { [bodyType]: { schema: schemaOf(body, 'input') } } } }),
      responses: {
        [status]: { description: 'Done.', content: Object.fromEntries(content) },
        default: { $ref: '#/components/responses/error' },
      },
    };
  }
  return paths;
}

function queryParameters(query: z.ZodObject) {
  const { properties = {}, required = [] } = schemaOf(query, 'input');
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }));
}

/** The component that `operationPaths` refers to: an error's JSON, by its schema. */
export const errorResponse = (description: string, schema: z.ZodType) => ({
  error: { description, content: { [JSON_TYPE]: { schema: schemaOf(schema, 'output') } } },
});
