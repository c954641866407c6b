/** A model behind an endpoint compatible with OpenAI's: POST <address>/chat/completions. */
import { z } from 'zod';
import { HeedError } from '../../error.ts';
import { seedFor } from '../../random.ts';
import { type EndpointSettings, endpointAddress, headersWith, parameterIn, withoutKey } from '../training/endpoint.ts';
import { post, RefusedRequest, severally } from '../training/requests.ts';
import type { Chat, CompleteOptions, Conversation } from './source.ts';

const answerSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string().nullish() }) })).min(1),
});

/**
 * A chat model behind an endpoint. The key is read from the environment and never appears in messages.
 *
 * @param text The address and, after #, the model's name there.
 * @throws HeedError when the text has no model or no valid address.
 */
export function endpointChat(text: string, settings: EndpointSettings): Chat {
  const { url, model } = endpointAddress(text, '/chat/completions');
  const key = process.env[settings.key];
  const who = `The model "${model}" at "${url}"`;
  const hint = `Is the model's name right, and is the key in ${settings.key}? Expected {"choices": [{"message": {"content": "…"}}]}.`;
  const bodyFor = requestBodies(model);
  const ask = async (conversation: Conversation, options: CompleteOptions, signal: AbortSignal) => {
    for (;;) {
      const { body, without } = bodyFor(conversation, options);
      try {
        const read = (completion: unknown) => contentOf(completion, who, hint);
        return await post({ url, headers: headersWith(key), body, who, hint, read }, settings, signal);
      } catch (error) {
        if (error instanceof RefusedRequest && without(error.text)) continue;
        throw withoutKey(error, key);
      }
    }
  };
  return {
    name: text,
    async complete(conversations, { signal, ...options } = {}) {
      const completions = new Array<string>(conversations.length);
      await severally(conversations.length, settings.atOnce, signal, async (i, either) => {
        // 31 bits: some servers reject seeds that do not fit a signed integer
        const seed = seedFor(options.seed ?? 0, 'conversation', i) >>> 1;
        completions[i] = await ask(conversations[i], { ...options, seed }, either);
      });
      return completions;
    },
  };
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

function contentOf(completion: unknown, who: string, hint: string): string {
  const { success, data } = answerSchema.safeParse(completion);
  if (success) return (data.choices[0].message.content ?? '').trim();
  throw new HeedError(`${who} answered without a message: ${JSON.stringify(completion)?.slice(0, 200)}`, { hint });
}
