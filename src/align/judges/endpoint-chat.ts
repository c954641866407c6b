/** A model behind an endpoint such as OpenAI's: POST <address>/chat/completions. */
import { z } from 'zod';
import { HeedError } from '../../error.ts';
import { seedFor } from '../../random.ts';
import { rewardCallSchema } from '../rewards/open.ts';
import { post, Refused, severally } from '../training/requests.ts';
import type { Chat, CompleteOptions, Conversation } from './source.ts';

export const chatCallSchema = rewardCallSchema.omit({ pessimism: true }).extend({
  timeout: z.number().positive().default(120).describe('seconds that an endpoint has for an answer'),
  retries: z.number().int().min(0).default(5).describe('times that it is asked again where it fails or is busy'),
  pause: z.number().min(0).default(1).describe('seconds before it is asked again, doubled each time'),
  atOnce: z.number().int().min(1).default(8).describe('requests under way at a time'),
  key: z.string().default('OPENAI_API_KEY').describe('environment variable that holds its key, if it wants one'),
});
export type ChatSettings = z.output<typeof chatCallSchema>;

const answerSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string().nullish() }) })).min(1),
});

/**
 * `text` is an address and, behind #, the model's name there. The key is read from the environment and is in nothing that is told.
 *
 * @throws HeedError where the text names no model.
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
        // half of 32 bits: some servers take no seed that is negative as a signed one
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
  if (!URL.canParse(address)) throw new HeedError(`"${address}" is no address.`, { hint });
  const { username, password, pathname } = new URL(address);
  if (username || password) {
    throw new HeedError('An address with a password in it would be told in reports.', {
      hint: 'Leave it out, and put the key into the environment variable OPENAI_API_KEY.',
    });
  }
  const url = new URL(address);
  url.pathname = `${pathname.replace(/\/+$/, '').replace(/\/chat\/completions$/, '')}/chat/completions`;
  return { url: url.href, model };
}

/** Bodies of requests, without the parameters that an endpoint has said it does not take: newer models know fewer. */
function requestBodies(model: string) {
  const unknown = new Set<string>();
  return (messages: Conversation, { maxTokens = 512, temperature = 1, seed }: CompleteOptions) => {
    const limit = unknown.has('max_tokens') ? 'max_completion_tokens' : 'max_tokens';
    const wanted = { [limit]: maxTokens, temperature, seed };
    const known = Object.entries(wanted).filter(([name]) => !unknown.has(name));
    return {
      body: { model, messages, ...Object.fromEntries(known) },
      /** Takes note of the parameter that a refusal is about; false where it is about none of these. */
      without(refusal: string): boolean {
        const name = parameterIn(refusal);
        if (name === undefined || !known.some(([own]) => own === name)) return false;
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

/** Servers may repeat the key that they refuse. */
function withoutKey(error: unknown, key: string | undefined): unknown {
  if (!(error instanceof HeedError) || !key || !error.message.includes(key)) return error;
  return new HeedError(error.message.replaceAll(key, '…'), { hint: error.hint });
}
