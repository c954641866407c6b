/**
 * node bench/serve-schemas.js [--model MODEL] [--python PYTHON] [--only NAME]
 *
 * The schemas that OpenAI's documentation of structured outputs shows, through the clients that people have: `openai`
 * (completions, streams, responses and tools), `ai` of Vercel, and with --python, an interpreter that has them,
 * `instructor` and `openai` for Python. Each client parses what the model wrote by its own schema. Prints a line for
 * each schema, and ends with 1 if one failed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject, generateText, jsonSchema, tool } from 'ai';
import { Ajv2020 } from 'ajv/dist/2020.js';
import ajvFormats from 'ajv-formats';
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { serve } from '../dist/serve/index.js';
import { path } from './sides.js';

const { values } = parseArgs({
  options: { model: { type: 'string' }, python: { type: 'string' }, only: { type: 'string' } },
});

/** An object of strict schemas: all properties are required, and there are no others. */
const object = (properties, more = {}) => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
});
const string = { type: 'string' };
const list = (items, more = {}) => ({ type: 'array', items, ...more });
const step = object({ explanation: string, output: string });
const attribute = object({ name: string, value: string });
const kinds = ['div', 'button', 'header', 'section', 'field', 'form'];

/** The documented schemas by name, as JSON Schema. */
export const documented = {
  'calendar event': object({ name: string, date: string, participants: list(string) }),
  'math tutoring': object({ steps: list(step), final_answer: string }),
  'research paper': object({ title: string, authors: list(string), abstract: string, keywords: list(string) }),
  'user interface': object({
    type: { type: 'string', description: 'The type of the UI component', enum: kinds },
    label: { type: 'string', description: 'The label of the UI component, used for buttons or form fields' },
    children: list({ $ref: '#' }, { description: 'Nested UI components' }),
    attributes: list(attribute, { description: 'Arbitrary attributes for the UI component' }),
  }),
  moderation: object({
    is_violating: { type: 'boolean' },
    category: { type: ['string', 'null'], enum: ['violence', 'sexual', 'self_harm', null] },
    explanation_if_violating: { type: ['string', 'null'] },
  }),
  'weather with a unit or null': object({
    location: string,
    unit: { type: ['string', 'null'], enum: ['F', 'C'] },
  }),
  'weather within bounds': object({
    location: string,
    unit: { type: ['string', 'null'], enum: ['F', 'C'] },
    value: { type: 'number', minimum: -130, maximum: 130 },
  }),
  'user by pattern and format': object({
    name: string,
    username: { type: 'string', pattern: '^[a-zA-Z0-9_]+$' },
    email: { type: 'string', format: 'email' },
  }),
  'any of two objects': object({
    item: {
      anyOf: [
        object({ name: string, age: { type: 'number' } }, { description: 'The user to insert' }),
        object({ number: string, street: string, city: string }, { description: 'The address to insert' }),
      ],
    },
  }),
  definitions: object(
    { steps: list({ $ref: '#/$defs/step' }), final_answer: string },
    { $defs: { step: object({ explanation: string, output: string }) } },
  ),
  'a linked list': object(
    { linked_list: { $ref: '#/$defs/linked_list_node' } },
    {
      $defs: {
        linked_list_node: object({
          value: { type: 'number' },
          next: { anyOf: [{ $ref: '#/$defs/linked_list_node' }, { type: 'null' }] },
        }),
      },
    },
  ),
  'a query of a table': object({
    table_name: { type: 'string', enum: ['orders'] },
    columns: list({ type: 'string', enum: ['id', 'status', 'expected_delivery_date', 'delivered_at', 'ordered_at'] }),
    conditions: list(
      object({
        column: string,
        operator: { type: 'string', enum: ['=', '>', '<', '<=', '>=', '!='] },
        value: { anyOf: [string, { type: 'number' }, object({ column_name: string })] },
      }),
    ),
    order_by: { type: 'string', enum: ['asc', 'desc'] },
  }),
  'extracted entities': object({ attributes: list(string), colors: list(string), animals: list(string) }),
  'a list within bounds': object({ tags: list(string, { minItems: 1, maxItems: 3 }) }),
  'action items': object({
    summary: string,
    items: list(
      object({ description: string, due_date: { type: ['string', 'null'] }, owner: { type: ['string', 'null'] } }),
    ),
  }),
  'dates and times': object({
    day: { type: 'string', format: 'date' },
    at: { type: 'string', format: 'date-time' },
    lasts: { type: 'string', format: 'duration' },
    id: { type: 'string', format: 'uuid' },
    host: { type: 'string', format: 'hostname' },
    address: { type: 'string', format: 'ipv4' },
  }),
  'integers and constants': object({
    count: { type: 'integer', minimum: 1, maximum: 10 },
    step: { type: 'number', multipleOf: 0.5, exclusiveMinimum: 0, exclusiveMaximum: 5 },
    version: { const: 'v1' },
  }),
};

const Component = z.object({
  type: z.enum(kinds),
  label: z.string(),
  get children() {
    return z.array(Component);
  },
  attributes: z.array(z.object({ name: z.string(), value: z.string() })),
});
const zodSchemas = {
  'calendar event': z.object({ name: z.string(), date: z.string(), participants: z.array(z.string()) }),
  'math tutoring': z.object({
    steps: z.array(z.object({ explanation: z.string(), output: z.string() })),
    final_answer: z.string(),
  }),
  'user interface': Component,
  moderation: z.object({
    is_violating: z.boolean(),
    category: z.enum(['violence', 'sexual', 'self_harm']).nullable(),
    explanation_if_violating: z.string().nullable(),
  }),
  'any of two objects': z.object({
    item: z.union([
      z.object({ name: z.string(), age: z.number() }),
      z.object({ number: z.string(), street: z.string(), city: z.string() }),
    ]),
  }),
};

const validators = new Ajv2020({ strict: false, multipleOfPrecision: 6 });
ajvFormats.default(validators);
/** The value of JSON, if a schema that no client checks itself allows it. */
function checked(schema, json) {
  const value = typeof json === 'string' ? JSON.parse(json) : json;
  const validate = validators.compile(schema);
  if (!validate(value)) throw new Error(`${validators.errorsText(validate.errors)}: ${JSON.stringify(value)}`);
  return value;
}

const folder = mkdtempSync(join(tmpdir(), 'heed-schemas-'));
const server = await serve({ folder, port: 0, ...(values.model && { model: values.model }), perMinute: 100_000 });
const openai = new OpenAI({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
const [{ id: model }] = (await openai.models.list()).data;
const vercel = createOpenAICompatible({ name: 'heed', baseURL: server.url, supportsStructuredOutputs: true })(model);
const messages = [{ role: 'user', content: 'How was the tavern?' }];
const named = (name) => name.replaceAll(' ', '_');
const formatOf = (name, schema) => ({ type: 'json_schema', json_schema: { name: named(name), strict: true, schema } });
const only = (call, name) => {
  if (call?.function?.name !== name && call?.name !== name) throw new Error(`no call of ${name}`);
  return call.function?.arguments ?? call.arguments;
};

/** A client's way to ask for a schema. Each throws where the result is not what the schema says. */
const ways = {
  'openai: completion': async (name, schema, seed) => {
    const request = { model, messages, seed, response_format: formatOf(name, schema) };
    checked(schema, (await openai.chat.completions.create(request)).choices[0].message.content);
  },
  'openai: stream': async (name, schema, seed) => {
    const request = { model, messages, seed, stream: true, response_format: formatOf(name, schema) };
    checked(schema, await openai.chat.completions.stream(request).finalContent());
  },
  'openai: response': async (name, schema) => {
    const format = { type: 'json_schema', name: named(name), strict: true, schema };
    checked(
      schema,
      (await openai.responses.create({ model, input: 'How was the tavern?', text: { format } })).output_text,
    );
  },
  'openai: tool': async (name, schema, seed) => {
    const tools = [{ type: 'function', function: { name: named(name), strict: true, parameters: schema } }];
    const request = { model, messages, seed, tools, tool_choice: 'required' };
    const { tool_calls } = (await openai.chat.completions.create(request)).choices[0].message;
    checked(schema, only(tool_calls?.[0], named(name)));
  },
  'openai: response with a tool': async (name, schema) => {
    const tools = [{ type: 'function', name: named(name), strict: true, parameters: schema }];
    const request = { model, input: 'How was the tavern?', tools, tool_choice: 'required' };
    const { output } = await openai.responses.create(request);
    checked(
      schema,
      only(
        output.find(({ type }) => type === 'function_call'),
        named(name),
      ),
    );
  },
  'ai: generateObject': async (name, schema, seed) => {
    const { object } = await generateObject({
      model: vercel,
      messages,
      seed,
      maxRetries: 0,
      schemaName: named(name),
      schema: jsonSchema(schema),
    });
    checked(schema, object);
  },
  'ai: tool': async (name, schema, seed) => {
    const tools = { [named(name)]: tool({ inputSchema: jsonSchema(schema) }) };
    const { toolCalls } = await generateText({
      model: vercel,
      messages,
      seed,
      maxRetries: 0,
      tools,
      toolChoice: 'required',
    });
    checked(schema, toolCalls[0].input);
  },
};
const zodWays = {
  'openai: parse by zod': async (name, schema, seed) => {
    const request = { model, messages, seed, response_format: zodResponseFormat(schema, named(name)) };
    if (!(await openai.chat.completions.parse(request)).choices[0].message.parsed)
      throw new Error('nothing was parsed');
  },
  'openai: response by zod': async (name, schema) => {
    const text = { format: zodTextFormat(schema, named(name)) };
    const response = await openai.responses.parse({ model, input: 'How was the tavern?', text });
    if (!response.output_parsed) throw new Error('nothing was parsed');
  },
  'openai: tool by zod': async (name, schema, seed) => {
    const tools = [zodFunction({ name: named(name), parameters: schema })];
    const request = { model, messages, seed, tools, tool_choice: 'required' };
    const { tool_calls } = (await openai.chat.completions.parse(request)).choices[0].message;
    if (!tool_calls?.[0].function.parsed_arguments) throw new Error('nothing was parsed');
  },
  'ai: generateObject by zod': async (_, schema, seed) =>
    void (await generateObject({ model: vercel, messages, seed, maxRetries: 0, schema })),
};

/** What the Python clients say: a line of JSON for each schema. */
async function python() {
  const args = [path('./serve-schemas.py'), server.url, model];
  const child = spawn(values.python, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  if (code !== 0) throw new Error(`Python ended with ${code}`);
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const results = [];
const report = (name, way, error) => {
  results.push({ name, way, error });
  console.log(`${error ? '✗' : '✓'} ${name}, ${way}${error ? `: ${error.slice(0, 300)}` : ''}`);
};
try {
  for (const [schemas, by] of [
    [documented, ways],
    [zodSchemas, zodWays],
  ]) {
    for (const [name, schema] of Object.entries(schemas)) {
      if (values.only && values.only !== name) continue;
      for (const [way, ask] of Object.entries(by)) {
        await ask(name, schema, 1).then(
          () => report(name, way),
          (error) => report(name, way, String(error.message)),
        );
      }
    }
  }
  if (values.python) for (const { name, way, error } of await python()) report(name, way, error);
} finally {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
}
const failed = results.filter(({ error }) => error);
console.log(`${results.length - failed.length} of ${results.length}`);
process.exitCode = failed.length > 0 ? 1 : 0;
