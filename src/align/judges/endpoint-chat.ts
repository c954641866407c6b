/** A model behind an endpoint compatible with OpenAI's: POST <address>/chat/completions. */
import { z } from 'zod';
import { HeedError } from '../../error.ts';
import { seedFor } from '../../random.ts';
import { rewardCallSchema } from '../rewards/open.ts';
import { post, Refused, severally } from '../training/requests.ts';
import type { Chat, CompleteOptions, Conversation } from './source.ts';

/** Schema of how a chat endpoint is called: timeouts, retries, concurrency and the key. */
export const chatCallSchema = rewardCallSchema.omit({ pessimism: true }).extend({
  timeout: z.number().positive().default(120).describe('seconds before a request to an endpoint times out'),
  retries: z.number().int().min(0).default(5).describe('retries of a request that fails or finds the server busy'),
  pause: z.number().min(0).default(1).describe('seconds before the first retry, doubled for each further one'),
  atOnce: z.number().int().min(1).default(8).describe('concurrent requests'),
  key: z
    .string()
    .default('OPENAI_API_KEY')
    .describe('environment variable with the API key, if the endpoint needs one'),
});
/** How a chat endpoint is called, with defaults filled in. */
export type ChatSettings = z.output<typeof chatCallSchema>;

const answerSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string().nullish() }) })).min(1),
});

/**
 * A chat model behind an endpoint. The key is read from the environment and never appears in messages.
 *
 * @param text The address and, after #, the model's name there.
 * @throws HeedError when the text has no model or no valid address.
 */
export function endpointChat(text: string, settings: ChatSettings): Chat {
  const { url, model } = addressOf(text);
  const key = process.env[settings.key];
  const who = `The model "${model}" at "${url}"`;
  const hint = `Is the model's name right, and is the key in ${settings.key}? Expected {"choices": [{"message": {"content": "…"}}]}.`;
  const bodyFor = requestBodies(model);
  const ask = async (conversation: Conversation, options: CompleteOptions, signal: AbortSignal) => {
    for (;;) {
      const { body, without } = bodyFor(conversation, options);
      try {
        const headers = key ? { authorization: `Bearer ${key}` } : undefined;
        return await post(
          { url, headers, body, who, hint, read: (answer) => contentOf(answer, who, hint) },
          settings,
          signal,
        );
      } catch (error) {
        if (error instanceof Refused && without(error.text)) continue;
        throw withoutKey(error, key);
      }
    }
  };
  return {
    name: text,
    async complete(conversations, { signal, ...options } = {}) {
      const answers = new Array<string>(conversations.length);
      await severally(conversations.length, settings.atOnce, signal, async (i, either) => {
        // 31 bits: some servers reject seeds that do not fit a signed integer
        const seed = seedFor(options.seed ?? 0, 'conversation', i) >>> 1;
        answers[i] = await ask(conversations[i], { ...options, seed }, either);
      });
      return answers;
    },
  };
}

function addressOf(text: string): { url: string; model: string } {
  const [address, ...rest] = text.split('#');
  const model = rest.join('#');
  const hint = 'Such as http://localhost:8000/v1#llama-3.1-8b: the address, # and the name of the model there.';
  if (model === '') throw new HeedError(`"${text}" names no model.`, { hint });
  if (!URL.canParse(address)) throw new HeedError(`"${address}" is not an address.`, { hint });
  const { username, password, pathname } = new URL(address);
  if (username || password) {
    throw new HeedError('The address contains a password, which would appear in reports.', {
      hint: 'Remove it, and put the key into the environment variable OPENAI_API_KEY.',
    });
  }
  const url = new URL(address);
  url.pathname = `${pathname.replace(/\/+$/, '').replace(/\/chat\/completions$/, '')}/chat/completions`;
  return { url: url.href, model };
}

/** Makes request bodies without the parameters that the endpoint has refused: newer models support fewer. */
function requestBodies(model: string) {
  const unknown = new Set<string>();
  return (messages: Conversation, { maxTokens = 512, temperature = 1, seed }: CompleteOptions) => {
    const limit = unknown.has('max_tokens') ? 'max_completion_tokens' : 'max_tokens';
    const parameters = { [limit]: maxTokens, temperature, seed };
    const supported = Object.entries(parameters).filter(([name]) => !unknown.has(name));
    return {
      body: { model, messages, ...Object.fromEntries(supported) },
      /** Remembers the parameter that a refusal is about; false when it is about none of these. */
      without(refusal: string): boolean {
        const name = parameterIn(refusal);
        if (name === undefined || !supported.some(([own]) => own === name)) return false;
        unknown.add(name);
        return true;
      },
    };
  };
}

const refusalSchema = z.object({ error: z.object({ param: z.string(), code: z.string() }) });

function parameterIn(refusal: string): string | undefined {
  try {
    const { error } = refusalSchema.parse(JSON.parse(refusal));
    return error.code.startsWith('unsupported_') ? error.param : undefined;
  } catch {
    return undefined;
  }
}

function contentOf(answer: unknown, who: string, hint: string): string {
  const { success, data } = answerSchema.safeParse(answer);
  if (success) return (data.choices[0].message.content ?? '').trim();
  throw new HeedError(`${who} answered without a message: ${JSON.stringify(answer)?.slice(0, 200)}`, { hint });
}

/** The error without the key: servers may repeat the key that they refuse. */
function withoutKey(error: unknown, key: string | undefined): unknown {
  if (!(error instanceof HeedError) || !key || !error.message.includes(key)) return error;
  return new HeedError(error.message.replaceAll(key, '…'), { hint: error.hint });
}
