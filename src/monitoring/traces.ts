/**
 * OpenTelemetry traces, off unless the usual environment variables name a collector. The packages of OpenTelemetry are
 * optional: they are loaded only then. A span has names, counts and times; never a prompt, a completion or a value of a
 * statement.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Attributes, Span, SpanKind, Tracer } from '@opentelemetry/api';
import { HeedError, messageOf } from '../error.ts';
import { optionalPackage } from '../optional-package.ts';

/** The environment variables that turn traces on. */
const ENDPOINTS = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'];
/** The packages that traces need. */
const PACKAGES = [
  '@opentelemetry/api',
  '@opentelemetry/resources',
  '@opentelemetry/sdk-trace-base',
  '@opentelemetry/exporter-trace-otlp-http',
];

type Api = typeof import('@opentelemetry/api');

/** What is needed to make spans. */
interface Tracing {
  api: Api;
  tracer: Tracer;
}

let tracing: Tracing | undefined;
const current = new AsyncLocalStorage<Span>();

/** Traces that are being sent. */
export interface Traces {
  /** Sends what is left, and makes no more spans. */
  close(): Promise<void>;
}

/** What `startTraces` reads. */
export interface TracesOptions {
  /** Name of the service, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES says another. */
  service: string;
  /** The environment; `process.env` by default. OpenTelemetry's own settings are always read from `process.env`. */
  env?: Readonly<Record<string, string | undefined>>;
}

/**
 * Starts to send traces of this process by OTLP (JSON over HTTP), if the environment asks for it.
 *
 * @throws HeedError if the environment asks for it and a package is missing, or for a protocol that heed does not speak.
 */
export async function startTraces({ service, env = process.env }: TracesOptions): Promise<Traces | undefined> {
  const wanted = ENDPOINTS.find((name) => env[name]);
  if (!wanted || env.OTEL_SDK_DISABLED?.toLowerCase() === 'true' || env.OTEL_TRACES_EXPORTER === 'none')
    return undefined;
  const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? env.OTEL_EXPORTER_OTLP_PROTOCOL;
  if (protocol === 'grpc') {
    throw new HeedError('heed sends traces by HTTP, and OTEL_EXPORTER_OTLP_PROTOCOL is "grpc".', {
      hint: "Set it to http/json, and the endpoint to the collector's HTTP port, usually 4318.",
    });
  }
  const { api, provider } = await load(wanted, resourceAttributes(service, env));
  const mine = { api, tracer: provider.getTracer('heed') };
  tracing = mine;
  return {
    async close() {
      if (tracing === mine) tracing = undefined;
      // a collector that is gone must not keep the process from ending well
      await provider.shutdown().catch(() => {});
    },
  };
}

const TRACES = 'A trace';
type Exporter = typeof import('@opentelemetry/exporter-trace-otlp-http');

async function load(wanted: string, attributes: Record<string, string>) {
  try {
    const [api, { resourceFromAttributes, defaultResource }, sdk, { OTLPTraceExporter }] = await Promise.all([
      optionalPackage<typeof import('@opentelemetry/api')>('@opentelemetry/api', TRACES),
      optionalPackage<typeof import('@opentelemetry/resources')>('@opentelemetry/resources', TRACES),
      optionalPackage<typeof import('@opentelemetry/sdk-trace-base')>('@opentelemetry/sdk-trace-base', TRACES),
      optionalPackage<Exporter>('@opentelemetry/exporter-trace-otlp-http', TRACES),
    ]);
    const provider = new sdk.BasicTracerProvider({
      resource: defaultResource().merge(resourceFromAttributes(attributes)),
      spanProcessors: [new sdk.BatchSpanProcessor(new OTLPTraceExporter())],
    });
    return { api, provider };
  } catch (cause) {
    throw new HeedError(`${wanted} is set, but the packages of OpenTelemetry cannot be loaded: ${messageOf(cause)}`, {
      hint: `Install them beside heed: npm install ${PACKAGES.join(' ')}. Or unset ${wanted}.`,
      cause,
    });
  }
}

/** What the spans come from: OTEL_RESOURCE_ATTRIBUTES (`a=1,b=2`, percent-encoded), then OTEL_SERVICE_NAME. */
function resourceAttributes(
  service: string,
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const pairs = (env.OTEL_RESOURCE_ATTRIBUTES ?? '').split(',').flatMap((pair) => {
    const [, name, value] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
    return name === undefined ? [] : [[name, decoded(value)]];
  });
  const attributes: Record<string, string> = { 'service.name': service, ...Object.fromEntries(pairs) };
  return env.OTEL_SERVICE_NAME ? { ...attributes, 'service.name': env.OTEL_SERVICE_NAME } : attributes;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** How a span begins. */
export interface SpanOptions {
  /** What is done for whom; internal work by default. */
  kind?: keyof typeof SpanKind;
  /** Facts that are known at the beginning. */
  attributes?: Attributes;
  /** The `traceparent` header of a request: the span continues the client's trace. */
  traceparent?: string;
}

/** Does some work within a span, whose spans become its children. Without traces it only does the work. */
export function inSpan<T>(
  name: string,
  { kind = 'INTERNAL', attributes, traceparent }: SpanOptions,
  work: (span: Span | undefined) => Promise<T>,
): Promise<T> {
  if (!tracing) return work(undefined);
  const { api, tracer } = tracing;
  const span = tracer.startSpan(name, { kind: api.SpanKind[kind], attributes }, parentOf(tracing, traceparent));
  return current.run(span, async () => {
    try {
      return await work(span);
    } catch (error) {
      span.setStatus({ code: api.SpanStatusCode.ERROR });
      // messages may quote what people wrote
      span.setAttribute('error.type', nameOf(error));
      throw error;
    } finally {
      span.end();
    }
  });
}

/** Adds a span of work that is already done, as a child of the current one. Times are milliseconds since 1970. */
export function addSpan(
  name: string,
  {
    kind = 'INTERNAL',
    attributes,
    start,
    end,
    error,
  }: Omit<SpanOptions, 'traceparent'> & {
    /** When it began. */
    start: number;
    /** When it ended. */
    end: number;
    /** What was thrown, if it failed. */
    error?: unknown;
  },
): void {
  if (!tracing) return;
  const { api, tracer } = tracing;
  const options = { kind: api.SpanKind[kind], attributes, startTime: start };
  const span = tracer.startSpan(name, options, parentOf(tracing));
  if (error !== undefined) {
    span.setStatus({ code: api.SpanStatusCode.ERROR });
    span.setAttribute('error.type', nameOf(error));
  }
  span.end(end);
}

/** Whether spans are made within a span: what they would say need not be gathered otherwise. */
export const isTraced = (): boolean => tracing !== undefined && current.getStore()?.isRecording() === true;

const nameOf = (error: unknown): string => String((error as { code?: unknown })?.code ?? (error as Error)?.name);

/** W3C's form: version, trace, parent, flags. */
const TRACEPARENT = /^[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})/;

function parentOf({ api }: Tracing, traceparent = '') {
  const span = current.getStore();
  if (span) return api.trace.setSpan(api.ROOT_CONTEXT, span);
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent) ?? [];
  const remote = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return traceId !== undefined && api.isSpanContextValid(remote)
    ? api.trace.setSpanContext(api.ROOT_CONTEXT, remote)
    : api.ROOT_CONTEXT;
}
