/** The models of this server as the models of graders. */

import { completeChat } from '../completions/chat.ts';
import type { Caller, ServeContext } from '../context.ts';
import type { GraderModels } from './model-grader.ts';

/** Nobody: a grader's completions belong to no user and are not kept. */
const grader: Caller = { key: undefined, scopes: new Set(), user: undefined };

/** Graders' models by their names on the shelf. Their completions are not stored or passed on. */
export function servedModels(context: ServeContext): GraderModels {
  const unseen = { ...context, keepDays: 0, store: false, hooks: { ...context.hooks, headers: [], completion: [] } };
  return {
    async complete(model, { messages, schema, maxTokens, temperature, topP, seed }, signal) {
      const request = {
        model,
        messages,
        temperature,
        seed,
        top_p: topP,
        max_completion_tokens: maxTokens ?? MOST_TOKENS,
        response_format: { type: 'json_schema', json_schema: { name: 'grade', strict: true, schema } },
      };
      const given = Object.entries(request).filter(([, value]) => value !== undefined);
      const record = await completeChat(unseen, Object.fromEntries(given), grader, signal);
      return { text: record.choices[0].text, tokens: record.usage.total_tokens };
    },
  };
}

/** Tokens of a reply, unless the grader says otherwise. */
const MOST_TOKENS = 256;
